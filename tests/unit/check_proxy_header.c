#include "config.h"

#include "unit.h"

#include "proxy/listen/proxy_header.h"

#define SIGNATURE  "\r\n\r\n\0\r\nQUIT\n"
#define ADDRESSES4 "\300\000\002\007\306\063\144\001\333\340\000\031"
#define ADDRESSES6                                                                                 \
	"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\7\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1\x01\x02" \
	"\0\x19"
#define MAPPED                                                                                     \
	"\0\0\0\0\0\0\0\0\0\0\xff\xff\300\000\002\007\0\0\0\0\0\0\0\0\0\0\xff\xff\300\000\002\001" \
	"\x01\x02\0\x19"

static const struct {
	struct slice in;
	bool local;
	const char *client;
	unsigned port;
	const char *server;
	unsigned server_port;
} good[] = {
	{ SLICE("PROXY TCP4 192.0.2.7 198.51.100.1 56288 25\r\n"), false, "192.0.2.7", 56288,
	    "198.51.100.1", 25 },
	{ SLICE("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"), false,
	    "255.255.255.255", 65535, "255.255.255.255", 65535 },
	{ SLICE("PROXY TCP6 2001:db8::7 2001:db8::1 1 0\r\n"), false, "2001:db8::7", 1,
	    "2001:db8::1", 0 },
	{ SLICE("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
		"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
	    false, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535,
	    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535 },
	{ SLICE("PROXY TCP6 ::ffff:192.0.2.7 ::ffff:192.0.2.1 1 25\r\n"), false, "192.0.2.7", 1,
	    "192.0.2.1", 25 },
	{ SLICE("PROXY UNKNOWN\r\n"), true, NULL, 0, NULL, 0 },
	{ SLICE("PROXY UNKNOWN whatever 1 2 3 4 5 6\r\n"), true, NULL, 0, NULL, 0 },
	{ SLICE("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
		"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
	    true, NULL, 0, NULL, 0 },
	{ SLICE(SIGNATURE "\x21\x11\0\x0c" ADDRESSES4), false, "192.0.2.7", 56288, "198.51.100.1",
	    25 },
	{ SLICE(SIGNATURE "\x21\x21\0\x24" ADDRESSES6), false, "2001:db8::7", 258, "2001:db8::1",
	    25 },
	{ SLICE(SIGNATURE "\x21\x21\0\x24" MAPPED), false, "192.0.2.7", 258, "192.0.2.1", 25 },
	{ SLICE(SIGNATURE "\x20\0\0\0"), true, NULL, 0, NULL, 0 },
	{ SLICE(SIGNATURE "\x20\x11\0\x0c" ADDRESSES4), true, NULL, 0, NULL, 0 },
	{ SLICE(SIGNATURE "\x20\xff\0\3\1\2\3"), true, NULL, 0, NULL, 0 },
	{ SLICE(SIGNATURE "\x21\0\0\0"), true, NULL, 0, NULL, 0 },
	{ SLICE(SIGNATURE "\x21\0\0\6\5\0\3abc"), true, NULL, 0, NULL, 0 },
	/* TLVs nobody knows, an empty one, and a NOOP */
	{ SLICE(SIGNATURE "\x21\x11\0\x19" ADDRESSES4 "\xee\0\2xy\x30\0\0\4\0\2\0\0"), false,
	    "192.0.2.7", 56288, "198.51.100.1", 25 },
	/* PP2_TYPE_CRC32C */
	{ SLICE(SIGNATURE "\x21\x11\0\x13" ADDRESSES4 "\3\0\4\x9b\x52\xda\xa8"), false, "192.0.2.7",
	    56288, "198.51.100.1", 25 },
};

/* Cut at every octet: more is needed until the last; and what follows is not touched. */
START_TEST(takes)
{
	struct slice in = good[_i].in;
	struct proxy_header h = { 0 };
	char text[ADDRESS_TEXT_MAX], more[600];
	struct err e = { "" };
	size_t used;

	for (size_t n = 0; n < in.n; n++)
		ck_assert_int_eq(proxy_header_parse(slice_sub(in, 0, n), &h, &used, &e), 0);
	memcpy(more, in.p, in.n);
	memcpy(more + in.n, "EHLO x\r\n", 8);
	ck_assert_msg(
	    proxy_header_parse(slice_of(more, in.n + 8), &h, &used, &e) == 1, "%s", e.text);
	ck_assert_uint_eq(used, in.n);
	ck_assert_int_eq(h.local, good[_i].local);
	if (h.local)
		return;
	ck_assert_str_eq(address_text(&h.client, text), good[_i].client);
	ck_assert_uint_eq(h.client.port, good[_i].port);
	ck_assert_str_eq(address_text(&h.server, text), good[_i].server);
	ck_assert_uint_eq(h.server.port, good[_i].server_port);
}
END_TEST

static const struct {
	struct slice in;
	const char *why;
} bad[] = {
	{ SLICE("EHLO x\r\n"), "it does not begin like one" },
	{ SLICE("PROXY\r\n"), "it does not begin like one" },
	{ SLICE("proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n"), "it does not begin like one" },
	{ SLICE("\r\n\r\n\r\n"), "it does not begin like one" },
	{ SLICE("PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n"),
	    "the protocol is none of TCP4, TCP6, UNKNOWN" },
	{ SLICE("PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n"),
	    "the protocol is none of TCP4, TCP6, UNKNOWN" },
	{ SLICE("PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n"),
	    "two addresses and two ports must follow the protocol" },
	{ SLICE("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n"),
	    "two addresses and two ports must follow the protocol" },
	{ SLICE("PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n"),
	    "two addresses and two ports must follow the protocol" },
	{ SLICE("PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n"),
	    "two addresses and two ports must follow the protocol" },
	{ SLICE("PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n"),
	    "two addresses and two ports must follow the protocol" },
	{ SLICE("PROXY TCP4 1.2.3.4.5 1.2.3.4 1 2\r\n"),
	    "two addresses and two ports must follow the protocol" },
	{ SLICE("PROXY TCP4 ::1 ::1 1 2\r\n"),
	    "two addresses and two ports must follow the protocol" },
	{ SLICE("PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n"),
	    "two addresses and two ports must follow the protocol" },
	{ SLICE("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\nEHLO x\r\n"),
	    "an octet that has no place in the line" },
	{ SLICE("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\r\n"), "an octet that has no place in the line" },
	{ SLICE("PROXY TCP4 1.2.3.4 1.2.3.4\0 1 2\r\n"), "an octet that has no place in the line" },
	{ SLICE("PROXY UNKNOWN xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
		"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n"),
	    "a line without end" },
	{ SLICE(SIGNATURE "\x11\x11\0\x0c" ADDRESSES4), "unknown version or command 0x11" },
	{ SLICE(SIGNATURE "\x22\x11\0\x0c" ADDRESSES4), "unknown version or command 0x22" },
	{ SLICE(SIGNATURE "\x21\x12\0\x0c" ADDRESSES4), "unknown family or transport 0x12" },
	{ SLICE(SIGNATURE "\x21\x41\0\x0c" ADDRESSES4), "unknown family or transport 0x41" },
	{ SLICE(SIGNATURE "\x21\x11\0\x0b" ADDRESSES4), "too short for its addresses" },
	{ SLICE(SIGNATURE "\x21\x21\0\x0c" ADDRESSES4), "too short for its addresses" },
	{ SLICE(SIGNATURE "\x21\x31\0\x0c" ADDRESSES4), "too short for its addresses" },
	{ SLICE(SIGNATURE "\x21\x11\xff\xff"), "longer than 16384 octets" },
	{ SLICE(SIGNATURE "\x21\x11\0\x0e" ADDRESSES4 "\5\0"), "a TLV goes beyond the end" },
	{ SLICE(SIGNATURE "\x21\x11\0\x0f" ADDRESSES4 "\5\0\1"), "a TLV goes beyond the end" },
	{ SLICE(SIGNATURE "\x21\x11\0\x13" ADDRESSES4 "\3\0\4\x9b\x52\xda\xa9"),
	    "the checksum is wrong" },
	{ SLICE(SIGNATURE "\x21\x11\0\x12" ADDRESSES4 "\3\0\3\1\2\3"),
	    "PP2_TYPE_CRC32C must have 4 octets" },
	{ SLICE(SIGNATURE "\x21\x11\0\x13" ADDRESSES4 "\x20\0\4\1\0\0\0"),
	    "PP2_TYPE_SSL is too short" },
	{ SLICE(SIGNATURE "\x21\x11\0\x16" ADDRESSES4 "\x20\0\7\1\0\0\0\0\x21\0"),
	    "PP2_TYPE_SSL does not hold together" },
};
START_TEST(refuses)
{
	struct proxy_header h = { .local = true };
	struct err e = { "" };
	size_t used;

	ck_assert_int_eq(proxy_header_parse(bad[_i].in, &h, &used, &e), -1);
	ck_assert_str_eq(e.text, bad[_i].why);
	ck_assert(h.local && h.unique_id.p == NULL);
}
END_TEST

START_TEST(facts)
{
	struct slice in = SLICE(SIGNATURE
	    "\x21\x11\0\x4c" ADDRESSES4 "\2\0\7mx.test\5\0\3id1\x20\0\x2d\7\0\0\0\0\x21\0\7TLSv1.3"
	    "\x22\0\5alice\x23\0\x13"
	    "AES256-GCM-SHA384-X");
	struct proxy_header h;
	struct err e = { "" };
	size_t used;

	ck_assert_msg(proxy_header_parse(in, &h, &used, &e) == 1, "%s", e.text);
	ck_assert(slice_eq(h.authority, SLICE("mx.test")));
	ck_assert(slice_eq(h.unique_id, SLICE("id1")));
	ck_assert(h.tls.used && h.tls.verified);
	ck_assert(slice_eq(h.tls.version, SLICE("TLSv1.3")));
	ck_assert(slice_eq(h.tls.common_name, SLICE("alice")));
	ck_assert(slice_eq(h.tls.cipher, SLICE("AES256-GCM-SHA384-X")));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("proxy_header");
	TCase *tc = tcase_create("proxy_header");

	tcase_add_loop_test(tc, takes, 0, COUNT(good));
	tcase_add_loop_test(tc, refuses, 0, COUNT(bad));
	tcase_add_test(tc, facts);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
