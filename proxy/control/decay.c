#include "config.h"

#include "decay.h"

#include "proxy/control/keyed_hash.h"

/* Who has a place has one of so many behind his hash. */
#define WINDOW 8
/* 0 is a place that nobody ever had. */
#define SOMEBODY 1

uint64_t decay_client(const struct decay *d, enum decay_kind kind, const struct address *client)
{
	return keyed_hash_client(d->key + ((uint64_t)kind << 32), client) | SOMEBODY;
}

static int64_t level(const struct decay_place *p)
{
	return atomic_load_explicit(&p->empty, memory_order_relaxed);
}

static size_t place_at(uint64_t who, size_t i)
{
	return (size_t)(who + i) % DECAY_PLACES;
}

/* Index of who's place, or DECAY_PLACES. */
static size_t find(const struct decay *d, uint64_t who)
{
	for (size_t i = 0; i < WINDOW; i++) {
		size_t at = place_at(who, i);

		if (atomic_load_explicit(&d->places[at].who, memory_order_relaxed) == who)
			return at;
	}
	return DECAY_PLACES;
}

/* The place whose sum fades first is who's from now on; NULL when another took it meanwhile. */
static struct decay_place *take_place(struct decay *d, uint64_t who)
{
	struct decay_place *first = &d->places[place_at(who, 0)];
	uint64_t was;

	for (size_t i = 1; i < WINDOW; i++) {
		struct decay_place *p = &d->places[place_at(who, i)];

		if (level(p) < level(first))
			first = p;
	}
	was = atomic_load_explicit(&first->who, memory_order_relaxed);
	/* Emptied first: nobody inherits a sum. */
	atomic_store_explicit(&first->empty, 0, memory_order_relaxed);
	return atomic_compare_exchange_strong(&first->who, &was, who) ? first : NULL;
}

/* In floating point: an amount times a duration may be more than 64 bits hold. */
static int64_t duration_us(struct decay_rule rule, uint64_t amount)
{
	double whole = (double)rule.forget_ms * 1000.0;
	double us = whole * (double)amount / (double)rule.limit;

	return (int64_t)(us < 2 * whole ? us : 2 * whole);
}

static uint64_t amount_of(struct decay_rule rule, int64_t left_us)
{
	double amount = (double)left_us * (double)rule.limit / ((double)rule.forget_ms * 1000.0);

	return (uint64_t)(amount + 0.5);
}

uint64_t decay_add(
    struct decay *d, uint64_t who, struct decay_rule rule, uint64_t amount, int64_t now_ms)
{
	int64_t now = now_ms * 1000, most = now + 2 * rule.forget_ms * 1000, was, is;
	size_t at = find(d, who);
	struct decay_place *p = at < DECAY_PLACES ? &d->places[at] : NULL;

	if (p == NULL && amount > 0)
		p = take_place(d, who);
	if (p == NULL)
		return amount;
	was = level(p);
	do {
		is = (was > now ? was : now) + duration_us(rule, amount);
		if (is > most)
			is = most;
	} while (amount > 0 && !atomic_compare_exchange_weak(&p->empty, &was, is));
	return amount_of(rule, is - now);
}

int64_t decay_over(const struct decay *d, uint64_t who, struct decay_rule rule, int64_t now_ms)
{
	size_t at = find(d, who);
	int64_t over_us;

	if (at == DECAY_PLACES)
		return 0;
	over_us = level(&d->places[at]) - (now_ms + rule.forget_ms) * 1000;
	return over_us > 0 ? (over_us + 999) / 1000 : 0;
}
