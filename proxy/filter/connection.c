#include "config.h"

#include "proxy/filter/connection.h"

#include <errno.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	READ_MAX = 4096,
	READ_BODY_MAX = 65536,
	PACKET_MAX = 1048576,
	HIGH_WATER = 262144,
	LOW_WATER = 65536,
	KEEP_MAX = 2048, /* octets of storage that an idle connection keeps */
	RETRY_MS = 20,   /* a Unix socket with a full backlog says so at once and never again */
};
enum state { CONNECTING, NEGOTIATING, OPEN };
#define NEVER INT64_MAX

/* Refused recipients are never shown to filters, so that is not offered. */
static const struct milter_options offer = { MILTER_VERSION, MILTER_MAY_ALL,
	MILTER_PROTOCOL_ALL & ~MILTER_REFUSED_RCPT };

struct filter_connection {
	struct filter *filter;
	const struct filter_connection_calls *calls;
	void *arg;
	enum state state;
	int fd;
	struct event *readable, *writable, *timer;
	size_t address; /* that is being tried */
	struct milter_reader reader;
	struct bytes in, out;
	size_t in_at, out_at; /* consumed, written */
	struct milter_options options;
	struct bytes list_text; /* what lists points into */
	struct milter_symlist lists;
	bool owed, full, broken;
	int64_t inactivity_ms;
	int64_t open_by, reply_by, total_by, written_by; /* deadlines */
	int64_t timer_at;
	bool *gone; /* told when a callback freed us */
	char *why;  /* it broke; NULL without memory for that */
};

static int64_t earliest(const struct filter_connection *c)
{
	int64_t at = NEVER;

	if (c->state != OPEN)
		at = c->open_by;
	if (c->owed && c->reply_by < at)
		at = c->reply_by;
	if (c->owed && c->total_by < at)
		at = c->total_by;
	if (c->out.n > c->out_at && c->written_by < at)
		at = c->written_by;
	return at;
}

static void timer_run_at(struct filter_connection *c, int64_t at)
{
	int64_t ms = at - filter_now_ms();
	struct timeval tv;

	ms = ms < 0 ? 0 : ms;
	tv = (struct timeval){ .tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000 };
	c->timer_at = at;
	(void)evtimer_add(c->timer, &tv);
}

/* The timer is left to run early where a deadline moves away: it looks again when it fires. */
static void timer_mind(struct filter_connection *c)
{
	int64_t at = earliest(c);

	if (!c->broken && at < c->timer_at)
		timer_run_at(c, at);
}

/* The owner is told from the loop, whatever call this happened in. */
static void breaks(struct filter_connection *c)
{
	if (c->broken)
		return;
	c->broken = true;
	if (c->state != OPEN)
		filter_tried(c->filter, false);
	if (c->readable != NULL)
		(void)event_del(c->readable);
	if (c->writable != NULL)
		(void)event_del(c->writable);
	event_active(c->timer, EV_TIMEOUT, 1);
}

/* Few connections break: the text is no part of each. */
static void explain(struct filter_connection *c, const struct err *e)
{
	free(c->why);
	c->why = slice_dup(slice_z(e->text));
}

static void breaks_with(struct filter_connection *c, const struct err *e)
{
	if (!c->broken)
		explain(c, e);
	breaks(c);
}

static void breaks_on(struct filter_connection *c, const char *why)
{
	struct err e;

	err_set(&e, "%s", why);
	breaks_with(c, &e);
}

static void flush(struct filter_connection *c)
{
	struct err e;
	ssize_t n;

	if (c->out.failed)
		breaks_on(c, "no memory");
	if (c->broken || c->state == CONNECTING)
		return;
	while (c->out_at < c->out.n) {
		n = send(c->fd, c->out.p + c->out_at, c->out.n - c->out_at, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			c->full |= c->out.n - c->out_at > HIGH_WATER;
			(void)event_add(c->writable, NULL);
			timer_mind(c);
			return;
		}
		if (n < 0) {
			err_set(&e, "writing: %s", strerror(errno));
			breaks_with(c, &e);
			return;
		}
		c->out_at += (size_t)n;
		c->written_by = filter_now_ms() + c->filter->settings->content_timeout_s * 1000;
	}
	c->out_at = 0;
	if (c->out.cap > KEEP_MAX)
		bytes_free(&c->out);
	else
		bytes_clear(&c->out);
}

static void socket_tune(const struct filter_connection *c, int option)
{
	int one = 1;

	if (c->filter->addresses[c->address].ss.ss_family != AF_UNIX)
		(void)setsockopt(c->fd, IPPROTO_TCP, option, &one, sizeof(one));
}

/* Append what the socket holds, a bounded part of it. How many octets; 0 for nothing there, -1 when
 * the connection broke. libmilter leaves Nagle on and writes each edit alone, so a delayed ACK of
 * ours would cost 40 ms an edit: TCP_QUICKACK wears off and is set again each time. */
static ssize_t take_in(struct filter_connection *c)
{
	size_t room = c->reader.body_left > 0 ? READ_BODY_MAX : READ_MAX;
	ssize_t n;

	if (!bytes_reserve(&c->in, room)) {
		breaks_on(c, "no memory");
		return -1;
	}
	while ((n = recv(c->fd, c->in.p + c->in.n, room, MSG_DONTWAIT)) < 0 && errno == EINTR)
		;
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return 0;
	if (n <= 0) {
		breaks_on(c, n == 0 ? "the filter closed the connection" : strerror(errno));
		return -1;
	}
	c->in.n += (size_t)n;
	c->in.p[c->in.n] = '\0';
	socket_tune(c, TCP_QUICKACK);
	return n;
}

static void negotiated(struct filter_connection *c, const struct milter_packet *p)
{
	struct err e;

	/* The lists are looked at as long as the connection lives: keep the text. */
	if (p->code != MILTER_OPTNEG)
		err_set(&e, "no answer to the negotiation but 0x%02x", (unsigned char)p->code);
	else if (!bytes_add(&c->list_text, p->payload))
		err_set(&e, "no memory");
	else if (milter_options_parse(
		     bytes_slice(&c->list_text), &offer, &c->options, &c->lists, &e) == 0)
		c->state = OPEN;
	if (c->state != OPEN) {
		breaks_with(c, &e);
		return;
	}
	filter_tried(c->filter, true);
	c->owed = false;
	c->calls->on_open(c->arg);
}

static void got_packet(struct filter_connection *c, const struct milter_packet *p)
{
	struct milter_reply r;
	struct err e;

	if (c->state != OPEN) {
		negotiated(c, p);
		return;
	}
	if (milter_reply_parse(p, &r, &e) < 0) {
		breaks_with(c, &e);
		return;
	}
	c->reply_by = filter_now_ms() + c->inactivity_ms;
	if (r.code == MILTER_PROGRESS)
		return;
	if (c->owed) {
		c->calls->on_reply(&r, c->arg);
		return;
	}
	err_set(&e, "%s, which was not asked for", milter_reply_name(r.code));
	breaks_with(c, &e);
}

/* Drop what was consumed. */
static void input_keep(struct filter_connection *c)
{
	if (c->in_at < c->in.n)
		memmove(c->in.p, c->in.p + c->in_at, c->in.n - c->in_at);
	c->in.n -= c->in_at;
	c->in_at = 0;
	if (c->in.n == 0 && c->in.cap > KEEP_MAX)
		bytes_free(&c->in);
}

/* Hand out every whole packet. */
static void digest(struct filter_connection *c)
{
	struct milter_packet p;
	struct err e;
	bool gone = false;
	size_t used;
	int rc = 0;

	c->gone = &gone;
	while (!c->broken) {
		struct slice unread = slice_of(c->in.p + c->in_at, c->in.n - c->in_at);

		if ((rc = milter_read(&c->reader, unread, &used, &p, &e)) <= 0)
			break;
		c->in_at += used;
		got_packet(c, &p);
		if (gone)
			return;
	}
	c->gone = NULL;
	if (rc < 0)
		breaks_with(c, &e);
	input_keep(c);
	timer_mind(c);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct filter_connection *c = arg;

	(void)fd;
	(void)what;
	if (take_in(c) >= 0)
		digest(c);
}

static void connect_next(struct filter_connection *c);

static void connecting_failed(struct filter_connection *c, int error)
{
	struct err e;

	err_set(&e, "connecting: %s", strerror(error));
	explain(c, &e);
}

static void connected(struct filter_connection *c)
{
	socket_tune(c, TCP_NODELAY);
	c->state = NEGOTIATING;
	c->owed = true;
	c->reply_by = c->total_by = NEVER;
	if (event_add(c->readable, NULL) < 0 || !milter_put_options(&c->out, &offer)) {
		breaks_on(c, "no memory");
		return;
	}
	c->written_by = c->open_by;
	flush(c);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct filter_connection *c = arg;
	int error = 0;
	socklen_t n = sizeof(error);

	(void)what;
	if (c->state != CONNECTING) {
		flush(c);
		if (!c->broken && c->full && c->out.n - c->out_at <= LOW_WATER) {
			c->full = false;
			c->calls->on_drained(c->arg);
		}
		return;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) < 0)
		error = errno;
	if (error == 0) {
		connected(c);
		return;
	}
	connecting_failed(c, error);
	c->address++;
	connect_next(c);
}

static void socket_drop(struct filter_connection *c)
{
	if (c->readable != NULL)
		event_free(c->readable);
	if (c->writable != NULL)
		event_free(c->writable);
	c->readable = c->writable = NULL;
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

static int socket_make(struct filter_connection *c, int family, struct err *e)
{
	struct event_base *base = c->filter->all->base;

	socket_drop(c);
	c->fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fd < 0)
		return err_set(e, "socket: %s", strerror(errno));
	c->readable = event_new(base, c->fd, EV_READ | EV_PERSIST, on_readable, c);
	c->writable = event_new(base, c->fd, EV_WRITE, on_writable, c);
	return c->readable != NULL && c->writable != NULL ? 0 : err_set(e, "no memory");
}

/* Try the addresses that are left, in order. */
static void connect_next(struct filter_connection *c)
{
	struct err e;

	for (; c->address < c->filter->address_count; c->address++) {
		const struct filter_address *a = &c->filter->addresses[c->address];

		if (socket_make(c, a->ss.ss_family, &e) < 0) {
			explain(c, &e);
			break;
		}
		if (connect(c->fd, (const struct sockaddr *)&a->ss, a->n) == 0) {
			connected(c);
			return;
		}
		if (errno == EINPROGRESS) {
			(void)event_add(c->writable, NULL);
			return;
		}
		if (errno == EAGAIN) {
			timer_run_at(c, filter_now_ms() + RETRY_MS);
			return;
		}
		connecting_failed(c, errno);
	}
	breaks(c);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct filter_connection *c = arg;
	int64_t now = filter_now_ms();

	(void)fd;
	(void)what;
	c->timer_at = NEVER;
	if (!c->broken && earliest(c) <= now) {
		breaks_on(c,
		    c->state == CONNECTING        ? "connecting: timed out"
			: c->state == NEGOTIATING ? "negotiation: timed out"
			: c->owed                 ? "no reply in time"
						  : "it does not read");
	}
	if (c->broken) {
		(void)event_del(c->timer);
		c->calls->on_failed(c->why != NULL ? c->why : "no memory", c->arg);
		return;
	}
	timer_mind(c);
	if (c->state == CONNECTING && !event_pending(c->writable, EV_WRITE, NULL))
		connect_next(c);
}

struct filter_connection *filter_connection_start(
    struct filter *filter, const struct filter_connection_calls *calls, void *arg)
{
	struct filter_connection *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	*c = (struct filter_connection){
		.filter = filter, .calls = calls, .arg = arg, .fd = -1, .timer_at = NEVER
	};
	if ((c->timer = evtimer_new(filter->all->base, on_timer, c)) == NULL) {
		free(c);
		return NULL;
	}
	c->open_by = filter_now_ms() + filter->settings->connect_timeout_s * 1000;
	milter_reader_start(
	    &c->reader, PACKET_MAX, (uint64_t)filter->all->settings->limits.message_bytes);
	if (!filter_may_try(filter)) {
		c->state = OPEN; /* not an attempt that counts */
		breaks_on(c, "left alone for some seconds after failures in a row");
		return c;
	}
	timer_mind(c);
	connect_next(c);
	return c;
}

void filter_connection_free(struct filter_connection **c, bool quit)
{
	struct filter_connection *was = *c;

	if (was == NULL)
		return;
	*c = NULL;
	if (quit && !was->broken && was->state == OPEN && milter_put(&was->out, MILTER_QUIT))
		(void)send(was->fd, was->out.p + was->out_at, was->out.n - was->out_at,
		    MSG_NOSIGNAL | MSG_DONTWAIT);
	if (was->gone != NULL)
		*was->gone = true;
	socket_drop(was);
	event_free(was->timer);
	bytes_free(&was->in);
	bytes_free(&was->out);
	bytes_free(&was->list_text);
	free(was->why);
	free(was);
}

const struct milter_options *filter_connection_options(const struct filter_connection *c)
{
	return &c->options;
}

static size_t beyond_keep(const struct bytes *b)
{
	return b->cap > KEEP_MAX ? b->cap : 0;
}

size_t filter_connection_memory(const struct filter_connection *c)
{
	return beyond_keep(&c->in) + beyond_keep(&c->out);
}

struct slice filter_connection_macros(const struct filter_connection *c, enum milter_stage stage)
{
	return c->lists.names[stage];
}

struct bytes *filter_connection_out(struct filter_connection *c)
{
	size_t waiting = c->out.n - c->out_at;

	if (waiting == 0)
		c->written_by = filter_now_ms() + c->filter->settings->content_timeout_s * 1000;
	/* What was written is dropped once it is most of the buffer. */
	if (c->out_at > waiting) {
		memmove(c->out.p, c->out.p + c->out_at, waiting);
		c->out.n = waiting;
		c->out_at = 0;
	}
	return &c->out;
}

void filter_connection_send(struct filter_connection *c)
{
	flush(c);
}

/* PROGRESS may come at any time. */
static void skip_progress(struct filter_connection *c)
{
	static const char progress[] = { 0, 0, 0, 1, MILTER_PROGRESS };

	while (c->in.n - c->in_at >= sizeof(progress) &&
	    memcmp(c->in.p + c->in_at, progress, sizeof(progress)) == 0)
		c->in_at += sizeof(progress);
}

bool filter_connection_sound(struct filter_connection *c)
{
	if (c->broken || take_in(c) < 0)
		return false;
	skip_progress(c);
	if (c->in_at < c->in.n)
		breaks_on(c, "a reply that was not asked for");
	return !c->broken;
}

void filter_connection_ask(struct filter_connection *c, int64_t inactivity_s, int64_t total_s)
{
	int64_t now = filter_now_ms();

	/* A reply too many may be here already, and would be taken for the answer. */
	if (!filter_connection_sound(c))
		return;
	c->owed = true;
	c->inactivity_ms = inactivity_s * 1000;
	c->reply_by = now + c->inactivity_ms;
	c->total_by = now + total_s * 1000;
	flush(c);
	timer_mind(c);
}

void filter_connection_settle(struct filter_connection *c)
{
	c->owed = false;
}

bool filter_connection_full(const struct filter_connection *c)
{
	return c->full;
}

void filter_connection_pause(struct filter_connection *c)
{
	c->full = true;
	if (!c->broken)
		event_active(c->writable, EV_WRITE, 1);
}
