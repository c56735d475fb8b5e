#include "config.h"

#include <stdlib.h>

#include "proxy/listen/proxy_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static bool inside(struct slice part, struct slice whole)
{
	return part.p == NULL || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n);
}

/* Whatever comes out stands in what was used, and fewer octets give no other answer than "more". */
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct slice in = slice_of(p, n), header;
	struct proxy_header h = { 0 }, part = { 0 };
	size_t used, part_used;

	if (proxy_header_parse(in, &h, &used, NULL) != 1)
		return 0;
	if (used > n || used > PROXY_HEADER_MAX)
		abort();
	header = slice_sub(in, 0, used);
	if (!inside(h.unique_id, header) || !inside(h.authority, header) ||
	    !inside(h.tls.version, header) || !inside(h.tls.cipher, header) ||
	    !inside(h.tls.common_name, header) || h.unique_id.n > PROXY_UNIQUE_MAX)
		abort();
	for (size_t cut = 0; cut < used && used < 200; cut++)
		if (proxy_header_parse(slice_sub(in, 0, cut), &part, &part_used, NULL) != 0)
			abort();
	return 0;
}
