/*
 * listener - the sockets of a worker: accept, count in, start sessions. When descriptors run out
 * it rests shortly and goes on.
 * Threads    the worker's loop.
 */
#ifndef PROXY_LISTEN_LISTENER_H
#define PROXY_LISTEN_LISTENER_H

#include <sys/queue.h>

#include "proxy/worker.h"

struct front;
TAILQ_HEAD(proxy_waiting, proxy_wait);

struct listener {
	struct worker *worker;
	const struct listen_settings *settings;
	struct auth_provider *auth;     /* who checks logins; NULL: AUTH is off */
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
	struct proxy_waiting waiting; /* connections whose PROXY header is not there yet */
};

/* The context for the next handshake, with the certificates that are in force now; NULL: no TLS
 * here. The listener's: an SSL of it keeps it alive. */
SSL_CTX *listener_tls(struct listener *l);

/* NULL without memory. Takes the sockets over. */
struct listeners *listeners_new(struct worker *w, const struct worker_socket *sockets, size_t n);
/* Accept nothing more, and close the sockets; sessions may still look at their listener. */
void listeners_stop(struct listeners *l);
void listeners_free(struct listeners **l);
/* Drop the connections that are no sessions yet. */
void listeners_drop_waiting(struct listeners *l);
/* A connection that is counted in (shared_enter, client NULL) has turned out to be this client's:
 * a session, or 421 where he has too many. Takes fd and front (NULL: nothing was told). */
void listener_welcome(
    struct listener *l, int fd, const struct address *client, struct front *front);

#endif
