/*
 * keyed_hash - a hash of octets with a secret start: FNV-1a and a final mix (MurmurHash3's), so
 * that nobody outside can aim at a place in our tables. No protection where the attacker sees the
 * hash.
 */
#ifndef PROXY_CONTROL_KEYED_HASH_H
#define PROXY_CONTROL_KEYED_HASH_H

#include "weir/net.h"
#include "weir/slice.h"

static inline uint64_t keyed_hash(uint64_t key, struct slice s)
{
	uint64_t h = key;

	for (size_t i = 0; i < s.n; i++)
		h = (h ^ (uint8_t)s.p[i]) * UINT64_C(0x100000001b3);
	h = (h ^ (h >> 33)) * UINT64_C(0xff51afd7ed558ccd);
	h = (h ^ (h >> 33)) * UINT64_C(0xc4ceb9fe1a85ec53);
	return h ^ (h >> 33);
}

/* Of a client, who stands for his network: IPv4 /32, IPv6 /64, since so much is what one customer
 * is given. */
static inline uint64_t keyed_hash_client(uint64_t key, const struct address *a)
{
	size_t n = a->family == AF_INET ? 4 : a->family == AF_INET6 ? 8 : 0;

	return keyed_hash(key ^ (uint64_t)a->family, slice_of(a->octets, n));
}

#endif
