#include "config.h"

#include "intake.h"

#include "weir/log.h"

static struct decay_rule rule_of(const struct session *s)
{
	return (struct decay_rule){ (uint64_t)s->settings->limits.aborted_bytes,
		s->settings->timeouts.aborted_forget_s * 1000 };
}

/* Where the limit is off, or the client has no address to count by, none is counted. */
static bool counted(const struct session *s)
{
	return s->settings->limits.aborted_bytes > 0 &&
	    (s->client.family == AF_INET || s->client.family == AF_INET6);
}

static uint64_t who(const struct session *s)
{
	return decay_client(&s->worker->shared->decay, DECAY_ABORTED, &s->client);
}

void aborts_count(struct session *s)
{
	/* Not his: what we break off ourselves when we stop, and a message that he sent whole, when
	 * he has not the patience that filters and backend ask for. */
	if (s->intake == NULL || intake_ended(s->intake) || !counted(s) || s->worker->draining)
		return;
	(void)decay_add(
	    &s->worker->shared->decay, who(s), rule_of(s), intake_bytes(s->intake), clock_ms());
}

bool aborts_refuse(struct session *s)
{
	if (!counted(s) ||
	    decay_over(&s->worker->shared->decay, who(s), rule_of(s), clock_ms()) == 0)
		return false;
	log_event(LOG_LEVEL_WARN, "turned_away", "id", s->id, "client", s->client_text, "why",
	    "aborted_bytes", NULL);
	session_bye(s, SLICE("421 4.7.0 Too much mail data broken off, try again later\r\n"));
	return true;
}
