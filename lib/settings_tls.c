#include "config.h"

#include "settings_tables.h"

static bool wants_tls(const struct listen_settings *l)
{
	return l->tls != LISTEN_TLS_OFF;
}

static void check_listen(const struct settings *s, struct findings *f)
{
	const struct listen_settings *l = s->proxy.listen.v;

	for (size_t i = 0; i < s->proxy.listen.n; i++) {
		char pointer[64];

		(void)snprintf(pointer, sizeof(pointer), "/proxy/listen/%zu/certificates", i);
		if (wants_tls(&l[i]) && l[i].certificates.n == 0)
			json_finding(f, FINDING_ERROR, &s->file, pointer, false,
			    "TLS needs a certificate: give \"certificates\", or \"tls\": \"off\"");
		if (!wants_tls(&l[i]) && l[i].certificates.n > 0)
			json_finding(f, FINDING_WARNING, &s->file, pointer, true,
			    "not used: \"tls\" is off");
		(void)snprintf(pointer, sizeof(pointer), "/proxy/listen/%zu/client_ca", i);
		if (l[i].client_ca[0] != '\0' &&
		    l[i].client_certificates == CLIENT_CERTIFICATES_OFF)
			json_finding(f, FINDING_WARNING, &s->file, pointer, true,
			    "not used: \"client_certificates\" is off");
	}
}

/* Few certificates are for an address. */
static void check_names(const struct settings *s, const struct backend_settings *b,
    struct buf pointer, struct findings *f)
{
	size_t stem = pointer.n;

	for (size_t i = 0; i < b->servers.n; i++) {
		struct endpoint ep;

		pointer.n = stem;
		buf_addf(&pointer, "/%zu", i);
		if (endpoint_parse(slice_z(b->servers.v[i]), &ep, NULL) == 0 && !ep.local &&
		    address_parse(slice_z(ep.host), &(struct address){ 0 }, NULL) == 0)
			json_finding(f, FINDING_WARNING, &s->file, pointer.p, false,
			    "the certificate must be for the address %s: write the server's name, "
			    "or give \"tls_name\"",
			    ep.host);
	}
}

static void check_backend(const struct settings *s, const struct backend_settings *b,
    struct buf pointer, struct findings *f)
{
	size_t stem = pointer.n;

	buf_add(&pointer, SLICE("/tls_implicit"));
	if (b->tls_implicit && b->tls < BACKEND_TLS_REQUIRE)
		json_finding(f, FINDING_ERROR, &s->file, pointer.p, true,
		    "wants \"tls\": \"require\" or \"verify\"");
	pointer.n = stem;
	buf_add(&pointer, SLICE("/ca"));
	if (b->ca[0] != '\0' && b->tls != BACKEND_TLS_VERIFY)
		json_finding(f, FINDING_WARNING, &s->file, pointer.p, true,
		    "not used: \"tls\" is not verify");
	pointer.n = stem;
	buf_add(&pointer, SLICE("/tls_name"));
	if (b->tls_name[0] != '\0' && b->tls == BACKEND_TLS_OFF)
		json_finding(
		    f, FINDING_WARNING, &s->file, pointer.p, true, "not used: \"tls\" is off");
	pointer.n = stem;
	buf_add(&pointer, SLICE("/servers"));
	if (b->tls == BACKEND_TLS_VERIFY && b->tls_name[0] == '\0')
		check_names(s, b, pointer, f);
}

void settings_tls_check(const struct settings *s, struct findings *f)
{
	const struct backend_settings *b = s->proxy.backends.v;

	check_listen(s, f);
	for (size_t i = 0; i < s->proxy.backends.n; i++) {
		char text[256] = "";
		struct buf pointer = BUF_ON(text);

		buf_add(&pointer, SLICE("/proxy/backends"));
		json_pointer_add(&pointer, slice_z(b[i].name));
		check_backend(s, &b[i], pointer, f);
	}
}

void settings_tls_anchor(struct proxy_settings *p, const char *folder, struct findings *f)
{
	struct listen_settings *l = p->listen.v;
	struct backend_settings *b = p->backends.v;

	for (size_t i = 0; i < p->listen.n; i++) {
		struct certificate_settings *c = l[i].certificates.v;

		settings_anchor(&l[i].client_ca, "", folder, f);
		for (size_t k = 0; k < l[i].certificates.n; k++) {
			settings_anchor(&c[k].chain, "", folder, f);
			settings_anchor(&c[k].key, "", folder, f);
		}
	}
	for (size_t i = 0; i < p->backends.n; i++)
		settings_anchor(&b[i].ca, "", folder, f);
}
