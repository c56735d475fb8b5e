/*
 * milter - libmilter's callbacks, and nothing else of the daemon: they feed an exam and say its
 * verdict in the milter protocol. milter.c is the only file that knows libmilter.
 * Threads    callbacks of one session come one at a time, on whichever thread of libmilter's.
 */
#ifndef MILTERD_MILTER_H
#define MILTERD_MILTER_H

#include "weir/err.h"
#include "weir/settings.h"

/* Bind and listen, with the mode of the settings; before privileges are dropped. 0, or -1 with *e.
 */
int milter_open(const struct milterd_settings *s, struct err *e);
/* Serve until the process ends. Runs on a thread of its own; returns, with -1, only where libmilter
 * gives up. */
int milter_run(void);

#endif
