#include "config.h"

#include "weir/arena.h"

#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>

enum { BLOCK = 16384 };

struct arena_block {
	struct arena_block *next;
	size_t n, cap;
	alignas(max_align_t) char p[];
};

static struct arena_block *block_new(size_t n)
{
	size_t cap = n > BLOCK ? n : BLOCK;
	struct arena_block *b = malloc(sizeof(*b) + cap);

	if (b != NULL)
		*b = (struct arena_block){ .cap = cap };
	return b;
}

void *arena_take(struct arena *a, size_t n)
{
	size_t rounded = (n + alignof(max_align_t) - 1) / alignof(max_align_t) *
	    alignof(max_align_t);
	struct arena_block *b = a->blocks;
	char *p;

	if (rounded < n || (a->max > 0 && rounded > a->max - a->used))
		goto failed;
	if (b == NULL || b->cap - b->n < rounded) {
		if ((b = block_new(rounded)) == NULL)
			goto failed;
		/* A piece larger than a block gets one of its own behind the block in use. */
		if (rounded > BLOCK && a->blocks != NULL) {
			b->next = a->blocks->next;
			a->blocks->next = b;
		} else {
			b->next = a->blocks;
			a->blocks = b;
		}
	}
	p = b->p + b->n;
	b->n += rounded;
	a->used += rounded;
	return memset(p, 0, rounded);
failed:
	a->failed = true;
	return NULL;
}

struct slice arena_copy(struct arena *a, struct slice s)
{
	char *p = arena_take(a, s.n + 1);

	if (p == NULL)
		return (struct slice){ 0 };
	if (s.n > 0)
		memcpy(p, s.p, s.n);
	return slice_of(p, s.n);
}

struct slice arena_printf(struct arena *a, const char *format, ...)
{
	va_list ap;
	char *p;
	int n;

	va_start(ap, format);
	n = vsnprintf(NULL, 0, format, ap);
	va_end(ap);
	if (n < 0 || (p = arena_take(a, (size_t)n + 1)) == NULL)
		return (struct slice){ 0 };
	va_start(ap, format);
	(void)vsnprintf(p, (size_t)n + 1, format, ap);
	va_end(ap);
	return slice_of(p, (size_t)n);
}

void arena_free(struct arena *a)
{
	while (a->blocks != NULL) {
		struct arena_block *next = a->blocks->next;

		free(a->blocks);
		a->blocks = next;
	}
	a->used = 0;
	a->failed = false;
}
