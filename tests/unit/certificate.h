/*
 * certificate - certificates and keys for tests, made when they are needed and signed by
 * themselves.
 */
#ifndef TESTS_CERTIFICATE_H
#define TESTS_CERTIFICATE_H

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

/* kind: 'e' or 'r'; names: "DNS:a,DNS:b", or NULL for the common name alone. The caller frees both.
 */
static inline X509 *certificate_make(
    char kind, const char *common, const char *names, int days, EVP_PKEY **key)
{
	X509 *x = X509_new();
	X509_NAME *name = X509_get_subject_name(x);

	*key = kind == 'r' ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
	ck_assert_ptr_nonnull(*key);
	X509_set_version(x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -86400L * 100);
	X509_gmtime_adj(X509_getm_notAfter(x), 86400L * days + (days >= 0 ? 60 : 0));
	X509_NAME_add_entry_by_txt(
	    name, "CN", MBSTRING_ASC, (const unsigned char *)common, -1, -1, 0);
	X509_set_issuer_name(x, name);
	X509_set_pubkey(x, *key);
	if (names != NULL) {
		X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);

		ck_assert_ptr_nonnull(e);
		ck_assert_int_eq(X509_add_ext(x, e, -1), 1);
		X509_EXTENSION_free(e);
	}
	ck_assert_int_gt(X509_sign(x, *key, EVP_sha256()), 0);
	return x;
}

#endif
