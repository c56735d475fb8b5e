/*
 * sockets - the listening sockets of the master: for each listen entry one a worker, all on the
 * same port (SO_REUSEPORT), made while the master is still privileged. The master keeps them open:
 * a connection that waits in a dead worker's socket is taken by the worker that comes in its
 * place.
 * Threads    one at a time.
 */
#ifndef PROXY_SOCKETS_H
#define PROXY_SOCKETS_H

#include "weir/settings.h"

struct sockets {
	struct sockets_entry {
		struct endpoint endpoint; /* as configured */
		int *fds;
		size_t count;
	} * v;
	size_t n;
};

/* Listen on every entry with `each` sockets; those of `old` on the same endpoint are taken over
 * (old may be NULL). 0, or -1 with *e: then out is empty and old as it was. */
int sockets_open(struct sockets *out, const struct proxy_settings *p, size_t each,
    struct sockets *old, struct err *e);
/* Close what was not handed on to another. */
void sockets_close(struct sockets *s);

#endif
