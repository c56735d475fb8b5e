#include "config.h"

#include "unit.h"

#include "weir/arena.h"
#include "weir/err.h"

START_TEST(buf_keeps_what_it_held)
{
	char store[8] = "";
	struct buf b = BUF_ON(store);

	buf_add(&b, SLICE("1234567"));
	ck_assert(!b.cut);
	buf_addc(&b, '8');
	ck_assert(b.cut);
	ck_assert_str_eq(store, "1234567");
	b.n = 0;
	buf_add(&b, SLICE("x"));
	ck_assert_msg(b.cut, "cut stays");
}
END_TEST

START_TEST(bytes_stop_at_their_limit)
{
	struct bytes b = { .max = 100 };

	for (int i = 0; i < 10; i++)
		ck_assert(bytes_add(&b, SLICE("0123456789")));
	ck_assert(!bytes_addc(&b, 'x'));
	ck_assert(b.failed);
	ck_assert_uint_eq(b.n, 100);
	bytes_clear(&b);
	ck_assert(bytes_addf(&b, "%0*d", 100, 1));
	ck_assert_int_eq(b.p[b.n], '\0');
	bytes_free(&b);
}
END_TEST

static const struct {
	uint64_t n;
	size_t width;
	const char *text;
} decimals[] = {
	{ 0, 1, "0" },
	{ 0, 0, "0" },
	{ 7, 2, "07" },
	{ 107, 2, "107" },
	{ 1, 20, "00000000000000000001" },
	{ 1, 21, "00000000000000000001" },
	{ UINT64_MAX, 1, "18446744073709551615" },
};
START_TEST(decimal)
{
	char store[21] = "", small[20] = "";
	struct buf b = BUF_ON(store), cut = BUF_ON(small);

	buf_addu(&b, decimals[_i].n, decimals[_i].width);
	ck_assert_str_eq(store, decimals[_i].text);
	buf_addu(&cut, decimals[_i].n, decimals[_i].width);
	ck_assert_int_eq(cut.cut, strlen(decimals[_i].text) == sizeof(small));
	ck_assert_str_eq(small, cut.cut ? "" : decimals[_i].text);
}
END_TEST

static const struct {
	const char *text;
	uint64_t max;
	int rc;
	uint64_t value;
} numbers[] = {
	{ "0", 10, 0, 0 },
	{ "10", 10, 0, 10 },
	{ "11", 10, -1, 0 },
	{ "", 10, -1, 0 },
	{ "-1", 10, -1, 0 },
	{ "1a", 100, -1, 0 },
	{ "7", 5, -1, 0 },
	{ "18446744073709551615", UINT64_MAX, 0, UINT64_MAX },
	{ "18446744073709551616", UINT64_MAX, -1, 0 },
};
START_TEST(number)
{
	uint64_t value = 0;

	ck_assert_int_eq(
	    slice_number(slice_z(numbers[_i].text), numbers[_i].max, &value), numbers[_i].rc);
	ck_assert_uint_eq(value, numbers[_i].value);
}
END_TEST

static const struct {
	const char *text;
	bool good;
} utf8[] = {
	{ "", true }, { "plain", true }, { "gr\xc3\xbc\xc3\x9f", true }, { "\xe2\x82\xac", true },
	{ "\xf0\x9f\x98\x80", true }, { "\xf4\x8f\xbf\xbf", true },
	{ "\xc0\xaf", false },         /* overlong */
	{ "\xe0\x80\xaf", false },     /* overlong */
	{ "\xed\xa0\x80", false },     /* surrogate */
	{ "\xf4\x90\x80\x80", false }, /* above U+10FFFF */
	{ "\xc3", false },             /* cut */
	{ "\x80", false },             /* lone continuation */
};
START_TEST(well_formed)
{
	ck_assert_int_eq(slice_utf8(slice_z(utf8[_i].text)), utf8[_i].good);
}
END_TEST

START_TEST(cut_and_find)
{
	struct slice s = SLICE("MAIL FROM:<a@b>");

	ck_assert_slice_eq(slice_cut(&s, ' '), "MAIL");
	ck_assert_slice_eq(s, "FROM:<a@b>");
	ck_assert_uint_eq(slice_ifind_slice(s, SLICE("from:")), 0);
	ck_assert_uint_eq(slice_find_slice(s, SLICE("@b")), 7);
	ck_assert_uint_eq(slice_find_slice(s, SLICE("zz")), s.n);
	ck_assert_slice_eq(slice_cut(&s, '!'), "FROM:<a@b>");
	ck_assert_uint_eq(s.n, 0);
}
END_TEST

START_TEST(nearest_word)
{
	static const char *const names[] = { "spf.result", "client.address", "score" };

	ck_assert_str_eq(nearest(SLICE("spf.reslt"), names, COUNT(names)), "spf.result");
	ck_assert_str_eq(nearest(SLICE("scroe"), names, COUNT(names)), "score");
	ck_assert_ptr_null(nearest(SLICE("zzzz"), names, COUNT(names)));
}
END_TEST

START_TEST(arena_has_a_limit)
{
	struct arena a = { .max = 1 << 20 };

	for (int i = 0; i < 1000; i++)
		ck_assert_ptr_nonnull(arena_take(&a, 100));
	ck_assert_ptr_nonnull(arena_take(&a, 100000));
	ck_assert_ptr_null(arena_take(&a, 1 << 20));
	ck_assert(a.failed);
	ck_assert_slice_eq(arena_printf(&a, "%d-%s", 7, "x"), "7-x");
	arena_free(&a);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("slice");
	TCase *tc = tcase_create("slice");

	tcase_add_test(tc, buf_keeps_what_it_held);
	tcase_add_test(tc, bytes_stop_at_their_limit);
	tcase_add_loop_test(tc, decimal, 0, COUNT(decimals));
	tcase_add_loop_test(tc, number, 0, COUNT(numbers));
	tcase_add_loop_test(tc, well_formed, 0, COUNT(utf8));
	tcase_add_test(tc, cut_and_find);
	tcase_add_test(tc, nearest_word);
	tcase_add_test(tc, arena_has_a_limit);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
