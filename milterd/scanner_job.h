/*
 * scanner_job - one message through one scanner worker: seal it, send it, wait, judge the answer.
 * Trust      none: an answer counts only with the right length, version, id, status and a
 *            printable name.
 * Errors     stand in result->error.
 * Threads    no shared state.
 */
#ifndef WEIR_SCANNER_JOB_H
#define WEIR_SCANNER_JOB_H

#include "milterd/scanner/protocol.h"
#include "milterd/scanner_client.h"

enum job_end {
	JOB_DONE,   /* the worker may take the next one */
	JOB_UNSENT, /* it was dead, or spoke unasked, before the job: it never saw the message */
	JOB_LOST,   /* it has the message and is of no more use; result->error says why */
};

/* The message as a sealed memfd, *size octets; -1 with errno. It begins with a trace field, for
 * libclamav takes only what begins with a header field that it knows for mail, and would not decode
 * the attachments of anything else. */
int job_message(struct slice message, uint64_t *size);
/* Send message to worker and wait for its answer until deadline_ms (of clock_ms). */
enum job_end job_run(int worker, int message, uint64_t size, uint64_t id, int64_t deadline_ms,
    struct scan_result *result);
/* Is this the answer to job `id`? Fills result, or leaves it untouched and returns false. */
bool job_answer(const struct scanner_answer *a, uint64_t id, struct scan_result *result);
/* CLOCK_MONOTONIC in milliseconds. */
int64_t clock_ms(void);

#endif
