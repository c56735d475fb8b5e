/*
 * params - parameters of Content-* fields: RFC 2045 5.1, in sections and charsets of RFC 2231, and
 * as broken mail has them.
 */
#include "config.h"

#include "milterd/message/anomaly.h"
#include "milterd/message/inside.h"

enum { SECTION_MAX = 999999 };

static struct slice skip(struct slice s, const char *octets)
{
	while (s.n > 0 && s.p[0] != '\0' && strchr(octets, s.p[0]) != NULL)
		s = slice_sub(s, 1, s.n);
	return s;
}

/* A quoted string's content, *s behind it. Backslashes go only where they quote something: Windows
 * paths keep theirs. */
static struct slice quoted_take(struct message *m, struct slice *s)
{
	struct slice inside;
	size_t n = 1, escapes = 0, made = 0;
	char *p;

	while (n < s->n && s->p[n] != '"') {
		if (s->p[n] == '\\' && n + 1 < s->n &&
		    (s->p[n + 1] == '"' || s->p[n + 1] == '\\')) {
			escapes++;
			n++;
		}
		n++;
	}
	if (n >= s->n)
		anomaly_add(m, ANOMALY_BAD_PARAMETER);
	inside = slice_sub(*s, 1, n - 1);
	*s = slice_sub(*s, n + 1, s->n);
	if (escapes == 0)
		return inside;
	if ((p = arena_take(&m->arena, inside.n + 1)) == NULL)
		return SLICE("");
	for (size_t i = 0; i < inside.n; i++) {
		if (inside.p[i] == '\\' && i + 1 < inside.n &&
		    (inside.p[i + 1] == '"' || inside.p[i + 1] == '\\'))
			i++;
		p[made++] = inside.p[i];
	}
	return slice_of(p, made);
}

/* name = value: a token, a quoted string, or whatever stands before the next ';'. */
static void value_take(struct message *m, struct slice *s, struct param *p)
{
	*s = skip(*s, " \t");
	if (s->n > 0 && s->p[0] == '"') {
		p->quoted = true;
		p->value = quoted_take(m, s);
		return;
	}
	p->value = slice_trim(slice_cut(s, ';'));
	if (p->value.n == 0)
		anomaly_add(m, ANOMALY_BAD_PARAMETER);
}

/* parameter "*" section "*" (RFC 2231 7): take the marks off the name. */
static void marks_take(struct param *p)
{
	size_t star;
	uint64_t section;
	struct slice number;

	if (p->name.n > 0 && p->name.p[p->name.n - 1] == '*') {
		p->extended = true;
		p->name.n--;
	}
	if ((star = slice_find(p->name, '*')) == p->name.n)
		return;
	number = slice_sub(p->name, star + 1, p->name.n);
	if (slice_number(number, SECTION_MAX, &section) != 0)
		return;
	p->section = (unsigned)section;
	p->sectioned = true;
	p->name.n = star;
}

/* Where this parameter's name ends: at '=', or at ';' or the end where it has no value. */
static size_t name_end(struct slice s)
{
	size_t n = 0;

	while (n < s.n && s.p[n] != '=' && s.p[n] != ';' && s.p[n] != '"')
		n++;
	return n;
}

void params_read(struct message *m, struct slice s, struct params *out)
{
	out->n = 0;
	while ((s = skip(s, "; \t\r\n,")).n > 0) {
		struct param p = { 0 };
		size_t n = name_end(s);

		if (out->n == PARAMS_MAX) {
			anomaly_add(m, ANOMALY_TOO_MANY_PARAMETERS);
			break;
		}
		p.name = slice_trim(slice_sub(s, 0, n));
		if (n >= s.n || s.p[n] != '=' || p.name.n == 0) {
			anomaly_add(m, ANOMALY_BAD_PARAMETER);
			(void)slice_cut(&s, ';');
			continue;
		}
		s = slice_sub(s, n + 1, s.n);
		value_take(m, &s, &p);
		marks_take(&p);
		out->v[out->n++] = p;
	}
}

/* What a token holds: a comment or a lost ';' may follow it. */
static struct slice token_of(const struct param *p)
{
	struct slice value = p->value;

	for (size_t i = 0; i < value.n && !p->quoted; i++)
		if (ascii_space(value.p[i]))
			value.n = i;
	return value;
}

struct slice params_plain(struct message *m, const struct params *p, struct slice name, bool *given)
{
	struct slice value = SLICE("");

	*given = false;
	for (size_t i = 0; i < p->n; i++) {
		if (!slice_ieq(p->v[i].name, name) || p->v[i].sectioned || p->v[i].extended)
			continue;
		if (*given)
			anomaly_add(m, ANOMALY_DUPLICATE_PARAMETER);
		else
			value = token_of(&p->v[i]);
		*given = true;
	}
	if (!*given && (value = params_text(m, p, name)).n > 0)
		*given = true;
	return value;
}

/* ---- RFC 2231 ---------------------------------------------------------------------------- */

/* The sections of one parameter in order; the same number twice is a duplicate: the first is taken.
 */
static size_t sections_of(
    struct message *m, const struct params *p, struct slice name, const struct param **v)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n; i++) {
		const struct param *one = &p->v[i];
		size_t at = n;

		if (!slice_ieq(one->name, name) || !(one->sectioned || one->extended))
			continue;
		while (at > 0 && v[at - 1]->section > one->section)
			at--;
		if (at > 0 && v[at - 1]->section == one->section) {
			anomaly_add(m, ANOMALY_DUPLICATE_PARAMETER);
			continue;
		}
		memmove(v + at + 1, v + at, (n - at) * sizeof(struct param *));
		v[at] = one;
		n++;
	}
	return n;
}

static void percent_decode(struct slice s, struct bytes *out)
{
	for (size_t i = 0; i < s.n; i++) {
		int high, low;

		if (s.p[i] == '%' && i + 2 < s.n && (high = hex_value(s.p[i + 1])) >= 0 &&
		    (low = hex_value(s.p[i + 2])) >= 0) {
			(void)bytes_addc(out, (char)(high << 4 | low));
			i += 2;
		} else {
			(void)bytes_addc(out, s.p[i]);
		}
	}
}

/* charset "'" language "'" stand before the value of the first section (RFC 2231 4). */
static struct slice charset_take(struct slice *value)
{
	struct slice rest = *value, label = slice_cut(&rest, '\''), language = rest;

	if (slice_find(language, '\'') == language.n)
		return SLICE("");
	(void)slice_cut(&rest, '\'');
	*value = rest;
	return label;
}

static struct slice text_of(struct message *m, const struct charset *charset, struct bytes *octets)
{
	struct bytes out = { 0 };
	struct slice text;

	(void)charset_add(m, charset, bytes_slice(octets), &out);
	text = arena_copy(&m->arena, bytes_slice(&out));
	if (text.p == NULL || out.failed || octets->failed)
		anomaly_fail(m, ANOMALY_MEMORY);
	bytes_free(&out);
	bytes_free(octets);
	return text.p != NULL ? text : SLICE("");
}

static struct slice sections_text(struct message *m, const struct param **v, size_t n)
{
	struct bytes octets = { 0 };
	struct slice label = SLICE("");
	const struct charset *charset;

	for (size_t i = 0; i < n; i++) {
		struct slice value = v[i]->value;

		if (i > 0 ? v[i]->section != v[i - 1]->section + 1 : v[i]->section != 0)
			anomaly_add(m, ANOMALY_PARAMETER_GAP);
		if (i == 0 && v[i]->extended)
			label = charset_take(&value);
		if (v[i]->extended)
			percent_decode(value, &octets);
		else
			(void)bytes_add(&octets, value);
	}
	if ((charset = charset_find(label)) == NULL)
		anomaly_add(m, ANOMALY_CHARSET_UNKNOWN);
	return text_of(m, charset, &octets);
}

struct slice params_text(struct message *m, const struct params *p, struct slice name)
{
	const struct param *sections[PARAMS_MAX];
	size_t n = sections_of(m, p, name, sections);

	/* RFC 6266 4.3: the extended form is the better one where both are there. */
	if (n > 0)
		return sections_text(m, sections, n);
	for (size_t i = 0; i < p->n; i++)
		if (slice_ieq(p->v[i].name, name))
			return words_decode(m, p->v[i].value);
	return SLICE("");
}
