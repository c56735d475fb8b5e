#include "config.h"

#include "login.h"

#include <stdio.h>
#include <stdlib.h>

#include <event2/event_struct.h>

#include "backend.h"
#include "relay.h"
#include "weir/log.h"

struct provider {
	struct auth_provider provider; /* first: it is what others hold */
	struct upstream *upstream;
};

struct login_dialogue {
	struct auth_dialogue dialogue; /* first: it is what others hold */
	const struct auth_events *events;
	void *arg;
	struct relay *relay;
	const struct mechanism *mechanism;
	bool has_first;          /* a response stands in AUTH itself */
	struct bytes first;      /* ... this one */
	struct backend *backend; /* NULL: lost */
	bool waiting;            /* for the backend, not for the client */
	struct event soon;
};

static const struct backend_events backend_events;

/* ---- outcomes ----------------------------------------------------------------------------- */

static void dialogue_free(struct login_dialogue *d)
{
	event_del(&d->soon);
	backend_quit(&d->backend);
	if (d->first.p != NULL)
		explicit_bzero(d->first.p, d->first.n);
	bytes_free(&d->first);
	free(d);
}

static void fail(struct login_dialogue *d, enum auth_failure why, const struct smtp_reply *said)
{
	const struct auth_events *events = d->events;
	void *arg = d->arg;

	dialogue_free(d);
	events->on_failure(arg, why, (struct slice){ 0 }, said);
}

static void on_soon(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	fail(arg, AUTH_UNAVAILABLE, NULL);
}

static void succeed(struct login_dialogue *d)
{
	const struct auth_events *events = d->events;
	void *arg = d->arg;

	relay_adopt(d->relay, &d->backend);
	dialogue_free(d);
	events->on_success(arg, (struct slice){ 0 });
}

/* The backend's refusal is the client's business, in its own words; but 421 is about a connection
 * that is not his (W76), and 530 about one that we made (W93). */
static void refuse(struct login_dialogue *d, const struct smtp_reply *reply)
{
	/* What is no fault of the login: syntax, an unknown mechanism, one that is too weak. */
	bool guess = smtp_reply_class(reply) == 5 && reply->code > 504 && reply->code != 534 &&
	    reply->code != 538;
	struct smtp_reply said = *reply;

	if (reply->code == 421 || reply->code == 530 || smtp_reply_class(reply) < 4) {
		fail(d, AUTH_UNAVAILABLE, NULL);
		return;
	}
	if (said.enhanced[0] == '\0')
		(void)snprintf(said.enhanced, sizeof(said.enhanced), "%s",
		    smtp_reply_class(reply) == 4 ? "4.7.0"
			: guess                  ? "5.7.8"
						 : "5.5.4");
	fail(d, guess ? AUTH_DENIED : AUTH_UNAVAILABLE, &said);
}

/* ---- the backend -------------------------------------------------------------------------- */

static void send_line(struct login_dialogue *d, struct slice word, struct slice base64)
{
	struct bytes *out = backend_command(d->backend, BACKEND_AUTH);

	d->waiting = true;
	(void)bytes_add(out, word);
	(void)bytes_add(out, base64);
	(void)bytes_add(out, SLICE("\r\n"));
	backend_flush(d->backend);
}

/* RFC 4954 4: a response of no octets is "=" in the command. */
static void send_auth(struct login_dialogue *d)
{
	char word[48] = "";
	struct buf b = BUF_ON(word);

	buf_addf(&b, "AUTH %s%s", d->mechanism->name.p, d->has_first ? " " : "");
	send_line(d, buf_slice(&b),
	    d->has_first && d->first.n == 0 ? SLICE("=") : bytes_slice(&d->first));
}

static void on_ready(void *arg, const char *error)
{
	struct login_dialogue *d = arg;

	if (error != NULL)
		log_event(LOG_LEVEL_WARN, "backend_unreachable", "id", NULL, "error", error, NULL);
	if (error != NULL || !(backend_abilities(d->backend)->mechanisms & d->mechanism->bit))
		fail(d, AUTH_UNAVAILABLE, NULL);
	else
		send_auth(d);
}

static void on_reply(void *arg, enum backend_verb verb, const struct smtp_reply *reply)
{
	struct login_dialogue *d = arg;

	(void)verb;
	d->waiting = false;
	if (reply->code == 235 && backend_at_rest(d->backend))
		succeed(d);
	else if (reply->code != 334)
		refuse(d, reply);
	else if (strlen(reply->text) + 1 < SMTP_REPLY_MAX)
		d->events->on_challenge(d->arg, slice_z(reply->text));
	else
		fail(d, AUTH_UNAVAILABLE, NULL); /* it may have been cut */
}

/* A client who thinks is told when he has spoken: a reply out of turn would have him send his
 * password as a command. */
static void on_lost(void *arg, enum backend_loss loss, const char *error)
{
	struct login_dialogue *d = arg;

	(void)loss;
	log_event(LOG_LEVEL_WARN, "backend_lost", "id", NULL, "server", backend_server(d->backend),
	    "error", error, NULL);
	backend_close(&d->backend);
	if (d->waiting)
		fail(d, AUTH_UNAVAILABLE, NULL);
}

/* The connection is the session's own from the start. */
static void on_introduce(void *arg, struct introduction *into)
{
	relay_introduce(((struct login_dialogue *)arg)->relay, into);
}

static const struct backend_events backend_events = {
	.on_ready = on_ready, .on_reply = on_reply, .on_lost = on_lost, .introduce = on_introduce
};

/* ---- the provider ------------------------------------------------------------------------- */

static unsigned mechanisms(struct auth_provider *p)
{
	struct abilities a = upstream_abilities(((struct provider *)p)->upstream);

	return a.known ? a.mechanisms : 0;
}

static struct auth_dialogue *start(struct auth_provider *p, const struct auth_request *q,
    const struct auth_events *events, void *arg)
{
	struct upstream *u = ((struct provider *)p)->upstream;
	struct login_dialogue *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return NULL;
	*d = (struct login_dialogue){ .dialogue = { p },
		.events = events,
		.arg = arg,
		.relay = q->relay,
		.mechanism = q->mechanism,
		.has_first = q->response.p != NULL,
		.waiting = true };
	event_assign(&d->soon, u->base, -1, 0, on_soon, d);
	if (bytes_add(&d->first, q->response))
		d->backend = backend_open(
		    upstream_route(u, SLICE("")), EXTENSION_AUTH, &backend_events, d);
	if (d->backend != NULL)
		return &d->dialogue;
	dialogue_free(d);
	return NULL;
}

static void respond(struct auth_dialogue *dialogue, struct slice base64)
{
	struct login_dialogue *d = (struct login_dialogue *)dialogue;

	if (d->backend == NULL)
		event_active(&d->soon, EV_TIMEOUT, 0);
	else
		send_line(d, base64, SLICE(""));
}

/* The backend waits for a response, if for anything: "*" would be polite, its end is as clear. */
static void cancel(struct auth_dialogue *dialogue)
{
	struct login_dialogue *d = (struct login_dialogue *)dialogue;

	backend_close(&d->backend);
	dialogue_free(d);
}

struct auth_provider *login_provider_new(struct upstream *u)
{
	static const struct auth_ops ops = {
		.mechanisms = mechanisms, .start = start, .respond = respond, .cancel = cancel
	};
	struct provider *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->provider.ops = &ops;
	p->upstream = u;
	return &p->provider;
}

void login_provider_free(struct auth_provider **p)
{
	free(*p);
	*p = NULL;
}
