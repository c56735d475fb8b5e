/*
 * examine - one message file through an exam, as the daemon would have it over SMTP.
 */
#ifndef CLI_EXAMINE_H
#define CLI_EXAMINE_H

#include "milterd/exam.h"

struct envelope {
	struct client client; /* address, helo */
	const char *from;     /* NULL: Return-Path of the message, else its From */
	char **recipients;    /* none: no rule of the rcpt stage is run for a recipient */
	size_t recipient_count;
};

/* From the first stage to the last, or to the verdict that ends the matter. */
void examine(struct exam *x, const struct envelope *e, struct slice file);

#endif
