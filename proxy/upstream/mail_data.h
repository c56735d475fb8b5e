/*
 * mail_data - a mail's content on its way to a backend: its header fields, the empty line, its
 * body, piece after piece. Ownership  the mail and its spool stay the caller's, and unchanged until
 * all is out. Threads    the worker's loop.
 */
#ifndef PROXY_UPSTREAM_MAIL_DATA_H
#define PROXY_UPSTREAM_MAIL_DATA_H

#include "proxy/mail.h"
#include "weir/smtp_data.h"

/* So many octets are made at once, and again when those are gone. */
#define MAIL_DATA_STEP 65536

/* Zeroed, nothing is being sent. */
struct mail_data {
	const struct mail *mail; /* NULL: nothing is being sent */
	size_t field;
	uint64_t offset;
	bool separator;
	bool ended; /* all of it was made */
	struct smtp_data_encoder encoder;
};

void mail_data_begin(struct mail_data *d, const struct mail *m);
/* Append what comes next, MAIL_DATA_STEP octets or a little more, encoded for DATA; behind the last
 * of it the dot, and `ended` is true. 0, or -1 with *e: the spool cannot be read, or no memory. */
int mail_data_step(struct mail_data *d, struct bytes *out, struct err *e);

#endif
