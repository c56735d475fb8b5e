/*
 * mail_data - a mail's content on its way to a backend: its header fields, the empty line, its
 * body, piece after piece, in one of two forms.
 * DATA       with transparency (RFC 5321 4.5.2), its last line completed, the dot behind it.
 * BDAT       as one chunk, which is the last (RFC 3030): the content as it is, octet for octet,
 *            behind the command that tells its size.
 * Ownership  the mail and its spool stay the caller's, and unchanged until all is out.
 * Threads    the worker's loop.
 */
#ifndef PROXY_UPSTREAM_MAIL_DATA_H
#define PROXY_UPSTREAM_MAIL_DATA_H

#include "proxy/mail.h"
#include "weir/smtp_data.h"

/* So many octets are made at once, and again when those are gone. */
#define MAIL_DATA_STEP  65536

#define MAIL_DATA_PARTS 3

enum mail_data_form { MAIL_DATA_DOT, MAIL_DATA_CHUNK };

/* Zeroed, nothing is being sent. */
struct mail_data {
	const struct mail *mail; /* NULL: nothing is being sent */
	enum mail_data_form form;
	size_t field;
	uint64_t offset;
	bool announced, separator;
	bool ended; /* all of it was made */
	struct smtp_data_encoder encoder;
};

void mail_data_begin(struct mail_data *d, const struct mail *m, enum mail_data_form form);
/* What comes next, MAIL_DATA_STEP octets or a little more, as parts that follow each other and may
 * be empty; out, which is empty before, holds what is not sent from where it lies. When nothing is
 * left behind it `ended` is true. 0, or -1 with *e: the spool cannot be read, or no memory. */
int mail_data_step(
    struct mail_data *d, struct bytes *out, struct slice parts[MAIL_DATA_PARTS], struct err *e);

#endif
