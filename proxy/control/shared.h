/*
 * shared - what the processes of one weir-proxy know together: a table of atomics in shared
 * memory. Each worker writes its own slot only, and others read it; so a dead worker's counts are
 * given back by clearing its slot, and no count is ever taken twice. Clients (IPv4 addresses, and
 * IPv6 /64s) are counted by a keyed 40-bit hash in a bounded table; when the place for a client is
 * full he is not counted.
 * Threads    any process, without locks.
 */
#ifndef PROXY_CONTROL_SHARED_H
#define PROXY_CONTROL_SHARED_H

#include <stdatomic.h>

#include "proxy/control/penalties.h"
#include "proxy/control/decay.h"

#define SHARED_SLOTS   512 /* workers at once, two generations while a reload is under way */
#define SHARED_CLIENTS 16384

struct shared_slot {
	_Atomic int pid;           /* 0: free */
	_Atomic uint64_t sessions; /* now */
	_Atomic uint64_t memory;   /* octets of messages in flight */
	_Atomic bool stressed;
	_Atomic uint64_t sessions_total, messages, refused;
	_Atomic uint64_t clients[SHARED_CLIENTS]; /* hash << 24 | sessions now */
};

struct shared {
	uint64_t key;
	_Atomic unsigned
	    generation;        /* of the configuration: workers of an older one accept no more */
	_Atomic unsigned used; /* slots below this were in use once */
	_Atomic unsigned stressed;     /* slots that are */
	_Atomic unsigned certificates; /* counts up when files of certificates were loaded anew */
	_Atomic uint64_t restarts;
	/* Of slots that were given back. */
	_Atomic uint64_t sessions_total, messages, refused;
	struct penalties penalties;
	struct decay decay;
	struct shared_slot slots[SHARED_SLOTS];
};

struct shared_sums {
	uint64_t sessions, sessions_total, messages, refused, memory;
};

/* NULL with *e. Made by the master before it forks. */
struct shared *shared_new(struct err *e);
void shared_free(struct shared **s);

/* For the master: a free slot, or -1; and back with it, whatever its worker left in it. */
int shared_take_slot(struct shared *s);
void shared_give_back(struct shared *s, int slot);
size_t shared_free_slots(const struct shared *s);
struct shared_sums shared_sum(const struct shared *s);
/* Of all workers, now. */
uint64_t shared_sessions(const struct shared *s);
uint64_t shared_memory(const struct shared *s);
/* A worker is under stress from now on, or is no more. True: it is the first, or was the last. */
bool shared_set_stress(struct shared *s, int slot, bool stressed);

enum shared_entry { SHARED_WELCOME, SHARED_FULL, SHARED_CLIENT_FULL };
/* Count one session in, unless a limit is reached. client NULL: who he is will be known later. */
enum shared_entry shared_enter(struct shared *s, int slot, const struct address *client,
    uint64_t sessions_max, uint64_t client_max);
/* client NULL: it was never known who he is. */
void shared_leave(struct shared *s, int slot, const struct address *client);
/* For a session that is counted in already: now it is known that it is this client's, or not his
 * any more. False: he has as many as he may. */
bool shared_join(struct shared *s, int slot, const struct address *client, uint64_t client_max);
void shared_part(struct shared *s, int slot, const struct address *client);

#endif
