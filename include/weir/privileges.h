/*
 * privileges - from root to the user that a daemon runs as. All of it does nothing when the
 * process is not root or the name is empty.
 * Errors     0, or -1 with *e. setting ("milterd.user") is what an error tells to change.
 * Threads    at start, one.
 */
#ifndef WEIR_PRIVILEGES_H
#define WEIR_PRIVILEGES_H

#include "weir/err.h"
#include "weir/net.h"

/* Who is meant: root may be told to become user. Says early that there is none of that name. */
int privileges_check(const char *user, const char *setting, struct err *e);
/* Make the folder where it is missing; what was made belongs to user. */
int privileges_folder(const char *path, const char *user, struct err *e);
/* The same for the folder that a Unix socket lies in; nothing for another endpoint. */
int privileges_socket_folder(const struct endpoint *ep, const char *user, struct err *e);
/* Give a file to user and his group. */
int privileges_give(const char *path, const char *user, struct err *e);
/* The same for a log file, which user may have to open again; not for a device, nor through a
 * link. */
int privileges_give_log(const char *path, const char *user, struct err *e);
/* Become user, for good. */
int privileges_drop(const char *user, struct err *e);

#endif
