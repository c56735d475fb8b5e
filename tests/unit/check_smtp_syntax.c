#include "config.h"

#include "unit.h"

#include "weir/smtp_syntax.h"

#define REV SMTP_REVERSE_PATH
#define FWD SMTP_FORWARD_PATH

static const struct {
	const char *why, *argument;
	enum smtp_path_kind kind;
	const char *address, *local, *domain, *rest;
} good[] = {
	{ "plain", "<a@b.example>", REV, "a@b.example", "a", "b.example", "" },
	{ "W59 null reverse-path", "<>", REV, "", "", "", "" },
	{ "null with parameters", "<> SIZE=1", REV, "", "", "", "SIZE=1" },
	{ "W59 postmaster", "<postmaster>", FWD, "postmaster", "postmaster", "", "" },
	{ "W59 any case", "<PostMaster> NOTIFY=NEVER", FWD, "PostMaster", "PostMaster", "",
	    "NOTIFY=NEVER" },
	{ "spaces before parameters", "<a@b>   X", FWD, "a@b", "a", "b", "X" },
	{ "trailing spaces", "<a@b>  ", FWD, "a@b", "a", "b", "" },
	{ "quoted", "<\"a b\"@c>", REV, "\"a b\"@c", "\"a b\"", "c", "" },
	{ "quoted with bracket and at", "<\"a>@b\"@c> X", REV, "\"a>@b\"@c", "\"a>@b\"", "c", "X" },
	{ "quoted pair", "<\"a\\\"b\"@c>", REV, "\"a\\\"b\"@c", "\"a\\\"b\"", "c", "" },
	{ "empty quoted", "<\"\"@c>", REV, "\"\"@c", "\"\"", "c", "" },
	{ "dots as they are in use", "<.a..b.@c>", REV, ".a..b.@c", ".a..b.", "c", "" },
	{ "atext", "<a!#$%&'*+-/=?^_`{|}~b@c>", REV, "a!#$%&'*+-/=?^_`{|}~b@c",
	    "a!#$%&'*+-/=?^_`{|}~b", "c", "" },
	{ "IPv4 literal", "<a@[192.0.2.1]>", REV, "a@[192.0.2.1]", "a", "[192.0.2.1]", "" },
	{ "IPv6 literal", "<a@[ipv6:2001:db8::1]>", REV, "a@[ipv6:2001:db8::1]", "a",
	    "[ipv6:2001:db8::1]", "" },
	{ "underscore in a domain", "<a@_x.b>", REV, "a@_x.b", "a", "_x.b", "" },
	{ "W59 source route", "<@a,@b:c@d>", FWD, "c@d", "c", "d", "" },
	{ "W59 source route with a literal", "<@[192.0.2.1]:c@d>", FWD, "c@d", "c", "d", "" },
	{ "W59 source route to postmaster", "<@a:postmaster>", FWD, "postmaster", "postmaster", "",
	    "" },
	{ "W43 UTF-8 local part", "<\xc3\xbc@b>", REV, "\xc3\xbc@b", "\xc3\xbc", "b", "" },
	{ "W43 UTF-8 domain", "<a@\xc3\xbc.de>", REV, "a@\xc3\xbc.de", "a", "\xc3\xbc.de", "" },
	{ "W43 UTF-8 quoted", "<\"\xc3\xbc\"@b>", REV, "\"\xc3\xbc\"@b", "\"\xc3\xbc\"", "b", "" },
	{ "UTF-8 in the source route only", "<@\xc3\xbc:c@d>", FWD, "c@d", "c", "d", "" },
	{ "W46 local part over 64",
	    "<0123456789012345678901234567890123456789012345678901234567890123456789@b>", REV,
	    "0123456789012345678901234567890123456789012345678901234567890123456789@b",
	    "0123456789012345678901234567890123456789012345678901234567890123456789", "b", "" },
};
static bool has_high_octets(const char *z)
{
	while (*z != '\0')
		if ((unsigned char)*z++ > 0x7f)
			return true;
	return false;
}

START_TEST(parses)
{
	struct smtp_path p;
	struct slice rest;
	struct err e = { "" };

	ck_assert_msg(
	    smtp_path_parse(slice_z(good[_i].argument), good[_i].kind, &p, &rest, &e) == 0,
	    "%s: %s", good[_i].why, e.text);
	ck_assert_slice_eq(p.address, good[_i].address);
	ck_assert_slice_eq(p.local, good[_i].local);
	ck_assert_slice_eq(p.domain, good[_i].domain);
	ck_assert_slice_eq(rest, good[_i].rest);
	ck_assert_int_eq(p.utf8, has_high_octets(good[_i].address));
}
END_TEST

#define W(lit)                          \
	{                               \
		"" lit, sizeof(lit) - 1 \
	}
static const struct {
	struct slice argument;
	enum smtp_path_kind kind;
	const char *why;
} bad[] = {
	{ W(""), REV, "no '<' before the address" },
	{ W("a@b"), REV, "no '<' before the address" },
	{ W(" <a@b>"), REV, "no '<' before the address" }, /* W58: the caller may skip it */
	{ W("<"), FWD, "no local part, or a broken one" },
	{ W("<"), REV, "no '>' right behind the address" },
	{ W("<>"), FWD, "no local part, or a broken one" }, /* W59 */
	{ W("<postmaster>"), REV, "no '@' and domain behind the local part" },
	{ W("<bob>"), FWD, "no '@' and domain behind the local part" },
	{ W("<a@b"), REV, "no '>' right behind the address" },
	{ W("<a@b>X"), REV, "no space behind '>'" },
	{ W("<a@b>\tX"), REV, "no space behind '>'" },
	{ W("<a@b >"), REV, "no '>' right behind the address" },
	{ W("< a@b>"), REV, "no local part, or a broken one" },
	{ W("<a@>"), REV, "no domain behind '@', or a broken one" },
	{ W("<@b>"), REV, "broken source route" },
	{ W("<@a,b:c@d>"), FWD, "broken source route" }, /* W59 */
	{ W("<@a,@:c@d>"), FWD, "broken source route" },
	{ W("<@a,@b>"), FWD, "broken source route" },
	{ W("<@a,@b:>"), FWD, "no local part, or a broken one" },
	{ W("<@a:>"), REV, "no local part, or a broken one" },
	{ W("<@a,"), FWD, "broken source route" },
	{ W("<a@b@c>"), REV, "no '>' right behind the address" },
	{ W("<a b@c>"), REV, "no '@' and domain behind the local part" },
	{ W("<a\0@c>"), REV, "no '@' and domain behind the local part" },
	{ W("<a\r@c>"), REV, "no '@' and domain behind the local part" },
	{ W("<a@c\0>"), REV, "no '>' right behind the address" },
	{ W("<\"a@c>"), REV, "no local part, or a broken one" },
	{ W("<\"a\\"), REV, "no local part, or a broken one" },
	{ W("<\"a\nb\"@c>"), REV, "no local part, or a broken one" },
	{ W("<\"a\\\0b\"@c>"), REV, "no local part, or a broken one" },
	{ W("<\"a\"b@c>"), REV, "no '@' and domain behind the local part" },
	{ W("<a@b..c>"), REV, "no domain behind '@', or a broken one" },
	{ W("<a@.b>"), REV, "no domain behind '@', or a broken one" },
	{ W("<a@b.>"), REV, "no domain behind '@', or a broken one" },
	{ W("<a@-b>"), REV, "no domain behind '@', or a broken one" },
	{ W("<a@b-.c>"), REV, "no domain behind '@', or a broken one" },
	{ W("<a@[192.0.2.256]>"), REV, "no domain behind '@', or a broken one" },
	{ W("<a@[2001:db8::1]>"), REV, "no domain behind '@', or a broken one" },
	{ W("<a@[IPv6:192.0.2.1]>"), REV, "no domain behind '@', or a broken one" },
	{ W("<a@[]>"), REV, "no domain behind '@', or a broken one" },
	{ W("<a@["), REV, "no domain behind '@', or a broken one" },
	{ W("<\xfc@b>"), REV, "the address is no well-formed UTF-8" }, /* W43 */
	{ W("<a@\xc0\xaf>"), REV, "the address is no well-formed UTF-8" },
	{ W("<@\xff:a@b>"), FWD, "the address is no well-formed UTF-8" },
};
START_TEST(refuses)
{
	struct smtp_path p = { .utf8 = true };
	struct slice rest = SLICE("rest");
	struct err e = { "" };

	ck_assert_int_eq(smtp_path_parse(bad[_i].argument, bad[_i].kind, &p, &rest, &e), -1);
	ck_assert_str_eq(e.text, bad[_i].why);
	ck_assert(p.utf8);
	ck_assert_slice_eq(rest, "rest");
}
END_TEST

/* W46: 256 octets with the brackets are good, 257 are not. */
START_TEST(path_limit)
{
	struct bytes argument = { 0 };
	struct smtp_path p;
	struct slice rest;

	(void)bytes_addf(&argument, "<%0*d@b>", SMTP_PATH_MAX - 4, 1);
	ck_assert_uint_eq(argument.n, SMTP_PATH_MAX);
	ck_assert_int_eq(smtp_path_parse(bytes_slice(&argument), REV, &p, &rest, NULL), 0);
	bytes_clear(&argument);
	(void)bytes_addf(&argument, "<%0*d@b>", SMTP_PATH_MAX - 3, 1);
	ck_assert_int_eq(smtp_path_parse(bytes_slice(&argument), REV, &p, &rest, NULL), -1);
	bytes_free(&argument);
}
END_TEST

static const struct {
	const char *text;
	enum smtp_path_kind kind;
	const char *address; /* NULL: refused */
} addresses[] = {
	{ "a@b", FWD, "a@b" },
	{ "<a@b>", FWD, "a@b" },
	{ "", REV, "" },
	{ "<>", REV, "" },
	{ "", FWD, NULL },
	{ "postmaster", FWD, "postmaster" },
	{ "a@b c", FWD, NULL },
	{ "<a@b> X", FWD, NULL },
	{ "a@b>", FWD, NULL },
	{ "@a:b@c", FWD, "b@c" },
};
START_TEST(lone_addresses)
{
	struct smtp_path p;
	int rc = smtp_address_parse(slice_z(addresses[_i].text), addresses[_i].kind, &p, NULL);

	ck_assert_int_eq(rc, addresses[_i].address != NULL ? 0 : -1);
	if (rc == 0)
		ck_assert_slice_eq(p.address, addresses[_i].address);
}
END_TEST

static const struct {
	const char *rest, *shown; /* "KEY=value|KEY|": NULL is an error, then `why` */
	const char *why;
} parameters[] = {
	{ "", "", NULL },
	{ "SIZE=100", "SIZE=100|", NULL },
	{ "SIZE=100 BODY=8BITMIME SMTPUTF8", "SIZE=100|BODY=8BITMIME|SMTPUTF8|", NULL },
	{ "SMTPUTF8   SIZE=1 ", "SMTPUTF8|SIZE=1|", NULL },
	{ "AUTH=<>", "AUTH=<>|", NULL }, /* W110 */
	{ "ORCPT=rfc822;a=b@c", "ORCPT=rfc822;a=b@c|", NULL },
	{ "X-1=a", "X-1=a|", NULL },
	{ "ORCPT=utf-8;\xc3\xbc@b", "ORCPT=utf-8;\xc3\xbc@b|", NULL },
	{ "SIZE=", NULL, "broken parameter \"SIZE=\"" },
	{ "=1", NULL, "broken parameter \"=1\"" },
	{ "-A=1", NULL, "broken parameter \"-A=1\"" },
	{ "SI ZE!=1", NULL, "broken parameter \"ZE!=1\"" },
	{ "A=\x01", NULL, "broken parameter \"A=\x01\"" },
	{ "A=b\tC=d", NULL, "broken parameter \"A=b\tC=d\"" },
	{ "A=\xff", NULL, "broken parameter \"A=\xff\"" },
	{ "SIZE=1 size=2", NULL, "parameter given twice: \"size=2\"" },
};
START_TEST(esmtp_parameters)
{
	struct smtp_parameter v[SMTP_PARAMETERS_MAX];
	struct bytes shown = { 0 };
	struct err e = { "" };
	size_t n = 77;
	int rc = smtp_parameters_parse(slice_z(parameters[_i].rest), v, &n, &e);

	if (parameters[_i].shown == NULL) {
		ck_assert_int_eq(rc, -1);
		ck_assert_str_eq(e.text, parameters[_i].why);
		ck_assert_uint_eq(n, 77);
		return;
	}
	ck_assert_msg(rc == 0, "%s", e.text);
	(void)bytes_add(&shown, SLICE(""));
	for (size_t i = 0; i < n; i++)
		(void)bytes_addf(&shown, "%.*s%s%.*s|", SLICE_ARG(v[i].keyword),
		    v[i].value.p != NULL ? "=" : "", SLICE_ARG(v[i].value));
	ck_assert_str_eq(shown.p, parameters[_i].shown);
	bytes_free(&shown);
}
END_TEST

START_TEST(too_many_parameters)
{
	struct smtp_parameter v[SMTP_PARAMETERS_MAX];
	struct bytes rest = { 0 };
	size_t n;

	for (int i = 0; i < SMTP_PARAMETERS_MAX; i++)
		(void)bytes_addf(&rest, " X%d", i);
	ck_assert_int_eq(smtp_parameters_parse(bytes_slice(&rest), v, &n, NULL), 0);
	ck_assert_uint_eq(n, SMTP_PARAMETERS_MAX);
	(void)bytes_add(&rest, SLICE(" Y"));
	ck_assert_int_eq(smtp_parameters_parse(bytes_slice(&rest), v, &n, NULL), -1);
	bytes_free(&rest);
}
END_TEST

static const struct {
	struct slice name;
	bool helo, domain;
} names[] = {
	{ W("mx.example.org"), true, true },
	{ W("localhost"), true, true },
	{ W("[192.0.2.1]"), true, true },
	{ W("[IPv6:::1]"), true, true },
	{ W("my_pc"), true, true },
	{ W("-x-"), true, false },
	{ W("example.org."), true, false },
	{ W("b\xc3\xbc.de"), true, true },
	{ W("b\xfc.de"), false, true }, /* the path's own check looks at UTF-8 */
	{ W(""), false, false },
	{ W("a b"), false, false },
	{ W("a\tb"), false, false },
	{ W("a\0b"), false, false },
	{ W("0123456789012345678901234567890123456789012345678901234567890123"), true, false },
};
START_TEST(names_of_hosts)
{
	ck_assert_int_eq(smtp_helo_valid(names[_i].name), names[_i].helo);
	ck_assert_int_eq(smtp_domain_valid(names[_i].name), names[_i].domain);
}
END_TEST

START_TEST(name_limit)
{
	char name[SMTP_DOMAIN_MAX + 1];

	for (size_t i = 0; i < sizeof(name); i++)
		name[i] = i % 2 == 0 ? 'a' : '.';
	ck_assert(smtp_domain_valid(slice_of(name, SMTP_DOMAIN_MAX)));
	ck_assert(smtp_helo_valid(slice_of(name, SMTP_DOMAIN_MAX)));
	name[SMTP_DOMAIN_MAX] = 'a';
	name[SMTP_DOMAIN_MAX - 1] = 'a';
	ck_assert(!smtp_domain_valid(slice_of(name, sizeof(name))));
	ck_assert(!smtp_helo_valid(slice_of(name, sizeof(name))));
}
END_TEST

static const struct {
	const char *xtext, *text; /* text NULL: refused with why */
	const char *why, *again;  /* encoded again; NULL: as before */
} xtexts[] = {
	{ "", "", NULL, NULL },
	{ "abc", "abc", NULL, NULL },
	{ "a+2Bb+3Dc+20d", "a+b=c d", NULL, NULL },
	{ "+2b", "+", NULL, "+2B" },
	{ "a=b", "a=b", NULL, "a+3Db" },
	{ "\xc3\xbc", "\xc3\xbc", NULL, "+C3+BC" },
	{ "+00", NULL, "encoded NUL", NULL }, /* W09 */
	{ "a+0", NULL, "no two hexadecimal digits behind '+'", NULL },
	{ "+", NULL, "no two hexadecimal digits behind '+'", NULL },
	{ "+G0", NULL, "no two hexadecimal digits behind '+'", NULL },
	{ "a b", NULL, "octet 32 stands bare in xtext", NULL },
	{ "a\x7f", NULL, "octet 127 stands bare in xtext", NULL },
	{ "0123456789012345678901234567890", "0123456789012345678901234567890", NULL, NULL },
	{ "01234567890123456789012345678901", NULL, "longer than 31 octets", NULL },
};
START_TEST(xtext)
{
	char store[32] = "", store_again[100] = "";
	struct buf text = BUF_ON(store), again = BUF_ON(store_again);
	struct err e = { "" };
	int rc = smtp_xtext_decode(slice_z(xtexts[_i].xtext), &text, &e);

	ck_assert_int_eq(rc, xtexts[_i].text != NULL ? 0 : -1);
	if (rc < 0) {
		ck_assert_str_eq(e.text, xtexts[_i].why);
		ck_assert_str_eq(store, "");
		return;
	}
	ck_assert_str_eq(store, xtexts[_i].text);
	smtp_xtext_encode(buf_slice(&text), &again);
	ck_assert_str_eq(
	    store_again, xtexts[_i].again != NULL ? xtexts[_i].again : xtexts[_i].xtext);
}
END_TEST

#define X10  "xxxxxxxxxx"
#define X100 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10
enum value { SIZE, NOTIFY, ORCPT, ORCPT_UTF8, ENVID };
static const struct {
	enum value which;
	const char *value;
	bool valid;
} values[] = {
	{ SIZE, "0", true },
	{ SIZE, "18446744073709551615", true },
	{ SIZE, "99999999999999999999", true },
	{ SIZE, "00000000000000000001", true },
	{ SIZE, "000000000000000000001", false },
	{ SIZE, "", false },
	{ SIZE, "1k", false },
	{ SIZE, "-1", false },
	{ SIZE, "99999999999999999x", false },
	{ NOTIFY, "NEVER", true },
	{ NOTIFY, "never", true },
	{ NOTIFY, "SUCCESS", true },
	{ NOTIFY, "delay,Failure,SUCCESS", true },
	{ NOTIFY, "", false },
	{ NOTIFY, "NEVER,DELAY", false },
	{ NOTIFY, "DELAY,NEVER", false },
	{ NOTIFY, "SUCCESS,", false },
	{ NOTIFY, ",SUCCESS", false },
	{ NOTIFY, "SUCCESS,,DELAY", false },
	{ NOTIFY, "SUCCESS,SUCCESS", false },
	{ NOTIFY, "SUCCESS;DELAY", false },
	{ NOTIFY, "SOMETIMES", false },
	{ ORCPT, "rfc822;b@x", true },
	{ ORCPT, "X-y;+20a+2B", true },
	{ ORCPT, "rfc822;a=b@x", true }, /* of VERP, bare against the letter */
	{ ORCPT, "rfc822;", false },
	{ ORCPT, ";b@x", false },
	{ ORCPT, "rfc822", false },
	{ ORCPT, "rfc(822;b", false },
	{ ORCPT, "rfc822;a+0Ab", false },
	{ ORCPT, "rfc822;a+00b", false }, /* W09 */
	{ ORCPT, "rfc822;a+7Fb", false },
	{ ORCPT, "rfc822;a+b", false },
	{ ORCPT, "utf-8;\xc3\xbc@x", false },
	{ ORCPT, "rfc822;" X100 X100 X100 X100 X10 X10 X10 X10 X10 X10 X10 X10 X10 "123", true },
	{ ORCPT, "rfc822;" X100 X100 X100 X100 X10 X10 X10 X10 X10 X10 X10 X10 X10 "1234", false },
	{ ORCPT_UTF8, "utf-8;\xc3\xbc@x", true },
	{ ORCPT_UTF8, "rfc822;b@x", true },
	{ ORCPT_UTF8, "\xc3\xbc;b@x", false },
	{ ENVID, "QQ314159", true },
	{ ENVID, "a+20b+3D", true },
	{ ENVID, X100, true },
	{ ENVID, X10 X10 X10 X10 X10 X10 X10 X10 X10 "+20+20+20+20+20+20+20+20+20+20", true },
	{ ENVID, X100 "x", false },
	{ ENVID, "", false },
	{ ENVID, "a+0D+0A", false },
	{ ENVID, "a+00", false }, /* W09 */
	{ ENVID, "\xc3\xbc", false },
};
START_TEST(values_of_parameters)
{
	struct slice v = slice_z(values[_i].value);
	uint64_t size = 0;
	bool valid = false;

	switch (values[_i].which) {
	case SIZE:
		valid = smtp_size_parse(v, &size, NULL) == 0;
		break;
	case NOTIFY:
		valid = smtp_notify_valid(v);
		break;
	case ORCPT:
	case ORCPT_UTF8:
		valid = smtp_orcpt_valid(v, values[_i].which == ORCPT_UTF8);
		break;
	case ENVID:
		valid = smtp_envid_valid(v);
		break;
	}
	ck_assert_msg(valid == values[_i].valid, "%s", values[_i].value);
}
END_TEST

START_TEST(size_beyond_all_numbers)
{
	uint64_t size;

	ck_assert_int_eq(smtp_size_parse(SLICE("18446744073709551616"), &size, NULL), 0);
	ck_assert(size == UINT64_MAX);
	ck_assert_int_eq(smtp_size_parse(SLICE("00010"), &size, NULL), 0);
	ck_assert_uint_eq(size, 10);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("smtp_syntax");
	TCase *tc = tcase_create("smtp_syntax");

	tcase_add_loop_test(tc, parses, 0, COUNT(good));
	tcase_add_loop_test(tc, refuses, 0, COUNT(bad));
	tcase_add_test(tc, path_limit);
	tcase_add_loop_test(tc, lone_addresses, 0, COUNT(addresses));
	tcase_add_loop_test(tc, esmtp_parameters, 0, COUNT(parameters));
	tcase_add_test(tc, too_many_parameters);
	tcase_add_loop_test(tc, names_of_hosts, 0, COUNT(names));
	tcase_add_test(tc, name_limit);
	tcase_add_loop_test(tc, xtext, 0, COUNT(xtexts));
	tcase_add_loop_test(tc, values_of_parameters, 0, COUNT(values));
	tcase_add_test(tc, size_beyond_all_numbers);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
