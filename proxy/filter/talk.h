/*
 * talk - what is said to one filter: events with their macros, each in one write, only where the
 * filter wants it and only where libmilter would take it. Whether a reply is owed is known here;
 * what it means is not.
 */
#ifndef PROXY_FILTER_TALK_H
#define PROXY_FILTER_TALK_H

#include "proxy/filter/connection.h"
#include "proxy/filter/content.h"
#include "proxy/filter/macros.h"

enum filter_event {
	FILTER_NOTHING,
	FILTER_CONNECT,
	FILTER_HELO,
	FILTER_MAIL,
	FILTER_RCPT,
	FILTER_DATA,
	FILTER_UNKNOWN,
	FILTER_END,
};

/* What all filters of a session are told; the chain's. */
struct filter_facts {
	struct macros macros;
	char *host; /* NULL before CONNECT */
	struct address client;
	char *helo; /* NULL before HELO */
	/* Of the question that is being asked. */
	struct slice address, parameters; /* MAIL, RCPT; UNKNOWN: address is the line */
};

/* How far the filter's own state machine is. */
enum talk_position { AT_START, AT_SESSION, AT_MAIL, AT_RCPT, AT_CONTENT };

struct talk {
	struct filter *filter;
	const struct filter_facts *facts;
	struct filter_connection *connection; /* NULL: none */
	enum talk_position position;
	bool no_more_rcpt; /* SKIP at RCPT */
	int awaited;       /* command whose reply is owed; 0 none */
	int64_t awaited_since_ms;
};

uint32_t talk_protocol(const struct talk *t);
/* Say macros and event, as far as they are wanted. Is a reply owed? */
bool talk_event(struct talk *t, enum filter_event event);
/* Say the next packet of content (what content_next named). 1: a reply is owed; 0: none is, and
 * what was put is not sent yet; -1 with *e. */
int talk_content(struct talk *t, struct content *c, int what, struct err *e);
/* A reply is owed afterwards. */
void talk_end(struct talk *t);
void talk_abort(struct talk *t);
/* The reply is here, whole. */
void talk_settle(struct talk *t);
/* Close; with quit, QUIT first. */
void talk_close(struct talk *t, bool quit);

#endif
