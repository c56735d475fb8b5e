#include "config.h"

#include <assert.h>

#include "milterd/message/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One field of an address list, as a milter gives it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct message m;
	struct mailbox *box;
	size_t n;

	message_start(&m, 1u << 20);
	assert(message_field(&m, SLICE("To"), slice_of(data, size), size % 2));
	box = message_mailboxes(&m, &m.fields[0], &n);
	assert(n <= 1000 && (n == 0) == (box == NULL));
	for (size_t i = 0; i < n; i++)
		assert(slice_utf8(box[i].name) && slice_utf8(box[i].address));
	assert(slice_utf8(header_value(&m, &m.fields[0])));
	assert(m.header.n >= 2 && m.header.p[m.header.n - 1] == '\n');
	message_free(&m);
	return 0;
}
