#include "config.h"

#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "server.h"
#include "weir/log.h"

/* Warn of a certificate that ends so soon. */
#define SOON_DAYS 7

static const char *key_path(const struct certificate_settings *c)
{
	return c->key[0] != '\0' ? c->key : c->chain;
}

/* ---- loading ------------------------------------------------------------------------------ */

static int entry_name(struct tls_entry *e, const struct certificate_settings *from)
{
	e->files.chain = slice_dup(slice_z(from->chain));
	e->files.key = slice_dup(slice_z(from->key));
	return e->files.chain != NULL && e->files.key != NULL ? 0 : -1;
}

static void entry_stamp(struct tls_entry *e)
{
	e->chain = e->seen_chain = tls_stamp_of(e->files.chain);
	e->key = e->seen_key = tls_stamp_of(key_path(&e->files));
}

/* Those of the same files in old, at whatever listener. */
static const struct tls_identity *find_old(
    const struct tls_store *old, const struct certificate_settings *files)
{
	for (size_t i = 0; old != NULL && i < old->n; i++)
		for (size_t k = 0; k < old->v[i].n; k++) {
			const struct certificate_settings *c = &old->v[i].entries[k].files;

			if (strcmp(c->chain, files->chain) == 0 && strcmp(c->key, files->key) == 0)
				return &old->v[i].identities[k];
		}
	return NULL;
}

static bool unreadable(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return fd < 0 && errno == EACCES;
}

struct loading {
	const struct settings *settings;
	const struct tls_store *old;
	struct findings *f;
	size_t listener, index;
};

static void point(
    const struct loading *l, enum finding_level level, const char *member, const char *text)
{
	char pointer[80];

	(void)snprintf(pointer, sizeof(pointer), "/proxy/listen/%zu/certificates/%zu/%s",
	    l->listener, l->index, member);
	json_finding(l->f, level, &l->settings->file, pointer, false, "%s", text);
}

static void check_loaded(
    const struct loading *l, const struct tls_entry *e, const struct tls_identity *id)
{
	const char *exposed = tls_key_exposed(key_path(&e->files));
	int days = tls_identity_days(id);
	char text[400];

	if (exposed != NULL) {
		(void)snprintf(text, sizeof(text), "%s: %s", key_path(&e->files), exposed);
		point(l, FINDING_WARNING, e->files.key[0] != '\0' ? "key" : "chain", text);
	}
	if (days >= SOON_DAYS)
		return;
	(void)snprintf(text, sizeof(text),
	    days < 0 ? "%s: the certificate has expired" : "%s: the certificate expires in %d days",
	    e->files.chain, days);
	point(l, FINDING_WARNING, "chain", text);
}

static int load_entry(const struct loading *l, struct tls_entry *e, struct tls_identity *id)
{
	const struct tls_identity *old = find_old(l->old, &e->files);
	enum tls_part part;
	struct err why;

	entry_stamp(e);
	if (tls_identity_load(&e->files, id, &part, &why) == 0) {
		check_loaded(l, e, id);
		return 0;
	}
	if (old != NULL && (unreadable(e->files.chain) || unreadable(key_path(&e->files))) &&
	    tls_identity_share(old, id) == 0) {
		point(l, FINDING_WARNING, part == TLS_KEY ? "key" : "chain", why.text);
		point(
		    l, FINDING_WARNING, "chain", "the certificate that was loaded before is kept");
		e->why = slice_dup(slice_z(why.text));
		return 0;
	}
	point(l, FINDING_ERROR, part == TLS_KEY ? "key" : "chain", why.text);
	return -1;
}

static int load_listener(struct loading *l, struct tls_listener *t)
{
	const struct listen_settings *listen = l->settings->proxy.listen.v;
	const struct listen_settings *s = &listen[l->listener];
	const struct certificate_settings *c = s->certificates.v;
	size_t n = s->tls != LISTEN_TLS_OFF ? s->certificates.n : 0;
	int rc = 0;

	t->entries = calloc(n + 1, sizeof(*t->entries));
	t->identities = calloc(n + 1, sizeof(*t->identities));
	if (t->entries == NULL || t->identities == NULL)
		return findings_add(l->f, FINDING_ERROR, "out of memory");
	for (; t->n < n; t->n++) {
		l->index = t->n;
		if (entry_name(&t->entries[t->n], &c[t->n]) < 0)
			rc = findings_add(l->f, FINDING_ERROR, "out of memory");
		else if (load_entry(l, &t->entries[t->n], &t->identities[t->n]) < 0)
			rc = -1;
	}
	return rc;
}

struct tls_store *tls_store_load(
    const struct settings *s, const struct tls_store *old, struct findings *f)
{
	struct tls_store *st = calloc(1, sizeof(*st));
	struct loading l = { .settings = s, .old = old, .f = f };
	size_t n = s->proxy.listen.n;
	int rc = 0;

	if (st == NULL || (st->v = calloc(n + 1, sizeof(*st->v))) == NULL) {
		findings_add(f, FINDING_ERROR, "out of memory");
		tls_store_free(&st);
		return NULL;
	}
	for (; st->n < n; st->n++) {
		l.listener = st->n;
		rc |= load_listener(&l, &st->v[st->n]);
	}
	if (rc < 0 || tls_store_try(st, s, f) < 0)
		tls_store_free(&st);
	return st;
}

int tls_store_try(const struct tls_store *st, const struct settings *s, struct findings *f)
{
	const struct listen_settings *listen = s->proxy.listen.v;
	int rc = 0;

	for (size_t i = 0; i < st->n; i++) {
		const struct tls_listener *t = &st->v[i];
		struct err why;
		char pointer[64];
		SSL_CTX *ctx;

		if (t->n == 0)
			continue;
		ctx = tls_server_new(&listen[i], t->identities, t->n, "", 0, NULL, &why);
		(void)snprintf(pointer, sizeof(pointer), "/proxy/listen/%zu/certificates", i);
		if (ctx == NULL)
			rc = json_finding(
			    f, FINDING_ERROR, &s->file, pointer, false, "%s", why.text);
		SSL_CTX_free(ctx);
	}
	return rc;
}

void tls_store_free(struct tls_store **at)
{
	struct tls_store *s = *at;

	*at = NULL;
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->n; i++) {
		for (size_t k = 0; k < s->v[i].n; k++) {
			free(s->v[i].entries[k].files.chain);
			free(s->v[i].entries[k].files.key);
			free(s->v[i].entries[k].why);
			tls_identity_clear(&s->v[i].identities[k]);
		}
		free(s->v[i].entries);
		free(s->v[i].identities);
	}
	free(s->v);
	free(s);
}

/* ---- renewal ------------------------------------------------------------------------------ */

static void log_renewed(const struct tls_entry *e, const struct tls_identity *id)
{
	char name[256], days[16];

	(void)snprintf(days, sizeof(days), "%d", tls_identity_days(id));
	log_event(LOG_LEVEL_INFO, "certificate_renewed", "file", e->files.chain, "name",
	    tls_identity_name(id, name), "days", days, NULL);
}

static void log_kept(const struct tls_entry *e, const char *why)
{
	bool access = unreadable(e->files.chain) || unreadable(key_path(&e->files));

	log_event(LOG_LEVEL_ERROR, "certificate_kept", "file", e->files.chain, "error", why, "what",
	    access ? "the old one stays until a restart as root, or until the files are "
		     "readable by the user that the proxy runs as"
		   : "the old one stays",
	    NULL);
}

/* Try the files again. True when they were good. */
static bool reload_entry(struct tls_entry *e, struct tls_identity *id, bool say)
{
	struct tls_identity fresh;
	enum tls_part part;
	struct err why;

	free(e->why);
	e->why = NULL;
	if (tls_identity_load(&e->files, &fresh, &part, &why) < 0) {
		e->refused = true;
		e->why = slice_dup(slice_z(why.text));
		log_kept(e, why.text);
		return false;
	}
	e->refused = false;
	e->chain = e->seen_chain;
	e->key = e->seen_key;
	tls_identity_clear(id);
	*id = fresh;
	if (say)
		log_renewed(e, id);
	return true;
}

static bool renew_entry(struct tls_entry *e, struct tls_identity *id, bool settled)
{
	struct tls_stamp chain = tls_stamp_of(e->files.chain);
	struct tls_stamp key = tls_stamp_of(key_path(&e->files));
	bool still = tls_stamp_same(&chain, &e->seen_chain) && tls_stamp_same(&key, &e->seen_key);
	bool changed = !tls_stamp_same(&chain, &e->chain) || !tls_stamp_same(&key, &e->key);

	e->seen_chain = chain;
	e->seen_key = key;
	if (!still)
		e->refused = false;
	if (!changed || e->refused || (settled && !still))
		return false;
	return reload_entry(e, id, settled);
}

bool tls_store_renew(struct tls_store *s, bool settled)
{
	bool any = false;

	for (size_t i = 0; i < s->n; i++)
		for (size_t k = 0; k < s->v[i].n; k++)
			any |= renew_entry(&s->v[i].entries[k], &s->v[i].identities[k], settled);
	return any;
}

/* ---- what it looks like ------------------------------------------------------------------- */

void tls_store_check_access(const struct tls_store *s)
{
	for (size_t i = 0; i < s->n; i++)
		for (size_t k = 0; k < s->v[i].n; k++) {
			const struct certificate_settings *c = &s->v[i].entries[k].files;
			const char *file = unreadable(c->chain) ? c->chain
			    : unreadable(key_path(c))           ? key_path(c)
								: NULL;

			if (file != NULL)
				log_event(LOG_LEVEL_WARN, "certificate_unreadable", "file", file,
				    "what",
				    "loaded, but the user that the proxy runs as may not read it: "
				    "a renewed one needs a restart",
				    NULL);
		}
}

json_t *tls_store_status(const struct tls_store *s)
{
	json_t *list = json_array();

	for (size_t i = 0; i < s->n; i++)
		for (size_t k = 0; k < s->v[i].n; k++) {
			const struct tls_entry *e = &s->v[i].entries[k];
			char name[256];

			(void)json_array_append_new(list,
			    json_pack("{s:s,s:s,s:i,s:s?}", "file", e->files.chain, "name",
				tls_identity_name(&s->v[i].identities[k], name), "days",
				tls_identity_days(&s->v[i].identities[k]), "kept_because", e->why));
		}
	return list;
}
