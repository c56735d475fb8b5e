/*
 * facts - what a TLS session is, for filters, the Received field and the log.
 * Ownership  texts point into the SSL or to constants, but for those that are written into
 *            buffers.
 */
#ifndef PROXY_TLS_FACTS_H
#define PROXY_TLS_FACTS_H

#include <openssl/types.h>

#include "weir/slice.h"

struct tls_facts {
	const char *version;   /* "TLSv1.3" */
	const char *cipher;    /* OpenSSL's name */
	int bits, cipher_bits; /* secret bits that are used, and what the cipher could */
	const char *sni; /* as asked for, a host name by its letters; NULL: nothing, or none */
	bool resumed;
	bool certificate; /* the peer showed one */
	const char
	    *verify; /* as Sendmail says: "OK", "FAIL"; "NO": asked, none shown; "NOT": not asked
		      */
};

struct tls_facts tls_facts_of(const SSL *ssl);
/* Of the peer's certificate, "" where there is none: distinguished names in one line (RFC 2253),
 * cut to what fits; SHA-256 as hexadecimal pairs with colons. */
#define TLS_NAME_MAX        512
#define TLS_FINGERPRINT_MAX 96
struct tls_peer {
	char subject[TLS_NAME_MAX], issuer[TLS_NAME_MAX];
	char common_name[256];
	char fingerprint[TLS_FINGERPRINT_MAX];
};
void tls_peer_of(const SSL *ssl, struct tls_peer *out);

#endif
