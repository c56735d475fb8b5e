#include "config.h"

#include <stdlib.h>

#include "weir/smtp_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void must(bool good)
{
	if (!good)
		abort();
}

/* What was read can be written, and reads again as a whole reply of the same codes. */
static void write_and_read(const struct smtp_reply *r)
{
	struct bytes wire = { 0 };
	struct smtp_reply back;
	size_t used;

	must(slice_utf8(slice_z(r->text)));
	must(smtp_reply_write(r, &wire));
	/* Each newline of the text may become a line of its own: more than a peer may send us. */
	if (wire.n <= SMTP_REPLY_WIRE_MAX) {
		must(smtp_reply_parse(bytes_slice(&wire), &used, &back, NULL) == 1);
		must(used == wire.n && back.code == r->code);
		must(r->enhanced[0] == '\0' || strcmp(back.enhanced, r->enhanced) == 0);
	}
	for (struct slice left = bytes_slice(&wire); left.n > 0;)
		must(slice_cut(&left, '\n').n + 1 <= SMTP_REPLY_LINE_MAX);
	bytes_free(&wire);
}

/* No prefix of a good reply is refused, and none is taken for the whole of it. */
static void prefixes(struct slice wire, size_t used)
{
	struct smtp_reply r;
	size_t at;

	for (size_t n = 0; n < used; n += 1 + used / 64)
		must(smtp_reply_parse(slice_sub(wire, 0, n), &at, &r, NULL) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct slice wire = slice_of(p, n);
	struct smtp_reply r;
	char store[300] = "";
	struct buf line = BUF_ON(store);
	struct err e;
	size_t used;

	if (smtp_reply_parse(wire, &used, &r, &e) == 1) {
		must(used <= n);
		prefixes(wire, used);
		write_and_read(&r);
		smtp_reply_line(&r, &line);
	}
	if (smtp_reply_from_text(wire, &r, &e) == 0) {
		must(r.code >= 400);
		write_and_read(&r);
	}
	return 0;
}
