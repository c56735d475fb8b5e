/*
 * answer - what a filter's refusal, or its failure, means for the SMTP client. Default texts as
 * Postfix has them, since those who read logs know them.
 */
#ifndef PROXY_FILTER_ANSWER_H
#define PROXY_FILTER_ANSWER_H

#include "proxy/filter/chain.h"
#include "weir/milter.h"

extern const struct chain_answer answer_continue, answer_discard;
extern const struct chain_answer answer_no_memory, answer_no_storage; /* 451 4.3.0, 452 4.3.1 */

/* Is it REJECT, TEMPFAIL, REPLYCODE or SHUTDOWN? */
bool answer_refuses(enum milter_reply_code code);
/* Each fills *said in the name of the filter, and returns what the answer is: said, or
 * answer_continue, or answer_no_memory where said would be needed and is NULL. */
const struct chain_answer *answer_of_refusal(
    const struct milter_reply *r, const char *filter, struct chain_answer *said);
/* on_failure: enum on_failure. */
const struct chain_answer *answer_of_failure(
    int on_failure, const char *filter, struct chain_answer *said);

#endif
