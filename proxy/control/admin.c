#include "config.h"

#include "admin.h"

#include <stdlib.h>
#include <sys/queue.h>
#include <unistd.h>

#include <event2/event_struct.h>

#include "proxy/stream.h"

#define REQUEST_MAX 65536
#define BACKLOG     16

struct caller {
	TAILQ_ENTRY(caller) link;
	struct admin *admin;
	struct stream *stream;
	struct event timer;
	bool answered;
};
TAILQ_HEAD(caller_list, caller);

struct admin {
	struct event_base *base;
	struct endpoint endpoint;
	control_handler *handler;
	void *arg;
	int fd;
	struct event *readable;
	struct caller_list callers;
};

static void hang_up(struct caller *c)
{
	TAILQ_REMOVE(&c->admin->callers, c, link);
	event_del(&c->timer);
	stream_free(&c->stream);
	free(c);
}

static void answer(struct caller *c, struct slice line)
{
	json_error_t why;
	json_t *request = json_loadb(line.p, line.n, JSON_REJECT_DUPLICATES, &why), *reply = NULL;
	const char *command = json_string_value(json_object_get(request, "command"));
	char *text = NULL;

	if (command != NULL)
		reply = c->admin->handler(command, request, c->admin->arg);
	else
		reply = json_pack("{s:b,s:s}", "ok", 0, "error", "no object with a \"command\"");
	if (reply != NULL)
		text = json_dumps(reply, JSON_COMPACT);
	(void)bytes_add(stream_output(c->stream),
	    text != NULL ? slice_z(text) : SLICE("{\"ok\":false,\"error\":\"out of memory\"}"));
	(void)bytes_addc(stream_output(c->stream), '\n');
	free(text);
	json_decref(reply);
	json_decref(request);
	c->answered = true;
	stream_flush(c->stream);
}

static void on_input(void *arg)
{
	struct caller *c = arg;
	struct slice in = stream_input(c->stream);
	size_t end = slice_find(in, '\n');

	if (!c->answered && end < in.n)
		answer(c, slice_sub(in, 0, end));
	/* One that closes his side at once, or says more than a request may have, is gone. */
	if ((c->answered && stream_unsent(c->stream) == 0) ||
	    (!c->answered && (stream_eof(c->stream) || in.n >= REQUEST_MAX)))
		hang_up(c);
}

static void on_drained(void *arg)
{
	hang_up(arg);
}

static void on_failed(void *arg, const char *error)
{
	(void)error;
	hang_up(arg);
}

static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	hang_up(arg);
}

static const struct stream_events stream_events = {
	.on_input = on_input, .on_drained = on_drained, .on_failed = on_failed
};

static void on_caller(evutil_socket_t fd, short what, void *arg)
{
	struct admin *a = arg;
	int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct caller *c;

	(void)what;
	if (client < 0)
		return;
	if ((c = calloc(1, sizeof(*c))) == NULL) {
		close(client);
		return;
	}
	c->admin = a;
	c->stream = stream_new(a->base, client, REQUEST_MAX, &stream_events, c);
	if (c->stream == NULL) {
		free(c);
		return;
	}
	TAILQ_INSERT_TAIL(&a->callers, c, link);
	event_assign(&c->timer, a->base, -1, 0, on_timeout, c);
	event_add(&c->timer, &(struct timeval){ .tv_sec = CONTROL_TIMEOUT_MS / 1000 });
}

struct admin *admin_open(struct event_base *base, const struct endpoint *ep,
    control_handler *handler, void *arg, struct err *e)
{
	struct admin *a = calloc(1, sizeof(*a));

	if (a == NULL) {
		err_set(e, "out of memory");
		return NULL;
	}
	*a = (struct admin){ .base = base, .endpoint = *ep, .handler = handler, .arg = arg };
	TAILQ_INIT(&a->callers);
	if ((a->fd = endpoint_listen(ep, BACKLOG, 0600, false, e)) < 0) {
		err_prefix(e, "control socket");
		free(a);
		return NULL;
	}
	a->readable = event_new(base, a->fd, EV_READ | EV_PERSIST, on_caller, a);
	if (a->readable == NULL || event_add(a->readable, NULL) < 0) {
		err_set(e, "out of memory");
		admin_close(&a, true);
	}
	return a;
}

void admin_close(struct admin **at, bool remove)
{
	struct admin *a = *at;
	struct caller *c, *next;

	*at = NULL;
	if (a == NULL)
		return;
	for (c = TAILQ_FIRST(&a->callers); c != NULL; c = next) {
		next = TAILQ_NEXT(c, link);
		hang_up(c);
	}
	if (a->readable != NULL)
		event_free(a->readable);
	close(a->fd);
	if (remove && a->endpoint.local)
		(void)unlink(a->endpoint.path);
	free(a);
}
