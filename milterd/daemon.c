#include "config.h"

#include "milterd/daemon.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "weir/control.h"
#include "weir/log.h"

enum { DELAY_MAX_MS = 60000, SETTLE_MS = 500 };

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int daemon_load(struct milterd *d, struct findings *f)
{
	if (settings_load(d->config_path, &d->settings, f) < 0 ||
	    (d->engine = engine_new(&d->settings.milterd, &d->services, f)) == NULL)
		return -1;
	return 0;
}

void daemon_free(struct milterd *d)
{
	engine_unref(&d->engine);
	settings_free(&d->settings);
}

/* ---- services ---------------------------------------------------------------------------- */

static bool anything_reads(const struct engine *g, const char *provider)
{
	size_t n;
	const struct fact_ref *refs = ruleset_facts(g->rules, &n);

	for (size_t i = 0; i < n; i++)
		if (strcmp(refs[i].provider->name, provider) == 0)
			return true;
	return false;
}

static void start_store(struct milterd *d)
{
	const struct milterd_settings *s = &d->settings.milterd;
	struct err e;

	d->services.store = store_open(s->store, (uint64_t)s->store_bytes, 0, &e);
	if (d->services.store != NULL)
		d->services.bayes = bayes_open(d->services.store, &e);
	if (d->services.bayes == NULL)
		log_event(LOG_LEVEL_ERROR, "store", "error", e.text, "consequence",
		    "the facts of bayes are unknown until the daemon is started again", NULL);
}

/* A gigabyte of signatures is not loaded for rules that ask for none of it. */
static void start_scanner(struct milterd *d)
{
	struct err e;

	if (!d->settings.milterd.antivirus.enabled || !anything_reads(d->engine, "virus"))
		return;
	d->services.scanner = scanner_start(&d->settings.milterd, d->program, &e);
	if (d->services.scanner == NULL)
		log_event(LOG_LEVEL_ERROR, "antivirus", "error", e.text, "consequence",
		    "MESSAGES ARE NOT SCANNED for viruses until the daemon is started again", NULL);
}

void daemon_services_start(struct milterd *d)
{
	start_scanner(d);
	start_store(d);
}

void daemon_services_stop(struct milterd *d)
{
	scanner_stop(&d->services.scanner);
	bayes_close(&d->services.bayes);
	store_close(&d->services.store);
}

/* ---- sessions and messages --------------------------------------------------------------- */

struct engine *daemon_session_begin(struct milterd *d, uint64_t *number)
{
	struct engine *g = NULL;

	pthread_mutex_lock(&d->lock);
	if (d->state == DAEMON_RUNS && d->sessions < (uint64_t)d->settings.milterd.sessions) {
		g = engine_ref(d->engine);
		d->sessions++;
	}
	/* Numbers of one life of the daemon and the next should not be the same in one log. */
	*number = ((uint64_t)d->started & 0xffff) << 16 | (++d->connections & 0xffff);
	pthread_mutex_unlock(&d->lock);
	return g;
}

void daemon_session_end(struct milterd *d)
{
	bool last;

	pthread_mutex_lock(&d->lock);
	last = --d->sessions == 0 && d->state != DAEMON_RUNS;
	pthread_mutex_unlock(&d->lock);
	if (last)
		daemon_wake(d);
}

bool daemon_message_begin(struct milterd *d)
{
	bool may;

	pthread_mutex_lock(&d->lock);
	if ((may = d->state == DAEMON_RUNS)) {
		d->messages_in_hand++;
		d->messages++;
	}
	pthread_mutex_unlock(&d->lock);
	return may;
}

void daemon_message_end(struct milterd *d, int action)
{
	bool last;

	pthread_mutex_lock(&d->lock);
	if (action < 0)
		d->aborted++;
	else
		d->verdicts[action]++;
	d->last_end_ms = now_ms();
	last = --d->messages_in_hand == 0 && d->state != DAEMON_RUNS;
	pthread_mutex_unlock(&d->lock);
	if (last)
		daemon_wake(d);
}

void daemon_recipient_refused(struct milterd *d)
{
	pthread_mutex_lock(&d->lock);
	d->refused_recipients++;
	pthread_mutex_unlock(&d->lock);
}

void daemon_delay(struct milterd *d, int64_t ms)
{
	struct timespec until;

	if (ms <= 0)
		return;
	if (ms > DELAY_MAX_MS)
		ms = DELAY_MAX_MS;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += ms % 1000 * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&d->lock);
	while (d->state == DAEMON_RUNS &&
	    pthread_cond_timedwait(&d->stopping, &d->lock, &until) != ETIMEDOUT)
		;
	pthread_mutex_unlock(&d->lock);
}

/* ---- the end ----------------------------------------------------------------------------- */

void daemon_set_state(struct milterd *d, enum daemon_state state)
{
	pthread_mutex_lock(&d->lock);
	d->state = state;
	pthread_cond_broadcast(&d->stopping);
	pthread_mutex_unlock(&d->lock);
}

unsigned daemon_messages_in_hand(struct milterd *d)
{
	unsigned n;

	pthread_mutex_lock(&d->lock);
	n = d->messages_in_hand;
	pthread_mutex_unlock(&d->lock);
	return n;
}

int daemon_settle_ms(struct milterd *d)
{
	int64_t left;

	pthread_mutex_lock(&d->lock);
	left = d->sessions == 0 || d->last_end_ms == 0 ? 0 : d->last_end_ms + SETTLE_MS - now_ms();
	pthread_mutex_unlock(&d->lock);
	return left > 0 ? (int)left : 0;
}

void daemon_wake(struct milterd *d)
{
	uint64_t one = 1;
	ssize_t ignored = write(d->wake, &one, sizeof(one)); /* full means: awake already */

	(void)ignored;
}

/* ---- control ----------------------------------------------------------------------------- */

/* The new signatures, too. A database that is refused leaves the old one at work. */
static void reload_scanner(struct milterd *d, bool wanted, struct findings *f)
{
	struct err e;

	if (d->services.scanner != NULL && scanner_reload(d->services.scanner, &e) < 0)
		findings_add(f, FINDING_WARNING, "antivirus: %s", e.text);
	if (d->services.scanner == NULL && wanted)
		findings_add(f, FINDING_WARNING,
		    "antivirus: the rules ask for virus facts, but no scanner runs: start "
		    "weir-milterd again");
}

int daemon_reload(struct milterd *d, struct findings *f)
{
	struct milterd fresh = { .config_path = d->config_path };
	struct engine *was;
	bool wanted;
	struct err e;
	int rc = daemon_load(&fresh, f);

	if (rc == 0) {
		wanted = d->settings.milterd.antivirus.enabled &&
		    anything_reads(fresh.engine, "virus");
		fresh.engine->services = &d->services;
		pthread_mutex_lock(&d->lock);
		was = d->engine;
		d->engine = fresh.engine;
		fresh.engine = NULL;
		pthread_mutex_unlock(&d->lock);
		engine_unref(&was);
		reload_scanner(d, wanted, f);
	}
	daemon_free(&fresh);
	if (log_reopen(&e) < 0)
		findings_add(f, FINDING_WARNING, "%s: the old file is written on", e.text);
	for (size_t i = 0; i < f->n; i++)
		log_event(rc < 0 ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN, "reload", "finding",
		    f->v[i].text, NULL);
	log_event(rc < 0 ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, "reload", "result",
	    rc < 0 ? "refused, the old rules stay" : "done", NULL);
	return rc;
}

static json_t *control_reload(struct milterd *d)
{
	struct findings f = { 0 };
	int rc = daemon_reload(d, &f);
	json_t *answer = rc == 0 ? control_ok() : control_error("the old rules stay"),
	       *list = json_array();

	for (size_t i = 0; i < f.n; i++) {
		struct value v = value_string(slice_z(f.v[i].text));

		json_array_append_new(list, value_json(&v));
	}
	json_object_set_new(answer, "findings", list);
	if (rc == 0) {
		pthread_mutex_lock(&d->lock);
		json_object_set_new(answer, "rules",
		    json_integer((json_int_t)ruleset_rule_count(d->engine->rules)));
		pthread_mutex_unlock(&d->lock);
	}
	findings_free(&f);
	return answer;
}

static json_t *antivirus_status(const struct milterd *d)
{
	if (d->services.scanner == NULL)
		return json_pack("{s:b}", "running", 0);
	return json_pack(
	    "{s:b,s:i}", "running", 1, "signatures", (int)scanner_signatures(d->services.scanner));
}

static json_t *control_status(struct milterd *d)
{
	static const char *const states[] = { "runs", "drains", "stops" };
	json_t *answer = json_pack("{s:b,s:s,s:s,s:i}", "ok", 1, "program", "weir-milterd",
		   "version", PACKAGE_VERSION, "pid", (int)getpid()),
	       *verdicts = json_object();

	pthread_mutex_lock(&d->lock);
	json_object_set_new(answer, "state", json_string(states[d->state]));
	json_object_set_new(
	    answer, "rules", json_integer((json_int_t)ruleset_rule_count(d->engine->rules)));
	json_object_set_new(answer, "sessions", json_integer(d->sessions));
	json_object_set_new(answer, "connections", json_integer((json_int_t)d->connections));
	json_object_set_new(answer, "messages", json_integer((json_int_t)d->messages));
	json_object_set_new(answer, "in_hand", json_integer(d->messages_in_hand));
	for (size_t i = 0; i < COUNT(d->verdicts); i++)
		json_object_set_new(
		    verdicts, action_names[i], json_integer((json_int_t)d->verdicts[i]));
	json_object_set_new(verdicts, "abort", json_integer((json_int_t)d->aborted));
	json_object_set_new(
	    verdicts, "refused_recipients", json_integer((json_int_t)d->refused_recipients));
	pthread_mutex_unlock(&d->lock);
	json_object_set_new(answer, "verdicts", verdicts);
	json_object_set_new(answer, "bayes", json_boolean(d->services.bayes != NULL));
	json_object_set_new(answer, "antivirus", antivirus_status(d));
	json_object_set_new(answer, "uptime_s", json_integer(time(NULL) - d->started));
	return answer;
}

json_t *daemon_control(const char *command, json_t *request, void *arg)
{
	struct milterd *d = arg;

	(void)request;
	if (strcmp(command, "reload") == 0)
		return control_reload(d);
	if (strcmp(command, "status") == 0)
		return control_status(d);
	return control_error("unknown command \"%s\": say reload or status", command);
}
