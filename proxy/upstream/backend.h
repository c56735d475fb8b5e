/*
 * backend - one connection to a backend server, as an SMTP client: dial, greeting, EHLO, commands,
 * mail data.
 * Opening    the servers of a route are tried in order until one greets us; on_ready tells.
 * Commands   are queued with backend_command, leave with backend_flush, and are answered in order
 *            through on_reply. Several may be under way where the backend lists PIPELINING.
 * Loss       a connection that closes, hangs or talks nonsense tells on_lost once; the owner then
 *            calls backend_close.
 * Callbacks  from the event loop only; backend_close and backend_quit may be called in them.
 */
#ifndef PROXY_UPSTREAM_BACKEND_H
#define PROXY_UPSTREAM_BACKEND_H

#include "proxy/upstream/introduction.h"
#include "proxy/upstream/mail_data.h"
#include "proxy/upstream/upstream.h"
#include "weir/smtp_reply.h"

enum backend_verb {
	BACKEND_RSET,
	BACKEND_XFORWARD,
	BACKEND_MAIL,
	BACKEND_RCPT,
	BACKEND_DATA,
	BACKEND_CONTENT, /* the mail data: its reply is the one after all of it, or an early one */
	BACKEND_AUTH,    /* the command, or a response of its dialogue */
};

enum backend_loss { BACKEND_CLOSED, BACKEND_TIMEOUT, BACKEND_GARBAGE, BACKEND_OURS };

struct backend_events {
	void (*on_ready)(void *arg, const char *error); /* NULL: ready for commands */
	void (*on_reply)(void *arg, enum backend_verb verb, const struct smtp_reply *reply);
	void (*on_lost)(void *arg, enum backend_loss loss, const char *error);
	void (*on_rested)(void *arg); /* backend_rest: the time is over */
	/* For whom the connection is; NULL: for ourselves. */
	void (*introduce)(void *arg, struct introduction *into);
};

#define BACKEND_UNDER_WAY_MAX 8

/* needs: abilities of the mail to come (enum extension); servers known to lack them are asked last.
 * NULL without memory: nothing was started. */
struct backend *backend_open(
    struct route *r, unsigned needs, const struct backend_events *events, void *arg);
/* To this server of the route only. */
struct backend *backend_open_at(
    struct route *r, size_t server, const struct backend_events *events, void *arg);
/* Close at once. NULL is fine. */
void backend_close(struct backend **b);
/* QUIT, and let the connection end by itself; for one that waits for nothing. */
void backend_quit(struct backend **b);

/* From now on another hears of its events. */
void backend_hand_over(struct backend *b, const struct backend_events *events, void *arg);
/* The new owner's client is to be known where that is told by XCLIENT. */
enum backend_introduced {
	BACKEND_KNOWS,         /* ready at once */
	BACKEND_LEARNS,        /* on_ready will come, or on_lost */
	BACKEND_KNOWS_ANOTHER, /* of no use to this client */
};
enum backend_introduced backend_introduce(struct backend *b);
/* Is it of use to other sessions than the one that had it last? */
bool backend_for_anybody(const struct backend *b);
/* Ready for commands, none is under way but RSET, and nothing was said that is not read. */
bool backend_at_rest(const struct backend *b);
/* Is any command under way? */
bool backend_pending(const struct backend *b);
/* Run on_rested when no command was sent for so long. */
void backend_rest(struct backend *b, int64_t seconds);

const struct abilities *backend_abilities(const struct backend *b);
struct route *backend_route(const struct backend *b);
size_t backend_server_index(const struct backend *b); /* among the route's servers */
struct pool_place *backend_place(struct backend *b);
const char *backend_server(const struct backend *b); /* "127.0.0.1:2526", for the log */

/* The line to be sent goes into the returned buffer, CR LF included; NULL when too many are under
 * way. */
struct bytes *backend_command(struct backend *b, enum backend_verb verb);
void backend_flush(struct backend *b);
/* Send m's fields and body, under back-pressure: after 354 as mail data and the dot, or at any time
 * as one chunk with its BDAT. m must not change until on_reply or on_lost. */
void backend_content(struct backend *b, const struct mail *m, enum mail_data_form form);
/* Has the dot, or the last octet of the chunk, left for the backend? From then on a lost connection
 * leaves the message in doubt. */
bool backend_committed(const struct backend *b);

void backend_drop_farewells(struct upstream *u);

#endif
