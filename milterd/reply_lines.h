/*
 * reply_lines - a reply as libmilter is given it: code, enhanced code, lines with '%' doubled
 * (Sendmail takes them for printf formats, spec of SMFIR_REPLYCODE).
 */
#ifndef MILTERD_REPLY_LINES_H
#define MILTERD_REPLY_LINES_H

#include "weir/err.h"
#include "weir/slice.h"

enum { REPLY_LINES_MAX = 32, REPLY_LINE_MAX = 980 }; /* libmilter's own limits */

struct reply_lines {
	char code[4];
	char enhanced[12]; /* "" if there is none */
	size_t n;
	char line[REPLY_LINES_MAX][REPLY_LINE_MAX + 1];
};

/* From a verdict's text, "550 5.7.1 ..." or several such lines. What passes the limits is cut,
 * never between two signs of a doubled '%'. 0, or -1 with *e. */
int reply_lines_make(struct slice reply, struct reply_lines *out, struct err *e);

#endif
