/*
 * penalties - failed logins, counted for all workers together: by client and by login, in tables
 * of atomics in shared memory.
 * Counting   a failure adds one; a count sinks by `failures` in `forget_s`. Clients are counted
 *            twice: narrow, by IPv4 address and IPv6 /64 (what one customer has), and wide, by
 *            IPv4 /24 and IPv6 /48 (what one attacker rents), where WIDE_FACTOR times as many are
 *            borne, so that one mistyped password costs no neighbour anything. Logins are counted
 *            to answer failures more slowly, never to refuse: else whoever guesses at a login
 *            could lock its owner out.
 * Trust      a narrow client that logged in within TRUST_S bears TRUST_FACTOR times as many
 *            failures, and no wide ban concerns it.
 * Bounds     each table has PENALTY_PLACES places; where a place is wanted and none is free, the
 *            lowest count in reach gives way.
 * Threads    any process, without locks.
 */
#ifndef PROXY_CONTROL_PENALTIES_H
#define PROXY_CONTROL_PENALTIES_H

#include <stdatomic.h>

#include "weir/net.h"
#include "weir/slice.h"

#define PENALTY_PLACES 16384
#define WIDE_FACTOR    8
#define TRUST_FACTOR   8
#define TRUST_S        ((int64_t)30 * 86400)
/* The largest count that a place can hold. */
#define PENALTY_MAX 255

struct penalties {
	uint64_t key;
	_Atomic uint64_t logged_in, failures, bans, refused; /* since the start */
	_Atomic uint64_t narrow[PENALTY_PLACES], wide[PENALTY_PLACES], logins[PENALTY_PLACES],
	    trusted[PENALTY_PLACES];
};

struct penalty_limits {
	unsigned failures; /* at which a ban begins, 1..PENALTY_MAX / WIDE_FACTOR; 0: never */
	int64_t forget_s;  /* above 0 */
	int64_t ban_s;
};

/* Memory is zeroed. */
void penalties_init(struct penalties *p);
/* Is the client to be turned away? now_s: of a clock that all processes share and that only goes
 * forward. */
bool penalties_banned(
    struct penalties *p, const struct address *client, struct penalty_limits l, int64_t now_s);
struct penalty {
	unsigned failures; /* the higher count of client and login, this failure included */
	bool ban;          /* it has just begun */
};
/* Count a failure. login may be empty. */
struct penalty penalties_failed(struct penalties *p, const struct address *client,
    struct slice login, struct penalty_limits l, int64_t now_s);
void penalties_succeeded(struct penalties *p, const struct address *client, int64_t now_s);

#endif
