/*
 * privileges - from root to the configured user, and the limits that only the start can raise.
 * Threads    at start, one.
 */
#ifndef PROXY_PRIVILEGES_H
#define PROXY_PRIVILEGES_H

#include "weir/settings.h"

/* Become proxy.user where we are root and one is set. 0, or -1 with *e. */
int privileges_drop(const struct settings *s, struct err *e);
/* As many descriptors as we may have. */
void privileges_raise_limits(void);

#endif
