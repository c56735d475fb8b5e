#include "config.h"

#include "proxy/filter/answer.h"

const struct chain_answer answer_continue = { .verdict = CHAIN_CONTINUE };
const struct chain_answer answer_discard = { .verdict = CHAIN_DISCARD };
const struct chain_answer answer_no_memory = { .verdict = CHAIN_TEMPFAIL,
	.reply = { 451, "4.3.0", "Out of memory, try again later" } };
const struct chain_answer answer_no_storage = { .verdict = CHAIN_TEMPFAIL,
	.reply = { 452, "4.3.1", "Insufficient system storage" } };

bool answer_refuses(enum milter_reply_code code)
{
	return code == MILTER_REJECT || code == MILTER_TEMPFAIL || code == MILTER_REPLYCODE ||
	    code == MILTER_SHUTDOWN;
}

static const struct chain_answer *reject(struct chain_answer *said)
{
	said->verdict = CHAIN_REJECT;
	smtp_reply_set(&said->reply, 550, "5.7.1", "Command rejected");
	return said;
}

static const struct chain_answer *tempfail(struct chain_answer *said)
{
	said->verdict = CHAIN_TEMPFAIL;
	smtp_reply_set(&said->reply, 451, "4.7.1", "Service unavailable - try again later");
	return said;
}

static const struct chain_answer *closing(struct chain_answer *said)
{
	said->verdict = CHAIN_CLOSE;
	smtp_reply_set(&said->reply, 421, "4.7.0", "Service unavailable - try again later");
	return said;
}

static const struct chain_answer *own_words(
    const struct smtp_reply *reply, struct chain_answer *said)
{
	said->verdict = reply->code == 421 ? CHAIN_CLOSE
	    : smtp_reply_class(reply) == 5 ? CHAIN_REJECT
					   : CHAIN_TEMPFAIL;
	said->reply = *reply;
	return said;
}

const struct chain_answer *answer_of_refusal(
    const struct milter_reply *r, const char *filter, struct chain_answer *said)
{
	if (said == NULL)
		return &answer_no_memory;
	*said = (struct chain_answer){ .verdict = CHAIN_DISCARD, .filter = filter };
	switch (r->code) {
	case MILTER_REJECT:
		return reject(said);
	case MILTER_SHUTDOWN:
		return closing(said);
	case MILTER_REPLYCODE:
		return own_words(&r->smtp, said);
	case MILTER_DISCARD:
		return said;
	default:
		return tempfail(said);
	}
}

const struct chain_answer *answer_of_failure(
    int on_failure, const char *filter, struct chain_answer *said)
{
	if (on_failure != ON_FAILURE_TEMPFAIL && on_failure != ON_FAILURE_REJECT)
		return &answer_continue;
	if (said == NULL)
		return &answer_no_memory;
	*said = (struct chain_answer){ .filter = filter };
	return on_failure == ON_FAILURE_TEMPFAIL ? tempfail(said) : reject(said);
}
