/*
 * scanner_pool - the state that scans, reloads and the keeper share: masters and their free
 * workers. Private to scanner_client.c, scanner_keeper.c and scanner_pool.c.
 * Keeper     one housekeeping thread alone starts, hears and ends masters (scanner_keeper.c), so a
 *            dead worker's replacement is adopted, and a dead master restarted, while no scan is
 *            on its way.
 * Locking    `lock` guards all but what says otherwise; it is never held across a blocking call. A
 *            worker that was taken belongs to the thread that took it, and keeps its master's
 *            socket open.
 */
#ifndef WEIR_SCANNER_POOL_H
#define WEIR_SCANNER_POOL_H

#include <pthread.h>

#include "milterd/scanner_client.h"
#include "milterd/scanner_process.h"

enum {
	SCANNER_WORKERS_MAX = 512,  /* live and not yet known to be dead */
	SCANNER_QUEUE = 100,        /* scans that wait for each worker; one more is "busy" */
	SCANNER_GRACE_MS = 500,     /* past time_ms: libclamav's own limit speaks first */
	SCANNER_REPLACE_MS = 10000, /* a master that leaves us short of workers longer hangs */
	SCANNER_LEAVE_MS = 5000,    /* a master that was asked to end has that long */
	SCANNER_LOAD_MS = 600000,   /* a full set takes half a minute, on a slow machine more */
};

struct scanner_worker {
	struct scanner_master *of;
	int fd;
	pid_t pid;
};

struct scanner_master {
	struct scanner_master *next;
	struct process process;
	enum { MASTER_LOADING, MASTER_LOADED, MASTER_LEAVING, MASTER_GONE } state;
	size_t workers, taken; /* taken: of them, out on a scan */
	unsigned signatures;
	int64_t started_ms, kill_at_ms; /* 0: never */
};

enum scanner_load { LOAD_NONE, LOAD_WANTED, LOAD_RUNNING };

struct scanner {
	struct process_command command; /* immutable */
	pthread_t keeper;
	int wake;                    /* eventfd: something for the keeper to do */
	_Atomic unsigned signatures; /* of the current master */
	pthread_mutex_t lock;
	pthread_cond_t changed; /* a worker is free, a load or the last scan ended; CLOCK_MONOTONIC
				 */
	struct scanner_master *masters, *current, *candidate;
	struct scanner_worker idle[SCANNER_WORKERS_MAX]; /* of current; the last is taken first */
	size_t idle_count, waiting, scans;               /* scans: threads inside scanner_scan */
	uint64_t last_id;
	enum scanner_load load;
	uint64_t loads;     /* that came to an end, good or bad */
	bool load_good;     /* the last of them */
	int64_t load_at_ms; /* LOAD_WANTED: not before */
	unsigned failures;  /* of masters in a row */
	struct err refusal; /* why the last load failed */
	bool stopping;
};

/* Around all that a scan does: scanner_stop waits for it. */
void pool_enter(struct scanner *s);
void pool_leave(struct scanner *s);
/* Wait until deadline_ms for a free worker. 0 with *w and a fresh *id, or -1 with result->error. */
int pool_take(struct scanner *s, int64_t deadline_ms, struct scanner_worker *w, uint64_t *id,
    struct scan_result *result);
/* Give a worker back for the next scan. */
void pool_give(struct scanner *s, struct scanner_worker *w);
/* It is of no more use: close it and have it killed. */
void pool_drop(struct scanner *s, struct scanner_worker *w);

/* For the keeper, with the lock held. */
/* Add a worker of the current master; false when it hands over more than it may. */
bool pool_adopt(struct scanner *s, struct scanner_worker w);
/* Close all free workers. */
void pool_empty(struct scanner *s);

void scanner_wake(struct scanner *s);
/* The keeper's thread; arg is the scanner. */
void *scanner_keeper(void *arg);

#endif
