#include "config.h"

#include "relay.h"

#include <stdio.h>
#include <stdlib.h>

#include <event2/event_struct.h>

#include "backend.h"
#include "envelope.h"
#include "parameters.h"
#include "words.h"
#include "weir/log.h"

enum job { NOTHING, RECIPIENT, MESSAGE };

struct relay {
	struct upstream *upstream;
	struct relay_client client;
	struct backend *backend; /* NULL: none, or lost */
	const char *server;      /* asked last; lives in the route */
	bool ready;              /* greeted, and nothing known against it */
	bool reused;             /* it comes from the pool */
	bool own;                /* it is the session's own, with a login that nobody can repeat */
	bool resetting;          /* RSET is under way */
	bool introduced;         /* XFORWARD was said, where it is to be */
	size_t forwarding;       /* replies to it that are to come */
	bool begun;              /* MAIL was sent in this transaction */
	bool mail_accepted;
	bool content;   /* the mail data is on its way: no replay any more */
	bool chunk;     /* ... by BDAT */
	bool replayed;  /* this transaction's one second chance is used */
	size_t unable;  /* servers that could not take this transaction's message */
	size_t asked;   /* recipients sent on this connection in this transaction ... */
	size_t granted; /* ... and accepted */
	struct refusal
	    refusal; /* of MAIL, or of a transaction that broke: answers all that follows */
	enum job job;
	const struct mail *mail; /* NULL between transactions */
	relay_done_fn *done;
	void *arg;
	struct event soon;
};

static const char lost_text[] = "The connection to the mail server was lost, try again later";

static const struct backend_events events;
static void advance(struct relay *r);

/* ---- answers ------------------------------------------------------------------------------ */

/* Always the last thing a function does: the session may start its next question in it. */
static void finish(struct relay *r, struct relay_answer *a)
{
	relay_done_fn *done = r->done;
	void *arg = r->arg;

	r->job = NOTHING;
	a->server = r->server;
	done(a, arg);
}

/* The transaction broke for good: what follows of it gets the same answer (W84). */
static void refuse(struct relay *r, int code, const char *enhanced, const char *text)
{
	refusal_set(&r->refusal, code, enhanced, text);
}

static void finish_refused(struct relay *r)
{
	struct relay_answer a = { .in_doubt = false };

	words_of_refusal(&r->refusal, &a);
	finish(r, &a);
}

static void break_off(struct relay *r, int code, const char *enhanced, const char *text)
{
	refuse(r, code, enhanced, text);
	finish_refused(r);
}

/* The backend's words refuse what is left of the transaction. */
static void refuse_as_said(struct relay *r, const struct smtp_reply *said)
{
	struct relay_answer a;

	words_to_client(said, r->own, "", &a);
	refuse(r, a.reply.code, a.reply.enhanced, a.reply.text);
	r->refusal.backend_said = a.backend_said;
}

/* ---- the connection ----------------------------------------------------------------------- */

static void forget_progress(struct relay *r)
{
	r->begun = r->mail_accepted = r->content = r->chunk = r->introduced = false;
	r->asked = r->granted = 0;
}

static void drop(struct relay *r)
{
	backend_close(&r->backend);
	r->ready = r->resetting = false;
	r->forwarding = 0;
	forget_progress(r);
}

/* Give the connection up politely, where it is at rest. */
static void leave(struct relay *r)
{
	backend_quit(&r->backend);
	drop(r);
}

static void answer_soon(struct relay *r)
{
	event_active(&r->soon, EV_TIMEOUT, 0);
}

static struct route *route_of(const struct relay *r)
{
	return upstream_route(r->upstream, slice_z(r->mail->recipients[0].address));
}

/* A connection that was kept; not for the second chance. */
static bool take_kept(struct relay *r, struct route *route, unsigned needs)
{
	enum backend_introduced known;

	if (r->replayed || r->unable > 0 ||
	    (r->backend = pool_take(route, needs, r->client.session, &events, r)) == NULL)
		return false;
	known = backend_introduce(r->backend);
	if (known == BACKEND_KNOWS_ANOTHER) {
		backend_quit(&r->backend);
		return false;
	}
	r->server = backend_server(r->backend);
	r->resetting = backend_pending(r->backend);
	r->ready = known == BACKEND_KNOWS;
	return true;
}

static void connect_backend(struct relay *r)
{
	struct route *route = route_of(r);
	unsigned needs = parameters_need(r->mail->parameters);

	if (r->own) {
		refuse(r, 421, "4.4.2", "The connection to the mail server was lost, log in again");
		answer_soon(r);
		return;
	}
	r->ready = false;
	r->reused = take_kept(r, route, needs);
	if (r->reused)
		return;
	if ((r->backend = backend_open(route, needs, &events, r)) != NULL)
		return;
	refuse(r, 451, "4.3.0", "Out of memory, try again later");
	answer_soon(r);
}

static void on_ready(void *arg, const char *error)
{
	struct relay *r = arg;

	if (error == NULL) {
		r->ready = true;
		r->server = backend_server(r->backend);
		advance(r);
		return;
	}
	log_event(LOG_LEVEL_WARN, "backend_unreachable", "id", r->mail->id, "error", error, NULL);
	drop(r);
	/* After a loss the recipients granted before are lost with it (W84). */
	if (r->replayed)
		break_off(r, 451, "4.4.2", lost_text);
	else
		break_off(r, 451, "4.4.1", "The mail server cannot be reached, try again later");
}

/* The one second chance, on a fresh connection, as long as nothing is committed (W82, W84). */
static bool replay(struct relay *r)
{
	bool may = !r->replayed && !r->content && !r->own;

	drop(r);
	if (!may)
		return false;
	r->replayed = true;
	advance(r);
	return true;
}

static void on_lost(void *arg, enum backend_loss loss, const char *error)
{
	struct relay *r = arg;
	struct relay_answer a = { .in_doubt = r->content && backend_committed(r->backend) };
	bool content = r->content;

	log_event(r->job == NOTHING || (r->reused && !r->mail_accepted) ? LOG_LEVEL_DEBUG
									: LOG_LEVEL_WARN,
	    "backend_lost", "id", r->mail != NULL ? r->mail->id : NULL, "server", r->server,
	    "error", error, NULL);
	if (r->job == NOTHING) {
		drop(r);
	} else if (content) {
		drop(r);
		if (loss == BACKEND_OURS)
			smtp_reply_set(&a.reply, 451, "4.3.0", "Local trouble, try again later");
		else
			smtp_reply_set(&a.reply, 451, "4.4.2", "%s", lost_text);
		finish(r, &a);
	} else if (loss != BACKEND_CLOSED || !replay(r)) {
		drop(r);
		break_off(r, 451, "4.4.2", lost_text);
	}
}

/* ---- what is sent ------------------------------------------------------------------------- */

/* W112: what the message needs and no server can do is refused, never transcoded. */
static void refuse_unable(struct relay *r, unsigned lacking)
{
	bool tls = lacking & EXTENSION_REQUIRETLS;

	if (!tls && (lacking & EXTENSION_SMTPUTF8))
		refuse(r, 553, "5.6.7", "The mail server does not take SMTPUTF8");
	else if (!tls && (lacking & EXTENSION_8BITMIME))
		refuse(r, 554, "5.6.3", "The mail server does not take 8BITMIME");
	else
		refuse(r, 550, "5.7.30", "The mail server does not support REQUIRETLS");
	answer_soon(r);
}

/* False when this server cannot take the message: another one is asked, where one may be able. Each
 * is asked once, for then we know. */
static bool check_abilities(struct relay *r)
{
	struct route *route = route_of(r);
	unsigned needs = parameters_need(r->mail->parameters);
	unsigned lacking = needs & ~backend_abilities(r->backend)->extensions;

	if (lacking == 0)
		return true;
	if (!r->own && r->unable++ < route->count && route_able(route, needs)) {
		leave(r);
		connect_backend(r);
	} else {
		refuse_unable(r, lacking);
	}
	return false;
}

static void send_plain(struct relay *r, enum backend_verb verb, struct slice line)
{
	(void)bytes_add(backend_command(r->backend, verb), line);
	backend_flush(r->backend);
}

static bool pipelining(const struct relay *r)
{
	return backend_abilities(r->backend)->extensions & EXTENSION_PIPELINING;
}

static void send_recipient(struct relay *r)
{
	envelope_recipient(r->backend, &r->mail->recipients[r->asked++]);
}

static void send_mail(struct relay *r)
{
	if (!check_abilities(r))
		return;
	if (!r->introduced) {
		r->introduced = true;
		r->forwarding = envelope_xforward(r->backend, &r->client, r->mail);
	}
	if (r->forwarding > 0 && !pipelining(r)) {
		backend_flush(r->backend);
		return; /* its reply brings us back here */
	}
	r->begun = true;
	envelope_mail(r->backend, r->mail);
	if (pipelining(r))
		send_recipient(r);
	backend_flush(r->backend);
}

/* The backend is to forget the transaction, where it knows of one. */
static void send_rset(struct relay *r)
{
	bool begun = r->begun;

	forget_progress(r);
	if (r->backend == NULL || !r->ready || r->resetting || !begun)
		return;
	r->resetting = true;
	(void)bytes_add(backend_command(r->backend, BACKEND_RSET), SLICE("RSET\r\n"));
	if (!pipelining(r))
		backend_flush(r->backend); /* else it leaves with what follows */
}

/* Is an answer due without which nothing can be sent? */
static bool waits(const struct relay *r)
{
	return !r->ready || ((r->resetting || r->forwarding > 0) && !pipelining(r)) ||
	    (r->begun && !r->mail_accepted) || r->asked > r->granted;
}

static void send_content(struct relay *r, enum mail_data_form form)
{
	r->content = true;
	r->chunk = form == MAIL_DATA_CHUNK;
	backend_content(r->backend, r->mail, form);
}

/* A chunk needs no permission, and ends where its size says, whatever stands in it. */
static void send_message(struct relay *r)
{
	if (backend_abilities(r->backend)->extensions & EXTENSION_CHUNKING)
		send_content(r, MAIL_DATA_CHUNK);
	else
		send_plain(r, BACKEND_DATA, SLICE("DATA\r\n"));
}

/* Bring the backend one step nearer to where the transaction is. */
static void advance(struct relay *r)
{
	if (r->backend == NULL)
		connect_backend(r);
	if (r->backend == NULL || waits(r))
		return; /* the answer brings us back here */
	if (!r->begun)
		send_mail(r);
	else if (r->asked < r->mail->recipient_count) {
		send_recipient(r);
		backend_flush(r->backend);
	} else if (r->job == MESSAGE)
		send_message(r);
}

/* ---- what comes back ---------------------------------------------------------------------- */

static void on_rset_reply(struct relay *r, const struct smtp_reply *reply)
{
	bool good = smtp_reply_class(reply) == 2;

	r->resetting = false;
	if (r->job == NOTHING) {
		if (!good)
			drop(r);
	} else if (good)
		advance(r);
	else if (!replay(r))
		break_off(r, 451, "4.4.2", lost_text);
}

static void on_xforward_reply(struct relay *r, const struct smtp_reply *reply)
{
	r->forwarding--;
	if (smtp_reply_class(reply) == 2) {
		if (r->job != NOTHING)
			advance(r);
		return;
	}
	log_event(LOG_LEVEL_WARN, "backend_identity", "backend", route_of(r)->name, "server",
	    r->server, "method", "XFORWARD", "error", reply->text, NULL);
	if (!route_of(r)->settings->identity_required) {
		if (r->job != NOTHING)
			advance(r);
		return;
	}
	drop(r);
	if (r->job != NOTHING)
		break_off(r, 451, "4.3.5", "The mail server refuses this relay, try again later");
}

static void on_mail_reply(struct relay *r, const struct smtp_reply *reply)
{
	if (smtp_reply_class(reply) == 2) {
		r->mail_accepted = true;
		advance(r);
		return;
	}
	refuse_as_said(r, reply);
	/* The answer to a recipient that went along must be read first. */
	if (r->asked == 0)
		finish_refused(r);
}

/* A recipient that was accepted once is refused in a replay, or one that a filter put in is
 * refused: nobody may lose the message silently, so all of it is refused. */
static void on_replay_refused(struct relay *r, const struct smtp_reply *reply)
{
	if (r->job == MESSAGE && r->mail->envelope_edited) {
		refuse_as_said(r, reply);
		finish_refused(r);
		return;
	}
	break_off(r, 451, "4.4.2", lost_text);
}

static void on_rcpt_reply(struct relay *r, const struct smtp_reply *reply)
{
	bool last = r->job == RECIPIENT && r->asked == r->mail->recipient_count;
	struct relay_answer a;

	if (r->refusal.code != 0) {
		finish_refused(r); /* MAIL was refused before it */
		return;
	}
	if (smtp_reply_class(reply) == 2)
		r->granted++;
	else if (!last) {
		on_replay_refused(r, reply);
		return;
	} else
		r->asked--;
	if (!last) {
		advance(r);
		return;
	}
	words_to_client(reply, r->own, "2.1.5", &a);
	finish(r, &a);
}

static void on_data_reply(struct relay *r, const struct smtp_reply *reply)
{
	struct relay_answer a;
	int class = smtp_reply_class(reply);

	if (reply->code == 354) {
		send_content(r, MAIL_DATA_DOT);
		return;
	}
	words_to_client(reply, r->own, "", &a);
	if (class != 4 && class != 5) {
		drop(r); /* W86 */
		smtp_reply_set(&a.reply, 451, "4.3.0",
		    "The mail server gave an unexpected answer, try again later");
		a.backend_said = false;
	}
	finish(r, &a);
}

static void on_content_reply(struct relay *r, const struct smtp_reply *reply)
{
	bool early = !backend_committed(r->backend);
	struct relay_answer a;
	int class = smtp_reply_class(reply);

	words_to_client(reply, r->own, "2.0.0", &a);
	if (early && class != 4 && class != 5) {
		smtp_reply_set(&a.reply, 451, "4.4.2", "%s", lost_text); /* W87 */
		a.backend_said = false;
	}
	if (early || class == 3)
		drop(r);
	else if (r->chunk && class != 2)
		r->content = false; /* what is left of it there is uncertain: RSET comes */
	else
		forget_progress(r);
	finish(r, &a);
}

/* 421: the connection is no more, whatever was asked (W76, W82). */
static void on_shutdown(struct relay *r, const struct smtp_reply *reply)
{
	if (r->job == NOTHING) {
		drop(r);
		return;
	}
	if (r->reused && replay(r))
		return;
	drop(r);
	refuse_as_said(r, reply);
	finish_refused(r);
}

static void on_reply(void *arg, enum backend_verb verb, const struct smtp_reply *reply)
{
	static void (*const handlers[])(struct relay *, const struct smtp_reply *) = {
		[BACKEND_RSET] = on_rset_reply,
		[BACKEND_XFORWARD] = on_xforward_reply,
		[BACKEND_MAIL] = on_mail_reply,
		[BACKEND_RCPT] = on_rcpt_reply,
		[BACKEND_DATA] = on_data_reply,
		[BACKEND_CONTENT] = on_content_reply,
	};
	struct relay *r = arg;

	if (reply->code == 421)
		on_shutdown(r, reply);
	else
		handlers[verb](r, reply);
}

void relay_introduce(const struct relay *r, struct introduction *into)
{
	r->client.introduce(r->client.arg, into);
	into->ident = r->mail != NULL ? r->mail->id : NULL;
}

static void on_introduce(void *arg, struct introduction *into)
{
	relay_introduce(arg, into);
}

static const struct backend_events events = {
	.on_ready = on_ready, .on_reply = on_reply, .on_lost = on_lost, .introduce = on_introduce
};

/* ---- life --------------------------------------------------------------------------------- */

/* The connection is for others now. */
static void give_back(struct relay *r)
{
	if (r->own) {
		if (r->backend != NULL && !backend_at_rest(r->backend))
			drop(r);
		send_rset(r);
		if (r->backend != NULL)
			backend_flush(r->backend);
		return;
	}
	pool_give(&r->backend, r->begun, r->client.session);
	drop(r);
}

static void on_soon(evutil_socket_t fd, short what, void *arg)
{
	struct relay *r = arg;

	(void)fd;
	(void)what;
	if (r->job != NOTHING && r->refusal.code != 0)
		finish_refused(r);
}

struct relay *relay_new(struct upstream *u, const struct relay_client *client)
{
	struct relay *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->upstream = u;
	r->client = *client;
	r->server = "";
	event_assign(&r->soon, u->base, -1, 0, on_soon, r);
	return r;
}

void relay_free(struct relay **at)
{
	struct relay *r = *at;

	*at = NULL;
	if (r == NULL)
		return;
	relay_reset(r);
	pool_forget(r->upstream, r->client.session);
	leave(r); /* an own connection is nobody else's, ever */
	free(r);
}

static void start(
    struct relay *r, enum job job, const struct mail *m, relay_done_fn *done, void *arg)
{
	r->job = job;
	r->mail = m;
	r->done = done;
	r->arg = arg;
	if (r->refusal.code != 0)
		answer_soon(r);
	else
		advance(r);
}

void relay_rcpt(struct relay *r, const struct mail *m, relay_done_fn *done, void *arg)
{
	start(r, RECIPIENT, m, done, arg);
}

void relay_send(struct relay *r, const struct mail *m, relay_done_fn *done, void *arg)
{
	if (m->envelope_edited)
		send_rset(r);
	start(r, MESSAGE, m, done, arg);
}

void relay_adopt(struct relay *r, struct backend **b)
{
	r->backend = *b;
	*b = NULL;
	r->own = r->ready = true;
	r->reused = false;
	r->server = backend_server(r->backend);
	backend_hand_over(r->backend, &events, r);
}

bool relay_adopted(const struct relay *r)
{
	return r->own;
}

bool relay_committed(const struct relay *r)
{
	return r->content && backend_committed(r->backend);
}

void relay_reset(struct relay *r)
{
	if (r->job != NOTHING)
		drop(r); /* an answer nobody waits for any more (W88) */
	r->job = NOTHING;
	r->mail = NULL;
	r->replayed = false;
	r->unable = 0;
	refusal_clear(&r->refusal);
	event_del(&r->soon);
	give_back(r);
}
