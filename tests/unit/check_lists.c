#include "config.h"

#include "facts_fixture.h"
#include "unit.h"

#include <stdio.h>

#include "milterd/rules/list.h"

static struct list *list_from(enum list_kind kind, struct pattern_set *set, const char *items)
{
	struct list *l = list_new(kind, set);
	struct slice rest = slice_z(items);
	struct err e;

	while (rest.n > 0) {
		struct slice item = slice_cut(&rest, ' ');

		ck_assert_msg(list_add(l, item, &e) == 0, "%s", e.text);
	}
	list_seal(l);
	return l;
}

/* items are parted by spaces */
static const struct {
	enum list_kind kind;
	bool in;
	const char *items, *value;
	const char *matched; /* NULL: nothing is told */
} members[] = {
	{ LIST_STRINGS, true, "one Two THREE", "two", NULL },
	{ LIST_STRINGS, false, "one Two THREE", "tw", NULL },
	{ LIST_STRINGS, true, "one one ONE", "one", NULL },
	{ LIST_STRINGS, false, "one", "", NULL },
	{ LIST_STRINGS, true, "\xc3\xa4", "\xc3\xa4", NULL },
	{ LIST_STRINGS, false, "\xc3\xa4", "\xc3\x84", NULL }, /* ASCII case only */
	{ LIST_DOMAINS, true, "example.org", "example.org", NULL },
	{ LIST_DOMAINS, true, "example.org", "A.B.Example.ORG", NULL },
	{ LIST_DOMAINS, false, "example.org", "xexample.org", NULL },
	{ LIST_DOMAINS, false, "example.org", "org", NULL },
	{ LIST_DOMAINS, true, "org", "example.org", NULL },
	{ LIST_DOMAINS, true, ".example.org.", "user@mx.example.org.", NULL },
	{ LIST_DOMAINS, false, "example.org", "example.org@evil.example", NULL },
	{ LIST_DOMAINS, false, "example.org", "", NULL },
	{ LIST_DOMAINS, false, "example.org", "...", NULL },
	{ LIST_DOMAINS, true, "a.b.c", "x.a.b.c", NULL },
	{ LIST_DOMAINS, false, "a.b.c", "b.c", NULL },
	{ LIST_GLOBS, true, "*.exe inv?ice*", "SETUP.EXE", NULL },
	{ LIST_GLOBS, true, "*.exe inv?ice*", "invoice 7", NULL },
	{ LIST_GLOBS, false, "*.exe inv?ice*", "a.exe.txt", NULL },
	{ LIST_GLOBS, true, "a*b*c", "aXXbXXc", NULL },
	{ LIST_GLOBS, true, "a*b*c", "abcbc", NULL }, { LIST_GLOBS, false, "a*b*c", "abcb", NULL },
	{ LIST_GLOBS, false, "?", "", NULL }, { LIST_GLOBS, true, "**", "", NULL },
	{ LIST_PARTS, true, "foo Bar", "xxbarxx", "bar" },
	{ LIST_PARTS, false, "foo Bar", "xxbaxx", NULL },
	{ LIST_REGEXES, true, "^a+$ b.d", "xxbcdxx", "bcd" },
	{ LIST_REGEXES, true, "^a+$ b.d", "aaa", "aaa" },
	{ LIST_REGEXES, false, "^a+$ b.d", "aab", NULL },
	{ LIST_NETWORKS, false, "10.0.0.0/8", "10.0.0.0", NULL }, /* text is no address */
};

START_TEST(member)
{
	struct pattern_set *set = pattern_set_new();
	struct list *l = list_from(members[_i].kind, set, members[_i].items);
	struct pattern_scan *scan = pattern_scan_new(set);
	struct value v = value_string(slice_z(members[_i].value));
	struct slice matched = { 0 };

	ck_assert_int_eq(list_match(l, scan, &v, &matched), members[_i].in ? TRUTH_YES : TRUTH_NO);
	if (members[_i].matched != NULL)
		ck_assert_slice_eq(matched, members[_i].matched);
	ck_assert_int_eq(list_match(l, scan, &value_unknown, &matched), TRUTH_UNKNOWN);
	pattern_scan_free(&scan);
	list_free(&l);
	pattern_set_free(&set);
}
END_TEST

static const struct {
	enum list_kind kind;
	const char *item, *error;
} refused[] = {
	{ LIST_DOMAINS, "", "\"\" is no domain" },
	{ LIST_DOMAINS, "a b", "\"a b\" is no domain" },
	{ LIST_DOMAINS, "*.example.org", "\"*.example.org\" is no domain" },
	{ LIST_DOMAINS, "user@example.org", "\"user@example.org\" is no domain" },
	{ LIST_NETWORKS, "10.0.0.1/8", "\"10.0.0.1/8\" has bits set behind its prefix" },
	{ LIST_NETWORKS, "host", "\"host\" is no IPv4 or IPv6 address" },
	{ LIST_REGEXES, "a(", "bad regex at octet 2: missing closing parenthesis" },
	{ LIST_REGEXES, "\\C", "bad regex at octet 2: using \\C is disabled by the application" },
	{ LIST_NUMBERS, "1", "numbers are wanted" },
};

START_TEST(refuses)
{
	struct pattern_set *set = pattern_set_new();
	struct list *l = list_new(refused[_i].kind, set);
	struct err e;

	ck_assert_int_eq(list_add(l, slice_z(refused[_i].item), &e), -1);
	ck_assert_str_eq(e.text, refused[_i].error);
	ck_assert_uint_eq(list_count(l), 0);
	list_free(&l);
	pattern_set_free(&set);
}
END_TEST

START_TEST(too_long)
{
	char item[LIST_ITEM_MAX + 1];
	struct list *l = list_new(LIST_STRINGS, NULL);
	struct err e;

	memset(item, 'x', sizeof(item));
	ck_assert_int_eq(list_add(l, slice_of(item, LIST_ITEM_MAX), &e), 0);
	ck_assert_int_eq(list_add(l, slice_of(item, LIST_ITEM_MAX + 1), &e), -1);
	ck_assert_str_eq(e.text, "longer than 1024 octets");
	list_free(&l);
}
END_TEST

static bool has_address(const struct list *l, const char *text)
{
	struct address a;
	struct slice matched;
	struct value v;

	ck_assert_int_eq(address_parse(slice_z(text), &a, NULL), 0);
	v = value_address(a);
	return list_match(l, NULL, &v, &matched) == TRUTH_YES;
}

/* Against the plain way, on nested and neighbouring networks of both families. */
START_TEST(networks)
{
	static const char *const nets[] = { "10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "192.0.2.0/25",
		"192.0.2.128/25", "192.0.2.77", "0.0.0.0/32", "255.255.255.255", "2001:db8::/32",
		"2001:db8:1::/48", "fe80::/10", "::1" };
	static const char *const probes[] = { "9.255.255.255", "10.0.0.0", "10.1.2.3",
		"10.255.255.255", "11.0.0.0", "192.0.1.255", "192.0.2.0", "192.0.2.127",
		"192.0.2.128", "192.0.2.255", "192.0.3.0", "0.0.0.0", "0.0.0.1", "255.255.255.254",
		"255.255.255.255", "2001:db7:ffff::", "2001:db8::", "2001:db8:ffff::1",
		"2001:db9::", "fe80::1", "febf::1", "fec0::1", "::", "::1", "::2" };
	struct list *l = list_new(LIST_NETWORKS, NULL);
	struct err e;

	for (size_t i = 0; i < COUNT(nets); i++)
		ck_assert_int_eq(list_add(l, slice_z(nets[COUNT(nets) - 1 - i]), &e), 0);
	list_seal(l);
	for (size_t p = 0; p < COUNT(probes); p++) {
		struct address a;
		bool in = false;

		ck_assert_int_eq(address_parse(slice_z(probes[p]), &a, NULL), 0);
		for (size_t i = 0; i < COUNT(nets); i++) {
			struct network n;

			ck_assert_int_eq(network_parse(slice_z(nets[i]), &n, &e), 0);
			in |= network_has(&n, &a);
		}
		ck_assert_msg(has_address(l, probes[p]) == in, "%s", probes[p]);
	}
	list_free(&l);
}
END_TEST

START_TEST(everything)
{
	struct list *l = list_new(LIST_NETWORKS, NULL);
	struct value local = value_address((struct address){ .family = AF_UNIX });
	struct slice matched;
	struct err e;

	ck_assert_int_eq(list_add(l, SLICE("0.0.0.0/0"), &e), 0);
	list_seal(l);
	ck_assert(has_address(l, "0.0.0.0"));
	ck_assert(has_address(l, "255.255.255.255"));
	ck_assert(!has_address(l, "::"));
	ck_assert_int_eq(list_match(l, NULL, &local, &matched), TRUTH_NO);
	list_free(&l);
}
END_TEST

/* As large as a list of domains in use: all are found, none that is not there. */
START_TEST(large)
{
	struct list *l = list_new(LIST_DOMAINS, NULL);
	struct slice matched;
	char name[64];
	struct err e;

	for (int i = 0; i < 50000; i++) {
		(void)snprintf(name, sizeof(name), "d%d.example", i * 7);
		ck_assert_int_eq(list_add(l, slice_z(name), &e), 0);
	}
	list_seal(l);
	ck_assert_uint_eq(list_count(l), 50000);
	for (int i = 0; i < 350000; i++) {
		struct value v;

		(void)snprintf(name, sizeof(name), "www.D%d.example", i);
		v = value_string(slice_z(name));
		ck_assert_int_eq(
		    list_match(l, NULL, &v, &matched), i % 7 == 0 ? TRUTH_YES : TRUTH_NO);
	}
	list_free(&l);
}
END_TEST

START_TEST(numbers)
{
	struct list *l = list_new(LIST_NUMBERS, NULL);
	struct value three = value_number(3), four = value_number(4),
		     text = value_string(SLICE("3"));
	struct slice matched;
	struct err e;

	ck_assert_int_eq(list_add_number(l, 1, &e), 0);
	ck_assert_int_eq(list_add_number(l, 3, &e), 0);
	list_seal(l);
	ck_assert_int_eq(list_match(l, NULL, &three, &matched), TRUTH_YES);
	ck_assert_int_eq(list_match(l, NULL, &four, &matched), TRUTH_NO);
	ck_assert_int_eq(list_match(l, NULL, &text, &matched), TRUTH_NO);
	list_free(&l);
}
END_TEST

static const struct {
	const char *name, *domain;
	bool within;
} domains[] = {
	{ "example.org", "example.org", true },
	{ "a.example.org", "example.org", true },
	{ "aexample.org", "example.org", false },
	{ "example.org", "a.example.org", false },
	{ "EXAMPLE.org", "example.ORG", true },
	{ "example.org", "", false },
	{ "", "", false },
};

START_TEST(within)
{
	ck_assert_int_eq(domain_within(slice_z(domains[_i].name), slice_z(domains[_i].domain)),
	    domains[_i].within);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("lists");
	TCase *tc = tcase_create("lists");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, member, 0, COUNT(members));
	tcase_add_loop_test(tc, refuses, 0, COUNT(refused));
	tcase_add_test(tc, too_long);
	tcase_add_test(tc, networks);
	tcase_add_test(tc, everything);
	tcase_add_test(tc, large);
	tcase_add_test(tc, numbers);
	tcase_add_loop_test(tc, within, 0, COUNT(domains));
	suite_add_tcase(s, tc);
	return unit_run(s);
}
