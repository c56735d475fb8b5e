/*
 * pool - backend connections that outlive the session they were made for. A transaction takes one
 * and gives it back; the next transaction of any session takes it again.
 * Bounds     of the backend's settings: so many wait in each worker and for each server, for so
 *            long, and each carries so many messages. One that is closed, or that talks unasked,
 *            while it waits is dropped at once.
 * Threads    the worker's loop.
 */
#ifndef PROXY_UPSTREAM_POOL_H
#define PROXY_UPSTREAM_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct backend;
struct backend_events;
struct route;
struct upstream;

/* Part of each connection; the pool's alone. */
struct pool_place {
	TAILQ_ENTRY(pool_place) link;
	struct backend *backend;
	int64_t messages; /* transactions that had the connection */
	char session[24]; /* that had it last */
};

/* Of one server: the connections that wait, the one used last in front. */
struct pool {
	TAILQ_HEAD(, pool_place) places;
	size_t count;
};

void pool_init(struct pool *p);
/* A connection to the server that is to be asked first for mail that needs these abilities, with a
 * new owner; RSET may be under way on it. Where a connection is known by its client (W106), one
 * that this session had before is taken first, and with PROXY no other. NULL where none waits. */
struct backend *pool_take(struct route *r, unsigned needs, const char *session,
    const struct backend_events *events, void *arg);
/* The transaction is over. dirty: the backend does not know of that yet. Kept, or ended with QUIT
 * where it cannot be. NULL is fine. */
void pool_give(struct backend **b, bool dirty, const char *session);
/* The session is over: what is of use to it alone goes. */
void pool_forget(struct upstream *u, const char *session);
/* Say QUIT to all that wait. */
void pool_clear(struct pool *p);

#endif
