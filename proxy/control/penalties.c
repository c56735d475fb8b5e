#include "config.h"

#include "penalties.h"

#include <sys/random.h>

/* A place: tag (24 bits), count in sixteenths (12 bits), second of the last change (28 bits: eight
 * years). */
#define WINDOW    16
#define SECONDS   UINT64_C(0xfffffff)
#define TAG(hash) ((hash) >> 40)
#define ONE       16u
#define COUNT_MAX 0xfffu
/* How fast counts sink where they lead to no ban. */
#define USUAL_FAILURES 10

struct place {
	uint64_t tag;
	unsigned count;
	int64_t at_s;
};

static struct place unpack(uint64_t v)
{
	return (struct place){ .tag = v >> 40,
		.count = (unsigned)(v >> 28) & COUNT_MAX,
		.at_s = (int64_t)(v & SECONDS) };
}

static uint64_t pack(struct place p)
{
	return p.tag << 40 | (uint64_t)p.count << 28 | ((uint64_t)p.at_s & SECONDS);
}

static int64_t age(struct place p, int64_t now_s)
{
	return (int64_t)(((uint64_t)now_s - (uint64_t)p.at_s) & SECONDS);
}

/* What is left of the count. */
static unsigned count_now(struct place p, struct penalty_limits l, unsigned factor, int64_t now_s)
{
	uint64_t per_forget = (uint64_t)(l.failures > 0 ? l.failures : USUAL_FAILURES) * factor *
	    ONE;
	uint64_t sunk = (uint64_t)age(p, now_s) * per_forget / (uint64_t)l.forget_s;

	return sunk >= p.count ? 0 : p.count - (unsigned)sunk;
}

/* ---- keys --------------------------------------------------------------------------------- */

void penalties_init(struct penalties *p)
{
	if (getrandom(&p->key, sizeof(p->key), 0) != sizeof(p->key))
		p->key = UINT64_C(0x9e3779b97f4a7c15);
}

/* FNV-1a with a secret start and MurmurHash3's final mix: nobody outside can aim at a place. Never
 * 0. */
static uint64_t hash_of(const struct penalties *p, uint64_t kind, const void *octets, size_t n)
{
	const uint8_t *v = octets;
	uint64_t h = p->key ^ kind;

	for (size_t i = 0; i < n; i++)
		h = (h ^ v[i]) * UINT64_C(0x100000001b3);
	h = (h ^ (h >> 33)) * UINT64_C(0xff51afd7ed558ccd);
	h = (h ^ (h >> 33)) * UINT64_C(0xc4ceb9fe1a85ec53);
	h ^= h >> 33;
	return TAG(h) != 0 ? h : h | UINT64_C(1) << 40;
}

static uint64_t narrow_hash(const struct penalties *p, const struct address *a)
{
	return hash_of(p, (uint64_t)a->family, a->octets, a->family == AF_INET6 ? 8 : 4);
}

static uint64_t wide_hash(const struct penalties *p, const struct address *a)
{
	return hash_of(p, (uint64_t)a->family, a->octets, a->family == AF_INET6 ? 6 : 3);
}

static uint64_t login_hash(const struct penalties *p, struct slice login)
{
	char lower[256];
	size_t n = login.n < sizeof(lower) ? login.n : sizeof(lower);

	for (size_t i = 0; i < n; i++)
		lower[i] = ascii_lower(login.p[i]);
	return hash_of(p, 0, lower, n);
}

/* ---- places ------------------------------------------------------------------------------- */

static _Atomic uint64_t *find(_Atomic uint64_t *table, uint64_t hash)
{
	for (size_t i = 0; i < WINDOW; i++) {
		_Atomic uint64_t *p = &table[(hash + i) % PENALTY_PLACES];

		if (atomic_load_explicit(p, memory_order_relaxed) >> 40 == TAG(hash))
			return p;
	}
	return NULL;
}

/* The place with this tag, or the one that may best be given up for it. */
static _Atomic uint64_t *find_or_take(_Atomic uint64_t *table, uint64_t hash, int64_t now_s)
{
	_Atomic uint64_t *best = NULL;
	uint64_t least = UINT64_MAX;

	for (size_t i = 0; i < WINDOW; i++) {
		_Atomic uint64_t *p = &table[(hash + i) % PENALTY_PLACES];
		struct place it = unpack(atomic_load_explicit(p, memory_order_relaxed));
		uint64_t worth;

		if (it.tag == TAG(hash))
			return p;
		worth = it.tag == 0
		    ? 0
		    : ((uint64_t)it.count << 28 | SECONDS) - (uint64_t)age(it, now_s);
		if (worth < least) {
			least = worth;
			best = p;
		}
	}
	return best;
}

/* Count one more. Returns the count; *crossed: it reached `limit` by this. */
static unsigned add(_Atomic uint64_t *table, uint64_t hash, struct penalty_limits l,
    unsigned factor, unsigned limit, int64_t now_s, bool *crossed)
{
	_Atomic uint64_t *place = find_or_take(table, hash, now_s);
	uint64_t was = atomic_load_explicit(place, memory_order_relaxed);
	struct place it;
	unsigned before;

	do {
		it = unpack(was);
		if (it.tag != TAG(hash))
			it = (struct place){ .tag = TAG(hash), .at_s = now_s };
		before = count_now(it, l, factor, now_s);
		it.count = before > COUNT_MAX - ONE ? COUNT_MAX : before + ONE;
		it.at_s = now_s;
	} while (!atomic_compare_exchange_weak_explicit(
	    place, &was, pack(it), memory_order_relaxed, memory_order_relaxed));
	*crossed |= limit > 0 && before < limit * ONE && it.count >= limit * ONE;
	return (it.count + ONE - 1) / ONE;
}

/* A ban lasts ban_s from the failure that filled the measure; while it lasts nothing is counted. */
static bool full(
    _Atomic uint64_t *table, uint64_t hash, unsigned limit, int64_t ban_s, int64_t now_s)
{
	_Atomic uint64_t *place = find(table, hash);
	struct place it;

	if (place == NULL || limit == 0)
		return false;
	it = unpack(atomic_load_explicit(place, memory_order_relaxed));
	return it.tag == TAG(hash) && it.count >= limit * ONE && age(it, now_s) < ban_s;
}

/* ---- what is asked ------------------------------------------------------------------------ */

static bool trusted(struct penalties *p, uint64_t narrow, int64_t now_s)
{
	_Atomic uint64_t *place = find(p->trusted, narrow);

	return place != NULL &&
	    age(unpack(atomic_load_explicit(place, memory_order_relaxed)), now_s) < TRUST_S;
}

/* Those of whom no address was told are many: they are slowed, but no ban holds for all of them. */
static bool known(const struct address *client)
{
	return client->family != AF_UNSPEC;
}

static unsigned narrow_limit(struct penalty_limits l, bool trust)
{
	return l.failures * (trust ? TRUST_FACTOR : 1);
}

bool penalties_banned(
    struct penalties *p, const struct address *client, struct penalty_limits l, int64_t now_s)
{
	uint64_t narrow = narrow_hash(p, client);
	bool trust;

	if (!known(client) || atomic_load_explicit(&p->failures, memory_order_relaxed) == 0)
		return false;
	trust = trusted(p, narrow, now_s);
	return full(p->narrow, narrow, narrow_limit(l, trust), l.ban_s, now_s) ||
	    (!trust &&
		full(p->wide, wide_hash(p, client), l.failures * WIDE_FACTOR, l.ban_s, now_s));
}

struct penalty penalties_failed(struct penalties *p, const struct address *client,
    struct slice login, struct penalty_limits l, int64_t now_s)
{
	uint64_t narrow = narrow_hash(p, client);
	bool trust = trusted(p, narrow, now_s), never = false;
	struct penalty result = { 0 };
	unsigned of_login = 0;

	if (!known(client))
		l.failures = 0;
	atomic_fetch_add_explicit(&p->failures, 1, memory_order_relaxed);
	result.failures = add(p->narrow, narrow, l, 1, narrow_limit(l, trust), now_s, &result.ban);
	(void)add(p->wide, wide_hash(p, client), l, WIDE_FACTOR,
	    trust ? 0 : l.failures * WIDE_FACTOR, now_s, &result.ban);
	if (login.n > 0)
		of_login = add(p->logins, login_hash(p, login), l, 1, 0, now_s, &never);
	if (of_login > result.failures)
		result.failures = of_login;
	if (result.ban)
		atomic_fetch_add_explicit(&p->bans, 1, memory_order_relaxed);
	return result;
}

void penalties_succeeded(struct penalties *p, const struct address *client, int64_t now_s)
{
	uint64_t narrow = narrow_hash(p, client);
	_Atomic uint64_t *place = find_or_take(p->trusted, narrow, now_s);

	atomic_fetch_add_explicit(&p->logged_in, 1, memory_order_relaxed);
	if (!known(client))
		return;
	atomic_store_explicit(
	    place, pack((struct place){ .tag = TAG(narrow), .at_s = now_s }), memory_order_relaxed);
}
