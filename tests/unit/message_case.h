/*
 * message_case - a message of a test: fed as a file or as a milter feeds it, described in one line.
 */
#ifndef TESTS_MESSAGE_CASE_H
#define TESTS_MESSAGE_CASE_H

#include "unit.h"

#include "milterd/message/message.h"

enum { MESSAGE_CASE_TEXT = 4096 };

/* For tables: a literal that may hold NUL. */
#define LIT(lit)                        \
	{                               \
		"" lit, sizeof(lit) - 1 \
	}

static inline void case_file(struct message *m, struct slice file)
{
	message_start(m, 64u << 20);
	ck_assert(message_raw(m, file));
	message_parse(m, MESSAGE_CASE_TEXT);
}

/* The octets of s up to and with the first LF. */
static inline struct slice case_line(struct slice *s)
{
	size_t at = slice_find(*s, '\n');
	struct slice line = slice_sub(*s, 0, at < s->n ? at + 1 : at);

	*s = slice_sub(*s, line.n, s->n);
	return line;
}

/* "Name:" of printable ASCII, blanks before the colon allowed. */
static inline bool case_is_field(struct slice line)
{
	struct slice name = slice_trim(slice_sub(line, 0, slice_find(line, ':')));

	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] <= ' ' || name.p[i] > '~')
			return false;
	return name.n > 0 && slice_find(line, ':') < line.n && line.p[0] != ' ';
}

/* As Postfix hands it to a milter: fields folded by LF alone, then the body with CR LF in chunks.
 * A first line that is no field begins the body. */
static inline void case_milter(struct message *m, struct slice file, size_t chunk)
{
	struct bytes body = { 0 };
	char before = '\0';

	message_start(m, 64u << 20);
	while (file.n > 0) {
		struct slice rest = file, line = case_line(&rest), name, value;

		if (slice_trim(line).n == 0 && line.n <= 2) {
			file = rest;
			break;
		}
		if (!case_is_field(line))
			break;
		value = line;
		name = slice_cut(&value, ':');
		while (rest.n > 0 && (rest.p[0] == ' ' || rest.p[0] == '\t'))
			value.n += case_line(&rest).n;
		while (value.n > 0 && value.p[value.n - 1] == '\n')
			value.n--;
		if (value.n > 0 && value.p[value.n - 1] == '\r')
			value.n--;
		ck_assert(message_field(m, slice_trim(name), value, true));
		file = rest;
	}
	for (size_t i = 0; i < file.n; before = file.p[i++]) {
		if (file.p[i] == '\n' && before != '\r')
			(void)bytes_addc(&body, '\r');
		(void)bytes_addc(&body, file.p[i]);
	}
	for (size_t i = 0; i < body.n; i += chunk)
		ck_assert(message_body(m, slice_sub(bytes_slice(&body), i, chunk)));
	bytes_free(&body);
	message_parse(m, MESSAGE_CASE_TEXT);
}

/* ---- description ------------------------------------------------------------------------- */

/* Printable ASCII as it stands, line ends as "|", the rest as "~XX". */
static inline void describe_octets(struct bytes *out, struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '\r' && i + 1 < s.n && s.p[i + 1] == '\n')
			continue;
		if (c == '\n')
			(void)bytes_addc(out, '|');
		else if (c < 32 || c > 126)
			(void)bytes_addf(out, "~%02X", c);
		else
			(void)bytes_addc(out, (char)c);
	}
}

/* "multipart/mixed(text/plain[hello] application/pdf[..]=a.pdf)": type, body, name of an
 * attachment.
 */
static inline void describe_parts(struct bytes *out, const struct part *root)
{
	const struct part *p = root;

	while (p != NULL) {
		(void)bytes_add(out, p->type);
		if (p->leaf) {
			(void)bytes_addc(out, '[');
			describe_octets(out, slice_sub(p->body, 0, 100));
			(void)bytes_addc(out, ']');
		}
		if (p->attachment) {
			(void)bytes_addc(out, '=');
			describe_octets(out, p->name);
			ck_assert_uint_eq(strlen(p->sha256), 64);
		}
		if (!p->leaf)
			(void)bytes_addc(out, '(');
		if (p->first != NULL) {
			p = p->first;
			continue;
		}
		if (!p->leaf)
			(void)bytes_addc(out, ')');
		while (p != NULL && p->next == NULL) {
			p = p->parent;
			if (p != NULL)
				(void)bytes_addc(out, ')');
		}
		if (p != NULL) {
			(void)bytes_addc(out, ' ');
			p = p->next;
		}
	}
}

static inline void describe_anomalies(struct bytes *out, const struct message *m)
{
	for (size_t i = 0; i < m->anomaly_count; i++)
		(void)bytes_addf(out, " !%.*s", SLICE_ARG(m->anomalies[i]));
}

/* Everything that must not depend on how the message came. */
static inline void describe_all(struct bytes *out, struct message *m)
{
	struct slice canonical;
	struct bytes whole = { 0 };

	ck_assert(message_write(m, &whole));
	canonical = bytes_slice(&whole);
	if (!m->failed)
		ck_assert_uint_eq(m->size, canonical.n);
	for (size_t i = 0; i < m->field_count; i++) {
		struct header_field *f = &m->fields[i];

		(void)bytes_addf(out, "%.*s", SLICE_ARG(f->name));
		(void)bytes_addc(out, ':');
		describe_octets(out, f->raw);
		(void)bytes_addc(out, '=');
		describe_octets(out, header_value(m, f));
		(void)bytes_addc(out, '\n');
	}
	describe_parts(out, m->root);
	(void)bytes_addc(out, '\n');
	describe_octets(out, m->text);
	(void)bytes_addc(out, '\n');
	describe_octets(out, m->html);
	for (size_t i = 0; i < m->url_count; i++)
		(void)bytes_addf(
		    out, "\n%.*s %.*s", SLICE_ARG(m->urls[i].url), SLICE_ARG(m->urls[i].host));
	describe_anomalies(out, m);
	(void)bytes_addf(out, "\n%ju\n", (uintmax_t)m->size);
	describe_octets(out, canonical);
	bytes_free(&whole);
}

#endif
