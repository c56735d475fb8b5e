/*
 * client_name - the name of a client's address, believed only where the name leads back to the
 * address (forward-confirmed reverse DNS).
 * Looking up PTR, then A or AAAA; each address once at a time, however many ask. Who asks is
 *            answered within client_name_s seconds of the first question; a later answer of the
 *            name servers is kept for the next. Loopback addresses are "localhost" without a
 *            question.
 * Keeping    what was found for as long as it says, at most an hour; that there is none five
 *            minutes; a failure half a minute. After three failures in a row nobody waits for half
 *            a minute: a dead name server slows the first clients only.
 * Memory     at most NAMES_MAX addresses; NAMES_ASKING_MAX of them are asked for at once, and
 *            beyond that the answer is a failure.
 * Threads    the worker's loop.
 */
#ifndef PROXY_LISTEN_CLIENT_NAME_H
#define PROXY_LISTEN_CLIENT_NAME_H

#include <event2/event.h>

#include "weir/net.h"
#include "weir/settings.h"

#define NAMES_MAX        4096
#define NAMES_ASKING_MAX 512

/* The words of Sendmail's {client_resolve}. */
enum client_resolve {
	CLIENT_OK,     /* a name, and it leads back */
	CLIENT_FAIL,   /* no name */
	CLIENT_FORGED, /* a name that does not lead back */
	CLIENT_TEMP,   /* could not be found out */
};
extern const char *const client_resolve_words[4];

/* Immutable, shared by reference count: client_name_unref. */
struct client_name {
	unsigned references;
	enum client_resolve resolve;
	char *name; /* NULL unless CLIENT_OK */
	char *ptr;  /* what the reverse lookup gave; NULL: nothing */
};

struct names;
struct name_query;

/* NULL with *e. settings must outlive it. */
struct names *names_new(
    struct event_base *base, const struct proxy_settings *settings, struct err *e);
/* All queries must be cancelled or answered. Turns the loop once: nothing else may wait in it. */
void names_free(struct names **n);

/* name: a reference of the callee's; never NULL. Exactly one call, from the loop. */
typedef void names_done_fn(struct client_name *name, void *arg);
/* Where the answer is there at once, *now is a reference to it and NULL is returned; else the
 * query, until done has run or it is cancelled. NULL with *now NULL: no memory. */
struct name_query *names_find(struct names *n, const struct address *a, names_done_fn *done,
    void *arg, struct client_name **now);
void names_cancel(struct name_query **q);

/* As someone who is trusted told it. NULL without memory. Texts are copied; .p NULL for none. */
struct client_name *client_name_new(
    enum client_resolve resolve, struct slice name, struct slice ptr);
void client_name_unref(struct client_name **c);

#endif
