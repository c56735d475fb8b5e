#include "config.h"

#include "stream.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "stream_inside.h"

/* One read takes at most so much; it lies on the stack while it is looked at, so that an idle
 * session holds no buffer. */
#define READ_MAX 65536
/* Buffers up to this size are kept for the next command or reply. */
#define KEEP_MAX 4096

static void on_readable(evutil_socket_t fd, short what, void *arg);
static void on_writable(evutil_socket_t fd, short what, void *arg);

void stream_look_again(struct stream *s)
{
	if (s->tls != NULL && s->handshake == NULL && s->reading && stream_tls_more(s->tls))
		event_active(&s->readable, EV_READ, 0);
}

void stream_watch(struct stream *s)
{
	/* What was said in the clear goes before a handshake begins. */
	bool room = s->handshake != NULL ? s->out.n == s->out_at
					 : !s->eof && !s->paused && !s->full;
	bool want = room && !s->dead && s->error == 0;

	if (want == s->reading)
		return;
	s->reading = want;
	if (want)
		event_add(&s->readable, NULL);
	else
		event_del(&s->readable);
	stream_look_again(s);
}

struct stream *stream_new(struct event_base *base, int fd, size_t input_max,
    const struct stream_events *events, void *arg)
{
	struct stream *s = calloc(1, sizeof(*s));

	if (s == NULL) {
		close(fd);
		return NULL;
	}
	*s = (struct stream){
		.base = base, .fd = fd, .events = events, .arg = arg, .input_max = input_max
	};
	event_assign(&s->readable, base, fd, EV_READ | EV_PERSIST, on_readable, s);
	event_assign(&s->writable, base, fd, EV_WRITE, on_writable, s);
	stream_watch(s);
	return s;
}

static void release(struct stream *s)
{
	bytes_free(&s->in);
	bytes_free(&s->out);
	free(s);
}

void stream_free(struct stream **at)
{
	struct stream *s = *at;

	*at = NULL;
	if (s == NULL)
		return;
	s->dead = true;
	event_del(&s->readable);
	event_del(&s->writable);
	stream_end_handshake(s);
	stream_tls_free(&s->tls, s->error == 0);
	close(s->fd);
	if (s->depth == 0)
		release(s);
}

bool stream_call(struct stream *s, void (*event)(void *arg))
{
	s->depth++;
	event(s->arg);
	s->depth--;
	if (s->dead && s->depth == 0)
		release(s);
	else
		return true;
	return false;
}

void stream_fail(struct stream *s, int error)
{
	const char *text = error == EPROTO && s->tls != NULL ? stream_tls_error(s->tls)
							     : strerror(error);

	s->error = error;
	stream_end_handshake(s);
	stream_watch(s);
	event_del(&s->writable);
	s->depth++;
	s->events->on_failed(s->arg, text);
	s->depth--;
	if (s->dead && s->depth == 0)
		release(s);
}

struct slice stream_input(const struct stream *s)
{
	if (s->fresh.n > 0)
		return s->fresh;
	return slice_sub(bytes_slice(&s->in), s->in_at, s->in.n);
}

void stream_take(struct stream *s, size_t n)
{
	if (s->fresh.n > 0) {
		s->fresh = slice_sub(s->fresh, n, s->fresh.n);
		return;
	}
	s->in_at += n;
	/* What is left may be the first half of a line, whose other half must be read. */
	s->full = s->in.n - s->in_at >= s->input_max;
	stream_watch(s);
}

/* What was taken may still be looked at until now. */
static void tidy(struct stream *s)
{
	if (s->in.n == 0 || s->in_at < s->in.n)
		return;
	s->in_at = 0;
	if (s->in.cap > KEEP_MAX)
		bytes_free(&s->in);
	else
		bytes_clear(&s->in);
}

bool stream_eof(const struct stream *s)
{
	return s->eof;
}

void stream_pause(struct stream *s, bool pause)
{
	s->paused = pause;
	stream_watch(s);
}

/* What nobody took of a fresh read waits on the heap. */
static bool keep_fresh(struct stream *s)
{
	struct slice rest = s->fresh;

	s->fresh = (struct slice){ 0 };
	tidy(s);
	if (rest.n > 0 && !bytes_add(&s->in, rest))
		return false;
	s->full = s->in.n - s->in_at >= s->input_max;
	stream_watch(s);
	return true;
}

void stream_await_writable(struct stream *s)
{
	if (!s->waiting)
		event_add(&s->writable, NULL);
	s->waiting = true;
}

/* As recv. */
static ssize_t receive(struct stream *s, void *into, size_t n)
{
	ssize_t got;
	int error;

	if (s->tls == NULL)
		return recv(s->fd, into, n, 0);
	got = stream_tls_read(s->tls, into, n);
	error = errno;
	if (stream_tls_wants_write(s->tls))
		stream_await_writable(s);
	errno = error;
	return got;
}

ssize_t stream_peek(struct stream *s, void *into, size_t n)
{
	if (s->tls != NULL)
		return stream_tls_peek(s->tls, into, n);
	return recv(s->fd, into, n, MSG_PEEK);
}

/* Octets lie there already: what comes now is put behind them. */
static ssize_t read_behind(struct stream *s)
{
	size_t room = s->input_max - (s->in.n - s->in_at);
	ssize_t n;

	if (s->in_at > 0) {
		memmove(s->in.p, s->in.p + s->in_at, s->in.n - s->in_at);
		s->in.n -= s->in_at;
		s->in_at = 0;
	}
	if (room > READ_MAX)
		room = READ_MAX;
	if (!bytes_reserve(&s->in, room)) {
		errno = ENOMEM;
		return -1;
	}
	n = receive(s, s->in.p + s->in.n, room);
	if (n > 0)
		s->in.n += (size_t)n;
	s->full = s->in.n >= s->input_max;
	return n;
}

static void got(struct stream *s, ssize_t n)
{
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		stream_fail(s, errno);
		return;
	}
	s->eof = n == 0;
	stream_watch(s);
	if (!stream_call(s, s->events->on_input))
		return;
	if (!keep_fresh(s))
		stream_fail(s, ENOMEM);
	else
		stream_look_again(s);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct stream *s = arg;
	char octets[READ_MAX];
	ssize_t n;

	(void)fd;
	(void)what;
	if (!s->reading)
		return; /* woken by stream_look_again or on_writable, and not wanted any more */
	if (s->handshake != NULL) {
		stream_shake_hands(s);
		return;
	}
	if (s->in.n > s->in_at) {
		got(s, read_behind(s));
		return;
	}
	n = receive(s, octets, s->input_max < READ_MAX ? s->input_max : READ_MAX);
	if (n > 0)
		s->fresh = slice_of(octets, (size_t)n);
	got(s, n);
}

/* A write failed: what the peer said before it went is read first, then the owner hears of it. */
static void on_broken(struct stream *s)
{
	char octets[READ_MAX];
	ssize_t n = s->eof || s->handshake != NULL ? 0 : receive(s, octets, sizeof(octets));

	if (n > 0 && s->in.n == s->in_at) {
		s->fresh = slice_of(octets, (size_t)n);
		if (!stream_call(s, s->events->on_input))
			return;
		s->fresh = (struct slice){ 0 };
	}
	stream_fail(s, s->error);
}

struct bytes *stream_output(struct stream *s)
{
	return &s->out;
}

size_t stream_unsent(const struct stream *s)
{
	size_t n = s->out.n - s->out_at;

	return n == 0 && s->error != 0 ? 1 : n;
}

/* As send. */
static ssize_t transmit(struct stream *s, const void *octets, size_t n)
{
	if (s->tls == NULL || s->handshake != NULL)
		return send(s->fd, octets, n, MSG_NOSIGNAL);
	return stream_tls_write(s->tls, octets, n);
}

/* Write what the socket takes, and tell how much that was. */
static size_t send_some(struct stream *s, struct slice octets)
{
	size_t done = 0;

	while (done < octets.n) {
		ssize_t n = transmit(s, octets.p + done, octets.n - done);

		if (n >= 0)
			done += (size_t)n;
		else if (errno == EAGAIN)
			break;
		else if (errno != EINTR) {
			s->error = errno;
			break;
		}
	}
	return done;
}

/* True when nothing is left. */
static bool write_out(struct stream *s)
{
	size_t left;

	s->out_at += send_some(s, slice_sub(bytes_slice(&s->out), s->out_at, s->out.n));
	left = s->out.n - s->out_at;
	/* A peer that never lets it all go must not make what went pile up. */
	if (left > 0 && s->out_at > left) {
		memmove(s->out.p, s->out.p + s->out_at, left);
		s->out.n = left;
		s->out_at = 0;
	}
	if (left > 0)
		return false;
	s->out_at = 0;
	if (s->out.cap > KEEP_MAX)
		bytes_free(&s->out);
	else
		bytes_clear(&s->out);
	return true;
}

/* The socket takes no more now, or never again: then the owner, who is in the middle of something,
 * is told from the loop. */
static void write_later(struct stream *s)
{
	if (s->error != 0) {
		stream_watch(s);
		event_active(&s->writable, EV_WRITE, 0);
	} else {
		stream_await_writable(s);
	}
}

void stream_flush(struct stream *s)
{
	tidy(s);
	if (s->waiting || s->handshake != NULL || s->error != 0 || s->out.n == s->out_at)
		return;
	if (!write_out(s))
		write_later(s);
}

/* What the socket takes of the parts at once; the rest may come in another go. */
static size_t send_parts(struct stream *s, const struct slice *parts, size_t count)
{
	struct iovec v[STREAM_PARTS];
	struct msghdr message = { .msg_iov = v };
	ssize_t n;

	for (size_t i = 0; i < count; i++)
		if (parts[i].n > 0)
			v[message.msg_iovlen++] = (struct iovec){ (void *)(uintptr_t)parts[i].p,
				parts[i].n };
	while ((n = sendmsg(s->fd, &message, MSG_NOSIGNAL)) < 0 && errno == EINTR)
		;
	if (n < 0 && errno != EAGAIN)
		s->error = errno;
	return n > 0 ? (size_t)n : 0;
}

void stream_write_parts(struct stream *s, const struct slice *parts, size_t n)
{
	size_t sent = 0;

	assert(n <= STREAM_PARTS);
	stream_flush(s);
	if (stream_unsent(s) == 0 && s->tls == NULL)
		sent = send_parts(s, parts, n);
	for (size_t i = 0; i < n; i++) {
		struct slice rest = slice_sub(parts[i], sent, parts[i].n);

		sent -= parts[i].n - rest.n;
		if (rest.n > 0 && stream_unsent(s) == 0 && s->handshake == NULL)
			rest = slice_sub(rest, send_some(s, rest), rest.n);
		if (rest.n > 0 && s->error == 0 && !bytes_add(&s->out, rest))
			s->error = ENOMEM;
	}
	if (stream_unsent(s) > 0 && s->handshake == NULL)
		write_later(s);
}

void stream_write(struct stream *s, struct slice octets)
{
	stream_write_parts(s, &octets, 1);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct stream *s = arg;
	bool owed = s->out.n > s->out_at;

	(void)fd;
	(void)what;
	s->waiting = false;
	if (s->error == 0 && owed && !write_out(s) && s->error == 0) {
		stream_await_writable(s);
		return;
	}
	if (s->error != 0) {
		on_broken(s);
		return;
	}
	if (s->tls != NULL) { /* a handshake, or a read that had to say something first */
		stream_watch(s);
		event_active(&s->readable, EV_READ, 0);
	}
	if (owed && s->handshake == NULL)
		(void)stream_call(s, s->events->on_drained);
}

void stream_shut(struct stream *s)
{
	if (s->tls != NULL)
		stream_tls_shut(s->tls);
	(void)shutdown(s->fd, SHUT_WR);
}

int stream_fd(const struct stream *s)
{
	return s->fd;
}

static size_t beyond_keep(const struct bytes *b)
{
	return b->cap > KEEP_MAX ? b->cap : 0;
}

size_t stream_memory(const struct stream *s)
{
	return beyond_keep(&s->in) + beyond_keep(&s->out);
}
