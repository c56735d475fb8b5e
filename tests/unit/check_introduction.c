#include "config.h"

#include "unit.h"

#include "proxy/upstream/introduction.h"

#define ALL "NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT SESSION TTL IDENT SOURCE"

static struct address at(const char *text, uint16_t port)
{
	struct address a = { .family = AF_UNSPEC };

	if (text != NULL)
		ck_assert_int_eq(address_parse(slice_z(text), &a, NULL), 0);
	a.port = port;
	return a;
}

static const struct {
	enum introduction_command command;
	const char *listed, *client, *server;
	struct introduction who; /* without addresses */
	size_t count;
	const char *wire;
} cases[] = {
	{ INTRODUCTION_XCLIENT, ALL, "192.0.2.7", "198.51.100.1",
	    { "7f3a", "7f3a.1", "mx.a.test", "host.a.test", "u@a", false, true, .ttl = 5 }, 1,
	    "XCLIENT NAME=host.a.test ADDR=192.0.2.7 PORT=4711 DESTADDR=198.51.100.1 DESTPORT=25 "
	    "SESSION=7f3a TTL=4 PROTO=ESMTP HELO=mx.a.test LOGIN=u@a\r\n" },
	{ INTRODUCTION_XCLIENT, ALL, "2001:db8::1", "2001:db8::2",
	    { "7f3a", "7f3a.1", "a+b=c", NULL, NULL, false, false, .ttl = 0 }, 1,
	    "XCLIENT NAME=[UNAVAILABLE] ADDR=IPV6:2001:db8::1 PORT=4711 DESTADDR=IPV6:2001:db8::2 "
	    "DESTPORT=25 SESSION=7f3a TTL=0 PROTO=SMTP HELO=a+2Bb+3Dc LOGIN=[UNAVAILABLE]\r\n" },
	{ INTRODUCTION_XCLIENT, "name Addr X-NEW", "192.0.2.7", NULL,
	    { NULL, NULL, NULL, NULL, NULL, true, true, .ttl = 5 }, 1,
	    "XCLIENT NAME=[TEMPUNAVAIL] ADDR=192.0.2.7\r\n" },
	{ INTRODUCTION_XCLIENT, "ADDR PORT", NULL, NULL,
	    { NULL, NULL, NULL, NULL, NULL, false, true, .ttl = 5 }, 1,
	    "XCLIENT ADDR=[UNAVAILABLE] PORT=4711\r\n" },
	{ INTRODUCTION_XFORWARD, ALL, "192.0.2.7", NULL,
	    { "7f3a", "7f3a.1", "mx.a.test", "host.a.test", "u@a", false, true, .ttl = 5 }, 1,
	    "XFORWARD NAME=host.a.test ADDR=192.0.2.7 PORT=4711 PROTO=ESMTP HELO=mx.a.test "
	    "IDENT=7f3a.1 SOURCE=REMOTE\r\n" },
	{ INTRODUCTION_XFORWARD, "X-NEW", "192.0.2.7", NULL,
	    { "7f3a", "7f3a.1", NULL, NULL, NULL, false, true, .ttl = 5 }, 0, "" },
	{ INTRODUCTION_XFORWARD, "HELO", "192.0.2.7", NULL,
	    { NULL, NULL, "\xc3\xbc.test\r\nX", NULL, NULL, false, true, .ttl = 5 }, 1,
	    "XFORWARD HELO=+C3+BC.test+0D+0AX\r\n" },
};
START_TEST(writes)
{
	struct introduction who = cases[_i].who;
	struct bytes out = { 0 };
	unsigned listed = introduction_attributes(cases[_i].command, slice_z(cases[_i].listed));

	who.client = at(cases[_i].client, 4711);
	who.server = at(cases[_i].server, cases[_i].server != NULL ? 25 : 0);
	ck_assert_uint_eq(
	    introduction_write(cases[_i].command, listed, &who, &out), cases[_i].count);
	ck_assert_slice_eq(bytes_slice(&out), cases[_i].wire);
	bytes_free(&out);
}
END_TEST

/* Whatever is put in, each line has 512 octets at most, and no value more than 255. */
START_TEST(splits)
{
	char text[256];
	struct introduction who = { .helo = text,
		.name = text,
		.login = text,
		.session = text,
		.client = at("2001:db8::1", 65535),
		.server = at("2001:db8::2", 65535) };
	unsigned listed = introduction_attributes(INTRODUCTION_XCLIENT, SLICE(ALL));

	for (size_t n = 0; n < sizeof(text); n++) {
		struct bytes out = { 0 };
		struct slice rest;
		size_t lines = 0, count;

		memset(text, 'x', n);
		text[n] = '\0';
		count = introduction_write(INTRODUCTION_XCLIENT, listed, &who, &out);
		rest = bytes_slice(&out);
		while (rest.n > 0) {
			struct slice line = slice_cut(&rest, '\n');

			ck_assert_uint_le(line.n + 1, 512);
			ck_assert_int_eq(line.p[line.n - 1], '\r');
			ck_assert(slice_starts(line, SLICE("XCLIENT ")));
			lines++;
		}
		ck_assert_uint_eq(lines, count);
		bytes_free(&out);
	}
}
END_TEST

START_TEST(too_long_a_value_is_not_sent)
{
	char text[258];
	struct introduction who = { .helo = text };
	unsigned listed = introduction_attributes(INTRODUCTION_XFORWARD, SLICE("HELO"));
	struct bytes out = { 0 };

	memset(text, 'x', sizeof(text));
	text[256] = '\0';
	ck_assert_uint_eq(introduction_write(INTRODUCTION_XFORWARD, listed, &who, &out), 1);
	ck_assert_slice_eq(bytes_slice(&out), "XFORWARD HELO=[UNAVAILABLE]\r\n");
	bytes_free(&out);
}
END_TEST

static const struct {
	const char *client, *server, *session;
	struct slice wire; /* behind the signature */
} headers[] = {
	{ "192.0.2.7", "198.51.100.1", "7f",
	    SLICE("\x21\x11\0\x11\xc0\0\2\7\xc6\x33\x64\1\x12\x67\0\x19\5\0\0027f") },
	{ "192.0.2.7", NULL, "", SLICE("\x21\x11\0\x0c\xc0\0\2\7\0\0\0\0\x12\x67\0\0") },
	{ "2001:db8::1", "192.0.2.7", "",
	    SLICE("\x21\x21\0\x24\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\0\0\0\377\377"
		  "\xc0\0"
		  "\2\7\x12\x67\0\x19") },
	{ NULL, NULL, "7f", SLICE("\x20\0\0\0") },
};
START_TEST(proxy_header)
{
	struct introduction who = { .session = headers[_i].session,
		.client = at(headers[_i].client, 4711),
		.server = at(headers[_i].server, headers[_i].server != NULL ? 25 : 0) };
	struct bytes out = { 0 };

	introduction_proxy(&who, &out);
	ck_assert(slice_starts(bytes_slice(&out), SLICE("\r\n\r\n\0\r\nQUIT\n")));
	ck_assert(slice_eq(slice_sub(bytes_slice(&out), 12, out.n), headers[_i].wire));
	bytes_free(&out);
}
END_TEST

START_TEST(proxy_header_of_our_own)
{
	struct bytes out = { 0 };

	introduction_proxy(NULL, &out);
	ck_assert(slice_eq(bytes_slice(&out), SLICE("\r\n\r\n\0\r\nQUIT\n\x20\0\0\0")));
	bytes_free(&out);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("introduction");
	TCase *tc = tcase_create("introduction");

	tcase_add_loop_test(tc, writes, 0, COUNT(cases));
	tcase_add_test(tc, splits);
	tcase_add_test(tc, too_long_a_value_is_not_sent);
	tcase_add_loop_test(tc, proxy_header, 0, COUNT(headers));
	tcase_add_test(tc, proxy_header_of_our_own);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
