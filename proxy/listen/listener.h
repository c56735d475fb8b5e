/*
 * listener - the sockets of a worker: accept, count in, start sessions. When descriptors run out it
 * rests shortly and goes on. Threads    the worker's loop.
 */
#ifndef PROXY_LISTEN_LISTENER_H
#define PROXY_LISTEN_LISTENER_H

#include "proxy/worker.h"

struct listener {
	struct worker *worker;
	const struct listen_settings *settings;
	struct auth_provider *auth;     /* who checks logins; NULL: AUTH is off */
	char address[ADDRESS_TEXT_MAX]; /* of ours, without port: {daemon_addr} */
	uint16_t port;
	int fd;
	struct event *readable, *rest;
};

struct listeners {
	struct listener *v;
	size_t n;
};

/* NULL without memory. Takes the sockets over. */
struct listeners *listeners_new(struct worker *w, const struct worker_socket *sockets, size_t n);
/* Accept nothing more, and close the sockets; sessions may still look at their listener. */
void listeners_stop(struct listeners *l);
void listeners_free(struct listeners **l);

#endif
