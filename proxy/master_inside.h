/*
 * master_inside - what the files of the master share: its life (master.c), its workers (workers.c),
 * and the change to another configuration (reload.c).
 */
#ifndef PROXY_MASTER_INSIDE_H
#define PROXY_MASTER_INSIDE_H

#include <event2/event.h>

#include "proxy/auth/sasl_service.h"
#include "proxy/control/admin.h"
#include "proxy/control/shared.h"
#include "proxy/sockets.h"
#include "proxy/tls/store.h"
#include "proxy/tls/tickets.h"
#include "weir/settings.h"

struct master;

/* One worker's place: who is in it, and when another is due. */
struct place {
	struct master *master;
	int slot; /* in the shared table, -1 when nobody is in */
	pid_t pid;
	unsigned index, deaths;
	int64_t started_ms;
	struct event *again;
};

struct master {
	struct event_base *base;
	struct event *signals[4];
	struct event *kill_timer; /* for workers that do not end by themselves */
	struct event *renewal;    /* looks whether files of certificates changed */
	struct admin *admin;
	bool stopping, background;

	/* the configuration in force, and what was made by it */
	const char *path;
	struct settings *settings;
	struct sockets sockets;
	struct tls_store *certificates;
	struct sasl_service *sasl; /* NULL: no listener asks it */
	struct place *places;      /* of the present generation */
	size_t count;

	/* what outlives a reload */
	struct shared *shared;
	struct ticket_secret tickets;
	pid_t retired[SHARED_SLOTS]; /* by slot: workers of earlier generations */
};

/* ---- master.c ----------------------------------------------------------------------------- */

/* Say in the log whether the limits can be kept, and where we listen. */
void master_announce(const struct master *m);

/* ---- workers.c: the processes of one configuration ---------------------------------------- */

/* How many these settings ask for. */
size_t workers_wanted(const struct proxy_settings *p);
/* Places for n workers, empty as yet. 0, or -1 with *e; what was made is to be freed then too. */
int places_new(struct master *m, struct place **out, size_t n, struct err *e);
void places_free(struct place *v, size_t n);
/* The SASL process's service, where a listener needs it (else *out stays as it is); not started
 * yet. 0, or -1 with *e. */
int workers_make_sasl(
    struct master *m, const struct proxy_settings *p, struct sasl_service **out, struct err *e);
/* Start the SASL process and a worker in every place of m. One that cannot start is tried again. */
void workers_start(struct master *m);
/* Let those in the places of an earlier generation end with their last session. */
void workers_retire(struct master *m, const struct place *places, size_t n);
/* Some child ended: bury who did, and let another take the place. */
void workers_reap(struct master *m);
/* Those of all generations: tell them, and is there one left? */
void workers_signal(struct master *m, int number);
bool workers_left(const struct master *m);

/* ---- reload.c ----------------------------------------------------------------------------- */

/* Read the file at m->path and put it in force, or leave all as it is. Returns the answer for the
 * control socket: "ok", and "workers" or "findings". */
json_t *master_reload(struct master *m);

#endif
