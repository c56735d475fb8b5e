/*
 * introspect - whose is an access token? A question to an OAuth 2.0 introspection endpoint (RFC
 * 7662) over HTTP. It blocks: only processes that check logins (sasl_helper.h) may call it. Threads
 * one.
 */
#ifndef PROXY_AUTH_INTROSPECT_H
#define PROXY_AUTH_INTROSPECT_H

#include "proxy/auth/bearer.h"
#include "weir/settings.h"

struct introspector;

enum token { TOKEN_GOOD, TOKEN_BAD, TOKEN_TROUBLE };

/* Reads the secret. settings must outlive it. NULL with *e. */
struct introspector *introspector_open(const struct proxy_settings *settings, struct err *e);
/* TOKEN_GOOD: whose it is stands in login, which is empty before. TOKEN_TROUBLE: *e says why. */
enum token introspect(
    struct introspector *i, struct slice token, int64_t now_s, struct buf *login, struct err *e);
/* The endpoint's answer (a JSON text) alone: pure, for introspect and its tests. */
enum token introspection_read(
    struct slice json, const char *claim, int64_t now_s, struct buf *login, struct err *e);

#endif
