#include "config.h"

#include "proxy/filter/filters.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int64_t filter_now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool filter_may_try(const struct filter *f)
{
	return f->failures < FILTER_FAILURES || filter_now_ms() >= f->rest_until_ms;
}

void filter_tried(struct filter *f, bool reached)
{
	if (reached) {
		f->failures = 0;
		return;
	}
	if (f->failures < FILTER_FAILURES)
		f->failures++;
	if (f->failures == FILTER_FAILURES)
		f->rest_until_ms = filter_now_ms() + FILTER_REST_MS;
}

static void add_address(struct filter *f, const void *sa, socklen_t n)
{
	struct filter_address *a = &f->addresses[f->address_count];

	if (f->address_count == FILTER_ADDRESSES || n > sizeof(a->ss))
		return;
	memcpy(&a->ss, sa, n);
	a->n = n;
	f->address_count++;
}

/* Names are looked up once, when the worker starts: a lookup would block the loop later. */
static int resolve(struct filter *f, struct err *e)
{
	const struct endpoint *ep = &f->settings->socket;
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
	struct addrinfo *found = NULL;
	char port[8];
	int rc;

	if (ep->local) {
		struct sockaddr_un un = { .sun_family = AF_UNIX };

		memcpy(un.sun_path, ep->path, sizeof(un.sun_path));
		add_address(f, &un, sizeof(un));
		return 0;
	}
	(void)snprintf(port, sizeof(port), "%u", (unsigned)ep->port);
	if ((rc = getaddrinfo(ep->host, port, &hints, &found)) != 0)
		return err_set(
		    e, "filter %s: %s: %s", f->settings->name, ep->host, gai_strerror(rc));
	for (struct addrinfo *at = found; at != NULL; at = at->ai_next)
		add_address(f, at->ai_addr, at->ai_addrlen);
	freeaddrinfo(found);
	return 0;
}

struct filters *filters_new(
    struct event_base *base, const struct proxy_settings *settings, struct err *e)
{
	struct filters *f = calloc(1, sizeof(*f));
	size_t n = settings->filters.n;

	if (f == NULL || (f->v = calloc(n > 0 ? n : 1, sizeof(*f->v))) == NULL) {
		err_set(e, "no memory for the filters");
		filters_free(&f);
		return NULL;
	}
	f->base = base;
	f->settings = settings;
	f->n = n;
	for (size_t i = 0; i < n; i++) {
		f->v[i].settings = (const struct filter_settings *)settings->filters.v + i;
		f->v[i].all = f;
		if (resolve(&f->v[i], e) < 0) {
			filters_free(&f);
			return NULL;
		}
	}
	return f;
}

void filters_free(struct filters **f)
{
	if (*f == NULL)
		return;
	free((*f)->v);
	free(*f);
	*f = NULL;
}
