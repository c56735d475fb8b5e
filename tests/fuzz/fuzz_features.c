#include "config.h"

#include <stdlib.h>

#include "milterd/learn/bayes.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* Whatever the message: bounded, ascending, each token once, its text inside memory that is ours.
 */
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct features f;
	struct arena a = { 0 };
	struct message m;

	message_start(&m, 1 << 20);
	if (message_raw(&m, slice_of(p, n))) {
		message_parse(&m, FEATURES_TEXT_MAX);
		if (!features_of(&m, &a, &f) || f.n > FEATURES_MAX)
			abort();
		for (size_t i = 0; i < f.n; i++) {
			/* slice_find reads every octet: the sanitizer looks at where they lie. */
			if ((i > 0 && f.v[i] <= f.v[i - 1]) ||
			    slice_find(f.text[i], '\xff') > f.text[i].n)
				abort();
		}
	}
	arena_free(&a);
	message_free(&m);
	return 0;
}
