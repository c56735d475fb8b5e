/*
 * sasl_pool - the helpers of the SASL process, and the logins that they check.
 * Kinds      a login of one step (a password, a token), which may take long, runs on any helper of
 *            POOL_CHECKS that has nothing to do. One of several steps stays with a helper of
 *            POOL_DIALOGUES, which may have many of them, for its steps are quick; a client that
 *            takes his time occupies nothing but memory.
 * Bounds     as many helpers as sasl/processes says, and TASKS_MAX logins; one more fails as
 *            temporary, and so does whatever a helper was busy with that died, or was ended for
 *            taking too long.
 * Threads    one loop.
 */
#ifndef PROXY_AUTH_SASL_POOL_H
#define PROXY_AUTH_SASL_POOL_H

#include <event2/event.h>
#include <sys/queue.h>

#include "proxy/auth/dovecot.h"
#include "weir/settings.h"

#define TASKS_MAX 20000

struct sasl_pool;
struct task;

/* The lines that a task leads to, LF included; `id` as in sasl_task_new. None after
 * sasl_task_cancel. One with OK or FAIL ends the task. */
typedef void sasl_answer_fn(void *client, uint32_t id, struct slice line);

struct sasl_pool_events {
	sasl_answer_fn *answer;
	/* The mechanisms are known: MECH lines, LF included. Once. */
	void (*ready)(void *arg, struct slice mechanisms);
	/* In a process just forked: close what is not the helper's. */
	void (*in_helper)(void *arg);
};

/* Starts the first helper. settings must outlive it. NULL without memory. */
struct sasl_pool *sasl_pool_new(struct event_base *base, const struct proxy_settings *settings,
    const struct sasl_pool_events *events, void *arg);

/* A login; mechanism and fields as in the client's AUTH line. False: it cannot be taken on, and
 * fails for want of room. The answer may come inside the call. */
bool sasl_task_new(
    struct sasl_pool *p, void *client, uint32_t id, struct slice mechanism, struct slice fields);
/* The client's response. Nothing where there is no such task, or none is waited for. */
void sasl_task_respond(struct sasl_pool *p, void *client, uint32_t id, struct slice base64);
void sasl_task_cancel(struct sasl_pool *p, void *client, uint32_t id);
/* All of a client's that has gone. */
void sasl_task_cancel_all(struct sasl_pool *p, void *client);
/* A child is no more: its number may be another's from here on. */
void sasl_pool_reaped(struct sasl_pool *p, pid_t pid);

#endif
