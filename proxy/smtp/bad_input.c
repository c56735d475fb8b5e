#include "config.h"

#include "findings.h"
#include "proxy/listen/proxy_header.h"
#include "session.h"

static bool tls_hello(struct slice in)
{
	return in.n >= 2 && in.p[0] == 0x16 && in.p[1] == 0x03;
}

void input_bad_line(struct session *s, enum line_status why)
{
	static const struct {
		enum found what;
		struct slice reply;
	} replies[] = {
		[LINE_LONG] = { FOUND_LONG_COMMAND, SLICE("500 5.5.2 Command line too long\r\n") },
		[LINE_BARE] = { FOUND_BARE_NEWLINE,
		    SLICE("500 5.5.2 Lines must end with CR LF\r\n") },
		[LINE_NUL] = { FOUND_NUL, SLICE("500 5.5.2 NUL in a command\r\n") },
		[LINE_FLOOD] = { FOUND_LONG_COMMAND,
		    SLICE("421 4.7.0 Command line without end\r\n") },
	};

	found(s, replies[why].what);
	if (why == LINE_BARE && s->bare_newline == BARE_NEWLINE_REJECT)
		session_bye(s, SLICE("550 5.5.2 Lines must end with CR LF\r\n"));
	else
		session_say(s, replies[why].reply);
}

bool input_foreign(struct session *s, struct slice in)
{
	if (tls_hello(in))
		session_bye(s, SLICE("501 5.5.1 This port does not speak TLS from the start\r\n"));
	else if (slice_starts(in, PROXY_SIGNATURE_2))
		session_bye(s, SLICE("221 2.7.0 I speak SMTP only\r\n"));
	else
		return false;
	found(s, FOUND_FOREIGN);
	return true;
}
