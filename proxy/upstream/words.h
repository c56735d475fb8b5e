/*
 * words - what the client hears of what a backend said: its own words where they are for him, ours
 * where they are not (W76, W93, W100, W101).
 * Threads    any.
 */
#ifndef PROXY_UPSTREAM_WORDS_H
#define PROXY_UPSTREAM_WORDS_H

#include "proxy/upstream/relay.h"

/* own: the client has logged in on this connection himself, and what the backend says of logins is
 * his business. good: the enhanced code of a 2yz reply that has none. */
void words_to_client(
    const struct smtp_reply *said, bool own, const char *good, struct relay_answer *a);

/* An answer that is kept; a whole relay_answer would be most of what an idle session holds. Zeroed
 * there is none. */
struct refusal {
	int code; /* 0: none */
	char enhanced[12];
	char *text; /* NULL: there was no memory for it */
	bool backend_said;
};

void refusal_set(struct refusal *f, int code, const char *enhanced, const char *text);
void refusal_clear(struct refusal *f);
void words_of_refusal(const struct refusal *f, struct relay_answer *a);

#endif
