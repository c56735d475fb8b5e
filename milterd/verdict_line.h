/*
 * verdict_line - the one log line that tells a message's fate, in an order that never changes.
 */
#ifndef MILTERD_VERDICT_LINE_H
#define MILTERD_VERDICT_LINE_H

#include "milterd/exam.h"

/* id: connection.transaction; queue_id: the MTA's, "" if it gave none. aborted: the client or MTA
 * gave up before the verdict. */
void verdict_line(struct exam *x, const char *id, const char *queue_id, bool aborted);
/* A recipient who was refused while the transaction goes on. */
void refusal_line(struct exam *x, const char *id, const char *queue_id, struct slice recipient,
    struct slice reply, bool tempfail);

#endif
