/*
 * admin - the control socket inside an event loop: the protocol of weir/control.h without a
 * thread. A request has at most 64 KiB and a connection CONTROL_TIMEOUT_MS.
 * Threads    the loop's.
 */
#ifndef PROXY_CONTROL_ADMIN_H
#define PROXY_CONTROL_ADMIN_H

#include <event2/event.h>

#include "weir/control.h"

struct admin;

/* Listen on ep (mode 0600 for a Unix socket). NULL with *e. */
struct admin *admin_open(struct event_base *base, const struct endpoint *ep,
    control_handler *handler, void *arg, struct err *e);
/* Close the socket and every connection; remove the Unix socket's file where that is ours to do. */
void admin_close(struct admin **a, bool remove);

#endif
