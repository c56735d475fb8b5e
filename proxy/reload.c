#include "config.h"

#include "master_inside.h"

#include "proxy/filter/chain.h"
#include "proxy/tls/client.h"
#include "weir/log.h"

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

/* Put the new settings in force: sockets first, for they may fail. */
static int switch_to(
    struct master *m, struct settings *fresh, struct tls_store *certificates, struct findings *f)
{
	size_t n = workers_wanted(&fresh->proxy), old_n = m->count;
	struct place *places = NULL, *old = m->places;
	struct sasl_service *sasl = NULL;
	struct sockets sockets;
	struct err e;

	if (check_workers(m, &fresh->proxy, n, &e) < 0 ||
	    sockets_open(&sockets, &fresh->proxy, n, &m->sockets, &e) < 0)
		return findings_add(f, FINDING_ERROR, "%s", e.text);
	if (places_new(m, &places, n, &e) < 0 ||
	    workers_make_sasl(m, &fresh->proxy, &sasl, &e) < 0 ||
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
	workers_start(m);
	workers_retire(m, old, old_n);
	places_free(old, old_n);
	return 0;
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

json_t *master_reload(struct master *m)
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
		master_announce(m);
		answer = json_pack("{s:b,s:i}", "ok", 1, "workers", (int)m->count);
	}
	findings_free(&f);
	return answer;
}
