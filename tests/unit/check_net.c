#include "config.h"

#include "unit.h"

#include "weir/net.h"

static const struct {
	const char *network, *address;
	int parses;
	bool has;
} networks[] = {
	{ "192.0.2.0/24", "192.0.2.255", 0, true },
	{ "192.0.2.0/24", "192.0.3.0", 0, false },
	{ "192.0.2.7", "192.0.2.7", 0, true },
	{ "0.0.0.0/0", "8.8.8.8", 0, true },
	{ "0.0.0.0/0", "2001:db8::1", 0, false },
	{ "2001:db8::/33", "2001:db8:7fff::1", 0, true },
	{ "2001:db8::/33", "2001:db8:8000::1", 0, false },
	{ "192.0.2.0/24", "::ffff:192.0.2.9", 0, true },
	{ "::ffff:192.0.2.0/120", "192.0.2.9", 0, true },
	{ "::ffff:192.0.2.0/120", "192.0.3.9", 0, false },
	{ "::ffff:192.0.2.9", "192.0.2.9", 0, true },
	{ "::ffff:0.0.0.0/96", "203.0.113.1", 0, true },
	{ "::ffff:192.0.2.0/24", NULL, -1, false },
	{ "192.0.2.1/24", NULL, -1, false },
	{ "192.0.2.0/33", NULL, -1, false },
	{ "192.0.2.0/-1", NULL, -1, false },
	{ "192.0.2.0/24/24", NULL, -1, false },
	{ "2001:db8::/129", NULL, -1, false },
	{ "192.0.2.0/", NULL, -1, false },
	{ "300.0.0.0/8", NULL, -1, false },
	{ "", NULL, -1, false },
};
START_TEST(network)
{
	struct network n;
	struct address a;
	struct err e;

	ck_assert_int_eq(network_parse(slice_z(networks[_i].network), &n, &e), networks[_i].parses);
	if (networks[_i].parses < 0)
		return;
	ck_assert_int_eq(address_parse(slice_z(networks[_i].address), &a, &e), 0);
	ck_assert_int_eq(network_has(&n, &a), networks[_i].has);
}
END_TEST

static const struct {
	const char *text, *again;
} endpoints[] = {
	{ "unix:/run/weir/x.sock", "unix:/run/weir/x.sock" },
	{ "inet:127.0.0.1:25", "127.0.0.1:25" },
	{ "mail.example:2525", "mail.example:2525" },
	{ "[::1]:25", "[::1]:25" },
	{ "inet:[2001:db8::1]:25", "[2001:db8::1]:25" },
	{ "unix:", NULL },
	{ "127.0.0.1", NULL },
	{ "127.0.0.1:", NULL },
	{ "127.0.0.1:65536", NULL },
	{ ":25", NULL },
	{ "[::1", NULL },
	{ "::1:25", NULL },
};
START_TEST(endpoint)
{
	struct endpoint ep;
	struct err e;
	char text[ENDPOINT_TEXT_MAX];
	int rc = endpoint_parse(slice_z(endpoints[_i].text), &ep, &e);

	if (endpoints[_i].again == NULL) {
		ck_assert_int_eq(rc, -1);
		return;
	}
	ck_assert_int_eq(rc, 0);
	ck_assert_str_eq(endpoint_text(&ep, text), endpoints[_i].again);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("net");
	TCase *tc = tcase_create("net");

	tcase_add_loop_test(tc, network, 0, COUNT(networks));
	tcase_add_loop_test(tc, endpoint, 0, COUNT(endpoints));
	suite_add_tcase(s, tc);
	return unit_run(s);
}
