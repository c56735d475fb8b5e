/* A filter's edits, from its packets to the mail: whatever it asks for, what comes out is a header
 * section of whole fields, a body of lines that end with CR LF, and an envelope that can be said on
 * an SMTP line. */
#include "config.h"

#include <stdlib.h>

#include "proxy/filter/edits.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static const struct proxy_settings settings = {
	.limits.message_bytes = 65536,
	.spool = { .directory = (char *)"/nonexistent", .memory_bytes = 1048576 },
};

static void build(struct mail *m, bool own)
{
	static const char *const fields[] = { "From: a\r\n", "X-Dup: one\r\n", "x-dup: two\r\n",
		"Subject: s\r\n\tt\r\n" };

	*m = (struct mail){ .own_received = own, .separator = true };
	if (own && !mail_insert_field(m, 0, SLICE("Received: own\r\n")))
		abort();
	for (size_t i = 0; i < COUNT(fields); i++)
		if (!mail_insert_field(m, m->field_count, slice_z(fields[i])))
			abort();
	m->body = spool_new("/nonexistent", 1048576);
	if (m->body == NULL || !mail_set_reverse_path(m, SLICE("s@e.test"), SLICE("RET=FULL")) ||
	    !mail_add_recipient(m, SLICE("r@e.test"), SLICE("")))
		abort();
}

/* CR LF at the end, and inside only before white space and never before an empty line. */
static void check_field(const struct mail_field *f)
{
	if (f->n < 3 || f->line[f->n - 2] != '\r' || f->line[f->n - 1] != '\n' || f->name_n == 0 ||
	    f->line[f->value - 1] != ':')
		abort();
	for (size_t i = 0; i + 2 < f->n; i++) {
		bool end = f->line[i] == '\r' && f->line[i + 1] == '\n';

		if ((f->line[i] == '\n' || f->line[i] == '\r') && !end)
			abort();
		if (end && f->line[i + 2] != ' ' && f->line[i + 2] != '\t')
			abort();
		i += end;
	}
}

static void check_text(const char *z)
{
	for (; *z != '\0'; z++)
		if ((unsigned char)*z < ' ' || *z == 0x7f)
			abort();
}

static void check_body(struct spool *s)
{
	char buffer[4096], last = '\n', before = '\r';
	struct slice got;

	for (uint64_t at = 0; at < spool_size(s); at += got.n) {
		if (spool_read(s, at, buffer, sizeof(buffer), &got, NULL) < 0 || got.n == 0)
			abort();
		for (size_t i = 0; i < got.n; i++) {
			if ((got.p[i] == '\n') != (last == '\r') && !(at + i == 0))
				abort();
			before = last;
			last = got.p[i];
		}
	}
	if (spool_size(s) > 0 && (last != '\n' || before != '\r'))
		abort();
}

static void check(const struct mail *m, size_t own)
{
	for (size_t i = 0; i < m->field_count; i++)
		check_field(&m->fields[i]);
	if (m->own_received &&
	    (own >= m->field_count || memcmp(m->fields[own].line, "Received: own\r\n", 15) != 0))
		abort();
	check_text(m->reverse_path);
	check_text(m->parameters);
	for (size_t i = 0; i < m->recipient_count; i++) {
		check_text(m->recipients[i].address);
		check_text(m->recipients[i].parameters);
	}
	check_body(m->body);
}

static bool add_all(struct edits *edits, struct slice in)
{
	struct milter_reader reader;
	struct milter_packet packet;
	struct milter_reply r;
	struct err e;
	size_t used;

	milter_reader_start(&reader, 4096, 65536);
	while (milter_read(&reader, in, &used, &packet, &e) == 1) {
		in = slice_sub(in, used, in.n);
		if (milter_reply_parse(&packet, &r, &e) < 0 ||
		    (milter_reply_action(r.code) != 0 && edits_add(edits, &r, &e) < 0))
			return false;
	}
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct edits *edits;
	struct mail m;
	struct err e;
	size_t own = 0;

	if (n == 0 || (edits = edits_new(&settings, (p[0] & 1) != 0)) == NULL)
		return 0;
	build(&m, (p[0] & 2) != 0);
	if (add_all(edits, slice_of(p + 1, n - 1)) && edits_apply(edits, &m, &own, &e) == 0)
		check(&m, own);
	mail_free(&m);
	edits_free(&edits);
	return 0;
}
