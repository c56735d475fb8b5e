/*
 * auth - who checks a login, as one worker sees it: one interface, whoever answers.
 * Dialogue   auth_start asks; each answer is one call of an event, from the loop, never inside a
 *            call of ours: a challenge (then auth_respond, or auth_cancel), or the outcome, after
 *            which the dialogue is gone. auth_cancel silences it at any time. What the mechanism
 *            says travels as base64 and is not looked into.
 * Threads    the worker's loop.
 */
#ifndef PROXY_AUTH_AUTH_H
#define PROXY_AUTH_AUTH_H

#include "proxy/auth/mechanism.h"
#include "weir/net.h"
#include "weir/smtp_reply.h"

/* A response on the wire, CR LF included (RFC 4954 4: servers take at least so much). */
#define AUTH_LINE_MAX (12288 + 2)

struct auth_dialogue;
struct auth_provider;

struct auth_request {
	const struct mechanism *mechanism;
	const struct address *client, *server;
	bool secure;         /* the client speaks TLS */
	const char *session; /* id, for the log of whoever checks */
	struct slice
	    response; /* base64, perhaps of nothing; .p is NULL where the client gave none yet */
	void *relay;  /* struct relay: the session's way to its backend */
};

enum auth_failure {
	AUTH_DENIED,
	AUTH_UNAVAILABLE, /* nobody could tell */
	AUTH_TOO_LONG,    /* the response is longer than whoever checks takes */
};

struct auth_events {
	void (*on_challenge)(void *arg, struct slice base64);
	/* login: as whoever checks calls him; .p NULL where he told nothing but yes. */
	void (*on_success)(void *arg, struct slice login);
	/* said: what the client is to hear; NULL: the usual words for `why`. login: .p may be NULL.
	 */
	void (*on_failure)(
	    void *arg, enum auth_failure why, struct slice login, const struct smtp_reply *said);
};

struct auth_ops {
	unsigned (*mechanisms)(struct auth_provider *p);
	struct auth_dialogue *(*start)(struct auth_provider *p, const struct auth_request *q,
	    const struct auth_events *events, void *arg);
	void (*respond)(struct auth_dialogue *d, struct slice base64);
	void (*cancel)(struct auth_dialogue *d);
};

/* What every provider and every dialogue begins with. */
struct auth_provider {
	const struct auth_ops *ops;
};
struct auth_dialogue {
	struct auth_provider *provider;
};

/* What can be offered: bits of mechanism.h. 0: nobody has answered yet. Once known it stays, though
 * whoever checks be away. */
static inline unsigned auth_mechanisms(struct auth_provider *p)
{
	return p->ops->mechanisms(p);
}
/* NULL without memory: nothing was started. */
static inline struct auth_dialogue *auth_start(struct auth_provider *p,
    const struct auth_request *q, const struct auth_events *events, void *arg)
{
	return p->ops->start(p, q, events, arg);
}
static inline void auth_respond(struct auth_dialogue *d, struct slice base64)
{
	d->provider->ops->respond(d, base64);
}
/* NULL is fine. */
static inline void auth_cancel(struct auth_dialogue **d)
{
	if (*d != NULL)
		(*d)->provider->ops->cancel(*d);
	*d = NULL;
}

#endif
