/*
 * arena - memory that lives as long as one message: taken in small pieces, given back at once.
 * Errors     NULL when the limit is reached or memory is gone; the arena stays usable and `failed`
 *            stays set.
 * Threads    one at a time.
 */
#ifndef WEIR_ARENA_H
#define WEIR_ARENA_H

#include "weir/slice.h"

struct arena_block;

struct arena {
	struct arena_block *blocks;
	size_t used, max; /* octets handed out; max 0 means no limit but memory */
	bool failed;
};

/* n octets, aligned for anything, zeroed. */
void *arena_take(struct arena *a, size_t n);
/* A NUL-terminated copy. .p is NULL when there was no room. */
struct slice arena_copy(struct arena *a, struct slice s);
struct slice arena_printf(struct arena *a, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Everything goes; limit kept, failed cleared. */
void arena_free(struct arena *a);

#endif
