#include "config.h"

#include "base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* 0..63, or -1. */
static int value(char c)
{
	const char *at = c != '\0' ? strchr(alphabet, c) : NULL;

	return at != NULL ? (int)(at - alphabet) : -1;
}

/* One group of four, of which the last `padding` are '='. */
static bool read_group(const char *p, size_t padding, struct buf *into)
{
	unsigned bits = 0;

	for (size_t i = 0; i < 4; i++) {
		int v = i < 4 - padding ? value(p[i]) : 0;

		if (v < 0)
			return false;
		bits = bits << 6 | (unsigned)v;
	}
	for (size_t i = 0; i < 3; i++) {
		char octet = (char)(bits >> (16 - 8 * i));

		if (i < 3 - padding)
			buf_addc(into, octet);
		else if (octet != 0)
			return false;
	}
	return !into->cut;
}

bool base64_read(struct slice text, struct buf *into)
{
	size_t padding = 0;

	if (text.n % 4 != 0)
		return false;
	while (padding < 2 && padding < text.n && text.p[text.n - 1 - padding] == '=')
		padding++;
	for (size_t i = 0; i < text.n; i += 4)
		if (!read_group(text.p + i, i + 4 == text.n ? padding : 0, into))
			return false;
	return true;
}

void base64_write(struct slice octets, struct buf *into)
{
	for (size_t i = 0; i < octets.n; i += 3) {
		size_t n = octets.n - i < 3 ? octets.n - i : 3;
		unsigned bits = 0;

		for (size_t k = 0; k < 3; k++)
			bits = bits << 8 | (k < n ? (unsigned char)octets.p[i + k] : 0);
		for (size_t k = 0; k < 4; k++)
			buf_addc(into, k <= n ? alphabet[bits >> (18 - 6 * k) & 63] : '=');
	}
}
