#include "config.h"

#include "weir/smtp_syntax.h"

static int hex_value(char c)
{
	if (ascii_digit(c))
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Take one octet, encoded or not, off *xtext. */
static int xtext_octet(struct slice *xtext, unsigned char *octet, struct err *e)
{
	int high, low;

	*octet = (unsigned char)xtext->p[0];
	if (*octet <= ' ' || *octet == 0x7f)
		return err_set(e, "octet %u stands bare in xtext", *octet);
	if (*octet != '+') {
		*xtext = slice_sub(*xtext, 1, xtext->n);
		return 0;
	}
	high = xtext->n > 2 ? hex_value(xtext->p[1]) : -1;
	low = xtext->n > 2 ? hex_value(xtext->p[2]) : -1;
	if (high < 0 || low < 0)
		return err_set(e, "no two hexadecimal digits behind '+'");
	if (high == 0 && low == 0)
		return err_set(e, "encoded NUL");
	*octet = (unsigned char)(high * 16 + low);
	*xtext = slice_sub(*xtext, 3, xtext->n);
	return 0;
}

int smtp_xtext_decode(struct slice xtext, struct buf *out, struct err *e)
{
	size_t n = 0;
	unsigned char octet;

	for (struct slice left = xtext; left.n > 0; n++)
		if (xtext_octet(&left, &octet, e) < 0)
			return -1;
	if (n >= out->cap - out->n)
		return err_set(e, "longer than %zu octets", out->cap - out->n - 1);
	while (xtext.n > 0 && xtext_octet(&xtext, &octet, e) == 0)
		buf_addc(out, (char)octet);
	return 0;
}

void smtp_xtext_encode(struct slice text, struct buf *out)
{
	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];

		if (c > ' ' && c < 0x7f && c != '+' && c != '=')
			buf_addc(out, (char)c);
		else
			buf_addf(out, "+%02X", c);
	}
}
