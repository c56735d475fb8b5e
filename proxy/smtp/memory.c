#include "config.h"

#include "intake.h"

#include "weir/log.h"

/* Counted in steps, so that a session that waits for commands counts nothing, and a message does
 * not touch what the workers share with every read. */
#define STEP 4096

static size_t held(const struct session *s)
{
	size_t n = intake_memory(s->intake) + spool_memory(s->mail.body);

	n += stream_memory(s->stream) + (s->chain != NULL ? chain_memory(s->chain) : 0);
	return n / STEP * STEP;
}

void memory_count(struct session *s)
{
	size_t now = s->dead ? 0 : held(s);

	if (now != s->memory)
		pressure_memory(&s->worker->pressure, (int64_t)now - (int64_t)s->memory);
	s->memory = now;
}

/* A body that no filter reads goes straight to its file. */
static bool needs_memory(const struct session *s)
{
	return !intake_refused(s->intake) &&
	    (intake_in_header(s->intake) ||
		(session_filtered(s) && !s->discard && !chain_decided(s->chain)));
}

/* Nobody gives much back but he himself: one message may always be as large as its own limits
 * allow, and two at once never qualify. */
static bool alone(const struct session *s)
{
	return shared_memory(s->worker->shared) - s->memory <
	    (uint64_t)s->settings->limits.memory_bytes / 4;
}

static bool must_wait(const struct session *s)
{
	return s->worker->pressure.memory == MEMORY_OUT && !alone(s);
}

bool memory_waits(struct session *s)
{
	if (s->starved_ms != 0)
		return true;
	if (!must_wait(s) || !needs_memory(s))
		return false;
	s->starved_ms = clock_ms();
	stream_pause(s->stream, true);
	worker_starves(s->worker);
	return true;
}

void memory_wake(struct session *s)
{
	if (s->starved_ms == 0)
		return;
	if (s->intake != NULL)
		intake_excuse(s->intake, clock_ms() - s->starved_ms);
	s->starved_ms = 0;
	s->worker->starved--;
	s->waiting = false; /* his time runs again */
	if (!s->dead)
		stream_pause(s->stream, false);
}

/* If all who wait had to be given memory first, none would get any: the first whose time is over
 * makes room, and perhaps enough. */
void memory_look(struct session *s)
{
	if (s->memory > 0)
		memory_count(s); /* filters may have read on */
	if (s->starved_ms == 0)
		return;
	if (must_wait(s)) {
		if (clock_ms() - s->starved_ms < s->settings->timeouts.memory_s * 1000)
			return;
		log_event(LOG_LEVEL_WARN, "no_memory", "id", s->mail.id, "client", s->client_text,
		    "why", "memory_bytes", NULL);
		intake_give_up(s);
		memory_count(s);
	}
	memory_wake(s);
	session_process(s);
}
