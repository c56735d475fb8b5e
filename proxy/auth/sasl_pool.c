#include "config.h"

#include "sasl_pool.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event_struct.h>

#include "proxy/auth/base64.h"
#include "proxy/auth/mechanism.h"
#include "proxy/auth/sasl_helper.h"
#include "proxy/stream.h"
#include "weir/log.h"

#define PLACES 1024
/* One that died before it was ready is not followed at once. */
#define REST_S 1
/* So many of a kind stay when there is nothing to do. */
#define IDLE_MAX 2
/* A password is not longer; LOGIN's goes on as PLAIN's. */
#define PASSWORD_MAX 4096

enum kind { POOL_CHECKS, POOL_DIALOGUES, POOL_KINDS };

enum task_state {
	TASK_FIRST,    /* the client is to give the first response */
	TASK_NAME,     /* ... his login (LOGIN) */
	TASK_PASSWORD, /* ... his password (LOGIN) */
	TASK_QUEUED,   /* `line` waits for a helper */
	TASK_RUNNING,  /* a helper is busy with it */
	TASK_THINKING, /* the client is to respond to his helper */
};

TAILQ_HEAD(task_list, task);

struct task {
	LIST_ENTRY(task) by_client, by_number;
	TAILQ_ENTRY(task) queue; /* of its helper, or of its kind while it has none */
	void *client;            /* NULL: he has gone */
	uint32_t id, number;     /* his, and the helpers' */
	enum kind kind;
	enum task_state state;
	struct helper *helper;
	struct bytes head; /* "MECHANISM TAB fields", without the response */
	struct bytes line;
	char name[LOGIN_MAX + 1];
};

struct helper {
	TAILQ_ENTRY(helper) link;
	struct sasl_pool *pool;
	enum kind kind;
	pid_t pid;
	struct stream *stream;
	bool ready;
	struct task *running;
	size_t tasks; /* that are his, running or not */
	struct task_list queue;
	struct event timer; /* of the step in hand */
};

struct kind_of_helpers {
	TAILQ_HEAD(, helper) helpers;
	size_t count, starting, max;
	struct task_list queue;
	size_t queued;
};

struct sasl_pool {
	struct event_base *base;
	const struct proxy_settings *settings;
	const struct sasl_pool_events *events;
	void *arg;
	struct kind_of_helpers kinds[POOL_KINDS];
	LIST_HEAD(, task) by_client[PLACES], by_number[PLACES];
	size_t tasks;
	uint32_t next;
	struct bytes mechanisms; /* of the first helper, until it is ready */
	bool known;
	bool login; /* LOGIN is configured */
	struct event rest;
};

static void dispatch(struct sasl_pool *p, enum kind kind);

/* ---- tasks -------------------------------------------------------------------------------- */

static struct task *task_of(const struct sasl_pool *p, const void *client, uint32_t id)
{
	struct task *t;

	LIST_FOREACH(t, &p->by_client[id % PLACES], by_client)
	if (t->id == id && t->client == client)
		return t;
	return NULL;
}

static struct task *task_by_number(const struct sasl_pool *p, uint32_t number)
{
	struct task *t;

	LIST_FOREACH(t, &p->by_number[number % PLACES], by_number)
	if (t->number == number)
		return t;
	return NULL;
}

static void unqueue(struct sasl_pool *p, struct task *t)
{
	if (t->state != TASK_QUEUED)
		return;
	if (t->helper != NULL) {
		TAILQ_REMOVE(&t->helper->queue, t, queue);
	} else {
		TAILQ_REMOVE(&p->kinds[t->kind].queue, t, queue);
		p->kinds[t->kind].queued--;
	}
}

static void forget_line(struct bytes *b)
{
	if (b->p != NULL)
		explicit_bzero(b->p, b->n);
	bytes_free(b);
}

static void task_free(struct sasl_pool *p, struct task *t)
{
	unqueue(p, t);
	if (t->helper != NULL) {
		t->helper->tasks--;
		if (t->helper->running == t)
			t->helper->running = NULL;
	}
	LIST_REMOVE(t, by_client);
	LIST_REMOVE(t, by_number);
	forget_line(&t->line);
	bytes_free(&t->head);
	free(t);
	p->tasks--;
}

static void answer(struct sasl_pool *p, const struct task *t, const char *verb, struct slice rest)
{
	struct bytes line = { 0 };

	if (t->client == NULL)
		return;
	(void)bytes_addf(&line, "%s\t%u", verb, (unsigned)t->id);
	(void)bytes_add(&line, rest);
	(void)bytes_addc(&line, '\n');
	p->events->answer(t->client, t->id, bytes_slice(&line));
	bytes_free(&line);
}

static void task_fail(struct sasl_pool *p, struct task *t, struct slice why)
{
	answer(p, t, "FAIL", why);
	task_free(p, t);
}

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
	for (size_t i = 0; i < PLACES && h->tasks > 0; i++) {
		struct task *t, *next;

		for (t = LIST_FIRST(&p->by_number[i]); t != NULL; t = next) {
			next = LIST_NEXT(t, by_number);
			if (t->helper == h)
				task_fail(p, t, SLICE("\ttemp"));
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
	h->stream = h->pid > 0
	    ? stream_new(p->base, fds[0], 2 * DOVECOT_LINE_MAX, &helper_events, h)
	    : NULL;
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
	forget_line(&t->line);
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
	unqueue(h->pool, t);
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

static void helper_forget(struct helper *h, uint32_t number)
{
	(void)bytes_addf(stream_output(h->stream), "CANCEL\t%u\n", (unsigned)number);
	stream_flush(h->stream);
}

static void on_step(struct helper *h, const struct dovecot_line *l)
{
	struct sasl_pool *p = h->pool;
	struct task *t = task_by_number(p, l->id);
	struct bytes rest = { 0 };

	if (t == NULL || t != h->running)
		return;
	h->running = NULL;
	event_del(&h->timer);
	(void)bytes_addc(&rest, '\t');
	(void)bytes_add(&rest, l->verb == DOVECOT_CONT ? l->name : l->fields);
	if (l->verb == DOVECOT_CONT && t->client != NULL) {
		t->state = TASK_THINKING;
		answer(p, t, "CONT", bytes_slice(&rest));
	} else if (l->verb == DOVECOT_CONT) { /* he went while the step ran */
		helper_forget(h, t->number);
		task_free(p, t);
	} else {
		answer(p, t, l->verb == DOVECOT_OK ? "OK" : "FAIL", bytes_slice(&rest));
		task_free(p, t);
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

		if (end == in.n && in.n < 2 * DOVECOT_LINE_MAX && !stream_eof(h->stream))
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

/* ---- what clients say --------------------------------------------------------------------- */

static void enqueue(struct sasl_pool *p, struct task *t)
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

/* The whole question is there: to a helper with it. response.p NULL: the server begins. */
static void submit(struct sasl_pool *p, struct task *t, struct slice response)
{
	(void)bytes_addf(&t->line, "AUTH\t%u\t", (unsigned)t->number);
	(void)bytes_add(&t->line, bytes_slice(&t->head));
	if (response.p != NULL) {
		(void)bytes_add(&t->line, SLICE("\tresp="));
		(void)bytes_add(&t->line, response);
	}
	(void)bytes_addc(&t->line, '\n');
	if (t->line.failed)
		task_fail(p, t, SLICE("\ttemp"));
	else
		enqueue(p, t);
}

static void ask(struct sasl_pool *p, struct task *t, enum task_state state, struct slice base64)
{
	t->state = state;
	answer(p, t, "CONT", base64);
}

static void take_name(struct sasl_pool *p, struct task *t, struct slice base64)
{
	struct buf name = BUF_ON(t->name);

	t->name[0] = '\0';
	if (!base64_read(base64, &name) || memchr(t->name, '\0', name.n) != NULL)
		task_fail(p, t, SLICE(""));
	else
		ask(p, t, TASK_PASSWORD, SLICE("\tUGFzc3dvcmQ6"));
}

/* LOGIN is PLAIN in two answers: as PLAIN it needs no helper of its own while the client types. */
static void take_password(struct sasl_pool *p, struct task *t, struct slice base64)
{
	char octets[LOGIN_MAX + PASSWORD_MAX + 4] = "",
					       text[BASE64_MAX(LOGIN_MAX + PASSWORD_MAX + 4) + 1] =
						   "";
	struct buf plain = BUF_ON(octets), encoded = BUF_ON(text);

	buf_addc(&plain, '\0');
	buf_add(&plain, slice_z(t->name));
	buf_addc(&plain, '\0');
	if (!base64_read(base64, &plain)) {
		task_fail(p, t, SLICE(""));
	} else {
		base64_write(buf_slice(&plain), &encoded);
		submit(p, t, buf_slice(&encoded));
	}
	explicit_bzero(octets, sizeof(octets));
	explicit_bzero(text, sizeof(text));
}

void sasl_task_respond(struct sasl_pool *p, void *client, uint32_t id, struct slice base64)
{
	struct task *t = task_of(p, client, id);

	if (t == NULL)
		return;
	switch (t->state) {
	case TASK_FIRST:
		submit(p, t, base64.p != NULL ? base64 : SLICE(""));
		return;
	case TASK_NAME:
		take_name(p, t, base64);
		return;
	case TASK_PASSWORD:
		take_password(p, t, base64);
		return;
	case TASK_THINKING:
		(void)bytes_addf(
		    &t->line, "CONT\t%u\t%.*s\n", (unsigned)t->number, SLICE_ARG(base64));
		if (t->line.failed)
			task_fail(p, t, SLICE("\ttemp"));
		else
			enqueue(p, t);
		return;
	case TASK_QUEUED:
	case TASK_RUNNING:
		return;
	}
}

static struct task *task_add(struct sasl_pool *p, void *client, uint32_t id, enum kind kind)
{
	struct task *t = p->tasks < TASKS_MAX ? calloc(1, sizeof(*t)) : NULL;

	if (t == NULL)
		return NULL;
	t->client = client;
	t->id = id;
	t->kind = kind;
	do
		t->number = ++p->next;
	while (t->number == 0 || task_by_number(p, t->number) != NULL);
	t->state = TASK_FIRST;
	LIST_INSERT_HEAD(&p->by_client[id % PLACES], t, by_client);
	LIST_INSERT_HEAD(&p->by_number[t->number % PLACES], t, by_number);
	p->tasks++;
	return t;
}

/* Without the response, which is the last field. */
static struct slice fields_before(struct slice fields, struct slice response)
{
	size_t at = response.p != NULL ? (size_t)(response.p - fields.p) : fields.n + 6;

	return slice_sub(fields, 0, at < 6 ? 0 : at - 6);
}

bool sasl_task_new(
    struct sasl_pool *p, void *client, uint32_t id, struct slice mechanism, struct slice fields)
{
	struct slice response = dovecot_value(fields, SLICE("resp"));
	bool login = p->login && slice_eq(mechanism, SLICE("LOGIN"));
	/* The client speaks first, and says all at once. */
	bool once = login || slice_eq(mechanism, SLICE("PLAIN")) ||
	    slice_eq(mechanism, SLICE("OAUTHBEARER")) || slice_eq(mechanism, SLICE("XOAUTH2"));
	struct task *t;

	if (task_of(p, client, id) != NULL)
		return false;
	if ((t = task_add(p, client, id, once ? POOL_CHECKS : POOL_DIALOGUES)) == NULL)
		return false;
	(void)bytes_add(&t->head, login ? SLICE("PLAIN") : mechanism);
	(void)bytes_addc(&t->head, '\t');
	(void)bytes_add(&t->head, fields_before(fields, response));
	if (login && response.p != NULL)
		take_name(p, t, response);
	else if (login)
		ask(p, t, TASK_NAME, SLICE("\tVXNlcm5hbWU6"));
	else if (once && response.p == NULL)
		ask(p, t, TASK_FIRST, SLICE("\t"));
	else
		submit(p, t, response);
	return true;
}

/* The answer to what is running has to be waited for. */
static void give_up(struct sasl_pool *p, struct task *t)
{
	t->client = NULL;
	if (t->state == TASK_RUNNING)
		return;
	if (t->helper != NULL)
		helper_forget(t->helper, t->number);
	task_free(p, t);
}

void sasl_task_cancel(struct sasl_pool *p, void *client, uint32_t id)
{
	struct task *t = task_of(p, client, id);

	if (t != NULL)
		give_up(p, t);
}

void sasl_task_cancel_all(struct sasl_pool *p, void *client)
{
	for (size_t i = 0; i < PLACES; i++) {
		struct task *t, *next;

		for (t = LIST_FIRST(&p->by_client[i]); t != NULL; t = next) {
			next = LIST_NEXT(t, by_client);
			if (t->client == client)
				give_up(p, t);
		}
	}
}

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
	for (size_t i = 0; i < PLACES; i++) {
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
