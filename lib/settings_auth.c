#include "config.h"

#include <stdlib.h>
#include <strings.h>

#include "settings_tables.h"

/* What proxy/auth/mechanism.c knows, as far as our own SASL process can do it. */
static const char *const mechanisms[] = { "PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1",
	"SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "XOAUTH2" };

static bool uses(const struct settings *s, const char *auth)
{
	const struct listen_settings *l = s->proxy.listen.v;

	for (size_t i = 0; i < s->proxy.listen.n; i++)
		if (strcmp(l[i].auth, auth) == 0)
			return true;
	return false;
}

static void check_listener(
    const struct settings *s, const struct listen_settings *l, size_t i, struct findings *f)
{
	static const char *const words[] = { "off", "relay", "sasl" };
	bool dovecot = strncmp(l->auth, "dovecot:", 8) == 0 && l->auth[8] != '\0', known = dovecot;
	char pointer[64] = "";
	struct buf b = BUF_ON(pointer);

	for (size_t k = 0; k < COUNT(words); k++)
		known |= strcmp(l->auth, words[k]) == 0;
	buf_addf(&b, "/proxy/listen/%zu/auth", i);
	if (!known)
		json_finding(f, FINDING_ERROR, &s->file, pointer, false,
		    "must be off, relay, sasl or dovecot:PATH (as dovecot:/run/dovecot/auth-weir), "
		    "not \"%s\"",
		    l->auth);
	/* TLS may end in front of us, where others are trusted to say so. */
	if (strcmp(l->auth, "off") != 0 && l->tls == LISTEN_TLS_OFF && !l->auth_plaintext &&
	    l->proxy_from.n == 0)
		json_finding(f, FINDING_WARNING, &s->file, pointer, false,
		    "AUTH is never offered: it needs TLS, and \"tls\" is off here; give \"tls\" "
		    "and "
		    "\"certificates\", or \"auth_plaintext\": true");
	buf_add(&b, SLICE("_required"));
	if (l->auth_required && strcmp(l->auth, "off") == 0)
		json_finding(f, FINDING_ERROR, &s->file, pointer, false,
		    "nobody can log in while auth is off: name who checks logins in auth");
}

static void check_mechanism(const struct settings *s, size_t i, struct findings *f)
{
	const char *name = s->proxy.sasl.mechanisms.v[i], *like;
	bool known = false, bearer = false;
	char pointer[64] = "";
	struct buf b = BUF_ON(pointer);

	buf_addf(&b, "/proxy/sasl/mechanisms/%zu", i);
	like = nearest(slice_z(name), mechanisms, COUNT(mechanisms));
	for (size_t k = 0; k < COUNT(mechanisms); k++) {
		known |= strcmp(name, mechanisms[k]) == 0;
		if (strcasecmp(name, mechanisms[k]) == 0)
			like = mechanisms[k];
	}
	if (!known && like != NULL)
		json_finding(f, FINDING_ERROR, &s->file, pointer, false,
		    "unknown mechanism \"%s\" (did you mean \"%s\"?)", name, like);
	else if (!known)
		json_finding(f, FINDING_ERROR, &s->file, pointer, false,
		    "unknown mechanism \"%s\": known are PLAIN, LOGIN, CRAM-MD5, SCRAM-SHA-1, "
		    "SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER, XOAUTH2",
		    name);
	bearer = strcmp(name, "OAUTHBEARER") == 0 || strcmp(name, "XOAUTH2") == 0;
	if (bearer && s->proxy.sasl.oauth.introspection_url[0] == '\0')
		json_finding(f, FINDING_ERROR, &s->file, pointer, false,
		    "%s needs someone to ask about tokens: set sasl/oauth/introspection_url", name);
}

/* A dialogue that was under TLS with the client goes on to the backend. */
static void check_relay(
    const struct settings *s, const struct backend_settings *b, struct findings *f)
{
	char text[256] = "";
	struct buf pointer = BUF_ON(text);

	if (!uses(s, "relay") || strcmp(b->name, "default") != 0 || b->tls != BACKEND_TLS_OFF)
		return;
	buf_add(&pointer, SLICE("/proxy/backends/default"));
	for (size_t i = 0; i < b->servers.n; i++) {
		struct endpoint ep;

		if (endpoint_parse(slice_z(b->servers.v[i]), &ep, NULL) < 0 || ep.local ||
		    strncmp(ep.host, "127.", 4) == 0 || strcmp(ep.host, "::1") == 0 ||
		    strcmp(ep.host, "localhost") == 0)
			continue;
		json_finding(f, FINDING_WARNING, &s->file, text, true,
		    "passwords go to %s in the clear: give \"tls\": \"verify\" or \"require\"",
		    b->servers.v[i]);
		return;
	}
}

static void check_unused(const struct settings *s, struct findings *f)
{
	const json_t *sasl = json_object_get(json_object_get(s->file.root, "proxy"), "sasl");
	const struct conf_strs *names = &s->proxy.sasl.mechanisms;
	bool bearer = false;

	for (size_t i = 0; i < names->n; i++)
		bearer |= strcmp(names->v[i], "OAUTHBEARER") == 0 ||
		    strcmp(names->v[i], "XOAUTH2") == 0;
	if (sasl != NULL && !uses(s, "sasl"))
		json_finding(f, FINDING_WARNING, &s->file, "/proxy/sasl", true,
		    "not used: no listener has \"auth\": \"sasl\"");
	else if (s->proxy.sasl.oauth.introspection_url[0] != '\0' && !bearer)
		json_finding(f, FINDING_WARNING, &s->file, "/proxy/sasl/oauth", true,
		    "not used: \"mechanisms\" has neither OAUTHBEARER nor XOAUTH2");
}

static void check_endpoint(const struct settings *s, struct findings *f)
{
	static const char pointer[] = "/proxy/sasl/oauth/introspection_url";
	const char *url = s->proxy.sasl.oauth.introspection_url;

	if (url[0] != '\0' && strncmp(url, "https://", 8) != 0 && strncmp(url, "http://", 7) != 0)
		json_finding(f, FINDING_ERROR, &s->file, pointer, false,
		    "must begin with https:// (or http://), not \"%s\"", url);
	else if (strncmp(url, "http://", 7) == 0)
		json_finding(f, FINDING_WARNING, &s->file, pointer, false,
		    "tokens travel unencrypted: whoever is on the way can use them");
}

void settings_check_auth(const struct settings *s, struct findings *f)
{
	const struct listen_settings *l = s->proxy.listen.v;
	const struct backend_settings *b = s->proxy.backends.v;

	for (size_t i = 0; i < s->proxy.listen.n; i++)
		check_listener(s, &l[i], i, f);
	for (size_t i = 0; i < s->proxy.sasl.mechanisms.n && uses(s, "sasl"); i++)
		check_mechanism(s, i, f);
	check_endpoint(s, f);
	check_unused(s, f);
	for (size_t i = 0; i < s->proxy.backends.n; i++)
		check_relay(s, &b[i], f);
}
