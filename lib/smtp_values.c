#include "config.h"

#include "weir/smtp_syntax.h"

#define SIZE_DIGITS 20
#define ORCPT_MAX   500
#define ENVID_MAX   100

int smtp_size_parse(struct slice value, uint64_t *size, struct err *e)
{
	if (value.n == 0 || value.n > SIZE_DIGITS)
		return err_set(e, "SIZE wants one to %d digits", SIZE_DIGITS);
	for (size_t i = 0; i < value.n; i++)
		if (!ascii_digit(value.p[i]))
			return err_set(e, "SIZE wants digits");
	if (slice_number(value, UINT64_MAX, size) < 0)
		*size = UINT64_MAX; /* a number, but no message has it */
	return 0;
}

bool smtp_notify_valid(struct slice value)
{
	static const struct slice words[] = { SLICE("SUCCESS"), SLICE("FAILURE"), SLICE("DELAY") };
	unsigned seen = 0;
	bool more = true;

	if (slice_ieq(value, SLICE("NEVER")))
		return true;
	while (more) {
		size_t comma = slice_find(value, ',');
		struct slice word = slice_sub(value, 0, comma);
		size_t i = 0;

		while (i < COUNT(words) && !slice_ieq(word, words[i]))
			i++;
		if (i == COUNT(words) || (seen & (1u << i)) != 0)
			return false;
		seen |= 1u << i;
		more = comma < value.n;
		value = slice_sub(value, comma + 1, value.n);
	}
	return true;
}

bool smtp_xtext_valid(struct slice value, size_t max)
{
	char text[1024];
	struct buf b = BUF_ON(text);

	text[0] = '\0';
	if (value.n == 0 || smtp_xtext_decode(value, &b, NULL) < 0 || b.n > max)
		return false;
	for (size_t i = 0; i < b.n; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			return false;
	return true;
}

/* RFC 5322 3.2.3 atom. */
static bool atom(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_alpha(s.p[i]) && !ascii_digit(s.p[i]) &&
		    slice_find(SLICE("!#$%&'*+-/=?^_`{|}~"), s.p[i]) == 19)
			return false;
	return s.n > 0;
}

bool smtp_orcpt_valid(struct slice value, bool utf8)
{
	struct slice address = value, type = slice_cut(&address, ';');

	return value.n <= ORCPT_MAX && atom(type) && (utf8 || slice_ascii(address)) &&
	    smtp_xtext_valid(address, ORCPT_MAX);
}

bool smtp_envid_valid(struct slice value)
{
	return slice_ascii(value) && smtp_xtext_valid(value, ENVID_MAX);
}
