#include "config.h"

#include "cli.h"

#include <stdlib.h>

#include "report.h"
#include "weir/control.h"

/* A reload loads signatures anew; that may take its time. */
enum { ANSWER_MS = 120000 };

struct daemon_at {
	const char *name;
	const struct endpoint *control;
	bool configured;
};

/* One daemon's answer on standard output. */
static int ask(const struct daemon_at *d, const char *command, json_t *all)
{
	struct err e;
	json_t *answer = control_ask(d->control, command, ANSWER_MS, &e), *findings, *one;
	size_t i;
	int rc;

	if (answer == NULL)
		return cli_fail(CLI_IO, "%s: %s", d->name, e.text);
	rc = json_is_true(json_object_get(answer, "ok")) ? CLI_OK : 1;
	if (all != NULL) {
		json_object_set_new(all, d->name, answer);
		return rc;
	}
	findings = json_object_get(answer, "findings");
	json_array_foreach(findings, i, one)
	    fprintf(stderr, "%s: %s\n", d->name, json_string_value(one));
	if (rc != CLI_OK)
		cli_fail(rc, "%s: %s", d->name,
		    json_string_value(json_object_get(answer, "error")) != NULL
			? json_string_value(json_object_get(answer, "error"))
			: "refused");
	else if (strcmp(command, "reload") == 0)
		printf("%s: reloaded\n", d->name);
	else {
		printf("%s\n", d->name);
		report_tree(answer, 2, stdout);
	}
	json_decref(answer);
	return rc;
}

/* The daemons that the configuration has a section for; both where it has none at all. The worst
 * exit code counts. */
static int ask_all(struct cli *c, const char *command, json_t *all)
{
	const struct settings *s = &c->settings;
	bool both = !s->has_proxy && !s->has_milterd;
	const struct daemon_at daemons[] = {
		{ "weir-milterd", &s->milterd.control, both || s->has_milterd },
		{ "weir-proxy", &s->proxy.control, both || s->has_proxy },
	};
	int worst = CLI_OK;

	for (size_t i = 0; i < COUNT(daemons); i++) {
		int rc = daemons[i].configured ? ask(&daemons[i], command, all) : CLI_OK;

		worst = rc > worst ? rc : worst;
	}
	return worst;
}

/* weir reload: all daemons read their files anew, or say why not and go on as they are. */
int cmd_reload(struct cli *c, int argc, char **argv)
{
	(void)argv;
	if (argc != 1)
		return cli_usage("reload", "takes no argument");
	if (cli_load(c) != CLI_OK)
		return CLI_DATA;
	return ask_all(c, "reload", NULL);
}

int cmd_status(struct cli *c, int argc, char **argv)
{
	bool json = argc == 2 && strcmp(argv[1], "--json") == 0;
	json_t *all = NULL;
	int rc;

	if (argc > 1 && !json)
		return cli_usage("status", "takes --json and nothing else");
	if (cli_load(c) != CLI_OK)
		return CLI_DATA;
	if (json && (all = json_object()) == NULL)
		return cli_fail(CLI_IO, "out of memory");
	rc = ask_all(c, "status", all);
	if (json) {
		json_dumpf(all, stdout, JSON_INDENT(2));
		putchar('\n');
	}
	json_decref(all);
	return rc;
}
