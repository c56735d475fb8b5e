/*
 * decay - sums that fade, over all workers: what a client did amiss of late. A table of atomics in
 * shared memory, of a fixed size: (kind, client) -> a level.
 * Units      a level is kept as the moment at which it will have faded to nothing (in
 *            microseconds), so fading costs no work, and a place whose moment is past is free.
 *            now_ms is the monotonic clock's, the same for all processes.
 * Bounds     when every place for a newcomer is taken, the one that fades first makes way: a flood
 *            of small sums cannot push out a large one. Two whose 64-bit hashes are the same would
 *            share a sum.
 * Threads    any process, without locks; a rare race while a place changes hands may lose an
 *            event, or count one for the newcomer.
 */
#ifndef PROXY_CONTROL_DECAY_H
#define PROXY_CONTROL_DECAY_H

#include <stdatomic.h>

#include "weir/net.h"

#define DECAY_PLACES 65536

enum decay_kind {
	DECAY_ABORTED, /* octets of mail data that were sent and then taken back */
};

/* What is too much, and how fast it is forgotten: a sum of `limit` fades to nothing in forget_ms.
 * A sum grows to twice the limit at most, so whoever is over it is below again after forget_ms.
 * limit: 1 .. 2^40; forget_ms: 1 .. a day. */
struct decay_rule {
	uint64_t limit;
	int64_t forget_ms;
};

/* All zeros is an empty table. */
struct decay {
	uint64_t key; /* secret, set before the workers start */
	struct decay_place {
		_Atomic uint64_t who;  /* hash of kind and client */
		_Atomic int64_t empty; /* us: when nothing will be left; the past: nothing is */
	} places[DECAY_PLACES];
};

/* The hash that the functions below take. A client stands for its network: IPv4 /32, IPv6 /64. */
uint64_t decay_client(const struct decay *d, enum decay_kind kind, const struct address *client);

/* Add amount to who's sum, and tell the sum. An amount of 0 only tells it. */
uint64_t decay_add(
    struct decay *d, uint64_t who, struct decay_rule rule, uint64_t amount, int64_t now_ms);
/* For how many milliseconds who's sum will be over the limit; 0: it is not. */
int64_t decay_over(const struct decay *d, uint64_t who, struct decay_rule rule, int64_t now_ms);

#endif
