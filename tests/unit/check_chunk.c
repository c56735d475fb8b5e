#include "config.h"

#include "unit.h"

#include "proxy/smtp/chunk.h"

#define MAX 1000

static const struct {
	const char *argument;
	uint64_t announced; /* before */
	enum chunk_status status;
	uint64_t size;
	bool last;
} commands[] = {
	{ "0", 0, CHUNK_GOOD, 0, false },
	{ "0 LAST", 0, CHUNK_GOOD, 0, true },
	{ "86 last", 0, CHUNK_GOOD, 86, true },
	{ "86 ", 0, CHUNK_GOOD, 86, false },
	{ "1500 LAST", 0, CHUNK_GOOD, 1500, true },
	{ "500", 1000, CHUNK_GOOD, 500, false },
	{ "0 LAST", 1500, CHUNK_GOOD, 0, true },
	{ "1501", 0, CHUNK_TOO_MUCH, 0, false },
	{ "501", 1000, CHUNK_TOO_MUCH, 0, false },
	{ "1", 1500, CHUNK_TOO_MUCH, 0, false },
	{ "4611686018427387903", 0, CHUNK_TOO_MUCH, 0, false },
	{ "18446744073709551615", 0, CHUNK_MALFORMED, 0, false },
	{ "99999999999999999999999", 0, CHUNK_MALFORMED, 0, false },
	{ "", 0, CHUNK_MALFORMED, 0, false },
	{ " 5", 0, CHUNK_MALFORMED, 0, false },
	{ "LAST", 0, CHUNK_MALFORMED, 0, false },
	{ "5LAST", 0, CHUNK_MALFORMED, 0, false },
	{ "5 FIRST", 0, CHUNK_MALFORMED, 0, false },
	{ "5 LAST LAST", 0, CHUNK_MALFORMED, 0, false },
	{ "-5", 0, CHUNK_MALFORMED, 0, false },
	{ "+5", 0, CHUNK_MALFORMED, 0, false },
	{ "0x5", 0, CHUNK_MALFORMED, 0, false },
	{ "5\t", 0, CHUNK_MALFORMED, 0, false },
};
/* W60, W63: a command that is not taken changes nothing. */
START_TEST(begins)
{
	struct chunk_reader c = { .announced = commands[_i].announced }, was = c;
	enum chunk_status status = chunk_begin(&c, slice_z(commands[_i].argument), MAX);

	ck_assert_msg(status == commands[_i].status, "%s", commands[_i].argument);
	ck_assert_uint_eq(c.size, commands[_i].size);
	ck_assert_uint_eq(c.left, commands[_i].size);
	ck_assert_int_eq(c.last, commands[_i].last);
	ck_assert_uint_eq(c.announced, was.announced + commands[_i].size);
}
END_TEST

START_TEST(takes_no_octet_more)
{
	struct slice in = SLICE("abcdefQUIT\r\n");
	struct chunk_reader c = { 0 };

	ck_assert_int_eq(chunk_begin(&c, SLICE("6"), MAX), CHUNK_GOOD);
	ck_assert_slice_eq(chunk_octets(&c, in), "abcdef");
	chunk_take(&c, 4);
	ck_assert_slice_eq(chunk_octets(&c, slice_sub(in, 4, in.n)), "ef");
	ck_assert_slice_eq(chunk_octets(&c, SLICE("e")), "e");
	chunk_take(&c, 2);
	ck_assert_uint_eq(c.left, 0);
	ck_assert_slice_eq(chunk_octets(&c, slice_sub(in, 6, in.n)), "");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("chunk");
	TCase *tc = tcase_create("chunk");

	tcase_add_loop_test(tc, begins, 0, COUNT(commands));
	tcase_add_test(tc, takes_no_octet_more);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
