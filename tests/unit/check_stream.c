#include "config.h"

#include "unit.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/stream.h"

#define INPUT_MAX 100

static struct event_base *base;
static struct stream *stream;
static int peer;

static void nothing(void *arg)
{
	(void)arg;
}

static void failed(void *arg, const char *error)
{
	(void)arg;
	ck_abort_msg("%s", error);
}

static const struct stream_events events = {
	.on_input = nothing, .on_drained = nothing, .on_failed = failed
};

static void make_pair(void)
{
	int fds[2], small = 4096;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	ck_assert_int_eq(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	base = event_base_new();
	peer = fds[1];
	stream = stream_new(base, fds[0], INPUT_MAX, &events, NULL);
	ck_assert_ptr_nonnull(stream);
}

static void drop_pair(void)
{
	stream_free(&stream);
	close(peer);
	event_base_free(base);
}

static void say(size_t n)
{
	static const char octets[65536];

	ck_assert(bytes_add(stream_output(stream), slice_of(octets, n)));
	stream_flush(stream);
}

/* A peer that never lets the output become empty: what it took does not stay in memory. */
START_TEST(output_does_not_pile_up)
{
	char octets[1000];

	say(60000);
	for (int i = 0; i < 5000; i++) {
		ssize_t n = read(peer, octets, sizeof(octets));

		ck_assert_int_gt(n, 0);
		say((size_t)n);
		ck_assert_int_ge(event_base_loop(base, EVLOOP_NONBLOCK), 0);
		ck_assert_uint_gt(stream_unsent(stream), 0);
		ck_assert_uint_le(stream_output(stream)->n, 140000);
	}
}
END_TEST

/* The owner is told of a full buffer when he can do nothing, and takes all but the beginning of
 * something later: its end must be read. */
START_TEST(input_goes_on_after_a_part_was_taken)
{
	char octets[150] = "";

	ck_assert_int_eq(write(peer, octets, sizeof(octets)), sizeof(octets));
	for (int i = 0; i < 3; i++)
		ck_assert_int_ge(event_base_loop(base, EVLOOP_NONBLOCK), 0);
	ck_assert_uint_eq(stream_input(stream).n, INPUT_MAX);
	stream_take(stream, INPUT_MAX - 5);
	for (int i = 0; i < 3; i++)
		ck_assert_int_ge(event_base_loop(base, EVLOOP_NONBLOCK), 0);
	ck_assert_uint_eq(stream_input(stream).n, 55);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("stream");
	TCase *tc = tcase_create("stream");

	tcase_add_checked_fixture(tc, make_pair, drop_pair);
	tcase_add_test(tc, output_does_not_pile_up);
	tcase_add_test(tc, input_goes_on_after_a_part_was_taken);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
