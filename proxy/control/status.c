#include "config.h"

#include "status.h"

#include <unistd.h>

static json_t *worker_status(const struct shared_slot *w, bool retired)
{
	return json_pack("{s:i,s:I,s:I,s:b}", "pid", atomic_load(&w->pid), "sessions",
	    (json_int_t)atomic_load(&w->sessions), "messages",
	    (json_int_t)atomic_load(&w->messages), "retiring", retired);
}

static json_t *login_status(const struct penalties *p)
{
	return json_pack("{s:I,s:I,s:I,s:I}", "good", (json_int_t)atomic_load(&p->logged_in),
	    "failed", (json_int_t)atomic_load(&p->failures), "bans",
	    (json_int_t)atomic_load(&p->bans), "refused", (json_int_t)atomic_load(&p->refused));
}

json_t *status_answer(
    const struct shared *shared, const pid_t *retired, const struct tls_store *certificates)
{
	struct shared_sums sums = shared_sum(shared);
	json_t *workers = json_array();

	for (unsigned i = 0; i < SHARED_SLOTS; i++)
		if (atomic_load(&shared->slots[i].pid) > 0)
			(void)json_array_append_new(
			    workers, worker_status(&shared->slots[i], retired[i] != 0));
	return json_pack("{s:b,s:s,s:s,s:i,s:o,s:o,s:I,s:I,s:I,s:I,s:o,s:I,s:b,s:I}", "ok", 1,
	    "program", "weir-proxy", "version", PACKAGE_VERSION, "pid", (int)getpid(), "workers",
	    workers, "certificates", tls_store_status(certificates), "sessions",
	    (json_int_t)sums.sessions, "sessions_total", (json_int_t)sums.sessions_total,
	    "messages", (json_int_t)sums.messages, "refused", (json_int_t)sums.refused, "logins",
	    login_status(&shared->penalties), "restarts",
	    (json_int_t)atomic_load(&shared->restarts), "stress",
	    atomic_load(&shared->stressed) > 0, "memory_bytes", (json_int_t)sums.memory);
}
