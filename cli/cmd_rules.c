#include "config.h"

#include "cli.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "examine.h"
#include "weir/file.h"

enum { FINDINGS = 1 };

static struct ruleset *load(struct cli *c, struct findings *f)
{
	struct ruleset *rs = ruleset_load(c->settings.milterd.rules, f);

	findings_print(f, stderr);
	return rs;
}

/* ---- lint -------------------------------------------------------------------------------- */

static void hints(const struct ruleset *rs)
{
	for (size_t i = 0; i < ruleset_rule_count(rs); i++) {
		struct rule_info r = ruleset_rule(rs, i);

		if (r.about[0] == '\0')
			printf("%s:%u: %s: hint: no \"about\"\n", r.file, r.line, r.name);
		if (r.match_count == 0)
			printf(
			    "%s:%u: %s: hint: no example that matches\n", r.file, r.line, r.name);
	}
}

static int lint(struct cli *c, const char *name)
{
	struct findings f = { 0 };
	struct ruleset *rs;
	int rc;

	(void)name;
	rs = load(c, &f);
	if (rs == NULL && access(c->settings.milterd.rules, R_OK | X_OK) < 0) {
		findings_free(&f);
		return CLI_DATA;
	}
	rc = f.n > 0 || rs == NULL ? FINDINGS : CLI_OK;
	if (rs != NULL) {
		hints(rs);
		printf("%zu rules, %zu findings\n", ruleset_rule_count(rs), f.n);
	}
	ruleset_free(&rs);
	findings_free(&f);
	return rc;
}

/* ---- test -------------------------------------------------------------------------------- */

struct tally {
	size_t passed, failed;
	struct bytes failures; /* one line each */
};

static bool has_symbol(const struct verdict *v, const char *name)
{
	for (size_t i = 0; i < v->symbol_count; i++)
		if (strcmp(v->symbols[i].name, name) == 0)
			return true;
	return false;
}

static void fail(struct tally *t, const char *rule, const char *path, const char *why)
{
	t->failed++;
	(void)bytes_addf(&t->failures, "%s: %s: %s\n", rule, path, why);
}

/* Does the rule do with this file what its author says? */
static void try_file(
    struct engine *g, const struct rule_info *r, const char *path, bool expected, struct tally *t)
{
	static const struct envelope nobody;
	struct bytes file = { .max = 64u << 20 };
	struct exam *x = exam_new(g);
	struct err e;

	if (x == NULL || file_read(path, &file, &e) < 0) {
		fail(t, r->name, path, x == NULL ? "out of memory" : e.text);
	} else {
		examine(x, &nobody, bytes_slice(&file));
		if (has_symbol(exam_verdict(x), r->name) == expected)
			t->passed++;
		else
			fail(t, r->name, path,
			    expected ? "does not fire, and should" : "fires, and should not");
	}
	exam_free(&x);
	bytes_free(&file);
}

static void try_rule(struct engine *g, const struct rule_info *r, struct tally *all)
{
	struct tally t = { 0 };

	for (size_t i = 0; i < r->match_count; i++)
		try_file(g, r, r->match[i], true, &t);
	for (size_t i = 0; i < r->miss_count; i++)
		try_file(g, r, r->miss[i], false, &t);
	printf("%-4s  %-28s %zu of %zu examples\n",
	    t.failed > 0       ? "FAIL"
		: t.passed > 0 ? "ok"
			       : "-",
	    r->name, t.passed, t.passed + t.failed);
	all->passed += t.passed;
	all->failed += t.failed;
	(void)bytes_add(&all->failures, bytes_slice(&t.failures));
	bytes_free(&t.failures);
}

static int test(struct cli *c, const char *name)
{
	static const struct services none;
	struct findings f = { 0 };
	struct engine *g = engine_new(&c->settings.milterd, &none, &f);
	struct tally t = { 0 };

	(void)name;
	findings_print(&f, stderr);
	findings_free(&f);
	if (g == NULL)
		return CLI_DATA;
	g->without = EXAM_WITHOUT_VIRUS | EXAM_WITHOUT_BAYES | EXAM_WITHOUT_DNS;
	for (size_t i = 0; i < ruleset_rule_count(g->rules); i++) {
		struct rule_info r = ruleset_rule(g->rules, i);

		try_rule(g, &r, &t);
	}
	printf("\n%.*s%zu passed, %zu failed\n", SLICE_ARG(bytes_slice(&t.failures)), t.passed,
	    t.failed);
	bytes_free(&t.failures);
	engine_unref(&g);
	return t.failed > 0 ? FINDINGS : CLI_OK;
}

/* ---- show, schema, facts ----------------------------------------------------------------- */

static int dump(json_t *j)
{
	int rc = json_dumpf(j, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(10));

	putchar('\n');
	json_decref(j);
	return rc == 0 && fflush(stdout) == 0 ? CLI_OK : CLI_IO;
}

static int show(struct cli *c, const char *name)
{
	struct findings f = { 0 };
	struct ruleset *rs = load(c, &f);
	const char *like = NULL;
	size_t i;
	int rc = CLI_DATA;

	findings_free(&f);
	if (rs == NULL)
		return CLI_DATA;
	if ((i = ruleset_find(rs, slice_z(name), &like)) == SIZE_MAX) {
		rc = cli_fail(FINDINGS, "no rule \"%s\"%s%s%s", name,
		    like != NULL ? " (did you mean \"" : "", like != NULL ? like : "",
		    like != NULL ? "\"?)" : "");
	} else {
		struct rule_info r = ruleset_rule(rs, i);

		fprintf(stderr, "%s: %s:%u, runs at %s\n", r.name, r.file, r.line,
		    stage_names[r.stage]);
		rc = dump(ruleset_rule_json(rs, i));
	}
	ruleset_free(&rs);
	return rc;
}

static int schema(struct cli *c, const char *name)
{
	(void)c;
	(void)name;
	return dump(rules_schema());
}

static int facts(struct cli *c, const char *name)
{
	(void)c;
	(void)name;
	catalogue_manual(stdout);
	return fflush(stdout) == 0 ? CLI_OK : CLI_IO;
}

static const struct {
	const char *word;
	bool named, configured; /* takes a rule's name; needs the configuration */
	int (*run)(struct cli *c, const char *name);
} words[] = {
	{ "lint", false, true, lint },
	{ "test", false, true, test },
	{ "show", true, true, show },
	{ "schema", false, false, schema },
	{ "facts", false, false, facts },
};

/* weir rules: look at the rule set, and try its examples. */
int cmd_rules(struct cli *c, int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < COUNT(words); i++) {
		if (strcmp(argv[1], words[i].word) != 0)
			continue;
		if (argc != (words[i].named ? 3 : 2))
			return cli_usage("rules",
			    words[i].named ? "%s takes a rule's name" : "%s takes no argument",
			    argv[1]);
		if (words[i].configured && cli_load(c) != CLI_OK)
			return CLI_DATA;
		return words[i].run(c, words[i].named ? argv[2] : NULL);
	}
	return cli_usage("rules", "say lint, test, show NAME, schema or facts");
}
