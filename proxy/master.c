#include "config.h"

#include "master.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "master_inside.h"
#include "proxy/control/pressure.h"
#include "proxy/control/status.h"
#include "proxy/privileges.h"
#include "proxy/tls/client.h"
#include "weir/log.h"

/* After the workers' own end of draining they are killed. */
#define KILL_AFTER_S 5
/* How often files of certificates are looked at. One that changed is read when it has stood still
 * for so long. */
#define RENEWAL_US 500000

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

/* ---- control ------------------------------------------------------------------------------ */

static json_t *on_control(const char *command, json_t *request, void *arg)
{
	struct master *m = arg;

	(void)request;
	if (strcmp(command, "status") == 0)
		return status_answer(m->shared, m->retired, m->certificates);
	if (strcmp(command, "reload") == 0)
		return master_reload(m);
	return json_pack("{s:b,s:s}", "ok", 0, "error", "unknown command");
}

/* ---- signals and timers ------------------------------------------------------------------- */

static void on_child(evutil_socket_t number, short what, void *arg)
{
	struct master *m = arg;

	(void)number;
	(void)what;
	workers_reap(m);
	if (m->stopping && !workers_left(m))
		event_base_loopbreak(m->base);
}

static void on_reload(evutil_socket_t number, short what, void *arg)
{
	(void)number;
	(void)what;
	json_decref(master_reload(arg));
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
	workers_signal(m, SIGTERM);
	event_add(m->kill_timer, &(struct timeval){ .tv_sec = patience });
	if (!workers_left(m))
		event_base_loopbreak(m->base);
}

static void on_kill(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	log_event(LOG_LEVEL_ERROR, "stopping", "error", "workers did not end, killed", NULL);
	workers_signal(arg, SIGKILL);
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

/* ---- life --------------------------------------------------------------------------------- */

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

	m->count = workers_wanted(p);
	privileges_raise_limits();
	if (alone(p, e) < 0 || (m->shared = shared_new(e)) == NULL ||
	    sockets_open(&m->sockets, p, m->count, NULL, e) < 0 || load_certificates(m, e) < 0 ||
	    privileges_leave_root(m->settings, e) < 0 || check_tls(m, e) < 0)
		return -1;
	if ((m->base = event_base_new()) == NULL)
		return err_set(e, "out of memory");
	if (watch_signals(m, e) < 0 || places_new(m, &m->places, m->count, e) < 0 ||
	    workers_make_sasl(m, p, &m->sasl, e) < 0)
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

void master_announce(const struct master *m)
{
	pressure_warn(&m->settings->proxy, m->count);
	for (size_t i = 0; i < m->sockets.n; i++) {
		struct endpoint ep = m->sockets.v[i].endpoint;
		char text[ENDPOINT_TEXT_MAX];

		if (!ep.local)
			ep.port = socket_port(m->sockets.v[i].fds[0]);
		log_event(LOG_LEVEL_INFO, "listening", "address", endpoint_text(&ep, text), NULL);
	}
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
	workers_start(m);
	master_announce(m);
	tls_store_check_access(m->certificates);
	event_base_dispatch(m->base);
	log_event(LOG_LEVEL_INFO, "stopped", NULL);
	master_free(m);
	return EXIT_SUCCESS;
}
