/*
 * tickets - the keys of session tickets, so that a session can be resumed at any worker of the
 * listener that it was made at, and at no other listener (W29).
 * Keys       come from a secret that the master draws once and all workers inherit; each
 *            listener's from that and its label. The secret goes on by itself every
 *            TICKET_EPOCH_S: each is a hash of the one before, which is wiped, so that who learns
 *            it cannot read what was said before. Processes agree by the clock and need not talk.
 * Life       a ticket is good for the epoch it was made in and the next.
 */
#ifndef PROXY_TLS_TICKETS_H
#define PROXY_TLS_TICKETS_H

#include <openssl/types.h>
#include <stdint.h>

#include "weir/err.h"

#define TICKET_EPOCH_S 14400
#define TICKET_LIFE_S  7200
#define TICKET_LABEL   32

struct ticket_secret {
	uint64_t epoch; /* monotonic seconds / TICKET_EPOCH_S */
	unsigned char now[32], before[32];
};

/* Draw it. 0, or -1 with *e. */
int ticket_secret_init(struct ticket_secret *s, struct err *e);
/* Bring it to the present, as before each fork. */
void ticket_secret_advance(struct ticket_secret *s);

/* Use s, which must outlive it, for the tickets of ctx, whose own the keys become. label: of the
 * listener and its policy. 0, or -1 with *e. */
int tickets_use(
    SSL_CTX *ctx, struct ticket_secret *s, const unsigned char label[TICKET_LABEL], struct err *e);

#endif
