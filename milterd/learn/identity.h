/*
 * identity - by what a message is known again: SHA-256 over Message-ID, Date, From, Subject and
 * body, which its author wrote; what the way adds (Received, X-Spam-*, Status, blank lines at the
 * end) does not count.
 */
#ifndef LEARN_IDENTITY_H
#define LEARN_IDENTITY_H

#include "milterd/message/message.h"

/* m is parsed. False when memory is gone. */
bool identity_of(struct message *m, uint8_t id[32]);

#endif
