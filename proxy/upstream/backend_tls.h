/*
 * backend_tls - what backend.c asks about TLS: whether a server is to be spoken to under it, and
 * the turn to it.
 */
#ifndef PROXY_UPSTREAM_BACKEND_TLS_H
#define PROXY_UPSTREAM_BACKEND_TLS_H

#include "proxy/stream.h"
#include "proxy/upstream/upstream.h"

/* May we go on without TLS where it cannot be had (tls "may")? */
bool backend_tls_optional(const struct route *r);
/* TLS from the first octet? */
bool backend_tls_implicit(const struct route *r);

enum backend_tls_step {
	BACKEND_TLS_GO_ON,   /* as the link is */
	BACKEND_TLS_ASK,     /* say STARTTLS */
	BACKEND_TLS_MISSING, /* the server does not have what must be */
};
/* After the answer to EHLO or HELO. clear: this server is asked once more, without TLS. */
enum backend_tls_step backend_tls_next(
    const struct route *r, const struct abilities *a, bool clear);

/* The handshake with a server. False without memory. */
bool backend_tls_start(struct route *r, size_t server, struct stream *stream);
/* What it came to. */
enum link_tls backend_tls_done(const struct route *r, size_t server, const struct stream *stream);

#endif
