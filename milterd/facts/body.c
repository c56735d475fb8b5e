#include "config.h"

#include "provide.h"

enum { SIZE, TEXT, HTML, RAW, ANOMALIES };

/* clang-format off */
static const struct fact_row rows[] = {
	[SIZE] = { "message.size", FACT_NUMBER, STAGE_EOM,
	    "The size of the message in octets: header section, empty line and body.", "18233" },
	[TEXT] = { "body.text", FACT_STRING, STAGE_EOM,
	    "The visible text of all text parts as UTF-8, HTML rendered.", "\"Dear customer, ...\"" },
	[HTML] = { "body.html", FACT_STRING, STAGE_EOM,
	    "The sources of all HTML as UTF-8, attached pages included.", "\"<html>...\"" },
	[RAW] = { "body.raw", FACT_STRING, STAGE_EOM,
	    "The body as it came, nothing decoded.", "\"--frontier\\r\\n...\"" },
	[ANOMALIES] = { "mime.anomalies", FACT_STRINGS, STAGE_EOM,
	    "What is malformed in the message, by name.", "[\"mime.boundary_missing\"]" },
};
/* clang-format on */

static struct value anomalies(struct exam *x)
{
	const struct message *m = exam_message(x);
	struct value *v = list_room(x, m->anomaly_count);

	for (size_t i = 0; v != NULL && i < m->anomaly_count; i++)
		v[i] = value_string(m->anomalies[i]);
	return list_value(v, m->anomaly_count);
}

static struct value get(struct exam *x, size_t row, struct slice name)
{
	struct message *m = exam_message(x);
	size_t max = exam_body_text_bytes(x);

	(void)name;
	switch (row) {
	case SIZE:
		return value_number((double)m->size);
	case TEXT:
		return value_string(slice_sub(m->text, 0, max));
	case HTML:
		return value_string(slice_sub(m->html, 0, max));
	case RAW:
		return value_string(slice_sub(bytes_slice(&m->body), 0, max));
	default:
		return anomalies(x);
	}
}

const struct provider body_provider = {
	.name = "body", .rows = rows, .n = COUNT(rows), .get = get
};
