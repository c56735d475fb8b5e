#include "config.h"

#include <stdlib.h>

#include "proxy/smtp/line.h"

#define MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* Read all of the octets, `step` at a time; a hash of what was made of them. */
static uint64_t read_all(struct slice all, size_t step, bool lf_ends)
{
	struct line_reader r = { .lf_ends = lf_ends };
	uint64_t hash = 14695981039346656037u;
	size_t from = 0, to = 0;

	for (;;) {
		struct slice line = { 0 };
		size_t used;
		enum line_status s = line_read(
		    &r, slice_sub(all, from, to - from), MAX, &line, &used);

		if (used > to - from || line.n > MAX)
			abort();
		from += used;
		if (s == LINE_FLOOD)
			return hash;
		if (s != LINE_MORE)
			hash = (hash ^ (uint64_t)s) * 1099511628211u;
		for (size_t i = 0; s == LINE_GOOD && i < line.n; i++)
			hash = (hash ^ (uint8_t)line.p[i]) * 1099511628211u;
		if (s != LINE_MORE || used > 0)
			continue;
		if (to == all.n)
			return hash;
		to = all.n - to < step ? all.n : to + step;
	}
}

/* However the octets are cut, the same lines come out. */
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct slice all = slice_of(p, n > LINE_DISCARD_MAX ? LINE_DISCARD_MAX : n);

	for (int lf_ends = 0; lf_ends < 2; lf_ends++) {
		uint64_t hash = read_all(all, 1, lf_ends);

		if (read_all(all, all.n + 1, lf_ends) != hash || read_all(all, 7, lf_ends) != hash)
			abort();
	}
	return 0;
}
