/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * sandbox - what the scanner gives up, so that a message that takes over libclamav holds little.
 * Order      sandbox_inherit before anything else, sandbox_user once the database is loaded,
 * sandbox_worker in each worker before its first message. Errors     0, or -1 with errno: a wall
 * that cannot be built ends the process, but for those that are said to be best effort.
 */
#ifndef WEIR_SCANNER_SANDBOX_H
#define WEIR_SCANNER_SANDBOX_H

#include <stdint.h>

/* Keep standard input, output, error and SCANNER_FD of what was inherited; no core files, no new
 * privileges by any exec. */
int sandbox_inherit(void);
/* When root: become that user ("nobody" where there is no such user) and give it the folder
 * scratch. Not root, or user "": nothing. */
int sandbox_user(const char *user, const char *scratch);
/* Die with the master, no privilege, no new processes; descriptors, file sizes bounded; no system
 * call of a kind that a scan never makes (best effort: a kernel without seccomp goes without). */
int sandbox_worker(uint64_t recursion, uint64_t file_bytes);

#endif
