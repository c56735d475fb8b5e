#include "config.h"

#include "session.h"

#include <stdio.h>
#include <stdlib.h>

#include "proxy/smtp/auth.h"
#include "weir/log.h"

bool session_filtered(const struct session *s)
{
	return s->chain != NULL && !chain_empty(s->chain);
}

bool filters_open(struct session *s)
{
	if (s->chain == NULL && s->settings->filters.n > 0)
		s->chain = chain_new(s->worker->filters);
	return s->chain != NULL || s->settings->filters.n == 0;
}

static struct slice client_name(const struct session *s, struct buf *b)
{
	b->p[0] = '\0';
	buf_addf(b, "[%s]", s->client_text);
	return buf_slice(b);
}

/* Macros that hold for the whole session, with the names and forms of the reference. */
void filters_introduce(struct session *s)
{
	char name[ADDRESS_TEXT_MAX + 2], port[8];
	struct buf b = BUF_ON(name);
	struct slice client = client_name(s, &b);
	const char *daemon = s->listener->settings->name;
	char endpoint[ENDPOINT_TEXT_MAX];

	(void)snprintf(port, sizeof(port), "%u", (unsigned)s->client.port);
	if (daemon[0] == '\0')
		daemon = endpoint_text(&s->listener->settings->address, endpoint);
	chain_macro(s->chain, "j", slice_z(s->settings->hostname));
	chain_macro(s->chain, "v", SLICE("Weir " PACKAGE_VERSION));
	chain_macro(s->chain, "_", client);
	chain_macro(s->chain, "{daemon_name}", slice_z(daemon));
	chain_macro(s->chain, "{daemon_addr}", slice_z(s->listener->address));
	chain_macro(s->chain, "{if_addr}", slice_z(s->listener->address));
	chain_macro(s->chain, "{client_addr}", slice_z(s->client_text));
	chain_macro(s->chain, "{client_name}", client);
	chain_macro(s->chain, "{client_port}", slice_z(port));
	s->introduced = true;
}

void filters_transaction(struct session *s, struct slice domain)
{
	chain_macro(s->chain, "i", slice_z(s->mail.id));
	chain_macro(s->chain, "{auth_type}", auth_mechanism(s));
	chain_macro(s->chain, "{auth_authen}", slice_z(auth_login(s)));
	chain_macro(s->chain, "{mail_host}", domain);
	chain_macro(s->chain, "{mail_mailer}", SLICE("esmtp"));
}

void filters_recipient(struct session *s, struct slice domain)
{
	chain_macro(s->chain, "{rcpt_host}", domain);
	chain_macro(s->chain, "{rcpt_mailer}", SLICE("esmtp"));
}

bool filters_refused(struct session *s, const struct chain_answer *a)
{
	if (a->verdict == CHAIN_CONTINUE || a->verdict == CHAIN_DISCARD)
		return false;
	(void)snprintf(s->filter, sizeof(s->filter), "%s", a->filter != NULL ? a->filter : "");
	if (a->reply.code != 0)
		session_reply(s, &a->reply);
	else if (a->verdict == CHAIN_REJECT)
		session_say(s, SLICE("550 5.7.1 Command rejected\r\n"));
	else
		session_say(s, SLICE("451 4.3.2 Please try again later\r\n"));
	if (a->verdict == CHAIN_CLOSE)
		s->closing = true;
	return true;
}
