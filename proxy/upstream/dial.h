/*
 * dial - a TCP or Unix connection in the making: names resolved through evdns, addresses tried in
 * turn. Exactly one call of done, from the event loop, after dial_start returned; none after
 * dial_cancel. On success fd is the callee's (non-blocking, close-on-exec, TCP_NODELAY) and error
 * is NULL; else fd is -1.
 */
#ifndef PROXY_UPSTREAM_DIAL_H
#define PROXY_UPSTREAM_DIAL_H

#include <event2/dns.h>
#include <event2/event.h>

#include "weir/net.h"

struct dial;

typedef void dial_done_fn(int fd, const char *error, void *arg);

/* dns may be NULL: then only addresses and Unix sockets can be dialled. to must live until done.
 * No timeout of its own: the caller has one for all of the greeting. NULL: nothing was started. */
struct dial *dial_start(struct event_base *base, struct evdns_base *dns, const struct endpoint *to,
    dial_done_fn *done, void *arg);
void dial_cancel(struct dial **d);

#endif
