#include "config.h"

#include "worker.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "proxy/listen/client_name.h"
#include "proxy/listen/listener.h"
#include "proxy/smtp/session.h"
#include "proxy/upstream/login.h"
#include "weir/log.h"

/* How long whoever checks logins may take to say what he can, before clients are let in. */
#define AUTH_SETTLE_MS 1000

static void leave_if_empty(struct worker *w)
{
	if (w->leaving && w->count == 0)
		event_base_loopbreak(w->base);
}

/* ---- pressure ----------------------------------------------------------------------------- */

#define TICK_US    1000000
#define STARVED_US 50000 /* between two looks whether there is memory again */

static void look(struct worker *w)
{
	struct session *s;

	if (!pressure_turned(&w->pressure, w->count))
		return;
	for (s = TAILQ_FIRST(&w->sessions); s != NULL; s = TAILQ_NEXT(s, link))
		session_hurry(s);
}

static void look_at_memory(struct worker *w)
{
	struct session *s, *next;

	pressure_memory(&w->pressure, 0);
	if (w->starved == 0 && w->pressure.memory == MEMORY_EASY)
		return;
	for (s = TAILQ_FIRST(&w->sessions); s != NULL; s = next) {
		next = TAILQ_NEXT(s, link);
		memory_look(s);
	}
}

static void tick_in(struct worker *w, long us)
{
	event_add(w->tick, &(struct timeval){ .tv_sec = us / 1000000, .tv_usec = us % 1000000 });
}

/* What other workers do is seen at the next tick. */
static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;

	(void)fd;
	(void)what;
	look(w);
	look_at_memory(w);
	if (w->count > 0 || w->pressure.stressed)
		tick_in(w, w->starved > 0 ? STARVED_US : TICK_US);
}

void worker_starves(struct worker *w)
{
	if (w->starved++ == 0)
		tick_in(w, STARVED_US);
}

/* ---- sessions come and go ----------------------------------------------------------------- */

void worker_began(struct worker *w, struct session *s)
{
	TAILQ_INSERT_TAIL(&w->sessions, s, link);
	w->count++;
	if (!event_pending(w->tick, EV_TIMEOUT, NULL))
		tick_in(w, TICK_US);
	look(w);
}

void worker_ended(struct worker *w, struct session *s)
{
	shared_leave(w->shared, w->slot, &s->client);
	TAILQ_REMOVE(&w->sessions, s, link);
	TAILQ_INSERT_TAIL(&w->ended, s, link);
	w->count--;
	event_active(w->reap, EV_TIMEOUT, 0);
	look(w);
}

void worker_released(struct worker *w)
{
	w->count--;
	leave_if_empty(w);
}

static void on_reap(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;
	struct session *s;

	(void)fd;
	(void)what;
	while ((s = TAILQ_FIRST(&w->ended)) != NULL) {
		TAILQ_REMOVE(&w->ended, s, link);
		session_free(s);
	}
	leave_if_empty(w);
}

/* ---- stopping ----------------------------------------------------------------------------- */

void worker_leave(struct worker *w)
{
	if (!w->leaving)
		listeners_stop(w->listeners);
	w->leaving = true;
	leave_if_empty(w);
}

static void on_drain_end(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;
	struct session *s, *next;

	(void)fd;
	(void)what;
	for (s = TAILQ_FIRST(&w->sessions); s != NULL; s = next) {
		next = TAILQ_NEXT(s, link);
		session_cut(s);
	}
}

static void on_stop(evutil_socket_t number, short what, void *arg)
{
	struct worker *w = arg;
	struct session *s, *next;

	(void)number;
	(void)what;
	if (w->draining)
		return;
	w->draining = true;
	event_add(w->drain_end, &(struct timeval){ .tv_sec = w->settings->timeouts.drain_s });
	for (s = TAILQ_FIRST(&w->sessions); s != NULL; s = next) {
		next = TAILQ_NEXT(s, link);
		session_drain(s);
	}
	listeners_drop_waiting(w->listeners);
	worker_leave(w);
}

/* Another generation has the sockets now: those who are here stay until they go. */
static void on_retire(evutil_socket_t number, short what, void *arg)
{
	(void)number;
	(void)what;
	worker_leave(arg);
}

/* ---- signals ------------------------------------------------------------------------------ */

static sigset_t worker_signals(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	(void)sigaddset(&set, SIGUSR1);
	return set;
}

void worker_hold_signals(sigset_t *were)
{
	sigset_t set = worker_signals();

	(void)sigprocmask(SIG_BLOCK, &set, were);
}

/* The handlers are in place: what came meanwhile comes now. */
static void take_signals(void)
{
	sigset_t set = worker_signals();

	/* To reload is the master's business, whoever else the signal was sent to. */
	(void)signal(SIGHUP, SIG_IGN);
	(void)sigprocmask(SIG_UNBLOCK, &set, NULL);
}

/* ---- life --------------------------------------------------------------------------------- */

#define HEAP_BLOCK (2 << 20)  /* larger ones come from the kernel, and go back to it at once */
#define HEAP_KEPT  (32 << 20) /* unused at the end of the heap */

/* A message in memory is given up and the next one taken all the time. Left alone, the C library
 * hands such memory back in between, and the kernel clears it anew, page by page: a third of what
 * a message of 1 MB costs. */
static void keep_heap(void)
{
#ifdef __GLIBC__
	(void)mallopt(M_MMAP_THRESHOLD, HEAP_BLOCK);
	(void)mallopt(M_TRIM_THRESHOLD, HEAP_KEPT);
#endif
}

static int worker_init(struct worker *w, const struct worker_birth *birth)
{
	struct err e;
	struct timespec now;

	keep_heap();
	clock_gettime(CLOCK_REALTIME, &now);
	/* Unique over workers (the slot stands in the low bits) and over restarts. */
	w->next_id = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
	TAILQ_INIT(&w->sessions);
	TAILQ_INIT(&w->ended);
	pressure_start(&w->pressure, w->settings, w->shared, w->slot);
	w->base = event_base_new();
	if (w->base == NULL || (w->reap = event_new(w->base, -1, 0, on_reap, w)) == NULL ||
	    (w->tick = evtimer_new(w->base, on_tick, w)) == NULL ||
	    (w->stop = evsignal_new(w->base, SIGTERM, on_stop, w)) == NULL ||
	    (w->stop_now = evsignal_new(w->base, SIGINT, on_stop, w)) == NULL ||
	    (w->retire = evsignal_new(w->base, SIGUSR1, on_retire, w)) == NULL ||
	    (w->drain_end = evtimer_new(w->base, on_drain_end, w)) == NULL) {
		log_event(LOG_LEVEL_ERROR, "worker", "error", "out of memory", NULL);
		return -1;
	}
	event_add(w->stop, NULL);
	event_add(w->stop_now, NULL);
	event_add(w->retire, NULL);
	take_signals();
	w->filters = filters_new(w->base, w->settings, &e);
	if (w->filters == NULL || (w->upstream = upstream_new(w->base, w->settings, &e)) == NULL) {
		log_event(LOG_LEVEL_ERROR, "worker", "error", e.text, NULL);
		return -1;
	}
	if ((w->relay_login = login_provider_new(w->upstream)) == NULL ||
	    (w->auths = auths_new(w->base, w->settings, w->relay_login, birth->sasl_socket)) ==
		NULL)
		return -1;
	auths_settle(w->auths, AUTH_SETTLE_MS);
	/* Mail goes on without names. */
	if (w->settings->timeouts.client_name_s > 0 &&
	    (w->names = names_new(w->base, w->settings, &e)) == NULL)
		log_event(LOG_LEVEL_WARN, "client_names", "error", e.text, NULL);
	return (w->listeners = listeners_new(w, birth->sockets, birth->socket_count)) != NULL ? 0
											      : -1;
}

static void event_drop(struct event **e)
{
	if (*e != NULL)
		event_free(*e);
	*e = NULL;
}

static void worker_clear(struct worker *w)
{
	struct session *s;

	while ((s = TAILQ_FIRST(&w->sessions)) != NULL)
		session_end(s);
	while ((s = TAILQ_FIRST(&w->ended)) != NULL) {
		TAILQ_REMOVE(&w->ended, s, link);
		session_free(s);
	}
	listeners_free(&w->listeners);
	upstream_free(&w->upstream);
	auths_free(&w->auths);
	login_provider_free(&w->relay_login);
	filters_free(&w->filters);
	event_drop(&w->reap);
	event_drop(&w->tick);
	event_drop(&w->stop);
	event_drop(&w->stop_now);
	event_drop(&w->retire);
	event_drop(&w->drain_end);
	names_free(&w->names);
	bytes_free(&w->scratch);
	if (w->base != NULL)
		event_base_free(w->base);
}

int worker_run(const struct worker_birth *birth)
{
	struct worker w = { .settings = &birth->settings->proxy,
		.shared = birth->shared,
		.slot = birth->slot,
		.generation = birth->generation,
		.certificates = birth->certificates,
		.certificates_seen = birth->certificates_seen,
		.tickets = birth->tickets };
	int rc = worker_init(&w, birth);

	if (rc == 0)
		event_base_dispatch(w.base);
	/* Told once more to go, we are on our way already: without the handlers it would be a
	 * death. */
	worker_hold_signals(NULL);
	worker_clear(&w);
	return rc == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
