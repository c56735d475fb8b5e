#include "config.h"

#include "facts_fixture.h"
#include "unit.h"

#include <time.h>

#include "milterd/rules/pattern.h"

struct one {
	struct pattern_set *set;
	struct pattern_scan *scan;
	uint32_t id;
};

static void one_open(struct one *o, const char *source)
{
	struct err e;

	o->set = pattern_set_new();
	ck_assert_msg(pattern_set_add(o->set, slice_z(source), &o->id, &e) == 0, "%s", e.text);
	o->scan = pattern_scan_new(o->set);
}

static void one_close(struct one *o)
{
	pattern_scan_free(&o->scan);
	pattern_set_free(&o->set);
}

static const struct {
	const char *source, *text, *matched; /* NULL: no match */
} finds[] = {
	{ "b+", "aabbbcc", "bbb" },
	{ "B+", "aabbbcc", NULL },
	{ "(?i)B+", "aabbbcc", "bbb" },
	{ "^b", "ab", NULL },
	{ "b$", "ab", "b" },
	{ "", "ab", "" },
	{ "^$", "", "" },
	{ ".", "", NULL },
	{ "(?i)\\b\xc3\x9c"
	  "ber\\b",
	    "das \xc3\xbc"
	    "ber alles",
	    "\xc3\xbc"
	    "ber" },
	{ "\\w+", "- \xd0\xbf\xd1\x80\xd0\xb8 -", "\xd0\xbf\xd1\x80\xd0\xb8" },
	{ "^.$", "\xc3\xa4", "\xc3\xa4" },        /* one character, two octets */
	{ "good", "\xff\xfe good \xc3", "good" }, /* broken UTF-8 hides nothing */
	{ "a.c",
	    "a\xff"
	    "c abc",
	    "abc" }, /* and matches nothing */
	{ "(?<=x)y", "xy", "y" },
	{ "(a)(b)?(c)", "xacx", "ac" },
};

START_TEST(find)
{
	struct one o;
	struct slice matched = { 0 };
	enum pattern_result r;

	one_open(&o, finds[_i].source);
	r = pattern_find(o.scan, o.id, slice_z(finds[_i].text), &matched);
	ck_assert_int_eq(r, finds[_i].matched != NULL ? PATTERN_HIT : PATTERN_MISS);
	if (finds[_i].matched != NULL)
		ck_assert_slice_eq(matched, finds[_i].matched);
	one_close(&o);
}
END_TEST

static const struct {
	const char *source, *error;
} bad[] = {
	{ "(", "bad regex at octet 1: missing closing parenthesis" },
	{ "a{3,2}", "bad regex at octet 5: numbers out of order in {} quantifier" },
	{ "*a", "bad regex at octet 0: quantifier does not follow a repeatable item" },
	{ "[z-a]", "bad regex at octet 3: range out of order in character class" },
	{ "\\", "bad regex at octet 1: \\ at end of pattern" },
	{ "(?P<n>a)(?P<n>b)",
	    "bad regex at octet 14: two named subpatterns have the same name (PCRE2_DUPNAMES not "
	    "set)" },
	{ "\\C", "bad regex at octet 2: using \\C is disabled by the application" },
	{ "\xff", "bad regex at octet 0: UTF-8 error: illegal byte (0xfe or 0xff)" },
};

START_TEST(refuses)
{
	struct pattern_set *set = pattern_set_new();
	uint32_t id = 77;
	struct err e;

	ck_assert_int_eq(pattern_set_add(set, slice_z(bad[_i].source), &id, &e), -1);
	ck_assert_str_eq(e.text, bad[_i].error);
	ck_assert_uint_eq(id, 77);
	pattern_set_free(&set);
}
END_TEST

START_TEST(too_long)
{
	char source[PATTERN_SOURCE_MAX + 1];
	struct pattern_set *set = pattern_set_new();
	uint32_t id;
	struct err e;

	memset(source, 'x', sizeof(source));
	ck_assert_int_eq(pattern_set_add(set, slice_of(source, sizeof(source)), &id, &e), -1);
	ck_assert_str_eq(e.text, "bad regex: longer than 4096 octets");
	ck_assert_int_eq(pattern_set_add(set, slice_of(source, PATTERN_SOURCE_MAX), &id, &e), 0);
	pattern_set_free(&set);
}
END_TEST

START_TEST(shares)
{
	struct pattern_set *set = pattern_set_new();
	uint32_t a, b, c;

	ck_assert_int_eq(pattern_set_add(set, SLICE("abc"), &a, NULL), 0);
	ck_assert_int_eq(pattern_set_add(set, SLICE("abd"), &b, NULL), 0);
	ck_assert_int_eq(pattern_set_add(set, SLICE("abc"), &c, NULL), 0);
	ck_assert_uint_eq(a, c);
	ck_assert_uint_ne(a, b);
	ck_assert_slice_eq(pattern_source(set, b), "abd");
	pattern_set_free(&set);
}
END_TEST

/* A pattern that two conditions ask is looked for once: the text that changes under it (which no
 * caller may do) does not change the answer before it is forgotten. */
START_TEST(remembers)
{
	char text[] = "abc";
	struct slice matched;
	struct one o;
	uint32_t again;

	one_open(&o, "abc");
	ck_assert_int_eq(pattern_set_add(o.set, SLICE("abc"), &again, NULL), 0);
	ck_assert_int_eq(pattern_find(o.scan, o.id, slice_z(text), &matched), PATTERN_HIT);
	text[0] = 'x';
	ck_assert_int_eq(pattern_find(o.scan, o.id, slice_z(text), &matched), PATTERN_HIT);
	pattern_scan_forget(o.scan);
	ck_assert_int_eq(pattern_find(o.scan, o.id, slice_z(text), &matched), PATTERN_MISS);
	one_close(&o);
}
END_TEST

START_TEST(remembers_many)
{
	static char text[200000];
	struct one o;
	struct slice matched;
	uint32_t again;

	memset(text, 'a', sizeof(text));
	one_open(&o, "b");
	ck_assert_int_eq(pattern_set_add(o.set, SLICE("b"), &again, NULL), 0);
	for (size_t i = 0; i < sizeof(text); i++)
		ck_assert_int_eq(
		    pattern_find(o.scan, o.id, slice_of(text + i, 1), &matched), PATTERN_MISS);
	text[17] = 'b';
	pattern_scan_forget(o.scan);
	ck_assert_int_eq(pattern_find(o.scan, o.id, slice_of(text + 17, 1), &matched), PATTERN_HIT);
	one_close(&o);
}
END_TEST

/* Matches at every place of a long text are found: at its start, across the places where the search
 * is taken up again, at its end. */
START_TEST(long_text)
{
	enum { N = 300000 };
	static const char mark[6] = { 'x', '\xc3', '\xa4', '\xc3', '\xa4', 'y' };
	static char text[N];
	struct slice matched;
	struct one o;

	memset(text, 'a', N);
	one_open(&o, "x\xc3\xa4+y");
	for (size_t at = 0; at + 6 <= N; at += at < 3000 ? 1 : 7919) {
		memcpy(text + at, mark, sizeof(mark));
		ck_assert_int_eq(
		    pattern_find(o.scan, o.id, slice_of(text, N), &matched), PATTERN_HIT);
		ck_assert_ptr_eq(matched.p, text + at);
		ck_assert_uint_eq(matched.n, 6);
		memset(text + at, 'a', 6);
	}
	ck_assert_int_eq(pattern_find(o.scan, o.id, slice_of(text, N), &matched), PATTERN_MISS);
	one_close(&o);
	one_open(&o, "aaa$");
	ck_assert_int_eq(pattern_find(o.scan, o.id, slice_of(text, N), &matched), PATTERN_HIT);
	ck_assert_ptr_eq(matched.p, text + N - 3);
	one_close(&o);
	one_open(&o, "\\A(?=a)");
	ck_assert_int_eq(pattern_find(o.scan, o.id, slice_of(text, N), &matched), PATTERN_HIT);
	one_close(&o);
	one_open(&o, "\\Gb|(?<!a)b");
	ck_assert_int_eq(pattern_find(o.scan, o.id, slice_of(text, N), &matched), PATTERN_MISS);
	one_close(&o);
}
END_TEST

/* A list of short texts, each of which costs the whole match limit: the message as a whole has a
 * budget, too. */
START_TEST(many_short_bombs)
{
	static const char text[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!";
	struct slice matched;
	struct timespec from, to;
	struct one o;

	one_open(&o, "^(a+)+$");
	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
	for (size_t i = 0; i < 1000000; i++)
		ck_assert_int_eq(
		    pattern_find(o.scan, o.id, slice_z(text), &matched), PATTERN_GAVE_UP);
	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
	ck_assert_msg(to.tv_sec - from.tv_sec < 20, "took %d s", (int)(to.tv_sec - from.tv_sec));
	one_close(&o);
}
END_TEST

/* Exponential, cubic and quadratic patterns over texts made for them: each ends within its budget.
 * The wide margin is for machines under load and sanitizers. */
static const struct {
	const char *source;
	size_t n;
	enum pattern_result may; /* besides a miss */
	char fill;
} bombs[] = {
	{ "^(a+)+$", 2000, PATTERN_GAVE_UP, 'a' },
	{ "(a+)+b", 100000, PATTERN_GAVE_UP, 'a' },
	{ "(a|aa)+b", 5000, PATTERN_GAVE_UP, 'a' },
	{ "a*a*a*a*b", 5000, PATTERN_GAVE_UP, 'a' },
	{ "(.*)(.*)(.*)(.*)x", 5000, PATTERN_GAVE_UP, 'a' },
	{ "\\s+$", 1000000, PATTERN_HIT, ' ' },
	{ "\\s+x", 1000000, PATTERN_GAVE_UP, ' ' },
	{ "[a-z]+[0-9]", 1000000, PATTERN_GAVE_UP, 'a' },
	{ "(?:a?){30}a{30}b", 3000, PATTERN_GAVE_UP, 'a' },
	{ "(?R)?a", 100000, PATTERN_GAVE_UP, 'a' },
	{ "(a(?1)?b)", 200000, PATTERN_GAVE_UP, 'a' },
	{ "^(?:(?:a)*?b)*?c", 200000, PATTERN_GAVE_UP, 'a' },
};

START_TEST(bomb)
{
	char *text = malloc(bombs[_i].n + 1);
	struct slice matched;
	struct timespec from, to;
	enum pattern_result r;
	struct one o;

	memset(text, bombs[_i].fill, bombs[_i].n);
	text[bombs[_i].n] = '!';
	one_open(&o, bombs[_i].source);
	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
	r = pattern_find(o.scan, o.id, slice_of(text, bombs[_i].n + 1), &matched);
	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
	ck_assert_msg((to.tv_sec - from.tv_sec) < 3, "%s took %d s", bombs[_i].source,
	    (int)(to.tv_sec - from.tv_sec));
	ck_assert(r == PATTERN_MISS || r == PATTERN_GAVE_UP || r == bombs[_i].may);
	one_close(&o);
	free(text);
}
END_TEST

/* Not only each pattern, all of them over one message have a budget. */
START_TEST(bombs_together)
{
	enum { N = 1000000 };
	char *text = malloc(N);
	struct pattern_set *set = pattern_set_new();
	struct pattern_scan *scan = pattern_scan_new(set);
	struct timespec from, to;
	struct slice matched;
	uint32_t id;

	memset(text, 'a', N);
	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
	for (int c = '0'; c <= '9'; c++)
		for (int d = '0'; d <= '9'; d++) {
			char source[] = { '[', 'a', '-', 'z', ']', '+', (char)c, (char)d };

			ck_assert_int_eq(
			    pattern_set_add(set, slice_of(source, sizeof(source)), &id, NULL), 0);
			ck_assert_int_ne(
			    pattern_find(scan, id, slice_of(text, N), &matched), PATTERN_HIT);
		}
	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
	ck_assert_int_lt(to.tv_sec - from.tv_sec, 10);
	pattern_scan_free(&scan);
	pattern_set_free(&set);
	free(text);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("pattern");
	TCase *tc = tcase_create("pattern");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, find, 0, COUNT(finds));
	tcase_add_loop_test(tc, refuses, 0, COUNT(bad));
	tcase_add_test(tc, too_long);
	tcase_add_test(tc, shares);
	tcase_add_test(tc, remembers);
	tcase_add_test(tc, remembers_many);
	tcase_add_test(tc, long_text);
	tcase_add_loop_test(tc, bomb, 0, COUNT(bombs));
	tcase_add_test(tc, many_short_bombs);
	tcase_add_test(tc, bombs_together);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
