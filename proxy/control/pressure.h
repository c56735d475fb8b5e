/*
 * pressure - how full a worker is: its sessions against the limit of all workers and against its
 * own descriptors (stress), and the memory of messages in flight, its own and all workers'. It
 * decides nothing about a session but says which limits hold now.
 * Threads    the worker's loop.
 */
#ifndef PROXY_CONTROL_PRESSURE_H
#define PROXY_CONTROL_PRESSURE_H

#include "proxy/control/shared.h"
#include "weir/settings.h"

/* The limits that stress changes, as they are now. */
struct patience {
	int64_t command_s, data_s, tls_handshake_s, errors_hard, junk_commands;
};

enum memory_state {
	MEMORY_EASY,
	MEMORY_SHORT, /* bodies go to their files at once */
	MEMORY_OUT,   /* nothing more is taken that needs memory */
};

struct pressure {
	const struct proxy_settings *settings;
	struct shared *shared;
	int slot;
	size_t sessions_max; /* for which this worker has descriptors */
	bool stressed;
	struct patience patience;
	enum memory_state memory;
};

void pressure_start(
    struct pressure *p, const struct proxy_settings *settings, struct shared *shared, int slot);
/* For the master: say so where its limit of open files allows fewer sessions than limits/sessions.
 */
void pressure_warn(const struct proxy_settings *settings, size_t workers);
/* Has this worker descriptors for another session beside `sessions`? Each may come to need one for
 * its client, one for each filter, one for a backend and one for each version of its body, and none
 * must find the last one gone. */
bool pressure_room(struct pressure *p, size_t sessions);
/* Look again, with `sessions` of this worker's own. True when stress began or ended: then patience
 * is another. */
bool pressure_turned(struct pressure *p, size_t sessions);

/* Messages of this worker take so many octets more, or less; 0: look at what others take. */
void pressure_memory(struct pressure *p, int64_t octets);

#endif
