#include "config.h"

#include "milterd/scanner_pool.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "milterd/scanner_job.h"
#include "weir/log.h"

enum {
	MASTERS_MAX = 8,   /* one serves, one loads, the others leave */
	STABLE_MS = 60000, /* a master that lived this long did not fail in a row */
	PAUSE_MIN_MS = 250,
	PAUSE_MAX_MS = 60000,
};

/* ---- loads ------------------------------------------------------------------------------------*/

static void load_end(struct scanner *s, bool good)
{
	s->load = LOAD_NONE;
	s->load_good = good;
	s->loads++;
	pthread_cond_broadcast(&s->changed);
}

/* Load again: at once after the first failure in a row, then later and later, for a repaired
 * database, or memory that is there again, needs no hand. */
static void load_again(struct scanner *s)
{
	const unsigned n = s->failures++;
	const int64_t pause = n == 0 ? 0 : (int64_t)PAUSE_MIN_MS << (n < 8 ? n : 8);

	s->load = LOAD_WANTED;
	s->load_at_ms = clock_ms() + (pause < PAUSE_MAX_MS ? pause : PAUSE_MAX_MS);
}

/* A current master stays in its place. Without one it is tried again, but for the very first load:
 * then scanner_start fails. */
static void load_refused(struct scanner *s, const char *why)
{
	const bool first = s->loads == 0;

	err_set(&s->refusal, "%s", why);
	if (!first)
		log_event(LOG_LEVEL_ERROR, "scanner-refused", "error", why, "serving",
		    s->current != NULL ? "old" : "none", NULL);
	load_end(s, false);
	if (s->current == NULL && !first && !s->stopping)
		load_again(s);
}

/* Start the candidate. The lock is let go meanwhile; only this thread changes the list. */
static void load_start(struct scanner *s)
{
	struct scanner_master *m = calloc(1, sizeof(*m));
	struct err e = { .text = "out of memory" };
	int rc = -1;

	s->load = LOAD_RUNNING;
	s->candidate = m;
	pthread_mutex_unlock(&s->lock);
	if (m != NULL)
		rc = process_start(&s->command, &m->process, &e);
	pthread_mutex_lock(&s->lock);
	if (rc < 0) {
		free(m);
		s->candidate = NULL;
		load_refused(s, e.text);
		return;
	}
	m->started_ms = clock_ms();
	m->kill_at_ms = m->started_ms + SCANNER_LOAD_MS;
	m->next = s->masters;
	s->masters = m;
}

/* ---- masters ----------------------------------------------------------------------------------*/

static void leave(struct scanner_master *m)
{
	if (m->state >= MASTER_LEAVING)
		return;
	process_drain(&m->process);
	m->kill_at_ms = m->state == MASTER_LOADING ? 1 : 0; /* it hears nothing while it loads */
	m->state = MASTER_LEAVING;
}

static void log_loaded(const struct scanner_master *m)
{
	struct log_line l;

	log_begin(&l, LOG_LEVEL_INFO, "scanner-loaded");
	log_int(&l, "signatures", m->signatures);
	log_int(&l, "pid", m->process.pid);
	log_int(&l, "ms", clock_ms() - m->started_ms);
	log_end(&l);
}

/* Its first worker is there: from here on scans go to the candidate. */
static void take_over(struct scanner *s)
{
	struct scanner_master *m = s->candidate;

	if (s->current != NULL)
		leave(s->current);
	pool_empty(s);
	s->current = m;
	s->candidate = NULL;
	s->signatures = m->signatures;
	log_loaded(m);
	load_end(s, true);
}

static void lost_current(struct scanner *s, const char *why)
{
	log_event(LOG_LEVEL_ERROR, "scanner-died", "error", why, NULL);
	if (clock_ms() - s->current->started_ms > STABLE_MS)
		s->failures = 0;
	pool_empty(s);
	s->current = NULL;
	err_set(&s->refusal, "%s", why);
	if (s->load == LOAD_NONE)
		load_again(s);
	pthread_cond_broadcast(&s->changed);
}

static void gone(struct scanner *s, struct scanner_master *m, const char *why)
{
	if (m->state == MASTER_GONE)
		return;
	m->state = MASTER_GONE;
	m->kill_at_ms = 0;
	if (m == s->candidate) {
		s->candidate = NULL;
		load_refused(s, why);
	} else if (m == s->current) {
		lost_current(s, why);
	}
}

/* One notice. False: the master breaks the protocol. */
static bool notice(
    struct scanner *s, struct scanner_master *m, const struct scanner_notice *n, int worker)
{
	switch (n->kind) {
	case SCANNER_LOADED:
		if (m->state != MASTER_LOADING)
			return false;
		m->signatures = n->value;
		m->state = MASTER_LOADED;
		m->kill_at_ms = clock_ms() + SCANNER_REPLACE_MS;
		return true;
	case SCANNER_REFUSED:
		gone(s, m, n->text[0] != '\0' ? n->text : "the scanner gave no reason");
		return true;
	default:
		if (m->state == MASTER_LOADED && m == s->candidate)
			take_over(s);
		if (m->state == MASTER_LOADED &&
		    pool_adopt(s, (struct scanner_worker){ m, worker, (pid_t)n->value }))
			return true;
		close(worker);
		return m->state == MASTER_LEAVING;
	}
}

static void hear(struct scanner *s, struct scanner_master *m)
{
	struct scanner_notice n;
	int worker, rc;

	/* A handful a turn, so that one that never stops talking does not keep the thread. */
	for (int turn = 0; turn < 16 && m->state != MASTER_GONE; turn++) {
		if ((rc = process_hear(&m->process, &n, &worker)) == 0)
			return;
		if (rc < 0 || !notice(s, m, &n, worker))
			gone(s, m, "the scanner ended or broke the protocol");
	}
}

static void check_time(struct scanner *s, struct scanner_master *m)
{
	if (m->kill_at_ms != 0 && m->kill_at_ms <= clock_ms())
		gone(s, m,
		    m->state == MASTER_LOADING ? "the scanner took too long to load"
					       : "the scanner hangs");
	if (m->state == MASTER_LEAVING && m->taken == 0 && m->kill_at_ms == 0) {
		process_leave(&m->process);
		m->kill_at_ms = clock_ms() + SCANNER_LEAVE_MS;
	}
}

/* True when nothing is left of m. Waiting for its end is done without the lock. */
static bool buried(struct scanner *s, struct scanner_master *m)
{
	if (m->state != MASTER_GONE)
		return false;
	pthread_mutex_unlock(&s->lock);
	process_end(&m->process);
	pthread_mutex_lock(&s->lock);
	return m->taken == 0;
}

static void bury(struct scanner *s)
{
	struct scanner_master **at = &s->masters;

	while (*at != NULL) {
		struct scanner_master *m = *at;

		check_time(s, m);
		if (!buried(s, m)) {
			at = &m->next;
			continue;
		}
		*at = m->next;
		process_free(&m->process);
		free(m);
	}
}

/* ---- the loop ---------------------------------------------------------------------------------*/

static int64_t sooner(int64_t a_ms, int64_t b_ms)
{
	return a_ms == 0 || (b_ms != 0 && b_ms < a_ms) ? b_ms : a_ms;
}

struct watch {
	struct pollfd fds[1 + MASTERS_MAX];
	struct scanner_master *masters[1 + MASTERS_MAX];
	nfds_t n;
	int64_t until_ms; /* 0: no end */
};

static void watch_fill(struct scanner *s, struct watch *w)
{
	*w = (struct watch){ .n = 1 };
	w->fds[0] = (struct pollfd){ .fd = s->wake, .events = POLLIN };
	if (s->load == LOAD_WANTED && s->load_at_ms > clock_ms())
		w->until_ms = s->load_at_ms;
	for (struct scanner_master *m = s->masters; m != NULL; m = m->next) {
		w->until_ms = sooner(w->until_ms, m->kill_at_ms);
		if (m->state == MASTER_GONE || w->n == COUNT(w->fds))
			continue;
		w->fds[w->n] = (struct pollfd){ .fd = m->process.fd, .events = POLLIN };
		w->masters[w->n++] = m;
	}
}

static void watch_wait(struct scanner *s, struct watch *w)
{
	int64_t left = w->until_ms != 0 ? w->until_ms - clock_ms() : -1;
	uint64_t seen;

	if (w->until_ms != 0 && left < 0)
		left = 0;
	if (poll(w->fds, w->n, (int)left) > 0 && w->fds[0].revents != 0)
		while (read(s->wake, &seen, sizeof(seen)) > 0)
			continue;
}

static size_t count(const struct scanner_master *m)
{
	size_t n = 0;

	for (; m != NULL; m = m->next)
		n++;
	return n;
}

/* A scan in hand is not waited for: its worker dies with the master. */
static void stop_all(struct scanner *s)
{
	pool_empty(s);
	for (struct scanner_master *m = s->masters; m != NULL; m = m->next) {
		leave(m);
		if (m->taken > 0 && m->state == MASTER_LEAVING)
			m->kill_at_ms = 1;
	}
	s->current = s->candidate = NULL;
	s->load = LOAD_NONE;
	err_set(&s->refusal, "stopped");
	pthread_cond_broadcast(&s->changed);
}

void *scanner_keeper(void *arg)
{
	struct scanner *s = arg;
	struct watch w;

	pthread_mutex_lock(&s->lock);
	for (;;) {
		if (s->stopping)
			stop_all(s);
		else if (s->load == LOAD_WANTED && s->load_at_ms <= clock_ms() &&
		    count(s->masters) < MASTERS_MAX)
			load_start(s);
		bury(s);
		if (s->stopping && s->masters == NULL)
			break;
		watch_fill(s, &w);
		pthread_mutex_unlock(&s->lock);
		watch_wait(s, &w);
		pthread_mutex_lock(&s->lock);
		for (nfds_t i = 1; i < w.n; i++)
			if (w.fds[i].revents != 0)
				hear(s, w.masters[i]);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}
