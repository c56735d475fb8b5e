#include "config.h"

#include "master_inside.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proxy/worker.h"
#include "weir/log.h"

/* A worker that died young is started again after 100 ms, 200 ms .. 12.8 s. */
#define BACKOFF_MS(deaths) (100 << ((deaths) > 7 ? 7 : (deaths)))
#define YOUNG_MS           10000

/* ---- the sockets of each ------------------------------------------------------------------ */

/* The sockets that worker `index` accepts from: every count-th. Where there are fewer sockets than
 * workers, some share. */
static size_t assign_sockets(
    const struct master *m, unsigned index, struct worker_socket *to, size_t max)
{
	const struct listen_settings *l = m->settings->proxy.listen.v;
	size_t n = 0;

	for (size_t i = 0; i < m->sockets.n; i++) {
		const struct sockets_entry *entry = &m->sockets.v[i];

		if (entry->count <= index)
			to[n++] = (struct worker_socket){ entry->fds[index % entry->count], &l[i] };
		for (size_t k = index; k < entry->count && n < max; k += m->count)
			to[n++] = (struct worker_socket){ entry->fds[k], &l[i] };
	}
	return n;
}

/* Does this worker accept from fd? */
static bool is_own(int fd, const struct worker_socket *own, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (own[i].fd == fd)
			return true;
	return false;
}

/* The worker's own sockets are its listeners' from here on; the others' are closed: one that a
 * reload took out of the configuration must not stay open, with nobody to answer on it, for as long
 * as some worker lives that never accepted from it. */
static void give_to_listeners(struct sockets *s, const struct worker_socket *own, size_t n)
{
	for (size_t i = 0; i < s->n; i++) {
		for (size_t k = 0; k < s->v[i].count; k++)
			if (!is_own(s->v[i].fds[k], own, n))
				close(s->v[i].fds[k]);
		s->v[i].count = 0;
	}
	sockets_close(s);
}

/* ---- in the child ------------------------------------------------------------------------- */

/* In the child: nothing of the master's loop may live on. */
static void leave_loop(struct master *m)
{
	(void)event_reinit(m->base);
	for (size_t i = 0; i < COUNT(m->signals); i++)
		event_free(m->signals[i]);
	event_free(m->kill_timer);
	event_free(m->renewal);
	admin_close(&m->admin, false);
	for (size_t i = 0; i < m->count; i++)
		if (m->places[i].again != NULL)
			event_free(m->places[i].again);
	sasl_service_close(&m->sasl);
	event_base_free(m->base);
}

/* The SASL process has no business with sockets and keys. */
static void leave_master(void *arg)
{
	struct master *m = arg;

	leave_loop(m);
	sockets_close(&m->sockets);
	tls_store_free(&m->certificates);
	OPENSSL_cleanse(&m->tickets, sizeof(m->tickets));
}

static void become_worker(
    struct master *m, pid_t parent, unsigned index, struct worker_birth *birth)
{
	char sasl[SASL_SOCKET_MAX];
	struct worker_socket *sockets;
	size_t max = 0, n;
	int rc;

	/* A master that is killed takes its workers with it; it may have been before we asked. */
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(EXIT_FAILURE);
	(void)snprintf(sasl, sizeof(sasl), "%s", sasl_service_socket(m->sasl));
	leave_loop(m);
	for (size_t i = 0; i < m->sockets.n; i++)
		max += m->sockets.v[i].count + 1;
	if ((sockets = calloc(max + 1, sizeof(*sockets))) == NULL)
		_exit(EXIT_FAILURE);
	n = assign_sockets(m, index, sockets, max);
	give_to_listeners(&m->sockets, sockets, n);
	birth->sockets = sockets;
	birth->socket_count = n;
	birth->sasl_socket = sasl;
	rc = worker_run(birth);
	tls_store_free(&m->certificates);
	OPENSSL_cleanse(&m->tickets, sizeof(m->tickets));
	free(sockets);
	free(m->places);
	settings_free(m->settings);
	free(m->settings);
	free(m);
	exit(rc); /* NOLINT(concurrency-mt-unsafe): one thread */
}

/* ---- start -------------------------------------------------------------------------------- */

static void try_later(struct place *p)
{
	long ms = BACKOFF_MS(p->deaths);

	p->deaths++;
	event_add(p->again, &(struct timeval){ .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 });
}

static void start_worker(struct place *p)
{
	struct master *m = p->master;
	int slot = shared_take_slot(m->shared);
	struct worker_birth birth = { .settings = m->settings,
		.shared = m->shared,
		.slot = slot,
		.generation = atomic_load(&m->shared->generation),
		.certificates_seen = atomic_load(&m->shared->certificates),
		.certificates = m->certificates,
		.tickets = &m->tickets };
	pid_t parent = getpid(), pid;
	sigset_t were;

	if (slot < 0) {
		log_event(LOG_LEVEL_ERROR, "worker", "error",
		    "too many workers of earlier reloads still run", NULL);
		try_later(p);
		return;
	}
	/* A signal for a worker that has no handlers of its own yet would be taken by the master's,
	 * whose socket pair it still shares, or lost, or be its death: it waits instead. */
	worker_hold_signals(&were);
	ticket_secret_advance(&m->tickets);
	if ((pid = fork()) == 0)
		become_worker(m, parent, p->index, &birth);
	(void)sigprocmask(SIG_SETMASK, &were, NULL);
	if (pid < 0) {
		log_event(LOG_LEVEL_ERROR, "worker", "error", strerror(errno), NULL);
		shared_give_back(m->shared, slot);
		try_later(p);
		return;
	}
	atomic_store(&m->shared->slots[slot].pid, pid);
	p->slot = slot;
	p->pid = pid;
	p->started_ms = clock_ms();
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
	struct place *p = arg;

	(void)fd;
	(void)what;
	if (!p->master->stopping)
		start_worker(p);
}

int places_new(struct master *m, struct place **out, size_t n, struct err *e)
{
	if ((*out = calloc(n, sizeof(**out))) == NULL)
		return err_set(e, "out of memory");
	for (size_t i = 0; i < n; i++) {
		(*out)[i] = (struct place){ .master = m, .slot = -1, .index = (unsigned)i };
		if (((*out)[i].again = evtimer_new(m->base, on_again, &(*out)[i])) == NULL)
			return err_set(e, "out of memory");
	}
	return 0;
}

void places_free(struct place *v, size_t n)
{
	for (size_t i = 0; v != NULL && i < n; i++)
		if (v[i].again != NULL)
			event_free(v[i].again);
	free(v);
}

size_t workers_wanted(const struct proxy_settings *p)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	if (p->workers > 0)
		return (size_t)p->workers;
	return cores < 1 ? 1 : cores > 256 ? 256 : (size_t)cores;
}

int workers_make_sasl(
    struct master *m, const struct proxy_settings *p, struct sasl_service **out, struct err *e)
{
	if (!sasl_wanted(p))
		return 0;
	*out = sasl_service_new(m->base, leave_master, m, e);
	return *out != NULL ? 0 : -1;
}

void workers_start(struct master *m)
{
	if (m->sasl != NULL)
		sasl_service_start(m->sasl, &m->settings->proxy);
	for (size_t i = 0; i < m->count; i++)
		start_worker(&m->places[i]);
}

/* ---- death -------------------------------------------------------------------------------- */

static void log_death(pid_t pid, int status)
{
	char text[64];

	if (WIFSIGNALED(status))
		(void)snprintf(
		    text, sizeof(text), "pid %ld: signal %d", (long)pid, WTERMSIG(status));
	else
		(void)snprintf(
		    text, sizeof(text), "pid %ld: exit status %d", (long)pid, WEXITSTATUS(status));
	log_event(LOG_LEVEL_ERROR, "worker_died", "what", text, NULL);
}

static struct place *place_of(struct master *m, pid_t pid)
{
	for (size_t i = 0; i < m->count; i++)
		if (m->places[i].slot >= 0 && m->places[i].pid == pid)
			return &m->places[i];
	return NULL;
}

/* A worker of the present generation is gone, and another takes its place. */
static void replace(struct place *p)
{
	struct master *m = p->master;

	p->slot = -1;
	if (m->stopping)
		return;
	atomic_fetch_add(&m->shared->restarts, 1);
	if (clock_ms() - p->started_ms > YOUNG_MS)
		p->deaths = 0;
	try_later(p);
}

static void bury(struct master *m, pid_t pid, int status)
{
	struct place *p = place_of(m, pid);
	int slot = p != NULL ? p->slot : -1;

	for (int i = 0; slot < 0 && i < SHARED_SLOTS; i++)
		if (m->retired[i] == pid)
			slot = i;
	if (slot < 0) {
		(void)sasl_service_died(m->sasl, pid, status, m->stopping);
		return;
	}
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || (p != NULL && !m->stopping))
		log_death(pid, status);
	m->retired[slot] = 0;
	shared_give_back(m->shared, slot);
	if (p != NULL)
		replace(p);
}

void workers_reap(struct master *m)
{
	pid_t pid;
	int status;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		bury(m, pid, status);
}

/* ---- all of them -------------------------------------------------------------------------- */

void workers_retire(struct master *m, const struct place *places, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (places[i].slot < 0)
			continue;
		m->retired[places[i].slot] = places[i].pid;
		(void)kill(places[i].pid, SIGUSR1);
	}
}

void workers_signal(struct master *m, int number)
{
	for (unsigned i = 0; i < SHARED_SLOTS; i++) {
		int pid = atomic_load(&m->shared->slots[i].pid);

		if (pid > 0)
			(void)kill(pid, number);
	}
}

bool workers_left(const struct master *m)
{
	for (unsigned i = 0; i < SHARED_SLOTS; i++)
		if (atomic_load(&m->shared->slots[i].pid) != 0)
			return true;
	return false;
}
