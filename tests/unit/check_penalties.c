#include "config.h"

#include "unit.h"

#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proxy/control/penalties.h"

static const struct penalty_limits limits = { .failures = 5, .forget_s = 1000, .ban_s = 100 };

static struct penalties *p;

static void make(void)
{
	p = mmap(NULL, sizeof(*p), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(p, MAP_FAILED);
	penalties_init(p);
}

static void drop(void)
{
	munmap(p, sizeof(*p));
}

static struct address at(const char *text)
{
	struct address a;

	ck_assert_int_eq(address_parse(slice_z(text), &a, NULL), 0);
	return a;
}

static bool banned(const char *client, int64_t now)
{
	struct address a = at(client);

	return penalties_banned(p, &a, limits, now);
}

static struct penalty failed(const char *client, const char *login, int64_t now)
{
	struct address a = at(client);

	return penalties_failed(p, &a, slice_z(login), limits, now);
}

/* n failures; true when the last of them, and no other, began a ban. */
static bool failed_often(const char *client, unsigned n, int64_t now)
{
	for (unsigned i = 1; i < n; i++)
		ck_assert(!failed(client, "", now).ban);
	return failed(client, "", now).ban;
}

/* Whom a ban concerns, and whom not. */
static const struct {
	const char *client, *other;
	bool both;
} neighbours[] = {
	{ "192.0.2.1", "192.0.2.1", true },
	{ "192.0.2.1", "192.0.2.2", false },
	{ "2001:db8::1", "2001:db8::2", true }, /* one /64 is one client */
	{ "2001:db8::1", "2001:db8:0:1::1", false },
};

START_TEST(bans_narrow)
{
	ck_assert(failed_often(neighbours[_i].client, 5, 50));
	ck_assert(banned(neighbours[_i].client, 50));
	ck_assert_int_eq(banned(neighbours[_i].other, 50), neighbours[_i].both);
	ck_assert(banned(neighbours[_i].client, 149));
	ck_assert(!banned(neighbours[_i].client, 150));
	ck_assert_uint_eq(atomic_load(&p->bans), 1);
}
END_TEST

/* Eight times five failures from one /24, none of its addresses with five. */
START_TEST(bans_wide)
{
	char text[32];

	for (unsigned i = 1; i <= 40; i++) {
		(void)snprintf(text, sizeof(text), "192.0.2.%u", i);
		ck_assert_int_eq(failed(text, "", 50).ban, i == 40);
	}
	ck_assert(banned("192.0.2.200", 50));
	ck_assert(!banned("192.0.3.1", 50));
	ck_assert(!banned("192.0.2.200", 150));
}
END_TEST

START_TEST(forgets)
{
	ck_assert(!failed_often("192.0.2.1", 4, 50));
	/* A failure is forgotten every 200 s. */
	ck_assert_uint_eq(failed("192.0.2.1", "", 50 + 400).failures, 3);
	ck_assert_uint_eq(failed("192.0.2.1", "", 50 + 400 + 5000).failures, 1);
}
END_TEST

/* A botnet that guesses at one login slows the answers about it down, and bans nobody else. */
START_TEST(logins_slow_only)
{
	char text[32];
	struct penalty last = { 0 };

	for (unsigned i = 1; i <= 100; i++) {
		(void)snprintf(text, sizeof(text), "10.0.%u.1", i);
		last = failed(text, i % 2 ? "anna" : "ANNA", 50);
		ck_assert(!last.ban);
	}
	ck_assert_uint_eq(last.failures, 100);
	ck_assert(!banned("192.0.2.1", 50));
	ck_assert_uint_eq(failed("192.0.2.1", "bert", 50).failures, 1);
}
END_TEST

START_TEST(trust_bears_more)
{
	struct address a = at("192.0.2.1");
	char text[32];

	penalties_succeeded(p, &a, 40);
	ck_assert(failed_often("192.0.2.1", 40, 50));
	ck_assert(banned("192.0.2.1", 50));
	ck_assert(!banned("192.0.2.1", 150));
	for (unsigned i = 2; i <= 60; i++) {
		(void)snprintf(text, sizeof(text), "192.0.2.%u", i);
		(void)failed(text, "", 500);
	}
	ck_assert(banned("192.0.2.200", 500)); /* the neighbourhood is ... */
	ck_assert(!banned("192.0.2.1", 500));  /* ... and he is not */
}
END_TEST

START_TEST(zero_never_bans)
{
	struct penalty_limits none = { .failures = 0, .forget_s = 1000, .ban_s = 100 };
	struct address a = at("192.0.2.1");

	for (int i = 0; i < 1000; i++)
		ck_assert(!penalties_failed(p, &a, SLICE("anna"), none, 50).ban);
	ck_assert(!penalties_banned(p, &a, none, 50));
	ck_assert_uint_eq(
	    penalties_failed(p, &a, SLICE("anna"), none, 50).failures, PENALTY_MAX + 1);
}
END_TEST

/* Of whom no address was told (XCLIENT's [UNAVAILABLE]): slowed, not banned with all the others. */
START_TEST(no_address_no_ban)
{
	struct address nobody = { .family = AF_UNSPEC };

	for (int i = 0; i < 100; i++)
		ck_assert(!penalties_failed(p, &nobody, SLICE("anna"), limits, 50).ban);
	ck_assert(!penalties_banned(p, &nobody, limits, 50));
	ck_assert_uint_gt(penalties_failed(p, &nobody, SLICE("anna"), limits, 50).failures, 5);
}
END_TEST

/* More clients than places: the newest are known, and nothing breaks. */
START_TEST(table_overflows)
{
	char text[64];

	for (unsigned i = 0; i < 3 * PENALTY_PLACES; i++) {
		(void)snprintf(text, sizeof(text), "10.%u.%u.%u", i >> 16, i >> 8 & 255, i & 255);
		(void)failed(text, text, 50);
	}
	ck_assert_uint_eq(failed(text, "", 50).failures, 2);
}
END_TEST

/* Four processes at once: no failure is lost, and one of them sees the ban begin. */
START_TEST(counts_for_all_processes)
{
	int bans = 0, status;

	for (int i = 0; i < 4; i++)
		if (fork() == 0) {
			unsigned mine = 0;

			for (int k = 0; k < 50; k++)
				mine += penalties_failed(p,
				    &(struct address){ .family = AF_INET, .octets = { 10 } },
				    SLICE(""),
				    (struct penalty_limits){
					.failures = 25, .forget_s = 1000, .ban_s = 9 },
				    50)
					    .ban;
			_exit((int)mine);
		}
	while (wait(&status) > 0)
		bans += WEXITSTATUS(status);
	ck_assert_int_eq(bans, 2); /* one of the client, one (at 200) of its neighbourhood */
	ck_assert_uint_eq(atomic_load(&p->failures), 200);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("penalties");
	TCase *tc = tcase_create("penalties");

	tcase_add_checked_fixture(tc, make, drop);
	tcase_add_loop_test(tc, bans_narrow, 0, COUNT(neighbours));
	tcase_add_test(tc, bans_wide);
	tcase_add_test(tc, forgets);
	tcase_add_test(tc, logins_slow_only);
	tcase_add_test(tc, trust_bears_more);
	tcase_add_test(tc, zero_never_bans);
	tcase_add_test(tc, no_address_no_ban);
	tcase_add_test(tc, table_overflows);
	tcase_add_test(tc, counts_for_all_processes);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
