#include "config.h"

#include "unit.h"

#include "weir/smtp_reply.h"

static const struct {
	const char *why, *wire;
	int code;
	const char *enhanced, *text;
} good[] = {
	{ "plain", "250 Ok\r\n", 250, "", "Ok" },
	{ "enhanced", "550 5.1.1 <a@b>: No\r\n", 550, "5.1.1", "<a@b>: No" },
	{ "code alone (RFC 5321 4.2)", "250\r\n", 250, "", "" },
	{ "code and space", "250 \r\n", 250, "", "" },
	{ "enhanced alone", "250 2.0.0\r\n", 250, "2.0.0", "" },
	{ "long enhanced", "550 5.123.456 x\r\n", 550, "5.123.456", "x" },
	{ "several lines", "250-mx.example\r\n250-PIPELINING\r\n250 SIZE 1\r\n", 250, "",
	    "mx.example\nPIPELINING\nSIZE 1" },
	{ "W53 enhanced in each line", "550-5.7.1 a\r\n550-5.7.1\r\n550 5.7.1 b\r\n", 550, "5.7.1",
	    "a\n\nb" },
	{ "enhanced in the first line only", "550-5.7.1 a\r\n550 b\r\n", 550, "5.7.1", "a\nb" },
	{ "another enhanced is text", "550-5.7.1 a\r\n550 5.7.2 b\r\n", 550, "5.7.1",
	    "a\n5.7.2 b" },
	{ "enhanced of another class is text", "250 5.7.1 x\r\n", 250, "", "5.7.1 x" },
	{ "no enhanced code", "250 2.0 x\r\n", 250, "", "2.0 x" },
	{ "no enhanced code: four digits", "250 2.0.1234 x\r\n", 250, "", "2.0.1234 x" },
	{ "no enhanced code: glued", "250 2.0.0x\r\n", 250, "", "2.0.0x" },
	{ "354", "354 Go\r\n", 354, "", "Go" },
	{ "W100 control octets", "250 a\x01\x1b[2Jb\x7f\tc\r\n", 250, "", "a??[2Jb? c" },
	{ "W100 UTF-8", "250 gr\xc3\xbc\xc3\x9f\r\n", 250, "", "gr\xc3\xbc\xc3\x9f" },
	{ "W100 no UTF-8", "250 gr\xfc\xdf\r\n", 250, "", "gr??" },
	{ "what follows is not looked at", "250 a\r\nrubbish", 250, "", "a" },
};

/* Whole, and each shorter piece first: "more octets are needed". */
START_TEST(parses)
{
	struct slice wire = slice_z(good[_i].wire), end = SLICE("\r\n");
	struct smtp_reply r = { .code = 1 };
	struct err e;
	size_t used = 0, whole = wire.n;

	if (!slice_eq(slice_sub(wire, wire.n - 2, 2), end))
		whole = slice_find(wire, '\n') + 1;
	for (size_t n = 0; n < whole; n++)
		ck_assert_msg(smtp_reply_parse(slice_sub(wire, 0, n), &used, &r, &e) == 0,
		    "%s, first %zu octets", good[_i].why, n);
	ck_assert_int_eq(r.code, 1);
	ck_assert_msg(smtp_reply_parse(wire, &used, &r, &e) == 1, "%s", good[_i].why);
	ck_assert_uint_eq(used, whole);
	ck_assert_int_eq(r.code, good[_i].code);
	ck_assert_str_eq(r.enhanced, good[_i].enhanced);
	ck_assert_str_eq(r.text, good[_i].text);
}
END_TEST

#define W(lit)                          \
	{                               \
		"" lit, sizeof(lit) - 1 \
	}
static const struct {
	struct slice wire;
	const char *why;
} bad[] = {
	{ W("250 Ok\n"), "bare CR or LF in line 1" },
	{ W("250 Ok\n250 Ok\r\n"), "bare CR or LF in line 1" },
	{ W("250-a\r\n250 b\rc\r\n"), "bare CR or LF in line 2" },
	{ W("250 a\r\r\n"), "bare CR or LF in line 1" },
	{ W("250 a\0b\r\n"), "NUL in line 1" },
	{ W("250-a\r\n550 b\r\n"), "reply code 550 in line 2, 250 before it" },
	{ W("150 a\r\n"), "no reply code in line 1" },
	{ W("600 a\r\n"), "no reply code in line 1" },
	{ W("260 a\r\n"), "no reply code in line 1" },
	{ W("25 a\r\n"), "no reply code in line 1" },
	{ W("\r\n"), "no reply code in line 1" },
	{ W("250_a\r\n"), "line 1: neither space nor '-' behind the reply code" },
	{ W("2500 a\r\n"), "line 1: neither space nor '-' behind the reply code" },
	{ W("HTTP/1.1"), "no reply line: \"HTTP/1.1\"" },
	{ W("250x"), "no reply line: \"250x\"" },
	{ W("250 a\rb"), "no reply line: \"250 a\rb\"" },
};
START_TEST(refuses)
{
	struct smtp_reply r = { .code = 1 };
	struct err e = { "" };
	size_t used;

	ck_assert_int_eq(smtp_reply_parse(bad[_i].wire, &used, &r, &e), -1);
	ck_assert_str_eq(e.text, bad[_i].why);
	ck_assert_int_eq(r.code, 1); /* untouched, as the header promises */
}
END_TEST

START_TEST(too_long)
{
	struct bytes wire = { 0 };
	struct smtp_reply r;
	struct err e;
	size_t used;

	while (wire.n < SMTP_REPLY_WIRE_MAX)
		(void)bytes_add(&wire, SLICE("250-0123456789012345678\r\n"));
	ck_assert_int_eq(smtp_reply_parse(bytes_slice(&wire), &used, &r, &e), -1);
	wire.n = SMTP_REPLY_WIRE_MAX / 2;
	ck_assert_int_eq(smtp_reply_parse(bytes_slice(&wire), &used, &r, &e), 0);
	bytes_clear(&wire);
	while (wire.n < SMTP_REPLY_WIRE_MAX)
		(void)bytes_add(&wire, SLICE("250 without an end "));
	ck_assert_int_eq(smtp_reply_parse(bytes_slice(&wire), &used, &r, &e), -1);
	bytes_free(&wire);
}
END_TEST

/* W100: text that is longer than we keep is cut, between characters, and the reply still counts. */
START_TEST(text_is_cut)
{
	struct bytes wire = { 0 };
	struct smtp_reply r;
	size_t used;

	for (int i = 0; i < 10; i++) {
		(void)bytes_add(&wire, i < 9 ? SLICE("550-5.7.1 x") : SLICE("550 5.7.1 x"));
		for (int k = 0; k < 200; k++)
			(void)bytes_add(&wire, SLICE("\xc3\xbc"));
		(void)bytes_add(&wire, SLICE("\r\n"));
	}
	ck_assert_int_eq(smtp_reply_parse(bytes_slice(&wire), &used, &r, NULL), 1);
	ck_assert_uint_eq(used, wire.n);
	ck_assert_uint_ge(strlen(r.text), SMTP_REPLY_MAX - 3);
	ck_assert(slice_utf8(slice_z(r.text)));
	bytes_free(&wire);
}
END_TEST

static const struct {
	const char *text;
	int rc;
	const char *enhanced, *want; /* text, or what the error says */
} texts[] = {
	{ "550 5.7.1 No", 0, "5.7.1", "No" },
	{ "451 Later", 0, "", "Later" },
	{ "550", 0, "", "" },
	{ "550-5.7.1 a\r\n550 5.7.1 b", 0, "5.7.1", "a\nb" },
	{ "550-5.7.1 a\n550 5.7.1 b\n", 0, "5.7.1", "a\nb" },
	{ "", -1, "", "must begin with a reply code 4yz or 5yz" },
	{ "No", -1, "", "must begin with a reply code 4yz or 5yz" },
	{ "250 2.0.0 Ok", -1, "", "must begin with a reply code 4yz or 5yz" },
	{ "570 x", -1, "", "must begin with a reply code 4yz or 5yz" },
	{ "550 4.7.1 No", -1, "", "enhanced status code 4.7.1 is of another class than 550" },
	{ "550-a\r\n451 b", -1, "", "reply code 451 in line 2, 550 before it" },
	{ "550-a", -1, "", "the last line has '-' behind its reply code" },
	{ "550-a\r\n", -1, "", "the last line has '-' behind its reply code" },
	{ "550 a\r\n550 b", -1, "", "line 1 has no '-' behind its reply code" },
	{ "550 a\rb", -1, "", "bare CR in line 1" },
	{ "550-a\n\n550 b", -1, "", "no reply code in line 2" },
};
/* W73 */
START_TEST(from_text)
{
	struct smtp_reply r = { .code = 1 };
	struct err e = { "" };

	ck_assert_int_eq(smtp_reply_from_text(slice_z(texts[_i].text), &r, &e), texts[_i].rc);
	if (texts[_i].rc == 0) {
		ck_assert_str_eq(r.enhanced, texts[_i].enhanced);
		ck_assert_str_eq(r.text, texts[_i].want);
	} else {
		ck_assert_str_eq(e.text, texts[_i].want);
		ck_assert_int_eq(r.code, 1);
	}
}
END_TEST

START_TEST(from_text_with_nul)
{
	struct smtp_reply r;

	ck_assert_int_eq(smtp_reply_from_text(SLICE("550 5.7.1 a\0b"), &r, NULL), -1);
}
END_TEST

static const struct {
	int code;
	const char *enhanced, *text, *wire, *line;
} written[] = {
	{ 250, "", "Ok", "250 Ok\r\n", "250 Ok" },
	{ 250, "2.0.0", "", "250 2.0.0\r\n", "250 2.0.0" },
	{ 250, "", "", "250 \r\n", "250" },
	{ 550, "5.7.1", "a\nb\n\nc", "550-5.7.1 a\r\n550-5.7.1 b\r\n550-5.7.1\r\n550 5.7.1 c\r\n",
	    "550 5.7.1 a / b /  / c" },
	{ 550, "4.7.1", "W52 another class", "550 W52 another class\r\n", "550 W52 another class" },
	{ 550, "5.7", "no code", "550 no code\r\n", "550 no code" },
	{ 550, "5.7.1", "a\r\nb\rc\x01", "550-5.7.1 a\r\n550 5.7.1 b?c?\r\n",
	    "550 5.7.1 a / b?c?" },
};
/* W53 */
START_TEST(writes)
{
	struct smtp_reply r;
	struct bytes wire = { 0 };
	char store[100] = "";
	struct buf line = BUF_ON(store);

	smtp_reply_set(&r, written[_i].code, written[_i].enhanced, "%s", written[_i].text);
	ck_assert(smtp_reply_write(&r, &wire));
	ck_assert_slice_eq(bytes_slice(&wire), written[_i].wire);
	smtp_reply_line(&r, &line);
	ck_assert_str_eq(store, written[_i].line);
	bytes_free(&wire);
}
END_TEST

static const struct {
	const char *unit;
	bool utf8;
} long_texts[] = { { "x", false }, { "word ", false }, { "\xe2\x82\xac", true } };
/* W53: no line over 512 octets, each with its code, and no character torn. */
START_TEST(long_lines_are_continued)
{
	struct smtp_reply r, back;
	struct bytes text = { 0 }, wire = { 0 };
	struct slice left;
	size_t used;

	while (text.n < 1500)
		(void)bytes_add(&text, slice_z(long_texts[_i].unit));
	smtp_reply_set(&r, 550, "5.7.1", "%s", text.p);
	ck_assert(smtp_reply_write(&r, &wire));
	left = bytes_slice(&wire);
	while (left.n > 0) {
		struct slice line = slice_cut(&left, '\n');

		ck_assert_uint_le(line.n + 1, SMTP_REPLY_LINE_MAX);
		ck_assert(
		    slice_starts(line, left.n > 0 ? SLICE("550-5.7.1 ") : SLICE("550 5.7.1")));
		ck_assert(slice_utf8(line));
	}
	ck_assert_int_eq(smtp_reply_parse(bytes_slice(&wire), &used, &back, NULL), 1);
	ck_assert_uint_eq(used, wire.n);
	bytes_free(&text);
	bytes_free(&wire);
}
END_TEST

START_TEST(set_cuts)
{
	struct smtp_reply r;
	struct bytes text = { 0 };

	while (text.n < 4096)
		(void)bytes_add(&text, SLICE("x\xe2\x82\xac"));
	smtp_reply_set(&r, 250, "2.0.0", "%s", text.p);
	ck_assert_uint_ge(strlen(r.text), SMTP_REPLY_MAX - 4);
	ck_assert(slice_utf8(slice_z(r.text)));
	ck_assert_uint_eq(slice_find(slice_z(r.text), '?'), strlen(r.text));
	bytes_free(&text);
}
END_TEST

START_TEST(set_from_itself)
{
	struct smtp_reply r;

	smtp_reply_set(&r, 550, "5.7.1", "a");
	smtp_reply_set(&r, 554, r.enhanced, "%s b", r.text);
	ck_assert_str_eq(r.enhanced, "5.7.1");
	ck_assert_str_eq(r.text, "a b");
}
END_TEST

START_TEST(line_is_cut_to_its_room)
{
	struct smtp_reply r;
	char store[16] = "";
	struct buf line = BUF_ON(store);

	smtp_reply_set(&r, 550, "5.7.1", "a long text");
	smtp_reply_line(&r, &line);
	ck_assert_str_eq(store, "550 5.7.1 a lon");
	ck_assert(line.cut);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("smtp_reply");
	TCase *tc = tcase_create("smtp_reply");

	tcase_add_loop_test(tc, parses, 0, COUNT(good));
	tcase_add_loop_test(tc, refuses, 0, COUNT(bad));
	tcase_add_test(tc, too_long);
	tcase_add_test(tc, text_is_cut);
	tcase_add_loop_test(tc, from_text, 0, COUNT(texts));
	tcase_add_test(tc, from_text_with_nul);
	tcase_add_loop_test(tc, writes, 0, COUNT(written));
	tcase_add_loop_test(tc, long_lines_are_continued, 0, COUNT(long_texts));
	tcase_add_test(tc, set_cuts);
	tcase_add_test(tc, set_from_itself);
	tcase_add_test(tc, line_is_cut_to_its_room);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
