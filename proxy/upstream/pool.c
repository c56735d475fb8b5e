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

/* A connection for this session. XCLIENT and its replies are no place for the one to RSET. */
static struct pool_place *find(const struct pool *p, int identity, const char *session)
{
	struct pool_place *place, *other = NULL;

	if (identity != IDENTITY_XCLIENT && identity != IDENTITY_PROXY)
		return TAILQ_FIRST(&p->places);
	TAILQ_FOREACH(place, &p->places, link)
	{
		if (identity == IDENTITY_XCLIENT && backend_pending(place->backend))
			continue;
		if (strcmp(place->session, session) == 0)
			return place;
		if (other == NULL && backend_for_anybody(place->backend))
			other = place;
	}
	return other;
}

struct backend *pool_take(struct route *r, unsigned needs, const char *session,
    const struct backend_events *owner, void *arg)
{
	struct pool *p = &r->servers[route_best(r, needs)].pool;
	struct pool_place *place = find(p, r->settings->identity, session);

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

void pool_give(struct backend **at, bool dirty, const char *session)
{
	struct backend *b = *at;
	struct pool_place *place;
	struct pool *p;
	struct buf name;

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
	name = BUF_ON(place->session);
	buf_add(&name, slice_z(session));
	TAILQ_INSERT_HEAD(&p->places, place, link);
	p->count++;
	backend_hand_over(b, &events, place);
	if (dirty)
		(void)bytes_add(backend_command(b, BACKEND_RSET), SLICE("RSET\r\n"));
	backend_flush(b);
	if (!backend_pending(b))
		backend_rest(b, backend_route(b)->settings->keep.idle_s);
}

/* Those that are of use to this session only, or all. */
static void quit_all(struct pool *p, const char *session)
{
	struct pool_place *place, *next;

	for (place = TAILQ_FIRST(&p->places); place != NULL; place = next) {
		struct backend *b = place->backend;

		next = TAILQ_NEXT(place, link);
		if (session != NULL &&
		    (backend_for_anybody(place->backend) || strcmp(place->session, session) != 0))
			continue;
		leave(p, place);
		backend_quit(&b);
	}
}

void pool_forget(struct upstream *u, const char *session)
{
	for (size_t i = 0; i < u->count; i++)
		for (size_t k = 0; k < u->routes[i].count; k++)
			if (u->routes[i].settings->identity != IDENTITY_NONE)
				quit_all(&u->routes[i].servers[k].pool, session);
}

void pool_clear(struct pool *p)
{
	quit_all(p, NULL);
}
