#include "config.h"

#include "milterd/reply_lines.h"

#include "unit.h"

static const struct {
	const char *reply, *code, *enhanced, *lines; /* lines: one after the other, each with LF */
} good[] = {
	{ "550 5.7.1 No", "550", "5.7.1", "No\n" },
	{ "550 No", "550", "", "No\n" },
	{ "451 4.7.1 100% later %s", "451", "4.7.1", "100%% later %%s\n" },
	{ "550-5.7.1 one\n550 5.7.1 two%", "550", "5.7.1", "one\ntwo%%\n" },
	{ "550-5.7.1 one\r\n550-5.7.1 two\r\n550 5.7.1 three", "550", "5.7.1",
	    "one\ntwo\nthree\n" },
	{ "421 4.3.2 Bye", "421", "4.3.2", "Bye\n" },
};

START_TEST(makes_lines)
{
	char text[256] = "";
	struct buf b = BUF_ON(text);
	struct reply_lines r;

	ck_assert_int_eq(reply_lines_make(slice_z(good[_i].reply), &r, NULL), 0);
	for (size_t i = 0; i < r.n; i++)
		buf_addf(&b, "%s\n", r.line[i]);
	ck_assert_str_eq(r.code, good[_i].code);
	ck_assert_str_eq(r.enhanced, good[_i].enhanced);
	ck_assert_str_eq(text, good[_i].lines);
}
END_TEST

static const char *const bad[] = { "", "250 2.0.0 Ok", "No", "550 4.7.1 No" };

START_TEST(refuses)
{
	struct reply_lines r;
	struct err e;

	ck_assert_int_eq(reply_lines_make(slice_z(bad[_i]), &r, &e), -1);
}
END_TEST

/* A long line of percent signs is cut to pairs. */
START_TEST(cuts_between_pairs)
{
	char text[1500] = "550 5.7.1 x";
	struct reply_lines r;

	memset(text + 11, '%', sizeof(text) - 12);
	ck_assert_int_eq(reply_lines_make(slice_z(text), &r, NULL), 0);
	ck_assert_uint_le(strlen(r.line[0]), REPLY_LINE_MAX);
	ck_assert_uint_eq(strlen(r.line[0]) % 2, 1);
}
END_TEST

/* More lines than libmilter takes. */
START_TEST(has_a_last_line)
{
	char text[2048] = "";
	struct buf b = BUF_ON(text);
	struct reply_lines r;

	for (int i = 0; i < 50; i++)
		buf_addf(&b, "550%c5.7.1 line %d\n", i < 49 ? '-' : ' ', i);
	ck_assert_int_eq(reply_lines_make(slice_sub(buf_slice(&b), 0, b.n - 1), &r, NULL), 0);
	ck_assert_uint_eq(r.n, REPLY_LINES_MAX);
	ck_assert_str_eq(r.line[31], "line 31");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("reply_lines");
	TCase *tc = tcase_create("reply_lines");

	tcase_add_loop_test(tc, makes_lines, 0, COUNT(good));
	tcase_add_loop_test(tc, refuses, 0, COUNT(bad));
	tcase_add_test(tc, cuts_between_pairs);
	tcase_add_test(tc, has_a_last_line);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
