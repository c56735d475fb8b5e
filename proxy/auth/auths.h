/*
 * auths - the providers of one worker: one for each distinct value of the listeners' "auth".
 * Threads    the worker's loop.
 */
#ifndef PROXY_AUTH_AUTHS_H
#define PROXY_AUTH_AUTHS_H

#include <event2/event.h>

#include "proxy/auth/auth.h"
#include "weir/settings.h"

struct auths;

/* relay: who asks the backend, for "relay"; the caller's. sasl_socket: of our own SASL process;
 * NULL or "" where there is none. Connects at once. NULL without memory. settings must outlive it.
 */
struct auths *auths_new(struct event_base *base, const struct proxy_settings *settings,
    struct auth_provider *relay, const char *sasl_socket);
void auths_free(struct auths **a);
/* The provider of a listener; NULL: AUTH is off. */
struct auth_provider *auths_provider(struct auths *a, const struct listen_settings *l);
/* Run the loop until every server has answered once or refused, but no longer than ms: a client
 * that is greeted in the first moments should be offered AUTH, too. */
void auths_settle(struct auths *a, long ms);

#endif
