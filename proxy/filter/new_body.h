/*
 * new_body - the body that a filter sends in place of the old one: pieces cut anywhere, line ends
 * of any kind, into a spool of lines that end with CR LF.
 * Errors     -1 with *e: the filter sends too much. What the machine cannot do (memory, a full
 *            disk) is kept until new_body_take.
 */
#ifndef PROXY_FILTER_NEW_BODY_H
#define PROXY_FILTER_NEW_BODY_H

#include "proxy/spool.h"
#include "weir/settings.h"

struct new_body {
	struct spool *spool; /* NULL: no piece came yet */
	bool cr;             /* the last octet was a CR that waits for its LF */
	bool in_line;        /* the last line is open */
	bool failed;
	struct err why;
};

/* An empty piece begins a body too. */
int new_body_add(
    struct new_body *b, const struct proxy_settings *settings, struct slice piece, struct err *e);
/* End the last line. -1 with *e: the machine could not. */
int new_body_end(struct new_body *b, struct err *e);
void new_body_free(struct new_body *b);

#endif
