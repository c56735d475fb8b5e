/*
 * mbox - an mbox file as a stream of messages (RFC 4155; ">From " as mboxrd writes it).
 * Pushed     octets come in pieces of any size; messages go out through a callback.
 * Separator  a line "From " at the file's begin or behind an empty line, with a time of day in it
 *            or one word behind it: a sentence that begins with "From" cuts no message.
 * Bounds     of a message its first message_max octets are kept; a line is looked at for its first
 *            MBOX_LINE_MAX octets.
 */
#ifndef CLI_MBOX_H
#define CLI_MBOX_H

#include "weir/slice.h"

#define MBOX_LINE_MAX 65536

/* Return 0 to go on; anything else stops and is what mbox_feed and mbox_end return. */
typedef int mbox_message_fn(struct slice message, void *arg);

struct mbox {
	mbox_message_fn *on_message;
	void *arg;
	struct bytes message, line; /* line: the begin of one whose end has not come */
	bool begun;                 /* the first separator was seen */
	bool inside;                /* what comes next goes on with a line */
	bool blank;                 /* the line before was empty, or there was none */
	bool failed;                /* memory was gone: a message is cut short */
};

void mbox_start(struct mbox *b, size_t message_max, mbox_message_fn *on_message, void *arg);
int mbox_feed(struct mbox *b, struct slice octets);
/* Give out the last message. */
int mbox_end(struct mbox *b);
void mbox_free(struct mbox *b);

#endif
