#include "config.h"

#include "provide.h"

enum { LIST, NAME, EXTENSION, TYPE, SIZE, SHA256, ROWS };

/* clang-format off */
static const struct fact_row rows[ROWS] = {
	[LIST] = { "attachments", FACT_OBJECTS, STAGE_EOM,
	    "The attachments of the message.",
	    "[{\"name\": \"invoice.pdf.exe\", \"extension\": \"exe\", \"type\": \"application/pdf\", \"size\": 4096, \"sha256\": \"...\"}]" },
	[NAME] = { "attachments[].name", FACT_STRING, STAGE_EOM,
	    "The file's name as the message gives it, decoded; empty where it has none.", "\"invoice.pdf.exe\"" },
	[EXTENSION] = { "attachments[].extension", FACT_STRING, STAGE_EOM,
	    "What stands behind the name's last dot, in lower case; blanks and dots at the end do not count.", "\"exe\"" },
	[TYPE] = { "attachments[].type", FACT_STRING, STAGE_EOM,
	    "The declared media type, in lower case.", "\"application/pdf\"" },
	[SIZE] = { "attachments[].size", FACT_NUMBER, STAGE_EOM,
	    "The decoded size in octets.", "4096" },
	[SHA256] = { "attachments[].sha256", FACT_STRING, STAGE_EOM,
	    "The SHA-256 of the decoded content, in hexadecimal digits.", "\"e3b0c442...\"" },
};
/* clang-format on */

static const char *const members[] = { "name", "extension", "type", "size", "sha256" };

/* Windows ignores blanks and dots at the end of a name: "a.exe . " runs. */
static struct slice extension(struct exam *x, struct slice name)
{
	size_t dot;
	char *p;

	while (name.n > 0 && (ascii_space(name.p[name.n - 1]) || name.p[name.n - 1] == '.'))
		name.n--;
	for (dot = name.n; dot > 0 && name.p[dot - 1] != '.'; dot--)
		;
	if (dot == 0 || (p = arena_take(exam_arena(x), name.n - dot + 1)) == NULL)
		return SLICE("");
	for (size_t i = dot; i < name.n; i++)
		p[i - dot] = ascii_lower(name.p[i]);
	return slice_of(p, name.n - dot);
}

static struct value list(struct exam *x)
{
	const struct message *m = exam_message(x);
	struct value *v = list_room(x, m->attachment_count);

	if (v == NULL)
		return value_unknown;
	for (size_t i = 0; i < m->attachment_count; i++) {
		const struct part *p = m->attachments[i];
		struct member *to;

		v[i] = object_value(x, members, COUNT(members), &to);
		if (to == NULL)
			return value_unknown;
		to[NAME - 1].value = value_string(p->name);
		to[EXTENSION - 1].value = value_string(extension(x, p->name));
		to[TYPE - 1].value = value_string(p->type);
		to[SIZE - 1].value = value_number((double)p->body.n);
		to[SHA256 - 1].value = value_string(slice_z(p->sha256));
	}
	return list_value(v, m->attachment_count);
}

static struct value get(struct exam *x, size_t row, struct slice name)
{
	(void)name;
	return row == LIST ? list(x) : list_project(x, list(x), slice_z(members[row - 1]));
}

const struct provider attachments_provider = {
	.name = "attachments", .rows = rows, .n = COUNT(rows), .get = get
};
