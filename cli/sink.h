/*
 * sink - a small honest SMTP server for demos, tests and benchmarks: what it says 250 to lies in
 * the Maildir, as received.
 * Faults     for tests it misbehaves on demand, at a phase of the session. One process, one event
 *            loop; everything hangs from struct sink.
 */
#ifndef CLI_SINK_H
#define CLI_SINK_H

#include <event2/event.h>

#include "maildir.h"

#define SINK_MESSAGE_MAX (256u << 20) /* octets; what EHLO says behind SIZE */
#define SINK_RECIPIENTS  1000
#define SINK_SESSIONS    500
#define SINK_LISTED      64 /* refused recipients, and faults */

enum sink_phase {
	SINK_CONNECT,
	SINK_EHLO,
	SINK_MAIL,
	SINK_RCPT,
	SINK_DATA,
	SINK_BODY,
	SINK_DOT,
	SINK_QUIT,
	SINK_PHASES
};

enum sink_action {
	SINK_REPLY,            /* with a code of the fault's */
	SINK_EARLY,            /* the same in the middle of the data, then close */
	SINK_CLOSE,            /* without a word */
	SINK_STALL,            /* never answer */
	SINK_GARBAGE,          /* what no SMTP server says */
	SINK_STORE_THEN_CLOSE, /* W91: accepted, but nobody hears of it */
	SINK_STORE_THEN_STALL,
};

struct sink_fault {
	enum sink_phase phase;
	enum sink_action action;
	int code;      /* SINK_REPLY, SINK_EARLY */
	uint64_t left; /* how often it still happens */
};

struct sink_session;

struct sink {
	struct event_base *base;
	struct maildir maildir;
	char hostname[256];
	const char *refused[SINK_LISTED];
	size_t refused_count;
	struct sink_fault faults[SINK_LISTED];
	size_t fault_count;
	int slow_ms;
	const char *without; /* EHLO keywords that are not offered, "CHUNKING,DSN"; NULL: none */
	struct sink_session *sessions;
	size_t session_count;
};

/* Is the extension offered? keyword: what EHLO calls it. */
bool sink_offers(const struct sink *sink, struct slice keyword);
/* 0, or -1 with *e: text names what the sink does not know. */
int sink_without_parse(struct sink *sink, const char *text, struct err *e);

/* "PHASE=ACTION", "PHASE=ACTION:N" for the first N times only. 0, or -1 with *e. */
int sink_fault_parse(struct slice text, struct sink_fault *out, struct err *e);
/* The fault that happens now at this phase, or NULL. */
const struct sink_fault *sink_fault_take(struct sink *sink, enum sink_phase phase);

/* Serve fd, which is the session's from here on. */
void sink_session_start(struct sink *sink, evutil_socket_t fd);
/* End every session at once. */
void sink_sessions_end(struct sink *sink);

#endif
