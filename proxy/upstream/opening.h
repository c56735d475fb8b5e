/*
 * opening - what is said on a connection to a backend before it is ready for mail: greeting, EHLO
 * or HELO, STARTTLS and EHLO again (W25, W26), XCLIENT and EHLO again (W105, W106). It knows lines
 * and replies; backend.c has the connection.
 * Threads    the worker's loop.
 */
#ifndef PROXY_UPSTREAM_OPENING_H
#define PROXY_UPSTREAM_OPENING_H

#include "proxy/upstream/introduction.h"
#include "proxy/upstream/upstream.h"
#include "weir/smtp_reply.h"

enum opening_state {
	OPENING_GREETING,
	OPENING_EHLO,
	OPENING_HELO,
	OPENING_STARTTLS,
	OPENING_XCLIENT,
};

/* What comes next. */
enum opening_step {
	OPENING_WAITS,   /* for a reply; what is to be sent stands in out */
	OPENING_SECURES, /* the handshake, then opening_secured */
	OPENING_DONE,    /* ready for mail */
	OPENING_FAILED,  /* *e says why */
};

struct opening {
	struct route *route;
	struct server *server;
	enum opening_state state;
	struct abilities abilities; /* as the last EHLO told */
	struct abilities own;       /* as EHLO told before anybody was introduced */
	bool clear;                 /* this server is asked once more, without TLS */
	size_t due;                 /* replies to XCLIENT that are to come */
	bool introducing;           /* the next EHLO is the client's */
	bool again;                 /* ... and not the first one's that it is told of */
	struct bytes said;          /* XCLIENT as it was said last: who it is for */
};

/* A connection was made: the next thing is a greeting, or the handshake of implicit TLS. who: for
 * whom, NULL for ourselves, as below. */
enum opening_step opening_start(struct opening *o, struct route *r, struct server *s, bool clear,
    const struct introduction *who, struct bytes *out);
/* A reply came; more: octets of another lie behind it. */
enum opening_step opening_reply(struct opening *o, const struct smtp_reply *r, bool more,
    const struct introduction *who, struct bytes *out, struct err *e);
/* The handshake is done. */
enum opening_step opening_secured(struct opening *o, enum link_tls link, struct bytes *out);
/* The connection is ready, and for somebody else now. OPENING_FAILED: the server that knows of one
 * client takes no other (Postfix allows XCLIENT by the address that it was told). */
enum opening_step opening_introduce(
    struct opening *o, const struct introduction *who, struct bytes *out);
void opening_clear(struct opening *o);

#endif
