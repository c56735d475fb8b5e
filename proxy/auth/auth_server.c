#include "config.h"

#include "auth_server.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/event_struct.h>

#include "proxy/auth/auth_request.h"
#include "proxy/auth/dovecot.h"
#include "proxy/stream.h"
#include "proxy/upstream/upstream.h"
#include "weir/log.h"

#define BACKOFF_MS(failures) (100 << ((failures) > 7 ? 7 : (failures)))
#define HANDSHAKE_S          10
/* A server that does not read what it is asked is as good as none. */
#define OUTPUT_MAX 1048576
/* Dialogues are found by their number: neighbours in time lie in different places. */
#define PLACES 256

struct question {
	struct auth_dialogue dialogue; /* first: it is what others hold */
	LIST_ENTRY(question) link;
	struct auth_server *server;
	const struct auth_events *events;
	void *arg;
	uint32_t id;
	struct event timer;
	bool known;            /* the server has heard of it and given no outcome */
	bool waiting;          /* for the server */
	enum auth_failure why; /* of what the timer tells */
};

struct auth_server {
	struct auth_provider provider; /* first: it is what others hold */
	struct event_base *base;
	char *path;
	size_t line_max;
	unsigned cpid;
	int64_t timeout_s;
	struct stream *stream;
	bool ready; /* the handshake is done */
	bool settled;
	unsigned fresh, mechanisms;
	unsigned failures;
	uint32_t next_id;
	struct event retry;
	LIST_HEAD(, question) places[PLACES];
};

static const struct stream_events stream_events;

struct auth_provider *auth_server_provider(struct auth_server *s)
{
	return &s->provider;
}

const char *auth_server_path(const struct auth_server *s)
{
	return s->path;
}

bool auth_server_settled(const struct auth_server *s)
{
	return s->settled;
}

/* ---- dialogues ---------------------------------------------------------------------------- */

static struct question *find(struct auth_server *s, uint32_t id)
{
	struct question *q;

	LIST_FOREACH(q, &s->places[id % PLACES], link)
	if (q->id == id)
		return q;
	return NULL;
}

static void question_free(struct question *q)
{
	event_del(&q->timer);
	LIST_REMOVE(q, link);
	free(q);
}

static void fail(struct question *q, enum auth_failure why, struct slice login)
{
	const struct auth_events *events = q->events;
	void *arg = q->arg;

	question_free(q);
	events->on_failure(arg, why, login, NULL);
}

/* The server is asked no more about it. */
static void forget(struct question *q)
{
	struct auth_server *s = q->server;

	if (!q->known)
		return;
	q->known = false;
	(void)bytes_addf(stream_output(s->stream), "CANCEL\t%u\n", (unsigned)q->id);
	stream_flush(s->stream);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct question *q = arg;

	(void)fd;
	(void)what;
	if (q->waiting)
		log_event(LOG_LEVEL_WARN, "auth_server", "socket", q->server->path, "error",
		    "no answer in time", NULL);
	forget(q); /* nothing where the server knows nothing of it */
	fail(q, q->why, (struct slice){ 0 });
}

static void fail_soon(struct question *q, enum auth_failure why)
{
	q->waiting = false;
	q->why = why;
	event_active(&q->timer, EV_TIMEOUT, 0);
}

/* Send a line that was appended to the output from `from` on, or take it back. */
static void ask(struct question *q, size_t from)
{
	struct auth_server *s = q->server;
	struct bytes *out = stream_output(s->stream);

	(void)bytes_addc(out, '\n');
	if (out->failed || out->n - from > s->line_max) {
		enum auth_failure why = out->failed ? AUTH_UNAVAILABLE : AUTH_TOO_LONG;

		out->n = from;
		out->failed = false;
		fail_soon(q, why);
		return;
	}
	q->known = q->waiting = true;
	q->why = AUTH_UNAVAILABLE;
	event_add(&q->timer, &(struct timeval){ .tv_sec = s->timeout_s });
	stream_flush(s->stream);
}

static bool reachable(const struct auth_server *s)
{
	return s->ready && stream_unsent(s->stream) < OUTPUT_MAX;
}

static uint32_t fresh_id(struct auth_server *s)
{
	do
		s->next_id++;
	while (s->next_id == 0 || find(s, s->next_id) != NULL);
	return s->next_id;
}

static struct auth_dialogue *start(struct auth_provider *p, const struct auth_request *r,
    const struct auth_events *events, void *arg)
{
	struct auth_server *s = (struct auth_server *)p;
	struct question *q = calloc(1, sizeof(*q));
	size_t from;

	if (q == NULL)
		return NULL;
	q->dialogue.provider = p;
	q->server = s;
	q->events = events;
	q->arg = arg;
	q->id = fresh_id(s);
	event_assign(&q->timer, s->base, -1, 0, on_timer, q);
	LIST_INSERT_HEAD(&s->places[q->id % PLACES], q, link);
	if (!reachable(s)) {
		fail_soon(q, AUTH_UNAVAILABLE);
		return &q->dialogue;
	}
	from = stream_output(s->stream)->n;
	auth_request_write(q->id, r, stream_output(s->stream));
	ask(q, from);
	return &q->dialogue;
}

static void respond(struct auth_dialogue *d, struct slice base64)
{
	struct question *q = (struct question *)d;
	struct bytes *out;
	size_t from;

	if (!q->known) { /* the connection was lost while the client thought */
		fail_soon(q, AUTH_UNAVAILABLE);
		return;
	}
	out = stream_output(q->server->stream);
	from = out->n;
	(void)bytes_addf(out, "CONT\t%u\t", (unsigned)q->id);
	(void)bytes_add(out, base64);
	ask(q, from);
}

static void cancel(struct auth_dialogue *d)
{
	struct question *q = (struct question *)d;

	forget(q);
	question_free(q);
}

static unsigned mechanisms(struct auth_provider *p)
{
	return ((struct auth_server *)p)->mechanisms;
}

static const struct auth_ops ops = {
	.mechanisms = mechanisms, .start = start, .respond = respond, .cancel = cancel
};

/* ---- what the server says ----------------------------------------------------------------- */

static void on_done(struct auth_server *s)
{
	if (!s->ready)
		log_event(
		    LOG_LEVEL_DEBUG, "auth_server", "socket", s->path, "state", "ready", NULL);
	s->ready = s->settled = true;
	s->failures = 0;
	s->mechanisms = s->fresh;
	event_del(&s->retry);
}

static void on_cont(struct question *q, const struct dovecot_line *l)
{
	event_del(&q->timer);
	q->waiting = false;
	q->events->on_challenge(q->arg, l->name);
}

/* The login as it is to be known from here on; the answer's own where there is one. */
static struct slice user_of(const struct dovecot_line *l, struct buf *b)
{
	struct slice value = dovecot_value(l->fields, SLICE("user"));

	if (value.p == NULL)
		return value;
	dovecot_unescape(value, b);
	return b->cut ? (struct slice){ 0 } : buf_slice(b);
}

static bool temporary(struct slice fields)
{
	return dovecot_flag(fields, SLICE("temp")) ||
	    slice_eq(dovecot_value(fields, SLICE("code")), SLICE("temp_fail"));
}

static void on_outcome(struct question *q, const struct dovecot_line *l)
{
	const struct auth_events *events = q->events;
	void *arg = q->arg;
	char text[LOGIN_MAX + 1] = "";
	struct buf b = BUF_ON(text);
	struct slice user = user_of(l, &b);

	question_free(q);
	if (l->verb == DOVECOT_OK)
		events->on_success(arg, user);
	else
		events->on_failure(
		    arg, temporary(l->fields) ? AUTH_UNAVAILABLE : AUTH_DENIED, user, NULL);
}

/* The server may end a dialogue while the client thinks, tired of waiting: he is told when he has
 * spoken. */
static void on_answer(struct question *q, const struct dovecot_line *l)
{
	if (!q->waiting)
		q->known = false;
	else if (l->verb == DOVECOT_CONT)
		on_cont(q, l);
	else
		on_outcome(q, l);
}

/* False when it makes no sense to go on. */
static bool on_line(struct auth_server *s, struct slice line, struct err *e)
{
	struct dovecot_line l;
	struct question *q;
	const struct mechanism *m;

	if (dovecot_parse(line, &l, e) < 0)
		return false;
	switch (l.verb) {
	case DOVECOT_VERSION:
		if (l.version != 1)
			err_set(e, "protocol version %u", (unsigned)l.version);
		return l.version == 1;
	case DOVECOT_MECH:
		m = mechanism_find(l.name);
		s->fresh |= m != NULL ? m->bit : 0;
		return true;
	case DOVECOT_DONE:
		on_done(s);
		return true;
	case DOVECOT_CONT:
	case DOVECOT_OK:
	case DOVECOT_FAIL:
		q = find(s, l.id);
		if (q != NULL)
			on_answer(q, &l);
		return true; /* one that was given up is passed over */
	default:
		return true;
	}
}

/* ---- the connection ----------------------------------------------------------------------- */

static void fail_all(struct auth_server *s)
{
	for (size_t i = 0; i < PLACES; i++) {
		struct question *q, *next;

		for (q = LIST_FIRST(&s->places[i]); q != NULL; q = next) {
			next = LIST_NEXT(q, link);
			q->known = false;
			/* One that waits for its client is told when he has spoken: a reply out of
			 * turn would have him send his password as a command. */
			if (q->waiting)
				fail_soon(q, AUTH_UNAVAILABLE);
		}
	}
}

/* One log line for each time it goes away, not for each attempt. */
static void lost(struct auth_server *s, const char *error)
{
	long ms = BACKOFF_MS(s->failures);

	log_event(s->failures == 0 ? LOG_LEVEL_WARN : LOG_LEVEL_DEBUG, "auth_server", "socket",
	    s->path, "error", error, NULL);
	s->failures++;
	s->ready = false;
	s->settled = true;
	stream_free(&s->stream);
	fail_all(s);
	event_del(&s->retry);
	event_add(&s->retry, &(struct timeval){ .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 });
}

static int dial(const struct auth_server *s)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	size_t n = strlen(s->path);
	int fd, error;

	if (n >= sizeof(to.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(to.sun_path, s->path, n);
	if (to.sun_path[0] == '@')
		to.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd >= 0 &&
	    connect(fd, (struct sockaddr *)&to,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) < 0) {
		error = errno;
		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}

static void open_connection(struct auth_server *s)
{
	int fd = dial(s);

	s->fresh = 0;
	if (fd < 0) {
		lost(s, strerror(errno));
		return;
	}
	if ((s->stream = stream_new(s->base, fd, DOVECOT_LINE_MAX, &stream_events, s)) == NULL) {
		lost(s, "out of memory");
		return;
	}
	(void)bytes_addf(stream_output(s->stream), "VERSION\t1\t1\nCPID\t%u\n", s->cpid);
	stream_flush(s->stream);
	event_add(&s->retry, &(struct timeval){ .tv_sec = HANDSHAKE_S });
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct auth_server *s = arg;

	(void)fd;
	(void)what;
	if (s->stream != NULL)
		lost(s, "no handshake in time");
	else
		open_connection(s);
}

static void on_input(void *arg)
{
	struct auth_server *s = arg;
	struct err e = { "" };

	while (s->stream != NULL) {
		struct slice in = stream_input(s->stream);
		size_t end = slice_find(in, '\n');

		if (end == in.n && in.n < DOVECOT_LINE_MAX && !stream_eof(s->stream))
			return;
		if (end == in.n) {
			lost(s, stream_eof(s->stream) ? "connection closed" : "line too long");
			return;
		}
		/* Octets that were taken stay in place until the next flush, which an event may do.
		 */
		stream_take(s->stream, end + 1);
		if (!on_line(s, slice_sub(in, 0, end), &e)) {
			lost(s, e.text);
			return;
		}
	}
}

static void on_drained(void *arg)
{
	(void)arg;
}

static void on_failed(void *arg, const char *error)
{
	lost(arg, error);
}

static const struct stream_events stream_events = {
	.on_input = on_input, .on_drained = on_drained, .on_failed = on_failed
};

/* ---- life --------------------------------------------------------------------------------- */

struct auth_server *auth_server_new(
    struct event_base *base, const char *path, size_t line_max, unsigned index, int64_t timeout_s)
{
	struct auth_server *s = calloc(1, sizeof(*s));

	if (s == NULL || (s->path = slice_dup(slice_z(path))) == NULL) {
		free(s);
		return NULL;
	}
	s->provider.ops = &ops;
	s->base = base;
	s->line_max = line_max;
	s->timeout_s = timeout_s;
	/* Dovecot wants a number that no other connection has: process ids stay below 2^22. */
	s->cpid = (unsigned)getpid() | index << 22;
	event_assign(&s->retry, base, -1, 0, on_retry, s);
	for (size_t i = 0; i < PLACES; i++)
		LIST_INIT(&s->places[i]);
	open_connection(s);
	return s;
}

void auth_server_free(struct auth_server **at)
{
	struct auth_server *s = *at;

	*at = NULL;
	if (s == NULL)
		return;
	event_del(&s->retry);
	for (size_t i = 0; i < PLACES; i++) {
		struct question *q, *next;

		for (q = LIST_FIRST(&s->places[i]); q != NULL; q = next) {
			next = LIST_NEXT(q, link);
			question_free(q);
		}
	}
	stream_free(&s->stream);
	free(s->path);
	free(s);
}
