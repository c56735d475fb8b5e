#include "config.h"

#include "unit.h"

#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

#include "proxy/spool.h"

static char folder[] = "/tmp/weir-spool.XXXXXX";

static void make_folder(void)
{
	ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void remove_folder(void)
{
	ck_assert_int_eq(rmdir(folder), 0); /* nothing was left in it */
}

/* Octet i of the pattern; no power of two, so that a shifted read shows. */
static char pattern(uint64_t i)
{
	return (char)(i % 251);
}

static void add(struct spool *s, size_t n)
{
	static char octets[70000];
	struct err e;

	for (size_t i = 0; i < n; i++)
		octets[i] = pattern(spool_size(s) + i);
	ck_assert_int_eq(spool_add(s, slice_of(octets, n), &e), 0);
}

static void check(struct spool *s, uint64_t offset, size_t step)
{
	char into[70000];
	struct slice got;
	struct err e;

	while (offset < spool_size(s)) {
		ck_assert_int_eq(spool_read(s, offset, into, step, &got, &e), 0);
		ck_assert_uint_gt(got.n, 0);
		ck_assert_uint_le(got.n, step);
		for (size_t i = 0; i < got.n; i++)
			ck_assert_int_eq(got.p[i], pattern(offset + i));
		offset += got.n;
	}
	ck_assert_uint_eq(offset, spool_size(s));
	ck_assert_int_eq(spool_read(s, offset, into, step, &got, &e), 0);
	ck_assert_uint_eq(got.n, 0);
}

static const struct {
	size_t memory, adds[4];
} cases[] = {
	{ 1000, { 0 } },
	{ 1000, { 999, 1 } },
	{ 1000, { 1000, 1 } },
	{ 1000, { 300, 5000, 1, 70000 } },
	{ 0, { 1, 1, 1, 500 } },
	{ 100000, { 70000, 70000 } },
};
START_TEST(keeps_octets)
{
	struct spool *s = spool_new(folder, cases[_i].memory);
	uint64_t size = 0;

	ck_assert_ptr_nonnull(s);
	for (size_t i = 0; i < COUNT(cases[_i].adds); i++) {
		add(s, cases[_i].adds[i]);
		size += cases[_i].adds[i];
		ck_assert_uint_eq(spool_size(s), size);
	}
	check(s, 0, 7);
	check(s, 0, 65536);
	check(s, size / 2, 100);
	add(s, 3); /* reading does not end writing */
	check(s, 0, 1000);
	spool_free(&s);
	ck_assert_ptr_null(s);
}
END_TEST

/* Where nothing is in the file yet all goes there, at whatever point; later ones are not moved. */
static const struct {
	size_t memory, before, after;
	bool moved;
} spills[] = {
	{ 1000, 0, 500, true },
	{ 1000, 300, 5000, true },
	{ 1000, 1000, 1, true },
	{ 1000, 1001, 70000, false },
};
START_TEST(spills_late)
{
	struct spool *s = spool_new(folder, spills[_i].memory);
	struct err e;

	ck_assert_uint_eq(spool_memory(NULL), 0);
	add(s, spills[_i].before);
	ck_assert_int_eq(spool_spill(s, &e), 0);
	ck_assert_uint_eq(spool_size(s), spills[_i].before);
	add(s, spills[_i].after);
	ck_assert_int_eq(spool_spill(s, &e), 0);
	check(s, 0, 7);
	check(s, 0, 65536);
	if (spills[_i].moved)
		ck_assert_uint_lt(spool_memory(s), 100);
	else
		ck_assert_uint_ge(spool_memory(s), spills[_i].memory);
	spool_free(&s);
}
END_TEST

START_TEST(spill_fails)
{
	struct spool *s = spool_new("/nowhere/at/all", 100);
	struct err e;
	struct slice got;
	char into[20];

	ck_assert_int_eq(spool_add(s, SLICE("0123456"), &e), 0);
	ck_assert_int_eq(spool_spill(s, &e), -1);
	ck_assert_int_eq(spool_read(s, 0, into, sizeof(into), &got, &e), 0);
	ck_assert_slice_eq(got, "0123456");
	spool_free(&s);
}
END_TEST

START_TEST(no_folder)
{
	struct spool *s = spool_new("/nowhere/at/all", 10);
	struct err e = { "" };
	struct slice got;
	char into[20];

	ck_assert_int_eq(spool_add(s, SLICE("0123456"), &e), 0);
	ck_assert_int_eq(spool_add(s, SLICE("789ab"), &e), -1);
	ck_assert_ptr_nonnull(strstr(e.text, "/nowhere/at/all"));
	ck_assert_uint_eq(spool_size(s), 7); /* all of the octets or none */
	ck_assert_int_eq(spool_read(s, 0, into, sizeof(into), &got, &e), 0);
	ck_assert_slice_eq(got, "0123456");
	spool_free(&s);
}
END_TEST

START_TEST(file_has_no_name)
{
	struct spool *s = spool_new(folder, 10);
	DIR *d = opendir(folder);
	size_t names = 0;

	add(s, 1000);
	ck_assert_ptr_nonnull(d);
	while (readdir(d) != NULL) /* NOLINT(concurrency-mt-unsafe) */
		names++;
	(void)closedir(d);
	ck_assert_uint_eq(names, 2);
	spool_free(&s);
	spool_free(&s);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("spool");
	TCase *tc = tcase_create("spool");

	tcase_add_unchecked_fixture(tc, make_folder, remove_folder);
	tcase_add_loop_test(tc, keeps_octets, 0, COUNT(cases));
	tcase_add_loop_test(tc, spills_late, 0, COUNT(spills));
	tcase_add_test(tc, spill_fails);
	tcase_add_test(tc, no_folder);
	tcase_add_test(tc, file_has_no_name);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
