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
};

/* TLS and AUTH come after the first EHLO; they are settled when MAIL is given. */
/* clang-format off */
static const struct fact_row rows[] = {
	[ADDRESS] = { "client.address", FACT_ADDRESS, STAGE_CONNECT,
	    "The address of the SMTP client.", "\"192.0.2.7\"" },
	[NAME] = { "client.name", FACT_STRING, STAGE_CONNECT,
	    "The client's verified reverse name; unknown where it has none.", "\"mail.example.org\"" },
	[PORT] = { "client.port", FACT_NUMBER, STAGE_CONNECT,
	    "The client's TCP port.", "51234" },
	[LISTENER] = { "listener.name", FACT_STRING, STAGE_CONNECT,
	    "The name of the listener that took the connection.", "\"submission\"" },
	[TLS_VERSION] = { "tls.version", FACT_STRING, STAGE_MAIL,
	    "The TLS version of the session; unknown without TLS.", "\"TLSv1.3\"" },
	[TLS_CIPHER] = { "tls.cipher", FACT_STRING, STAGE_MAIL,
	    "The TLS cipher of the session.", "\"TLS_AES_256_GCM_SHA384\"" },
	[AUTH_USER] = { "auth.user", FACT_STRING, STAGE_MAIL,
	    "The name that the client logged in with; unknown without a login.", "\"alice\"" },
	[AUTH_MECHANISM] = { "auth.mechanism", FACT_STRING, STAGE_MAIL,
	    "The SASL mechanism of the login.", "\"PLAIN\"" },
};
/* clang-format on */

static struct value get(struct exam *x, size_t row, struct slice name)
{
	const struct client *c = exam_client(x);

	(void)name;
	switch (row) {
	case ADDRESS:
		return c->address.family == AF_UNSPEC ? value_unknown : value_address(c->address);
	case NAME:
		return value_or_unknown(c->name);
	case PORT:
		return c->address.port == 0 ? value_unknown : value_number(c->address.port);
	case LISTENER:
		return value_or_unknown(c->listener);
	case TLS_VERSION:
		return value_or_unknown(c->tls_version);
	case TLS_CIPHER:
		return value_or_unknown(c->tls_cipher);
	case AUTH_USER:
		return value_or_unknown(c->auth_user);
	case AUTH_MECHANISM:
		return value_or_unknown(c->auth_mechanism);
	default:
		return value_unknown;
	}
}

const struct provider client_provider = {
	.name = "client", .rows = rows, .n = COUNT(rows), .get = get
};
