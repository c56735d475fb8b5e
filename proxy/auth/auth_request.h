/*
 * auth_request - the AUTH line of the Dovecot protocol for a client's login.
 * Threads    any: no state.
 */
#ifndef PROXY_AUTH_AUTH_REQUEST_H
#define PROXY_AUTH_AUTH_REQUEST_H

#include "proxy/auth/auth.h"

/* Append it, without LF. The response is its last field, as the protocol wants it. */
void auth_request_write(uint32_t id, const struct auth_request *r, struct bytes *out);

#endif
