/*
 * relay - one client transaction on its way to a backend, phase by phase: the failure map W76,
 * W80-W94 lives here.
 * Order      relay_rcpt for each recipient, then relay_send. The backend connection is taken from
 *            the pool, or made, at the first recipient; MAIL goes out with it. It is given back in
 *            relay_reset, after which the next transaction may begin.
 * Replay     a connection that is lost before the mail data, or an envelope that a filter edited,
 *            makes the whole envelope go out again (once, and out of the client's sight).
 * Answer     exactly one call of done for each relay_rcpt and relay_send, from the event loop,
 *            never inside that call; none after relay_reset or relay_free.
 * Login      a connection on which the client himself has logged in is the session's own: it is
 *            kept for all its transactions, and nothing takes its place when it is lost.
 */
#ifndef PROXY_UPSTREAM_RELAY_H
#define PROXY_UPSTREAM_RELAY_H

#include "proxy/mail.h"
#include "proxy/upstream/introduction.h"
#include "proxy/upstream/upstream.h"
#include "weir/smtp_reply.h"

struct relay;
struct backend;

/* The session that a relay is for. */
struct relay_client {
	const char *session; /* its id; lives as long as the relay */
	/* Whatever a backend may be told of it. */
	void (*introduce)(void *arg, struct introduction *into);
	void *arg;
};

struct relay_answer {
	struct smtp_reply reply; /* what the client is told; its code is 421 only where the session
				    has lost its own connection */
	bool backend_said;       /* the words are the backend's */
	bool in_doubt;           /* lost after the dot: the backend may have the message */
	const char *server;      /* whom we asked, "" if nobody; valid inside done */
};
typedef void relay_done_fn(const struct relay_answer *answer, void *arg);

/* NULL without memory. */
struct relay *relay_new(struct upstream *u, const struct relay_client *client);
void relay_free(struct relay **r);

/* Ask for m's last recipient; those before it were accepted. m stays the caller's and must not
 * change, but by mail_drop_recipient after a refusal, until relay_reset. */
void relay_rcpt(struct relay *r, const struct mail *m, relay_done_fn *done, void *arg);
/* Send the whole message to all recipients of m. */
void relay_send(struct relay *r, const struct mail *m, relay_done_fn *done, void *arg);
/* Has the message left, so that it can no longer be taken back? */
bool relay_committed(const struct relay *r);
/* What a backend may be told of the session. */
void relay_introduce(const struct relay *r, struct introduction *into);
/* From now on all goes over this connection, and over no other. Between transactions. */
void relay_adopt(struct relay *r, struct backend **b);
/* Has that been done? */
bool relay_adopted(const struct relay *r);
/* The transaction is over, or given up. */
void relay_reset(struct relay *r);

#endif
