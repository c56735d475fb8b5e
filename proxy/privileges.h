/*
 * privileges - what the start needs root for, then from root to proxy.user.
 * Threads    at start, one.
 */
#ifndef PROXY_PRIVILEGES_H
#define PROXY_PRIVILEGES_H

#include "weir/settings.h"

/* Make what user needs to find, and become him. Nothing where we are not root or none is set. 0, or
 * -1 with *e. */
int privileges_leave_root(const struct settings *s, struct err *e);
/* As many descriptors as we may have. */
void privileges_raise_limits(void);

#endif
