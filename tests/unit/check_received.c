#include "config.h"

#include "unit.h"

#include <stdlib.h>
#include <time.h>

#include "proxy/received.h"

static const struct {
	const char *helo, *client, *only;
	bool esmtp, utf8;
	const char *field;
} cases[] = {
	{ "mx.example", "192.0.2.7", "b@y", true, false,
	    "Received: from mx.example ([192.0.2.7])\r\n\tby us.test (Weir) with ESMTP id 7f.1\r\n"
	    "\tfor <b@y>; Thu, 1 Jan 1970 00:00:00 +0000\r\n" },
	{ "[192.0.2.7]", "192.0.2.7", NULL, false, false,
	    "Received: from [192.0.2.7] ([192.0.2.7])\r\n\tby us.test (Weir) with SMTP id 7f.1; "
	    "Thu, 1 Jan 1970 00:00:00 +0000\r\n" },
	{ "a(b)c\\d\r\nX: y", "2001:db8::1", NULL, true, false,
	    "Received: from a?b?c?d??X:?y ([IPv6:2001:db8::1])\r\n\tby us.test (Weir) with ESMTP "
	    "id "
	    "7f.1; Thu, 1 Jan 1970 00:00:00 +0000\r\n" },
	{ "\xc3\xbc.test", "192.0.2.7", "\xc3\xbc@y", true, true,
	    "Received: from \xc3\xbc.test ([192.0.2.7])\r\n\tby us.test (Weir) with UTF8SMTP id "
	    "7f.1\r\n\tfor <\xc3\xbc@y>; Thu, 1 Jan 1970 00:00:00 +0000\r\n" },
	{ "\xc3\xbc.test", "192.0.2.7", "\"a\n\"@y", true, false,
	    "Received: from ??.test ([192.0.2.7])\r\n\tby us.test (Weir) with ESMTP id "
	    "7f.1\r\n\tfor <\"a?\"@y>; Thu, 1 Jan 1970 00:00:00 +0000\r\n" },
};
START_TEST(field)
{
	char text[RECEIVED_MAX] = "";
	struct buf b = BUF_ON(text);
	struct address client;
	struct received r = { .helo = slice_z(cases[_i].helo),
		.by = SLICE("us.test"),
		.id = SLICE("7f.1"),
		.client = &client,
		.only_recipient = slice_z(cases[_i].only),
		.esmtp = cases[_i].esmtp,
		.utf8 = cases[_i].utf8 };

	ck_assert_int_eq(address_parse(slice_z(cases[_i].client), &client, NULL), 0);
	received_write(&r, &b);
	ck_assert(!b.cut);
	ck_assert_str_eq(text, cases[_i].field);
}
END_TEST

START_TEST(fits)
{
	char text[RECEIVED_MAX] = "", name[256], path[257];
	struct buf b = BUF_ON(text);
	struct address client = { .family = AF_INET6 };
	struct received r = { .client = &client };

	memset(name, 'n', sizeof(name));
	memset(path, 'p', sizeof(path));
	memset(client.octets, 0xff, sizeof(client.octets));
	r.helo = r.by = slice_of(name, 255);
	r.id = slice_of(name, 31);
	r.only_recipient = slice_of(path, 256);
	received_write(&r, &b);
	ck_assert(!b.cut);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("received");
	TCase *tc = tcase_create("received");

	(void)setenv("TZ", "UTC", 1);
	tzset();
	tcase_add_loop_test(tc, field, 0, COUNT(cases));
	tcase_add_test(tc, fits);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
