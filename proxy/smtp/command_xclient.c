#include "config.h"

#include <stdlib.h>

#include "auth.h"
#include "identity.h"
#include "proxy/listen/front.h"
#include "proxy/smtp/auth.h"
#include "weir/log.h"
#include "xclient.h"

/* A command with an address begins a new client: nothing that was said of the last one is his. The
 * balancer's id stays, it is of the connection. */
static bool prepare_front(struct session *s, const struct xclient *x)
{
	struct front *f;

	if (s->front != NULL && x->addr.said == XCLIENT_NOTHING)
		return true;
	if ((f = front_new()) == NULL)
		return false;
	if (s->front != NULL) {
		f->unique_id = s->front->unique_id;
		s->front->unique_id = NULL;
		front_free(&s->front);
	}
	s->front = f;
	return true;
}

static bool tell_front(struct session *s, const struct xclient *x)
{
	struct front *f = s->front;

	if (x->login.said != XCLIENT_NOTHING &&
	    !front_text(
		&f->login, x->login.said == XCLIENT_VALUE ? slice_z(x->login.text) : slice_z(NULL)))
		return false;
	if (x->dest_addr.said == XCLIENT_VALUE)
		f->server = x->dest_addr.address;
	if (x->dest_port.said == XCLIENT_VALUE)
		f->server.port = (uint16_t)x->dest_port.number;
	if (x->ttl.said == XCLIENT_VALUE)
		f->ttl = x->ttl.number;
	return true;
}

static enum client_resolve resolve_of(enum xclient_said said)
{
	return said == XCLIENT_VALUE      ? CLIENT_OK
	    : said == XCLIENT_TEMPUNAVAIL ? CLIENT_TEMP
					  : CLIENT_FAIL;
}

/* The name as it was told stands as if it had been looked up. */
static bool tell_name(struct session *s, const struct xclient *x)
{
	const struct xclient_text *ptr = x->reverse_name.said != XCLIENT_NOTHING ? &x->reverse_name
										 : &x->name;
	enum client_resolve resolve = resolve_of(x->name.said);
	struct client_name *name;

	if (resolve == CLIENT_FAIL && ptr->said == XCLIENT_VALUE)
		resolve = CLIENT_FORGED;
	name = client_name_new(resolve,
	    resolve == CLIENT_OK ? slice_z(x->name.text) : slice_z(NULL),
	    ptr->said == XCLIENT_VALUE ? slice_z(ptr->text) : slice_z(NULL));
	if (name == NULL)
		return false;
	identity_forget(s);
	s->name = name;
	return true;
}

/* Count the session for who the client is now. */
static bool recount(struct session *s, const struct address *client)
{
	struct worker *w = s->worker;

	if (address_eq(client, &s->client))
		return true;
	if (!shared_join(
		w->shared, w->slot, client, (uint64_t)w->settings->limits.sessions_per_client))
		return false;
	shared_part(w->shared, w->slot, &s->client);
	return true;
}

/* The state of a new connection: the filters' sessions end, and the next HELO begins others. So do
 * backend connections that were told of the client before. */
static void begin_anew(struct session *s)
{
	bdat_forget(s);
	chain_free(&s->chain);
	auth_drop(s);
	relay_free(&s->relay);
	free(s->refusal);
	free(s->helo);
	s->refusal = NULL;
	s->helo = NULL;
	s->introduced = s->esmtp = s->refused_at_connect = s->tls_told = false;
	s->state = SESSION_START;
	s->offered = s->junk = s->findings = 0;
}

static const char *adopt(struct session *s, const struct xclient *x)
{
	struct address client = s->client;

	if (x->addr.said != XCLIENT_NOTHING)
		client = x->addr.address;
	if (x->port.said != XCLIENT_NOTHING)
		client.port = (uint16_t)x->port.number;
	if (!recount(s, &client))
		return "421 4.7.0 Too many connections from your address\r\n";
	if (x->addr.said != XCLIENT_NOTHING)
		identity_forget(s);
	s->client = client; /* from here on it is counted for him */
	if (!prepare_front(s, x) || !tell_front(s, x) ||
	    (x->name.said != XCLIENT_NOTHING && !tell_name(s, x)))
		return "421 4.3.0 Out of memory\r\n";
	begin_anew(s);
	identity_begin(s, &client);
	return NULL;
}

void command_xclient(struct session *s, struct slice argument)
{
	struct xclient x;
	struct err e;
	const char *refusal;

	if (!s->may_xclient) {
		session_say(s, SLICE("550 5.7.0 Insufficient authorization\r\n"));
		return;
	}
	if (s->mail.reverse_path != NULL) {
		session_say(s, SLICE("503 5.5.1 A transaction is under way\r\n"));
		return;
	}
	if (xclient_parse(argument, &x, &e) < 0) {
		struct smtp_reply r;

		smtp_reply_set(&r, 501, "5.5.4", "%s", e.text);
		session_reply(s, &r);
		return;
	}
	if (x.ttl.said == XCLIENT_VALUE && x.ttl.number == 0) {
		session_bye(s, SLICE("550 5.4.6 Too many hops\r\n"));
		return;
	}
	log_event(LOG_LEVEL_DEBUG, "xclient", "id", s->id, "client", s->client_text, NULL);
	if ((refusal = adopt(s, &x)) != NULL) {
		session_bye(s, slice_z(refusal));
		return;
	}
	log_event(LOG_LEVEL_INFO, "xclient", "id", s->id, "client", s->client_text, "name",
	    identity_name(s), NULL);
	session_greeting(s);
}
