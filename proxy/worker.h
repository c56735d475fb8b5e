/*
 * worker - one process with one event loop: it accepts, and everything of a session happens in it.
 * Threads    none.
 */
#ifndef PROXY_WORKER_H
#define PROXY_WORKER_H

#include <event2/event.h>
#include <signal.h>
#include <sys/queue.h>

#include "proxy/control/pressure.h"
#include "proxy/auth/auths.h"
#include "proxy/control/shared.h"
#include "proxy/filter/chain.h"
#include "proxy/tls/store.h"
#include "proxy/tls/tickets.h"
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
	struct auths *auths;
	struct auth_provider *relay_login;   /* the backend as one who checks logins */
	struct names *names;                 /* NULL: clients' names are not looked up */
	struct session_list sessions, ended; /* ended: to be freed when the loop comes round */
	size_t count;
	size_t starved; /* sessions that wait for memory */
	struct pressure pressure;
	struct event *reap;
	struct event *tick; /* while there are sessions, or stress */
	uint64_t next_id;
	struct bytes scratch; /* mail data of the session in hand, decoded */
	struct listeners *listeners;
	struct event *stop, *stop_now, *retire, *drain_end;
	unsigned generation; /* of the configuration; when there is a newer one, others accept */
	bool draining;       /* sessions get 421 at their next idle point */
	bool leaving;        /* no new ones; the loop ends with the last session */
	struct tls_store *certificates; /* the master's, as they were at the fork, or newer */
	unsigned certificates_seen;     /* shared->certificates, when they were looked at last */
	unsigned certificates_version;  /* counts up when one was loaded anew */
	struct ticket_secret *tickets;
};

/* A socket that is to be listened on: from the master. */
struct worker_socket {
	int fd;
	const struct listen_settings *settings;
};

/* What a worker is born with. The numbers are those of the moment before the fork: what changes
 * while it comes to life is news to it. */
struct worker_birth {
	const struct settings *settings;
	struct shared *shared;
	int slot;
	unsigned generation, certificates_seen;
	const struct worker_socket *sockets;
	size_t socket_count;
	struct tls_store *certificates;
	struct ticket_secret *tickets;
	const char *sasl_socket; /* of the SASL process; "": there is none */
};

/* Run until told to stop; the sockets are closed when no more is accepted. Signals: SIGTERM and
 * SIGINT drain within drain_s; SIGUSR1 lets the sessions end by themselves (the next generation has
 * taken over). Returns the exit status. */
int worker_run(const struct worker_birth *birth);

/* Around the fork: hold back what a worker is told by signals, until worker_run has its handlers in
 * place. *were: the mask before; may be NULL. */
void worker_hold_signals(sigset_t *were);

/* A session begins. */
void worker_began(struct worker *w, struct session *s);
/* One of them waits for memory: it is looked after soon. */
void worker_starves(struct worker *w);
/* A session is over: it is freed once the loop comes round, and counts no more. */
void worker_ended(struct worker *w, struct session *s);

/* Something that was counted in `count` beside the sessions is over. */
void worker_released(struct worker *w);

/* Accept no more; the end comes with the last session. */
void worker_leave(struct worker *w);

#endif
