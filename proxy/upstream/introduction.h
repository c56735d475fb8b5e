/*
 * introduction - what a backend is told of the client for whom we speak, by one of three methods:
 * XCLIENT    the session is the client's from then on (Postfix's XCLIENT_README, Dovecot;
 *            W105-W107).
 * XFORWARD   the next transaction is logged as the client's (Postfix's XFORWARD_README).
 * PROXY      the connection begins with a binary header (HAProxy's proxy-protocol.txt, version 2).
 *            Values of the first two are xtext; what is not known is [UNAVAILABLE]; only
 *            attributes that the backend's EHLO names are sent, in commands of at most 512 octets.
 * Threads    any: pure functions.
 */
#ifndef PROXY_UPSTREAM_INTRODUCTION_H
#define PROXY_UPSTREAM_INTRODUCTION_H

#include "weir/net.h"

/* Everything borrowed; text NULL: not known. */
struct introduction {
	const char *session; /* id of the session */
	const char *ident;   /* id of the transaction */
	const char *helo, *name, *login;
	bool name_later; /* the name could not be found out now */
	bool esmtp;
	struct address client, server; /* server: where the client connected to */
	uint64_t ttl;                  /* how often the session may be passed on */
};

/* Hops that a session may still make, where nobody said. */
#define INTRODUCTION_TTL 5

enum introduction_command { INTRODUCTION_XCLIENT, INTRODUCTION_XFORWARD };

/* The attributes that stand behind the keyword in EHLO, as bits. 0: none that we know. */
unsigned introduction_attributes(enum introduction_command c, struct slice list);
/* Append the commands, each with CR LF; how many there are, and so how many replies will come. */
size_t introduction_write(enum introduction_command c, unsigned attributes,
    const struct introduction *i, struct bytes *out);

/* Append a PROXY header with the session's id as unique id; NULL: it is our own connection (LOCAL).
 */
void introduction_proxy(const struct introduction *i, struct bytes *out);

#endif
