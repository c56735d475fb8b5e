#include "config.h"

#include "unit.h"

#include <sys/resource.h>

#include "proxy/control/pressure.h"

static const struct address nobody = { .family = AF_INET };

static struct proxy_settings settings(void)
{
	struct proxy_settings p = { .limits.sessions = 10,
		.limits.errors_hard = 20,
		.limits.junk_commands = 100,
		.limits.memory_bytes = 1000,
		.timeouts.command_s = 300,
		.timeouts.data_s = 5,
		.timeouts.tls_handshake_s = 30,
		.stress = { 80, 10, 10, 1, 1 } };

	p.listen.n = 1;
	return p;
}

static void sessions(struct shared *s, int slot, int n)
{
	for (; n > 0; n--)
		(void)shared_enter(s, slot, &nobody, 1000, 1000);
	for (; n < 0; n++)
		shared_leave(s, slot, &nobody);
}

START_TEST(stress_comes_and_goes)
{
	struct proxy_settings p = settings();
	struct shared *s = shared_new(NULL);
	struct pressure here, there;
	int x = shared_take_slot(s), y = shared_take_slot(s);

	pressure_start(&here, &p, s, x);
	pressure_start(&there, &p, s, y);
	ck_assert_int_eq(here.patience.command_s, 300);
	sessions(s, x, 7);
	ck_assert(!pressure_turned(&here, 7));
	sessions(s, y, 1);
	ck_assert(pressure_turned(&here, 7));
	ck_assert(!pressure_turned(&here, 7));
	ck_assert(pressure_turned(&there, 1));
	ck_assert_int_eq(here.patience.command_s, 10);
	ck_assert_int_eq(here.patience.data_s, 5); /* it is less already */
	ck_assert_int_eq(here.patience.tls_handshake_s, 10);
	ck_assert_int_eq(here.patience.errors_hard, 1);
	ck_assert_int_eq(here.patience.junk_commands, 1);
	ck_assert_uint_eq(atomic_load(&s->stressed), 2);
	sessions(s, x, -1);
	ck_assert(!pressure_turned(&here, 6)); /* 70 percent: not yet */
	sessions(s, x, -1);
	ck_assert(pressure_turned(&here, 5));
	ck_assert_int_eq(here.patience.command_s, 300);
	ck_assert_uint_eq(atomic_load(&s->stressed), 1);
	shared_give_back(s, y); /* it died under stress */
	ck_assert_uint_eq(atomic_load(&s->stressed), 0);
	shared_free(&s);
}
END_TEST

static const struct {
	unsigned long descriptors;
	size_t filters, servers, sessions;
} room[] = {
	{ 33 + 3 * 20, 0, 0, 20 },
	{ 33 + 3 * 20 + 2, 0, 0, 20 },
	{ 33 + 5 * 20, 1, 0, 20 },
	{ 33 + 6 * 20, 2, 0, 20 },
	{ 33 + 2 * 10 + 3 * 20, 0, 2, 20 }, /* each keeps ten connections */
	{ 20, 0, 0, 1 },
};

START_TEST(descriptors_bound_sessions)
{
	struct proxy_settings p = settings();
	struct backend_settings backend = { .servers.n = room[_i].servers, .keep.connections = 10 };
	struct shared *s = shared_new(NULL);
	struct pressure here;
	struct rlimit was, now;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &was), 0);
	now = (struct rlimit){ room[_i].descriptors, was.rlim_max };
	p.filters.n = room[_i].filters;
	p.backends = (struct conf_items){ &backend, 1 };
	p.limits.sessions = 1000;
	pressure_start(&here, &p, s, shared_take_slot(s));
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &now), 0);
	ck_assert(pressure_room(&here, room[_i].sessions - 1));
	ck_assert(!pressure_room(&here, room[_i].sessions));
	ck_assert(pressure_turned(&here, room[_i].sessions)); /* stress before that */
	(void)setrlimit(RLIMIT_NOFILE, &was);
	shared_free(&s);
}
END_TEST

START_TEST(memory_of_all_workers)
{
	struct proxy_settings p = settings();
	struct shared *s = shared_new(NULL);
	struct pressure here, there;
	int x = shared_take_slot(s), y = shared_take_slot(s);

	pressure_start(&here, &p, s, x);
	pressure_start(&there, &p, s, y);
	pressure_memory(&here, 700);
	ck_assert_int_eq(here.memory, MEMORY_EASY);
	pressure_memory(&there, 50);
	ck_assert_int_eq(there.memory, MEMORY_SHORT);
	pressure_memory(&there, 250);
	ck_assert_int_eq(there.memory, MEMORY_OUT);
	ck_assert_int_eq(here.memory, MEMORY_EASY); /* until it looks */
	pressure_memory(&here, 0);
	ck_assert_int_eq(here.memory, MEMORY_OUT);
	ck_assert_uint_eq(shared_sum(s).memory, 1000);
	pressure_memory(&here, -700);
	ck_assert_int_eq(here.memory, MEMORY_EASY);
	shared_give_back(s, y);
	ck_assert_uint_eq(shared_sum(s).memory, 0);
	shared_free(&s);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("pressure");
	TCase *tc = tcase_create("pressure");

	tcase_add_test(tc, stress_comes_and_goes);
	tcase_add_loop_test(tc, descriptors_bound_sessions, 0, COUNT(room));
	tcase_add_test(tc, memory_of_all_workers);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
