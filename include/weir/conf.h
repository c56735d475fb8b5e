/*
 * conf - configuration as tables: one row per setting drives loading, checking, `weir config show`
 * and the manual page.
 * Rows       a name below the table's object ("limits/recipients" goes one object deeper), a type,
 *            a place in the C structure, the default as text, the range with its unit, one
 *            sentence.
 * Strict     unknown keys (with a suggestion), wrong types and values out of range are findings
 *            with line and column; all of a file's are reported in one run. A key that starts with
 *            "//" is a comment.
 * Ownership  conf_load allocates texts and arrays inside the structure; conf_free releases them.
 */
#ifndef WEIR_CONF_H
#define WEIR_CONF_H

#include <stdio.h>

#include "weir/json.h"
#include "weir/net.h"

enum conf_type {
	CONF_BOOL,     /* bool */
	CONF_INT,      /* int64_t, min..max */
	CONF_REAL,     /* double, min..max */
	CONF_STR,      /* char *, length min..max */
	CONF_CHOICE,   /* int, index into the words of `choices` ("a|b|c") */
	CONF_ENDPOINT, /* struct endpoint */
	CONF_STRS,     /* struct conf_strs */
	CONF_NETWORKS, /* struct conf_networks */
	CONF_LIST,     /* struct conf_items: a JSON array of objects of `table` */
	CONF_MAP, /* struct conf_items: a JSON object of objects; the row "name" gets the key */
};

struct conf_strs {
	char **v;
	size_t n;
};
struct conf_networks {
	struct network *v;
	size_t n;
};
/* Is the address in one of them? Never for an empty list, nor for a Unix socket's peer. */
bool conf_networks_have(const struct conf_networks *n, const struct address *a);
struct conf_items {
	void *v; /* n structures of the table's size, one behind the other */
	size_t n;
};

struct conf_field {
	const char *name;
	enum conf_type type;
	size_t offset;
	const char *fallback; /* default as it would stand in the file, without quotes; NULL: must
				 be given */
	double min, max;      /* numbers: value; texts: octets; lists: items */
	const char *unit;     /* "s", "ms", "octets", "" */
	const char *about;    /* one sentence for the manual */
	const char *choices;
	const struct conf_table *table;
};

struct conf_table {
	const char *name; /* "proxy", for the manual */
	const struct conf_field *fields;
	size_t n;
	size_t size; /* of the structure that it fills */
};

/* Fill *out (zeroed, table->size octets) from the object that stands at pointer in j; object may be
 * NULL: all defaults. 0, or -1 when at least one error was added. Call conf_free either way. */
int conf_load(const struct conf_table *table, const struct json_file *j, const char *pointer,
    json_t *object, void *out, struct findings *f);
void conf_free(const struct conf_table *table, void *settings);
/* Each setting as "/proxy/limits/recipients = 1000  (default)" or "(weir.json:12:5)". */
void conf_show(const struct conf_table *table, const struct json_file *j, const char *pointer,
    json_t *object, FILE *to);
/* Each row as a mdoc list item, for weir.json(5). */
void conf_manual(const struct conf_table *table, const char *pointer, FILE *to);

#endif
