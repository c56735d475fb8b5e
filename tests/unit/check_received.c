#include "config.h"

#include "unit.h"

#include <stdlib.h>
#include <time.h>

#include "proxy/received.h"

static const struct {
	const char *helo, *client, *only;
	bool esmtp, utf8;
	const char *field;
	char secure; /* 's': under TLS, 'n': and a name was asked for, 'c': and a certificate was
			shown */
	bool authenticated;
} cases[] = {
	{ "mx.example", "192.0.2.7", "b@y", true, false,
	    "Received: from mx.example ([192.0.2.7])\r\n\tby us.test (Weir) with ESMTP id 7f.1\r\n"
	    "\tfor <b@y>; Thu, 1 Jan 1970 00:00:00 +0000\r\n",
	    0, false },
	{ "[192.0.2.7]", "192.0.2.7", NULL, false, false,
	    "Received: from [192.0.2.7] ([192.0.2.7])\r\n\tby us.test (Weir) with SMTP id 7f.1; "
	    "Thu, 1 Jan 1970 00:00:00 +0000\r\n",
	    0, false },
	{ "a(b)c\\d\r\nX: y", "2001:db8::1", NULL, true, false,
	    "Received: from a?b?c?d??X:?y ([IPv6:2001:db8::1])\r\n\tby us.test (Weir) with ESMTP "
	    "id "
	    "7f.1; Thu, 1 Jan 1970 00:00:00 +0000\r\n",
	    0, false },
	{ "\xc3\xbc.test", "192.0.2.7", "\xc3\xbc@y", true, true,
	    "Received: from \xc3\xbc.test ([192.0.2.7])\r\n\tby us.test (Weir) with UTF8SMTP id "
	    "7f.1\r\n\tfor <\xc3\xbc@y>; Thu, 1 Jan 1970 00:00:00 +0000\r\n",
	    0, false },
	{ "\xc3\xbc.test", "192.0.2.7", "\"a\n\"@y", true, false,
	    "Received: from ??.test ([192.0.2.7])\r\n\tby us.test (Weir) with ESMTP id "
	    "7f.1\r\n\tfor <\"a?\"@y>; Thu, 1 Jan 1970 00:00:00 +0000\r\n",
	    0, false },
	{ "mx.example", "192.0.2.7", NULL, true, false,
	    "Received: from mx.example ([192.0.2.7])\r\n\t(using TLSv1.3 with cipher X "
	    "(128/256 bits))\r\n\tby us.test (Weir) with ESMTPS id 7f.1; "
	    "Thu, 1 Jan 1970 00:00:00 +0000\r\n",
	    's', false },
	{ "mx.example", "192.0.2.7", NULL, true, false,
	    "Received: from mx.example ([192.0.2.7])\r\n\t(using TLSv1.3 with cipher X "
	    "(128/256 bits) SNI us?.test)\r\n\tby us.test (Weir) with ESMTPSA id 7f.1; "
	    "Thu, 1 Jan 1970 00:00:00 +0000\r\n",
	    'n', true },
	{ "mx.example", "192.0.2.7", NULL, true, true,
	    "Received: from mx.example ([192.0.2.7])\r\n\t(using TLSv1.3 with cipher X "
	    "(128/256 bits))\r\n\t(client certificate a?b??c, not verified)\r\n\tby us.test "
	    "(Weir) with UTF8SMTPSA id 7f.1; Thu, 1 Jan 1970 00:00:00 +0000\r\n",
	    'c', true },
	{ "mx.example", "192.0.2.7", NULL, true, true,
	    "Received: from mx.example ([192.0.2.7])\r\n\tby us.test (Weir) with UTF8SMTPA id "
	    "7f.1; Thu, 1 Jan 1970 00:00:00 +0000\r\n",
	    0, true },
	{ "mx.example", "192.0.2.7", NULL, true, false,
	    "Received: from mx.example ([192.0.2.7])\r\n\tby us.test (Weir) with ESMTPA id "
	    "7f.1; Thu, 1 Jan 1970 00:00:00 +0000\r\n",
	    0, true },
	{ "mx.example", "192.0.2.7", NULL, true, true,
	    "Received: from mx.example ([192.0.2.7])\r\n\t(using TLSv1.3 with cipher X "
	    "(128/256 bits))\r\n\tby us.test (Weir) with UTF8SMTPS id 7f.1; "
	    "Thu, 1 Jan 1970 00:00:00 +0000\r\n",
	    's', false },
	{ "mx.example", "192.0.2.7", NULL, false, false,
	    "Received: from mx.example ([192.0.2.7])\r\n\t(using TLSv1.3 with cipher X "
	    "(128/256 bits))\r\n\tby us.test (Weir) with SMTP id 7f.1; "
	    "Thu, 1 Jan 1970 00:00:00 +0000\r\n",
	    's', false },
};
START_TEST(field)
{
	const struct tls_facts tls = { .version = "TLSv1.3",
		.cipher = "X",
		.bits = 128,
		.cipher_bits = 256,
		.sni = cases[_i].secure == 'n' ? "us(.test" : NULL,
		.verify = "FAIL" };
	char text[RECEIVED_MAX] = "";
	struct buf b = BUF_ON(text);
	struct address client;
	struct received r = { .helo = slice_z(cases[_i].helo),
		.by = SLICE("us.test"),
		.id = SLICE("7f.1"),
		.client = &client,
		.only_recipient = slice_z(cases[_i].only),
		.esmtp = cases[_i].esmtp,
		.tls = cases[_i].secure != 0 ? &tls : NULL,
		.certificate = cases[_i].secure == 'c' ? "a(b\r\nc" : NULL,
		.authenticated = cases[_i].authenticated,
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
	struct tls_facts tls = {
		.version = "TLSv1.3", .cipher = "ECDHE-ECDSA-CHACHA20-POLY1305", .verify = "FAIL"
	};
	char foreign[256];

	memset(name, 'n', sizeof(name));
	memset(path, 'p', sizeof(path));
	memset(client.octets, 0xff, sizeof(client.octets));
	r.helo = r.by = slice_of(name, 255);
	r.id = slice_of(name, 31);
	r.only_recipient = slice_of(path, 256);
	memset(text, 'x', 255);
	text[255] = '\0';
	tls.sni = r.certificate = memcpy(foreign, text, 256);
	text[0] = '\0';
	r.tls = &tls;
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
