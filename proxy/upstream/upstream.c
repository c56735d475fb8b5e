#include "config.h"

#include "upstream.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "backend.h"
#include "probe.h"
#include "proxy/resolver.h"
#include "proxy/tls/client.h"
#include "weir/log.h"

/* A server that failed is asked last for 1 s, 2 s, 4 s .. 64 s. */
#define DOWN_MS(failures) (INT64_C(1000) << ((failures) > 6 ? 6 : (failures)))

int64_t clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

struct timeval clock_until(int64_t at_ms)
{
	int64_t ms = at_ms - clock_ms();

	if (ms < 1)
		ms = 1;
	return (struct timeval){ .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };
}

/* Those that are down come last; before them those that are known to lack what is needed. */
static int rank(const struct server *s, unsigned needs, int64_t now)
{
	if (s->down_until_ms > now)
		return 2;
	return s->abilities.known && (needs & ~s->abilities.extensions) != 0 ? 1 : 0;
}

void route_order(const struct route *r, unsigned needs, size_t *order)
{
	int64_t now = clock_ms();
	size_t n = 0;

	for (int k = 0; k <= 2; k++)
		for (size_t i = 0; i < r->count; i++)
			if (rank(&r->servers[i], needs, now) == k)
				order[n++] = i;
}

bool route_able(const struct route *r, unsigned needs)
{
	int64_t now = clock_ms();

	for (size_t i = 0; i < r->count; i++)
		if (rank(&r->servers[i], needs, now) == 0)
			return true;
	return false;
}

size_t route_best(const struct route *r, unsigned needs)
{
	int64_t now = clock_ms();
	size_t best = 0;

	for (size_t i = 1; i < r->count; i++)
		if (rank(&r->servers[i], needs, now) < rank(&r->servers[best], needs, now))
			best = i;
	return best;
}

void route_failed(struct route *r, size_t server, const char *error)
{
	struct server *s = &r->servers[server];

	/* One line for each time a server goes down, not for each session that notices. */
	log_event(s->failures == 0 ? LOG_LEVEL_WARN : LOG_LEVEL_DEBUG, "backend_down", "backend",
	    r->name, "server", s->text, "error", error, NULL);
	s->down_until_ms = clock_ms() + DOWN_MS(s->failures);
	s->failures++;
}

void route_reached(struct route *r, size_t server, const struct abilities *a)
{
	struct server *s = &r->servers[server];

	if (s->failures > 0)
		log_event(
		    LOG_LEVEL_INFO, "backend_up", "backend", r->name, "server", s->text, NULL);
	s->failures = 0;
	s->down_until_ms = 0;
	s->abilities = *a;
	s->abilities.known = true;
	s->learned_ms = clock_ms();
}

struct route *upstream_route(struct upstream *u, struct slice recipient)
{
	(void)recipient; /* routes by recipient come with their own table; "default" takes all */
	return u->fallback;
}

/* What is down cannot be mailed to, and may come back as another. */
static void add_server(struct abilities *all, const struct server *s)
{
	const struct abilities *a = &s->abilities;

	if (!a->known || s->failures > 0)
		return;
	all->known = true;
	all->extensions &= a->extensions;
	all->mechanisms &= a->mechanisms;
	if (a->size > 0 && (all->size == 0 || a->size < all->size))
		all->size = a->size;
}

struct abilities upstream_abilities(const struct upstream *u)
{
	struct abilities all = { .extensions = UINT_MAX, .mechanisms = UINT_MAX };

	for (size_t i = 0; i < u->count; i++)
		for (size_t k = 0; k < u->routes[i].count; k++)
			add_server(&all, &u->routes[i].servers[k]);
	return all.known ? all : (struct abilities){ 0 };
}

static int route_load(struct route *r, const struct backend_settings *b, struct err *e)
{
	r->name = b->name;
	r->settings = b;
	r->unwanted = b->chunking == CHUNKING_OFF ? EXTENSION_CHUNKING : 0;
	if (b->tls != BACKEND_TLS_OFF && (r->tls = tls_client_new(b, e)) == NULL)
		return err_prefix(e, "backend %s", b->name);
	r->unwanted |= b->pass_auth ? 0 : EXTENSION_AUTH_TRUST;
	if ((r->servers = calloc(b->servers.n, sizeof(*r->servers))) == NULL)
		return err_set(e, "out of memory");
	for (size_t i = 0; i < b->servers.n; i++) {
		struct server *s = &r->servers[i];

		if (endpoint_parse(slice_z(b->servers.v[i]), &s->endpoint, e) < 0)
			return err_prefix(e, "backend %s", b->name);
		(void)endpoint_text(&s->endpoint, s->text);
		pool_init(&s->pool);
		r->count++;
	}
	return 0;
}

static void route_clear(struct route *r)
{
	for (size_t i = 0; i < r->count; i++)
		SSL_SESSION_free(r->servers[i].session);
	free(r->servers);
	tls_client_free(&r->tls);
}

static bool needs_dns(const struct upstream *u)
{
	struct address a;

	for (size_t i = 0; i < u->count; i++)
		for (size_t k = 0; k < u->routes[i].count; k++) {
			const struct endpoint *ep = &u->routes[i].servers[k].endpoint;

			if (!ep->local && address_parse(slice_z(ep->host), &a, NULL) < 0)
				return true;
		}
	return false;
}

static int load(struct upstream *u, struct err *e)
{
	const struct backend_settings *b = u->settings->backends.v;
	size_t n = u->settings->backends.n;

	if ((u->routes = calloc(n, sizeof(*u->routes))) == NULL)
		return err_set(e, "out of memory");
	for (; u->count < n; u->count++) {
		struct route *r = &u->routes[u->count];

		r->upstream = u;
		if (route_load(r, &b[u->count], e) < 0) {
			u->count++;
			return -1;
		}
		if (strcmp(r->name, "default") == 0)
			u->fallback = r;
	}
	if (u->fallback == NULL)
		return err_set(e, "no backend \"default\"");
	if (needs_dns(u) && (u->dns = resolver_new(u->base, u->settings, e)) == NULL)
		return -1;
	return 0;
}

static bool start_probes(struct upstream *u)
{
	for (size_t i = 0; i < u->count; i++)
		for (size_t k = 0; k < u->routes[i].count; k++) {
			struct probe *p = probe_new(&u->routes[i], k);

			if ((u->routes[i].servers[k].probe = p) == NULL)
				return false;
		}
	return true;
}

struct upstream *upstream_new(
    struct event_base *base, const struct proxy_settings *settings, struct err *e)
{
	struct upstream *u = calloc(1, sizeof(*u));

	if (u == NULL) {
		err_set(e, "out of memory");
		return NULL;
	}
	u->base = base;
	u->settings = settings;
	TAILQ_INIT(&u->farewells);
	if (load(u, e) < 0) {
		upstream_free(&u);
		return NULL;
	}
	if (!start_probes(u)) {
		err_set(e, "out of memory");
		upstream_free(&u);
	}
	return u;
}

void upstream_free(struct upstream **at)
{
	struct upstream *u = *at;

	*at = NULL;
	if (u == NULL)
		return;
	for (size_t i = 0; i < u->count; i++) {
		for (size_t k = 0; k < u->routes[i].count; k++) {
			probe_free(&u->routes[i].servers[k].probe);
			pool_clear(&u->routes[i].servers[k].pool);
		}
	}
	backend_drop_farewells(u);
	for (size_t i = 0; i < u->count; i++)
		route_clear(&u->routes[i]);
	if (u->dns != NULL)
		evdns_base_free(u->dns, 0);
	bytes_free(&u->scratch);
	free(u->routes);
	free(u);
}
