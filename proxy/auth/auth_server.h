/*
 * auth_server - client of a Dovecot authentication server over its Unix socket: Dovecot's own, or
 * our SASL process. One connection for all dialogues of a worker; when it is lost they fail as
 * AUTH_UNAVAILABLE, and it is made again after 0.1 s, 0.2 s .. 12.8 s.
 * Threads    the worker's loop.
 */
#ifndef PROXY_AUTH_AUTH_SERVER_H
#define PROXY_AUTH_AUTH_SERVER_H

#include <event2/event.h>

#include "proxy/auth/auth.h"

struct auth_server;

/* path: of the socket; one that begins with '@' is an abstract one. line_max: the longest line that
 * the server takes. index: tells the connections of one process apart. timeout_s: of one answer.
 * Connects at once. NULL without memory. */
struct auth_server *auth_server_new(
    struct event_base *base, const char *path, size_t line_max, unsigned index, int64_t timeout_s);
void auth_server_free(struct auth_server **s);
struct auth_provider *auth_server_provider(struct auth_server *s);
const char *auth_server_path(const struct auth_server *s);
/* Is the first attempt to reach it over, with whatever outcome? */
bool auth_server_settled(const struct auth_server *s);

#endif
