#include "config.h"

#include "provide.h"

enum { LIST, URL, HOST, DOMAIN, ROWS };

/* clang-format off */
static const struct fact_row rows[ROWS] = {
	[LIST] = { "urls", FACT_OBJECTS, STAGE_EOM,
	    "The URLs in text and HTML, in the order in which they stand there.",
	    "[{\"url\": \"https://www.example.org/a\", \"host\": \"www.example.org\", \"domain\": \"example.org\"}]" },
	[URL] = { "urls[].url", FACT_STRING, STAGE_EOM, "The URL as it was written.", "\"https://www.example.org/a\"" },
	[HOST] = { "urls[].host", FACT_STRING, STAGE_EOM, "Its host, in lower case.", "\"www.example.org\"" },
	[DOMAIN] = { "urls[].domain", FACT_STRING, STAGE_EOM, "The domain that the host belongs to.", "\"example.org\"" },
};
/* clang-format on */

static const char *const members[] = { "url", "host", "domain" };

static struct value list(struct exam *x)
{
	const struct message *m = exam_message(x);
	struct value *v = list_room(x, m->url_count);

	if (v == NULL)
		return value_unknown;
	for (size_t i = 0; i < m->url_count; i++) {
		const struct url *u = &m->urls[i];
		struct member *to;

		v[i] = object_value(x, members, COUNT(members), &to);
		if (to == NULL)
			return value_unknown;
		to[URL - 1].value = value_string(u->url);
		to[HOST - 1].value = value_string(u->host);
		to[DOMAIN - 1].value = value_string(u->domain);
	}
	return list_value(v, m->url_count);
}

static struct value get(struct exam *x, size_t row, struct slice name)
{
	(void)name;
	return row == LIST ? list(x) : list_project(x, list(x), slice_z(members[row - 1]));
}

const struct provider urls_provider = {
	.name = "urls", .rows = rows, .n = COUNT(rows), .get = get
};
