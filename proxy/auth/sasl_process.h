/*
 * sasl_process - the process that checks logins for "auth": "sasl". To workers it is a Dovecot
 * authentication server on a socket of their master's; what may block it gives to helpers
 * (sasl_pool.h). So no worker holds a secret, waits for a data base, or dies of a plugin. Threads
 * none.
 */
#ifndef PROXY_AUTH_SASL_PROCESS_H
#define PROXY_AUTH_SASL_PROCESS_H

#include "weir/settings.h"

/* Serve on the listening socket, which is taken over, for processes of our own user; until SIGTERM,
 * or until the last client has gone after SIGUSR1. Returns the exit status. */
int sasl_process_run(const struct proxy_settings *settings, int listener);

#endif
