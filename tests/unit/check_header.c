#include "config.h"

#include <stdio.h>

#include "message_case.h"

/* ---- values: folding and encoded words --------------------------------------------------- */

static const struct {
	struct slice raw; /* as a milter gives it */
	const char *value;
	bool odd; /* header.bad_word */
} values[] = {
	{ LIT(" plain "), "plain", false },
	{ LIT(""), "", false },
	{ LIT(" a\n\tb\n c"), "a~09b c", false },
	{ LIT(" a\r\n b"), "a b", false },
	{ LIT(" a\nInjected: b"), "a Injected: b", false },
	{ LIT(" a\n\n\n"), "a", false },
	{ LIT(" =?utf-8?Q?gr=C3=BC=C3=9Fe_an?= alle"), "gr~C3~BC~C3~9Fe an alle", false },
	{ LIT(" =?UTF-8?b?aGVsbG8=?="), "hello", false },
	{ LIT(" =?utf-8?q?a?= =?utf-8?q?b?="), "ab", false },
	{ LIT(" =?utf-8?q?a?=\n  =?utf-8?q?b?= c =?utf-8?q?d?="), "ab c d", false },
	{ LIT(" =?utf-8?q?a?==?utf-8?q?b?="), "ab", false },
	{ LIT(" =?utf-8?q?a_?= =?iso-8859-1?q?=FC?="), "a ~C3~BC", false },
	{ LIT(" =?utf-8?b?w7w=?= =?utf-8?b?w58=?="), "~C3~BC~C3~9F", false },
	/* a character split between words, by octets and by base64 */
	{ LIT(" =?utf-8?q?=C3?= =?utf-8?q?=BC?="), "~C3~BC", false },
	{ LIT(" =?utf-8?b?4oI=?=\n =?UTF-8?b?rA==?="), "~E2~82~AC", false },
	{ LIT(" =?utf-8?q?=C3?= x =?utf-8?q?=BC?="), "~EF~BF~BD x ~EF~BF~BD", false },
	{ LIT(" x=?utf-8?q?y?=z"), "xyz", false },
	{ LIT(" =?utf-8*en?q?a?="), "a", false },
	{ LIT(" =?utf-8?q?with blanks in it?="), "with blanks in it", false },
	{ LIT(" =?koi8-r?b?8NI=?="), "~D0~9F~D1~80", false },
	{ LIT(" =?iso-2022-jp?b?GyRCJCIbKEI=?="), "~E3~81~82", false },
	{ LIT(" =?windows-1252?q?=80?="), "~E2~82~AC", false },
	{ LIT(" =?klingon?q?=80?="), "~E2~82~AC", false },
	{ LIT(" =?utf-8?q?=zz=4?="), "=zz=4", false },
	{ LIT(" =?utf-8?q?cut"), "=?utf-8?q?cut", true },
	{ LIT(" =?utf-8?x?odd?="), "=?utf-8?x?odd?=", true },
	{ LIT(" =?utf-8?q"), "=?utf-8?q", true },
	{ LIT(" =?"), "=?", true },
	{ LIT(" =?\?\?="), "=?\?\?=", true },
	{ LIT(" =?utf-8?b?a!GVsbG8?="), "hello", true },
	{ LIT(" =?utf-8?q?\?="), "", false },
	{ LIT(" gr\xc3\xbc"), "gr~C3~BC", false },
	{ LIT(" gr\xfc =?utf-8?q?=C3=BC?="), "gr~C3~BC ~C3~BC", false },
};

START_TEST(value)
{
	struct message m;
	struct bytes got = { 0 };
	size_t n = 0;

	message_start(&m, 1000);
	ck_assert(message_field(&m, SLICE("Subject"), values[_i].raw, true));
	describe_octets(&got, header_value(&m, &m.fields[0]));
	ck_assert_msg(slice_eq(bytes_slice(&got), slice_z(values[_i].value)),
	    "\"%.*s\": \"%.*s\", not \"%s\"", SLICE_ARG(values[_i].raw),
	    SLICE_ARG(bytes_slice(&got)), values[_i].value);
	message_parse(&m, 100);
	for (size_t i = 0; i < m.anomaly_count; i++)
		n += slice_eq(m.anomalies[i], SLICE("header.bad_word"));
	ck_assert_msg(n == values[_i].odd, "\"%.*s\"", SLICE_ARG(values[_i].raw));
	bytes_free(&got);
	message_free(&m);
}
END_TEST

/* ---- mailboxes --------------------------------------------------------------------------- */

static const struct {
	const char *raw, *mailboxes; /* "name<address> ..." */
} lists[] = {
	{ "a@b.example", "<a@b.example>" },
	{ "a@B.Example", "<a@b.example>" },
	{ "A.B@b", "<A.B@b>" },
	{ "<a@b>", "<a@b>" },
	{ "Name <a@b>", "Name<a@b>" },
	{ "\"Name, Inc.\" <a@b>, c@d", "Name, Inc.<a@b> <c@d>" },
	{ "\"Na\\\"me\" <a@b>", "Na\"me<a@b>" },
	{ "John Q. Public <a@b>", "John Q. Public<a@b>" },
	{ "a@b (Name)", "Name<a@b>" },
	{ "a@b (Na(me) \\) x)", "Na(me) ) x<a@b>" },
	{ "(comment) a@b", "comment<a@b>" },
	{ "Name <a@b> (comment)", "Name<a@b>" },
	{ "=?utf-8?q?J=C3=B6rg?= <a@b>", "J~C3~B6rg<a@b>" },
	{ "\"=?utf-8?q?a=2C_b?=\" <a@b>", "a, b<a@b>" },
	{ "\"a@b\" <c@d>", "a@b<c@d>" },
	{ "a@b <c@d>", "a@b<c@d>" },
	{ "Group: a@b, N <c@d>; e@f", "<a@b> N<c@d> <e@f>" },
	{ "undisclosed-recipients:;", "" },
	{ "undisclosed recipients", "undisclosed recipients<>" },
	{ "", "" },
	{ ",, ,", "" },
	{ "<>", "<>" },
	{ "Name <>", "Name<>" },
	{ "\"john doe\"@x.example", "<\"john doe\"@x.example>" },
	{ "\"john\"@x.example", "<john@x.example>" },
	{ "<\"a b\"@x>", "<\"a b\"@x>" },
	{ "\"a@b\"@x.example", "<\"a@b\"@x.example>" },
	{ "<@r1,@r2:a@b>", "<a@b>" },
	{ "a @ b . example", "<a@b>" },
	{ "a@[192.0.2.1]", "<a@[192.0.2.1]>" },
	{ "a@[IPv6:2001:db8::1], c@d", "<a@[ipv6:2001:db8::1]> <c@d>" },
	/* broken */
	{ "Name <a@b", "Name<a@b>" },
	{ "Name <a@b, c@d", "Name<a@b> <c@d>" },
	{ "a@b c@d", "<a@b> <c@d>" },
	{ "<a@b> <c@d>", "<a@b> <c@d>" },
	{ "N <<a@b>>", "N<a@b>" },
	{ "\"Name <a@b>", "\"Name<a@b>" },
	{ "Name (x <a@b>", "Name (x<a@b>" },
	{ "a@b>", "<a@b>" },
	{ "a@b; c@d", "<a@b> <c@d>" },
	{ "a@b@c", "<a@b@c>" },
	{ "mailto:a@b", "<a@b>" },
	{ "Name\n\t<a@b>", "Name<a@b>" },
	{ "'Name' <a@b>", "'Name'<a@b>" },
	{ "<a@b> Name", "Name<a@b>" },
	{ "J\xf6rg <j\xf6rg@b>", "J~C3~B6rg<j~C3~B6rg@b>" },
};

START_TEST(mailboxes)
{
	struct message m;
	struct bytes got = { 0 };
	struct mailbox *box;
	size_t n;

	message_start(&m, 1000);
	ck_assert(message_field(&m, SLICE("To"), slice_z(lists[_i].raw), false));
	box = message_mailboxes(&m, &m.fields[0], &n);
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			(void)bytes_addc(&got, ' ');
		describe_octets(&got, box[i].name);
		(void)bytes_addc(&got, '<');
		describe_octets(&got, box[i].address);
		(void)bytes_addc(&got, '>');
	}
	ck_assert_msg(slice_eq(bytes_slice(&got), slice_z(lists[_i].mailboxes)),
	    "\"%s\": \"%.*s\", not \"%s\"", lists[_i].raw, SLICE_ARG(bytes_slice(&got)),
	    lists[_i].mailboxes);
	bytes_free(&got);
	message_free(&m);
}
END_TEST

START_TEST(mailboxes_have_a_limit)
{
	struct message m;
	struct bytes list = { 0 };
	size_t n;

	for (size_t i = 0; i < 5000; i++)
		ck_assert(bytes_add(&list, SLICE("a@b, ")));
	message_start(&m, 1u << 20);
	ck_assert(message_field(&m, SLICE("To"), bytes_slice(&list), false));
	ck_assert_ptr_nonnull(message_mailboxes(&m, &m.fields[0], &n));
	ck_assert_uint_eq(n, 1000);
	message_free(&m);
	bytes_free(&list);
}
END_TEST

/* ---- growth ------------------------------------------------------------------------------ */

/* Values that were asked for early stay good when the header's storage moves. */
START_TEST(fields_move_with_their_storage)
{
	struct message m;
	char name[16];

	message_start(&m, 1u << 20);
	for (unsigned i = 0; i < 2000; i++) {
		(void)snprintf(name, sizeof(name), "X-%u", i);
		ck_assert(message_field(&m, slice_z(name), slice_z(name), false));
		ck_assert_slice_eq(header_value(&m, &m.fields[i]), name);
	}
	for (unsigned i = 0; i < 2000; i++) {
		(void)snprintf(name, sizeof(name), "X-%u", i);
		ck_assert_slice_eq(m.fields[i].name, name);
		ck_assert_slice_eq(m.fields[i].value, name);
		ck_assert_slice_eq(slice_trim(m.fields[i].raw), name);
	}
	message_free(&m);
}
END_TEST

START_TEST(finds_fields)
{
	struct message m;

	case_file(&m, SLICE("To: 1\nSubject : x\ntO: 2\n\n"));
	ck_assert_slice_eq(message_find(&m, SLICE("to"), 0)->value, "1");
	ck_assert_slice_eq(message_find(&m, SLICE("TO"), 1)->value, "2");
	ck_assert_ptr_null(message_find(&m, SLICE("to"), 2));
	ck_assert_slice_eq(message_find(&m, SLICE("subject"), 0)->name, "Subject");
	ck_assert_ptr_null(message_find(&m, SLICE("cc"), 0));
	message_free(&m);
}
END_TEST

static const struct {
	const char *name, *value;
	bool leading_space;
	const char *header;
} written[] = {
	{ "A", " b", true, "A: b\r\n" },
	{ "A", "b", true, "A:b\r\n" },
	{ "A", "b", false, "A: b\r\n" },
	{ "A", "\tb", false, "A: \tb\r\n" },
	{ "A", "b\n c\r\n\td", false, "A: b\r\n c\r\n\td\r\n" },
	{ "A", "b\nX: c", false, "A: b\r\n X: c\r\n" },
	{ "A", "b\n\nbody", false, "A: b\r\n \r\n body\r\n" },
	{ "A", "b\r\n", false, "A: b\r\n" },
	{ "A \t", "b", false, "A: b\r\n" },
	{ "A\r\nB: x", "b", false, "A: b\r\n" },
	{ "", "b", false, ": b\r\n" },
};

START_TEST(canonical)
{
	struct message m;

	message_start(&m, 1000);
	ck_assert(message_field(
	    &m, slice_z(written[_i].name), slice_z(written[_i].value), written[_i].leading_space));
	ck_assert_slice_eq(bytes_slice(&m.header), written[_i].header);
	ck_assert_uint_eq(m.size, strlen(written[_i].header) + 2);
	message_free(&m);
}
END_TEST

/* Whatever the limit, the header section ends with a whole line, and nothing is miscounted. */
START_TEST(cut_anywhere)
{
	struct message m;

	message_start(&m, (size_t)_i);
	ck_assert(message_field(&m, SLICE("A"), SLICE("b\n c\n d"), false));
	ck_assert(message_field(&m, SLICE("B"), SLICE("c"), false));
	ck_assert(message_body(&m, SLICE("x\r\ny\n")));
	ck_assert_uint_le(m.header.n + m.body.n, (size_t)_i);
	ck_assert_uint_eq(m.size, 14 + 6 + 2 + 6);
	ck_assert(m.header.n == 0 || memcmp(m.header.p + m.header.n - 2, "\r\n", 2) == 0);
	ck_assert_int_eq(m.failed, _i < 14 + 6 + 6);
	message_parse(&m, 100);
	message_free(&m);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("header");
	TCase *tc = tcase_create("header");

	tcase_add_loop_test(tc, value, 0, COUNT(values));
	tcase_add_loop_test(tc, mailboxes, 0, COUNT(lists));
	tcase_add_test(tc, mailboxes_have_a_limit);
	tcase_add_test(tc, fields_move_with_their_storage);
	tcase_add_test(tc, finds_fields);
	tcase_add_loop_test(tc, canonical, 0, COUNT(written));
	tcase_add_loop_test(tc, cut_anywhere, 0, 30);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
