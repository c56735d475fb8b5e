#include "config.h"

#include "sasl_inside.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/auth/sasl_helper.h"
#include "proxy/stream.h"
#include "weir/log.h"

/* One that died before it was ready is not followed at once. */
#define REST_S 1
/* So many of a kind stay when there is nothing to do. */
#define IDLE_MAX  2
#define INPUT_MAX ((size_t)2 * DOVECOT_LINE_MAX)

static void dispatch(struct sasl_pool *p, enum kind kind);

/* ---- helpers ------------------------------------------------------------------------------ */

static const struct stream_events helper_events;

static void helper_free(struct helper *h)
{
	struct kind_of_helpers *k = &h->pool->kinds[h->kind];

	TAILQ_REMOVE(&k->helpers, h, link);
	k->count--;
	k->starting -= !h->ready;
	event_del(&h->timer);
	stream_free(&h->stream); /* he ends when he sees it */
	free(h);
}

/* He died, or is to: what was his fails as temporary. */
static void helper_lost(struct helper *h, const char *why)
{
	struct sasl_pool *p = h->pool;
	enum kind kind = h->kind;

	log_event(LOG_LEVEL_ERROR, "sasl_helper", "error", why, NULL);
	if (h->pid > 0)
		(void)kill(h->pid, SIGKILL);
	if (!h->ready)
		event_add(&p->rest, &(struct timeval){ .tv_sec = REST_S });
	for (size_t i = 0; i < TASK_PLACES && h->tasks > 0; i++) {
		struct task *t, *next;

		for (t = LIST_FIRST(&p->by_number[i]); t != NULL; t = next) {
			next = LIST_NEXT(t, by_number);
			if (t->helper == h)
				sasl_task_fail(p, t, SLICE("\ttemp"));
		}
	}
	helper_free(h);
	dispatch(p, kind);
}

static void on_step_timeout(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	helper_lost(arg, "a login takes too long");
}

/* In a child: the other helpers are none of his business. */
static void close_sockets(const struct sasl_pool *p)
{
	for (int i = 0; i < POOL_KINDS; i++) {
		struct helper *h;

		TAILQ_FOREACH(h, &p->kinds[i].helpers, link)
		close(stream_fd(h->stream));
	}
}

/* In the child. */
static void become_helper(struct sasl_pool *p, pid_t parent, int fd)
{
	sigset_t none;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(EXIT_FAILURE);
	(void)signal(SIGTERM, SIG_DFL);
	(void)signal(SIGCHLD, SIG_DFL);
	(void)signal(SIGUSR1, SIG_DFL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	close_sockets(p);
	p->events->in_helper(p->arg);
	_exit(sasl_helper_run(p->settings, fd));
}

static void helper_start(struct sasl_pool *p, enum kind kind)
{
	struct helper *h = calloc(1, sizeof(*h));
	pid_t parent = getpid();
	int fds[2];

	if (h == NULL || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0) {
		free(h);
		event_add(&p->rest, &(struct timeval){ .tv_sec = REST_S });
		return;
	}
	if ((h->pid = fork()) == 0) {
		close(fds[0]);
		become_helper(p, parent, fds[1]);
	}
	close(fds[1]);
	(void)evutil_make_socket_nonblocking(fds[0]);
	h->stream = h->pid > 0 ? stream_new(p->base, fds[0], INPUT_MAX, &helper_events, h) : NULL;
	if (h->stream == NULL) {
		if (h->pid < 0)
			close(fds[0]);
		log_event(LOG_LEVEL_ERROR, "sasl_helper", "error", strerror(errno), NULL);
		free(h);
		event_add(&p->rest, &(struct timeval){ .tv_sec = REST_S });
		return;
	}
	h->pool = p;
	h->kind = kind;
	TAILQ_INIT(&h->queue);
	event_assign(&h->timer, p->base, -1, 0, on_step_timeout, h);
	TAILQ_INSERT_TAIL(&p->kinds[kind].helpers, h, link);
	p->kinds[kind].count++;
	p->kinds[kind].starting++;
	event_add(&h->timer, &(struct timeval){ .tv_sec = p->settings->timeouts.auth_s });
}

static void run(struct helper *h, struct task *t)
{
	if (t->helper == NULL)
		h->tasks++;
	t->helper = h;
	t->state = TASK_RUNNING;
	h->running = t;
	stream_write(h->stream, bytes_slice(&t->line));
	sasl_forget_line(&t->line);
	event_add(&h->timer, &(struct timeval){ .tv_sec = h->pool->settings->timeouts.auth_s });
}

/* One with nothing to do; his own tasks come before others. */
static void feed(struct helper *h)
{
	struct kind_of_helpers *k = &h->pool->kinds[h->kind];
	struct task *t;

	if (!h->ready || h->running != NULL)
		return;
	if ((t = TAILQ_FIRST(&h->queue)) == NULL && (t = TAILQ_FIRST(&k->queue)) == NULL)
		return;
	sasl_unqueue(h->pool, t);
	run(h, t);
}

static size_t idle(const struct kind_of_helpers *k)
{
	struct helper *h;
	size_t n = 0;

	TAILQ_FOREACH(h, &k->helpers, link)
	n += h->ready && h->running == NULL && h->tasks == 0;
	return n;
}

static void dispatch(struct sasl_pool *p, enum kind kind)
{
	struct kind_of_helpers *k = &p->kinds[kind];
	struct helper *h;

	TAILQ_FOREACH(h, &k->helpers, link)
	feed(h);
	while (k->queued > k->starting && k->count < k->max &&
	    !event_pending(&p->rest, EV_TIMEOUT, NULL)) {
		size_t before = k->count;

		helper_start(p, kind);
		if (k->count == before)
			return;
	}
}

void sasl_enqueue(struct sasl_pool *p, struct task *t)
{
	t->state = TASK_QUEUED;
	if (t->helper != NULL) {
		TAILQ_INSERT_TAIL(&t->helper->queue, t, queue);
	} else {
		TAILQ_INSERT_TAIL(&p->kinds[t->kind].queue, t, queue);
		p->kinds[t->kind].queued++;
	}
	dispatch(p, t->kind);
}

static void on_rested(evutil_socket_t fd, short what, void *arg)
{
	struct sasl_pool *p = arg;

	(void)fd;
	(void)what;
	if (!p->known && p->kinds[POOL_CHECKS].count == 0)
		helper_start(p, POOL_CHECKS);
	for (int i = 0; i < POOL_KINDS; i++)
		dispatch(p, (enum kind)i);
}

/* ---- what helpers say --------------------------------------------------------------------- */

static void on_ready(struct helper *h)
{
	struct sasl_pool *p = h->pool;

	h->ready = true;
	p->kinds[h->kind].starting--;
	event_del(&h->timer);
	if (!p->known) {
		p->known = true;
		p->events->ready(p->arg, bytes_slice(&p->mechanisms));
	}
}

static void on_mech(struct sasl_pool *p, struct slice name)
{
	if (p->known)
		return;
	(void)bytes_addf(&p->mechanisms, "MECH\t%.*s\n", SLICE_ARG(name));
	if (p->login && slice_eq(name, SLICE("PLAIN")))
		(void)bytes_add(&p->mechanisms, SLICE("MECH\tLOGIN\tplaintext\n"));
}

void sasl_helper_forget(struct helper *h, uint32_t number)
{
	(void)bytes_addf(stream_output(h->stream), "CANCEL\t%u\n", (unsigned)number);
	stream_flush(h->stream);
}

static void on_step(struct helper *h, const struct dovecot_line *l)
{
	struct sasl_pool *p = h->pool;
	struct task *t = sasl_task_by_number(p, l->id);
	struct bytes rest = { 0 };

	if (t == NULL || t != h->running)
		return;
	h->running = NULL;
	event_del(&h->timer);
	(void)bytes_addc(&rest, '\t');
	(void)bytes_add(&rest, l->verb == DOVECOT_CONT ? l->name : l->fields);
	if (l->verb == DOVECOT_CONT && t->client != NULL) {
		t->state = TASK_THINKING;
		sasl_answer(p, t, "CONT", bytes_slice(&rest));
	} else if (l->verb == DOVECOT_CONT) { /* he went while the step ran */
		sasl_helper_forget(h, t->number);
		sasl_task_free(p, t);
	} else {
		sasl_answer(p, t, l->verb == DOVECOT_OK ? "OK" : "FAIL", bytes_slice(&rest));
		sasl_task_free(p, t);
	}
	bytes_free(&rest);
}

static bool on_helper_line(struct helper *h, struct slice line)
{
	struct dovecot_line l;

	if (dovecot_parse(line, &l, NULL) < 0)
		return false;
	if (l.verb == DOVECOT_MECH)
		on_mech(h->pool, l.name);
	else if (l.verb == DOVECOT_DONE && !h->ready)
		on_ready(h);
	else if (l.id != 0)
		on_step(h, &l);
	return true;
}

static void on_helper_input(void *arg)
{
	struct helper *h = arg;
	struct sasl_pool *p = h->pool;
	enum kind kind = h->kind;

	for (;;) {
		struct slice in = stream_input(h->stream);
		size_t end = slice_find(in, '\n');

		if (end == in.n && in.n < INPUT_MAX && !stream_eof(h->stream))
			break;
		stream_take(h->stream, end + 1);
		if (end == in.n || !on_helper_line(h, slice_sub(in, 0, end))) {
			helper_lost(h, end == in.n ? "it has died" : "it talks nonsense");
			return;
		}
	}
	dispatch(p, kind);
	if (h->ready && h->running == NULL && h->tasks == 0 && idle(&p->kinds[kind]) > IDLE_MAX)
		helper_free(h);
}

static void on_helper_drained(void *arg)
{
	(void)arg;
}

static void on_helper_failed(void *arg, const char *error)
{
	helper_lost(arg, error);
}

static const struct stream_events helper_events = {
	.on_input = on_helper_input, .on_drained = on_helper_drained, .on_failed = on_helper_failed
};

/* ---- life --------------------------------------------------------------------------------- */

static void set_limits(struct sasl_pool *p)
{
	size_t all = (size_t)p->settings->sasl.processes;

	p->kinds[POOL_DIALOGUES].max = all < 8 ? 1 : all / 4;
	p->kinds[POOL_CHECKS].max = all < 2 ? 1 : all - p->kinds[POOL_DIALOGUES].max;
}

struct sasl_pool *sasl_pool_new(struct event_base *base, const struct proxy_settings *settings,
    const struct sasl_pool_events *events, void *arg)
{
	struct sasl_pool *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	*p = (struct sasl_pool){ .base = base, .settings = settings, .events = events, .arg = arg };
	set_limits(p);
	for (int i = 0; i < POOL_KINDS; i++) {
		TAILQ_INIT(&p->kinds[i].helpers);
		TAILQ_INIT(&p->kinds[i].queue);
	}
	for (size_t i = 0; i < TASK_PLACES; i++) {
		LIST_INIT(&p->by_client[i]);
		LIST_INIT(&p->by_number[i]);
	}
	for (size_t i = 0; i < settings->sasl.mechanisms.n; i++)
		p->login |= strcmp(settings->sasl.mechanisms.v[i], "LOGIN") == 0;
	event_assign(&p->rest, base, -1, 0, on_rested, p);
	helper_start(p, POOL_CHECKS);
	return p;
}

void sasl_pool_reaped(struct sasl_pool *p, pid_t pid)
{
	for (int i = 0; i < POOL_KINDS; i++) {
		struct helper *h;

		TAILQ_FOREACH(h, &p->kinds[i].helpers, link)
		if (h->pid == pid)
			h->pid = 0;
	}
}
