#include "config.h"

#include <stdlib.h>

#include "proxy/smtp/xclient.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* What goes into macros, log lines and header fields is one printable word. */
static void check_text(const struct xclient_text *t, bool as_said)
{
	size_t n = strnlen(t->text, sizeof(t->text));

	if (n == sizeof(t->text) || (t->said == XCLIENT_VALUE) != (n > 0))
		abort();
	for (size_t i = 0; i < n; i++)
		if (t->text[i] <= ' ' && !(as_said && (t->text[i] == ' ' || t->text[i] < 0)))
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct xclient x;
	struct err e = { "" };

	if (xclient_parse(slice_of(p, n), &x, &e) < 0) {
		if (e.text[0] == '\0')
			abort();
		return 0;
	}
	check_text(&x.name, false);
	check_text(&x.reverse_name, false);
	check_text(&x.proto, false);
	check_text(&x.helo, true);
	check_text(&x.login, false);
	if ((x.addr.said == XCLIENT_VALUE) != (x.addr.address.family != AF_UNSPEC) ||
	    x.port.number > 65535 || x.ttl.number > 255)
		abort();
	return 0;
}
