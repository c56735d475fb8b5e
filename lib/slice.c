#include "config.h"

#include "weir/slice.h"

#include <stdio.h>
#include <stdlib.h>

bool slice_ascii(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] > 127)
			return false;
	return true;
}

bool slice_eq(struct slice a, struct slice b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool slice_ieq(struct slice a, struct slice b)
{
	return a.n == b.n && slice_istarts(a, b);
}

int slice_cmp(struct slice a, struct slice b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int order = n > 0 ? memcmp(a.p, b.p, n) : 0;

	return order != 0 ? order : (a.n > b.n) - (a.n < b.n);
}

bool slice_starts(struct slice s, struct slice prefix)
{
	return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

bool slice_istarts(struct slice s, struct slice prefix)
{
	if (s.n < prefix.n)
		return false;
	for (size_t i = 0; i < prefix.n; i++)
		if (ascii_lower(s.p[i]) != ascii_lower(prefix.p[i]))
			return false;
	return true;
}

bool slice_iends(struct slice s, struct slice suffix)
{
	return s.n >= suffix.n && slice_istarts(slice_sub(s, s.n - suffix.n, suffix.n), suffix);
}

size_t slice_find(struct slice s, char c)
{
	const char *at = s.n > 0 ? memchr(s.p, c, s.n) : NULL;

	return at != NULL ? (size_t)(at - s.p) : s.n;
}

size_t slice_find_slice(struct slice s, struct slice needle)
{
	const char *at;

	if (needle.n == 0)
		return 0;
	at = s.n >= needle.n ? memmem(s.p, s.n, needle.p, needle.n) : NULL;
	return at != NULL ? (size_t)(at - s.p) : s.n;
}

size_t slice_ifind_slice(struct slice s, struct slice needle)
{
	if (needle.n == 0)
		return 0;
	for (size_t i = 0; i + needle.n <= s.n; i++)
		if (ascii_lower(s.p[i]) == ascii_lower(needle.p[0]) &&
		    slice_istarts(slice_sub(s, i, needle.n), needle))
			return i;
	return s.n;
}

struct slice slice_cut(struct slice *s, char c)
{
	size_t at = slice_find(*s, c);
	struct slice head = slice_sub(*s, 0, at);

	*s = slice_sub(*s, at + 1, s->n);
	return head;
}

struct slice slice_trim(struct slice s)
{
	while (s.n > 0 && ascii_space(s.p[0]))
		s = slice_sub(s, 1, s.n);
	while (s.n > 0 && ascii_space(s.p[s.n - 1]))
		s.n--;
	return s;
}

int slice_number(struct slice s, uint64_t max, uint64_t *out)
{
	uint64_t value = 0;

	if (s.n == 0)
		return -1;
	for (size_t i = 0; i < s.n; i++) {
		uint64_t digit = (uint64_t)(s.p[i] - '0');

		if (!ascii_digit(s.p[i]) || value > (max - digit) / 10 || digit > max)
			return -1;
		value = value * 10 + digit;
	}
	*out = value;
	return 0;
}

/* Length of the well-formed UTF-8 sequence at s (RFC 3629 section 4), or 0. */
static size_t utf8_sequence(const unsigned char *s, size_t n)
{
	/* First octet's range, length, and the range of the second octet that keeps out overlong
	 * forms, surrogates and what lies above U+10FFFF. */
	static const struct {
		unsigned char first, last, length, low, high;
	} forms[] = {
		{ 0x00, 0x7f, 1, 0x00, 0x00 },
		{ 0xc2, 0xdf, 2, 0x80, 0xbf },
		{ 0xe0, 0xe0, 3, 0xa0, 0xbf },
		{ 0xe1, 0xec, 3, 0x80, 0xbf },
		{ 0xed, 0xed, 3, 0x80, 0x9f },
		{ 0xee, 0xef, 3, 0x80, 0xbf },
		{ 0xf0, 0xf0, 4, 0x90, 0xbf },
		{ 0xf1, 0xf3, 4, 0x80, 0xbf },
		{ 0xf4, 0xf4, 4, 0x80, 0x8f },
	};

	for (size_t i = 0; i < COUNT(forms); i++) {
		if (s[0] < forms[i].first || s[0] > forms[i].last)
			continue;
		if (forms[i].length > n)
			return 0;
		if (forms[i].length > 1 && (s[1] < forms[i].low || s[1] > forms[i].high))
			return 0;
		for (size_t k = 2; k < forms[i].length; k++)
			if ((s[k] & 0xc0) != 0x80)
				return 0;
		return forms[i].length;
	}
	return 0;
}

/* Octets up to the first above 127, or a few less. */
static size_t ascii_prefix(struct slice s)
{
	size_t n = 0;
	uint64_t eight;

	for (; s.n - n >= sizeof(eight); n += sizeof(eight)) {
		memcpy(&eight, s.p + n, sizeof(eight));
		if ((eight & UINT64_C(0x8080808080808080)) != 0)
			break;
	}
	return n;
}

bool slice_utf8(struct slice s)
{
	const unsigned char *p = (const unsigned char *)s.p;

	for (size_t i = ascii_prefix(s), step; i < s.n; i += step) {
		step = p[i] < 0x80 ? 1 : utf8_sequence(p + i, s.n - i);
		if (step == 0)
			return false;
	}
	return true;
}

char *slice_dup(struct slice s)
{
	char *copy = malloc(s.n + 1);

	if (copy == NULL)
		return NULL;
	if (s.n > 0)
		memcpy(copy, s.p, s.n);
	copy[s.n] = '\0';
	return copy;
}

void buf_addu(struct buf *b, uint64_t n, size_t width)
{
	char digits[20]; /* as many as UINT64_MAX has */
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + n % 10);
		n /= 10;
	} while (n > 0 || (at > 0 && sizeof(digits) - at < width));
	buf_add(b, slice_of(digits + at, sizeof(digits) - at));
}

void buf_vaddf(struct buf *b, const char *format, va_list ap)
{
	size_t room = b->cap - b->n;
	int n;

	if (b->cut)
		return;
	n = vsnprintf(b->p + b->n, room, format, ap);
	if (n < 0 || (size_t)n >= room) {
		b->cut = true;
		b->p[b->n] = '\0';
		return;
	}
	b->n += (size_t)n;
}

void buf_addf(struct buf *b, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	buf_vaddf(b, format, ap);
	va_end(ap);
}

bool bytes_grow(struct bytes *b, size_t n)
{
	size_t need, cap;
	char *grown;

	if (n > SIZE_MAX / 4 || (b->max > 0 && n > b->max - b->n))
		return !(b->failed = true);
	need = b->n + n + 1;
	if (need <= b->cap)
		return true;
	cap = b->cap < 64 ? 64 : b->cap;
	while (cap < need)
		cap += cap / 2;
	if ((grown = realloc(b->p, cap)) == NULL)
		return !(b->failed = true);
	b->p = grown;
	b->p[b->n] = '\0';
	b->cap = cap;
	return true;
}

bool bytes_addf(struct bytes *b, const char *format, ...)
{
	char small[256];
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(small, sizeof(small), format, ap);
	va_end(ap);
	if (n < 0)
		return !(b->failed = true);
	if ((size_t)n < sizeof(small))
		return bytes_add(b, slice_of(small, (size_t)n));
	if (!bytes_reserve(b, (size_t)n))
		return false;
	va_start(ap, format);
	(void)vsnprintf(b->p + b->n, (size_t)n + 1, format, ap);
	va_end(ap);
	b->n += (size_t)n;
	return true;
}

void bytes_clear(struct bytes *b)
{
	b->n = 0;
	b->failed = false;
	if (b->p != NULL)
		b->p[0] = '\0';
}

void bytes_free(struct bytes *b)
{
	size_t max = b->max;

	free(b->p);
	*b = (struct bytes){ .max = max };
}

char *bytes_take(struct bytes *b)
{
	char *p = b->p != NULL ? b->p : slice_dup(SLICE(""));
	size_t max = b->max;

	*b = (struct bytes){ .max = max };
	return p;
}
