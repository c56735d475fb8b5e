#include "config.h"

#include "unit.h"

#include "proxy/control/shared.h"

static struct address client(unsigned n)
{
	struct address a = { .family = AF_INET };

	a.octets[0] = (uint8_t)(n >> 8);
	a.octets[1] = (uint8_t)n;
	return a;
}

START_TEST(limits_over_workers)
{
	struct shared *s = shared_new(NULL);
	struct address a = client(1), b = client(2), c = client(3);
	int x, y;

	ck_assert_ptr_nonnull(s);
	x = shared_take_slot(s);
	y = shared_take_slot(s);
	ck_assert_int_ne(x, y);
	ck_assert_uint_eq(shared_free_slots(s), SHARED_SLOTS - 2);
	ck_assert_int_eq(shared_enter(s, x, &a, 4, 2), SHARED_WELCOME);
	ck_assert_int_eq(shared_enter(s, y, &a, 4, 2), SHARED_WELCOME);
	ck_assert_int_eq(shared_enter(s, x, &a, 4, 2), SHARED_CLIENT_FULL);
	ck_assert_int_eq(shared_enter(s, y, &b, 4, 2), SHARED_WELCOME);
	ck_assert_int_eq(shared_enter(s, y, &b, 4, 2), SHARED_WELCOME);
	ck_assert_int_eq(shared_enter(s, x, &c, 4, 2), SHARED_FULL);
	ck_assert_uint_eq(shared_sum(s).sessions, 4);

	shared_give_back(s, y); /* its worker died */
	ck_assert_uint_eq(shared_free_slots(s), SHARED_SLOTS - 1);
	ck_assert_uint_eq(shared_sum(s).sessions, 1);
	ck_assert_uint_eq(shared_sum(s).sessions_total, 4);
	ck_assert_int_eq(shared_enter(s, x, &a, 4, 2), SHARED_WELCOME);
	ck_assert_int_eq(shared_enter(s, x, &a, 4, 2), SHARED_CLIENT_FULL);
	shared_leave(s, x, &a);
	shared_leave(s, x, &a);
	ck_assert_uint_eq(shared_sum(s).sessions, 0);
	ck_assert_int_eq(shared_take_slot(s), y);
	shared_free(&s);
	ck_assert_ptr_null(s);
}
END_TEST

/* Behind a load balancer a session is counted before it is known whose it is. */
START_TEST(client_known_later)
{
	struct shared *s = shared_new(NULL);
	struct address a = client(1), b = client(2);
	int x = shared_take_slot(s);

	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(shared_enter(s, x, NULL, 4, 1), SHARED_WELCOME);
	ck_assert_int_eq(shared_enter(s, x, NULL, 4, 1), SHARED_FULL);
	ck_assert(shared_join(s, x, &a, 1));
	ck_assert(!shared_join(s, x, &a, 1));
	ck_assert(shared_join(s, x, &b, 1));
	shared_part(s, x, &a);
	ck_assert(shared_join(s, x, &a, 1));
	shared_leave(s, x, &a);
	ck_assert(shared_join(s, x, &a, 1));
	shared_leave(s, x, NULL);
	ck_assert(!shared_join(s, x, &a, 1));
	ck_assert_uint_eq(shared_sum(s).sessions, 2);
	shared_free(&s);
}
END_TEST

/* Those of whom no address was told (XCLIENT's [UNAVAILABLE]) are not one client. */
START_TEST(clients_without_address)
{
	struct shared *s = shared_new(NULL);
	struct address nobody = { .family = AF_UNSPEC };
	int x = shared_take_slot(s);

	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(shared_enter(s, x, &nobody, 4, 1), SHARED_WELCOME);
	shared_leave(s, x, &nobody);
	ck_assert_uint_eq(shared_sum(s).sessions, 2);
	shared_free(&s);
}
END_TEST

/* Who has a /64 has 2^64 addresses. */
START_TEST(ipv6_networks)
{
	struct shared *s = shared_new(NULL);
	struct address a = { .family = AF_INET6, .octets = { 0x20, 1, [15] = 1 } }, b = a, c = a;
	int slot = shared_take_slot(s);

	b.octets[8] = 7;
	c.octets[7] = 7;
	ck_assert_int_eq(shared_enter(s, slot, &a, 10, 1), SHARED_WELCOME);
	ck_assert_int_eq(shared_enter(s, slot, &b, 10, 1), SHARED_CLIENT_FULL);
	ck_assert_int_eq(shared_enter(s, slot, &c, 10, 1), SHARED_WELCOME);
	shared_free(&s);
}
END_TEST

START_TEST(many_clients)
{
	struct shared *s = shared_new(NULL);
	int slot = shared_take_slot(s);

	for (unsigned i = 0; i < 40000; i++) {
		struct address a = client(i);

		ck_assert_int_eq(shared_enter(s, slot, &a, 100000, 100000), SHARED_WELCOME);
	}
	for (unsigned i = 0; i < 40000; i++) {
		struct address a = client(i);

		shared_leave(s, slot, &a);
	}
	ck_assert_uint_eq(shared_sum(s).sessions, 0);
	for (size_t i = 0; i < SHARED_CLIENTS; i++)
		ck_assert_uint_eq(atomic_load(&s->slots[slot].clients[i]), 0);
	shared_free(&s);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("shared");
	TCase *tc = tcase_create("shared");

	tcase_add_test(tc, limits_over_workers);
	tcase_add_test(tc, client_known_later);
	tcase_add_test(tc, ipv6_networks);
	tcase_add_test(tc, clients_without_address);
	tcase_add_test(tc, many_clients);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
