#include "config.h"

#include "pool.h"

#include "backend.h"
#include "weir/log.h"

void pool_init(struct pool *p)
{
	TAILQ_INIT(&p->places);
	p->count = 0;
}

static struct pool *pool_of(const struct backend *b)
{
	return &backend_route(b)->servers[backend_server_index(b)].pool;
}

static void leave(struct pool *p, struct pool_place *place)
{
	TAILQ_REMOVE(&p->places, place, link);
	p->count--;
}

/* ---- while it waits ----------------------------------------------------------------------- */

/* Only RSET can be under way. One that refuses it is of no use to anybody. */
static void on_reply(void *arg, enum backend_verb verb, const struct smtp_reply *reply)
{
	struct pool_place *place = arg;
	struct backend *b = place->backend;

	(void)verb;
	if (smtp_reply_class(reply) == 2) {
		backend_rest(b, backend_route(b)->settings->keep.idle_s);
		return;
	}
	leave(pool_of(b), place);
	backend_quit(&b);
}

/* Closed by the backend, or told to go with 421. */
static void on_lost(void *arg, enum backend_loss loss, const char *error)
{
	struct pool_place *place = arg;
	struct backend *b = place->backend;

	(void)loss;
	log_event(LOG_LEVEL_DEBUG, "kept_connection_lost", "server", backend_server(b), "error",
	    error, NULL);
	leave(pool_of(b), place);
	backend_close(&b);
}

static void on_rested(void *arg)
{
	struct pool_place *place = arg;
	struct backend *b = place->backend;

	leave(pool_of(b), place);
	backend_quit(&b);
}

static const struct backend_events events = {
	.on_reply = on_reply, .on_lost = on_lost, .on_rested = on_rested
};

/* ---- taking and giving -------------------------------------------------------------------- */

struct backend *pool_take(
    struct route *r, unsigned needs, const struct backend_events *owner, void *arg)
{
	struct pool *p = &r->servers[route_best(r, needs)].pool;
	struct pool_place *place = TAILQ_FIRST(&p->places);

	if (place == NULL)
		return NULL;
	leave(p, place);
	backend_hand_over(place->backend, owner, arg);
	return place->backend;
}

static bool may_wait(const struct backend *b, const struct pool_place *place)
{
	const struct backend_settings *s = backend_route(b)->settings;

	return backend_at_rest(b) && place->messages < s->keep.messages &&
	    pool_of(b)->count < (size_t)s->keep.connections;
}

void pool_give(struct backend **at, bool dirty)
{
	struct backend *b = *at;
	struct pool_place *place;
	struct pool *p;

	*at = NULL;
	if (b == NULL)
		return;
	place = backend_place(b);
	place->messages++;
	if (!may_wait(b, place)) {
		backend_quit(&b);
		return;
	}
	p = pool_of(b);
	place->backend = b;
	TAILQ_INSERT_HEAD(&p->places, place, link);
	p->count++;
	backend_hand_over(b, &events, place);
	if (dirty)
		(void)bytes_add(backend_command(b, BACKEND_RSET), SLICE("RSET\r\n"));
	backend_flush(b);
	if (!backend_pending(b))
		backend_rest(b, backend_route(b)->settings->keep.idle_s);
}

void pool_clear(struct pool *p)
{
	struct pool_place *place;

	while ((place = TAILQ_FIRST(&p->places)) != NULL) {
		struct backend *b = place->backend;

		leave(p, place);
		backend_quit(&b);
	}
}
