/*
 * privileges - from root to the user that the daemon runs as. All of it does nothing when the
 * process is not root or the name is empty.
 * Errors     0, or -1 with *e.
 */
#ifndef MILTERD_PRIVILEGES_H
#define MILTERD_PRIVILEGES_H

#include "weir/err.h"

/* Make the folder where it is missing; what was made belongs to user. */
int privileges_folder(const char *path, const char *user, struct err *e);
/* Give a file to user and his group. */
int privileges_give(const char *path, const char *user, struct err *e);
/* Become user, for good. */
int privileges_drop(const char *user, struct err *e);

#endif
