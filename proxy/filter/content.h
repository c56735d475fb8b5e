/*
 * content - what of a message one filter has still to be told: header fields, end of header, body
 * in chunks. The body comes from the mail's spool (the whole message is there), or is handed in as
 * it arrives.
 * Errors     -1 with *e: the spool could not be read, or no memory.
 */
#ifndef PROXY_FILTER_CONTENT_H
#define PROXY_FILTER_CONTENT_H

#include "proxy/mail.h"
#include "weir/milter.h"

struct content {
	const struct mail *mail; /* NULL: no content begun */
	size_t hidden;           /* index of the field that filters do not see; SIZE_MAX: none */
	size_t field;            /* the next one */
	bool header_over, eoh_over;
	bool spooled, body_over; /* body_over: no more is wanted */
	uint64_t offset;         /* spooled: sent so far */
	struct bytes waiting;    /* not spooled: arrived and not sent */
	size_t waiting_at;
	bool ended; /* no more will arrive */
};

/* m and its fields stay as they are until content_free, or until the next begin. */
void content_begin(struct content *c, const struct mail *m, size_t hidden, bool spooled);
void content_free(struct content *c);
/* Octets that wait to be sent. */
size_t content_waiting(const struct content *c);
bool content_add(struct content *c, struct slice octets);
/* The filter wants no more header fields, no more body. */
void content_skip(struct content *c, enum milter_command what);
/* What comes next: HEADER, EOH, BODY, END when all was sent, or 0 when more must arrive first. */
int content_next(struct content *c, const struct milter_options *o);
/* Put that packet (HEADER, BODY) and go on; EOH is only passed over. */
int content_put(
    struct content *c, int what, const struct milter_options *o, struct bytes *out, struct err *e);

#endif
