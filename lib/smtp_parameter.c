#include "config.h"

#include "weir/smtp_syntax.h"

/* RFC 5321 4.1.2 esmtp-keyword. */
static bool keyword_valid(struct slice keyword)
{
	if (keyword.n == 0 || keyword.p[0] == '-')
		return false;
	for (size_t i = 0; i < keyword.n; i++)
		if (!ascii_alpha(keyword.p[i]) && !ascii_digit(keyword.p[i]) && keyword.p[i] != '-')
			return false;
	return true;
}

/* RFC 5321 4.1.2 esmtp-value with RFC 6531's octets above 127; '=' too, which clients leave bare in
 * ORCPT (VERP and BATV addresses have it). */
static bool value_valid(struct slice value)
{
	for (size_t i = 0; i < value.n; i++)
		if ((unsigned char)value.p[i] <= ' ' || value.p[i] == 0x7f)
			return false;
	return value.n > 0 && slice_utf8(value);
}

static bool keyword_seen(const struct smtp_parameter *v, size_t n, struct slice keyword)
{
	for (size_t i = 0; i < n; i++)
		if (slice_ieq(v[i].keyword, keyword))
			return true;
	return false;
}

int smtp_parameters_parse(
    struct slice rest, struct smtp_parameter v[SMTP_PARAMETERS_MAX], size_t *n, struct err *e)
{
	struct smtp_parameter found[SMTP_PARAMETERS_MAX];
	size_t count = 0;

	while (rest.n > 0) {
		struct slice value = slice_cut(&rest, ' '), keyword, shown;
		bool equals = slice_find(value, '=') < value.n;

		if (value.n == 0)
			continue;
		shown = slice_sub(value, 0, 80);
		keyword = slice_cut(&value, '=');
		if (!keyword_valid(keyword) || (equals && !value_valid(value)))
			return err_set(e, "broken parameter \"%.*s\"", SLICE_ARG(shown));
		if (keyword_seen(found, count, keyword))
			return err_set(e, "parameter given twice: \"%.*s\"", SLICE_ARG(shown));
		if (count == SMTP_PARAMETERS_MAX)
			return err_set(e, "more than %d parameters", SMTP_PARAMETERS_MAX);
		found[count++] = (struct smtp_parameter){ keyword,
			equals ? value : (struct slice){ 0 } };
	}
	if (count > 0)
		memcpy(v, found, count * sizeof(found[0]));
	*n = count;
	return 0;
}
