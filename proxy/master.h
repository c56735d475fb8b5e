/*
 * master - the process that binds, drops privileges, starts the workers, watches over them, and
 * answers on the control socket. It touches no mail.
 */
#ifndef PROXY_MASTER_H
#define PROXY_MASTER_H

#include "weir/settings.h"

/* Run until SIGTERM or SIGINT. settings becomes the master's; path is read again at a reload.
 * Errors before the workers run go to standard error. Returns the exit status. */
int master_run(const char *path, struct settings *settings, bool foreground);

#endif
