#include "config.h"

#include "cyrus.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <sasl/sasl.h>

#include "weir/log.h"

struct cyrus {
	const struct proxy_settings *settings;
	char mechanisms[256]; /* libsasl's option mech_list */
	sasl_callback_t callbacks[3];
};

struct cyrus_dialogue {
	const struct proxy_settings *settings;
	sasl_conn_t *connection;
};

/* ---- what libsasl asks us ----------------------------------------------------------------- */

/* Options that the settings decide. Whatever else a plugin wants to know may stand in
 * weir-proxy.conf, where libsasl looks for it by itself. */
static const char *option(const struct cyrus *c, const char *name)
{
	const struct proxy_settings *p = c->settings;
	const struct {
		const char *name, *value;
	} options[] = {
		{ "pwcheck_method",
		    p->sasl.password_check == PASSWORD_CHECK_SASLAUTHD ? "saslauthd" : "auxprop" },
		{ "saslauthd_path", p->sasl.saslauthd },
		{ "auxprop_plugin", "sasldb" },
		{ "sasldb_path", p->sasl.sasldb },
		{ "mech_list", c->mechanisms },
		{ "log_level", "3" },
	};

	for (size_t i = 0; i < COUNT(options); i++)
		if (strcmp(options[i].name, name) == 0)
			return options[i].value;
	return NULL;
}

static int on_getopt(
    void *context, const char *plugin, const char *name, const char **result, unsigned *length)
{
	const char *value = option(context, name);

	(void)plugin;
	if (value == NULL)
		return SASL_FAIL;
	*result = value;
	if (length != NULL)
		*length = (unsigned)strlen(value);
	return SASL_OK;
}

/* Its log tells names, never passwords, up to SASL_LOG_NOTE. */
static int on_log(void *context, int level, const char *message)
{
	(void)context;
	if (level <= SASL_LOG_NOTE && level != SASL_LOG_NONE)
		log_event(level == SASL_LOG_ERR ? LOG_LEVEL_WARN : LOG_LEVEL_DEBUG, "sasl",
		    "message", message, NULL);
	return SASL_OK;
}

/* ---- the library -------------------------------------------------------------------------- */

/* LOGIN is made of PLAIN before it comes here, and bearer tokens are none of libsasl's. */
static void list_mechanisms(struct cyrus *c)
{
	const struct conf_strs *list = &c->settings->sasl.mechanisms;
	struct buf b = BUF_ON(c->mechanisms);

	for (size_t i = 0; i < list->n; i++) {
		struct slice name = slice_z(list->v[i]);

		if (slice_eq(name, SLICE("LOGIN")) || slice_eq(name, SLICE("OAUTHBEARER")) ||
		    slice_eq(name, SLICE("XOAUTH2")))
			continue;
		if (b.n > 0)
			buf_addc(&b, ' ');
		buf_add(&b, name);
	}
}

struct cyrus *cyrus_open(const struct proxy_settings *settings, struct err *e)
{
	struct cyrus *c = calloc(1, sizeof(*c));
	int rc;

	if (c == NULL) {
		err_set(e, "out of memory");
		return NULL;
	}
	c->settings = settings;
	list_mechanisms(c);
	/* libsasl's table holds functions of several kinds as one. */
	c->callbacks[0] = (sasl_callback_t){ SASL_CB_GETOPT, (int (*)(void))(void *)on_getopt, c };
	c->callbacks[1] = (sasl_callback_t){ SASL_CB_LOG, (int (*)(void))(void *)on_log, c };
	c->callbacks[2] = (sasl_callback_t){ SASL_CB_LIST_END, NULL, NULL };
	if ((rc = sasl_server_init(c->callbacks, "weir-proxy")) != SASL_OK) {
		err_set(e, "libsasl: %s", sasl_errstring(rc, NULL, NULL));
		free(c);
		return NULL;
	}
	return c;
}

unsigned cyrus_mechanisms(struct cyrus *c)
{
	struct cyrus_dialogue *d = cyrus_new(c, NULL, NULL, true);
	const char *list = NULL;
	unsigned set = 0;

	if (d != NULL &&
	    sasl_listmech(d->connection, NULL, "", " ", "", &list, NULL, NULL) == SASL_OK)
		set = mechanisms_read(slice_z(list));
	cyrus_free(&d);
	return set & mechanisms_read(slice_z(c->mechanisms));
}

/* ---- one login ---------------------------------------------------------------------------- */

struct cyrus_dialogue *cyrus_new(
    struct cyrus *c, const char *local, const char *remote, bool secure)
{
	const char *realm = c->settings->sasl.realm;
	/* No layer of encryption of its own: SMTP has TLS for that. */
	sasl_security_properties_t properties = { .security_flags = SASL_SEC_NOANONYMOUS };
	sasl_ssf_t strength = secure ? 128 : 0;
	struct cyrus_dialogue *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return NULL;
	d->settings = c->settings;
	if (sasl_server_new(c->settings->sasl.service, c->settings->hostname,
		realm[0] != '\0' ? realm : NULL, local, remote, NULL, 0,
		&d->connection) != SASL_OK ||
	    sasl_setprop(d->connection, SASL_SEC_PROPS, &properties) != SASL_OK ||
	    sasl_setprop(d->connection, SASL_SSF_EXTERNAL, &strength) != SASL_OK)
		cyrus_free(&d);
	return d;
}

void cyrus_free(struct cyrus_dialogue **d)
{
	if (*d == NULL)
		return;
	if ((*d)->connection != NULL)
		sasl_dispose(&(*d)->connection);
	free(*d);
	*d = NULL;
}

static enum cyrus_result result_of(int rc)
{
	switch (rc) {
	case SASL_OK:
		return CYRUS_GOOD;
	case SASL_CONTINUE:
		return CYRUS_MORE;
	case SASL_FAIL: /* "generic": saslauthd or the data base is away */
	case SASL_NOMEM:
	case SASL_UNAVAIL:
	case SASL_TRYAGAIN:
		return CYRUS_TROUBLE;
	default:
		return CYRUS_BAD;
	}
}

/* To libsasl everybody is unknown where there is no data base: clients would be told that they are
 * wrong, and be banned for it. */
static bool can_look(const struct cyrus_dialogue *d, const char *mechanism)
{
	const char *path = d->settings->sasl.sasldb;

	if ((strcmp(mechanism, "PLAIN") == 0 &&
		d->settings->sasl.password_check == PASSWORD_CHECK_SASLAUTHD) ||
	    access(path, R_OK) == 0)
		return true;
	log_event(LOG_LEVEL_ERROR, "sasl", "sasldb", path, "error", strerror(errno), NULL);
	return false;
}

enum cyrus_result cyrus_start(
    struct cyrus_dialogue *d, const char *mechanism, struct slice response, struct slice *out)
{
	const char *octets = NULL;
	unsigned n = 0;
	int rc;

	*out = (struct slice){ 0 };
	if (!can_look(d, mechanism))
		return CYRUS_TROUBLE;
	rc = sasl_server_start(
	    d->connection, mechanism, response.p, (unsigned)response.n, &octets, &n);
	*out = slice_of(octets, octets != NULL ? n : 0);
	return result_of(rc);
}

enum cyrus_result cyrus_step(struct cyrus_dialogue *d, struct slice response, struct slice *out)
{
	const char *octets = NULL;
	unsigned n = 0;
	int rc = sasl_server_step(
	    d->connection, response.p != NULL ? response.p : "", (unsigned)response.n, &octets, &n);

	*out = slice_of(octets, octets != NULL ? n : 0);
	return result_of(rc);
}

const char *cyrus_login(const struct cyrus_dialogue *d)
{
	const void *name = NULL;

	return sasl_getprop(d->connection, SASL_USERNAME, &name) == SASL_OK && name != NULL ? name
											    : "";
}
