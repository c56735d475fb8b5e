#include "config.h"

#include "unit.h"

#include "proxy/smtp/xclient.h"

static const struct {
	const char *argument, *why; /* why NULL: it is good */
} cases[] = {
	{ "ADDR=192.0.2.7", NULL },
	{ "ADDR=192.0.2.7 PORT=1", NULL },
	{ "  addr=192.0.2.7   port=1 ", NULL },
	{ "ADDR=IPV6:2001:db8::7", NULL },
	{ "ADDR=ipv6:2001:db8::7", NULL },
	{ "ADDR=[UNAVAILABLE] NAME=[TEMPUNAVAIL]", NULL },
	{ "NAME=a+2Db.test", NULL },
	{ "HELO=[192.0.2.7]", NULL },
	{ "HELO=an+20odd+20one", NULL },
	{ "PROTO=smtp", NULL },
	{ "TTL=255", NULL },
	{ "LOGIN=alice+40example.test", NULL },
	{ "", "Syntax: XCLIENT attribute=value..." },
	{ "   ", "Syntax: XCLIENT attribute=value..." },
	{ "FOO=1", "Attribute not known" },
	{ "=1", "Attribute not known" },
	{ "ADDR", "Bad value of ADDR" },
	{ "ADDR=", "Bad value of ADDR" },
	{ "ADDR=2001:db8::7", "Bad value of ADDR" },
	{ "ADDR=IPV6:192.0.2.7", "Bad value of ADDR" },
	{ "ADDR=192.0.2.7+00", "Bad value of ADDR" },
	{ "ADDR=192.0.2.7+", "Bad value of ADDR" },
	{ "PORT=65536", "Bad value of PORT" },
	{ "PORT=-1", "Bad value of PORT" },
	{ "DESTPORT=x", "Bad value of DESTPORT" },
	{ "DESTADDR=x", "Bad value of DESTADDR" },
	{ "TTL=256", "Bad value of TTL" },
	{ "PROTO=LMTP", "Bad value of PROTO" },
	{ "NAME=a+0D+0Ab", "Bad value of NAME" },
	{ "NAME=a+20b", "Bad value of NAME" },
	{ "REVERSE_NAME=a..b", "Bad value of REVERSE_NAME" },
	{ "LOGIN=a+09b", "Bad value of LOGIN" },
	{ "HELO=a+0Ab", "Bad value of HELO" },
	{ "ADDR=192.0.2.7 PORT=x", "Bad value of PORT" },
};
START_TEST(argument)
{
	struct xclient x = { .ttl.number = 77 };
	struct err e = { "" };
	int rc = xclient_parse(slice_z(cases[_i].argument), &x, &e);

	if (cases[_i].why == NULL) {
		ck_assert_msg(rc == 0, "%s", e.text);
		return;
	}
	ck_assert_int_eq(rc, -1);
	ck_assert_str_eq(e.text, cases[_i].why);
	ck_assert_uint_eq(x.ttl.number, 77); /* untouched */
}
END_TEST

START_TEST(values)
{
	struct xclient x;
	struct err e = { "" };
	char text[ADDRESS_TEXT_MAX];

	ck_assert_int_eq(xclient_parse(SLICE("NAME=a+2Db.test ADDR=IPV6:2001:db8::7 PORT=77 "
					     "LOGIN=a LOGIN=al+2Bice HELO=[UNAVAILABLE]"),
			     &x, &e),
	    0);
	ck_assert_str_eq(x.name.text, "a-b.test");
	ck_assert_str_eq(address_text(&x.addr.address, text), "2001:db8::7");
	ck_assert_uint_eq(x.port.number, 77);
	ck_assert_str_eq(x.login.text, "al+ice"); /* the last of them */
	ck_assert_int_eq(x.helo.said, XCLIENT_UNAVAILABLE);
	ck_assert_str_eq(x.helo.text, "");
	ck_assert_int_eq(x.proto.said, XCLIENT_NOTHING);
}
END_TEST

/* No more than fits, with its NUL. */
START_TEST(long_value)
{
	char text[400] = "LOGIN=";
	struct xclient x;

	memset(text + 6, 'a', 255);
	ck_assert_int_eq(xclient_parse(slice_of(text, 6 + 255), &x, NULL), 0);
	ck_assert_uint_eq(strlen(x.login.text), 255);
	text[6 + 255] = 'a';
	ck_assert_int_eq(xclient_parse(slice_of(text, 6 + 256), &x, NULL), -1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("xclient");
	TCase *tc = tcase_create("xclient");

	tcase_add_loop_test(tc, argument, 0, COUNT(cases));
	tcase_add_test(tc, values);
	tcase_add_test(tc, long_value);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
