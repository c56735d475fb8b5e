#include "config.h"

#include <assert.h>

#include "milterd/message/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct message m;

	message_start(&m, 1u << 20);
	assert(message_field(&m, SLICE("Content-Type"), SLICE("text/html; charset=utf-8"), false));
	assert(message_body(&m, slice_of(data, size)));
	message_parse(&m, 1u << 16);
	assert(slice_utf8(m.text) && slice_utf8(m.html));
	for (size_t i = 0; i < m.url_count; i++)
		assert(m.urls[i].domain.n <= m.urls[i].host.n && slice_utf8(m.urls[i].url) &&
		    slice_utf8(m.urls[i].host));
	message_free(&m);
	return 0;
}
