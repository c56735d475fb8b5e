/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * worker - a scanner process: one job at a time until the daemon closes the socket.
 * Ends       _exit(0) at end of file, _exit(1) on a job that breaks the protocol.
 */
#ifndef WEIR_SCANNER_WORKER_H
#define WEIR_SCANNER_WORKER_H

#include "milterd/scanner/engine.h"

void worker_serve(struct engine *g, int fd) __attribute__((noreturn));

#endif
