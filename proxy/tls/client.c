#include "config.h"

#include "client.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "policy.h"
#include "weir/net.h"
#include "words.h"

struct tls_client {
	SSL_CTX *ctx;
	char *name; /* "": the server's host */
	bool verify;
};

/* OpenSSL gives the session away where 1 is returned. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
	SSL_SESSION **place = SSL_get_app_data(ssl);

	SSL_SESSION_free(*place);
	*place = session;
	return 1;
}

static int trust(SSL_CTX *ctx, const char *ca, struct err *e)
{
	ERR_clear_error();
	if (ca[0] != '\0' ? SSL_CTX_load_verify_file(ctx, ca) != 1
			  : SSL_CTX_set_default_verify_paths(ctx) != 1)
		return err_set(
		    e, "%s: %s", ca[0] != '\0' ? ca : "the system's authorities", tls_words());
	return 0;
}

struct tls_client *tls_client_new(const struct backend_settings *b, struct err *e)
{
	struct tls_client *c = calloc(1, sizeof(*c));

	if (c == NULL || (c->name = slice_dup(slice_z(b->tls_name))) == NULL ||
	    (c->ctx = SSL_CTX_new(TLS_client_method())) == NULL) {
		err_set(e, "out of memory");
		tls_client_free(&c);
		return NULL;
	}
	c->verify = b->tls == BACKEND_TLS_VERIFY;
	tls_policy_common(c->ctx);
	/* Any encryption is better than none, which is the alternative. */
	if (b->tls == BACKEND_TLS_MAY)
		SSL_CTX_set_security_level(c->ctx, 0);
	SSL_CTX_set_verify(c->ctx, c->verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
	(void)SSL_CTX_set_session_cache_mode(
	    c->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(c->ctx, on_session);
	if (c->verify && trust(c->ctx, b->ca, e) < 0)
		tls_client_free(&c);
	return c;
}

void tls_client_free(struct tls_client **at)
{
	struct tls_client *c = *at;

	*at = NULL;
	if (c == NULL)
		return;
	SSL_CTX_free(c->ctx);
	free(c->name);
	free(c);
}

int tls_clients_check(const struct settings *s, struct findings *f)
{
	const struct backend_settings *b = s->proxy.backends.v;
	int rc = 0;

	for (size_t i = 0; i < s->proxy.backends.n; i++) {
		char text[256] = "";
		struct buf pointer = BUF_ON(text);
		struct tls_client *c;
		struct err e;

		if (b[i].tls == BACKEND_TLS_OFF)
			continue;
		buf_add(&pointer, SLICE("/proxy/backends"));
		json_pointer_add(&pointer, slice_z(b[i].name));
		buf_add(&pointer, SLICE("/ca"));
		if ((c = tls_client_new(&b[i], &e)) == NULL)
			rc = json_finding(f, FINDING_ERROR, &s->file, text, false, "%s", e.text);
		tls_client_free(&c);
	}
	return rc;
}

/* SNI takes names only (RFC 6066 3); a certificate can be for an address as well. */
static bool expect(SSL *ssl, const char *host, bool verify)
{
	struct address a;
	bool is_address = address_parse(slice_z(host), &a, NULL) == 0;

	if (!is_address && SSL_set_tlsext_host_name(ssl, host) != 1)
		return false;
	if (!verify)
		return true;
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return is_address ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1
			  : SSL_set1_host(ssl, host) == 1;
}

SSL *tls_client_ssl(struct tls_client *c, const char *host, SSL_SESSION **session)
{
	SSL *ssl = SSL_new(c->ctx);

	if (ssl == NULL)
		return NULL;
	SSL_set_app_data(ssl, session);
	if (!expect(ssl, c->name[0] != '\0' ? c->name : host, c->verify)) {
		SSL_free(ssl);
		return NULL;
	}
	if (*session != NULL)
		(void)SSL_set_session(ssl, *session);
	SSL_set_connect_state(ssl);
	return ssl;
}

bool tls_client_verified(const struct tls_client *c, const SSL *ssl)
{
	return c->verify && SSL_get_verify_result(ssl) == X509_V_OK;
}
