/*
 * connection - the milter connection to one filter: connect, negotiate, packets in and out, clock.
 * Asynchronous  callbacks run from the event loop only, never inside a call; after
 *            filter_connection_free none does. A callback may free the connection.
 * Replies    one question at a time. Octets that come while no reply is owed are a breach of the
 *            protocol (the next event would take a reply too many for its own), save PROGRESS.
 * Clock      every packet starts the inactivity limit again, the total limit is never moved.
 * Failure    on_failed runs once; the connection is only fit to be freed then.
 */
#ifndef PROXY_FILTER_CONNECTION_H
#define PROXY_FILTER_CONNECTION_H

#include "proxy/filter/filters.h"
#include "weir/milter.h"

struct filter_connection;

struct filter_connection_calls {
	/* Negotiated; what was agreed is in filter_connection_options. */
	void (*on_open)(void *arg);
	/* A checked reply (or a piece of a REPLBODY) that was owed; not PROGRESS. */
	void (*on_reply)(const struct milter_reply *r, void *arg);
	/* What is still to be written fell below the low-water mark again. */
	void (*on_drained)(void *arg);
	void (*on_failed)(const char *error, void *arg);
};

/* Begin to connect; on_open or on_failed follows. calls must outlive it. NULL without memory. */
struct filter_connection *filter_connection_start(
    struct filter *filter, const struct filter_connection_calls *calls, void *arg);
/* With quit, what waits to be written and QUIT go out first, as far as the socket takes them. */
void filter_connection_free(struct filter_connection **c, bool quit);

/* What was agreed. A version of 0: not negotiated yet. */
const struct milter_options *filter_connection_options(const struct filter_connection *c);
/* Octets of memory that input and output take, beyond the little that an idle one keeps. */
size_t filter_connection_memory(const struct filter_connection *c);
/* The filter's own list of macros for a stage; p is NULL where it has none. */
struct slice filter_connection_macros(const struct filter_connection *c, enum milter_stage stage);

/* Where packets are put (milter_put) before they are sent; never NULL. */
struct bytes *filter_connection_out(struct filter_connection *c);
/* Is the connection in step: not closed, and nothing here that was not asked for? If not, on_failed
 * follows. */
bool filter_connection_sound(struct filter_connection *c);
/* Write what was put; no reply is owed for it. */
void filter_connection_send(struct filter_connection *c);
/* Where it is sound, write what was put; its last packet is answered: in inactivity_s from packet
 * to packet, in total_s at all. What on_reply got is not valid any more. */
void filter_connection_ask(struct filter_connection *c, int64_t inactivity_s, int64_t total_s);
/* The reply is complete. To be called from on_reply. */
void filter_connection_settle(struct filter_connection *c);
/* Does so much wait to be written that no more should be sent? on_drained follows. */
bool filter_connection_full(const struct filter_connection *c);
/* Be full until the loop has seen to its other events. */
void filter_connection_pause(struct filter_connection *c);

#endif
