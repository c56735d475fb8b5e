#include "config.h"

#include "provide.h"

enum { MAIL_ADDRESS, MAIL_DOMAIN, MAIL_NULL, MAIL_SIZE, RCPT_ADDRESS, RCPT_DOMAIN, RCPT_COUNT };

/* clang-format off */
static const struct fact_row rows[] = {
	[MAIL_ADDRESS] = { "mail.address", FACT_STRING, STAGE_MAIL,
	    "The reverse-path without its brackets; empty for the null reverse-path.", "\"a@example.org\"" },
	[MAIL_DOMAIN] = { "mail.domain", FACT_STRING, STAGE_MAIL,
	    "The domain of the reverse-path, in lower case.", "\"example.org\"" },
	[MAIL_NULL] = { "mail.null", FACT_BOOL, STAGE_MAIL,
	    "Is the reverse-path the null reverse-path <>, as in bounces?", "false" },
	[MAIL_SIZE] = { "mail.size", FACT_NUMBER, STAGE_MAIL,
	    "The size that the client declared with SIZE=, in octets; unknown where it did not.", "18233" },
	[RCPT_ADDRESS] = { "rcpt.address", FACT_STRINGS, STAGE_RCPT,
	    "The recipient in hand at the rcpt stage, all recipients afterwards.", "[\"b@example.net\"]" },
	[RCPT_DOMAIN] = { "rcpt.domain", FACT_STRINGS, STAGE_RCPT,
	    "The domain of each recipient, in lower case.", "[\"example.net\"]" },
	[RCPT_COUNT] = { "rcpt.count", FACT_NUMBER, STAGE_RCPT,
	    "How many recipients there are so far, the one in hand included.", "1" },
};
/* clang-format on */

static struct value path_value(const struct envelope_path *p, size_t row)
{
	return value_string(row == RCPT_DOMAIN ? p->domain : p->address);
}

static struct value recipients(struct exam *x, size_t row)
{
	const struct envelope_path *one = exam_recipient(x);
	size_t n;
	const struct envelope_path *all = exam_recipients(x, &n);
	struct value *v;

	if (one != NULL) {
		all = one;
		n = 1;
	}
	if ((v = list_room(x, n)) == NULL)
		return value_unknown;
	for (size_t i = 0; i < n; i++)
		v[i] = path_value(&all[i], row);
	return list_value(v, n);
}

static struct value get(struct exam *x, size_t row, struct slice name)
{
	const struct envelope_path *from = exam_reverse_path(x);
	size_t n;

	(void)name;
	switch (row) {
	case MAIL_ADDRESS:
		return value_string(from->address);
	case MAIL_DOMAIN:
		return value_string(from->domain);
	case MAIL_NULL:
		return value_bool(from->address.n == 0);
	case MAIL_SIZE:
		return exam_declared_size(x) == 0 ? value_unknown
						  : value_number((double)exam_declared_size(x));
	case RCPT_COUNT:
		(void)exam_recipients(x, &n);
		return value_number((double)n + (exam_recipient(x) != NULL ? 1 : 0));
	default:
		return recipients(x, row);
	}
}

const struct provider envelope_provider = {
	.name = "envelope", .rows = rows, .n = COUNT(rows), .get = get
};
