/*
 * store - the certificates of all listeners as one process holds them. The master loads them while
 * it is still privileged; workers inherit them. Files are watched: what changed is loaded again,
 * and what is broken is told of and the old one kept.
 * Privileges a key that only root may read is read at the start. After that the process is
 * proxy.user: a renewed key must be readable by that user, or waits for a restart.
 */
#ifndef PROXY_TLS_STORE_H
#define PROXY_TLS_STORE_H

#include <jansson.h>

#include "proxy/tls/identity.h"

struct tls_entry {
	struct certificate_settings files;     /* paths of our own */
	struct tls_stamp chain, key;           /* when it was loaded */
	struct tls_stamp seen_chain, seen_key; /* when it was looked at last */
	bool refused;                          /* ... and found broken */
	char *why;                             /* NULL: it is the one in the files */
};

struct tls_store {
	struct tls_listener {
		struct tls_entry *entries;
		struct tls_identity *identities; /* n of each */
		size_t n;
	} * v;
	size_t n; /* one for each listen entry, in their order */
};

/* Load all that is named in s. A file that cannot be read any more, but was loaded into old before,
 * is taken from there with a warning (old may be NULL). Findings point into s's file. NULL when
 * there was an error. */
struct tls_store *tls_store_load(
    const struct settings *s, const struct tls_store *old, struct findings *f);
void tls_store_free(struct tls_store **s);

/* Would a worker come to run with it, with the rights that this process has? 0, or -1 with
 * findings. */
int tls_store_try(const struct tls_store *st, const struct settings *s, struct findings *f);

/* Look whether files changed. settled: only those that did not change since the last look, so that
 * a pair is not read while it is being written; and say in the log what became of them. True when
 * at least one was loaded anew. */
bool tls_store_renew(struct tls_store *s, bool settled);

/* For the master, once the privileges are gone: warn of files that could not be read again. */
void tls_store_check_access(const struct tls_store *s);
/* Each certificate: names, days left, and why an old one is kept. */
json_t *tls_store_status(const struct tls_store *s);

#endif
