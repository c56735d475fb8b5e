/*
 * dovecot - lines of the Dovecot authentication protocol, version 1: what client and server say to
 * one another.
 * Lines      fields are parted by tabs and end with LF, which is taken off before. Values of
 *            "name=value" fields are escaped: ^A 0, ^A 1, ^A t, ^A r, ^A n stand for NUL, ^A, tab,
 *            CR, LF.
 * Errors     0, or -1 with *e.
 * Ownership  slices point into the line.
 * Threads    any.
 */
#ifndef PROXY_AUTH_DOVECOT_H
#define PROXY_AUTH_DOVECOT_H

#include "weir/err.h"
#include "weir/slice.h"

/* Longest line that is read, LF included. A response of RFC 4954's 12288 octets fits with what
 * stands around it. */
#define DOVECOT_LINE_MAX 16384
/* Dovecot itself breaks off, for all who share the connection, on a line from its client that is
 * longer. */
#define DOVECOT_SENT_MAX 8192

enum dovecot_verb {
	DOVECOT_OTHER, /* unknown: to be passed over */
	DOVECOT_VERSION,
	DOVECOT_MECH,
	DOVECOT_DONE,
	DOVECOT_CPID,
	DOVECOT_AUTH,
	DOVECOT_CONT,
	DOVECOT_CANCEL,
	DOVECOT_OK,
	DOVECOT_FAIL,
};

struct dovecot_line {
	enum dovecot_verb verb;
	uint32_t id;         /* of AUTH, CONT, CANCEL, OK, FAIL; never 0 */
	uint32_t version;    /* the major one */
	struct slice name;   /* of MECH and AUTH: the mechanism; of CONT: the base64 */
	struct slice fields; /* the rest */
};

int dovecot_parse(struct slice line, struct dovecot_line *out, struct err *e);
/* Is there a field `name` without value? */
bool dovecot_flag(struct slice fields, struct slice name);
/* The value of "name=value", as it stands in the line; .p is NULL where there is none. */
struct slice dovecot_value(struct slice fields, struct slice name);
/* Append the value unescaped. */
void dovecot_unescape(struct slice value, struct buf *into);
/* Append TAB name=value, escaped. */
void dovecot_add(struct bytes *line, const char *name, struct slice value);

#endif
