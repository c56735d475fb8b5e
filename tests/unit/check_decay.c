#include "config.h"

#include "unit.h"

#include "proxy/control/decay.h"

#define NOW    INT64_C(5000000)
#define MINUTE 60000

static const struct decay_rule ten_a_minute = { 10, MINUTE };

static struct decay *table(void)
{
	struct decay *d = calloc(1, sizeof(*d));

	ck_assert_ptr_nonnull(d);
	d->key = 42;
	return d;
}

static uint64_t client(const struct decay *d, unsigned n)
{
	struct address a = { .family = AF_INET };

	memcpy(a.octets, &n, sizeof(n));
	return decay_client(d, DECAY_ABORTED, &a);
}

static const struct {
	const char *what;
	uint64_t before, amount; /* added at NOW, and later_ms after it */
	int64_t later_ms;
	uint64_t sum;
	int64_t over_ms;
} sums[] = {
	{ "one", 0, 1, 0, 1, 0 },
	{ "two at once", 1, 1, 0, 2, 0 },
	{ "half is forgotten", 8, 0, MINUTE / 10 * 4, 4, 0 },
	{ "all is forgotten", 8, 0, MINUTE, 0, 0 },
	{ "the limit is not over it", 5, 5, 0, 10, 0 },
	{ "over", 5, 6, 0, 11, MINUTE / 10 },
	{ "no more than twice the limit", 5, 1000000, 0, 20, MINUTE },
	{ "banned, and half of it is over", 20, 0, MINUTE / 2, 15, MINUTE / 2 },
	{ "banned, and it is over", 20, 0, MINUTE, 10, 0 },
	{ "a new one after a long time", 20, 3, 100 * MINUTE, 3, 0 },
};

START_TEST(fades)
{
	struct decay *d = table();
	uint64_t who = client(d, 0);
	int64_t then = NOW + sums[_i].later_ms;

	(void)decay_add(d, who, ten_a_minute, sums[_i].before, NOW);
	ck_assert_msg(decay_add(d, who, ten_a_minute, sums[_i].amount, then) == sums[_i].sum &&
		decay_add(d, who, ten_a_minute, 0, then) == sums[_i].sum,
	    "%s: %llu", sums[_i].what,
	    (unsigned long long)decay_add(d, who, ten_a_minute, 0, then));
	ck_assert_msg(decay_over(d, who, ten_a_minute, then) == sums[_i].over_ms, "%s: %lld",
	    sums[_i].what, (long long)decay_over(d, who, ten_a_minute, then));
	free(d);
}
END_TEST

static const struct {
	const char *one, *other;
	bool same;
} clients[] = {
	{ "192.0.2.1", "192.0.2.1", true },
	{ "192.0.2.1", "192.0.2.2", false },
	{ "2001:db8::1", "2001:db8::ffff:1:2:3", true },
	{ "2001:db8::1", "2001:db8:0:1::1", false },
	{ "::ffff:192.0.2.1", "192.0.2.1", true },
	{ "0.0.0.0", "::", false },
};

START_TEST(counts_networks)
{
	struct decay *d = table();
	struct address one, other;

	ck_assert_int_eq(address_parse(slice_z(clients[_i].one), &one, NULL), 0);
	ck_assert_int_eq(address_parse(slice_z(clients[_i].other), &other, NULL), 0);
	one.port = 1; /* ports do not count */
	ck_assert_msg((decay_client(d, DECAY_ABORTED, &one) ==
			  decay_client(d, DECAY_ABORTED, &other)) == clients[_i].same,
	    "%s and %s", clients[_i].one, clients[_i].other);
	free(d);
}
END_TEST

/* Whoever comes with very many addresses pushes out what is small, not what is large. */
START_TEST(survives_a_flood)
{
	struct decay *d = table();
	uint64_t bad = client(d, 0);

	(void)decay_add(d, bad, ten_a_minute, 15, NOW);
	for (unsigned i = 1; i < 100000; i++) {
		uint64_t who = client(d, i);

		ck_assert_uint_eq(decay_add(d, who, ten_a_minute, 1, NOW), 1);
	}
	ck_assert_uint_eq(decay_add(d, bad, ten_a_minute, 0, NOW), 15);
	free(d);
}
END_TEST

START_TEST(large_numbers)
{
	struct decay *d = table();
	struct decay_rule rule = { UINT64_C(1) << 40, INT64_C(86400000) };
	uint64_t who = client(d, 0);

	ck_assert_uint_eq(decay_add(d, who, rule, UINT64_MAX, NOW), UINT64_C(1) << 41);
	ck_assert_int_eq(decay_over(d, who, rule, NOW), rule.forget_ms);
	free(d);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("decay");
	TCase *tc = tcase_create("decay");

	tcase_add_loop_test(tc, fades, 0, COUNT(sums));
	tcase_add_loop_test(tc, counts_networks, 0, COUNT(clients));
	tcase_add_test(tc, survives_a_flood);
	tcase_add_test(tc, large_numbers);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
