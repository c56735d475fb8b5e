#include "config.h"

#include "weir/json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "weir/file.h"

const char *json_kind(const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "a list";
	case JSON_STRING:
		return "text";
	case JSON_INTEGER:
	case JSON_REAL:
		return "a number";
	case JSON_TRUE:
	case JSON_FALSE:
		return "true or false";
	case JSON_NULL:
		return "null";
	}
	return "unknown";
}

bool json_comment(const char *key)
{
	return key[0] == '/' && key[1] == '/';
}

int json_file_parse(const char *path, struct slice text, struct json_file *out, struct findings *f)
{
	json_error_t at;

	*out = (struct json_file){
		.path = slice_dup(slice_z(path)), .text = slice_dup(text), .n = text.n
	};
	if (out->path == NULL || out->text == NULL)
		return findings_add(f, FINDING_ERROR, "%s: out of memory", path);
	out->root = json_loadb(out->text, out->n, JSON_REJECT_DUPLICATES, &at);
	if (out->root == NULL)
		return findings_add(f, FINDING_ERROR, "%s:%d:%d: %s", path, at.line,
		    at.column > 0 ? at.column : 1, at.text);
	return 0;
}

int json_file_read(const char *path, size_t max_bytes, struct json_file *out, struct findings *f)
{
	struct bytes text = { .max = max_bytes };
	struct err e;
	int rc;

	*out = (struct json_file){ 0 };
	if (file_read(path, &text, &e) < 0)
		return findings_add(f, FINDING_ERROR, "%s", e.text);
	rc = json_file_parse(path, bytes_slice(&text), out, f);
	bytes_free(&text);
	return rc;
}

void json_file_free(struct json_file *j)
{
	json_decref(j->root);
	free(j->text);
	free(j->path);
	*j = (struct json_file){ 0 };
}

void json_pointer_add(struct buf *pointer, struct slice token)
{
	buf_addc(pointer, '/');
	for (size_t i = 0; i < token.n; i++) {
		if (token.p[i] == '~')
			buf_add(pointer, SLICE("~0"));
		else if (token.p[i] == '/')
			buf_add(pointer, SLICE("~1"));
		else
			buf_addc(pointer, token.p[i]);
	}
}

/* ---- positions: a scan of text that jansson has accepted, or stops where it does not understand
 * it -------- */

struct scan {
	struct slice text;
	size_t at;
};

static char scan_peek(struct scan *s)
{
	while (s->at < s->text.n && ascii_space(s->text.p[s->at]))
		s->at++;
	return s->at < s->text.n ? s->text.p[s->at] : '\0';
}

static bool scan_take(struct scan *s, char c)
{
	if (scan_peek(s) != c)
		return false;
	s->at++;
	return true;
}

/* The octets between the quotes, escapes as written. */
static struct slice scan_string(struct scan *s)
{
	size_t from;

	if (!scan_take(s, '"'))
		return (struct slice){ 0 };
	for (from = s->at; s->at < s->text.n && s->text.p[s->at] != '"'; s->at++)
		if (s->text.p[s->at] == '\\')
			s->at++;
	if (s->at > s->text.n)
		s->at = s->text.n;
	s->at++;
	return slice_sub(s->text, from, s->at - 1 - from);
}

/* Skip one value; brackets are counted, so depth costs no stack. */
static void scan_skip(struct scan *s)
{
	size_t depth = 0;

	do {
		char c = scan_peek(s);

		if (c == '"') {
			(void)scan_string(s);
		} else if (c == '{' || c == '[') {
			depth++;
			s->at++;
		} else if (c == '}' || c == ']') {
			depth -= depth > 0;
			s->at++;
		} else if (c == ',' || c == ':') {
			s->at++;
		} else {
			while (s->at < s->text.n && !ascii_space(s->text.p[s->at]) &&
			    slice_find(SLICE(",:{}[]\""), s->text.p[s->at]) == 7)
				s->at++;
		}
	} while (depth > 0 && s->at < s->text.n);
}

/* Does the key as written equal the pointer's token (with ~0 and ~1)? Keys with escapes are decoded
 * by jansson. */
static bool token_is(struct slice key, struct slice token)
{
	char plain[512], written[512];
	struct buf p = BUF_ON(plain), w = BUF_ON(written);
	json_t *decoded = NULL;
	bool same;

	plain[0] = written[0] = '\0';
	for (size_t i = 0; i < token.n; i++) {
		if (token.p[i] == '~' && i + 1 < token.n)
			buf_addc(&p, token.p[++i] == '1' ? '/' : '~');
		else
			buf_addc(&p, token.p[i]);
	}
	if (slice_find(key, '\\') == key.n)
		return !p.cut && slice_eq(key, buf_slice(&p));
	buf_addf(&w, "\"%.*s\"", SLICE_ARG(key));
	decoded = w.cut ? NULL : json_loadb(w.p, w.n, JSON_DECODE_ANY, NULL);
	same = decoded != NULL &&
	    slice_eq(
		slice_of(json_string_value(decoded), json_string_length(decoded)), buf_slice(&p));
	json_decref(decoded);
	return same;
}

/* Step into the member or element that token names; *key_at is where its key stands. */
static bool scan_enter(struct scan *s, struct slice token, size_t *key_at)
{
	bool object = scan_peek(s) == '{';
	uint64_t wanted = 0;

	if (!object && (scan_peek(s) != '[' || slice_number(token, UINT32_MAX, &wanted) < 0))
		return false;
	s->at++;
	for (uint64_t i = 0; s->at < s->text.n; i++) {
		char c = scan_peek(s);

		if (c == '}' || c == ']' || c == '\0')
			return false;
		*key_at = s->at;
		if (object) {
			struct slice key = scan_string(s);

			if (!scan_take(s, ':'))
				return false;
			(void)scan_peek(s);
			if (token_is(key, token))
				return true;
		} else if (i == wanted) {
			return true;
		}
		scan_skip(s);
		if (!scan_take(s, ','))
			return false;
	}
	return false;
}

void json_locate(struct slice text, const char *pointer, bool key, unsigned *line, unsigned *column)
{
	struct scan s = { .text = text };
	struct slice rest = slice_z(pointer);
	size_t place, key_at;

	(void)scan_peek(&s);
	place = key_at = s.at;
	if (rest.n > 0)
		rest = slice_sub(rest, 1, rest.n);
	else
		rest.p = NULL;
	while (rest.p != NULL && pointer[0] != '\0') {
		bool last = slice_find(rest, '/') == rest.n;
		struct slice token = slice_cut(&rest, '/');

		if (!scan_enter(&s, token, &key_at))
			break;
		place = last && key ? key_at : s.at;
		if (last)
			break;
	}
	*line = 1;
	*column = 1;
	for (size_t i = 0; i < place && i < text.n; i++) {
		(*column)++;
		if (text.p[i] == '\n') {
			(*line)++;
			*column = 1;
		}
	}
}

int json_finding(struct findings *f, enum finding_level level, const struct json_file *j,
    const char *pointer, bool key, const char *format, ...)
{
	char text[800];
	unsigned line, column;
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	json_locate(slice_of(j->text, j->n), pointer, key, &line, &column);
	return findings_add(f, level, "%s:%u:%u: %s%s%s", j->path, line, column, pointer,
	    pointer[0] != '\0' ? ": " : "", text);
}
