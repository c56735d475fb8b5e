#include "config.h"

#include "milterd/message/charset.h"

#include <errno.h>
#include <iconv.h>

#include "milterd/message/anomaly.h"

/* iconv stops at each octet that is none of its charset. After so many in one message the rest is
 * read as windows-1252: hostile text costs no more than text. */
enum { BAD_MAX = 10000 };
#define REPLACEMENT SLICE("\xef\xbf\xbd") /* U+FFFD */

struct converters {
	iconv_t v[CHARSET_COUNT];
	bool open[CHARSET_COUNT], tried[CHARSET_COUNT];
};

void converters_free(struct message *m)
{
	if (m->converters == NULL)
		return;
	for (size_t i = 0; i < CHARSET_COUNT; i++)
		if (m->converters->open[i])
			(void)iconv_close(m->converters->v[i]);
	m->converters = NULL;
}

/* Opening one is dear, so each is opened once a message. */
static iconv_t *converter(struct message *m, const struct charset *charset)
{
	struct converters *c = m->converters;

	if (c == NULL && (c = m->converters = arena_take(&m->arena, sizeof(*c))) == NULL)
		return NULL;
	if (!c->tried[charset->id]) {
		c->tried[charset->id] = true;
		c->v[charset->id] = iconv_open("UTF-8", charset->iconv);
		c->open[charset->id] = c->v[charset->id] != (iconv_t)-1; // NOLINT
	}
	if (!c->open[charset->id])
		return NULL;
	(void)iconv(c->v[charset->id], NULL, NULL, NULL, NULL);
	return &c->v[charset->id];
}

size_t utf8_put(char *to, uint32_t c)
{
	if (c < 0x80) {
		to[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		to[0] = (char)(0xc0 | c >> 6);
		to[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		to[0] = (char)(0xe0 | c >> 12);
		to[1] = (char)(0x80 | (c >> 6 & 0x3f));
		to[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	to[0] = (char)(0xf0 | c >> 18);
	to[1] = (char)(0x80 | (c >> 12 & 0x3f));
	to[2] = (char)(0x80 | (c >> 6 & 0x3f));
	to[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

/* ---- UTF-8 ------------------------------------------------------------------------------- */

/* Octets of the well-formed sequence at p (RFC 3629 4), or 0; *bad is then how many to replace by
 * one U+FFFD: the longest beginning of a sequence (Unicode 3.9). */
static size_t sequence(const unsigned char *p, size_t n, size_t *bad)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t length;

	*bad = 1;
	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	length = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (p[0] == 0xe0)
		low = 0xa0;
	else if (p[0] == 0xed)
		high = 0x9f;
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f;
	for (size_t i = 1; i < length; i++) {
		if (i >= n || p[i] < low || p[i] > high)
			return 0;
		*bad = i + 1;
		low = 0x80;
		high = 0xbf;
	}
	return length;
}

size_t ascii_run(struct slice s)
{
	size_t i = 0;
	uint64_t eight;

	while (i + 8 <= s.n && (memcpy(&eight, s.p + i, 8), true) &&
	    (eight & UINT64_C(0x8080808080808080)) == 0)
		i += 8;
	while (i < s.n && !(s.p[i] & 0x80))
		i++;
	return i;
}

/* How much of the beginning of s is well-formed. */
static size_t utf8_prefix(struct slice s, size_t *bad)
{
	const unsigned char *p = (const unsigned char *)s.p;
	size_t i = 0, step;

	*bad = 0;
	while (i < s.n) {
		i += ascii_run(slice_sub(s, i, s.n));
		if (i >= s.n)
			break;
		if ((step = sequence(p + i, s.n - i, bad)) == 0)
			return i;
		i += step;
	}
	return i;
}

bool utf8_valid(struct slice s)
{
	size_t bad;

	return utf8_prefix(s, &bad) == s.n;
}

struct slice utf8_cut(struct slice s, size_t max)
{
	if (s.n <= max)
		return s;
	while (max > 0 && ((unsigned char)s.p[max] & 0xc0) == 0x80)
		max--;
	return slice_sub(s, 0, max);
}

/* Append as much of well-formed s as there is room for. */
static bool add_cut(struct bytes *out, struct slice s)
{
	struct slice fits = out->max > 0 ? utf8_cut(s, out->max - out->n) : s;

	return bytes_add(out, fits) && fits.n == s.n;
}

static bool utf8_repair(struct message *m, struct slice in, struct bytes *out)
{
	while (in.n > 0) {
		size_t bad, good = utf8_prefix(in, &bad);

		if (good > 0 && !add_cut(out, slice_sub(in, 0, good)))
			return false;
		in = slice_sub(in, good, in.n);
		if (in.n == 0)
			break;
		anomaly_add(m, ANOMALY_CHARSET_INVALID);
		if (!add_cut(out, REPLACEMENT))
			return false;
		in = slice_sub(in, bad, in.n);
	}
	return true;
}

/* ---- windows-1252 ------------------------------------------------------------------------ */

uint32_t cp1252_code(unsigned char c)
{
	static const uint16_t high[32] = {
		0x20ac,
		0x0081,
		0x201a,
		0x0192,
		0x201e,
		0x2026,
		0x2020,
		0x2021,
		0x02c6,
		0x2030,
		0x0160,
		0x2039,
		0x0152,
		0x008d,
		0x017d,
		0x008f,
		0x0090,
		0x2018,
		0x2019,
		0x201c,
		0x201d,
		0x2022,
		0x2013,
		0x2014,
		0x02dc,
		0x2122,
		0x0161,
		0x203a,
		0x0153,
		0x009d,
		0x017e,
		0x0178,
	};

	return c >= 0x80 && c < 0xa0 ? high[c - 0x80] : c;
}

static bool cp1252_add(struct slice in, struct bytes *out)
{
	while (in.n > 0) {
		char piece[3 * 256];
		size_t n = 0, i = ascii_run(in);

		if (i > 0 && !add_cut(out, slice_sub(in, 0, i)))
			return false;
		in = slice_sub(in, i, in.n);
		for (i = 0; i < in.n && i < 256 && in.p[i] & 0x80; i++)
			n += utf8_put(piece + n, cp1252_code((unsigned char)in.p[i]));
		if (n > 0 && !add_cut(out, slice_of(piece, n)))
			return false;
		in = slice_sub(in, i, in.n);
	}
	return true;
}

/* ---- the rest ---------------------------------------------------------------------------- */

/* One call of iconv into out's room. *more: out is full, though its limit is not reached. */
static int iconv_step(iconv_t cd, struct slice *in, struct bytes *out)
{
	char *from = (char *)(uintptr_t)in->p, *to;
	size_t room, want = in->n + in->n / 2 + 16;
	size_t left = out->max > 0 ? out->max - out->n : want, from_n = in->n, rc;
	int error;

	if (!bytes_reserve(out, want < left ? want : left))
		return ENOMEM;
	to = out->p + out->n;
	room = out->cap - 1 - out->n;
	if (room > left && out->max > 0)
		room = left;
	left = room;
	errno = 0;
	rc = iconv(cd, &from, &from_n, &to, &left);
	error = rc == (size_t)-1 ? errno : 0;
	out->n += room - left;
	out->p[out->n] = '\0';
	*in = slice_of(from, from_n);
	if (error == E2BIG && out->max > 0 && out->max - out->n < 8)
		return ENOSPC;
	return error;
}

static bool iconv_add(
    struct message *m, const struct charset *charset, struct slice in, struct bytes *out)
{
	iconv_t *cd = converter(m, charset);

	if (cd == NULL) {
		anomaly_add(m, ANOMALY_CHARSET_UNKNOWN);
		return cp1252_add(in, out);
	}
	while (in.n > 0) {
		int error = iconv_step(*cd, &in, out);

		if (error == ENOMEM)
			anomaly_fail(m, ANOMALY_MEMORY);
		if (error == ENOSPC || error == ENOMEM)
			return false;
		if (error != EILSEQ && error != EINVAL)
			continue;
		anomaly_add(m, ANOMALY_CHARSET_INVALID);
		if (++m->bad_sequences > BAD_MAX)
			return cp1252_add(in, out);
		if (!add_cut(out, REPLACEMENT))
			return false;
		in = slice_sub(in, error == EINVAL ? in.n : charset->unit, in.n);
	}
	return true;
}

bool charset_add(
    struct message *m, const struct charset *charset, struct slice in, struct bytes *out)
{
	switch (charset != NULL ? charset->kind : CHARSET_CP1252) {
	case CHARSET_ICONV:
		return iconv_add(m, charset, in, out);
	case CHARSET_UTF8:
		return utf8_repair(m, in, out);
	case CHARSET_ASCII:
		return utf8_valid(in) ? add_cut(out, in) : cp1252_add(in, out);
	default:
		return cp1252_add(in, out);
	}
}

/* ASCII is ASCII in all of these: nothing to convert where there are no 8-bit octets. torn: head's
 * last character may be cut. */
static bool is_utf8_already(const struct charset *charset, struct slice head, bool torn)
{
	size_t bad;

	if (charset != NULL && charset->kind == CHARSET_ICONV)
		return false;
	if (charset != NULL && charset->kind != CHARSET_CP1252)
		return utf8_prefix(head, &bad) + (torn ? 3 : 0) >= head.n;
	return ascii_run(head) == head.n;
}

struct slice charset_text(
    struct message *m, const struct charset *charset, struct slice in, size_t max, bool *cut)
{
	struct bytes out = { .max = max };
	struct slice text = SLICE(""), head = in;

	if (max == 0 || in.n == 0) {
		*cut |= in.n > 0;
		return text;
	}
	/* Only iconv makes less of more: elsewhere this fills max, and the rest need not be looked
	 * at. */
	if ((charset == NULL || charset->kind != CHARSET_ICONV) && in.n > max)
		head = slice_sub(in, 0, max + 4);
	if (is_utf8_already(charset, head, head.n < in.n)) {
		*cut |= in.n > max;
		return utf8_cut(head, max);
	}
	if (charset != NULL && charset->kind == CHARSET_ASCII) {
		anomaly_add(m, ANOMALY_CHARSET_INVALID);
		*cut |= !cp1252_add(head, &out);
	} else {
		*cut |= !charset_add(m, charset, head, &out);
	}
	*cut |= head.n < in.n;
	if (out.n > 0 && (text = arena_copy(&m->arena, bytes_slice(&out))).p == NULL)
		text = SLICE("");
	bytes_free(&out);
	return text;
}
