#include "config.h"

#include "policy.h"

#include <openssl/ssl.h>

#include "words.h"

static const struct {
	int minimum;
	const char *ciphers; /* of TLS 1.2; NULL: it is not spoken */
} policies[] = {
	[TLS_POLICY_MODERN] = { TLS1_3_VERSION, NULL },
	[TLS_POLICY_INTERMEDIATE] = { TLS1_2_VERSION,
	    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
	    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
	    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
	    "DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:DHE-RSA-CHACHA20-POLY1305" },
};

/* The same for all policies. */
static const char ciphers_1_3[] =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
static const char groups[] = "X25519:prime256v1:secp384r1";

void tls_policy_common(SSL_CTX *ctx)
{
	SSL_CTX_set_options(
	    ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
	(void)SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	(void)SSL_CTX_set_max_early_data(ctx, 0);
	(void)SSL_CTX_set_recv_max_early_data(ctx, 0);
}

int tls_policy_apply(SSL_CTX *ctx, enum tls_policy policy, enum tls_minimum minimum, struct err *e)
{
	int version = minimum == TLS_MINIMUM_1_3 ? TLS1_3_VERSION : policies[policy].minimum;
	const char *ciphers = policies[policy].ciphers;

	tls_policy_common(ctx);
	if (SSL_CTX_set_min_proto_version(ctx, version) != 1 ||
	    SSL_CTX_set_ciphersuites(ctx, ciphers_1_3) != 1 ||
	    (ciphers != NULL && SSL_CTX_set_cipher_list(ctx, ciphers) != 1) ||
	    SSL_CTX_set1_groups_list(ctx, groups) != 1)
		return err_set(e, "TLS policy: %s", tls_words());
	/* RFC 7919's groups, of the strength of the key. */
	(void)SSL_CTX_set_dh_auto(ctx, 1);
	return 0;
}
