/*
 * smtp_reply - one SMTP reply as a value: parse it, build it, write it (RFC 5321 4.2, RFC 2034,
 * RFC 3463).
 * Units      text is octets without CRLF, several lines joined by '\n', printable ASCII or UTF-8
 *            only: a tab becomes a space, any other octet '?'; what is too long is cut between
 *            characters.
 * Errors     0, or -1 with *e set and *r untouched. Nothing is logged here.
 * Ownership  no pointers inside, no shared state: copy it with '=', use it on any thread.
 */
#ifndef WEIR_SMTP_REPLY_H
#define WEIR_SMTP_REPLY_H

#include "weir/err.h"
#include "weir/slice.h"

#define SMTP_REPLY_MAX      2048  /* text, NUL included, over all lines */
#define SMTP_REPLY_WIRE_MAX 16384 /* a reply on the wire that is longer is an error */
#define SMTP_REPLY_LINE_MAX \
	512 /* octets of one line on the wire, CRLF included (RFC 5321 4.5.3.1.5) */

struct smtp_reply {
	int code;          /* 200..559; 0: none */
	char enhanced[12]; /* enhanced status code "5.7.1"; "" if there is none */
	char text[SMTP_REPLY_MAX];
};

/* Parse a reply off the front of wire. 1: done, *used octets belong to it; 0: more octets are
 * needed; -1: no SMTP reply (wrong digits, codes that differ between lines, a bare CR or LF, a NUL,
 * too long); the beginning of what can be none is refused at once. Text past SMTP_REPLY_MAX is cut
 * (W100). The enhanced code is the first line's where its class is the code's, else it is text;
 * later lines lose theirs where it is the same. */
int smtp_reply_parse(struct slice wire, size_t *used, struct smtp_reply *r, struct err *e);
/* From a rule's or a filter's text: "550 5.7.1 No", or several such lines joined by CRLF or LF with
 * "550-" on all but the last. Only 4yz and 5yz; an enhanced code must be of the same class. */
int smtp_reply_from_text(struct slice text, struct smtp_reply *r, struct err *e);
/* Build one, code 200..559; lines of the text are parted by '\n'. enhanced may be ""; one of
 * another class than the code's is left out (W52). */
void smtp_reply_set(struct smtp_reply *r, int code, const char *enhanced, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Append as it goes over the wire: every line with code and enhanced code, at most
 * SMTP_REPLY_LINE_MAX octets (a longer one is continued on the next), '-' on all but the last.
 * False when memory is gone. */
bool smtp_reply_write(const struct smtp_reply *r, struct bytes *out);
/* *to = *from, without the storage that the text does not use. They are two. */
void smtp_reply_copy(struct smtp_reply *to, const struct smtp_reply *from);
/* "550 5.7.1 text": one line, for logs and verdicts; lines are joined by " / ". */
void smtp_reply_line(const struct smtp_reply *r, struct buf *out);
static inline int smtp_reply_class(const struct smtp_reply *r)
{
	return r->code / 100;
}

#endif
