#include "config.h"

#include "cli.h"

#include <stdio.h>

#include "mail_source.h"
#include "open_store.h"

enum { NOTHING_KNOWN = 1 }; /* exit code */

struct forgetting {
	struct bayes *bayes;
	size_t message_max;
	uint64_t forgotten, unknown, failed;
	int failure;
};

static void on_failure(int code, const char *text, void *arg)
{
	struct forgetting *f = arg;

	f->failed++;
	(void)cli_fail(code, "%s", text);
	if (f->failure != CLI_IO)
		f->failure = code;
}

static int on_mail(const char *name, struct slice octets, void *arg)
{
	struct forgetting *f = arg;
	struct features features;
	struct arena arena = { 0 };
	struct message m;
	struct err e = { "out of memory" };
	int rc = -1;

	message_start(&m, f->message_max);
	if (message_raw(&m, octets)) {
		message_parse(&m, FEATURES_TEXT_MAX);
		if (features_of(&m, &arena, &features))
			rc = bayes_forget(f->bayes, &features, &e);
	}
	arena_free(&arena);
	message_free(&m);
	f->forgotten += rc == 1;
	f->unknown += rc == 0;
	if (rc < 0)
		f->failed++;
	return rc < 0 ? cli_fail(CLI_IO, "%s: %s", name, e.text) : 0;
}

/* weir forget PATH... */
int cmd_forget(struct cli *c, int argc, char **argv)
{
	struct forgetting f = { 0 };
	struct mail_source source = { .on_mail = on_mail, .on_failure = on_failure, .arg = &f };
	struct store *s;
	int rc;

	if (argc < 2)
		return cli_usage("forget", "say what to forget");
	if ((rc = open_store(c, &s, &f.bayes)) != CLI_OK)
		return rc;
	source.message_max = f.message_max = (size_t)c->settings.milterd.message_bytes;
	for (int i = 1; rc == 0 && i < argc; i++)
		rc = mail_source_run(&source, argv[i]);
	close_store(&s, &f.bayes);
	printf("forgotten %llu, not known %llu, failed %llu\n", (unsigned long long)f.forgotten,
	    (unsigned long long)f.unknown, (unsigned long long)f.failed);
	if (fflush(stdout) != 0 || rc != 0)
		return CLI_IO;
	if (f.forgotten > 0)
		return CLI_OK;
	return f.failed > 0 ? f.failure : NOTHING_KNOWN;
}
