#include "config.h"

#include "provide.h"

enum { VALUE, RAW, ADDR, NAME, HOW_MANY, MESSAGE_ID };

/* clang-format off */
static const struct fact_row rows[] = {
	[VALUE] = { "header.*", FACT_STRINGS, STAGE_HEADER,
	    "The values of all fields of that name: unfolded, trimmed, encoded words decoded.", "[\"Your invoice\"]" },
	[RAW] = { "header.*.raw", FACT_STRINGS, STAGE_HEADER,
	    "The same fields as they stand behind the colon, folds included.", "[\" =?utf-8?Q?Your?=\\r\\n invoice\"]" },
	[ADDR] = { "header.*.addr", FACT_STRINGS, STAGE_HEADER,
	    "The addresses in the fields of that name, domains in lower case.", "[\"a@example.org\"]" },
	[NAME] = { "header.*.name", FACT_STRINGS, STAGE_HEADER,
	    "The display names in the fields of that name, decoded.", "[\"Alice Example\"]" },
	[HOW_MANY] = { "header.*.count", FACT_NUMBER, STAGE_HEADER,
	    "How many fields of that name there are.", "1" },
	[MESSAGE_ID] = { "message.id", FACT_STRING, STAGE_HEADER,
	    "The Message-ID without its brackets; empty where there is none.", "\"20260101.1@example.org\"" },
};
/* clang-format on */

static size_t count_fields(struct message *m, struct slice name)
{
	size_t n = 0;

	for (size_t i = 0; i < m->field_count; i++)
		n += slice_ieq(m->fields[i].name, name);
	return n;
}

static struct value field_texts(struct exam *x, size_t row, struct slice name)
{
	struct message *m = exam_message(x);
	size_t n = 0;
	struct value *v = list_room(x, count_fields(m, name));

	if (v == NULL)
		return value_unknown;
	for (size_t i = 0; i < m->field_count; i++) {
		struct header_field *f = &m->fields[i];

		if (slice_ieq(f->name, name))
			v[n++] = value_string(row == RAW ? f->raw : header_value(m, f));
	}
	return list_value(v, n);
}

static size_t count_mailboxes(struct message *m, struct slice name)
{
	size_t n = 0, some;

	for (size_t i = 0; i < m->field_count; i++)
		if (slice_ieq(m->fields[i].name, name)) {
			(void)message_mailboxes(m, &m->fields[i], &some);
			n += some;
		}
	return n;
}

/* Each field's mailboxes are parsed once for counting and once for taking: the alternative is a
 * list that grows in an arena that cannot give back. */
static struct value field_mailboxes(struct exam *x, size_t row, struct slice name)
{
	struct message *m = exam_message(x);
	size_t room = count_mailboxes(m, name), n = 0;
	struct value *v = list_room(x, room);

	if (v == NULL)
		return value_unknown;
	for (size_t i = 0; i < m->field_count; i++) {
		size_t some = 0;
		const struct mailbox *box = slice_ieq(m->fields[i].name, name)
		    ? message_mailboxes(m, &m->fields[i], &some)
		    : NULL;

		for (size_t k = 0; box != NULL && k < some && n < room; k++) {
			struct slice s = row == ADDR ? box[k].address : box[k].name;

			if (s.n > 0)
				v[n++] = value_string(s);
		}
	}
	return list_value(v, n);
}

static struct value message_id(struct exam *x)
{
	struct message *m = exam_message(x);
	struct header_field *f = message_find(m, SLICE("message-id"), 0);
	struct slice s = f != NULL ? slice_trim(header_value(m, f)) : SLICE("");

	if (s.n >= 2 && s.p[0] == '<' && s.p[s.n - 1] == '>')
		s = slice_sub(s, 1, s.n - 2);
	return value_string(s);
}

static struct value get(struct exam *x, size_t row, struct slice name)
{
	switch (row) {
	case VALUE:
	case RAW:
		return field_texts(x, row, name);
	case ADDR:
	case NAME:
		return field_mailboxes(x, row, name);
	case HOW_MANY:
		return value_number((double)count_fields(exam_message(x), name));
	default:
		return message_id(x);
	}
}

const struct provider header_provider = {
	.name = "header", .rows = rows, .n = COUNT(rows), .get = get
};
