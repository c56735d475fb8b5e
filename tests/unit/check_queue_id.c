#include "config.h"

#include "unit.h"

#include "proxy/upstream/queue_id.h"

static const struct {
	const char *text, *id;
} cases[] = {
	{ "Ok: queued as 4Xk2Lz1abcz", "4Xk2Lz1abcz" },
	{ "Ok: queued as 0A1B2C3D4E", "0A1B2C3D4E" },
	{ "from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as 9F8E7D", "9F8E7D" },
	{ "OK id=1rAbCd-0000ab-1X", "1rAbCd-0000ab-1X" },
	{ "OK id=1rAbCd-0000000abCd-1aBc", "1rAbCd-0000000abCd-1aBc" },
	{ "3AP0qcd1012345 Message accepted for delivery", "3AP0qcd1012345" },
	{ "1a2b3c4d Message accepted for delivery", "1a2b3c4d" },
	{ "<20261125.1@a.test> [InternalId=17102345, Hostname=EX1.a.test] 3542 bytes in 0.2, 15.1 "
	  "KB/sec Queued mail for delivery",
	    "17102345" },
	{ "<a@b> [InternalId=5] Queued mail for delivery", "5" },
	{ "Message Queued (0A1B2C3D-4E5F-6789-ABCD-EF0123456789.1)",
	    "0A1B2C3D-4E5F-6789-ABCD-EF0123456789.1" },
	{ "<u@d.test> 4JmOKGd0FWXOGwAAq8Kbvg Saved", "4JmOKGd0FWXOGwAAq8Kbvg" },
	{ "OK  1700000000 a1-20020a05622.5 - gsmtp", "a1-20020a05622.5" },
	{ "ok 1700000000 qp 4711", "4711" },
	{ "Message queued with id 3f2a9c.", "3f2a9c" },
	{ "accepted, id=abc1;", "abc1" },
	{ "accepted (id: abc1)", "abc1" },
	{ "two lines\nOk: queued as A1\nbye", "A1" },
	{ "queued as always", "" },
	{ "queued as ", "" },
	{ "queued as \"quoted\"", "" },
	{ " Message accepted", "" },
	{ "Ok", "" },
	{ "", "" },
};
START_TEST(finds)
{
	ck_assert_slice_eq(queue_id_find(slice_z(cases[_i].text)), cases[_i].id);
}
END_TEST

START_TEST(no_longer_than_an_id_is)
{
	char text[10 + QUEUE_ID_MAX + 2];

	memset(text, 'x', sizeof(text));
	memcpy(text, "queued as ", 10);
	text[10] = '7';
	text[10 + QUEUE_ID_MAX] = '\0';
	ck_assert_uint_eq(queue_id_find(slice_z(text)).n, QUEUE_ID_MAX);
	text[10 + QUEUE_ID_MAX] = 'x';
	text[10 + QUEUE_ID_MAX + 1] = '\0';
	ck_assert_uint_eq(queue_id_find(slice_z(text)).n, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("queue_id");
	TCase *tc = tcase_create("queue_id");

	tcase_add_loop_test(tc, finds, 0, COUNT(cases));
	tcase_add_test(tc, no_longer_than_an_id_is);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
