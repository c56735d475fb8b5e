#include "config.h"

#include "tickets.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "words.h"

enum { NAME_SIZE = 16, KEY_SIZE = 32 };

struct keys {
	unsigned char name[NAME_SIZE], cipher[KEY_SIZE], mac[KEY_SIZE];
};

struct ticket_keys {
	struct ticket_secret *secret;
	uint64_t epoch; /* of `now` */
	unsigned char label[TICKET_LABEL];
	struct keys now, before;
};

static uint64_t present(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec / TICKET_EPOCH_S;
}

/* HMAC-SHA-256 of what | label under the secret. */
static void derive(const unsigned char secret[32], const char *what, const unsigned char *label,
    unsigned char out[32])
{
	struct {
		char what[16];
		unsigned char label[TICKET_LABEL];
	} text = { 0 };
	unsigned int n = 0;

	(void)snprintf(text.what, sizeof(text.what), "%s", what);
	if (label != NULL)
		memcpy(text.label, label, TICKET_LABEL);
	if (HMAC(EVP_sha256(), secret, 32, (const unsigned char *)&text, sizeof(text), out, &n) ==
		NULL ||
	    n != 32)
		abort(); /* a key that is not what it should be must not protect anything */
}

int ticket_secret_init(struct ticket_secret *s, struct err *e)
{
	s->epoch = present();
	if (RAND_priv_bytes(s->now, sizeof(s->now)) != 1 ||
	    RAND_priv_bytes(s->before, sizeof(s->before)) != 1)
		return err_set(e, "random numbers: %s", tls_words());
	return 0;
}

void ticket_secret_advance(struct ticket_secret *s)
{
	for (uint64_t until = present(); s->epoch < until; s->epoch++) {
		memcpy(s->before, s->now, sizeof(s->before));
		derive(s->before, "next", NULL, s->now);
	}
}

static void derive_keys(
    const unsigned char secret[32], const unsigned char *label, struct keys *out)
{
	unsigned char name[32];

	derive(secret, "name", label, name);
	memcpy(out->name, name, sizeof(out->name));
	derive(secret, "cipher", label, out->cipher);
	derive(secret, "mac", label, out->mac);
}

static void refresh(struct ticket_keys *k)
{
	ticket_secret_advance(k->secret);
	if (k->epoch == k->secret->epoch)
		return;
	k->epoch = k->secret->epoch;
	derive_keys(k->secret->now, k->label, &k->now);
	derive_keys(k->secret->before, k->label, &k->before);
}

static int use(const struct keys *k, const unsigned char *iv, EVP_CIPHER_CTX *cipher,
    EVP_MAC_CTX *mac, int sealing)
{
	char digest[] = "SHA256";
	OSSL_PARAM parameters[] = {
		OSSL_PARAM_construct_octet_string(
		    OSSL_MAC_PARAM_KEY, (void *)(uintptr_t)k->mac, sizeof(k->mac)),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_end(),
	};

	return EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, k->cipher, iv, sealing) == 1 &&
	    EVP_MAC_CTX_set_params(mac, parameters) == 1;
}

/* A handshake that began with a context may end after the listener has another: the keys go when
 * OpenSSL lets the context go. */
static void drop_keys(
    void *ctx, void *keys, CRYPTO_EX_DATA *all, int index, long number, void *pointer)
{
	(void)ctx;
	(void)all;
	(void)index;
	(void)number;
	(void)pointer;
	OPENSSL_clear_free(keys, sizeof(struct ticket_keys));
}

static int place(void)
{
	static int index = -1; /* OpenSSL's own shape of a constant */

	if (index < 0)
		index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, drop_keys);
	return index;
}

/* OpenSSL's contract: -1 error, 0 unknown key, 1 go on, 2 go on and make a new ticket. */
static int on_ticket(SSL *ssl, unsigned char name[NAME_SIZE], unsigned char *iv,
    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int sealing)
{
	struct ticket_keys *k = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), place());

	refresh(k);
	if (sealing) {
		memcpy(name, k->now.name, NAME_SIZE);
		return RAND_bytes(iv, 16) == 1 && use(&k->now, iv, cipher, mac, 1) ? 1 : -1;
	}
	if (memcmp(name, k->now.name, NAME_SIZE) == 0)
		return use(&k->now, iv, cipher, mac, 0) ? 1 : -1;
	if (memcmp(name, k->before.name, NAME_SIZE) == 0)
		return use(&k->before, iv, cipher, mac, 0) ? 2 : -1;
	return 0;
}

int tickets_use(
    SSL_CTX *ctx, struct ticket_secret *s, const unsigned char label[TICKET_LABEL], struct err *e)
{
	struct ticket_keys *k = OPENSSL_zalloc(sizeof(*k));

	if (k == NULL || SSL_CTX_set_ex_data(ctx, place(), k) != 1) {
		OPENSSL_free(k);
		return err_set(e, "out of memory");
	}
	k->secret = s;
	k->epoch = UINT64_MAX;
	memcpy(k->label, label, TICKET_LABEL);
	(void)SSL_CTX_set_session_id_context(ctx, label, TICKET_LABEL);
	(void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	(void)SSL_CTX_set_timeout(ctx, TICKET_LIFE_S);
	(void)SSL_CTX_set_num_tickets(ctx, 1); /* mail clients open one connection after another */
	(void)SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket);
	return 0;
}
