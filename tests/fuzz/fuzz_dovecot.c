#include "config.h"

#include <stdlib.h>

#include "proxy/auth/dovecot.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* One line: whatever it says, parts lie inside it, and a value survives being written and read
 * again. */
static void one_line(struct slice line)
{
	struct dovecot_line l;
	char text[256] = "", again[256] = "";
	struct buf value = BUF_ON(text), back = BUF_ON(again);
	struct bytes written = { 0 };

	if (dovecot_parse(line, &l, NULL) < 0)
		return;
	if ((l.name.n > 0 && (l.name.p < line.p || l.name.p + l.name.n > line.p + line.n)) ||
	    (l.fields.n > 0 && l.fields.p + l.fields.n > line.p + line.n))
		abort();
	(void)dovecot_flag(l.fields, SLICE("temp"));
	dovecot_unescape(dovecot_value(l.fields, SLICE("user")), &value);
	if (value.cut)
		return;
	dovecot_add(&written, "user", buf_slice(&value));
	dovecot_unescape(
	    dovecot_value(slice_sub(bytes_slice(&written), 1, written.n), SLICE("user")), &back);
	if (!written.failed && !slice_eq(buf_slice(&value), buf_slice(&back)))
		abort();
	bytes_free(&written);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct slice all = slice_of(p, n > DOVECOT_LINE_MAX ? DOVECOT_LINE_MAX : n);

	while (all.n > 0)
		one_line(slice_cut(&all, '\n'));
	return 0;
}
