#include "config.h"

#include "milterd/reply_lines.h"

#include <stdio.h>

#include "weir/smtp_reply.h"

static void double_percent(struct slice line, char into[REPLY_LINE_MAX + 1])
{
	size_t n = 0;

	for (size_t i = 0; i < line.n && n + 2 <= REPLY_LINE_MAX; i++) {
		if (line.p[i] == '%')
			into[n++] = '%';
		into[n++] = line.p[i];
	}
	into[n] = '\0';
}

int reply_lines_make(struct slice reply, struct reply_lines *out, struct err *e)
{
	struct smtp_reply r;
	struct slice rest;

	if (smtp_reply_from_text(reply, &r, e) < 0)
		return -1;
	*out = (struct reply_lines){ 0 };
	(void)snprintf(out->code, sizeof(out->code), "%d", r.code);
	(void)snprintf(out->enhanced, sizeof(out->enhanced), "%s", r.enhanced);
	rest = slice_z(r.text);
	do {
		double_percent(slice_cut(&rest, '\n'), out->line[out->n++]);
	} while (rest.n > 0 && out->n < REPLY_LINES_MAX);
	return 0;
}
