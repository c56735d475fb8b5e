/*
 * intake - the mail data of one transaction on its way in: decoded, split into header section and
 * body, counted, and passed to the filters and the spool. Once it is refused, for whatever reason,
 * the rest is read and thrown away, and the refusal is the answer to the dot.
 * Memory     the header section is bounded by limits.header_bytes; the rest is the spool's.
 */
#ifndef PROXY_SMTP_INTAKE_H
#define PROXY_SMTP_INTAKE_H

#include "proxy/smtp/session.h"

struct intake;

/* chunks: they come by BDAT. NULL without memory. */
struct intake *intake_new(struct session *s, bool chunks);
void intake_free(struct intake **c);
/* Take octets off the wire: *used of in. 1: the end of the data was read; 0: more is to come; -1:
 * no memory, and no way to go on. */
int intake_take(struct session *s, struct slice in, size_t *used);
/* Octets of a chunk, all of them. 0, or -1: no memory, and no way to go on. */
int intake_add(struct session *s, struct slice in);
/* After the end: close an open header section, look at the whole. False: it is refused with that
 * reply. */
bool intake_close(struct session *s, struct smtp_reply *refusal);
bool intake_refused(const struct intake *c);
/* Was it closed? The client did his part then. */
bool intake_ended(const struct intake *c);
uint64_t intake_bytes(const struct intake *c);
/* For so long the client could not send, for a reason of ours. */
void intake_excuse(struct intake *c, int64_t ms);
/* When the client is late: silent for data_s, or slower in all than rate (octets per second). */
int64_t intake_deadline(const struct intake *c, int64_t data_s, int64_t rate);
/* Octets that the header section takes. */
size_t intake_memory(const struct intake *c);
/* Would what comes be kept in memory? */
bool intake_in_header(const struct intake *c);
/* Give the message up for want of memory. */
void intake_give_up(struct session *s);

#endif
