/*
 * server - the TLS context of one listener: policy, certificates chosen by the name that the
 * client asks for, session tickets of its own, client certificates where they are asked for.
 * Choice     all certificates whose names cover the asked one, the first of each kind of key; the
 *            handshake takes the one that the client can verify. Without a name, or with one that
 *            none covers, the first certificate, and the first of other kinds for the same name. A
 *            client of SMTP that asks for a name we do not have is not turned away (RFC 7672 3.2).
 * Ownership  the context keeps what it needs of the identities.
 */
#ifndef PROXY_TLS_SERVER_H
#define PROXY_TLS_SERVER_H

#include "proxy/tls/identity.h"
#include "proxy/tls/tickets.h"

/* address and port: where it listens, for the tickets. secret must outlive the context; NULL: only
 * to see whether it can be made. NULL with *e. */
SSL_CTX *tls_server_new(const struct listen_settings *l, const struct tls_identity *identities,
    size_t n, const char *address, uint16_t port, struct ticket_secret *secret, struct err *e);

/* Which of n identities serve `name` (NULL: the default), at most one a kind of key, at most
 * TLS_CHOICE_MAX of them. How many went into chosen. */
#define TLS_CHOICE_MAX 4
size_t tls_choose(
    const struct tls_identity *v, size_t n, const char *name, size_t chosen[TLS_CHOICE_MAX]);

#endif
