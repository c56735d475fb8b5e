#include "config.h"

#include "dovecot.h"

enum { HAS_ID = 1, HAS_NAME = 2, HAS_VERSION = 4 };

static const struct {
	struct slice word;
	enum dovecot_verb verb;
	unsigned has;
} verbs[] = {
	{ SLICE("VERSION"), DOVECOT_VERSION, HAS_VERSION },
	{ SLICE("MECH"), DOVECOT_MECH, HAS_NAME },
	{ SLICE("DONE"), DOVECOT_DONE, 0 },
	{ SLICE("CPID"), DOVECOT_CPID, 0 },
	{ SLICE("AUTH"), DOVECOT_AUTH, HAS_ID | HAS_NAME },
	{ SLICE("CONT"), DOVECOT_CONT, HAS_ID | HAS_NAME },
	{ SLICE("CANCEL"), DOVECOT_CANCEL, HAS_ID },
	{ SLICE("OK"), DOVECOT_OK, HAS_ID },
	{ SLICE("FAIL"), DOVECOT_FAIL, HAS_ID },
};

/* Take the next field off *fields. False at the end. */
static bool take_field(struct slice *fields, struct slice *field)
{
	if (fields->p == NULL || fields->n == 0)
		return false;
	*field = slice_cut(fields, '\t');
	return true;
}

static int read_number(struct slice *rest, uint32_t *number, struct err *e)
{
	uint64_t n;

	if (slice_number(slice_cut(rest, '\t'), UINT32_MAX, &n) < 0 || n == 0)
		return err_set(e, "a number must follow");
	*number = (uint32_t)n;
	return 0;
}

int dovecot_parse(struct slice line, struct dovecot_line *out, struct err *e)
{
	struct dovecot_line got = { .verb = DOVECOT_OTHER };
	struct slice word = slice_cut(&line, '\t');
	unsigned has = 0;

	for (size_t i = 0; i < COUNT(verbs); i++)
		if (slice_eq(word, verbs[i].word)) {
			got.verb = verbs[i].verb;
			has = verbs[i].has;
		}
	if ((has & HAS_ID) && read_number(&line, &got.id, e) < 0)
		return -1;
	if ((has & HAS_VERSION) && read_number(&line, &got.version, e) < 0)
		return -1;
	if (has & HAS_NAME)
		got.name = slice_cut(&line, '\t');
	got.fields = line;
	*out = got;
	return 0;
}

bool dovecot_flag(struct slice fields, struct slice name)
{
	struct slice field;

	while (take_field(&fields, &field))
		if (slice_eq(field, name))
			return true;
	return false;
}

struct slice dovecot_value(struct slice fields, struct slice name)
{
	struct slice field;

	while (take_field(&fields, &field))
		if (slice_starts(field, name) && field.n > name.n && field.p[name.n] == '=')
			return slice_sub(field, name.n + 1, field.n);
	return (struct slice){ 0 };
}

static const struct {
	char plain, code;
} escapes[] = { { '\0', '0' }, { '\x01', '1' }, { '\t', 't' }, { '\r', 'r' }, { '\n', 'n' } };

void dovecot_unescape(struct slice value, struct buf *into)
{
	for (size_t i = 0; i < value.n; i++) {
		char c = value.p[i];

		if (c == '\x01' && i + 1 < value.n) {
			c = value.p[++i];
			for (size_t k = 0; k < COUNT(escapes); k++)
				if (escapes[k].code == value.p[i])
					c = escapes[k].plain;
		}
		buf_addc(into, c);
	}
}

static void add_escaped(struct bytes *line, char c)
{
	for (size_t i = 0; i < COUNT(escapes); i++)
		if (escapes[i].plain == c) {
			(void)bytes_addc(line, '\x01');
			c = escapes[i].code;
			break;
		}
	(void)bytes_addc(line, c);
}

void dovecot_add(struct bytes *line, const char *name, struct slice value)
{
	(void)bytes_addf(line, "\t%s=", name);
	for (size_t i = 0; i < value.n; i++)
		add_escaped(line, value.p[i]);
}
