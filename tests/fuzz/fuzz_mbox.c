#include "config.h"

#include <stdlib.h>

#include "cli/mbox.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

enum { MESSAGE_MAX = 300 };

static int on_message(struct slice message, void *arg)
{
	size_t *octets = arg;

	if (message.n > MESSAGE_MAX)
		abort();
	*octets += message.n;
	return 0;
}

/* The first octet says how large the pieces are. However a box is cut, no octet is made up. */
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct slice file = slice_of(p, n);
	size_t step = n > 0 ? (size_t)p[0] + 1 : 1, octets = 0;
	struct mbox b;

	file = slice_sub(file, 1, n);
	mbox_start(&b, MESSAGE_MAX, on_message, &octets);
	for (size_t at = 0; at < file.n; at += step)
		if (mbox_feed(&b, slice_sub(file, at, step)) != 0)
			abort();
	if (mbox_end(&b) != 0 || octets > n)
		abort();
	mbox_free(&b);
	return 0;
}
