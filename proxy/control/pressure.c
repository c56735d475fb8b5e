#include "config.h"

#include "pressure.h"

#include <sys/resource.h>

#include "weir/log.h"

/* Descriptors of a worker that belong to no session: log, event loop, signals, name server, probes,
 * and those who are accepted only to be told that there is no room. */
#define RESERVED 32
/* Stress ends so many percent below where it begins: it must not flicker. */
#define SLACK 10

static void lower(int64_t *limit, int64_t to)
{
	if (to < *limit)
		*limit = to;
}

static struct patience patience(const struct proxy_settings *p, bool stressed)
{
	struct patience now = { p->timeouts.command_s, p->timeouts.data_s,
		p->timeouts.tls_handshake_s, p->limits.errors_hard, p->limits.junk_commands };

	if (!stressed)
		return now;
	lower(&now.command_s, p->stress.command_s);
	lower(&now.data_s, p->stress.data_s);
	lower(&now.tls_handshake_s, p->stress.command_s);
	lower(&now.errors_hard, p->stress.errors_hard);
	lower(&now.junk_commands, p->stress.junk_commands);
	return now;
}

/* Connections to backends that wait for a message, and are no session's. */
static size_t kept(const struct proxy_settings *p)
{
	const struct backend_settings *b = p->backends.v;
	size_t n = 0;

	for (size_t i = 0; i < p->backends.n; i++)
		n += b[i].servers.n * (size_t)b[i].keep.connections;
	return n;
}

/* By the limit of the process as it is now; at least 1. */
static size_t sessions_max(const struct proxy_settings *p)
{
	size_t each = 3 + (p->filters.n > 0 ? p->filters.n + 1 : 0);
	size_t own = RESERVED + p->listen.n + kept(p);
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
		return SIZE_MAX;
	return limit.rlim_cur < own + each ? 1 : ((size_t)limit.rlim_cur - own) / each;
}

void pressure_start(
    struct pressure *p, const struct proxy_settings *settings, struct shared *shared, int slot)
{
	*p = (struct pressure){ .settings = settings,
		.shared = shared,
		.slot = slot,
		.patience = patience(settings, false) };
	p->sessions_max = sessions_max(p->settings);
}

void pressure_warn(const struct proxy_settings *settings, size_t workers)
{
	size_t each = sessions_max(settings), wanted = (size_t)settings->limits.sessions;
	struct log_line l;

	if (each >= wanted / workers)
		return;
	log_begin(&l, LOG_LEVEL_WARN, "descriptors");
	log_z(&l, "what", "the limit of open files allows fewer sessions than limits/sessions");
	log_int(&l, "sessions", (int64_t)(each * workers));
	log_int(&l, "limit", (int64_t)wanted);
	log_end(&l);
}

bool pressure_room(struct pressure *p, size_t sessions)
{
	p->sessions_max = sessions_max(p->settings);
	return sessions < p->sessions_max;
}

static bool reaches(uint64_t n, uint64_t max, uint64_t percent)
{
	return (double)n * 100.0 >= (double)max * (double)percent;
}

bool pressure_turned(struct pressure *p, size_t sessions)
{
	uint64_t percent = (uint64_t)p->settings->stress.percent;
	bool stressed;

	if (percent == 0)
		return false;
	if (p->stressed)
		percent = percent > SLACK ? percent - SLACK : 1;
	stressed = reaches(shared_sessions(p->shared), (uint64_t)p->settings->limits.sessions,
		       percent) ||
	    reaches(sessions, p->sessions_max, percent);
	if (stressed == p->stressed)
		return false;
	p->stressed = stressed;
	p->patience = patience(p->settings, stressed);
	if (shared_set_stress(p->shared, p->slot, stressed))
		log_event(stressed ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, "stress", "now",
		    stressed ? "on" : "off", NULL);
	return true;
}

void pressure_memory(struct pressure *p, int64_t octets)
{
	uint64_t most = (uint64_t)p->settings->limits.memory_bytes, now;

	/* Adding modulo 2^64 takes away as well. */
	atomic_fetch_add_explicit(
	    &p->shared->slots[p->slot].memory, (uint64_t)octets, memory_order_relaxed);
	now = shared_memory(p->shared);
	p->memory = now >= most ? MEMORY_OUT : now >= most / 4 * 3 ? MEMORY_SHORT : MEMORY_EASY;
}
