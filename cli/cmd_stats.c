#include "config.h"

#include "cli.h"

#include <stdio.h>

#include <jansson.h>

#include "open_store.h"

static long long number_at(json_t *j, const char *a, const char *b, const char *c)
{
	json_t *at = json_object_get(json_object_get(j, a), b);

	return (long long)json_integer_value(c != NULL ? json_object_get(at, c) : at);
}

static void print_text(json_t *j)
{
	static const char *const classes[] = { "spam", "ham" };
	long long used = number_at(j, "store", "bytes_used", NULL);
	long long most = number_at(j, "store", "bytes_max", NULL);

	for (size_t i = 0; i < COUNT(classes); i++)
		printf("%-5s %lld learnt, %lld known\n", classes[i],
		    number_at(j, "learned", classes[i], NULL),
		    number_at(j, "model", "known", classes[i]));
	printf("model %s, %lld tokens\n",
	    json_string_value(json_object_get(json_object_get(j, "model"), "kind")),
	    number_at(j, "model", "tokens", NULL));
	printf("store %s, %.1f of %.1f MiB\n",
	    json_string_value(json_object_get(json_object_get(j, "store"), "path")),
	    (double)used / 1048576, (double)most / 1048576);
}

static json_t *collect(struct store *s, struct bayes *b, struct err *e)
{
	json_t *all = bayes_stats(b, e), *store = all != NULL ? store_stats(s, e) : NULL;

	if (store == NULL || json_object_set_new(all, "store", store) < 0) {
		json_decref(all);
		return NULL;
	}
	return all;
}

/* weir stats [--json] */
int cmd_stats(struct cli *c, int argc, char **argv)
{
	bool json = argc == 2 && strcmp(argv[1], "--json") == 0;
	struct store *s;
	struct bayes *b;
	struct err e = { "out of memory" };
	json_t *j;
	int rc;

	if (argc > 2 || (argc == 2 && !json))
		return cli_usage("stats", "takes no argument but --json");
	if ((rc = open_store(c, &s, &b)) != CLI_OK)
		return rc;
	if ((j = collect(s, b, &e)) == NULL)
		rc = cli_fail(CLI_IO, "%s", e.text);
	else if (json)
		rc = json_dumpf(j, stdout, JSON_INDENT(2)) == 0 && puts("") >= 0 ? CLI_OK : CLI_IO;
	else
		print_text(j);
	json_decref(j);
	close_store(&s, &b);
	return fflush(stdout) == 0 ? rc : CLI_IO;
}
