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
	char address[ADDRESS_TEXT_MAX]; /* of ours, without port: {daemon_addr} */
	uint16_t port;
	int fd;
	struct event *readable, *rest;
	SSL_CTX *tls;         /* NULL: off */
	unsigned tls_version; /* worker->certificates_version that it is of */
};

struct listeners {
	struct listener *v;
	size_t n;
};

/* The context for the next handshake, with the certificates that are in force now; NULL: no TLS
 * here. The listener's: an SSL of it keeps it alive. */
SSL_CTX *listener_tls(struct listener *l);

/* NULL without memory. Takes the sockets over. */
struct listeners *listeners_new(struct worker *w, const struct worker_socket *sockets, size_t n);
/* Accept nothing more, and close the sockets; sessions may still look at their listener. */
void listeners_stop(struct listeners *l);
void listeners_free(struct listeners **l);

#endif
