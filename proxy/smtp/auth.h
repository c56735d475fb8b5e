/*
 * auth - AUTH on the server side (RFC 4954): the command, its dialogue, who has logged in, and
 * what failures cost. Who checks is the listener's provider (proxy/auth/auth.h).
 * Threads    the worker's loop.
 */
#ifndef PROXY_SMTP_AUTH_H
#define PROXY_SMTP_AUTH_H

#include "session.h"

#include "proxy/auth/base64.h"

void command_auth(struct session *s, struct slice argument);

/* Does the client owe a response? Then the next line is one, and goes to auth_line. */
bool auth_expected(const struct session *s);
void auth_line(struct session *s, struct slice line);
/* How long the next line may be, of which `in` is there already; at least `usual`. */
size_t auth_line_max(const struct session *s, struct slice in, size_t usual);
/* A line that is none: the dialogue, if one is under way, is over. True when it was answered. */
bool auth_bad_line(struct session *s, struct slice in, enum line_status why);
/* Forget all of it: the session ends, or TLS begins. */
void auth_drop(struct session *s);

/* Is AUTH in the reply to EHLO? */
bool auth_offered(const struct session *s);
/* Write the mechanisms behind it. */
void auth_offer(const struct session *s, struct bytes *out);

bool auth_good(const struct session *s);
/* NULL, and .p NULL, where nobody has logged in. */
const char *auth_login(const struct session *s);
struct slice auth_mechanism(const struct session *s);
/* Must he log in before he may send mail? */
bool auth_needed(const struct session *s);
/* Has he failed too often? Counts the refusal that is to follow. */
bool auth_banned(const struct session *s);

#endif
