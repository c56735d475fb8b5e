#include "config.h"

#include "listener.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#include "proxy/listen/front.h"
#include "proxy/listen/proxy_wait.h"
#include "proxy/smtp/session.h"
#include "proxy/tls/server.h"
#include "weir/log.h"

/* Connections taken in one go before others get their turn. */
#define ACCEPT_MAX 64
#define REST_US    200000

static void turn_away(int fd, struct slice words)
{
	ssize_t ignored = send(fd, words.p, words.n, MSG_NOSIGNAL | MSG_DONTWAIT);

	(void)ignored; /* who is turned away may have gone already */
	close(fd);
}

/* A balancer is told nothing before its header is there. */
static void turn_away_busy(int fd, bool behind)
{
	turn_away(
	    fd, behind ? SLICE("") : SLICE("421 4.3.2 Too many connections, try again later\r\n"));
}

static void turn_away_full(int fd, const struct address *client)
{
	char text[ADDRESS_TEXT_MAX];

	log_event(LOG_LEVEL_WARN, "turned_away", "client", address_text(client, text), "why",
	    "sessions_per_client", NULL);
	turn_away(fd, SLICE("421 4.7.0 Too many connections from your address\r\n"));
}

void listener_welcome(struct listener *l, int fd, const struct address *client, struct front *front)
{
	struct worker *w = l->worker;

	if (shared_join(
		w->shared, w->slot, client, (uint64_t)w->settings->limits.sessions_per_client)) {
		session_start(w, l, fd, client, front); /* counts out, whatever happens */
		return;
	}
	shared_leave(w->shared, w->slot, NULL);
	front_free(&front);
	turn_away_full(fd, client);
}

static void take(struct listener *l, int fd, const struct address *peer)
{
	const struct proxy_settings *p = l->worker->settings;
	struct worker *w = l->worker;
	/* Behind a load balancer the client is not known yet, and the balancer is none. */
	bool behind = conf_networks_have(&l->settings->proxy_from, peer);
	char text[ADDRESS_TEXT_MAX];
	int one = 1;

	if (!pressure_room(&w->pressure, w->count)) {
		log_event(LOG_LEVEL_WARN, "turned_away", "client", address_text(peer, text), "why",
		    "descriptors", NULL);
		turn_away_busy(fd, behind);
		return;
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	switch (shared_enter(w->shared, w->slot, behind ? NULL : peer, (uint64_t)p->limits.sessions,
	    (uint64_t)p->limits.sessions_per_client)) {
	case SHARED_WELCOME:
		if (behind)
			proxy_wait(l, fd, peer);
		else
			session_start(w, l, fd, peer, NULL);
		return;
	case SHARED_FULL:
		log_event(LOG_LEVEL_WARN, "turned_away", "client", address_text(peer, text), "why",
		    "sessions", NULL);
		turn_away_busy(fd, behind);
		return;
	case SHARED_CLIENT_FULL:
		turn_away_full(fd, peer);
		return;
	}
}

/* Nothing can be accepted for want of descriptors or memory: a level-triggered loop would spin. */
static void rest(struct listener *l)
{
	log_event(LOG_LEVEL_ERROR, "accept", "error", strerror(errno), NULL);
	event_del(l->readable);
	event_add(l->rest, &(struct timeval){ .tv_usec = REST_US });
}

static void on_rested(evutil_socket_t fd, short what, void *arg)
{
	struct listener *l = arg;

	(void)fd;
	(void)what;
	event_add(l->readable, NULL);
}

static void on_connection(evutil_socket_t fd, short what, void *arg)
{
	struct listener *l = arg;
	struct worker *w = l->worker;

	(void)what;
	for (int i = 0; i < ACCEPT_MAX; i++) {
		struct sockaddr_storage ss = { 0 };
		socklen_t n = sizeof(ss);
		int client;

		/* A client that comes after a reload was answered must not meet the old settings.
		 */
		if (atomic_load(&w->shared->generation) != w->generation) {
			worker_leave(w);
			return;
		}
		client = accept4(fd, (struct sockaddr *)&ss, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (client >= 0) {
			struct address a = address_of((const struct sockaddr *)&ss);

			take(l, client, &a);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			rest(l);
		if (errno != ECONNABORTED && errno != EINTR)
			return;
	}
}

/* ---- TLS ---------------------------------------------------------------------------------- */

static int make_tls(struct listener *l)
{
	struct worker *w = l->worker;
	const struct listen_settings *all = w->settings->listen.v;
	const struct tls_listener *t = &w->certificates->v[l->settings - all];
	SSL_CTX *fresh;
	struct err e;

	l->tls_version = w->certificates_version;
	if (t->n == 0)
		return 0;
	fresh = tls_server_new(
	    l->settings, t->identities, t->n, l->address, l->port, w->tickets, &e);
	if (fresh == NULL) {
		log_event(LOG_LEVEL_ERROR, "tls", "listener", l->address, "error", e.text, NULL);
		return -1;
	}
	SSL_CTX_free(l->tls);
	l->tls = fresh;
	return 0;
}

SSL_CTX *listener_tls(struct listener *l)
{
	struct worker *w = l->worker;
	unsigned now = atomic_load_explicit(&w->shared->certificates, memory_order_relaxed);

	if (l->tls == NULL)
		return NULL;
	if (now != w->certificates_seen) {
		w->certificates_seen = now;
		w->certificates_version += tls_store_renew(w->certificates, false);
	}
	if (l->tls_version != w->certificates_version)
		(void)make_tls(l); /* else the old one stays */
	return l->tls;
}

static int listener_init(struct listener *l, struct worker *w, const struct worker_socket *from)
{
	struct sockaddr_storage ss = { 0 };
	socklen_t n = sizeof(ss);
	struct address a = { .family = AF_UNIX };

	if (getsockname(from->fd, (struct sockaddr *)&ss, &n) == 0)
		a = address_of((const struct sockaddr *)&ss);
	*l = (struct listener){
		.worker = w,
		.settings = from->settings,
		.auth = auths_provider(w->auths, from->settings),
		.fd = from->fd,
		.port = a.port,
	};
	(void)address_text(&a, l->address);
	l->readable = event_new(w->base, l->fd, EV_READ | EV_PERSIST, on_connection, l);
	l->rest = evtimer_new(w->base, on_rested, l);
	return l->readable != NULL && l->rest != NULL && make_tls(l) == 0 &&
		event_add(l->readable, NULL) == 0
	    ? 0
	    : -1;
}

struct listeners *listeners_new(struct worker *w, const struct worker_socket *sockets, size_t n)
{
	struct listeners *l = calloc(1, sizeof(*l));

	if (l == NULL || (l->v = calloc(n, sizeof(*l->v))) == NULL) {
		free(l);
		return NULL;
	}
	TAILQ_INIT(&l->waiting);
	for (; l->n < n; l->n++)
		if (listener_init(&l->v[l->n], w, &sockets[l->n]) < 0) {
			l->n++;
			listeners_free(&l);
			return NULL;
		}
	return l;
}

void listeners_stop(struct listeners *l)
{
	for (size_t i = 0; i < l->n; i++) {
		if (l->v[i].readable != NULL)
			event_free(l->v[i].readable);
		if (l->v[i].rest != NULL)
			event_free(l->v[i].rest);
		l->v[i].readable = l->v[i].rest = NULL;
		if (l->v[i].fd >= 0)
			close(l->v[i].fd);
		l->v[i].fd = -1;
	}
}

void listeners_drop_waiting(struct listeners *l)
{
	proxy_wait_end(&l->waiting);
}

void listeners_free(struct listeners **l)
{
	if (*l == NULL)
		return;
	listeners_stop(*l);
	listeners_drop_waiting(*l);
	for (size_t i = 0; i < (*l)->n; i++)
		SSL_CTX_free((*l)->v[i].tls);
	free((*l)->v);
	free(*l);
	*l = NULL;
}
