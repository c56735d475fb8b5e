/*
 * worker - one process with one event loop: it accepts, and everything of a session happens in it.
 * Threads    none.
 */
#ifndef PROXY_WORKER_H
#define PROXY_WORKER_H

#include <event2/event.h>
#include <sys/queue.h>

#include "proxy/control/shared.h"
#include "proxy/filter/chain.h"
#include "proxy/upstream/upstream.h"
#include "weir/settings.h"

struct session;
TAILQ_HEAD(session_list, session);

struct worker {
	struct event_base *base;
	const struct proxy_settings *settings;
	struct shared *shared;
	int slot;
	struct filters *filters;
	struct upstream *upstream;
	struct session_list sessions, ended; /* ended: to be freed when the loop comes round */
	size_t count;
	struct event *reap;
	uint64_t next_id;
	struct bytes scratch; /* mail data of the session in hand, decoded */
	struct listeners *listeners;
	struct event *stop, *stop_now, *retire, *drain_end;
	bool draining; /* sessions get 421 at their next idle point */
	bool leaving;  /* no new ones; the loop ends with the last session */
};

/* A socket that is to be listened on: from the master. */
struct worker_socket {
	int fd;
	const struct listen_settings *settings;
};

/* Run until told to stop. Signals: SIGTERM and SIGINT drain within drain_s; SIGUSR1 lets the
 * sessions end by themselves (the next generation has taken over). Returns the exit status. */
int worker_run(const struct settings *settings, struct shared *shared, int slot,
    const struct worker_socket *sockets, size_t count);

/* Block or unblock (SIG_BLOCK, SIG_UNBLOCK) these three. The master forks with them blocked, and
 * worker_run unblocks them as soon as it can hear them. */
void worker_signals(int how);

/* A session is over: it is freed once the loop comes round, and counts no more. */
void worker_ended(struct worker *w, struct session *s);

#endif
