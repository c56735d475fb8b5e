/*
 * sasl_service - the master's hold on the SASL process: its socket, its start, its end and its
 * successor.
 * Socket     an abstract one with a name that the kernel chose: it needs no folder, nobody can
 *            take it before us, and it stays when the process is replaced. The process lets in our
 *            own user only.
 * Threads    the master's loop.
 */
#ifndef PROXY_AUTH_SASL_SERVICE_H
#define PROXY_AUTH_SASL_SERVICE_H

#include <event2/event.h>

#include "weir/settings.h"

struct sasl_service;

#define SASL_SOCKET_MAX 110 /* octets of its name, NUL included */

/* Some listener has "auth": "sasl". */
bool sasl_wanted(const struct proxy_settings *settings);
/* Only the socket yet. settings must outlive the next call of start. NULL with *e. */
struct sasl_service *sasl_service_new(
    struct event_base *base, void (*leave_master)(void *), void *master, struct err *e);
/* Fork it; leave_master closes in the child what is the master's. Again, with the settings of then,
 * whenever it dies. */
void sasl_service_start(struct sasl_service *s, const struct proxy_settings *settings);
/* A child died: was it this? Then another is started, unless it was expected to end. */
bool sasl_service_died(struct sasl_service *s, pid_t pid, int status, bool expected);
/* "@..." for auths_new; "" where s is NULL. */
const char *sasl_service_socket(const struct sasl_service *s);
/* Let the process end with the last of its workers. */
void sasl_service_retire(struct sasl_service **s);
/* End it now. */
void sasl_service_stop(struct sasl_service **s);
/* In a child of the master: what is not a worker's goes. */
void sasl_service_close(struct sasl_service **s);

#endif
