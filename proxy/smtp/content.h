/*
 * content - the mail data of one transaction on its way in: decoded, split into header section and
 * body, counted, and passed to the filters and the spool. Once it is refused, for whatever reason,
 * the rest is read and thrown away, and the refusal is the answer to the dot. Memory     the header
 * section is bounded by limits.header_bytes; the rest is the spool's.
 */
#ifndef PROXY_SMTP_CONTENT_H
#define PROXY_SMTP_CONTENT_H

#include "proxy/smtp/session.h"

struct content;

/* NULL without memory. */
struct content *content_new(struct session *s);
void content_free(struct content **c);
/* Take octets off the wire: *used of in. 1: the end of the data was read; 0: more is to come; -1:
 * no memory, and no way to go on. */
int content_take(struct session *s, struct slice in, size_t *used);
/* After the end: close an open header section, look at the whole. NULL where all is well, else the
 * reply. */
const struct smtp_reply *content_close(struct session *s);
bool content_refused(const struct content *c);
uint64_t content_bytes(const struct content *c);
/* For so long the client could not send, for a reason of ours. */
void content_excuse(struct content *c, int64_t ms);
int64_t content_deadline(const struct content *c, const struct proxy_settings *p);

#endif
