/*
 * filter_session - the conversation with one filter over one SMTP session: which event may be sent
 * when (libmilter drops what comes out of order without a word), who waits for what, and what each
 * reply means at its stage.
 * Asking     filter_session_ask says at once that the answer is there, or calls `answered` later,
 *            from the event loop. One question at a time.
 * Life       the connection is made at the first question. A filter that fails gives what its
 *            on_failure says for the rest of the transaction; at the next MAIL it is connected
 *            again and told CONNECT and HELO anew.
 */
#ifndef PROXY_FILTER_FILTER_SESSION_H
#define PROXY_FILTER_FILTER_SESSION_H

#include "proxy/filter/edits.h"
#include "proxy/filter/talk.h"

struct filter_session;

struct filter_session_calls {
	void (*answered)(struct filter_session *fs, void *arg);
	/* Content that waited was sent, or is not wanted any more. */
	void (*sent)(struct filter_session *fs, void *arg);
};

struct filter_session *filter_session_new(struct filter *filter, const struct filter_facts *facts,
    const struct filter_session_calls *calls, void *arg);
/* QUIT and close. */
void filter_session_free(struct filter_session **fs);
const char *filter_session_name(const struct filter_session *fs);

/* Begin to connect; before CONNECT is asked. */
void filter_session_open(struct filter_session *fs);
/* True: filter_session_answer has it; false: `answered` will be called. */
bool filter_session_ask(struct filter_session *fs, enum filter_event event);
const struct chain_answer *filter_session_answer(const struct filter_session *fs);

/* Does the filter take part in the transaction (no verdict, no failure yet)? */
bool filter_session_listens(const struct filter_session *fs);
/* Begin the content of m: header fields but `hidden`, body from the spool, or as it is handed in.
 */
void filter_session_content(
    struct filter_session *fs, const struct mail *m, size_t hidden, bool spooled);
void filter_session_body(struct filter_session *fs, struct slice octets);
/* Octets of content that wait for this filter. */
size_t filter_session_waiting(const struct filter_session *fs);
/* Octets of memory: that content, and what the connection holds. */
size_t filter_session_memory(const struct filter_session *fs);
/* Is it clear before the end that the message is not taken as it is? */
bool filter_session_decided(const struct filter_session *fs);
/* After END: the edits; NULL where there are none. They stay the session's. */
struct edits *filter_session_edits(const struct filter_session *fs);
/* Did it fail in this transaction, so that the message is to be marked? */
bool filter_session_marks(const struct filter_session *fs);

/* The transaction ends without this filter's verdict: ABORT where one is due. */
void filter_session_abort(struct filter_session *fs);
/* The session is refused: QUIT, nothing is asked any more. */
void filter_session_quit(struct filter_session *fs);

#endif
