#include "config.h"

#include "server.h"

#include <openssl/err.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <stdio.h>

#include "policy.h"
#include "words.h"

/* What the context itself does not hold: the identities that a name may choose. */
struct served {
	struct tls_identity *v;
	size_t n;
};

/* ---- choice ------------------------------------------------------------------------------- */

static bool kind_there(
    const struct tls_identity *v, const size_t *chosen, size_t count, const struct tls_identity *id)
{
	for (size_t i = 0; i < count; i++)
		if (tls_identity_kind(&v[chosen[i]]) == tls_identity_kind(id))
			return true;
	return false;
}

static size_t choose_named(const struct tls_identity *v, size_t n, const char *name,
    size_t chosen[TLS_CHOICE_MAX], size_t count)
{
	for (size_t i = 0; i < n && count < TLS_CHOICE_MAX; i++)
		if (tls_identity_named(&v[i], name) && !kind_there(v, chosen, count, &v[i]))
			chosen[count++] = i;
	return count;
}

/* The first, and its companions of other kinds: a name that its wildcard covers stands for it. */
static size_t choose_default(const struct tls_identity *v, size_t n, size_t chosen[TLS_CHOICE_MAX])
{
	char name[256];

	chosen[0] = 0;
	tls_identity_name(&v[0], name);
	if (name[0] == '*')
		name[0] = 'x';
	return name[0] != '\0' ? choose_named(v, n, name, chosen, 1) : 1;
}

size_t tls_choose(
    const struct tls_identity *v, size_t n, const char *name, size_t chosen[TLS_CHOICE_MAX])
{
	size_t count = name != NULL && name[0] != '\0' ? choose_named(v, n, name, chosen, 0) : 0;

	return count > 0 ? count : choose_default(v, n, chosen);
}

/* ---- the handshake ------------------------------------------------------------------------ */

static void drop_served(
    void *ctx, void *served, CRYPTO_EX_DATA *all, int index, long number, void *pointer)
{
	struct served *s = served;

	(void)ctx;
	(void)all;
	(void)index;
	(void)number;
	(void)pointer;
	for (size_t i = 0; s != NULL && i < s->n; i++)
		tls_identity_clear(&s->v[i]);
	if (s != NULL)
		OPENSSL_free(s->v);
	OPENSSL_free(s);
}

static int place(void)
{
	static int index = -1; /* OpenSSL's own shape of a constant */

	if (index < 0)
		index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, drop_served);
	return index;
}

/* A name that nobody has is no reason to refuse; that it was seen makes it part of the session. */
static int on_name(SSL *ssl, int *alert, void *arg)
{
	(void)ssl;
	(void)alert;
	(void)arg;
	return SSL_TLSEXT_ERR_OK;
}

/* The client has said what it wants. The default stands in the context already. 1: go on. */
static int on_choice(SSL *ssl, void *arg)
{
	const struct served *s = arg;
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	size_t chosen[TLS_CHOICE_MAX], count;

	if (name == NULL)
		return 1;
	count = tls_choose(s->v, s->n, name, chosen);
	if (chosen[0] == 0)
		return 1;
	SSL_certs_clear(ssl);
	for (size_t i = 0; i < count; i++) {
		const struct tls_identity *id = &s->v[chosen[i]];

		if (SSL_use_cert_and_key(ssl, id->certificate, id->key, id->chain, 1) != 1)
			return 0;
	}
	return 1;
}

/* ---- client certificates ------------------------------------------------------------------ */

/* Whatever the client shows: it was only asked. The verdict is kept for {verify}. */
static int on_certificate(int good, X509_STORE_CTX *store)
{
	(void)good;
	(void)store;
	return 1;
}

static int ask_clients(SSL_CTX *ctx, const char *ca, struct err *e)
{
	STACK_OF(X509_NAME) * names;

	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, on_certificate);
	if (ca[0] == '\0')
		return 0;
	ERR_clear_error();
	names = SSL_load_client_CA_file(ca);
	if (names == NULL || SSL_CTX_load_verify_file(ctx, ca) != 1) {
		sk_X509_NAME_pop_free(names, X509_NAME_free);
		return err_set(e, "%s: %s", ca, tls_words());
	}
	SSL_CTX_set_client_CA_list(ctx, names);
	return 0;
}

/* ---- the context -------------------------------------------------------------------------- */

/* Two listeners that differ in anything that a session stands for have different labels. */
static void label_of(const struct listen_settings *l, const char *address, uint16_t port,
    unsigned char label[TICKET_LABEL])
{
	const struct certificate_settings *c = l->certificates.v;
	char end[ENDPOINT_TEXT_MAX], text[8192];
	struct buf b = BUF_ON(text);

	text[0] = '\0';
	buf_addf(&b, "%s %s %u %d %d %d %d %s", endpoint_text(&l->address, end), address,
	    (unsigned)port, l->tls, l->tls_minimum, l->tls_policy, l->client_certificates,
	    l->client_ca);
	for (size_t i = 0; i < l->certificates.n; i++)
		buf_addf(&b, " %s", c[i].chain); /* what does not fit tells no more apart */
	(void)SHA256((const unsigned char *)text, b.n, label);
}

static int keep_served(SSL_CTX *ctx, const struct tls_identity *v, size_t n, struct err *e)
{
	struct served *s = OPENSSL_zalloc(sizeof(*s));

	if (s == NULL || SSL_CTX_set_ex_data(ctx, place(), s) != 1) {
		OPENSSL_free(s);
		return err_set(e, "out of memory");
	}
	if ((s->v = OPENSSL_zalloc(n * sizeof(*s->v))) == NULL)
		return err_set(e, "out of memory");
	for (; s->n < n; s->n++)
		if (tls_identity_share(&v[s->n], &s->v[s->n]) < 0)
			return err_set(e, "out of memory");
	SSL_CTX_set_cert_cb(ctx, on_choice, s);
	return 0;
}

static int use_default(SSL_CTX *ctx, const struct tls_identity *v, size_t n, struct err *e)
{
	size_t chosen[TLS_CHOICE_MAX], count = tls_choose(v, n, NULL, chosen);

	for (size_t i = 0; i < count; i++) {
		const struct tls_identity *id = &v[chosen[i]];

		ERR_clear_error();
		if (SSL_CTX_use_cert_and_key(ctx, id->certificate, id->key, id->chain, 1) != 1)
			return err_set(e, "certificate: %s", tls_words());
	}
	return 0;
}

SSL_CTX *tls_server_new(const struct listen_settings *l, const struct tls_identity *identities,
    size_t n, const char *address, uint16_t port, struct ticket_secret *secret, struct err *e)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	unsigned char label[TICKET_LABEL];

	if (ctx == NULL) {
		err_set(e, "TLS: %s", tls_words());
		return NULL;
	}
	label_of(l, address, port, label);
	(void)SSL_CTX_set_tlsext_servername_callback(ctx, on_name);
	if (tls_policy_apply(
		ctx, (enum tls_policy)l->tls_policy, (enum tls_minimum)l->tls_minimum, e) < 0 ||
	    use_default(ctx, identities, n, e) < 0 || keep_served(ctx, identities, n, e) < 0 ||
	    (l->client_certificates == CLIENT_CERTIFICATES_ASK &&
		ask_clients(ctx, l->client_ca, e) < 0) ||
	    (secret != NULL && tickets_use(ctx, secret, label, e) < 0)) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}
