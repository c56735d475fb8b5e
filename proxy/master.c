#include "config.h"

#include "master.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>

#include "proxy/auth/sasl_service.h"
#include "proxy/control/admin.h"
#include "proxy/control/pressure.h"
#include "proxy/control/shared.h"
#include "proxy/filter/chain.h"
#include "proxy/privileges.h"
#include "proxy/sockets.h"
#include "proxy/tls/client.h"
#include "proxy/tls/store.h"
#include "proxy/tls/tickets.h"
#include "proxy/worker.h"
#include "weir/log.h"

/* A worker that died young is started again after 100 ms, 200 ms .. 12.8 s. */
#define BACKOFF_MS(deaths) (100 << ((deaths) > 7 ? 7 : (deaths)))
#define YOUNG_MS           10000
/* After the workers' own end of draining they are killed. */
#define KILL_AFTER_S 5
/* How often files of certificates are looked at. One that changed is read when it has stood still
 * for so long. */
#define RENEWAL_US 500000

/* One worker's place: who is in it, and when another is due. */
struct place {
	struct master *master;
	int slot; /* in the shared table, -1 when nobody is in */
	pid_t pid;
	unsigned index, deaths;
	int64_t started_ms;
	struct event *again;
};

struct master {
	struct event_base *base;
	const char *path;
	struct settings *settings;
	struct shared *shared;
	struct sockets sockets;
	struct place *places; /* of the present generation */
	size_t count;
	pid_t retired[SHARED_SLOTS]; /* by slot: workers of earlier generations */
	struct event *signals[4];
	struct event *kill_timer;
	struct admin *admin;
	struct tls_store *certificates;
	struct ticket_secret tickets;
	struct sasl_service *sasl; /* NULL: no listener asks it */
	struct event *renewal;     /* looks whether files of certificates changed */
	bool stopping, background;
};

/* ---- workers ------------------------------------------------------------------------------ */

static size_t worker_count(const struct proxy_settings *p)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	if (p->workers > 0)
		return (size_t)p->workers;
	return cores < 1 ? 1 : cores > 256 ? 256 : (size_t)cores;
}

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

static void become_worker(struct master *m, pid_t parent, int slot, unsigned index)
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
	rc = worker_run(m->settings, m->shared, slot, sockets, n,
	    &(struct worker_tls){ m->certificates, &m->tickets }, sasl);
	tls_store_free(&m->certificates);
	OPENSSL_cleanse(&m->tickets, sizeof(m->tickets));
	free(sockets);
	free(m->places);
	settings_free(m->settings);
	free(m->settings);
	free(m);
	exit(rc); /* NOLINT(concurrency-mt-unsafe): one thread */
}

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
		become_worker(m, parent, slot, p->index);
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

static int places_new(struct master *m, struct place **out, size_t n, struct err *e)
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

static void places_free(struct place *v, size_t n)
{
	for (size_t i = 0; v != NULL && i < n; i++)
		if (v[i].again != NULL)
			event_free(v[i].again);
	free(v);
}

static bool anybody_left(const struct master *m)
{
	for (unsigned i = 0; i < SHARED_SLOTS; i++)
		if (atomic_load(&m->shared->slots[i].pid) != 0)
			return true;
	return false;
}

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
		(void)sasl_service_died(m->sasl, pid, status);
		return;
	}
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || (p != NULL && !m->stopping))
		log_death(pid, status);
	m->retired[slot] = 0;
	shared_give_back(m->shared, slot);
	if (p != NULL)
		replace(p);
}

static void on_child(evutil_socket_t number, short what, void *arg)
{
	struct master *m = arg;
	pid_t pid;
	int status;

	(void)number;
	(void)what;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		bury(m, pid, status);
	if (m->stopping && !anybody_left(m))
		event_base_loopbreak(m->base);
}

static void signal_everybody(struct master *m, int number)
{
	for (unsigned i = 0; i < SHARED_SLOTS; i++) {
		int pid = atomic_load(&m->shared->slots[i].pid);

		if (pid > 0)
			(void)kill(pid, number);
	}
}

/* ---- reload ------------------------------------------------------------------------------- */

static void retire_generation(struct master *m, struct place *places, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (places[i].slot < 0)
			continue;
		m->retired[places[i].slot] = places[i].pid;
		(void)kill(places[i].pid, SIGUSR1);
	}
}

static json_t *findings_answer(const struct findings *f)
{
	json_t *list = json_array();

	for (size_t i = 0; i < f->n; i++)
		(void)json_array_append_new(list, json_string(f->v[i].text));
	return json_pack("{s:b,s:o}", "ok", 0, "findings", list);
}

static void log_findings(const struct findings *f)
{
	for (size_t i = 0; i < f->n; i++)
		log_event(f->v[i].level == FINDING_ERROR ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN,
		    "configuration", "finding", f->v[i].text, NULL);
}

static void log_listening(const struct master *m)
{
	for (size_t i = 0; i < m->sockets.n; i++) {
		struct endpoint ep = m->sockets.v[i].endpoint;
		char text[ENDPOINT_TEXT_MAX];

		if (!ep.local)
			ep.port = socket_port(m->sockets.v[i].fds[0]);
		log_event(LOG_LEVEL_INFO, "listening", "address", endpoint_text(&ep, text), NULL);
	}
}

static bool same_control(const struct endpoint *a, const struct endpoint *b)
{
	char one[ENDPOINT_TEXT_MAX], other[ENDPOINT_TEXT_MAX];

	return strcmp(endpoint_text(a, one), endpoint_text(b, other)) == 0;
}

/* Would n workers come to run with these settings? What keeps each of them from its work must be
 * known while the old ones still accept. */
static int check_workers(
    struct master *m, const struct proxy_settings *fresh, size_t n, struct err *e)
{
	struct filters *filters;

	if (shared_free_slots(m->shared) < n)
		return err_set(e, "too many workers of earlier reloads still run");
	if ((filters = filters_new(m->base, fresh, e)) == NULL)
		return -1;
	filters_free(&filters);
	return 0;
}

static int make_sasl(
    struct master *m, const struct proxy_settings *p, struct sasl_service **out, struct err *e)
{
	if (!sasl_wanted(p))
		return 0;
	*out = sasl_service_new(m->base, leave_master, m, e);
	return *out != NULL ? 0 : -1;
}

static void start_sasl(struct master *m)
{
	if (m->sasl != NULL)
		sasl_service_start(m->sasl, &m->settings->proxy);
}

/* Put the new settings in force: sockets first, for they may fail. */
static int switch_to(
    struct master *m, struct settings *fresh, struct tls_store *certificates, struct findings *f)
{
	size_t n = worker_count(&fresh->proxy), old_n = m->count;
	struct place *places = NULL, *old = m->places;
	struct sasl_service *sasl = NULL;
	struct sockets sockets;
	struct err e;

	if (check_workers(m, &fresh->proxy, n, &e) < 0 ||
	    sockets_open(&sockets, &fresh->proxy, n, &m->sockets, &e) < 0)
		return findings_add(f, FINDING_ERROR, "%s", e.text);
	if (places_new(m, &places, n, &e) < 0 || make_sasl(m, &fresh->proxy, &sasl, &e) < 0 ||
	    log_open("weir-proxy", log_place(fresh->log.to, m->background), fresh->log.format,
		fresh->log.level, &e) < 0) {
		places_free(places, n);
		sasl_service_close(&sasl);
		sockets_close(&sockets);
		return findings_add(f, FINDING_ERROR, "%s", e.text);
	}
	if (!same_control(&m->settings->proxy.control, &fresh->proxy.control))
		findings_add(f, FINDING_WARNING,
		    "/proxy/control: the control socket stays where it is until a restart");
	sockets_close(&m->sockets);
	m->sockets = sockets;
	tls_store_free(&m->certificates);
	m->certificates = certificates;
	settings_free(m->settings);
	*m->settings = *fresh;
	m->places = places;
	m->count = n;
	/* From here on the old ones accept no more, whenever the signal reaches them. */
	atomic_fetch_add(&m->shared->generation, 1);
	sasl_service_retire(&m->sasl);
	m->sasl = sasl;
	start_sasl(m);
	for (size_t i = 0; i < n; i++)
		start_worker(&places[i]);
	retire_generation(m, old, old_n);
	places_free(old, old_n);
	return 0;
}

static json_t *reload(struct master *m)
{
	struct settings fresh;
	struct findings f = { 0 };
	struct tls_store *certificates = NULL;
	json_t *answer;

	if (m->stopping)
		return json_pack("{s:b,s:s}", "ok", 0, "error", "shutting down");
	if (settings_load(m->path, &fresh, &f) < 0 ||
	    (certificates = tls_store_load(&fresh, m->certificates, &f)) == NULL ||
	    tls_clients_check(&fresh, &f) < 0 || switch_to(m, &fresh, certificates, &f) < 0) {
		tls_store_free(&certificates);
		settings_free(&fresh);
		answer = findings_answer(&f);
		log_findings(&f);
		log_event(LOG_LEVEL_ERROR, "reload", "result",
		    "refused, the old configuration stays", NULL);
	} else {
		log_findings(&f);
		log_event(LOG_LEVEL_INFO, "reload", "result", "done", NULL);
		pressure_warn(&m->settings->proxy, m->count);
		log_listening(m);
		answer = json_pack("{s:b,s:i}", "ok", 1, "workers", (int)m->count);
	}
	findings_free(&f);
	return answer;
}

/* ---- control ------------------------------------------------------------------------------ */

static json_t *worker_status(const struct shared_slot *w, bool retired)
{
	return json_pack("{s:i,s:I,s:I,s:b}", "pid", atomic_load(&w->pid), "sessions",
	    (json_int_t)atomic_load(&w->sessions), "messages",
	    (json_int_t)atomic_load(&w->messages), "retiring", retired);
}

static json_t *login_status(const struct penalties *p)
{
	return json_pack("{s:I,s:I,s:I,s:I}", "good", (json_int_t)atomic_load(&p->logged_in),
	    "failed", (json_int_t)atomic_load(&p->failures), "bans",
	    (json_int_t)atomic_load(&p->bans), "refused", (json_int_t)atomic_load(&p->refused));
}

static json_t *status(struct master *m)
{
	struct shared_sums sums = shared_sum(m->shared);
	json_t *workers = json_array();

	for (unsigned i = 0; i < SHARED_SLOTS; i++)
		if (atomic_load(&m->shared->slots[i].pid) > 0)
			(void)json_array_append_new(
			    workers, worker_status(&m->shared->slots[i], m->retired[i] != 0));
	return json_pack("{s:b,s:s,s:s,s:i,s:o,s:o,s:I,s:I,s:I,s:I,s:o,s:I,s:b,s:I}", "ok", 1,
	    "program", "weir-proxy", "version", PACKAGE_VERSION, "pid", (int)getpid(), "workers",
	    workers, "certificates", tls_store_status(m->certificates), "sessions",
	    (json_int_t)sums.sessions, "sessions_total", (json_int_t)sums.sessions_total,
	    "messages", (json_int_t)sums.messages, "refused", (json_int_t)sums.refused, "logins",
	    login_status(&m->shared->penalties), "restarts",
	    (json_int_t)atomic_load(&m->shared->restarts), "stress",
	    atomic_load(&m->shared->stressed) > 0, "memory_bytes", (json_int_t)sums.memory);
}

static json_t *on_control(const char *command, json_t *request, void *arg)
{
	struct master *m = arg;

	(void)request;
	if (strcmp(command, "status") == 0)
		return status(m);
	if (strcmp(command, "reload") == 0)
		return reload(m);
	return json_pack("{s:b,s:s}", "ok", 0, "error", "unknown command");
}

/* ---- certificates ------------------------------------------------------------------------- */

static void on_renewal(evutil_socket_t fd, short what, void *arg)
{
	struct master *m = arg;

	(void)fd;
	(void)what;
	if (tls_store_renew(m->certificates, true))
		atomic_fetch_add(&m->shared->certificates, 1);
}

static int tell_findings(struct findings *f, bool good, struct err *e)
{
	findings_print(f, stderr);
	findings_free(f);
	return good ? 0 : err_set(e, "TLS: see above");
}

/* Before the privileges go. */
static int load_certificates(struct master *m, struct err *e)
{
	struct findings f = { 0 };

	m->certificates = tls_store_load(m->settings, NULL, &f);
	if (tell_findings(&f, m->certificates != NULL, e) < 0)
		return -1;
	return ticket_secret_init(&m->tickets, e);
}

/* And after: what workers read themselves, authorities mostly. */
static int check_tls(const struct master *m, struct err *e)
{
	struct findings f = { 0 };
	bool good = tls_store_try(m->certificates, m->settings, &f) == 0 &&
	    tls_clients_check(m->settings, &f) == 0;

	return tell_findings(&f, good, e);
}

/* ---- life --------------------------------------------------------------------------------- */

static void on_reload(evutil_socket_t number, short what, void *arg)
{
	(void)number;
	(void)what;
	json_decref(reload(arg));
}

static void on_stop(evutil_socket_t number, short what, void *arg)
{
	struct master *m = arg;
	int64_t patience = m->settings->proxy.timeouts.drain_s + KILL_AFTER_S;

	(void)number;
	(void)what;
	if (m->stopping)
		return;
	m->stopping = true;
	log_event(LOG_LEVEL_INFO, "stopping", NULL);
	/* Who comes now is refused by the kernel and goes elsewhere, instead of waiting for nobody.
	 */
	sockets_close(&m->sockets);
	signal_everybody(m, SIGTERM);
	event_add(m->kill_timer, &(struct timeval){ .tv_sec = patience });
	if (!anybody_left(m))
		event_base_loopbreak(m->base);
}

static void on_kill(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	log_event(LOG_LEVEL_ERROR, "stopping", "error", "workers did not end, killed", NULL);
	signal_everybody(arg, SIGKILL);
}

static int watch_signals(struct master *m, struct err *e)
{
	const struct {
		int number;
		event_callback_fn run;
	} wanted[] = { { SIGCHLD, on_child }, { SIGTERM, on_stop }, { SIGINT, on_stop },
		{ SIGHUP, on_reload } };

	for (size_t i = 0; i < COUNT(wanted); i++) {
		m->signals[i] = evsignal_new(m->base, wanted[i].number, wanted[i].run, m);
		if (m->signals[i] == NULL || event_add(m->signals[i], NULL) < 0)
			return err_set(e, "out of memory");
	}
	m->kill_timer = evtimer_new(m->base, on_kill, m);
	m->renewal = event_new(m->base, -1, EV_PERSIST, on_renewal, m);
	if (m->kill_timer == NULL || m->renewal == NULL)
		return err_set(e, "out of memory");
	event_add(m->renewal, &(struct timeval){ .tv_usec = RENEWAL_US });
	return 0;
}

/* A second master on the same ports would get its share of the connections: SO_REUSEPORT lets
 * whoever has the same user in. So it is asked for first. */
static int alone(const struct proxy_settings *p, struct err *e)
{
	char text[ENDPOINT_TEXT_MAX];
	int fd = endpoint_connect(&p->control, 1000, NULL);

	if (fd < 0)
		return 0;
	close(fd);
	return err_set(e, "control socket %s: another weir-proxy runs there (proxy.control)",
	    endpoint_text(&p->control, text));
}

/* All that may fail, before anybody is told that we run. */
static int master_init(struct master *m, struct err *e)
{
	const struct proxy_settings *p = &m->settings->proxy;

	m->count = worker_count(p);
	privileges_raise_limits();
	if (alone(p, e) < 0 || (m->shared = shared_new(e)) == NULL ||
	    sockets_open(&m->sockets, p, m->count, NULL, e) < 0 || load_certificates(m, e) < 0 ||
	    privileges_leave_root(m->settings, e) < 0 || check_tls(m, e) < 0)
		return -1;
	if ((m->base = event_base_new()) == NULL)
		return err_set(e, "out of memory");
	if (watch_signals(m, e) < 0 || places_new(m, &m->places, m->count, e) < 0 ||
	    make_sasl(m, p, &m->sasl, e) < 0)
		return -1;
	m->admin = admin_open(m->base, &p->control, on_control, m, e);
	return m->admin != NULL ? 0 : -1;
}

static void master_free(struct master *m)
{
	sasl_service_stop(&m->sasl);
	places_free(m->places, m->count);
	admin_close(&m->admin, true);
	for (size_t i = 0; i < COUNT(m->signals); i++)
		if (m->signals[i] != NULL)
			event_free(m->signals[i]);
	if (m->kill_timer != NULL)
		event_free(m->kill_timer);
	if (m->renewal != NULL)
		event_free(m->renewal);
	if (m->base != NULL)
		event_base_free(m->base);
	sockets_close(&m->sockets);
	shared_free(&m->shared);
	tls_store_free(&m->certificates);
	OPENSSL_cleanse(&m->tickets, sizeof(m->tickets));
	settings_free(m->settings);
	free(m->settings);
	free(m);
}

int master_run(const char *path, struct settings *settings, bool foreground)
{
	struct master *m = calloc(1, sizeof(*m));
	struct settings *own = malloc(sizeof(*own));
	struct err e = { "out of memory" };

	if (m == NULL || own == NULL) {
		settings_free(settings);
		free(own);
		free(m);
		return EXIT_FAILURE;
	}
	*own = *settings;
	m->settings = own;
	m->path = path;
	if (master_init(m, &e) < 0) {
		fprintf(stderr, "weir-proxy: %s\n", e.text);
		master_free(m);
		return EXIT_FAILURE;
	}
	m->background = !foreground;
	/* From here on, nobody reads what goes to standard error. */
	if (log_place(own->log.to, m->background) != own->log.to)
		(void)log_open("weir-proxy", log_place(own->log.to, m->background), own->log.format,
		    own->log.level, &e);
	if (!foreground && (daemon(1, 0) < 0 || event_reinit(m->base) < 0)) {
		fprintf(stderr, "weir-proxy: cannot go into the background: %s\n", strerror(errno));
		master_free(m);
		return EXIT_FAILURE;
	}
	start_sasl(m);
	for (size_t i = 0; i < m->count; i++)
		start_worker(&m->places[i]);
	pressure_warn(&m->settings->proxy, m->count);
	log_listening(m);
	tls_store_check_access(m->certificates);
	event_base_dispatch(m->base);
	log_event(LOG_LEVEL_INFO, "stopped", NULL);
	master_free(m);
	return EXIT_SUCCESS;
}
