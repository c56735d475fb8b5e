/*
 * client - TLS towards the servers of one backend: what is verified, and sessions that are
 * resumed.
 * Ownership  tls_client_free after the last SSL of it.
 * Threads    the worker's loop.
 */
#ifndef PROXY_TLS_CLIENT_H
#define PROXY_TLS_CLIENT_H

#include <openssl/ssl.h>

#include "weir/settings.h"

struct tls_client;

/* For a backend whose tls is not off. NULL with *e: the file of authorities, mostly. */
struct tls_client *tls_client_new(const struct backend_settings *b, struct err *e);
void tls_client_free(struct tls_client **c);

/* Could each backend's be made? 0, or -1 with findings in s's file. */
int tls_clients_check(const struct settings *s, struct findings *f);

/* A handshake to be, with host, the server's name or address. session: where the server's last
 * session lies (NULL at first) and its next will be put; it must live as long as the SSL. NULL
 * without memory. */
SSL *tls_client_ssl(struct tls_client *c, const char *host, SSL_SESSION **session);
/* Was the certificate verified for the host? */
bool tls_client_verified(const struct tls_client *c, const SSL *ssl);

#endif
