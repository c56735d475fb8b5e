#include "config.h"

#include "backend.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include <event2/event_struct.h>

#include "backend_tls.h"
#include "dial.h"
#include "mail_data.h"
#include "opening.h"
#include "proxy/stream.h"
#include "weir/log.h"

#define FAREWELL_S 5
#define NEVER      INT64_MAX

enum state { DIALLING, OPENING, SECURING, READY, FAREWELL };

struct backend {
	struct route *route;
	const struct backend_events *events;
	void *arg;
	enum state state;
	size_t *order; /* the servers that may be tried */
	size_t candidates, tried;
	struct dial *dial;
	struct stream *stream;
	struct event timer;
	int64_t due_ms;   /* when what we wait for is late; NEVER: we wait for nothing */
	int64_t timer_ms; /* when the timer runs; NEVER: it does not */
	struct opening opening;
	enum backend_verb under_way[BACKEND_UNDER_WAY_MAX]; /* oldest first */
	size_t count;
	struct mail_data content;
	TAILQ_ENTRY(backend) link; /* among the farewells */
	struct pool_place place;
	unsigned depth;
	bool dead, lost;
	bool trouble;      /* of our own, that the owner is yet to be told of */
	bool clear;        /* this server is asked once more, without TLS */
	bool about_client; /* its refusal */
	bool was_ready;    /* once, with this server */
};

static void try_next(struct backend *b, const char *error);

const struct abilities *backend_abilities(const struct backend *b)
{
	return &b->opening.abilities;
}

size_t backend_server_index(const struct backend *b)
{
	return b->order[b->tried - 1];
}

struct route *backend_route(const struct backend *b)
{
	return b->route;
}

struct pool_place *backend_place(struct backend *b)
{
	return &b->place;
}

void backend_hand_over(struct backend *b, const struct backend_events *events, void *arg)
{
	b->events = events;
	b->arg = arg;
	if (b->count == 0)
		b->due_ms = NEVER; /* the time to rest was the last owner's */
}

/* A reply that nobody asked for would be taken for that to the next command, and so on. */
bool backend_at_rest(const struct backend *b)
{
	return b->state == READY && !b->lost && stream_input(b->stream).n == 0 &&
	    (b->count == 0 || (b->count == 1 && b->under_way[0] == BACKEND_RSET));
}

bool backend_pending(const struct backend *b)
{
	return b->count > 0;
}

const char *backend_server(const struct backend *b)
{
	return b->tried > 0 ? b->route->servers[backend_server_index(b)].text : b->route->name;
}

static void release(struct backend *b)
{
	opening_clear(&b->opening);
	free(b->order);
	free(b);
}

void backend_close(struct backend **at)
{
	struct backend *b = *at;

	*at = NULL;
	if (b == NULL)
		return;
	if (b->state == FAREWELL)
		TAILQ_REMOVE(&b->route->upstream->farewells, b, link);
	event_del(&b->timer);
	dial_cancel(&b->dial);
	stream_free(&b->stream);
	b->dead = true;
	if (b->depth == 0)
		release(b);
}

/* Around every call into the owner: he may close us in it. */
static void enter(struct backend *b)
{
	b->depth++;
	assert(b->depth > 0 && b->depth < 8);
}

/* False when he did. */
static bool leave(struct backend *b)
{
	b->depth--;
	if (!b->dead)
		return true;
	if (b->depth == 0)
		release(b);
	return false;
}

static void arm(struct backend *b, int64_t at_ms)
{
	struct timeval tv = clock_until(at_ms);

	b->timer_ms = at_ms;
	event_add(&b->timer, &tv);
}

/* The timer is not set again for each command: where the deadline moves away it runs early, looks,
 * and sleeps on for the rest. */
static void set_timeout(struct backend *b, int64_t seconds)
{
	b->due_ms = clock_ms() + seconds * 1000;
	if (b->due_ms < b->timer_ms)
		arm(b, b->due_ms);
}

static void clear_timeout(struct backend *b)
{
	b->due_ms = NEVER;
}

static void lose(struct backend *b, enum backend_loss loss, const char *error)
{
	if (b->state == FAREWELL) {
		backend_close(&b);
		return;
	}
	if (b->state != READY && !b->was_ready) {
		try_next(b, error);
		return;
	}
	if (b->lost)
		return;
	b->lost = true;
	clear_timeout(b);
	enter(b);
	b->events->on_lost(b->arg, loss, error);
	(void)leave(b);
}

void backend_rest(struct backend *b, int64_t seconds)
{
	set_timeout(b, seconds);
}

static void rested(struct backend *b)
{
	b->due_ms = NEVER;
	enter(b);
	b->events->on_rested(b->arg);
	(void)leave(b);
}

static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
	struct backend *b = arg;

	(void)fd;
	(void)what;
	b->timer_ms = NEVER;
	if (b->trouble)
		lose(b, BACKEND_OURS, "the message cannot be read");
	else if (b->due_ms == NEVER)
		return;
	else if (b->due_ms > clock_ms())
		arm(b, b->due_ms);
	else if (b->state == READY && b->count == 0)
		rested(b);
	else
		lose(b, BACKEND_TIMEOUT, "no answer in time");
}

/* The owner may be in the middle of a call of ours. */
static void lose_soon(struct backend *b, const char *error)
{
	log_event(LOG_LEVEL_ERROR, "mail_data", "server", backend_server(b), "error", error, NULL);
	b->trouble = true;
	arm(b, clock_ms());
}

/* ---- opening ------------------------------------------------------------------------------ */

/* For whom the connection is. NULL: for ourselves. */
static const struct introduction *who(struct backend *b, struct introduction *into)
{
	if (b->events->introduce == NULL || b->route->settings->identity == IDENTITY_NONE)
		return NULL;
	*into = (struct introduction){ 0 };
	b->events->introduce(b->arg, into);
	return into;
}

/* False when the owner closed us on hearing it. */
static bool ready(struct backend *b)
{
	bool again = b->was_ready;

	b->state = READY;
	b->was_ready = true;
	clear_timeout(b);
	if (!again)
		route_reached(b->route, backend_server_index(b), &b->opening.own);
	enter(b);
	b->events->on_ready(b->arg, NULL);
	return leave(b);
}

/* Once a server was told of a client, what it answers may be about him: to others it is not down.
 */
static bool knows_client(const struct backend *b)
{
	return b->opening.said.n > 0 ||
	    (b->events->introduce != NULL && b->route->settings->identity == IDENTITY_PROXY);
}

/* This server is of no use: the next one, or the owner of a connection that was kept. */
static void give_up(struct backend *b, const char *error)
{
	b->about_client = knows_client(b);
	if (b->was_ready)
		lose(b, BACKEND_CLOSED, error);
	else
		try_next(b, error);
}

static void secure(struct backend *b)
{
	b->state = SECURING;
	if (!backend_tls_start(b->route, backend_server_index(b), b->stream))
		try_next(b, "out of memory");
}

/* False when no more replies can be taken from this connection now. */
static bool go_on(struct backend *b, enum opening_step step, const char *error)
{
	switch (step) {
	case OPENING_WAITS:
		stream_flush(b->stream);
		return true;
	case OPENING_DONE:
		if (stream_input(b->stream).n == 0)
			return ready(b);
		error = "a reply that nobody asked for"; /* as in backend_at_rest */
		break;
	case OPENING_SECURES:
		stream_flush(b->stream); /* a PROXY header stands before it */
		secure(b);
		return false;
	case OPENING_FAILED:
		break;
	}
	give_up(b, error);
	return false;
}

static bool on_opening_reply(struct backend *b, const struct smtp_reply *r)
{
	struct introduction into;
	struct err e = { "" };
	enum opening_step step = opening_reply(&b->opening, r, stream_input(b->stream).n > 0,
	    who(b, &into), stream_output(b->stream), &e);

	return go_on(b, step, e.text);
}

static void on_secured(void *arg)
{
	struct backend *b = arg;
	enum link_tls link = backend_tls_done(b->route, backend_server_index(b), b->stream);

	b->state = OPENING;
	(void)go_on(b, opening_secured(&b->opening, link, stream_output(b->stream)), "");
}

bool backend_for_anybody(const struct backend *b)
{
	switch (b->route->settings->identity) {
	case IDENTITY_PROXY:
		return false;
	case IDENTITY_XCLIENT:
		return b->opening.said.n == 0 || b->opening.abilities.xclient != 0;
	default:
		return true;
	}
}

enum backend_introduced backend_introduce(struct backend *b)
{
	struct introduction into;

	switch (opening_introduce(&b->opening, who(b, &into), stream_output(b->stream))) {
	case OPENING_DONE:
		return BACKEND_KNOWS;
	case OPENING_WAITS:
		break;
	default:
		return BACKEND_KNOWS_ANOTHER;
	}
	b->state = OPENING;
	set_timeout(b, b->route->upstream->settings->timeouts.connect_s);
	stream_flush(b->stream);
	return BACKEND_LEARNS;
}

/* ---- replies ------------------------------------------------------------------------------ */

static void next_timeout(struct backend *b)
{
	const struct proxy_settings *s = b->route->upstream->settings;

	if (b->count == 0)
		clear_timeout(b);
	else
		set_timeout(b,
		    b->under_way[0] == BACKEND_CONTENT && b->content.ended
			? s->timeouts.backend_data_s
			: s->timeouts.backend_reply_s);
}

/* False when the connection is no more. */
static bool on_command_reply(struct backend *b, const struct smtp_reply *r)
{
	enum backend_verb verb = b->under_way[0];

	if (b->count == 0) {
		/* A 421 for an idle connection, mostly. */
		lose(b, BACKEND_CLOSED, "an unasked reply");
		return false;
	}
	b->count--;
	memmove(b->under_way, b->under_way + 1, b->count * sizeof(*b->under_way));
	if (verb == BACKEND_CONTENT)
		b->content.mail = NULL; /* the mail may go now */
	next_timeout(b);
	enter(b);
	b->events->on_reply(b->arg, verb, r);
	return leave(b) && !b->lost;
}

static bool on_one_reply(struct backend *b, const struct smtp_reply *r)
{
	if (b->state == READY)
		return on_command_reply(b, r);
	if (b->state != FAREWELL)
		return on_opening_reply(b, r);
	backend_close(&b);
	return false;
}

static void on_input(void *arg)
{
	struct backend *b = arg;
	struct smtp_reply r;
	struct err e;
	size_t used;
	int rc;

	while ((rc = smtp_reply_parse(stream_input(b->stream), &used, &r, &e)) > 0) {
		stream_take(b->stream, used);
		if (!on_one_reply(b, &r))
			return;
	}
	if (rc < 0)
		lose(b, BACKEND_GARBAGE, e.text);
	else if (stream_eof(b->stream))
		lose(b, BACKEND_CLOSED, "connection closed");
}

static void on_failed(void *arg, const char *error)
{
	lose(arg, BACKEND_CLOSED, error);
}

/* ---- mail data ---------------------------------------------------------------------------- */

/* Give the socket as much as it takes. */
static void pump(struct backend *b)
{
	struct bytes *out = &b->route->upstream->scratch;
	struct slice parts[MAIL_DATA_PARTS];
	struct err e;

	while (!b->content.ended && stream_unsent(b->stream) == 0) {
		bytes_clear(out);
		if (mail_data_step(&b->content, out, parts, &e) < 0) {
			lose_soon(b, e.text);
			return;
		}
		stream_write_parts(b->stream, parts, COUNT(parts));
	}
	next_timeout(b);
}

static void on_drained(void *arg)
{
	struct backend *b = arg;

	if (b->content.mail != NULL && !b->content.ended)
		pump(b);
}

void backend_content(struct backend *b, const struct mail *m, enum mail_data_form form)
{
	(void)backend_command(b, BACKEND_CONTENT);
	mail_data_begin(&b->content, m, form);
	pump(b);
}

bool backend_committed(const struct backend *b)
{
	return b->content.ended && stream_unsent(b->stream) == 0;
}

/* ---- life --------------------------------------------------------------------------------- */

static const struct stream_events stream_events = {
	.on_input = on_input,
	.on_drained = on_drained,
	.on_failed = on_failed,
	.on_secured = on_secured,
};

static void on_dialled(int fd, const char *error, void *arg)
{
	struct backend *b = arg;
	struct introduction into;
	enum opening_step step;

	b->dial = NULL;
	if (error != NULL) {
		try_next(b, error);
		return;
	}
	b->state = OPENING;
	b->stream = stream_new(
	    b->route->upstream->base, fd, SMTP_REPLY_WIRE_MAX + 1, &stream_events, b);
	if (b->stream == NULL) {
		try_next(b, "out of memory");
		return;
	}
	step = opening_start(&b->opening, b->route, &b->route->servers[backend_server_index(b)],
	    b->clear, who(b, &into), stream_output(b->stream));
	(void)go_on(b, step, "");
}

/* error: what became of the server that was tried last; NULL before the first. */
static void try_next(struct backend *b, const char *error)
{
	struct upstream *u = b->route->upstream;
	bool again = b->state == SECURING && backend_tls_optional(b->route) && !b->clear;
	char last[512] = "";

	b->clear = again;
	if (again) {
		/* On the connection of a failed handshake nothing can be said any more. */
		log_event(LOG_LEVEL_WARN, "backend_tls_failed", "backend", b->route->name, "server",
		    backend_server(b), "error", error, "what", "asked again without TLS", NULL);
		b->tried--;
	} else if (error != NULL) {
		(void)snprintf(last, sizeof(last), "%s: %s", backend_server(b), error);
		if (!b->about_client)
			route_failed(b->route, backend_server_index(b), error);
	}
	b->about_client = false;
	dial_cancel(&b->dial);
	stream_free(&b->stream);
	opening_clear(&b->opening);
	while (b->tried < b->candidates) {
		const struct server *s = &b->route->servers[b->order[b->tried++]];

		b->state = DIALLING;
		set_timeout(b, u->settings->timeouts.connect_s);
		b->dial = dial_start(u->base, u->dns, &s->endpoint, on_dialled, b);
		if (b->dial != NULL)
			return;
	}
	clear_timeout(b);
	enter(b);
	b->events->on_ready(b->arg, last[0] != '\0' ? last : "out of memory");
	(void)leave(b);
}

static struct backend *make(struct route *r, const struct backend_events *events, void *arg)
{
	struct backend *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return NULL;
	b->route = r;
	b->events = events;
	b->arg = arg;
	if ((b->order = calloc(r->count, sizeof(*b->order))) == NULL) {
		free(b);
		return NULL;
	}
	event_assign(&b->timer, r->upstream->base, -1, 0, on_timeout, b);
	b->due_ms = b->timer_ms = NEVER;
	return b;
}

static struct backend *begin(struct backend *b)
{
	struct upstream *u = b->route->upstream;

	b->state = DIALLING;
	b->tried = 1;
	set_timeout(b, u->settings->timeouts.connect_s);
	b->dial = dial_start(
	    u->base, u->dns, &b->route->servers[b->order[0]].endpoint, on_dialled, b);
	if (b->dial == NULL)
		backend_close(&b);
	return b;
}

struct backend *backend_open(
    struct route *r, unsigned needs, const struct backend_events *events, void *arg)
{
	struct backend *b = make(r, events, arg);

	if (b == NULL)
		return NULL;
	route_order(r, needs, b->order);
	b->candidates = r->count;
	return begin(b);
}

struct backend *backend_open_at(
    struct route *r, size_t server, const struct backend_events *events, void *arg)
{
	struct backend *b = make(r, events, arg);

	if (b == NULL)
		return NULL;
	b->order[0] = server;
	b->candidates = 1;
	return begin(b);
}

struct bytes *backend_command(struct backend *b, enum backend_verb verb)
{
	if (b->count == BACKEND_UNDER_WAY_MAX)
		return NULL;
	b->under_way[b->count++] = verb;
	if (verb != BACKEND_CONTENT)
		b->content.ended = false;
	return stream_output(b->stream);
}

void backend_flush(struct backend *b)
{
	stream_flush(b->stream);
	next_timeout(b);
}

void backend_quit(struct backend **at)
{
	struct backend *b = *at;

	*at = NULL;
	if (b == NULL)
		return;
	if (b->state != READY || b->lost || b->count > 0) {
		backend_close(&b);
		return;
	}
	b->state = FAREWELL;
	TAILQ_INSERT_TAIL(&b->route->upstream->farewells, b, link);
	(void)bytes_add(stream_output(b->stream), SLICE("QUIT\r\n"));
	stream_flush(b->stream);
	set_timeout(b, FAREWELL_S);
}

void backend_drop_farewells(struct upstream *u)
{
	struct backend *b, *next;

	for (b = TAILQ_FIRST(&u->farewells); b != NULL; b = next) {
		next = TAILQ_NEXT(b, link);
		backend_close(&b);
	}
}
