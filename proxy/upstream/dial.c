#include "config.h"

#include "dial.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <event2/event_struct.h>
#include <event2/util.h>

struct dial {
	struct event_base *base;
	dial_done_fn *done;
	void *arg;
	int fd;
	struct event ready; /* the socket of the attempt under way, or the start of the next */
	struct evdns_getaddrinfo_request *lookup;
	struct evutil_addrinfo *found, *at; /* what the name resolved to */
	struct sockaddr_storage lone;       /* the address where none had to be resolved */
	socklen_t lone_n;
	char error[200];
	bool dead;
};

static void attempt(struct dial *d);

static void drop_socket(struct dial *d)
{
	event_del(&d->ready);
	if (d->fd >= 0)
		close(d->fd);
	d->fd = -1;
}

void dial_cancel(struct dial **at)
{
	struct dial *d = *at;

	*at = NULL;
	if (d == NULL)
		return;
	drop_socket(d);
	if (d->found != NULL)
		evutil_freeaddrinfo(d->found);
	d->found = NULL;
	if (d->lookup != NULL) {
		/* on_found still comes, with EVUTIL_EAI_CANCEL, and frees. */
		d->dead = true;
		evdns_getaddrinfo_cancel(d->lookup);
		return;
	}
	free(d);
}

static void finish(struct dial *d, const char *error)
{
	dial_done_fn *done = d->done;
	void *arg = d->arg;
	int fd = error == NULL ? d->fd : -1;
	char text[sizeof(d->error)];

	(void)snprintf(text, sizeof(text), "%s", error != NULL ? error : "");
	event_del(&d->ready);
	if (error == NULL)
		d->fd = -1; /* handed over below */
	dial_cancel(&d);
	done(fd, error != NULL ? text : NULL, arg);
}

static void on_connected(evutil_socket_t fd, short what, void *arg)
{
	struct dial *d = arg;
	socklen_t n = sizeof(int);
	int error = 0;

	(void)what;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) < 0)
		error = errno;
	if (error == 0) {
		finish(d, NULL);
		return;
	}
	(void)snprintf(d->error, sizeof(d->error), "%s", strerror(error));
	drop_socket(d);
	attempt(d);
}

/* Begin to connect. False when that failed at once: d->error says why. */
static bool connect_to(struct dial *d, const struct sockaddr *sa, socklen_t n)
{
	int one = 1;

	d->fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (d->fd >= 0 && sa->sa_family != AF_UNIX)
		(void)setsockopt(d->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (d->fd < 0 || (connect(d->fd, sa, n) < 0 && errno != EINPROGRESS)) {
		(void)snprintf(d->error, sizeof(d->error), "%s", strerror(errno));
		drop_socket(d);
		return false;
	}
	event_assign(&d->ready, d->base, d->fd, EV_WRITE, on_connected, d);
	event_add(&d->ready, NULL);
	return true;
}

/* The next address, or the end. Runs from the loop. */
static void attempt(struct dial *d)
{
	if (d->lone_n > 0) {
		socklen_t n = d->lone_n;

		d->lone_n = 0;
		if (connect_to(d, (const struct sockaddr *)&d->lone, n))
			return;
	}
	while (d->at != NULL) {
		const struct evutil_addrinfo *at = d->at;

		d->at = at->ai_next;
		if (connect_to(d, at->ai_addr, (socklen_t)at->ai_addrlen))
			return;
	}
	finish(d, d->error);
}

static void on_start(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	attempt(arg);
}

static void on_found(int result, struct evutil_addrinfo *found, void *arg)
{
	struct dial *d = arg;

	d->lookup = NULL;
	if (d->dead) {
		if (found != NULL)
			evutil_freeaddrinfo(found);
		free(d);
		return;
	}
	if (result != 0)
		(void)snprintf(d->error, sizeof(d->error), "name: %s", evutil_gai_strerror(result));
	d->found = d->at = found;
	/* evdns may answer inside the call that asks: go on from the loop. */
	event_active(&d->ready, EV_TIMEOUT, 0);
}

static void look_up(struct dial *d, struct evdns_base *dns, const struct endpoint *to)
{
	struct evutil_addrinfo hints = { .ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_protocol = IPPROTO_TCP,
		.ai_flags = EVUTIL_AI_ADDRCONFIG };
	struct evdns_getaddrinfo_request *request;
	char port[8];

	(void)snprintf(port, sizeof(port), "%u", (unsigned)to->port);
	if (dns == NULL) {
		(void)snprintf(d->error, sizeof(d->error), "name: no resolver");
		event_active(&d->ready, EV_TIMEOUT, 0);
		return;
	}
	/* NULL where on_found ran already. */
	if ((request = evdns_getaddrinfo(dns, to->host, port, &hints, on_found, d)) != NULL)
		d->lookup = request;
}

struct dial *dial_start(struct event_base *base, struct evdns_base *dns, const struct endpoint *to,
    dial_done_fn *done, void *arg)
{
	struct dial *d = calloc(1, sizeof(*d));
	struct address a;

	if (d == NULL)
		return NULL;
	*d = (struct dial){ .base = base, .done = done, .arg = arg, .fd = -1 };
	event_assign(&d->ready, base, -1, 0, on_start, d);
	if (to->local) {
		struct sockaddr_un un = { .sun_family = AF_UNIX };

		memcpy(un.sun_path, to->path, sizeof(un.sun_path));
		memcpy(&d->lone, &un, sizeof(un));
		d->lone_n = sizeof(un);
	} else if (address_parse(slice_z(to->host), &a, NULL) == 0) {
		a.port = to->port;
		d->lone_n = address_sockaddr(&a, &d->lone);
	} else {
		look_up(d, dns, to);
		return d;
	}
	event_active(&d->ready, EV_TIMEOUT, 0);
	return d;
}
