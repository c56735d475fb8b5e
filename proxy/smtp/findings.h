/*
 * findings - what a client does that no honest one does, seen inside the live session. Each is
 * noted once a session: a bit in the session, a line in the log, a word in the macro
 * {weir_findings} that filters get with MAIL and with the end of the message. Whether the session
 * goes on is the listener's setting protocol_violations, where it is not said otherwise. Threads
 * the worker's loop.
 */
#ifndef PROXY_SMTP_FINDINGS_H
#define PROXY_SMTP_FINDINGS_H

#include "weir/slice.h"

struct session;

/* In the order of the words in the macro. */
enum found {
	FOUND_EARLY_TALK,   /* octets before the greeting (W33) */
	FOUND_PIPELINING,   /* commands ahead where RFC 2920 forbids it, or after HELO (W31, W32) */
	FOUND_BARE_NEWLINE, /* a CR or LF that stands alone, in a command or in mail data (W04) */
	FOUND_NUL,          /* in a command or in mail data (W09) */
	FOUND_NO_UTF8,      /* a command that is no UTF-8 */
	FOUND_LONG_COMMAND, /* (W42) */
	FOUND_FOREIGN,      /* an HTTP verb or the like, a TLS or PROXY header (W41) */
	FOUND_HEADER_FIELD, /* "Name: value" as a command (W41) */
	FOUND_NO_COMMAND,   /* a line that does not begin with a letter */
	FOUND_HELO_SYNTAX,  /* neither a domain nor an address literal */
	FOUND_HELO_ADDRESS, /* an address without its brackets */
	FOUND_HELO_SELF,    /* our own name */
	FOUND_HELO_LITERAL, /* an address literal that is not the client's address */
	FOUND_HELO_UNQUALIFIED, /* a name without a dot */
	FOUND_HELO_CHANGED,     /* another name than before */
	FOUND_COUNT,
};

void found(struct session *s, enum found what);
/* Note it; true when the session must end for it (protocol_violations "close"). */
bool found_violation(struct session *s, enum found what);
/* HELO or EHLO with this name, before it becomes the session's. */
void found_helo(struct session *s, struct slice name);
/* "early_talk,pipelining": appends, nothing where nothing was found. */
void findings_text(unsigned findings, struct buf *into);

#endif
