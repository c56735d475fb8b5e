/*
 * filters - a worker's view of the configured filters: where they are and whether they are well.
 * Health     after FILTER_FAILURES attempts in a row that came to no negotiated connection, no
 *            attempt is made for FILTER_REST_MS: each session's on_failure applies at once.
 * Threads    the worker's loop.
 */
#ifndef PROXY_FILTER_FILTERS_H
#define PROXY_FILTER_FILTERS_H

#include <sys/socket.h>

#include "proxy/filter/chain.h"

enum { FILTER_FAILURES = 3, FILTER_REST_MS = 5000, FILTER_ADDRESSES = 8 };

struct filter_address {
	struct sockaddr_storage ss;
	socklen_t n;
};

struct filter {
	const struct filter_settings *settings;
	const struct filters *all;
	struct filter_address addresses[FILTER_ADDRESSES]; /* tried in this order */
	size_t address_count;
	unsigned failures; /* attempts in a row */
	int64_t rest_until_ms;
};

struct filters {
	struct event_base *base;
	const struct proxy_settings *settings;
	struct filter *v;
	size_t n;
};

/* May a connection be tried now? */
bool filter_may_try(const struct filter *f);
void filter_tried(struct filter *f, bool reached);
/* Monotonic milliseconds. */
int64_t filter_now_ms(void);

#endif
