#include "config.h"

#include <stdlib.h>

#include "proxy/upstream/queue_id.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* What is found is a part of the text, bounded, and goes into the log: printable, without blanks.
 */
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct slice text = slice_of(p, n), id = queue_id_find(text);

	if (id.n == 0)
		return 0;
	if (id.n > QUEUE_ID_MAX || id.p < text.p || id.p + id.n > text.p + text.n)
		abort();
	for (size_t i = 0; i < id.n; i++)
		if (id.p[i] <= ' ' || id.p[i] == 127)
			abort();
	return 0;
}
