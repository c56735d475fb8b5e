/*
 * daemon - what all sessions of weir-milterd share: the engine in force, services, counters, and
 * the way to the end.
 * Threads    every function may be called on any thread. The mutex guards the fields below it and
 *            is never held across I/O, a scan or a callback.
 */
#ifndef MILTERD_DAEMON_H
#define MILTERD_DAEMON_H

#include <pthread.h>
#include <time.h>

#include "milterd/exam.h"

enum daemon_state { DAEMON_RUNS, DAEMON_DRAINS, DAEMON_STOPS };

struct milterd {
	const char *config_path;
	const char *program; /* argv[0] */
	struct settings settings;
	struct services services;
	int wake; /* eventfd: a signal, the last message of a drain, or libmilter's end woke main */
	time_t started;

	pthread_mutex_t lock;
	pthread_cond_t stopping; /* the state changed */
	struct engine *engine;
	enum daemon_state state;
	unsigned sessions, messages_in_hand;
	int64_t last_end_ms; /* when the last message ended, by the monotonic clock */
	uint64_t connections, messages, aborted, refused_recipients;
	uint64_t verdicts[ACTION_ACCEPT + 1];
};

/* libmilter gives its callbacks no pointer before a session begins, signals none at all: the one
 * global of the program, set once by main before any thread is started. */
extern struct milterd *the_milterd;

/* Load settings, rules; *d is zeroed. 0, or -1 with findings. */
int daemon_load(struct milterd *d, struct findings *f);
/* Open the store, start the scanner. What is missing is logged once; the facts are unknown then. */
void daemon_services_start(struct milterd *d);
void daemon_services_stop(struct milterd *d);
/* Free what daemon_load made. */
void daemon_free(struct milterd *d);

/* One more session: its engine (with a reference) and number, or NULL when it is one too many, or
 * when the daemon is about to stop. */
struct engine *daemon_session_begin(struct milterd *d, uint64_t *number);
void daemon_session_end(struct milterd *d);
/* A message is in hand: a drain waits for its end. False when none may begin any more. */
bool daemon_message_begin(struct milterd *d);
/* action: an enum action, or -1 for an aborted message. */
void daemon_message_end(struct milterd *d, int action);
void daemon_recipient_refused(struct milterd *d);
/* Wait, but not past the beginning of a drain. */
void daemon_delay(struct milterd *d, int64_t ms);

/* Build a new engine from the files as they are now and swap it in; findings say why not. One at a
 * time: only the control thread calls it. */
int daemon_reload(struct milterd *d, struct findings *f);
/* Answers "reload" and "status". */
json_t *daemon_control(const char *command, json_t *request, void *arg);

void daemon_set_state(struct milterd *d, enum daemon_state state);
unsigned daemon_messages_in_hand(struct milterd *d);
/* How long the end has to wait for libmilter to have written the last reply, in ms. A callback's
 * return is all that we see of it. */
int daemon_settle_ms(struct milterd *d);
void daemon_wake(struct milterd *d); /* async-signal-safe */

#endif
