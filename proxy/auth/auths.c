#include "config.h"

#include "auths.h"

#include <stdlib.h>

#include "proxy/auth/auth_server.h"
#include "proxy/auth/dovecot.h"

struct auths {
	struct event_base *base;
	struct auth_server **servers;
	size_t n;
	char *sasl_socket;
	struct auth_provider *relay;
};

/* The socket to be asked for this listener; NULL: none. */
static const char *socket_of(const struct auths *a, const struct listen_settings *l)
{
	if (strcmp(l->auth, "sasl") == 0)
		return a->sasl_socket;
	return strncmp(l->auth, "dovecot:", 8) == 0 ? l->auth + 8 : NULL;
}

static struct auth_server *find(const struct auths *a, const char *path)
{
	for (size_t i = 0; path != NULL && i < a->n; i++)
		if (strcmp(auth_server_path(a->servers[i]), path) == 0)
			return a->servers[i];
	return NULL;
}

static bool add(struct auths *a, const struct proxy_settings *p, const struct listen_settings *l)
{
	const char *path = socket_of(a, l);
	bool own = path != NULL && path == a->sasl_socket;

	if (path == NULL || find(a, path) != NULL)
		return true;
	a->servers[a->n] = auth_server_new(a->base, path, own ? DOVECOT_LINE_MAX : DOVECOT_SENT_MAX,
	    (unsigned)a->n, p->timeouts.auth_s);
	return a->servers[a->n] != NULL && ++a->n > 0;
}

struct auths *auths_new(struct event_base *base, const struct proxy_settings *p,
    struct auth_provider *relay, const char *sasl_socket)
{
	const struct listen_settings *l = p->listen.v;
	struct auths *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return NULL;
	a->base = base;
	a->relay = relay;
	a->sasl_socket = slice_dup(slice_z(sasl_socket != NULL ? sasl_socket : ""));
	a->servers = calloc(p->listen.n, sizeof(struct auth_server *));
	if (a->servers == NULL || a->sasl_socket == NULL)
		auths_free(&a);
	for (size_t i = 0; a != NULL && i < p->listen.n; i++)
		if (!add(a, p, &l[i]))
			auths_free(&a);
	return a;
}

void auths_free(struct auths **at)
{
	struct auths *a = *at;

	*at = NULL;
	if (a == NULL)
		return;
	for (size_t i = 0; i < a->n; i++)
		auth_server_free(&a->servers[i]);
	free(a->servers);
	free(a->sasl_socket);
	free(a);
}

struct auth_provider *auths_provider(struct auths *a, const struct listen_settings *l)
{
	struct auth_server *s = find(a, socket_of(a, l));

	if (strcmp(l->auth, "relay") == 0)
		return a->relay;
	return s != NULL ? auth_server_provider(s) : NULL;
}

static bool settled(const struct auths *a)
{
	for (size_t i = 0; i < a->n; i++)
		if (!auth_server_settled(a->servers[i]))
			return false;
	return true;
}

static void on_patience_end(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	*(bool *)arg = true;
}

void auths_settle(struct auths *a, long ms)
{
	bool over = false;
	struct event *timer = evtimer_new(a->base, on_patience_end, &over);

	if (timer != NULL)
		event_add(
		    timer, &(struct timeval){ .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 });
	while (timer != NULL && !over && !settled(a))
		(void)event_base_loop(a->base, EVLOOP_ONCE);
	if (timer != NULL)
		event_free(timer);
}
