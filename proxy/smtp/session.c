#include "config.h"

#include "session.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "auth.h"
#include "findings.h"
#include "identity.h"
#include "proxy/listen/front.h"
#include "weir/log.h"

/* Replies of a group wait for one another, but no longer than this when a question takes long
 * (W34). */
#define HOLD_MS 2000
/* After the last reply, how long we read on so that it is not lost to a reset. */
#define LINGER_MS 2000
/* How long the last reply may take to be written. */
#define CLOSE_MS  30000
#define INPUT_MAX 65536
/* A client that does not read what we say is not listened to either. */
#define OUTPUT_MAX 65536

static const struct stream_events stream_events;

/* ---- time --------------------------------------------------------------------------------- */

static void arm(struct session *s, int64_t at_ms)
{
	struct timeval tv = clock_until(at_ms);

	s->timer_ms = at_ms;
	event_add(&s->timer, &tv);
}

void session_arm_by(struct session *s, int64_t at_ms)
{
	if (at_ms < s->timer_ms)
		arm(s, at_ms);
}

static int64_t deadline(const struct session *s)
{
	if (s->state == SESSION_DATA)
		return data_deadline(s);
	if (s->state == SESSION_CHUNK || s->state == SESSION_BDAT)
		return bdat_deadline(s);
	return s->since_ms + s->worker->pressure.patience.command_s * 1000;
}

void session_hurry(struct session *s)
{
	if (!s->closing && !s->lingering)
		session_arm_by(s, deadline(s));
}

static bool in_content(const struct session *s)
{
	return s->state == SESSION_DATA || s->state == SESSION_CHUNK;
}

/* The timer is not set again for each command: it looks, and sleeps on for the rest. */
static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct session *s = arg;
	int64_t now = clock_ms(), at;

	(void)fd;
	(void)what;
	if (s->lingering || s->closing) {
		session_end(s);
		return;
	}
	at = deadline(s);
	/* Filters and backends have limits of their own, and waiting for memory has. */
	if (s->busy || s->held_ms != 0 || s->starved_ms != 0)
		at = now + s->settings->timeouts.command_s * 1000;
	if (at > now) {
		arm(s, at);
		return;
	}
	log_event(LOG_LEVEL_INFO, "timeout", "id", s->id, "client", s->client_text, "stage",
	    in_content(s) ? "data" : "command", NULL);
	session_bye(s, SLICE("421 4.4.2 Timeout\r\n"));
	session_process(s);
}

/* ---- replies ------------------------------------------------------------------------------ */

void session_say(struct session *s, struct slice wire)
{
	if (s->gone || s->dead)
		return;
	/* Out of memory: a reply that is missing must not shift the others. */
	if (!bytes_add(stream_output(s->stream), wire))
		s->closing = true;
	s->owing = true;
	s->errors += wire.p[0] == '5';
	if (slice_starts(wire, SLICE("421")) || slice_starts(wire, SLICE("521")))
		s->closing = true;
}

void session_reply(struct session *s, const struct smtp_reply *r)
{
	if (s->gone || s->dead)
		return;
	if (!smtp_reply_write(r, stream_output(s->stream)))
		s->closing = true;
	s->owing = true;
	s->errors += r->code >= 500;
	if (r->code == 421 || r->code == 521)
		s->closing = true;
}

void session_bye(struct session *s, struct slice wire)
{
	session_say(s, wire);
	s->closing = true;
}

/* ---- the end ------------------------------------------------------------------------------ */

void session_end(struct session *s)
{
	if (s->dead)
		return;
	transaction_abort(s);
	auth_drop(s);
	s->dead = true;
	memory_count(s);
	identity_forget(s);
	event_del(&s->timer);
	event_del(&s->hold);
	stream_free(&s->stream);
	log_event(LOG_LEVEL_DEBUG, "session_end", "id", s->id, "client", s->client_text, NULL);
	worker_ended(s->worker, s);
}

void session_free(struct session *s)
{
	chain_free(&s->chain);
	relay_free(&s->relay);
	mail_free(&s->mail);
	front_free(&s->front);
	free(s->refusal);
	free(s->helo);
	free(s);
}

/* All that is left to do is to get the last reply across: a socket closed on unread input would
 * reset the connection, and with it the reply. */
static void close_down(struct session *s)
{
	if (s->lingering)
		return;
	if (s->state != SESSION_DATA || !data_committed(s))
		transaction_abort(s);
	stream_flush(s->stream);
	arm(s, clock_ms() + CLOSE_MS);
	if (stream_unsent(s->stream) > 0)
		return; /* on_drained comes back here */
	s->lingering = true;
	if (stream_eof(s->stream)) {
		session_end(s);
		return;
	}
	stream_shut(s->stream);
	stream_take(s->stream, stream_input(s->stream).n);
	stream_pause(s->stream, false);
	arm(s, clock_ms() + LINGER_MS);
}

/* ---- one command after the other ---------------------------------------------------------- */

bool session_has_input(const struct session *s)
{
	return stream_input(s->stream).n > 0;
}

/* W47. True when the session must wait or end. */
static bool punish(struct session *s)
{
	if (s->errors >= (unsigned)s->worker->pressure.patience.errors_hard) {
		log_event(
		    LOG_LEVEL_INFO, "too_many_errors", "id", s->id, "client", s->client_text, NULL);
		session_bye(s, SLICE("421 4.7.0 Too many errors\r\n"));
		return true;
	}
	if (s->errors < (unsigned)s->settings->limits.errors_soft || !s->owing ||
	    s->settings->timeouts.soft_error_ms == 0)
		return false;
	s->owing = false;
	s->penalty = s->busy = true;
	return true;
}

static bool read_command(struct session *s)
{
	struct slice in = stream_input(s->stream), line = { 0 };
	size_t used;
	enum line_status status;

	if (s->state == SESSION_START && input_foreign(s, in))
		return false;
	status = line_read(&s->reader, in,
	    auth_line_max(s, in, (size_t)s->settings->limits.command_bytes), &line, &used);
	stream_take(s->stream, used);
	if (status == LINE_MORE)
		return used > 0 && session_has_input(s);
	s->waiting = false;
	if (status == LINE_BARE || (status == LINE_GOOD && s->reader.bare)) {
		found(s, FOUND_BARE_NEWLINE);
		s->bare_newlines++;
	}
	if (status == LINE_GOOD && auth_expected(s))
		auth_line(s, line);
	else if (status == LINE_GOOD)
		command_run(s, line);
	else if (!auth_bad_line(s, in, status))
		input_bad_line(s, status);
	return true;
}

/* True when there may be more to do. */
static bool step(struct session *s)
{
	if (stream_unsent(s->stream) > OUTPUT_MAX) {
		stream_flush(s->stream);
		if (stream_unsent(s->stream) > OUTPUT_MAX)
			return false; /* on_drained comes back */
	}
	if (punish(s))
		return false;
	if (s->state == SESSION_DATA)
		return data_input(s);
	if (s->state == SESSION_CHUNK)
		return bdat_input(s);
	return session_has_input(s) && read_command(s);
}

static bool between_transactions(const struct session *s)
{
	return s->state == SESSION_START || s->state == SESSION_READY;
}

/* The client's end was read: is there something before it that has to wait, for a filter that is
 * behind or for replies that he is slow to read? */
static bool may_go_on(const struct session *s)
{
	return session_has_input(s) && (in_content(s) || stream_unsent(s->stream) > OUTPUT_MAX);
}

/* Somebody is asked: replies wait for the answer, but not longer than HOLD_MS, and one question
 * after the other, each of them quick, hold none for longer. Or the client has to wait (`penalty`).
 */
static void hold(struct session *s)
{
	struct timeval tv;

	if (!s->penalty &&
	    (stream_unsent(s->stream) == 0 || event_pending(&s->hold, EV_TIMEOUT, NULL)))
		return;
	tv = clock_until(clock_ms() + (s->penalty ? s->settings->timeouts.soft_error_ms : HOLD_MS));
	event_add(&s->hold, &tv);
}

/* The client is to say something. */
static void await_command(struct session *s)
{
	stream_flush(s->stream);
	if (s->memory > 0)
		memory_count(s); /* what waited in buffers is gone */
	if (stream_eof(s->stream) && !may_go_on(s)) {
		/* He sends no more, but may read still. */
		s->closing = true;
		close_down(s);
	} else if (s->worker->draining && between_transactions(s)) {
		session_bye(s, SLICE("421 4.3.2 Shutting down, try again later\r\n"));
		close_down(s);
	} else if (!s->waiting) {
		s->waiting = true;
		s->since_ms = clock_ms();
		session_arm_by(s, deadline(s));
	}
}

/* Nothing more can be done now: let the replies go, and see what we wait for. */
static void settle(struct session *s)
{
	if (s->dead)
		return;
	if (s->gone && !s->busy)
		session_end(s);
	else if (s->closing)
		close_down(s);
	else if (s->busy)
		hold(s);
	else
		await_command(s);
}

void session_process(struct session *s)
{
	if (s->processing || s->dead)
		return;
	s->processing = true;
	while (!s->busy && !s->closing && !s->gone && !s->dead && step(s))
		;
	s->processing = false;
	settle(s);
}

void session_done(struct session *s)
{
	s->busy = false;
	session_process(s);
}

static void on_hold(evutil_socket_t fd, short what, void *arg)
{
	struct session *s = arg;

	(void)fd;
	(void)what;
	stream_flush(s->stream);
	if (!s->penalty)
		return;
	s->penalty = false;
	session_done(s);
}

/* ---- the stream --------------------------------------------------------------------------- */

/* The client is gone while we work for him. RFC 5321 4.1.1.10: what is pending is cancelled. What
 * has left for the backend cannot be (W88); and a client that sent more behind it, his QUIT
 * mostly, and closed his side then is an orderly one. */
static void client_left(struct session *s)
{
	if (data_committed(s) || session_has_input(s))
		return;
	session_end(s);
}

static void on_input(void *arg)
{
	struct session *s = arg;

	if (s->lingering) {
		stream_take(s->stream, stream_input(s->stream).n);
		if (stream_eof(s->stream))
			session_end(s);
	} else if (s->busy) {
		if (stream_eof(s->stream))
			client_left(s);
	} else if (!s->closing) {
		session_process(s);
	}
}

static void on_drained(void *arg)
{
	struct session *s = arg;

	if (s->closing)
		close_down(s);
	else
		session_process(s);
}

static void on_failed(void *arg, const char *error)
{
	struct session *s = arg;

	if (session_secure(s) && !s->secured) {
		starttls_failed(s, error);
		return;
	}
	log_event(LOG_LEVEL_DEBUG, "client_lost", "id", s->id, "error", error, NULL);
	if (data_committed(s))
		s->gone = true;
	else
		session_end(s);
}

static void on_secured(void *arg)
{
	struct session *s = arg;

	s->secured = true;
	starttls_done(s);
}

static const struct stream_events stream_events = {
	.on_input = on_input,
	.on_drained = on_drained,
	.on_failed = on_failed,
	.on_secured = on_secured,
};

/* ---- the beginning ------------------------------------------------------------------------ */

void session_greeting(struct session *s)
{
	if (s->listener->settings->auth_required && auth_banned(s))
		session_bye(s, SLICE("421 4.7.0 Too many failed logins, try again later\r\n"));
	else if (aborts_refuse(s))
		return;
	else if (!bytes_addf(
		     stream_output(s->stream), "220 %s ESMTP Weir\r\n", s->settings->hostname))
		s->closing = true;
	s->owing = true;
}

/* What came before our greeting: nothing, from an honest client (W33). */
void session_greet(struct session *s)
{
	char early[16];
	ssize_t n = stream_peek(s->stream, early, sizeof(early));

	s->busy = false;
	if (n > 0 && input_foreign(s, slice_of(early, (size_t)n)))
		;
	else if (n > 0 && found_violation(s, FOUND_EARLY_TALK))
		session_bye(s, SLICE("554 5.5.0 You spoke before the greeting\r\n"));
	else
		session_greeting(s);
	settle(s);
}

static void log_start(const struct session *s)
{
	const struct front *f = s->front;

	log_event(LOG_LEVEL_DEBUG, "session", "id", s->id, "client", s->client_text, "front_id",
	    f != NULL ? f->unique_id : NULL, NULL);
}

void session_start(
    struct worker *w, struct listener *l, int fd, const struct address *client, struct front *front)
{
	struct session *s = calloc(1, sizeof(*s));

	if (s == NULL ||
	    (s->stream = stream_new(w->base, fd, INPUT_MAX, &stream_events, s)) == NULL) {
		if (s == NULL)
			evutil_closesocket(fd);
		free(s);
		front_free(&front);
		shared_leave(w->shared, w->slot, client);
		return;
	}
	s->worker = w;
	s->settings = w->settings;
	s->listener = l;
	s->front = front;
	s->may_xclient = conf_networks_have(&l->settings->xclient_from, client);
	(void)snprintf(s->id, sizeof(s->id), "%llx",
	    (unsigned long long)(w->next_id++ << 9 | (unsigned)w->slot));
	event_assign(&s->timer, w->base, -1, 0, on_timer, s);
	event_assign(&s->hold, w->base, -1, 0, on_hold, s);
	identity_begin(s, client);
	log_start(s);
	s->started_ms = s->since_ms = clock_ms();
	arm(s, deadline(s));
	worker_began(w, s);
	if (l->settings->tls != LISTEN_TLS_IMPLICIT)
		session_greet(s);
	else if (!starttls_begin(s))
		session_end(s);
}

/* ---- the worker stops --------------------------------------------------------------------- */

void session_drain(struct session *s)
{
	if (!s->busy && !s->closing && !session_has_input(s))
		session_process(s);
}

void session_cut(struct session *s)
{
	if (s->dead)
		return;
	if (!s->closing && !data_committed(s)) {
		session_say(s, SLICE("421 4.3.2 Shutting down, try again later\r\n"));
		stream_flush(s->stream);
	}
	session_end(s);
}
