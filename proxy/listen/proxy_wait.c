#include "config.h"

#include "proxy_wait.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event_struct.h>

#include "proxy/listen/front.h"
#include "weir/log.h"

struct proxy_wait {
	TAILQ_ENTRY(proxy_wait) link;
	struct listener *listener;
	struct address peer;
	int fd;
	struct bytes held; /* what came so far; all of it belongs to the header */
	struct event readable, patience;
};

/* Take it out of the list; its descriptor is the caller's. */
static int let_go(struct proxy_wait *w)
{
	int fd = w->fd;

	TAILQ_REMOVE(&w->listener->worker->listeners->waiting, w, link);
	event_del(&w->readable);
	event_del(&w->patience);
	bytes_free(&w->held);
	free(w);
	return fd;
}

static void drop(struct proxy_wait *w, enum log_level level, const char *why)
{
	struct worker *worker = w->listener->worker;
	char text[ADDRESS_TEXT_MAX];

	log_event(level, "proxy_header", "peer", address_text(&w->peer, text), "error", why, NULL);
	close(let_go(w));
	shared_leave(worker->shared, worker->slot, NULL);
	worker_released(worker);
}

static void complete(struct proxy_wait *w, const struct proxy_header *h)
{
	struct listener *l = w->listener;
	struct worker *worker = l->worker;
	struct address client = h->local ? w->peer : h->client;
	bool told = !h->local || h->unique_id.p != NULL || h->authority.p != NULL || h->tls.used;
	struct front *front = told ? front_of(h) : NULL;

	if (told && front == NULL) {
		drop(w, LOG_LEVEL_ERROR, "out of memory");
		return;
	}
	listener_welcome(l, let_go(w), &client, front);
	worker_released(worker);
}

/* Look at what lies in the socket, and take of it only what belongs to the header. */
static void look(struct proxy_wait *w)
{
	char octets[4096];
	struct proxy_header h;
	struct err e;
	ssize_t n = recv(w->fd, octets, sizeof(octets), MSG_PEEK);
	size_t before = w->held.n, used, take;
	int rc;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		/* Who only looks whether somebody listens needs no header (W114). */
		drop(w, before == 0 ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARN, "the peer closed");
		return;
	}
	if (!bytes_add(&w->held, slice_of(octets, (size_t)n))) {
		drop(w, LOG_LEVEL_ERROR, "out of memory");
		return;
	}
	rc = proxy_header_parse(bytes_slice(&w->held), &h, &used, &e);
	take = rc == 1 ? used - before : (size_t)n;
	if (rc >= 0 && recv(w->fd, octets, take, 0) != (ssize_t)take)
		rc = err_set(&e, "the socket lost what was there");
	if (rc < 0)
		drop(w, LOG_LEVEL_WARN, e.text);
	else if (rc == 1)
		complete(w, &h);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	look(arg);
}

static void on_patience(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	drop(arg, LOG_LEVEL_WARN, "no header in time: is send-proxy set at the peer?");
}

void proxy_wait(struct listener *l, int fd, const struct address *peer)
{
	struct worker *worker = l->worker;
	struct proxy_wait *w = calloc(1, sizeof(*w));
	struct timeval patience = { .tv_sec = worker->settings->timeouts.proxy_header_s };

	if (w == NULL) {
		close(fd);
		shared_leave(worker->shared, worker->slot, NULL);
		return;
	}
	*w = (struct proxy_wait){ .listener = l, .peer = *peer, .fd = fd };
	TAILQ_INSERT_TAIL(&worker->listeners->waiting, w, link);
	worker->count++;
	event_assign(&w->readable, worker->base, fd, EV_READ | EV_PERSIST, on_readable, w);
	event_assign(&w->patience, worker->base, -1, 0, on_patience, w);
	event_add(&w->readable, NULL);
	event_add(&w->patience, &patience);
}

void proxy_wait_end(struct proxy_waiting *all)
{
	struct proxy_wait *w, *next;

	for (w = TAILQ_FIRST(all); w != NULL; w = next) {
		next = TAILQ_NEXT(w, link);
		drop(w, LOG_LEVEL_DEBUG, "stopping");
	}
}
