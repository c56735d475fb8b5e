/*
 * queue_id - the id under which a backend has the message, as its reply to the mail data tells it:
 * with it in our log one search follows a message through both.
 * Threads    any.
 */
#ifndef PROXY_UPSTREAM_QUEUE_ID_H
#define PROXY_UPSTREAM_QUEUE_ID_H

#include "weir/slice.h"

#define QUEUE_ID_MAX 128

/* The id in a reply's text (enhanced code taken off), a part of it; empty where there is none that
 * we know to read. */
struct slice queue_id_find(struct slice text);

#endif
