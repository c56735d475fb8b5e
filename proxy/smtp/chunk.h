/*
 * chunk - the framing of BDAT (RFC 3030 2): what a command announces, and which octets behind it
 * are the chunk's. Pure counting: no octet is looked at.
 * Threads    any, one at a time for each value.
 */
#ifndef PROXY_SMTP_CHUNK_H
#define PROXY_SMTP_CHUNK_H

#include "weir/slice.h"

/* Zeroed, it stands before the first chunk of a message. */
struct chunk_reader {
	uint64_t size, left; /* octets of the chunk in hand, and those still to come */
	uint64_t announced;  /* octets of all chunks so far */
	bool last;           /* the chunk in hand is */
};

enum chunk_status {
	CHUNK_GOOD,
	CHUNK_MALFORMED, /* nobody knows how many octets follow */
	CHUNK_TOO_MUCH,  /* more than are worth reading, even to throw them away (W63) */
};

/* The argument of BDAT: "size" or "size LAST". message_max: octets of the largest message. Nothing
 * is changed unless it is good. */
enum chunk_status chunk_begin(struct chunk_reader *c, struct slice argument, uint64_t message_max);
/* The octets in front of in that are the chunk's; take them off with chunk_take. */
struct slice chunk_octets(const struct chunk_reader *c, struct slice in);
void chunk_take(struct chunk_reader *c, size_t n);

#endif
