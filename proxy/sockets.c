#include "config.h"

#include "sockets.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define BACKLOG 1024

static bool same_endpoint(const struct endpoint *a, const struct endpoint *b)
{
	return a->local == b->local &&
	    (a->local ? strcmp(a->path, b->path) == 0
		      : a->port == b->port && strcmp(a->host, b->host) == 0);
}

static struct sockets_entry *find(struct sockets *s, const struct endpoint *ep)
{
	for (size_t i = 0; s != NULL && i < s->n; i++)
		if (same_endpoint(&s->v[i].endpoint, ep))
			return &s->v[i];
	return NULL;
}

/* Sockets of an entry that is there already: duplicates, so that old stays whole until all is
 * well. */
static int inherit(struct sockets_entry *to, const struct sockets_entry *from, struct err *e)
{
	for (; to->count < from->count; to->count++) {
		to->fds[to->count] = dup(from->fds[to->count]);
		if (to->fds[to->count] < 0)
			return err_set(e, "listening socket: out of descriptors");
	}
	return 0;
}

static int open_entry(struct sockets_entry *to, size_t each, struct err *e)
{
	struct endpoint ep = to->endpoint;

	if (to->count > 0 && !ep.local)
		ep.port = socket_port(to->fds[0]);
	while (to->count < each) {
		int fd = endpoint_listen(&ep, BACKLOG, 0666, true, e);

		/* Sockets can be fewer than workers (after a reload without privileges, and for
		 * Unix sockets): workers share them then. */
		if (fd < 0 && to->count > 0)
			return 0;
		if (fd < 0)
			return -1;
		to->fds[to->count++] = fd;
		if (ep.local)
			return 0;
		ep.port = socket_port(fd); /* port 0: all get the one that the first got */
	}
	return 0;
}

int sockets_open(struct sockets *out, const struct proxy_settings *p, size_t each,
    struct sockets *old, struct err *e)
{
	const struct listen_settings *l = p->listen.v;

	*out = (struct sockets){ .v = calloc(p->listen.n + 1, sizeof(*out->v)) };
	if (out->v == NULL)
		return err_set(e, "out of memory");
	for (size_t i = 0; i < p->listen.n; i++) {
		struct sockets_entry *to = &out->v[out->n];
		const struct sockets_entry *was = find(old, &l[i].address);
		size_t room = was != NULL && was->count > each ? was->count : each;

		to->endpoint = l[i].address;
		if ((to->fds = calloc(room + 1, sizeof(*to->fds))) == NULL) {
			sockets_close(out);
			return err_set(e, "out of memory");
		}
		out->n++;
		if ((was != NULL && inherit(to, was, e) < 0) || open_entry(to, each, e) < 0) {
			sockets_close(out);
			return -1;
		}
	}
	return 0;
}

void sockets_close(struct sockets *s)
{
	for (size_t i = 0; i < s->n; i++) {
		for (size_t k = 0; k < s->v[i].count; k++)
			close(s->v[i].fds[k]);
		free(s->v[i].fds);
	}
	free(s->v);
	*s = (struct sockets){ 0 };
}
