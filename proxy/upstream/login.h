/*
 * login - "auth": "relay": the backend checks a client's login. Each dialogue has a backend
 * connection of its own; when the backend says yes, that connection becomes the session's
 * (relay_adopt), for it is he who is logged in there.
 * Threads    the worker's loop.
 */
#ifndef PROXY_UPSTREAM_LOGIN_H
#define PROXY_UPSTREAM_LOGIN_H

#include "proxy/auth/auth.h"
#include "proxy/upstream/upstream.h"

/* The `relay` of its requests is the session's struct relay, which must outlive the dialogue and
 * have no transaction. NULL without memory. u must outlive it. */
struct auth_provider *login_provider_new(struct upstream *u);
void login_provider_free(struct auth_provider **p);

#endif
