#include "config.h"

#include <assert.h>

#include "milterd/message/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TEXT_MAX = 1000 };

static void parts_check(const struct message *m)
{
	const struct part *p = m->root;
	size_t n = 0;

	assert(p != NULL && m->part_count <= MESSAGE_PARTS_MAX);
	while (p != NULL) {
		n++;
		assert(p->depth < MESSAGE_DEPTH_MAX && p->leaf <= (p->first == NULL));
		assert(slice_utf8(p->name) && slice_utf8(p->type) && slice_utf8(p->charset));
		if (p->first != NULL) {
			p = p->first;
			continue;
		}
		while (p != NULL && p->next == NULL)
			p = p->parent;
		p = p != NULL ? p->next : NULL;
	}
	assert(n == m->part_count);
}

/* What is written is read as the same message. */
static void again_check(struct message *m)
{
	struct bytes first = { 0 }, second = { 0 };
	struct message again;

	assert(message_write(m, &first));
	message_start(&again, 2 * first.n + 16);
	assert(message_raw(&again, bytes_slice(&first)) && message_write(&again, &second));
	assert(m->failed || m->header.n == 0 || m->fields[0].name.n == 0 ||
	    slice_eq(bytes_slice(&first), bytes_slice(&second)));
	message_free(&again);
	bytes_free(&first);
	bytes_free(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct message m;

	message_start(&m, 1u << 20);
	assert(message_raw(&m, slice_of(data, size)));
	message_parse(&m, TEXT_MAX);
	parts_check(&m);
	assert(m.text.n <= TEXT_MAX && m.html.n <= TEXT_MAX);
	assert(slice_utf8(m.text) && slice_utf8(m.html));
	for (size_t i = 0; i < m.field_count; i++)
		assert(slice_utf8(header_value(&m, &m.fields[i])));
	again_check(&m);
	message_free(&m);
	return 0;
}
