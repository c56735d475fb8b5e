#include "config.h"

#include "probe.h"

#include <stdlib.h>

#include <event2/event_struct.h>
#include <event2/util.h>

#include "backend.h"
#include "weir/log.h"

struct probe {
	struct route *route;
	size_t server;
	struct backend *backend; /* while it is asked */
	struct event timer;
};

static const struct backend_events events;

static const struct server *server_of(const struct probe *p)
{
	return &p->route->servers[p->server];
}

static int64_t interval_ms(const struct probe *p)
{
	return p->route->upstream->settings->timeouts.probe_s * 1000;
}

/* From three quarters of it to five: workers that began together do not stay together. */
static int64_t jittered(int64_t ms)
{
	uint16_t random;

	evutil_secure_rng_get_bytes(&random, sizeof(random));
	return ms - ms / 4 + ms / 2 * random / UINT16_MAX;
}

static void wait_until(struct probe *p, int64_t at_ms)
{
	struct timeval tv = clock_until(at_ms);

	event_add(&p->timer, &tv);
}

/* When the server is to be asked again: its abilities may have been learned in another way. */
static void wait_for_next(struct probe *p)
{
	const struct server *s = server_of(p);

	if (s->failures > 0) {
		int64_t soon = s->down_until_ms - clock_ms();

		wait_until(p,
		    clock_ms() +
			(interval_ms(p) > 0 && interval_ms(p) < soon ? interval_ms(p) : soon));
	} else if (interval_ms(p) > 0) {
		wait_until(p, s->learned_ms + jittered(interval_ms(p)));
	}
}

static void ask(struct probe *p)
{
	p->backend = backend_open_at(p->route, p->server, &events, p);
	if (p->backend == NULL)
		wait_until(p, clock_ms() + 1000);
}

static void on_due(evutil_socket_t fd, short what, void *arg)
{
	struct probe *p = arg;
	const struct server *s = server_of(p);
	bool known = s->abilities.known && s->failures == 0;

	(void)fd;
	(void)what;
	/* Three quarters: a session's EHLO that is nearly as old as ours would be is old. */
	if (known && clock_ms() < s->learned_ms + interval_ms(p) - interval_ms(p) / 4)
		wait_for_next(p);
	else
		ask(p);
}

static void on_ready(void *arg, const char *error)
{
	struct probe *p = arg;

	if (error == NULL) {
		log_event(LOG_LEVEL_DEBUG, "backend_probed", "backend", p->route->name, "server",
		    server_of(p)->text, NULL);
		backend_quit(&p->backend);
	}
	backend_close(&p->backend);
	wait_for_next(p);
}

/* Lost between its EHLO and our QUIT: the abilities are known all the same. */
static void on_lost(void *arg, enum backend_loss loss, const char *error)
{
	struct probe *p = arg;

	(void)loss;
	(void)error;
	backend_close(&p->backend);
}

static const struct backend_events events = { .on_ready = on_ready, .on_lost = on_lost };

struct probe *probe_new(struct route *r, size_t server)
{
	struct probe *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->route = r;
	p->server = server;
	event_assign(&p->timer, r->upstream->base, -1, 0, on_due, p);
	ask(p);
	return p;
}

void probe_free(struct probe **at)
{
	struct probe *p = *at;

	*at = NULL;
	if (p == NULL)
		return;
	backend_close(&p->backend);
	event_del(&p->timer);
	free(p);
}
