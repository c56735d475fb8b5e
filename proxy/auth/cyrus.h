/*
 * cyrus - Cyrus SASL's side of a login: mechanisms of its plugins over sasldb, PLAIN's password by
 * saslauthd where that is configured. It blocks: only processes that check logins (sasl_helper.h)
 * may call it.
 * Ownership  *out of a step is libsasl's, until the next call.
 * Threads    one.
 */
#ifndef PROXY_AUTH_CYRUS_H
#define PROXY_AUTH_CYRUS_H

#include "proxy/auth/mechanism.h"
#include "weir/settings.h"

struct cyrus;          /* the library, open */
struct cyrus_dialogue; /* one login */

enum cyrus_result { CYRUS_GOOD, CYRUS_MORE, CYRUS_BAD, CYRUS_TROUBLE };

/* settings must outlive it. NULL with *e. There can be one of them. */
struct cyrus *cyrus_open(const struct proxy_settings *settings, struct err *e);
/* The mechanisms that are configured and have a plugin that works. */
unsigned cyrus_mechanisms(struct cyrus *c);

/* local, remote: "ADDRESS;PORT", or NULL. NULL without memory. */
struct cyrus_dialogue *cyrus_new(
    struct cyrus *c, const char *local, const char *remote, bool secure);
void cyrus_free(struct cyrus_dialogue **d);
/* response, decoded; .p is NULL where the client gave none. CYRUS_MORE: *out is the challenge. */
enum cyrus_result cyrus_start(
    struct cyrus_dialogue *d, const char *mechanism, struct slice response, struct slice *out);
enum cyrus_result cyrus_step(struct cyrus_dialogue *d, struct slice response, struct slice *out);
/* After CYRUS_GOOD: who it is. "" where libsasl does not say. */
const char *cyrus_login(const struct cyrus_dialogue *d);

#endif
