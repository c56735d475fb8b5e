/*
 * file - small helpers over whole files, with errors that name the path.
 * Errors     0, or -1 with *e "PATH: what".
 */
#ifndef WEIR_FILE_H
#define WEIR_FILE_H

#include <sys/types.h>

#include "weir/err.h"
#include "weir/slice.h"

/* Append the file's octets to into; more than into->max is an error. "-" is standard input. */
int file_read(const char *path, struct bytes *into, struct err *e);
/* The same from an open descriptor, to its end; name stands in errors. */
int file_read_fd(int fd, const char *name, struct bytes *into, struct err *e);
/* Write all n octets, whatever the signals. 0, or -1 with errno. */
int file_write_all(int fd, const void *p, size_t n);
/* Create path, mode 0750, with all missing parents, mode 0755, less umask. An existing folder is
 * fine. */
int folder_make(const char *path, struct err *e);
/* The same; those that were missing, parents too, become user's and group's. */
int folder_make_for(const char *path, uid_t user, gid_t group, struct err *e);
/* "DIR/NAME", or NAME where it is absolute. NULL without memory; the caller frees it. */
char *path_join(const char *dir, const char *name);

#endif
