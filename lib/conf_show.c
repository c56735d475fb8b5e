#include "config.h"

#include "weir/conf.h"

#include <stdlib.h>

/* The value as it would stand in the file. */
static void print_value(const struct conf_field *field, json_t *v, FILE *to)
{
	if (v != NULL)
		(void)json_dumpf(v, to, JSON_ENCODE_ANY | JSON_COMPACT);
	else if (field->type == CONF_STR || field->type == CONF_CHOICE ||
	    field->type == CONF_ENDPOINT)
		fprintf(to, "\"%s\"", field->fallback);
	else
		fputs(field->fallback, to);
}

static json_t *member(json_t *object, const char *name)
{
	struct slice rest = slice_z(name);

	while (object != NULL && rest.n > 0) {
		struct slice token = slice_cut(&rest, '/');

		object = json_object_getn(object, token.p, token.n);
	}
	return object;
}

static void show_field(const struct conf_field *field, const struct json_file *j,
    const char *pointer, json_t *v, FILE *to)
{
	unsigned line, column;

	fprintf(to, "%s = ", pointer);
	print_value(field, v, to);
	if (v == NULL) {
		fputs("  (default)\n", to);
		return;
	}
	json_locate(slice_of(j->text, j->n), pointer, false, &line, &column);
	fprintf(to, "  (%s:%u:%u)\n", j->path, line, column);
}

static void show_items(const struct conf_field *field, const struct json_file *j,
    const char *pointer, json_t *v, FILE *to)
{
	const char *key;
	json_t *item;
	size_t i;
	char deeper[512];

	json_array_foreach(v, i, item)
	{
		(void)snprintf(deeper, sizeof(deeper), "%s/%zu", pointer, i);
		conf_show(field->table, j, deeper, item, to);
	}
	json_object_foreach(v, key, item)
	{
		if (json_comment(key))
			continue;
		(void)snprintf(deeper, sizeof(deeper), "%s/%s", pointer, key);
		conf_show(field->table, j, deeper, item, to);
	}
}

void conf_show(const struct conf_table *table, const struct json_file *j, const char *pointer,
    json_t *object, FILE *to)
{
	for (size_t i = 0; i < table->n; i++) {
		const struct conf_field *field = &table->fields[i];
		json_t *v = member(object, field->name);
		char deeper[512];

		(void)snprintf(deeper, sizeof(deeper), "%s/%s", pointer, field->name);
		if (v != NULL && field->table != NULL)
			show_items(field, j, deeper, v, to);
		else if (v != NULL || field->fallback != NULL)
			show_field(field, j, deeper, v, to);
	}
}

/* mdoc wants each sentence on a line of its own, and no line over 80 octets. */
static void manual_about(const char *about, FILE *to)
{
	size_t column = 0;

	for (const char *p = about; *p != '\0'; p++) {
		bool ends = p > about && p[-1] == '.';

		if (*p == ' ' && (ends || column + 1 + strcspn(p + 1, " ") > 80)) {
			fputc('\n', to);
			column = 0;
			continue;
		}
		fputc(*p, to);
		column++;
	}
	fputc('\n', to);
}

static void manual_field(const struct conf_field *field, const char *pointer, FILE *to)
{
	static const char *const type_names[] = {
		[CONF_BOOL] = "true or false",
		[CONF_INT] = "whole number",
		[CONF_REAL] = "number",
		[CONF_STR] = "text",
		[CONF_CHOICE] = "one of",
		[CONF_ENDPOINT] = "endpoint",
		[CONF_STRS] = "list of texts",
		[CONF_NETWORKS] = "list of networks",
		[CONF_LIST] = "list of objects",
		[CONF_MAP] = "object of objects",
	};

	fprintf(to, ".It Cm %s%s\n", pointer, field->name);
	manual_about(field->about, to);
	fprintf(to, ".Pq %s", type_names[field->type]);
	if (field->choices != NULL)
		fprintf(to, " %s", field->choices);
	if (field->type == CONF_INT || field->type == CONF_REAL)
		fprintf(to, " %.15g..%.15g%s%s", field->min, field->max,
		    field->unit[0] != '\0' ? " " : "", field->unit);
	if (field->fallback == NULL)
		fputs("; must be given", to);
	else if (field->fallback[0] != '\0')
		fprintf(to, "; default %s", field->fallback);
	fputc('\n', to);
}

void conf_manual(const struct conf_table *table, const char *pointer, FILE *to)
{
	for (size_t i = 0; i < table->n; i++) {
		const struct conf_field *field = &table->fields[i];
		char deeper[256];

		manual_field(field, pointer, to);
		if (field->table == NULL)
			continue;
		(void)snprintf(deeper, sizeof(deeper), "%s%s/%s/", pointer, field->name,
		    field->type == CONF_MAP ? "NAME" : "N");
		conf_manual(field->table, deeper, to);
	}
}
