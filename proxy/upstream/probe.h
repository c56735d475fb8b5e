/*
 * probe - keeps what is known of a server's abilities fresh: a connection of its own, EHLO and
 * QUIT, at the start and again every timeouts/probe_s, unless a session's EHLO has told it
 * meanwhile. A server that cannot be reached is asked again sooner. Nobody waits for a probe.
 * Threads    the worker's loop.
 */
#ifndef PROXY_UPSTREAM_PROBE_H
#define PROXY_UPSTREAM_PROBE_H

#include <stddef.h>

struct probe;
struct route;

/* Of r's server with that index; the first one begins at once. NULL without memory. r must outlive
 * it. */
struct probe *probe_new(struct route *r, size_t server);
void probe_free(struct probe **p);

#endif
