/*
 * decode - transfer encodings (RFC 2045 6), read as tolerantly as mail programs read them: a
 * scanner that is stricter than the reader sees less than he does.
 */
#include "config.h"

#include "milterd/message/anomaly.h"
#include "milterd/message/inside.h"

/* ---- base64 (RFC 2045 6.8) --------------------------------------------------------------- */

/* 0..63: the digit's value. */
enum { WHITE = 64, PAD = 128, NOISE = 192 };
// clang-format off
static const unsigned char digits[256] = {
	192, 192, 192, 192, 192, 192, 192, 192, 192, 64, 64, 192, 192, 64, 192, 192,
	192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192,
	64, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 62, 192, 192, 192, 63,
	52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 192, 192, 192, 128, 192, 192,
	192, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
	15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 192, 192, 192, 192, 192,
	192, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
	41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 192, 192, 192, 192, 192,
	192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192,
	192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192,
	192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192,
	192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192,
	192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192,
	192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192,
	192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192,
	192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192, 192,
};
// clang-format on

/* Whole quanta of four digits, as they stand in good lines; the octets of `in` that were used. */
static size_t quanta_decode(struct slice in, char **to)
{
	const unsigned char *p = (const unsigned char *)in.p;
	size_t i = 0;

	for (; i + 4 <= in.n; i += 4) {
		unsigned a = digits[p[i]], b = digits[p[i + 1]], c = digits[p[i + 2]],
			 d = digits[p[i + 3]];
		unsigned bits = a << 18 | b << 12 | c << 6 | d;

		if ((a | b | c | d) >= WHITE)
			break;
		(*to)[0] = (char)(bits >> 16);
		(*to)[1] = (char)(bits >> 8);
		(*to)[2] = (char)bits;
		*to += 3;
	}
	return i;
}

/* What a quantum that ends early holds: two digits make one octet, three make two. */
static void quantum_end(unsigned bits, unsigned count, char **to)
{
	if (count >= 2)
		*(*to)++ = (char)(bits >> (count == 2 ? 4 : 10));
	if (count == 3)
		*(*to)++ = (char)(bits >> 2);
}

/* Padding ends a quantum, not the data: pieces of base64 set behind each other are read on, as some
 * mail programs do. */
size_t base64_decode(struct slice in, char *to, unsigned *odd)
{
	const char *start = to;
	unsigned bits = 0, count = 0;
	bool padded = false;

	for (size_t i = 0; i < in.n; i++) {
		unsigned digit;
		size_t whole = count == 0 ? quanta_decode(slice_sub(in, i, in.n), &to) : 0;

		if (padded && whole > 0)
			*odd |= BASE64_PADDING;
		if ((i += whole) >= in.n)
			break;
		digit = digits[(unsigned char)in.p[i]];
		if (digit == PAD) {
			quantum_end(bits, count, &to);
			padded = padded || count > 0;
			bits = count = 0;
		} else if (digit == NOISE) {
			*odd |= BASE64_NOISE;
		} else if (digit != WHITE) {
			bits = bits << 6 | digit;
			if (padded)
				*odd |= BASE64_PADDING;
			if (++count == 4) {
				*to++ = (char)(bits >> 16);
				*to++ = (char)(bits >> 8);
				*to++ = (char)bits;
				bits = count = 0;
			}
		}
	}
	if (count > 0)
		*odd |= BASE64_PADDING;
	quantum_end(bits, count, &to);
	return (size_t)(to - start);
}

/* ---- quoted-printable (RFC 2045 6.7) ----------------------------------------------------- */

int hex_value(char c)
{
	if (ascii_digit(c))
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "=XX" at p: its octet, or -1. */
static int escape(const char *p, const char *end)
{
	int high, low;

	if (end - p < 3 || (high = hex_value(p[1])) < 0 || (low = hex_value(p[2])) < 0)
		return -1;
	return high << 4 | low;
}

/* One line without its line end; true when a soft break ends it. */
static bool qp_line(struct message *m, struct slice line, char **to)
{
	const char *p = line.p, *end = line.p + line.n;

	while (p < end) {
		const char *at = memchr(p, '=', (size_t)(end - p));
		size_t run = (size_t)((at != NULL ? at : end) - p);
		int octet;

		memcpy(*to, p, run);
		*to += run;
		if (at == NULL)
			return false;
		if (at + 1 == end)
			return true;
		if ((octet = escape(at, end)) >= 0) {
			*(*to)++ = (char)octet;
			p = at + 3;
		} else {
			anomaly_add(m, ANOMALY_QP_BAD);
			*(*to)++ = '=';
			p = at + 1;
		}
	}
	return false;
}

/* Blanks at the end of a line were added on the way (rule 3), also those behind a soft break. */
static size_t qp_decode(struct message *m, struct slice in, char *to)
{
	const char *start = to, *p = in.p, *end = in.p + in.n;

	while (p < end) {
		const char *lf = memchr(p, '\n', (size_t)(end - p)), *stop = lf != NULL ? lf : end;
		bool soft;

		while (stop > p && (is_blank(stop[-1]) || stop[-1] == '\r'))
			stop--;
		soft = qp_line(m, slice_of(p, (size_t)(stop - p)), &to);
		if (lf == NULL)
			break;
		if (!soft) {
			if (lf > p && lf[-1] == '\r')
				*to++ = '\r';
			*to++ = '\n';
		}
		p = lf + 1;
	}
	return (size_t)(to - start);
}

size_t q_decode(struct slice in, char *to)
{
	const char *start = to, *p = in.p, *end = in.p + in.n;

	while (p < end) {
		int octet = *p == '=' ? escape(p, end) : -1;

		*to++ = octet >= 0 ? (char)octet : *p == '_' ? ' ' : *p;
		p += octet >= 0 ? 3 : 1;
	}
	return (size_t)(to - start);
}

/* ---- uuencode ---------------------------------------------------------------------------- */

/* A line's first octet tells how many it holds; each digit is its octet less 32, and '`' is 0. */
static size_t uu_line(struct slice line, char *to)
{
	size_t n = line.n > 0 ? (size_t)(line.p[0] - 32) & 63 : 0, made = 0;

	for (size_t i = 1; i < line.n && made < n; i += 4) {
		unsigned bits = 0;

		for (size_t k = 0; k < 4; k++)
			bits = bits << 6 |
			    (i + k < line.n ? (unsigned)(line.p[i + k] - 32) & 63 : 0);
		for (size_t k = 0; k < 3 && made < n; k++)
			to[made++] = (char)(bits >> (16 - 8 * k));
	}
	return made;
}

static size_t uu_decode(struct slice in, char *to)
{
	size_t n = 0;
	bool begun = false;

	while (in.n > 0) {
		struct slice line = slice_cut(&in, '\n');

		if (line.n > 0 && line.p[line.n - 1] == '\r')
			line.n--;
		if (!begun)
			begun = slice_starts(line, SLICE("begin "));
		else if (slice_eq(line, SLICE("end")))
			break;
		else
			n += uu_line(line, to + n);
	}
	return n;
}

/* ---- which ------------------------------------------------------------------------------- */

enum transfer transfer_of(struct slice encoding)
{
	static const struct {
		const char *name;
		enum transfer transfer;
	} names[] = {
		{ "", TRANSFER_IDENTITY },
		{ "7bit", TRANSFER_IDENTITY },
		{ "8bit", TRANSFER_IDENTITY },
		{ "binary", TRANSFER_IDENTITY },
		{ "quoted-printable", TRANSFER_QP },
		{ "base64", TRANSFER_BASE64 },
		{ "7-bit", TRANSFER_IDENTITY },
		{ "8-bit", TRANSFER_IDENTITY },
		{ "x-uuencode", TRANSFER_UU },
		{ "x-uue", TRANSFER_UU },
		{ "uuencode", TRANSFER_UU },
	};

	for (size_t i = 0; i < COUNT(names); i++)
		if (slice_eq(encoding, slice_z(names[i].name)))
			return names[i].transfer;
	return TRANSFER_UNKNOWN;
}

struct slice transfer_decode(struct message *m, enum transfer transfer, struct slice raw)
{
	unsigned odd = 0;
	size_t n = 0;
	char *to;

	if (transfer == TRANSFER_IDENTITY || transfer == TRANSFER_UNKNOWN || raw.n == 0)
		return raw;
	/* A last digit or two without their quantum make an octet at most. */
	if ((to = arena_take(&m->arena, transfer == TRANSFER_BASE64 ? raw.n / 4 * 3 + 4 : raw.n)) ==
	    NULL)
		return (struct slice){ 0 };
	if (transfer == TRANSFER_BASE64)
		n = base64_decode(raw, to, &odd);
	else if (transfer == TRANSFER_QP)
		n = qp_decode(m, raw, to);
	else
		n = uu_decode(raw, to);
	if (odd & BASE64_NOISE)
		anomaly_add(m, ANOMALY_BASE64_NOISE);
	if (odd & BASE64_PADDING)
		anomaly_add(m, ANOMALY_BASE64_PADDING);
	return slice_of(to, n);
}
