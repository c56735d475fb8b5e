#include "config.h"

#include "backend_tls.h"

#include "proxy/tls/client.h"
#include "proxy/tls/facts.h"
#include "weir/log.h"

bool backend_tls_optional(const struct route *r)
{
	return r->settings->tls == BACKEND_TLS_MAY;
}

bool backend_tls_implicit(const struct route *r)
{
	return r->settings->tls_implicit;
}

enum backend_tls_step backend_tls_next(const struct route *r, const struct abilities *a, bool clear)
{
	if (r->tls == NULL || clear || a->tls != LINK_CLEAR)
		return BACKEND_TLS_GO_ON;
	if (a->extensions & EXTENSION_STARTTLS)
		return BACKEND_TLS_ASK;
	return backend_tls_optional(r) ? BACKEND_TLS_GO_ON : BACKEND_TLS_MISSING;
}

bool backend_tls_start(struct route *r, size_t server, struct stream *stream)
{
	struct server *s = &r->servers[server];
	SSL *ssl = tls_client_ssl(
	    r->tls, s->endpoint.local ? "localhost" : s->endpoint.host, &s->session);

	return ssl != NULL &&
	    stream_tls_start(stream, ssl, r->upstream->settings->timeouts.connect_s);
}

enum link_tls backend_tls_done(const struct route *r, size_t server, const struct stream *stream)
{
	const SSL *ssl = stream_ssl(stream);
	struct tls_facts f = tls_facts_of(ssl);
	bool verified = tls_client_verified(r->tls, ssl);

	log_event(LOG_LEVEL_DEBUG, "backend_tls", "backend", r->name, "server",
	    r->servers[server].text, "version", f.version, "cipher", f.cipher, "resumed",
	    f.resumed ? "yes" : "no", "verified", verified ? "yes" : "no", NULL);
	return verified ? LINK_VERIFIED : LINK_TLS;
}
