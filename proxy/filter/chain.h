/*
 * chain - the filters of one SMTP session, asked in order (the MTA side of the milter protocol).
 * Asking     each event is started and answered once through its done function, from the event
 *            loop, never inside the starting call; chain_abort and chain_free mean silence. One
 *            question at a time.
 * Content    header and body go to the first filter while they arrive (chain_header, chain_body:
 *            no answer; a filter's early verdict is kept); chain_end asks for the verdict, applies
 *            each filter's edits to the mail all or not at all, and takes the edited mail to the
 *            next filter.
 * Failure    a filter that cannot be reached, hangs, closes or breaks the protocol gives what its
 *            on_failure says, to every question until the transaction ends; it is tried again at
 *            the next MAIL. A failure at CONNECT, HELO or between transactions refuses nothing by
 *            itself: MAIL tries again first.
 * Refusals   one at CONNECT or HELO is the answer to every later question of the session.
 * Threads    the worker's loop.
 */
#ifndef PROXY_FILTER_CHAIN_H
#define PROXY_FILTER_CHAIN_H

#include <event2/event.h>

#include "proxy/mail.h"
#include "weir/net.h"
#include "weir/settings.h"
#include "weir/smtp_reply.h"

struct filters; /* a worker's view of the configured filters: endpoints, health */
struct chain;

/* settings must outlive it. Host names are looked up here, blocking. NULL with *e. */
struct filters *filters_new(
    struct event_base *base, const struct proxy_settings *settings, struct err *e);
void filters_free(struct filters **f);

enum chain_verdict {
	CHAIN_CONTINUE,
	CHAIN_REJECT,   /* reply is 5yz */
	CHAIN_TEMPFAIL, /* reply is 4yz */
	CHAIN_CLOSE,    /* reply is 421: send it and close */
	CHAIN_DISCARD,  /* answer 250 and throw the message away; also where no recipient is left */
};
struct chain_answer {
	enum chain_verdict verdict;
	struct smtp_reply reply; /* code 0 where the verdict has none */
	const char *filter;      /* who said so; NULL for CONTINUE, and for the proxy itself */
};
/* Exactly one call for each started question. answer is valid until the next question. */
typedef void chain_done_fn(const struct chain_answer *answer, void *arg);

/* The filters of one SMTP session; nothing is connected before the first question. NULL without
 * memory. */
struct chain *chain_new(struct filters *f);
/* QUIT to every filter that is connected, close, free. No done function runs afterwards. */
void chain_free(struct chain **c);
bool chain_empty(const struct chain *c); /* no filters: every question may be skipped */

/* Set a macro's value for the events to come: "j", "i", "{auth_authen}"; value.p NULL unsets. Which
 * macros go with which event is the chain's business (defaults of the reference, or the filter's
 * own list). {mail_addr} and {rcpt_addr} are set by chain_mail and chain_rcpt. */
void chain_macro(struct chain *c, const char *name, struct slice value);

/* host: verified reverse name, or "[address]", or "unknown". */
void chain_connect(struct chain *c, struct slice host, const struct address *client,
    chain_done_fn *done, void *arg);
/* Inside a transaction it ends that first. */
void chain_helo(struct chain *c, struct slice name, chain_done_fn *done, void *arg);
/* address: without brackets, "" for <>. parameters: ESMTP parameters separated by a space. */
void chain_mail(
    struct chain *c, struct slice address, struct slice parameters, chain_done_fn *done, void *arg);
void chain_rcpt(
    struct chain *c, struct slice address, struct slice parameters, chain_done_fn *done, void *arg);
void chain_data(struct chain *c, chain_done_fn *done, void *arg);
/* The command stays refused whatever the answer; a refusal's reply may stand in for the text. */
void chain_unknown(struct chain *c, struct slice line, chain_done_fn *done, void *arg);

/* All header fields of m, own Received left out, then end of header. m stays the caller's, and its
 * fields as they are until chain_end has answered, or chain_abort. */
void chain_header(struct chain *c, const struct mail *m);
void chain_body(struct chain *c, struct slice octets);
/* False while so much waits for the first filter that the client should not be read; on_ready runs
 * (from the loop) when it is true again. */
bool chain_ready(struct chain *c);
void chain_on_ready(struct chain *c, void (*on_ready)(void *arg), void *arg);
/* Octets of memory that all of them take: content that waits, and edits. */
size_t chain_memory(const struct chain *c);
/* A verdict that came early ends the matter: the rest of the content need not be kept. */
bool chain_decided(const struct chain *c);
/* End of message. m->body holds the whole body. On CONTINUE m carries all edits; a message that a
 * filter wants in quarantine (or that one of on_failure "quarantine" did not see) carries
 * "X-Weir-Quarantine: REASON". An own Received field may stand below others then. */
void chain_end(struct chain *c, struct mail *m, chain_done_fn *done, void *arg);

/* The transaction ends without a verdict (RSET, lost client, backend's refusal): ABORT where it is
 * due, edits dropped, a pending question is cancelled. The session goes on. */
void chain_abort(struct chain *c);

#endif
