#include "config.h"

#include "provide.h"

enum {
	ADDRESS,
	NAME,
	PORT,
	LISTENER,
	TLS_VERSION,
	TLS_CIPHER,
	AUTH_USER,
	AUTH_MECHANISM,
	FINDINGS,
	MESSAGE_FINDINGS,
};

/* TLS and AUTH come after the first EHLO; they are settled when MAIL is given. */
/* clang-format off */
static const struct fact_row rows[] = {
	[ADDRESS] = { "client.address", FACT_ADDRESS, STAGE_CONNECT,
	    "The address of the SMTP client.", "\"192.0.2.7\"" },
	[NAME] = { "client.name", FACT_STRING, STAGE_CONNECT,
	    "The client's verified reverse name; empty where it has none.", "\"mail.example.org\"" },
	[PORT] = { "client.port", FACT_NUMBER, STAGE_CONNECT,
	    "The client's TCP port.", "51234" },
	[LISTENER] = { "listener.name", FACT_STRING, STAGE_CONNECT,
	    "The name of the listener that took the connection.", "\"submission\"" },
	[TLS_VERSION] = { "tls.version", FACT_STRING, STAGE_MAIL,
	    "The TLS version of the session; empty without TLS.", "\"TLSv1.3\"" },
	[TLS_CIPHER] = { "tls.cipher", FACT_STRING, STAGE_MAIL,
	    "The TLS cipher of the session; empty without TLS.", "\"TLS_AES_256_GCM_SHA384\"" },
	[AUTH_USER] = { "auth.user", FACT_STRING, STAGE_MAIL,
	    "The name that the client logged in with; empty without a login.", "\"alice\"" },
	[AUTH_MECHANISM] = { "auth.mechanism", FACT_STRING, STAGE_MAIL,
	    "The SASL mechanism of the login; empty without a login.", "\"PLAIN\"" },
	[FINDINGS] = { "client.findings", FACT_STRINGS, STAGE_MAIL,
	    "What weir-proxy found wrong with the client's SMTP up to MAIL (see weir-proxy(8)); unknown behind another MTA.",
	    "[\"early_talk\"]" },
	[MESSAGE_FINDINGS] = { "message.findings", FACT_STRINGS, STAGE_EOM,
	    "The same up to the end of the message.", "[\"early_talk\", \"bare_newline\"]" },
};
/* clang-format on */

/* Of a client that is known, what it has not is known to be empty; of a message without a session
 * (weir check without --ip) nothing is known. */
static struct value text(const struct client *c, struct slice s)
{
	if (s.n == 0 && c->address.family == AF_UNSPEC)
		return value_unknown;
	return value_string(s.n > 0 ? s : SLICE(""));
}

static struct value get(struct exam *x, size_t row, struct slice name)
{
	const struct client *c = exam_client(x);

	(void)name;
	switch (row) {
	case ADDRESS:
		return c->address.family == AF_UNSPEC ? value_unknown : value_address(c->address);
	case NAME:
		return text(c, c->name);
	case PORT:
		return c->address.port == 0 ? value_unknown : value_number(c->address.port);
	case LISTENER:
		return text(c, c->listener);
	case TLS_VERSION:
		return text(c, c->tls_version);
	case TLS_CIPHER:
		return text(c, c->tls_cipher);
	case AUTH_USER:
		return text(c, c->auth_user);
	case AUTH_MECHANISM:
		return text(c, c->auth_mechanism);
	case FINDINGS:
		return words_value(x, c->findings_at_mail);
	case MESSAGE_FINDINGS:
		return words_value(x, c->findings);
	default:
		return value_unknown;
	}
}

const struct provider client_provider = {
	.name = "client", .rows = rows, .n = COUNT(rows), .get = get
};
