#include "config.h"

#include "shared.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "proxy/control/keyed_hash.h"

/* A client's count lies in one of so many places after its hash. */
#define WINDOW     16
#define COUNT_MASK UINT64_C(0xffffff)

struct shared *shared_new(struct err *e)
{
	struct shared *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (s == MAP_FAILED) {
		err_set(e, "shared memory: %s", strerror(errno));
		return NULL;
	}
	if (getrandom(&s->key, sizeof(s->key), 0) != sizeof(s->key))
		s->key = UINT64_C(0x9e3779b97f4a7c15);
	penalties_init(&s->penalties);
	s->decay.key = s->key;
	return s;
}

void shared_free(struct shared **s)
{
	if (*s != NULL)
		(void)munmap(*s, sizeof(**s));
	*s = NULL;
}

int shared_take_slot(struct shared *s)
{
	for (unsigned i = 0; i < SHARED_SLOTS; i++) {
		if (atomic_load(&s->slots[i].pid) != 0)
			continue;
		atomic_store(&s->slots[i].pid, -1); /* taken; the pid comes with the fork */
		if (i >= atomic_load(&s->used))
			atomic_store(&s->used, i + 1);
		return (int)i;
	}
	return -1;
}

size_t shared_free_slots(const struct shared *s)
{
	size_t n = 0;

	for (unsigned i = 0; i < SHARED_SLOTS; i++)
		n += atomic_load(&s->slots[i].pid) == 0;
	return n;
}

void shared_give_back(struct shared *s, int slot)
{
	struct shared_slot *w = &s->slots[slot];

	atomic_fetch_add(&s->sessions_total, atomic_exchange(&w->sessions_total, 0));
	atomic_fetch_add(&s->messages, atomic_exchange(&w->messages, 0));
	atomic_fetch_add(&s->refused, atomic_exchange(&w->refused, 0));
	atomic_store(&w->sessions, 0);
	atomic_store(&w->memory, 0);
	(void)shared_set_stress(s, slot, false);
	for (size_t i = 0; i < SHARED_CLIENTS; i++)
		if (atomic_load_explicit(&w->clients[i], memory_order_relaxed) != 0)
			atomic_store_explicit(&w->clients[i], 0, memory_order_relaxed);
	atomic_store(&w->pid, 0);
}

struct shared_sums shared_sum(const struct shared *s)
{
	struct shared_sums sums = { .sessions_total = atomic_load(&s->sessions_total),
		.messages = atomic_load(&s->messages),
		.refused = atomic_load(&s->refused) };
	unsigned used = atomic_load(&s->used);

	for (unsigned i = 0; i < used; i++) {
		sums.sessions += atomic_load(&s->slots[i].sessions);
		sums.memory += atomic_load(&s->slots[i].memory);
		sums.sessions_total += atomic_load(&s->slots[i].sessions_total);
		sums.messages += atomic_load(&s->slots[i].messages);
		sums.refused += atomic_load(&s->slots[i].refused);
	}
	return sums;
}

/* The place that holds this client, or a free one where make is true, or NULL. */
static _Atomic uint64_t *client_place(struct shared_slot *w, uint64_t hash, bool make)
{
	_Atomic uint64_t *free_place = NULL;

	for (size_t i = 0; i < WINDOW; i++) {
		_Atomic uint64_t *p = &w->clients[(hash + i) % SHARED_CLIENTS];
		uint64_t v = atomic_load_explicit(p, memory_order_relaxed);

		if (v != 0 && v >> 24 == hash >> 24)
			return p;
		if (v == 0 && free_place == NULL)
			free_place = p;
	}
	return make ? free_place : NULL;
}

static uint64_t client_sessions(struct shared *s, uint64_t hash)
{
	unsigned used = atomic_load_explicit(&s->used, memory_order_relaxed);
	uint64_t n = 0;

	for (unsigned i = 0; i < used; i++) {
		_Atomic uint64_t *p = NULL;

		if (atomic_load_explicit(&s->slots[i].sessions, memory_order_relaxed) > 0)
			p = client_place(&s->slots[i], hash, false);
		if (p != NULL)
			n += atomic_load_explicit(p, memory_order_relaxed) & COUNT_MASK;
	}
	return n;
}

uint64_t shared_sessions(const struct shared *s)
{
	unsigned used = atomic_load_explicit(&s->used, memory_order_relaxed);
	uint64_t n = 0;

	for (unsigned i = 0; i < used; i++)
		n += atomic_load_explicit(&s->slots[i].sessions, memory_order_relaxed);
	return n;
}

uint64_t shared_memory(const struct shared *s)
{
	unsigned used = atomic_load_explicit(&s->used, memory_order_relaxed);
	uint64_t n = 0;

	for (unsigned i = 0; i < used; i++)
		n += atomic_load_explicit(&s->slots[i].memory, memory_order_relaxed);
	return n;
}

bool shared_set_stress(struct shared *s, int slot, bool stressed)
{
	if (atomic_exchange(&s->slots[slot].stressed, stressed) == stressed)
		return false;
	return stressed ? atomic_fetch_add(&s->stressed, 1) == 0
			: atomic_fetch_sub(&s->stressed, 1) == 1;
}

bool shared_join(struct shared *s, int slot, const struct address *client, uint64_t client_max)
{
	uint64_t hash = keyed_hash_client(s->key, client), v;
	_Atomic uint64_t *p;

	if (client->family == AF_UNSPEC)
		return true; /* those whom nobody named are not one */
	if (client_sessions(s, hash) >= client_max)
		return false;
	if ((p = client_place(&s->slots[slot], hash, true)) == NULL)
		return true;
	v = atomic_load_explicit(p, memory_order_relaxed);
	if ((v & COUNT_MASK) < COUNT_MASK)
		atomic_store_explicit(
		    p, (hash >> 24 << 24 | (v & COUNT_MASK)) + 1, memory_order_relaxed);
	return true;
}

void shared_part(struct shared *s, int slot, const struct address *client)
{
	_Atomic uint64_t *p = client_place(
	    &s->slots[slot], keyed_hash_client(s->key, client), false);
	uint64_t v;

	if (p == NULL || client->family == AF_UNSPEC)
		return;
	v = atomic_load_explicit(p, memory_order_relaxed);
	atomic_store_explicit(p, (v & COUNT_MASK) <= 1 ? 0 : v - 1, memory_order_relaxed);
}

enum shared_entry shared_enter(struct shared *s, int slot, const struct address *client,
    uint64_t sessions_max, uint64_t client_max)
{
	struct shared_slot *w = &s->slots[slot];

	if (shared_sessions(s) >= sessions_max)
		return SHARED_FULL;
	if (client != NULL && !shared_join(s, slot, client, client_max))
		return SHARED_CLIENT_FULL;
	atomic_fetch_add_explicit(&w->sessions, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&w->sessions_total, 1, memory_order_relaxed);
	return SHARED_WELCOME;
}

void shared_leave(struct shared *s, int slot, const struct address *client)
{
	atomic_fetch_sub_explicit(&s->slots[slot].sessions, 1, memory_order_relaxed);
	if (client != NULL)
		shared_part(s, slot, client);
}
