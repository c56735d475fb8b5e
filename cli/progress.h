/*
 * progress - a bar on a terminal: how far, how many, how fast, how long still.
 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct progress {
	bool shown;
	uint64_t total; /* octets; 0: not known, then there is no bar and no time left */
	struct timespec begin, drawn; /* drawn: zero until the first time, which is at once */
};

/* Nothing is ever drawn when standard error is no terminal, or quiet is set. */
void progress_start(struct progress *p, uint64_t total, bool quiet);
/* Draws a few times a second, however often it is called. */
void progress_update(struct progress *p, uint64_t octets, uint64_t messages);
/* Take the bar away, so that what is printed next stands on a line of its own. */
void progress_clear(struct progress *p);

#endif
