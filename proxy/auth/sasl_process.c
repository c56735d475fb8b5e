#include "config.h"

#include "sasl_process.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proxy/auth/sasl_pool.h"
#include "proxy/stream.h"
#include "weir/log.h"

/* A worker that does not read its answers is as good as none. */
#define OUTPUT_MAX 4194304

/* A worker. */
struct client {
	TAILQ_ENTRY(client) link;
	struct sasl_process *process;
	struct stream *stream;
	unsigned number;
};

struct sasl_process {
	struct event_base *base;
	int listener;
	struct sasl_pool *pool;
	TAILQ_HEAD(, client) clients;
	struct bytes mechanisms; /* MECH lines; empty: not known yet */
	unsigned next;
	bool leaving;
	struct event *readable, *retire, *child;
};

/* ---- clients ------------------------------------------------------------------------------ */

static void leave_if_empty(struct sasl_process *p)
{
	if (p->leaving && TAILQ_EMPTY(&p->clients))
		event_base_loopbreak(p->base);
}

static void client_free(struct client *c)
{
	struct sasl_process *p = c->process;

	sasl_task_cancel_all(p->pool, c);
	TAILQ_REMOVE(&p->clients, c, link);
	stream_free(&c->stream);
	free(c);
	leave_if_empty(p);
}

static void greet(struct client *c)
{
	struct bytes *out = stream_output(c->stream);

	(void)bytes_add(out, SLICE("VERSION\t1\t2\n"));
	(void)bytes_add(out, bytes_slice(&c->process->mechanisms));
	(void)bytes_addf(out, "SPID\t%u\nCUID\t%u\nCOOKIE\t%08x\nDONE\n", (unsigned)getpid(),
	    c->number, c->number);
	stream_flush(c->stream);
}

static void on_answer(void *client, uint32_t id, struct slice line)
{
	struct client *c = client;

	(void)id;
	(void)bytes_add(stream_output(c->stream), line);
	stream_flush(c->stream);
}

static void on_auth(struct client *c, const struct dovecot_line *l)
{
	if (sasl_task_new(c->process->pool, c, l->id, l->name, l->fields))
		return;
	(void)bytes_addf(stream_output(c->stream), "FAIL\t%u\ttemp\n", (unsigned)l->id);
	stream_flush(c->stream);
}

static bool on_line(struct client *c, struct slice line)
{
	struct sasl_pool *pool = c->process->pool;
	struct dovecot_line l;

	if (dovecot_parse(line, &l, NULL) < 0)
		return false;
	if (l.verb == DOVECOT_AUTH)
		on_auth(c, &l);
	else if (l.verb == DOVECOT_CONT)
		sasl_task_respond(pool, c, l.id, l.name);
	else if (l.verb == DOVECOT_CANCEL)
		sasl_task_cancel(pool, c, l.id);
	return stream_unsent(c->stream) < OUTPUT_MAX;
}

static void on_input(void *arg)
{
	struct client *c = arg;
	char line[DOVECOT_LINE_MAX];

	for (;;) {
		struct slice in = stream_input(c->stream);
		size_t end = slice_find(in, '\n');
		bool good;

		if (end == in.n && in.n < DOVECOT_LINE_MAX && !stream_eof(c->stream))
			return;
		if (end == in.n) {
			client_free(c);
			return;
		}
		/* An answer may be written while the line is looked at: it must not lie in the
		 * stream. */
		end = end < sizeof(line) ? end : sizeof(line) - 1;
		memcpy(line, in.p, end);
		stream_take(c->stream, end + 1);
		good = on_line(c, slice_of(line, end));
		explicit_bzero(line, end);
		if (!good) {
			client_free(c);
			return;
		}
	}
}

static void on_drained(void *arg)
{
	(void)arg;
}

static void on_failed(void *arg, const char *error)
{
	(void)error;
	client_free(arg);
}

static const struct stream_events stream_events = {
	.on_input = on_input, .on_drained = on_drained, .on_failed = on_failed
};

/* The socket's name is no secret, and it has no file whose mode could keep others out. */
static bool is_ours(int fd)
{
	struct ucred peer;
	socklen_t n = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0 &&
	    (peer.uid == geteuid() || peer.uid == 0);
}

static void on_connection(evutil_socket_t fd, short what, void *arg)
{
	struct sasl_process *p = arg;
	int socket = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct client *c = NULL;

	(void)what;
	if (socket < 0)
		return;
	if (!is_ours(socket) || (c = calloc(1, sizeof(*c))) == NULL ||
	    (c->stream = stream_new(p->base, socket, DOVECOT_LINE_MAX, &stream_events, c)) ==
		NULL) {
		if (c == NULL)
			close(socket);
		free(c);
		return;
	}
	c->process = p;
	c->number = ++p->next;
	TAILQ_INSERT_TAIL(&p->clients, c, link);
	if (p->mechanisms.n > 0)
		greet(c);
}

/* ---- the pool ----------------------------------------------------------------------------- */

static void on_pool_ready(void *arg, struct slice mechanisms)
{
	struct sasl_process *p = arg;
	struct client *c;

	if (mechanisms.n == 0)
		log_event(LOG_LEVEL_ERROR, "sasl", "error",
		    "no mechanism: are the plugins there (libsasl2-modules)?", NULL);
	(void)bytes_add(&p->mechanisms, mechanisms);
	TAILQ_FOREACH(c, &p->clients, link)
	greet(c);
}

static void in_helper(void *arg)
{
	struct sasl_process *p = arg;
	struct client *c;

	close(p->listener);
	TAILQ_FOREACH(c, &p->clients, link)
	close(stream_fd(c->stream));
}

static const struct sasl_pool_events pool_events = {
	.answer = on_answer, .ready = on_pool_ready, .in_helper = in_helper
};

/* ---- life --------------------------------------------------------------------------------- */

static void on_retire(evutil_socket_t number, short what, void *arg)
{
	struct sasl_process *p = arg;

	(void)number;
	(void)what;
	p->leaving = true;
	event_del(p->readable);
	leave_if_empty(p);
}

static void on_child(evutil_socket_t number, short what, void *arg)
{
	struct sasl_process *p = arg;
	pid_t pid;
	int status;

	(void)number;
	(void)what;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		sasl_pool_reaped(p->pool, pid);
}

static bool prepare(struct sasl_process *p, const struct proxy_settings *settings)
{
	TAILQ_INIT(&p->clients);
	if ((p->base = event_base_new()) == NULL ||
	    (p->readable = event_new(
		 p->base, p->listener, EV_READ | EV_PERSIST, on_connection, p)) == NULL ||
	    (p->retire = evsignal_new(p->base, SIGUSR1, on_retire, p)) == NULL ||
	    (p->child = evsignal_new(p->base, SIGCHLD, on_child, p)) == NULL)
		return false;
	return event_add(p->retire, NULL) == 0 && event_add(p->child, NULL) == 0 &&
	    (p->pool = sasl_pool_new(p->base, settings, &pool_events, p)) != NULL &&
	    event_add(p->readable, NULL) == 0;
}

int sasl_process_run(const struct proxy_settings *settings, int listener)
{
	struct sasl_process p = { .listener = listener };
	sigset_t none;

	if (!prepare(&p, settings)) {
		log_event(LOG_LEVEL_ERROR, "sasl", "error", "out of memory", NULL);
		return EXIT_FAILURE;
	}
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL); /* whatever was held back comes now */
	event_base_dispatch(p.base);
	return EXIT_SUCCESS;
}
