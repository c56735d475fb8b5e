#include "config.h"

#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "certificate.h"
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

/* ---- TLS ---------------------------------------------------------------------------------- */

static SSL_CTX *context;
static SSL *client; /* at the peer's end */
static char wrong[200];
static unsigned secured, inputs;

static void on_secured(void *arg)
{
	(void)arg;
	secured++;
}

static void on_input(void *arg)
{
	(void)arg;
	inputs++;
}

static void on_failed(void *arg, const char *error)
{
	(void)arg;
	(void)snprintf(wrong, sizeof(wrong), "%s", error);
}

static const struct stream_events tls_events = { .on_input = on_input,
	.on_drained = nothing,
	.on_failed = on_failed,
	.on_secured = on_secured };

static void make_tls_pair(void)
{
	int fds[2], small = 4096;
	EVP_PKEY *key;
	X509 *x = certificate_make('e', "us.test", NULL, 30, &key);

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	ck_assert_int_eq(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	context = SSL_CTX_new(TLS_method());
	ck_assert_int_eq(SSL_CTX_use_cert_and_key(context, x, key, NULL, 1), 1);
	X509_free(x);
	EVP_PKEY_free(key);
	base = event_base_new();
	peer = fds[1];
	stream = stream_new(base, fds[0], INPUT_MAX, &tls_events, NULL);
	client = SSL_new(context);
	SSL_set_fd(client, peer);
	SSL_set_connect_state(client);
	wrong[0] = '\0';
	secured = inputs = 0;
}

static void drop_tls_pair(void)
{
	SSL_free(client);
	SSL_CTX_free(context);
	drop_pair();
}

static void turn(void)
{
	for (int i = 0; i < 3; i++)
		ck_assert_int_ge(event_base_loop(base, EVLOOP_NONBLOCK), 0);
}

static void start_tls(int64_t deadline_s)
{
	SSL *ssl = SSL_new(context);

	SSL_set_accept_state(ssl);
	ck_assert(stream_tls_start(stream, ssl, deadline_s));
}

static void shake(void)
{
	for (int i = 0; i < 20 && (secured == 0 || !SSL_is_init_finished(client)); i++) {
		(void)SSL_do_handshake(client);
		turn();
	}
	ck_assert_str_eq(wrong, "");
	ck_assert_uint_eq(secured, 1);
}

static void on_alarm(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	*(bool *)arg = true;
}

/* How often the loop wakes up within a tenth of a second. */
static unsigned wakes(void)
{
	bool over = false;
	struct event *alarm = evtimer_new(base, on_alarm, &over);
	unsigned n = 0;

	event_add(alarm, &(struct timeval){ .tv_usec = 100000 });
	while (!over) {
		ck_assert_int_ge(event_base_loop(base, EVLOOP_ONCE), 0);
		n++;
	}
	event_free(alarm);
	return n;
}

/* What was flushed before leaves in the clear, however slowly it is read; what was read and not
 * taken is gone. */
START_TEST(tls_comes_behind_what_was_said)
{
	char octets[65536];
	size_t n = 0;

	ck_assert_int_eq(write(peer, "NOOP\r\n", 6), 6);
	turn();
	ck_assert_uint_eq(stream_input(stream).n, 6);
	say(60000);
	ck_assert_uint_gt(stream_unsent(stream), 0);
	start_tls(30);
	ck_assert_uint_eq(stream_input(stream).n, 0);
	/* He does not wait for our answer, nor reads it. */
	SSL_set0_rbio(client, BIO_new(BIO_s_mem()));
	(void)BIO_set_mem_eof_return(SSL_get_rbio(client), -1);
	(void)SSL_do_handshake(client);
	SSL_set_rfd(client, peer);
	ck_assert_uint_le(wakes(), 3);
	while (n < 60000) {
		ssize_t got = read(peer, octets, 60000 - n);

		ck_assert(got > 0 || errno == EAGAIN);
		for (ssize_t i = 0; i < got; i++)
			ck_assert_int_eq(octets[i], 0);
		n += got > 0 ? (size_t)got : 0;
		turn();
	}
	ck_assert_uint_eq(n, 60000);
	shake();
}
END_TEST

/* Records that the socket takes in pieces, from buffers that move and grow: nothing is lost,
 * doubled or mixed up. */
START_TEST(tls_output_in_pieces)
{
	static char octets[300000], got[sizeof(octets)];
	size_t said = 0, n = 0;

	for (size_t i = 0; i < sizeof(octets); i++)
		octets[i] = (char)(i * 31 + i / 256);
	start_tls(30);
	shake();
	while (n < sizeof(octets)) {
		size_t more = said * 7 % 9001 + 1;
		int r = SSL_read(client, got + n, 5000);

		n += r > 0 ? (size_t)r : 0;
		if (more > sizeof(octets) - said)
			more = sizeof(octets) - said;
		if (more > 0 && stream_unsent(stream) < 100000) {
			stream_write_parts(stream,
			    (struct slice[]){ slice_of(octets + said, more / 3),
				slice_of(octets + said + more / 3, more - more / 3) },
			    2);
			said += more;
		}
		turn();
	}
	ck_assert_int_eq(memcmp(octets, got, n), 0);
	ck_assert_uint_eq(stream_unsent(stream), 0);
	stream_shut(stream);
	ck_assert_int_eq(SSL_read(client, got, 1), 0);
	ck_assert_int_eq(SSL_get_error(client, 0), SSL_ERROR_ZERO_RETURN);
}
END_TEST

/* One record holds more than the owner has room for: the rest comes without the socket. */
START_TEST(tls_input_that_the_socket_does_not_know_of)
{
	char octets[1000];
	size_t n = 0;

	start_tls(30);
	shake();
	memset(octets, 'x', sizeof(octets));
	ck_assert_int_eq(SSL_write(client, octets, sizeof(octets)), sizeof(octets));
	stream_pause(stream, true);
	say(60000); /* that the socket becomes writable meanwhile changes nothing */
	while (stream_unsent(stream) > 0) {
		(void)SSL_read(client, octets, sizeof(octets));
		turn();
	}
	ck_assert_uint_eq(stream_input(stream).n, 0);
	ck_assert(!stream_eof(stream));
	stream_pause(stream, false);
	for (int i = 0; i < 50 && n < sizeof(octets); i++) {
		turn();
		ck_assert_uint_le(stream_input(stream).n, INPUT_MAX);
		n += stream_input(stream).n;
		stream_take(stream, stream_input(stream).n);
	}
	ck_assert_uint_eq(n, sizeof(octets));
	ck_assert_int_eq(SSL_shutdown(client), 0);
	turn();
	ck_assert(stream_eof(stream));
}
END_TEST

START_TEST(tls_deadline)
{
	start_tls(0);
	for (int i = 0; i < 200 && wrong[0] == '\0'; i++)
		ck_assert_int_ge(event_base_loop(base, EVLOOP_ONCE), 0);
	ck_assert_str_eq(wrong, "Connection timed out");
	ck_assert(!stream_tls_spoke(stream));
}
END_TEST

START_TEST(tls_garbage)
{
	start_tls(30);
	ck_assert_int_eq(write(peer, "EHLO x\r\n", 8), 8);
	turn();
	ck_assert_str_eq(wrong, "wrong version number");
	ck_assert(stream_tls_spoke(stream));
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
	tc = tcase_create("tls");
	tcase_add_checked_fixture(tc, make_tls_pair, drop_tls_pair);
	tcase_add_test(tc, tls_comes_behind_what_was_said);
	tcase_add_test(tc, tls_output_in_pieces);
	tcase_add_test(tc, tls_input_that_the_socket_does_not_know_of);
	tcase_add_test(tc, tls_deadline);
	tcase_add_test(tc, tls_garbage);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
