#include "config.h"

#include "cli.h"

#include <getopt.h>
#include <stdlib.h>

#include "examine.h"
#include "report.h"
#include "weir/file.h"

/* The exit codes are a contract with scripts. */
static const int exit_codes[] = {
	[ACTION_DELIVER] = 0,
	[ACTION_ACCEPT] = 0,
	[ACTION_TAG] = 10,
	[ACTION_QUARANTINE] = 20,
	[ACTION_REJECT] = 30,
	[ACTION_TEMPFAIL] = 31,
	[ACTION_DISCARD] = 32,
};

struct check {
	struct envelope envelope;
	bool json, explain;
	unsigned without;
	const char *file;
};

static const struct option options[] = {
	{ "json", no_argument, NULL, 'j' },
	{ "explain", no_argument, NULL, 'e' },
	{ "without", required_argument, NULL, 'w' },
	{ "ip", required_argument, NULL, 'i' },
	{ "helo", required_argument, NULL, 'h' },
	{ "from", required_argument, NULL, 'f' },
	{ "rcpt", required_argument, NULL, 'r' },
	{ NULL, 0, NULL, 0 },
};

static int take_without(struct check *k, const char *list)
{
	struct slice rest = slice_z(list);

	while (rest.n > 0) {
		struct slice name = slice_cut(&rest, ',');
		unsigned bit = exam_without_bit(name);

		if (bit == 0)
			return cli_usage("check",
			    "--without takes virus, bayes and dns, not \"%.*s\"", SLICE_ARG(name));
		k->without |= bit;
	}
	return CLI_OK;
}

static int take_address(struct check *k, const char *text)
{
	struct err e;

	return address_parse(slice_z(text), &k->envelope.client.address, &e) == 0
	    ? CLI_OK
	    : cli_usage("check", "--ip %s", e.text);
}

/* rcpts has room for every argument. */
static int take_options(struct check *k, int argc, char **argv, char **rcpts)
{
	int option, rc = CLI_OK;

	k->envelope.recipients = rcpts;
	while (rc == CLI_OK && (option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'j')
			k->json = true;
		else if (option == 'e')
			k->explain = true;
		else if (option == 'w')
			rc = take_without(k, optarg);
		else if (option == 'i')
			rc = take_address(k, optarg);
		else if (option == 'h')
			k->envelope.client.helo = slice_z(optarg);
		else if (option == 'f')
			k->envelope.from = optarg;
		else if (option == 'r')
			rcpts[k->envelope.recipient_count++] = optarg;
		else
			rc = cli_usage("check", "unknown option");
	}
	if (rc == CLI_OK && optind + 1 != argc)
		rc = cli_usage("check", "say one message file, or - for standard input");
	k->file = argv[optind];
	return rc;
}

static bool asked(const struct engine *g, const char *provider)
{
	size_t n;
	const struct fact_ref *refs = ruleset_facts(g->rules, &n);

	if ((g->without & exam_without_bit(slice_z(provider))) != 0)
		return false;
	for (size_t i = 0; i < n; i++)
		if (strcmp(refs[i].provider->name, provider) == 0)
			return true;
	return false;
}

/* Only what the rules ask for. What is not there leaves its facts unknown, as in the daemon. */
static void services_start(struct cli *c, const struct engine *g, struct services *s)
{
	const struct milterd_settings *m = &c->settings.milterd;
	struct err e;

	if (asked(g, "bayes")) {
		s->store = store_open(m->store, (uint64_t)m->store_bytes, STORE_READ_ONLY, &e);
		if (s->store != NULL)
			s->bayes = bayes_open(s->store, &e);
		if (s->bayes == NULL)
			cli_fail(0, "bayes is unknown: %s", e.text);
	}
	if (asked(g, "virus") && m->antivirus.enabled &&
	    (s->scanner = scanner_start(m, c->program, &e)) == NULL)
		cli_fail(0, "not scanned for viruses: %s", e.text);
}

static void services_stop(struct services *s)
{
	scanner_stop(&s->scanner);
	bayes_close(&s->bayes);
	store_close(&s->store);
}

static void add_explanations(struct exam *x, json_t *verdict)
{
	json_t *s;
	size_t i;

	json_array_foreach(json_object_get(verdict, "symbols"), i, s)
	{
		json_t *tree = exam_explain(x, json_string_value(json_object_get(s, "name")));

		if (tree != NULL)
			json_object_set_new(s, "explanation", tree);
	}
}

static int print(struct exam *x, const struct check *k)
{
	json_t *verdict = exam_json(x);
	int rc = exit_codes[exam_verdict(x)->action];

	if (verdict == NULL)
		return cli_fail(CLI_IO, "out of memory");
	if (k->explain)
		add_explanations(x, verdict);
	if (k->json)
		json_dumpf(verdict, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(10));
	else
		report_verdict(verdict, k->explain, stdout);
	if (k->json)
		putchar('\n');
	json_decref(verdict);
	return fflush(stdout) == 0 ? rc : CLI_IO;
}

static int check(struct cli *c, const struct check *k, struct engine *g, struct slice file)
{
	struct exam *x = exam_new(g);
	int rc;

	(void)c;
	if (x == NULL)
		return cli_fail(CLI_IO, "out of memory");
	examine(x, &k->envelope, file);
	rc = print(x, k);
	exam_free(&x);
	return rc;
}

/* weir check: what would become of this message, and why? */
int cmd_check(struct cli *c, int argc, char **argv)
{
	char **rcpts = calloc((size_t)argc + 1, sizeof(*rcpts));
	struct check k = { 0 };
	struct services services = { 0 };
	struct findings f = { 0 };
	struct bytes file = { .max = JSON_FILE_MAX * 4ull };
	struct engine *g = NULL;
	struct err e;
	int rc;

	if (rcpts == NULL)
		return cli_fail(CLI_IO, "out of memory");
	if ((rc = take_options(&k, argc, argv, rcpts)) != CLI_OK || (rc = cli_load(c)) != CLI_OK)
		goto done;
	rc = CLI_IO;
	if (file_read(k.file, &file, &e) < 0) {
		cli_fail(0, "%s", e.text);
		goto done;
	}
	rc = CLI_DATA;
	g = engine_new(&c->settings.milterd, &services, &f);
	findings_print(&f, stderr);
	if (g == NULL)
		goto done;
	g->without = k.without;
	g->all_facts = true;
	services_start(c, g, &services);
	rc = check(c, &k, g, bytes_slice(&file));
done:
	engine_unref(&g);
	services_stop(&services);
	findings_free(&f);
	bytes_free(&file);
	free(rcpts);
	return rc;
}
