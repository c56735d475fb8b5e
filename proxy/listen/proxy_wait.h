/*
 * proxy_wait - connections from load balancers whose PROXY header is not there yet (W108). Nothing
 * is sent to them. Octets behind the header stay in the socket: whatever comes next, the greeting
 * or a TLS handshake, finds it as if the client had connected directly.
 * Threads    the worker's loop.
 */
#ifndef PROXY_LISTEN_PROXY_WAIT_H
#define PROXY_LISTEN_PROXY_WAIT_H

#include <sys/queue.h>

#include "proxy/listen/listener.h"

/* Wait for the header on fd, which is counted in (shared_enter, client NULL) and taken over. peer:
 * the balancer. Afterwards listener_welcome, or the connection is dropped. */
void proxy_wait(struct listener *l, int fd, const struct address *peer);
/* Drop them all. */
void proxy_wait_end(struct proxy_waiting *all);

#endif
