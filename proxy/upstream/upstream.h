/*
 * upstream - where mail goes, as one worker sees it: the configured backends, the health of their
 * servers, and what the last EHLO of each told of its abilities.
 * Threads    the worker's loop.
 */
#ifndef PROXY_UPSTREAM_UPSTREAM_H
#define PROXY_UPSTREAM_UPSTREAM_H

#include <event2/dns.h>
#include <event2/event.h>
#include <openssl/ssl.h>
#include <sys/queue.h>

#include "proxy/upstream/pool.h"
#include "weir/settings.h"

enum extension {
	EXTENSION_PIPELINING = 1,
	EXTENSION_SIZE = 2,
	EXTENSION_8BITMIME = 4,
	EXTENSION_DSN = 8,
	EXTENSION_SMTPUTF8 = 16,
	EXTENSION_ENHANCED = 32,
	EXTENSION_CHUNKING = 64,
	EXTENSION_AUTH = 1 << 16,        /* the backend takes MAIL's AUTH parameter ... */
	EXTENSION_AUTH_TRUST = 1 << 17,  /* ... and may know what a client said in it */
	EXTENSION_MT_PRIORITY = 1 << 18, /* RFC 6710 */
	EXTENSION_STARTTLS = 1 << 20,    /* of the backend's link, never offered on */
	EXTENSION_REQUIRETLS = 1 << 21,  /* only where the link is verified */
};

enum link_tls { LINK_CLEAR, LINK_TLS, LINK_VERIFIED };

struct abilities {
	bool known;                 /* somebody was spoken to */
	unsigned extensions;        /* enum extension */
	uint64_t size;              /* of SIZE; 0: no limit was told */
	enum link_tls tls;          /* the link that it was said on */
	unsigned mechanisms;        /* of AUTH: bits of proxy/auth/mechanism.h */
	unsigned xclient, xforward; /* attributes that it may be told (introduction.h) */
};

struct tls_client;
struct probe;

struct server {
	struct endpoint endpoint;
	char text[ENDPOINT_TEXT_MAX]; /* for the log */
	int64_t down_until_ms;        /* asked last until then; 0: healthy */
	unsigned failures;            /* one after the other */
	struct pool pool;             /* connections that wait for a transaction */
	SSL_SESSION *session;         /* of TLS, to be resumed; NULL: none */
	struct abilities abilities;   /* as its last EHLO told */
	int64_t learned_ms;           /* when that was */
	struct probe *probe;
	bool unintroduced; /* it was said that it cannot be told of clients */
};

struct route {
	const char *name; /* the backend's */
	const struct backend_settings *settings;
	unsigned unwanted; /* enum extension: what the settings forbid, whatever a server lists */
	struct tls_client *tls; /* NULL: off */
	struct server *servers;
	size_t count;
	struct upstream *upstream;
};

struct backend;
TAILQ_HEAD(backend_list, backend);

struct upstream {
	struct event_base *base;
	struct evdns_base *dns; /* NULL where every server is an address */
	const struct proxy_settings *settings;
	struct route *routes;
	size_t count;
	struct route *fallback;        /* "default" */
	struct backend_list farewells; /* connections that said QUIT and are no one's */
	struct bytes scratch;          /* of the backend that encodes mail data just now */
};

/* settings must outlive it. Each backend is asked for its abilities at once, without anybody
 * waiting for that. NULL with *e. */
struct upstream *upstream_new(
    struct event_base *base, const struct proxy_settings *settings, struct err *e);
void upstream_free(struct upstream **u);

/* The backend of a recipient. Never NULL. */
struct route *upstream_route(struct upstream *u, struct slice recipient);
/* What every server that is up can do, of all backends, and the smallest SIZE among them: what may
 * be promised in EHLO before a recipient is known. */
struct abilities upstream_abilities(const struct upstream *u);

/* The servers in the order in which they are to be asked, for mail that needs these abilities (enum
 * extension): order[0..count). */
void route_order(const struct route *r, unsigned needs, size_t *order);
/* Is there one that is up and, for all that is known, has them? */
bool route_able(const struct route *r, unsigned needs);
/* The first of them. */
size_t route_best(const struct route *r, unsigned needs);
void route_failed(struct route *r, size_t server, const char *error);
void route_reached(struct route *r, size_t server, const struct abilities *a);

/* Monotonic, cheap. */
int64_t clock_ms(void);
/* From now until then, for event_add; a millisecond where then is over. */
struct timeval clock_until(int64_t at_ms);

#endif
