#include "config.h"

#include "client_name.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>

#include <event2/event_struct.h>

#include "proxy/resolver.h"
#include "proxy/upstream/upstream.h"
#include "weir/smtp_syntax.h"

enum { BUCKETS = 1024 };
#define KEEP_MAX_MS    3600000
#define KEEP_MIN_MS    10000
#define KEEP_NONE_MS   300000
#define KEEP_FAILED_MS 30000
/* So many failures in a row, and for so long nobody waits. */
#define FAILURES_MAX 3
#define REST_MS      30000

const char *const client_resolve_words[4] = { "OK", "FAIL", "FORGED", "TEMP" };

struct name_query {
	struct name_query *next;
	struct entry *entry;
	names_done_fn *done;
	void *arg;
};

/* An address, asked for or known. */
struct entry {
	TAILQ_ENTRY(entry) age;
	LIST_ENTRY(entry) chain;
	struct name_query *waiting;
	struct names *names;
	struct address address;
	struct client_name *known; /* NULL: nothing yet */
	int64_t until_ms;
	bool asking;    /* the name servers owe an answer: the entry must stay */
	bool answering; /* and here those who waited are being told, who may look up others */
	char *ptr;      /* between the two questions */
	struct event patience;
};

struct names {
	struct event_base *base;
	struct evdns_base *dns;
	int64_t patience_ms;
	TAILQ_HEAD(entries, entry) by_age; /* the oldest first */
	LIST_HEAD(bucket, entry) buckets[BUCKETS];
	size_t count, asking;
	unsigned failures;
	int64_t rest_until_ms;
	struct client_name *localhost, *unknown; /* what needs no question */
};

/* ---- names as values ---------------------------------------------------------------------- */

void client_name_unref(struct client_name **c)
{
	struct client_name *was = *c;

	*c = NULL;
	if (was == NULL || --was->references > 0)
		return;
	free(was->name);
	free(was->ptr);
	free(was);
}

static bool dup(struct slice text, char **out)
{
	*out = text.p != NULL ? slice_dup(text) : NULL;
	return text.p == NULL || *out != NULL;
}

struct client_name *client_name_new(
    enum client_resolve resolve, struct slice name, struct slice ptr)
{
	struct client_name *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->references = 1;
	c->resolve = resolve;
	if (!dup(name, &c->name) || !dup(ptr, &c->ptr))
		client_name_unref(&c);
	return c;
}

static struct client_name *ref(struct client_name *c)
{
	c->references++;
	return c;
}

/* ---- the table ---------------------------------------------------------------------------- */

static struct bucket *bucket_of(struct names *n, const struct address *a)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < sizeof(a->octets); i++)
		h = (h ^ a->octets[i]) * 16777619u;
	return &n->buckets[(h ^ h >> 16) % BUCKETS];
}

static struct entry *entry_find(struct names *n, const struct address *a)
{
	struct entry *x;

	LIST_FOREACH(x, bucket_of(n, a), chain)
	if (address_eq(&x->address, a))
		return x;
	return NULL;
}

static void entry_drop(struct entry *x)
{
	TAILQ_REMOVE(&x->names->by_age, x, age);
	LIST_REMOVE(x, chain);
	x->names->count--;
	event_del(&x->patience);
	client_name_unref(&x->known);
	free(x->ptr);
	free(x);
}

/* The oldest that nobody waits for makes room. */
static void make_room(struct names *n)
{
	struct entry *x, *next;

	for (x = TAILQ_FIRST(&n->by_age); x != NULL && n->count >= NAMES_MAX; x = next) {
		next = TAILQ_NEXT(x, age);
		if (!x->asking && !x->answering)
			entry_drop(x);
	}
}

static void on_patience(evutil_socket_t fd, short what, void *arg);

static struct entry *entry_new(struct names *n, const struct address *a)
{
	struct entry *x = calloc(1, sizeof(*x));

	if (x == NULL)
		return NULL;
	make_room(n);
	x->names = n;
	x->address = *a;
	event_assign(&x->patience, n->base, -1, 0, on_patience, x);
	TAILQ_INSERT_TAIL(&n->by_age, x, age);
	LIST_INSERT_HEAD(bucket_of(n, a), x, chain);
	n->count++;
	return x;
}

/* ---- answers ------------------------------------------------------------------------------ */

static void answer_all(struct entry *x)
{
	struct name_query *q;

	x->answering = true;
	while ((q = x->waiting) != NULL) {
		names_done_fn *done = q->done;
		void *arg = q->arg;

		x->waiting = q->next;
		free(q);
		done(ref(x->known), arg);
	}
	x->answering = false;
}

static void note_failure(struct names *n)
{
	if (++n->failures >= FAILURES_MAX)
		n->rest_until_ms = clock_ms() + REST_MS;
}

/* keep_ms: how long this holds. */
static void know(struct entry *x, enum client_resolve resolve, struct slice name, int64_t keep_ms)
{
	struct names *n = x->names;
	struct client_name *found = client_name_new(
	    resolve, name, resolve == CLIENT_FAIL ? slice_z(NULL) : slice_z(x->ptr));

	event_del(&x->patience);
	client_name_unref(&x->known);
	x->known = found != NULL ? found : ref(n->unknown);
	x->until_ms = clock_ms() + keep_ms;
	if (!x->asking) {
		free(x->ptr);
		x->ptr = NULL;
	}
	answer_all(x);
}

/* The name servers have answered for the last time. */
static void conclude(
    struct entry *x, enum client_resolve resolve, struct slice name, int64_t keep_ms)
{
	struct names *n = x->names;

	x->asking = false;
	n->asking--;
	if (resolve != CLIENT_TEMP)
		n->rest_until_ms = n->failures = 0;
	else if (event_pending(&x->patience, EV_TIMEOUT, NULL))
		note_failure(n); /* else that was done when patience ran out */
	know(x, resolve, name, keep_ms);
}

/* Whoever waits waits no longer; the name servers may still answer, for those who come later. */
static void on_patience(evutil_socket_t fd, short what, void *arg)
{
	struct entry *x = arg;

	(void)fd;
	(void)what;
	note_failure(x->names);
	know(x, CLIENT_TEMP, slice_z(NULL), KEEP_FAILED_MS);
}

/* ---- questions ---------------------------------------------------------------------------- */

static bool says_there_is_none(int result)
{
	return result == DNS_ERR_NOTEXIST || result == DNS_ERR_NODATA;
}

static int64_t keep_ms(int ttl)
{
	int64_t ms = (int64_t)ttl * 1000;

	return ms < KEEP_MIN_MS ? KEEP_MIN_MS : ms > KEEP_MAX_MS ? KEEP_MAX_MS : ms;
}

static void on_addresses(int result, char type, int count, int ttl, void *found, void *arg)
{
	struct entry *x = arg;
	size_t size = x->address.family == AF_INET ? 4 : 16;

	(void)type;
	if (result != DNS_ERR_NONE && !says_there_is_none(result)) {
		conclude(x, CLIENT_TEMP, slice_z(NULL), KEEP_FAILED_MS);
		return;
	}
	for (int i = 0; result == DNS_ERR_NONE && i < count; i++)
		if (memcmp((const char *)found + (size_t)i * size, x->address.octets, size) == 0) {
			conclude(x, CLIENT_OK, slice_z(x->ptr), keep_ms(ttl));
			return;
		}
	conclude(x, CLIENT_FORGED, slice_z(NULL), KEEP_NONE_MS);
}

/* A name that may stand in a macro, a log line and a header field; an address is none. */
static bool is_host_name(struct slice name)
{
	struct address a;

	for (size_t i = 0; i < name.n; i++)
		if (!ascii_alpha(name.p[i]) && !ascii_digit(name.p[i]) &&
		    (name.p[i] == '\0' || strchr("-_.", name.p[i]) == NULL))
			return false;
	return smtp_domain_valid(name) && address_parse(name, &a, NULL) < 0;
}

static void on_pointer(int result, char type, int count, int ttl, void *found, void *arg)
{
	struct entry *x = arg;
	struct evdns_base *dns = x->names->dns;
	struct evdns_request *request;

	(void)type;
	(void)ttl;
	if (result != DNS_ERR_NONE && !says_there_is_none(result)) {
		conclude(x, CLIENT_TEMP, slice_z(NULL), KEEP_FAILED_MS);
		return;
	}
	if (result != DNS_ERR_NONE || count < 1 || !is_host_name(slice_z(*(char **)found))) {
		conclude(x, CLIENT_FAIL, slice_z(NULL), KEEP_NONE_MS);
		return;
	}
	free(x->ptr);
	if ((x->ptr = slice_dup(slice_z(*(char **)found))) == NULL || dns == NULL) {
		conclude(x, CLIENT_TEMP, slice_z(NULL), KEEP_FAILED_MS);
		return;
	}
	request = x->address.family == AF_INET
	    ? evdns_base_resolve_ipv4(dns, x->ptr, DNS_QUERY_NO_SEARCH, on_addresses, x)
	    : evdns_base_resolve_ipv6(dns, x->ptr, DNS_QUERY_NO_SEARCH, on_addresses, x);
	if (request == NULL)
		conclude(x, CLIENT_TEMP, slice_z(NULL), KEEP_FAILED_MS);
}

static bool ask(struct entry *x)
{
	struct names *n = x->names;
	struct evdns_request *request;
	struct timeval patience = { .tv_sec = n->patience_ms / 1000 };

	if (x->address.family == AF_INET) {
		struct in_addr in;

		memcpy(&in, x->address.octets, sizeof(in));
		request = evdns_base_resolve_reverse(
		    n->dns, &in, DNS_QUERY_NO_SEARCH, on_pointer, x);
	} else {
		struct in6_addr in6;

		memcpy(&in6, x->address.octets, sizeof(in6));
		request = evdns_base_resolve_reverse_ipv6(
		    n->dns, &in6, DNS_QUERY_NO_SEARCH, on_pointer, x);
	}
	if (request == NULL)
		return false;
	x->asking = true;
	n->asking++;
	event_add(&x->patience, &patience);
	return true;
}

static bool is_loopback(const struct address *a)
{
	static const uint8_t v6[16] = { [15] = 1 };

	return (a->family == AF_INET && a->octets[0] == 127) ||
	    (a->family == AF_INET6 && memcmp(a->octets, v6, sizeof(v6)) == 0);
}

/* What can be said without a question; NULL where one must be asked. */
static struct client_name *known(struct names *n, const struct address *a, struct entry *x)
{
	if (is_loopback(a))
		return n->localhost;
	if (a->family != AF_INET && a->family != AF_INET6)
		return n->unknown;
	if (x != NULL && x->known != NULL && (x->until_ms > clock_ms() || x->asking))
		return x->known;
	if (x != NULL && x->asking)
		return NULL;
	return n->asking >= NAMES_ASKING_MAX || n->rest_until_ms > clock_ms() ? n->unknown : NULL;
}

static struct name_query *wait_for(struct entry *x, names_done_fn *done, void *arg)
{
	struct name_query *q = malloc(sizeof(*q));

	if (q == NULL)
		return NULL;
	*q = (struct name_query){ .next = x->waiting, .entry = x, .done = done, .arg = arg };
	x->waiting = q;
	return q;
}

struct name_query *names_find(struct names *n, const struct address *a, names_done_fn *done,
    void *arg, struct client_name **now)
{
	struct entry *x = entry_find(n, a);
	struct client_name *c = known(n, a, x);

	*now = NULL;
	if (c != NULL) {
		*now = ref(c);
		return NULL;
	}
	if (x == NULL && (x = entry_new(n, a)) == NULL)
		return NULL;
	if (!x->asking && !ask(x)) {
		*now = ref(n->unknown);
		return NULL;
	}
	return wait_for(x, done, arg);
}

void names_cancel(struct name_query **at)
{
	struct name_query *q = *at, **link;

	*at = NULL;
	if (q == NULL)
		return;
	for (link = &q->entry->waiting; *link != q; link = &(*link)->next)
		;
	*link = q->next;
	free(q);
}

/* ---- life --------------------------------------------------------------------------------- */

/* A question is asked twice within the patience, so that one lost packet is not the end. */
static void set_times(struct evdns_base *dns, int64_t patience_s)
{
	char seconds[32];

	(void)snprintf(seconds, sizeof(seconds), "%.1f", (double)patience_s / 2);
	(void)evdns_base_set_option(dns, "timeout:", seconds);
	(void)evdns_base_set_option(dns, "attempts:", "2");
	(void)evdns_base_set_option(dns, "max-inflight:", "512");
}

struct names *names_new(
    struct event_base *base, const struct proxy_settings *settings, struct err *e)
{
	struct names *n = calloc(1, sizeof(*n));

	if (n == NULL) {
		err_set(e, "out of memory");
		return NULL;
	}
	n->base = base;
	n->patience_ms = settings->timeouts.client_name_s * 1000;
	TAILQ_INIT(&n->by_age);
	n->localhost = client_name_new(CLIENT_OK, SLICE("localhost"), SLICE("localhost"));
	n->unknown = client_name_new(CLIENT_TEMP, slice_z(NULL), slice_z(NULL));
	if (n->localhost == NULL || n->unknown == NULL) {
		err_set(e, "out of memory");
		names_free(&n);
		return NULL;
	}
	if ((n->dns = resolver_new(base, settings, e)) == NULL)
		names_free(&n);
	else
		set_times(n->dns, settings->timeouts.client_name_s);
	return n;
}

void names_free(struct names **at)
{
	struct names *n = *at;
	struct entry *x;

	*at = NULL;
	if (n == NULL)
		return;
	if (n->dns != NULL) {
		evdns_base_free(n->dns, 0);
		n->dns = NULL;
		/* Answers that wait to be told hold memory, and point here. */
		(void)event_base_loop(n->base, EVLOOP_NONBLOCK);
	}
	while ((x = TAILQ_FIRST(&n->by_age)) != NULL)
		entry_drop(x);
	client_name_unref(&n->localhost);
	client_name_unref(&n->unknown);
	free(n);
}
