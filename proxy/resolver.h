/*
 * resolver - the name servers that a worker asks: those of the setting dns/servers, or else of
 * /etc/resolv.conf.
 * Ownership  evdns_base_free(dns, 0) is the caller's.
 * Threads    the worker's loop.
 */
#ifndef PROXY_RESOLVER_H
#define PROXY_RESOLVER_H

#include <event2/dns.h>

#include "weir/settings.h"

/* NULL with *e. */
struct evdns_base *resolver_new(
    struct event_base *base, const struct proxy_settings *settings, struct err *e);

#endif
