/*
 * line - command lines off a stream of octets. Only CR LF ends a line (RFC 5321 2.3.8): a line with
 * a bare CR, a bare LF or a NUL is one bad line, told at the first bad octet and thrown away up to
 * its CR LF, so that cutting the octets differently changes nothing. What is thrown away is
 * bounded. Where lf_ends is set, a bare LF ends a good line as well.
 */
#ifndef PROXY_SMTP_LINE_H
#define PROXY_SMTP_LINE_H

#include "weir/slice.h"

/* What is thrown away of one line before the client is given up (W42). */
#define LINE_DISCARD_MAX 65536

struct line_reader {
	size_t looked; /* octets of the pending input that hold no line end */
	bool lf_ends;  /* set by the owner: a bare LF ends a line too */
	bool bare;     /* and it was one that ended the last line */
	bool discarding;
	size_t discarded;
};

enum line_status {
	LINE_MORE, /* no line yet; *used octets (of a bad one) are done with */
	LINE_GOOD, /* *line, without its CR LF */
	LINE_LONG, /* more than max octets, CR LF included */
	LINE_BARE, /* a CR or LF that stands alone */
	LINE_NUL,
	LINE_FLOOD, /* a bad line that does not end */
};

/* Look at the pending input in. *used octets of it are to be taken off in any case. */
enum line_status line_read(
    struct line_reader *r, struct slice in, size_t max, struct slice *line, size_t *used);

#endif
