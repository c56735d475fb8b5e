#include "config.h"

#include "provide.h"

static const struct fact_row rows[] = {
	{ "helo.name", FACT_STRING, STAGE_HELO, "The argument of HELO or EHLO, as it was given.",
	    "\"mail.example.org\"" },
};

static struct value get(struct exam *x, size_t row, struct slice name)
{
	(void)row;
	(void)name;
	return value_or_unknown(exam_client(x)->helo);
}

const struct provider helo_provider = {
	.name = "helo", .rows = rows, .n = COUNT(rows), .get = get
};
