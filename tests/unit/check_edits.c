#include "config.h"

#include "unit.h"

#include <stdio.h>
#include <unistd.h>

#include "proxy/filter/edits.h"

/* ---- a mail from text and back --------------------------------------------------------------- */

struct one {
	int code; /* enum milter_reply_code; 0 ends the list */
	uint32_t index;
	const char *a, *b;
};
#define ADD(name, value)                         \
	{                                        \
		MILTER_ADDHEADER, 0, name, value \
	}
#define INS(at, name, value)                      \
	{                                         \
		MILTER_INSHEADER, at, name, value \
	}
#define CHG(at, name, value)                      \
	{                                         \
		MILTER_CHGHEADER, at, name, value \
	}
#define FROM(address, args)                      \
	{                                        \
		MILTER_CHGFROM, 0, address, args \
	}
#define RCPT(address)                          \
	{                                      \
		MILTER_ADDRCPT, 0, address, "" \
	}
#define RCPT_PAR(address, p)                      \
	{                                         \
		MILTER_ADDRCPT_PAR, 0, address, p \
	}
#define DEL(address)                           \
	{                                      \
		MILTER_DELRCPT, 0, address, "" \
	}
#define BODY(octets)                           \
	{                                      \
		MILTER_REPLBODY, 0, "", octets \
	}
#define HOLD(reason)                             \
	{                                        \
		MILTER_QUARANTINE, 0, "", reason \
	}

static struct proxy_settings settings = {
	.limits.message_bytes = 1000,
	.spool = { .directory = (char *)"/nonexistent", .memory_bytes = 1000 },
};

/* fields: lines ended by LF; a line "OWN" stands for the own Received. */
static void mail_build(struct mail *m, const char *fields, const char *body)
{
	struct slice rest = slice_z(fields);

	*m = (struct mail){ .separator = body[0] != '\0' };
	while (rest.n > 0) {
		struct slice line = slice_cut(&rest, '\n');
		struct bytes b = { 0 };

		/* "|" stands for the end of a line inside of a field. */
		for (size_t i = 0; i < line.n; i++)
			if (line.p[i] == '|')
				(void)bytes_add(&b, SLICE("\r\n"));
			else
				(void)bytes_addc(&b, line.p[i]);
		(void)bytes_add(&b, SLICE("\r\n"));
		if (slice_eq(line, SLICE("OWN"))) {
			bytes_clear(&b);
			(void)bytes_add(&b, SLICE("Received: own\r\n"));
			m->own_received = true;
		}
		ck_assert(mail_insert_field(m, m->field_count, bytes_slice(&b)));
		bytes_free(&b);
	}
	m->body = spool_new(settings.spool.directory, 1000);
	ck_assert(m->body != NULL);
	ck_assert_int_eq(spool_add(m->body, slice_z(body), NULL), 0);
	ck_assert(mail_set_reverse_path(m, SLICE("s@e.test"), SLICE("BODY=8BITMIME RET=FULL")));
	ck_assert(mail_add_recipient(m, SLICE("r@e.test"), SLICE("NOTIFY=NEVER")));
	ck_assert(mail_add_recipient(m, SLICE("Two@e.test"), SLICE("")));
}

static struct bytes fields_text(const struct mail *m)
{
	struct bytes b = { 0 };

	for (size_t i = 0; i < m->field_count; i++) {
		struct slice line = slice_of(m->fields[i].line, m->fields[i].n);

		ck_assert(line.n >= 2 && line.p[line.n - 1] == '\n' && line.p[line.n - 2] == '\r');
		if (slice_eq(line, SLICE("Received: own\r\n")))
			line = SLICE("OWN\r\n");
		for (size_t k = 0; k + 2 < line.n; k++) {
			ck_assert_int_ne(line.p[k], '\0');
			if (line.p[k] == '\r')
				continue;
			(void)bytes_addc(&b, line.p[k] == '\n' ? '|' : line.p[k]);
		}
		(void)bytes_addc(&b, '\n');
	}
	return b;
}

static struct bytes envelope_text(const struct mail *m)
{
	struct bytes b = { 0 };

	bytes_addf(&b, "%s(%s)", m->reverse_path, m->parameters);
	for (size_t i = 0; i < m->recipient_count; i++)
		bytes_addf(&b, " %s(%s)", m->recipients[i].address, m->recipients[i].parameters);
	return b;
}

static struct bytes body_text(const struct mail *m)
{
	struct bytes b = { 0 };
	char chunk[64];
	struct slice got;

	for (uint64_t at = 0; at < spool_size(m->body); at += got.n) {
		ck_assert_int_eq(spool_read(m->body, at, chunk, sizeof(chunk), &got, NULL), 0);
		ck_assert_uint_gt(got.n, 0);
		(void)bytes_add(&b, got);
	}
	return b;
}

static struct milter_reply reply_of(const struct one *o)
{
	struct milter_reply r = { .code = (enum milter_reply_code)o->code, .index = o->index };

	switch (o->code) {
	case MILTER_ADDHEADER:
	case MILTER_INSHEADER:
	case MILTER_CHGHEADER:
		r.name = slice_z(o->a);
		r.value = slice_z(o->b);
		break;
	case MILTER_REPLBODY:
	case MILTER_QUARANTINE:
		r.value = slice_z(o->b);
		break;
	default:
		r.address = slice_z(o->a);
		r.parameters = slice_z(o->b);
	}
	return r;
}

static int add_all(struct edits *edits, const struct one *v, size_t n, struct err *e)
{
	for (size_t i = 0; i < n && v[i].code != 0; i++) {
		struct milter_reply r = reply_of(&v[i]);

		if (edits_add(edits, &r, e) < 0)
			return -1;
	}
	return 0;
}

/* ---- header fields
 * ------------------------------------------------------------------------------- */

#define BASE "OWN\nFrom: a\nX-Dup: one\nX-Dup: two\nSubject: s\n"
#define BARE "From: a\nX-Dup: one\nX-Dup: two\nSubject: s\n"

static const struct {
	const char *before;
	bool leading;
	struct one edits[6];
	const char *after;
} headers[] = {
	/* append */
	{ BASE, false, { ADD("X-A", "v") }, BASE "X-A: v\n" },
	{ BASE, true, { ADD("X-A", " v") }, BASE "X-A: v\n" },
	{ BASE, true, { ADD("X-A", "v") }, BASE "X-A:v\n" },
	{ BASE, false, { ADD("X-A", "") }, BASE "X-A: \n" },
	{ BASE, false, { ADD("X-Dup", "three") }, BASE "X-Dup: three\n" },
	{ BASE, false, { ADD("X-A", "1"), ADD("X-A", "2") }, BASE "X-A: 1\nX-A: 2\n" },
	{ "", false, { ADD("X-A", "v") }, "X-A: v\n" },
	/* insert, counted with the own Received */
	{ BASE, false, { INS(0, "X-A", "v") }, "X-A: v\n" BASE },
	{ BASE, false, { INS(1, "X-A", "v") }, "OWN\nX-A: v\n" BARE },
	{ BASE, false, { INS(2, "X-A", "v") },
	    "OWN\nFrom: a\nX-A: v\nX-Dup: one\nX-Dup: two\nSubject: s\n" },
	{ BASE, false, { INS(4, "X-A", "v") },
	    "OWN\nFrom: a\nX-Dup: one\nX-Dup: two\nX-A: v\nSubject: s\n" },
	{ BASE, false, { INS(5, "X-A", "v") }, BASE "X-A: v\n" },
	{ BASE, false, { INS(6, "X-A", "v") }, BASE "X-A: v\n" },
	{ BASE, false, { INS(4294967295, "X-A", "v") }, BASE "X-A: v\n" },
	{ BASE, false, { INS(0, "X-A", "1"), INS(0, "X-B", "2") }, "X-B: 2\nX-A: 1\n" BASE },
	{ BASE, false, { INS(0, "X-A", "1"), INS(1, "X-B", "2") }, "X-A: 1\nX-B: 2\n" BASE },
	{ BASE, false, { INS(0, "X-A", "1"), INS(2, "X-B", "2") }, "X-A: 1\nOWN\nX-B: 2\n" BARE },
	{ BASE, false, { INS(1, "X-A", "1"), INS(2, "X-B", "2") }, "OWN\nX-A: 1\nX-B: 2\n" BARE },
	{ "OWN\n", false, { INS(1, "X-A", "v") }, "OWN\nX-A: v\n" },
	/* insert, where the proxy adds no Received: as if one stood there */
	{ BARE, false, { INS(0, "X-A", "v") }, "X-A: v\n" BARE },
	{ BARE, false, { INS(1, "X-A", "v") }, "X-A: v\n" BARE },
	{ BARE, false, { INS(2, "X-A", "v") },
	    "From: a\nX-A: v\nX-Dup: one\nX-Dup: two\nSubject: s\n" },
	{ BARE, false, { INS(4, "X-A", "v") },
	    "From: a\nX-Dup: one\nX-Dup: two\nX-A: v\nSubject: s\n" },
	{ BARE, false, { INS(5, "X-A", "v") }, BARE "X-A: v\n" },
	{ BARE, false, { INS(9, "X-A", "v") }, BARE "X-A: v\n" },
	{ BARE, false, { INS(0, "X-A", "1"), INS(2, "X-B", "2") }, "X-A: 1\nX-B: 2\n" BARE },
	{ BARE, false, { INS(1, "X-A", "1"), INS(0, "X-B", "2") }, "X-B: 2\nX-A: 1\n" BARE },
	{ "", false, { INS(1, "X-A", "v") }, "X-A: v\n" },
	/* change */
	{ BASE, false, { CHG(1, "X-Dup", "v") },
	    "OWN\nFrom: a\nX-Dup: v\nX-Dup: two\nSubject: s\n" },
	{ BASE, false, { CHG(0, "X-Dup", "v") },
	    "OWN\nFrom: a\nX-Dup: v\nX-Dup: two\nSubject: s\n" },
	{ BASE, false, { CHG(2, "x-dUP", "v") },
	    "OWN\nFrom: a\nX-Dup: one\nx-dUP: v\nSubject: s\n" },
	{ BASE, false, { CHG(3, "X-Dup", "v") }, BASE "X-Dup: v\n" },
	{ BASE, false, { CHG(1, "X-None", "v") }, BASE "X-None: v\n" },
	{ BASE, false, { CHG(4294967295, "Subject", "v") }, BASE "Subject: v\n" },
	{ BASE, true, { CHG(1, "Subject", " v") },
	    "OWN\nFrom: a\nX-Dup: one\nX-Dup: two\nSubject: v\n" },
	/* the own Received is not counted, others are */
	{ BASE, false, { CHG(1, "Received", "v") }, BASE "Received: v\n" },
	{ "OWN\nReceived: other\n", false, { CHG(1, "Received", "v") }, "OWN\nReceived: v\n" },
	{ "OWN\nReceived: other\n", false, { CHG(1, "Received", "") }, "OWN\n" },
	{ "OWN\nReceived: other\n", false, { CHG(2, "Received", "") }, "OWN\nReceived: other\n" },
	{ "Received: other\n", false, { CHG(1, "Received", "v") }, "Received: v\n" },
	{ BASE, false, { INS(0, "X-A", "1"), CHG(1, "Received", "v") },
	    "X-A: 1\n" BASE "Received: v\n" },
	{ BASE, false, { INS(0, "X-A", "1"), CHG(1, "X-A", ""), INS(0, "X-B", "2") },
	    "X-B: 2\n" BASE },
	{ BASE, false, { INS(0, "X-A", "1"), CHG(1, "X-A", ""), INS(1, "X-B", "2") },
	    "OWN\nX-B: 2\n" BARE },
	/* delete, and what is left counts anew at once */
	{ BASE, false, { CHG(1, "X-Dup", "") }, "OWN\nFrom: a\nX-Dup: two\nSubject: s\n" },
	{ BASE, false, { CHG(0, "X-Dup", "") }, "OWN\nFrom: a\nX-Dup: two\nSubject: s\n" },
	{ BASE, false, { CHG(2, "X-Dup", ""), CHG(1, "X-Dup", "") }, "OWN\nFrom: a\nSubject: s\n" },
	{ BASE, false, { CHG(1, "X-Dup", ""), CHG(2, "X-Dup", "") },
	    "OWN\nFrom: a\nX-Dup: two\nSubject: s\n" },
	{ BASE, false, { CHG(1, "X-Dup", ""), CHG(1, "X-Dup", "") }, "OWN\nFrom: a\nSubject: s\n" },
	{ BASE, false, { CHG(3, "X-Dup", "") }, BASE },
	{ BASE, false, { CHG(1, "X-None", "") }, BASE },
	/* the sequence that was verified with Postfix */
	{ "OWN\nX-Dup: one\nX-Dup: two\n", false,
	    { CHG(2, "X-Dup", "second changed"), CHG(5, "X-Dup", "far"), CHG(1, "X-Dup", ""),
		CHG(1, "X-Dup", "now-first") },
	    "OWN\nX-Dup: now-first\nX-Dup: far\n" },
	/* edits see those before them */
	{ BASE, false, { ADD("X-A", "1"), CHG(1, "X-A", "2") }, BASE "X-A: 2\n" },
	{ BASE, false, { ADD("X-A", "1"), CHG(1, "X-A", "") }, BASE },
	/* values of several lines */
	{ BASE, false, { ADD("X-A", "1\n\t2\n 3") }, BASE "X-A: 1|\t2| 3\n" },
	{ BASE, false, { ADD("X-A", "1\r\n\t2") }, BASE "X-A: 1|\t2\n" },
	{ BASE, true, { ADD("X-A", "\n\t2") }, BASE "X-A:|\t2\n" },
	{ BASE, false, { ADD("X-A", "1\n") }, BASE "X-A: 1\n" },
	{ BASE, false, { ADD("X-A", "1\n\n 2\n \n\t\n") }, BASE "X-A: 1| 2\n" },
	{ BASE, false, { ADD("X-A", "\n") }, BASE "X-A: \n" },
	{ "X-A: 1|\t2\nX-B: 3\n", false, { CHG(1, "X-A", "") }, "X-B: 3\n" },
	{ "X-A: 1|\t2\nX-B: 3\n", false, { CHG(1, "X-A", "4\n\t5") }, "X-A: 4|\t5\nX-B: 3\n" },
	/* no filter starts another field, or ends the header section, by a line end in a value */
	{ BASE, false, { ADD("X-A", "1\nBcc: x") }, BASE "X-A: 1|\tBcc: x\n" },
	{ BASE, false, { ADD("X-A", "1\r\n\r\nbody") }, BASE "X-A: 1|\tbody\n" },
	{ BASE, false, { ADD("X-A", "1\rBcc: x") }, BASE "X-A: 1|\tBcc: x\n" },
	{ BASE, false, { ADD("X-A", "1\r\r\nBcc: x") }, BASE "X-A: 1|\tBcc: x\n" },
	{ BASE, false, { INS(0, "X-A", "\nBcc: x") }, "X-A: |\tBcc: x\n" BASE },
	/* quarantine */
	{ BASE, false, { HOLD("looks bad") }, BASE "X-Weir-Quarantine: looks bad\n" },
	{ BASE, true, { HOLD("looks bad") }, BASE "X-Weir-Quarantine: looks bad\n" },
	{ BASE, false, { HOLD("") }, BASE "X-Weir-Quarantine: a filter asked for it\n" },
	{ BASE, false, { HOLD("a\r\nBcc: x") }, BASE "X-Weir-Quarantine: a|\tBcc: x\n" },
};
START_TEST(header)
{
	struct edits *edits = edits_new(&settings, headers[_i].leading);
	struct bytes text;
	struct mail m;
	struct err e;
	size_t own = 0;

	mail_build(&m, headers[_i].before, "b\r\n");
	ck_assert_msg(add_all(edits, headers[_i].edits, 6, &e) == 0, "%s", e.text);
	ck_assert_msg(edits_apply(edits, &m, &own, &e) == 0, "%s", e.text);
	text = fields_text(&m);
	ck_assert_str_eq(text.p != NULL ? text.p : "", headers[_i].after);
	ck_assert(!m.envelope_edited);
	if (m.own_received)
		ck_assert_slice_eq(
		    slice_of(m.fields[own].line, m.fields[own].n), "Received: own\r\n");
	bytes_free(&text);
	mail_free(&m);
	edits_free(&edits);
}
END_TEST

/* ---- envelope ----------------------------------------------------------------------------------
 */

#define SENDER "s@e.test(BODY=8BITMIME RET=FULL)"
#define ONE    " r@e.test(NOTIFY=NEVER)"
#define TWO    " Two@e.test()"

static const struct {
	struct one edits[4];
	const char *after, *why;
} envelopes[] = {
	{ { FROM("n@e.test", "") }, "n@e.test(BODY=8BITMIME RET=FULL)" ONE TWO, NULL },
	{ { FROM("", "") }, "(BODY=8BITMIME RET=FULL)" ONE TWO, NULL },
	{ { FROM("n@e.test", "RET=HDRS ENVID=x SIZE=7") },
	    "n@e.test(BODY=8BITMIME RET=HDRS ENVID=x)" ONE TWO, NULL },
	{ { FROM("n@e.test", "SIZE=7") }, "n@e.test(BODY=8BITMIME RET=FULL)" ONE TWO, NULL },
	{ { FROM("n@e.test", ""), FROM("o@e.test", "") },
	    "o@e.test(BODY=8BITMIME RET=FULL)" ONE TWO, NULL },
	{ { RCPT("n@e.test") }, SENDER ONE TWO " n@e.test()", NULL },
	{ { RCPT("r@E.TEST") }, SENDER ONE TWO, NULL },
	{ { RCPT("R@e.test") }, SENDER ONE TWO " R@e.test()", NULL },
	{ { RCPT("n@e.test"), RCPT("n@e.test") }, SENDER ONE TWO " n@e.test()", NULL },
	{ { RCPT_PAR("n@e.test", "NOTIFY=NEVER ORCPT=rfc822;a BY=9") },
	    SENDER ONE TWO " n@e.test(NOTIFY=NEVER ORCPT=rfc822;a)", NULL },
	{ { RCPT_PAR("n@e.test", "") }, SENDER ONE TWO " n@e.test()", NULL },
	{ { DEL("r@e.test") }, SENDER TWO, NULL },
	{ { DEL("two@e.test") }, SENDER ONE TWO, NULL },
	{ { DEL("Two@E.test") }, SENDER ONE, NULL },
	{ { DEL("none@e.test") }, SENDER ONE TWO, NULL },
	{ { DEL("r@e.test"), DEL("Two@e.test") }, SENDER, NULL },
	{ { DEL("r@e.test"), RCPT("r@e.test") }, SENDER TWO " r@e.test()", NULL },
	{ { RCPT("no good") }, NULL, "ADDRCPT: " },
	{ { RCPT("a@b> NOTIFY") }, NULL, "ADDRCPT: " },
	{ { RCPT("a@b,c@d") }, NULL, "ADDRCPT: " },
	{ { FROM("n@e.test", "=x") }, NULL, "CHGFROM: " },
};
START_TEST(envelope)
{
	struct edits *edits = edits_new(&settings, false);
	struct bytes text;
	struct mail m;
	struct err e;
	size_t own = 0;

	mail_build(&m, BASE, "b\r\n");
	if (envelopes[_i].why != NULL) {
		ck_assert_int_eq(add_all(edits, envelopes[_i].edits, 4, &e), -1);
		ck_assert_msg(strncmp(e.text, envelopes[_i].why, strlen(envelopes[_i].why)) == 0,
		    "%s", e.text);
	} else {
		ck_assert_msg(add_all(edits, envelopes[_i].edits, 4, &e) == 0, "%s", e.text);
		ck_assert_int_eq(edits_apply(edits, &m, &own, &e), 0);
		text = envelope_text(&m);
		ck_assert_str_eq(text.p, envelopes[_i].after);
		ck_assert(m.envelope_edited);
		bytes_free(&text);
	}
	mail_free(&m);
	edits_free(&edits);
}
END_TEST

/* ---- body
 * ---------------------------------------------------------------------------------------- */

static const struct {
	struct one edits[5];
	const char *after, *why;
} bodies[] = {
	{ { { 0, 0, NULL, NULL } }, "old\r\n", NULL },
	{ { BODY("") }, "", NULL },
	{ { BODY("a\r\n") }, "a\r\n", NULL },
	{ { BODY("a") }, "a\r\n", NULL },
	{ { BODY("a\n") }, "a\r\n", NULL },
	{ { BODY("a\r") }, "a\r\n", NULL },
	{ { BODY("a\r"), BODY("\nb\r\n") }, "a\r\nb\r\n", NULL },
	{ { BODY("a\r"), BODY(""), BODY("\n") }, "a\r\n", NULL },
	{ { BODY("a\r"), BODY("b") }, "a\r\nb\r\n", NULL },
	{ { BODY("a\n\nb\r\r\n") }, "a\r\n\r\nb\r\n\r\n", NULL },
	{ { BODY("\n") }, "\r\n", NULL },
	{ { BODY("a"), BODY("b"), BODY("c") }, "abc\r\n", NULL },
	{ { ADD("X", "v"), BODY("a"), BODY("b"), ADD("X", "v") }, "ab\r\n", NULL },
	{ { BODY("a"), ADD("X", "v"), BODY("b") }, NULL, "REPLBODY goes on after another edit" },
};
START_TEST(body)
{
	struct edits *edits = edits_new(&settings, false);
	struct bytes text;
	struct mail m;
	struct err e;
	size_t own = 0;

	mail_build(&m, BASE, "old\r\n");
	if (bodies[_i].why != NULL) {
		ck_assert_int_eq(add_all(edits, bodies[_i].edits, 5, &e), -1);
		ck_assert_str_eq(e.text, bodies[_i].why);
	} else {
		ck_assert_int_eq(add_all(edits, bodies[_i].edits, 5, &e), 0);
		ck_assert_int_eq(edits_apply(edits, &m, &own, &e), 0);
		text = body_text(&m);
		ck_assert_str_eq(text.p != NULL ? text.p : "", bodies[_i].after);
		bytes_free(&text);
	}
	mail_free(&m);
	edits_free(&edits);
}
END_TEST

START_TEST(separator_comes_with_a_body)
{
	static const struct one edit[] = { BODY("a") };
	struct edits *edits = edits_new(&settings, false);
	struct mail m;
	size_t own = 0;

	mail_build(&m, BASE, "");
	ck_assert(!m.separator);
	ck_assert_int_eq(add_all(edits, edit, 1, NULL), 0);
	ck_assert_int_eq(edits_apply(edits, &m, &own, NULL), 0);
	ck_assert(m.separator);
	mail_free(&m);
	edits_free(&edits);
}
END_TEST

/* ---- bounds, and all or nothing
 * --------------------------------------------------------------------- */

START_TEST(bounds)
{
	struct edits *edits = edits_new(&settings, false);
	struct milter_reply r = { .code = MILTER_REPLBODY };
	char big[1001];
	struct err e;
	int n = 0;

	memset(big, 'x', sizeof(big));
	r.value = slice_of(big, sizeof(big));
	ck_assert_int_eq(edits_add(edits, &r, &e), -1);
	ck_assert_str_eq(e.text, "REPLBODY past the limit of 1000 octets");
	r = (struct milter_reply){ .code = MILTER_ADDHEADER, .name = SLICE("X") };
	while (n <= EDITS_MAX && edits_add(edits, &r, &e) == 0)
		n++;
	ck_assert_int_eq(n, EDITS_MAX);
	edits_free(&edits);

	edits = edits_new(&settings, false);
	r.value = slice_of(big, 1000);
	for (n = 0; n <= EDITS_MAX && edits_add(edits, &r, &e) == 0;)
		n++;
	ck_assert_int_eq(n, EDITS_BYTES_MAX / 1001);
	edits_free(&edits);
}
END_TEST

/* The new body does not fit into the spool: nothing of the other edits is seen either. */
START_TEST(all_or_nothing)
{
	static const struct one v[] = { ADD("X-A", "v"), CHG(1, "Subject", ""), DEL("r@e.test"),
		FROM("n@e.test", ""), BODY("0123456789"), BODY("0123456789") };
	struct proxy_settings small = settings;
	struct edits *edits;
	struct bytes text;
	struct mail m;
	struct err e;
	size_t own = 0;

	small.spool.memory_bytes = 15;
	edits = edits_new(&small, false);
	mail_build(&m, BASE, "old\r\n");
	ck_assert_int_eq(add_all(edits, v, COUNT(v), &e), 0);
	ck_assert_int_eq(edits_apply(edits, &m, &own, &e), -1);
	ck_assert_msg(strstr(e.text, "/nonexistent") != NULL, "%s", e.text);
	text = fields_text(&m);
	ck_assert_str_eq(text.p, BASE);
	bytes_free(&text);
	text = envelope_text(&m);
	ck_assert_str_eq(text.p, SENDER ONE TWO);
	ck_assert(!m.envelope_edited);
	bytes_free(&text);
	text = body_text(&m);
	ck_assert_str_eq(text.p, "old\r\n");
	bytes_free(&text);
	mail_free(&m);
	edits_free(&edits);
}
END_TEST

/* Two filters, one after the other: the second counts from where the first left the own field. */
START_TEST(second_filter)
{
	static const struct one first[] = { INS(0, "A", "1") }, second[] = { INS(2, "B", "2") };
	struct edits *edits = edits_new(&settings, false);
	struct bytes text;
	struct mail m;
	size_t own = 0;

	mail_build(&m, BASE, "");
	ck_assert_int_eq(add_all(edits, first, 1, NULL), 0);
	ck_assert_int_eq(edits_apply(edits, &m, &own, NULL), 0);
	edits_free(&edits);
	ck_assert_uint_eq(own, 1);
	edits = edits_new(&settings, false);
	ck_assert_int_eq(add_all(edits, second, 1, NULL), 0);
	ck_assert_int_eq(edits_apply(edits, &m, &own, NULL), 0);
	edits_free(&edits);
	text = fields_text(&m);
	ck_assert_str_eq(text.p, "A: 1\nOWN\nB: 2\n" BARE);
	bytes_free(&text);
	mail_free(&m);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("edits");
	TCase *tc = tcase_create("edits");

	tcase_add_loop_test(tc, header, 0, COUNT(headers));
	tcase_add_loop_test(tc, envelope, 0, COUNT(envelopes));
	tcase_add_loop_test(tc, body, 0, COUNT(bodies));
	tcase_add_test(tc, separator_comes_with_a_body);
	tcase_add_test(tc, bounds);
	tcase_add_test(tc, all_or_nothing);
	tcase_add_test(tc, second_filter);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
