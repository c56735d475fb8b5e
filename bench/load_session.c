#include "config.h"

#include "load.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum {
	OPENING = 16, /* sessions before their first reply to EHLO: listen queues are short */
	EVENTS = 256,
	INPUT_MAX = 2048,
};

enum step {
	STEP_GREETING,
	STEP_EHLO,
	STEP_STARTTLS,
	STEP_HANDSHAKE,
	STEP_MAIL,
	STEP_RCPT,
	STEP_DATA,
	STEP_CONTENT,
	STEP_REST,
	STEP_QUIT,
};

/* What is sent on entering a step, and the first digit of the reply that ends it. */
static const struct {
	const char *name, *command;
	char expected;
} steps[] = {
	[STEP_GREETING] = { "greeting", "", '2' },
	[STEP_EHLO] = { "EHLO", "EHLO load.example\r\n", '2' },
	[STEP_STARTTLS] = { "STARTTLS", "STARTTLS\r\n", '2' },
	[STEP_HANDSHAKE] = { "handshake", "", '\0' },
	[STEP_MAIL] = { "MAIL", "MAIL FROM:<a@example.org>\r\n", '2' },
	[STEP_RCPT] = { "RCPT", "RCPT TO:<b@example.org>\r\n", '2' },
	[STEP_DATA] = { "DATA", "DATA\r\n", '3' },
	[STEP_CONTENT] = { "end of data", "", '2' },
	[STEP_REST] = { "rest", "", '\0' },
	[STEP_QUIT] = { "QUIT", "QUIT\r\n", '2' },
};

static const char command_group[] =
    "MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n";

struct session {
	struct load *load;
	struct channel channel;
	enum step step;
	bool claimed, opened, watched_write;
	size_t delivered; /* on this connection */
	struct slice out; /* what is left to write */
	uint64_t since;   /* when its message, or its connection, became due */
	SSL_SESSION *ticket;
	size_t in_n;
	char in[INPUT_MAX];
};

struct load {
	const struct load_options *o;
	struct sockaddr_storage to;
	socklen_t to_n;
	SSL_CTX *tls;
	int epoll;
	struct session *sessions;
	size_t opened;             /* sessions that were started once */
	size_t busy, resting;      /* sessions; those that never got to begin are not busy */
	size_t claimed, delivered; /* messages; of connections where they carry none */
	size_t connections, full, resumed; /* handshakes */
	struct bytes content;              /* a message with the dot that ends it */
	struct bytes latencies;            /* uint32_t, microseconds */
	uint64_t began, ended;
};

static void session_start(struct session *s);
static void session_enter(struct session *s, enum step step);

uint64_t load_now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- work */

static bool work_claim(struct load *l)
{
	uint64_t limit = (uint64_t)(l->o->seconds * 1e9);

	if (l->claimed == l->o->messages || (limit > 0 && load_now() - l->began >= limit))
		return false;
	l->claimed++;
	return true;
}

static void work_done(struct session *s)
{
	uint64_t us = (load_now() - s->since) / 1000;
	uint32_t value = us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;

	if (!bytes_add(&s->load->latencies, slice_of(&value, sizeof(value))))
		load_stop("out of memory");
	s->load->delivered++;
	s->claimed = false;
}

static void open_next(struct load *l)
{
	if (l->opened == l->o->sessions)
		return;
	l->busy++;
	session_start(&l->sessions[l->opened++]);
}

/* ---- one session */

/* Ask for readiness to write only where a write waits. */
static void session_watch(struct session *s)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = s };

	if (s->channel.fd < 0 || s->watched_write == s->channel.want_write)
		return;
	s->watched_write = s->channel.want_write;
	if (s->watched_write)
		event.events |= EPOLLOUT;
	if (epoll_ctl(s->load->epoll, EPOLL_CTL_MOD, s->channel.fd, &event) < 0)
		load_stop("epoll: %s", strerror(errno));
}

static void session_write(struct session *s)
{
	ssize_t n;

	while (s->out.n > 0 && (n = channel_write(&s->channel, s->out)) > 0)
		s->out = slice_sub(s->out, (size_t)n, s->out.n);
	session_watch(s);
}

static void session_handshake(struct session *s)
{
	struct load *l = s->load;

	if (!channel_handshake(&s->channel)) {
		session_watch(s);
		return;
	}
	*(SSL_session_reused(s->channel.ssl) ? &l->resumed : &l->full) += 1;
	session_enter(s, l->o->tls == LOAD_IMPLICIT ? STEP_GREETING : STEP_EHLO);
}

static void session_start_tls(struct session *s)
{
	SSL_SESSION *ticket;

	if (s->in_n > 0)
		load_stop("octets behind the reply to STARTTLS");
	s->step = STEP_HANDSHAKE;
	/* A copy: OpenSSL offers a TLS 1.3 ticket once, and not every server sends another. */
	ticket = s->ticket != NULL ? SSL_SESSION_dup(s->ticket) : NULL;
	channel_start_tls(&s->channel, s->load->tls, ticket, s);
	SSL_SESSION_free(ticket);
	session_handshake(s);
}

static void session_start(struct session *s)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = s };
	struct load *l = s->load;

	if (!work_claim(l)) {
		l->busy--;
		return;
	}
	s->claimed = true;
	s->since = load_now();
	s->delivered = 0;
	s->in_n = 0;
	s->watched_write = false;
	channel_connect(&s->channel, (const struct sockaddr *)&l->to, l->to_n);
	l->connections++;
	if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, s->channel.fd, &event) < 0)
		load_stop("epoll: %s", strerror(errno));
	if (l->o->tls == LOAD_IMPLICIT)
		session_start_tls(s);
	else
		session_enter(s, STEP_GREETING);
}

static void session_enter(struct session *s, enum step step)
{
	const struct load_options *o = s->load->o;

	s->step = step;
	s->out = slice_z(steps[step].command);
	if (step == STEP_CONTENT)
		s->out = bytes_slice(&s->load->content);
	else if (o->pipeline && step == STEP_MAIL)
		s->out = slice_z(command_group);
	else if (o->pipeline && (step == STEP_RCPT || step == STEP_DATA))
		s->out = SLICE("");
	session_write(s);
}

/* The peer waits for a command of ours. */
static void session_ready(struct session *s)
{
	struct load *l = s->load;
	const struct load_options *o = l->o;

	if (!s->opened) {
		s->opened = true;
		open_next(l);
	}
	if (o->per_connection == 0)
		work_done(s);
	if (!s->claimed && s->delivered < o->per_connection && work_claim(l)) {
		s->claimed = true;
		s->since = load_now();
	}
	if (s->claimed) {
		session_enter(s, STEP_MAIL);
		return;
	}
	if (o->rest)
		l->resting++;
	session_enter(s, o->rest ? STEP_REST : STEP_QUIT);
}

static void session_advance(struct session *s)
{
	switch (s->step) {
	case STEP_GREETING:
		session_enter(s, STEP_EHLO);
		break;
	case STEP_EHLO:
		if (s->load->o->tls == LOAD_STARTTLS && s->channel.ssl == NULL)
			session_enter(s, STEP_STARTTLS);
		else
			session_ready(s);
		break;
	case STEP_STARTTLS:
		session_start_tls(s);
		break;
	case STEP_MAIL:
	case STEP_RCPT:
	case STEP_DATA:
		session_enter(s, s->step + 1);
		break;
	case STEP_CONTENT:
		s->delivered++;
		work_done(s);
		session_ready(s);
		break;
	case STEP_QUIT:
		channel_close(&s->channel);
		session_start(s);
		break;
	case STEP_HANDSHAKE:
	case STEP_REST:
		load_stop("a reply that nothing asked for");
	}
}

/* Take one line; false when no whole one is there. */
static bool take_line(struct session *s)
{
	struct slice in = slice_of(s->in, s->in_n);
	struct slice line = slice_cut(&in, '\n');
	bool last = line.n < 4 || line.p[3] != '-';

	if (line.n == s->in_n) {
		if (s->in_n == sizeof(s->in))
			load_stop("a reply line without an end");
		return false;
	}
	if (line.n == 0 || line.p[0] != steps[s->step].expected)
		load_stop("%s: %.*s", steps[s->step].name, SLICE_ARG(line));
	s->in_n = in.n;
	memmove(s->in, in.p, in.n);
	if (last)
		session_advance(s);
	return true;
}

/* OpenSSL reads ahead: what it holds, epoll does not tell of. */
static void session_read(struct session *s)
{
	ssize_t n;

	do {
		n = channel_read(&s->channel, s->in + s->in_n, sizeof(s->in) - s->in_n);
		if (n == CHANNEL_WAIT)
			break;
		if (n == 0)
			load_stop("%s: the peer closed the connection", steps[s->step].name);
		s->in_n += (size_t)n;
		while (take_line(s))
			;
	} while (s->channel.ssl != NULL && SSL_has_pending(s->channel.ssl));
	session_watch(s);
}

static void on_event(struct session *s, unsigned events)
{
	if (s->step == STEP_HANDSHAKE) {
		session_handshake(s);
		if (s->step == STEP_HANDSHAKE || !SSL_has_pending(s->channel.ssl))
			return;
		events |= EPOLLIN;
	}
	if (events & EPOLLOUT)
		session_write(s);
	if (events & ~(unsigned)EPOLLOUT)
		session_read(s);
}

/* ---- all of them */

/* The newest ticket is the one that the next connection offers. */
static int on_ticket(SSL *ssl, SSL_SESSION *ticket)
{
	struct session *s = SSL_get_app_data(ssl);

	SSL_SESSION_free(s->ticket);
	s->ticket = ticket;
	return 1;
}

static SSL_CTX *tls_new(bool resume)
{
	SSL_CTX *tls = SSL_CTX_new(TLS_client_method());

	if (tls == NULL)
		load_stop("TLS: out of memory");
	SSL_CTX_set_verify(tls, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_read_ahead(tls, 1);
	if (resume) {
		SSL_CTX_set_session_cache_mode(
		    tls, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
		SSL_CTX_sess_set_new_cb(tls, on_ticket);
	}
	return tls;
}

/* A header section, and lines of text up to the size. */
static void content_make(struct bytes *content, size_t size)
{
	static const char text[] = "The weir holds back what drifts, and lets the water through "
				   "to all who live below.\r\n";
	struct slice line = slice_of(text, sizeof(text) - 1);
	size_t left;

	(void)bytes_add(content,
	    SLICE("From: <a@example.org>\r\nTo: <b@example.org>\r\n"
		  "Subject: a measurement\r\nMessage-ID: <measured@load.example>\r\n"
		  "Date: Wed, 25 Nov 2026 08:00:00 +0000\r\n\r\n"));
	left = size > content->n ? size - content->n : 0;
	for (; left >= line.n; left -= line.n)
		(void)bytes_add(content, line);
	if (left > 2)
		(void)bytes_add(content, slice_sub(line, 0, left - 2));
	if (left > 0)
		(void)bytes_add(content, SLICE("\r\n"));
	if (!bytes_add(content, SLICE(".\r\n")))
		load_stop("out of memory");
}

struct load *load_new(const struct load_options *o, const struct sockaddr *to, socklen_t to_n)
{
	struct load *l = calloc(1, sizeof(*l));

	if (l == NULL || (l->sessions = calloc(o->sessions, sizeof(*l->sessions))) == NULL)
		load_stop("out of memory");
	l->o = o;
	memcpy(&l->to, to, to_n);
	l->to_n = to_n;
	content_make(&l->content, o->size);
	if (o->tls != LOAD_PLAIN)
		l->tls = tls_new(o->resume);
	for (size_t i = 0; i < o->sessions; i++)
		l->sessions[i] = (struct session){ .load = l, .channel.fd = -1 };
	if ((l->epoll = epoll_create1(EPOLL_CLOEXEC)) < 0)
		load_stop("epoll: %s", strerror(errno));
	return l;
}

/* All rest: say so, and wait for the end of standard input. Whoever speaks meanwhile breaks the
 * rest. */
static void rest(struct load *l)
{
	printf("{\"resting\": %zu, \"seconds\": %.3f}\n", l->resting,
	    (double)(load_now() - l->began) * 1e-9);
	(void)fflush(stdout);
	if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, STDIN_FILENO,
		&(struct epoll_event){ .events = EPOLLIN, .data.ptr = NULL }) < 0)
		load_stop("standard input cannot be watched: %s", strerror(errno));
}

/* Is there more to wait for? */
static bool turn(struct load *l)
{
	struct epoll_event events[EVENTS];
	int n = epoll_wait(l->epoll, events, EVENTS, -1);

	if (n < 0 && errno != EINTR)
		load_stop("epoll: %s", strerror(errno));
	for (int i = 0; i < n; i++) {
		if (events[i].data.ptr == NULL)
			return false;
		on_event(events[i].data.ptr, events[i].events);
	}
	return true;
}

void load_run(struct load *l)
{
	bool said = false;

	l->began = load_now();
	for (size_t i = 0; i < OPENING; i++)
		open_next(l);
	while (l->busy > 0 && turn(l)) {
		if (l->resting == l->o->sessions && !said) {
			rest(l);
			said = true;
		}
	}
	l->ended = load_now();
}

static int compare(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

void load_report(struct load *l, FILE *to)
{
	uint32_t *us = (uint32_t *)(void *)l->latencies.p;
	size_t n = l->latencies.n / sizeof(*us);
	struct rusage use;

	(void)getrusage(RUSAGE_SELF, &use);
	if (n > 0)
		qsort(us, n, sizeof(*us), compare);
	fprintf(to,
	    "{\"delivered\": %zu, \"connections\": %zu, \"full\": %zu, \"resumed\": %zu, "
	    "\"seconds\": %.6f, \"cpu_ms\": %.3f, "
	    "\"latency_us\": {\"median\": %u, \"p99\": %u, \"max\": %u}}\n",
	    l->delivered, l->connections, l->full, l->resumed, (double)(l->ended - l->began) * 1e-9,
	    (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1e3 +
		(double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) * 1e-3,
	    n > 0 ? us[n / 2] : 0, n > 0 ? us[n * 99 / 100] : 0, n > 0 ? us[n - 1] : 0);
}

void load_free(struct load **l)
{
	if (*l == NULL)
		return;
	for (size_t i = 0; i < (*l)->o->sessions; i++) {
		channel_close(&(*l)->sessions[i].channel);
		SSL_SESSION_free((*l)->sessions[i].ticket);
	}
	close((*l)->epoll);
	SSL_CTX_free((*l)->tls);
	bytes_free(&(*l)->content);
	bytes_free(&(*l)->latencies);
	free((*l)->sessions);
	free(*l);
	*l = NULL;
}
