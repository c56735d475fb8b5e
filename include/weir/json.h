/*
 * json - files of JSON read strictly: bounded, no duplicate keys, positions for every error.
 * Comments   a key that starts with "//" is a comment wherever it stands; json_comment() tells.
 * Pointers   RFC 6901, as in "/rules/FOO/when".
 */
#ifndef WEIR_JSON_H
#define WEIR_JSON_H

#include <jansson.h>

#include "weir/err.h"
#include "weir/slice.h"

#define JSON_FILE_MAX (64u << 20)

struct json_file {
	char *path;
	char *text; /* the file as read, for json_locate() */
	size_t n;
	json_t *root;
};

/* Read and parse one file. 0, or -1 with a finding "path:line:column: what". */
int json_file_read(const char *path, size_t max_bytes, struct json_file *out, struct findings *f);
/* The same from memory; path is only a name. text is copied. */
int json_file_parse(const char *path, struct slice text, struct json_file *out, struct findings *f);
void json_file_free(struct json_file *j);

/* Line and column (from 1) of the value that pointer names; of its key where key is true. The
 * nearest parent that is there stands in for one that is missing. For the error path: it scans the
 * text again. */
void json_locate(
    struct slice text, const char *pointer, bool key, unsigned *line, unsigned *column);
/* findings_add() with "path:line:column: pointer: " before the text. */
int json_finding(struct findings *f, enum finding_level level, const struct json_file *j,
    const char *pointer, bool key, const char *format, ...) __attribute__((format(printf, 6, 7)));
/* Append "/token" to a pointer, with ~ and / escaped. */
void json_pointer_add(struct buf *pointer, struct slice token);
bool json_comment(const char *key);
/* What a value is, for "must be a list, not ...": "an object", "a number", "text". */
const char *json_kind(const json_t *v);

#endif
