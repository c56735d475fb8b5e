/*
 * sasl_inside - what the files of the SASL process's pool share: tasks (sasl_task.c), helpers
 * (sasl_pool.c), and what clients say (sasl_login.c).
 */
#ifndef PROXY_AUTH_SASL_INSIDE_H
#define PROXY_AUTH_SASL_INSIDE_H

#include "proxy/auth/sasl_pool.h"

#include <event2/event_struct.h>

#include "proxy/auth/mechanism.h"

#define TASK_PLACES 1024

enum kind { POOL_CHECKS, POOL_DIALOGUES, POOL_KINDS };

enum task_state {
	TASK_FIRST,    /* the client is to give the first response */
	TASK_NAME,     /* ... his login (LOGIN) */
	TASK_PASSWORD, /* ... his password (LOGIN) */
	TASK_QUEUED,   /* `line` waits for a helper */
	TASK_RUNNING,  /* a helper is busy with it */
	TASK_THINKING, /* the client is to respond to his helper */
};

TAILQ_HEAD(task_list, task);

struct task {
	LIST_ENTRY(task) by_client, by_number;
	TAILQ_ENTRY(task) queue; /* of its helper, or of its kind while it has none */
	void *client;            /* NULL: he has gone */
	uint32_t id, number;     /* his, and the helpers' */
	enum kind kind;
	enum task_state state;
	struct helper *helper;
	struct bytes head; /* "MECHANISM TAB fields", without the response */
	struct bytes line;
	char name[LOGIN_MAX + 1];
};

struct helper {
	TAILQ_ENTRY(helper) link;
	struct sasl_pool *pool;
	enum kind kind;
	pid_t pid;
	struct stream *stream;
	bool ready;
	struct task *running;
	size_t tasks; /* that are his, running or not */
	struct task_list queue;
	struct event timer; /* of the step in hand */
};

struct kind_of_helpers {
	TAILQ_HEAD(, helper) helpers;
	size_t count, starting, max;
	struct task_list queue;
	size_t queued;
};

struct sasl_pool {
	struct event_base *base;
	const struct proxy_settings *settings;
	const struct sasl_pool_events *events;
	void *arg;
	struct kind_of_helpers kinds[POOL_KINDS];
	LIST_HEAD(, task) by_client[TASK_PLACES], by_number[TASK_PLACES];
	size_t tasks;
	uint32_t next;
	struct bytes mechanisms; /* of the first helper, until it is ready */
	bool known;
	bool login; /* LOGIN is configured */
	struct event rest;
};

/* ---- sasl_task.c --------------------------------------------------------------------------- */

struct task *sasl_task_of(const struct sasl_pool *p, const void *client, uint32_t id);
struct task *sasl_task_by_number(const struct sasl_pool *p, uint32_t number);
/* NULL without room. */
struct task *sasl_task_add(struct sasl_pool *p, void *client, uint32_t id, enum kind kind);
void sasl_task_free(struct sasl_pool *p, struct task *t);
/* Off the queue it is in, if it is in one. */
void sasl_unqueue(struct sasl_pool *p, struct task *t);
/* A line to the client, if he is there still: the verb, his number, the rest. */
void sasl_answer(struct sasl_pool *p, const struct task *t, const char *verb, struct slice rest);
/* FAIL, and the end of it. */
void sasl_task_fail(struct sasl_pool *p, struct task *t, struct slice why);
/* Nothing of a line that may hold a password stays. */
void sasl_forget_line(struct bytes *line);

/* ---- sasl_pool.c --------------------------------------------------------------------------- */

/* t->line is for a helper: its own, or whoever has time. */
void sasl_enqueue(struct sasl_pool *p, struct task *t);
/* The client has gone; nobody waits for the dialogue any more. */
void sasl_helper_forget(struct helper *h, uint32_t number);

#endif
