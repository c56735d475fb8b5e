/*
 * identity - a certificate with its chain and private key, as loaded from PEM files.
 * Errors     0, or -1 with *e: the file and what is wrong with it.
 * Ownership  OpenSSL counts what is in it: tls_identity_clear gives our part back, and a context
 *            or handshake that uses it keeps it.
 * Threads    one process each; after a fork each process has its own.
 */
#ifndef PROXY_TLS_IDENTITY_H
#define PROXY_TLS_IDENTITY_H

#include <openssl/types.h>
#include <openssl/x509.h>
#include <sys/stat.h>

#include "weir/settings.h"

struct tls_identity {
	X509 *certificate;
	STACK_OF(X509) * chain; /* without the certificate itself; may be empty */
	EVP_PKEY *key;
};

/* One file as it was when it was read: whether it is still the same. */
struct tls_stamp {
	struct timespec changed; /* ctime: other rights are a change, too */
	off_t size;
	ino_t inode;
	bool there;
};

/* Which file of a certificate's two an error is about. */
enum tls_part { TLS_CHAIN, TLS_KEY };

/* *part: where the error lies. *out is untouched on error. */
int tls_identity_load(const struct certificate_settings *s, struct tls_identity *out,
    enum tls_part *part, struct err *e);
void tls_identity_clear(struct tls_identity *id);
/* One more owner of the same. 0, or -1 without memory. */
int tls_identity_share(const struct tls_identity *id, struct tls_identity *out);
/* Is its name (SAN DNS name with wildcards, else CN) this one? name: NUL-terminated. */
bool tls_identity_named(const struct tls_identity *id, const char *name);
/* RSA, EC, ..: an EVP_PKEY type. */
int tls_identity_kind(const struct tls_identity *id);
/* The first DNS name, else the CN; "" where there is none. Returns into. */
char *tls_identity_name(const struct tls_identity *id, char into[256]);
/* Days that it is still good for; negative: it is over. */
int tls_identity_days(const struct tls_identity *id);

/* What a careful administrator would want to know of the file with the key: NULL, or a text. */
const char *tls_key_exposed(const char *path);

struct tls_stamp tls_stamp_of(const char *path);
bool tls_stamp_same(const struct tls_stamp *a, const struct tls_stamp *b);

#endif
