/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * engine - libclamav: the signature database, loaded once with all limits set, and one scan.
 * Clean      is only what was looked at whole: a limit that was passed is an error here, never
 * clean. Process    one engine in a process; forked children share its memory.
 */
#ifndef WEIR_SCANNER_ENGINE_H
#define WEIR_SCANNER_ENGINE_H

#include <stddef.h>
#include <stdint.h>

#include "milterd/scanner/protocol.h"

struct engine_limits {
	uint64_t time_ms, scan_bytes, file_bytes, recursion, files;
};

struct engine;

/* Load the folder `database`. Temporary files go to the working folder of whoever scans. NULL with
 * why filled with one sentence that names the folder and, where it has a fault, the file. */
struct engine *engine_load(const char *database, const struct engine_limits *limits, char *why,
    size_t why_size, unsigned *signatures);
/* Scan size octets of fd from its start: fills status, code and name of the answer. */
void engine_scan(struct engine *g, int fd, uint64_t size, struct scanner_answer *answer);

#endif
