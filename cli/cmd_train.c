#include "config.h"

#include "cli.h"

#include <getopt.h>
#include <stdio.h>

#include "mail_source.h"
#include "open_store.h"
#include "progress.h"

enum {
	KNOWN_ALL = 1, /* exit code: every message was known already */
	BATCH = 500,   /* messages of one transaction: what a kill costs, at most */
	BATCH_OCTETS = 16 << 20,
};

struct trainer {
	struct bayes *bayes;
	enum class class;
	bool all, quiet;
	const char *teacher;
	size_t message_max;
	struct features batch[BATCH];
	size_t n;
	struct arena arena; /* of the batch */
	uint64_t counts[4]; /* by enum learn_result */
	uint64_t failed, seen;
	int failure; /* the worst exit code of what failed */
	struct mail_source source;
	struct progress progress;
};

static void on_failure(int code, const char *text, void *arg)
{
	struct trainer *t = arg;

	progress_clear(&t->progress);
	t->failed++;
	if (t->failure != CLI_IO)
		t->failure = cli_fail(code, "%s", text);
	else
		(void)cli_fail(code, "%s", text);
}

/* 0, or CLI_IO when the store failed: then nothing of the batch was learnt. */
static int batch_learn(struct trainer *t)
{
	enum learn_result results[BATCH];
	struct err e;
	int rc = 0;

	if (t->n > 0 &&
	    bayes_learn_many(t->bayes, t->batch, t->n, t->class, t->all, t->teacher, results, &e) <
		0) {
		progress_clear(&t->progress);
		t->failed += t->n;
		rc = cli_fail(CLI_IO, "%s", e.text);
	}
	for (size_t i = 0; rc == 0 && i < t->n; i++)
		t->counts[results[i]]++;
	t->n = 0;
	arena_free(&t->arena);
	return rc;
}

static bool features_take(struct trainer *t, struct slice octets)
{
	struct features *f = &t->batch[t->n];
	struct message m;
	bool good;

	message_start(&m, t->message_max);
	good = message_raw(&m, octets);
	if (good)
		message_parse(&m, FEATURES_TEXT_MAX);
	good = good && features_of(&m, &t->arena, f);
	/* They point into the message, and nobody explains here. */
	f->text = NULL;
	f->field = NULL;
	message_free(&m);
	return good;
}

static int on_mail(const char *name, struct slice octets, void *arg)
{
	struct trainer *t = arg;

	t->seen++;
	if (features_take(t, octets)) {
		t->n++;
	} else {
		char text[1100];

		(void)snprintf(text, sizeof(text), "%s: out of memory", name);
		on_failure(CLI_IO, text, t);
	}
	progress_update(&t->progress, t->source.octets, t->seen);
	return t->n == BATCH || t->arena.used > BATCH_OCTETS ? batch_learn(t) : 0;
}

static int train_paths(struct trainer *t, char **paths, int n)
{
	uint64_t octets = 0;
	int rc = 0;

	for (int i = 0; i < n && !t->quiet; i++)
		octets += mail_source_measure(paths[i]);
	progress_start(&t->progress, octets, t->quiet);
	t->source = (struct mail_source){ .message_max = t->message_max,
		.on_mail = on_mail,
		.on_failure = on_failure,
		.arg = t };
	for (int i = 0; rc == 0 && i < n; i++)
		rc = mail_source_run(&t->source, paths[i]);
	if (rc == 0)
		rc = batch_learn(t);
	progress_clear(&t->progress);
	return rc;
}

static int report(const struct trainer *t, int rc)
{
	uint64_t fresh = t->counts[LEARN_NEW] + t->counts[LEARN_SURE] + t->counts[LEARN_MOVED];

	printf("learnt %llu, sure already %llu, known %llu, moved %llu, failed %llu\n",
	    (unsigned long long)t->counts[LEARN_NEW], (unsigned long long)t->counts[LEARN_SURE],
	    (unsigned long long)t->counts[LEARN_KNOWN], (unsigned long long)t->counts[LEARN_MOVED],
	    (unsigned long long)t->failed);
	if (fflush(stdout) != 0 || rc != 0)
		return CLI_IO;
	if (fresh > 0)
		return CLI_OK;
	return t->failed > 0 ? t->failure : KNOWN_ALL;
}

static int class_of(const char *word, enum class *class)
{
	if (strcmp(word, "spam") != 0 && strcmp(word, "ham") != 0)
		return -1;
	*class = strcmp(word, "spam") == 0 ? CLASS_SPAM : CLASS_HAM;
	return 0;
}

static int options(struct trainer *t, int argc, char **argv)
{
	static const struct option known[] = {
		{ "all", no_argument, NULL, 'a' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "teacher", required_argument, NULL, 't' },
		{ 0 },
	};
	int option;

	optind = 0; /* main stops at the first word that is no option; here they may be mixed */
	while ((option = getopt_long(argc, argv, "aqt:", known, NULL)) != -1) {
		switch (option) {
		case 'a':
			t->all = true;
			break;
		case 'q':
			t->quiet = true;
			break;
		case 't':
			t->teacher = optarg;
			break;
		default:
			return cli_usage("train", "unknown or incomplete option");
		}
	}
	if (argc - optind < 2)
		return cli_usage("train", "say spam or ham, and what to learn from");
	if (class_of(argv[optind], &t->class) < 0)
		return cli_usage("train", "say spam or ham, not \"%s\"", argv[optind]);
	return CLI_OK;
}

/* weir train spam|ham [--all] [--teacher NAME] [--quiet] PATH... */
int cmd_train(struct cli *c, int argc, char **argv)
{
	struct trainer t = { .teacher = "admin" };
	struct store *s;
	int rc = options(&t, argc, argv);

	if (rc != CLI_OK || (rc = open_store(c, &s, &t.bayes)) != CLI_OK)
		return rc;
	t.message_max = (size_t)c->settings.milterd.message_bytes;
	rc = train_paths(&t, argv + optind + 1, argc - optind - 1);
	close_store(&s, &t.bayes);
	return report(&t, rc);
}
