#include "config.h"

#include "session.h"

#include <stdio.h>
#include <stdlib.h>

#include "proxy/smtp/auth.h"
#include "findings.h"
#include "identity.h"
#include "proxy/tls/facts.h"
#include "proxy/upstream/parameters.h"
#include "weir/log.h"
#include "weir/smtp_syntax.h"

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

/* Macros that hold for the whole session, with the names and forms of the reference. */
void filters_introduce(struct session *s)
{
	const char *daemon = s->listener->settings->name;
	char endpoint[ENDPOINT_TEXT_MAX];

	if (daemon[0] == '\0')
		daemon = endpoint_text(&s->listener->settings->address, endpoint);
	chain_macro(s->chain, "j", slice_z(s->settings->hostname));
	chain_macro(s->chain, "v", SLICE("Weir " PACKAGE_VERSION));
	chain_macro(s->chain, "{daemon_name}", slice_z(daemon));
	chain_macro(s->chain, "{daemon_addr}", slice_z(s->listener->address));
	chain_macro(s->chain, "{if_addr}", slice_z(s->listener->address));
	identity_macros(s);
	s->introduced = true;
}

/* Always told, so that a filter knows the difference between a clean client and a front that looks
 * for nothing. */
void filters_findings(struct session *s)
{
	char text[512] = "";
	struct buf b = BUF_ON(text);

	findings_text(s->findings, &b);
	chain_macro(s->chain, "{weir_findings}", buf_slice(&b));
}

/* Whose certificate it is, is said only where we know it: a filter may trust the name. The
 * fingerprint speaks for itself. */
static void tell_certificate(struct session *s, const char *verify)
{
	bool known = strcmp(verify, "OK") == 0;
	struct tls_peer p;

	tls_peer_of(stream_ssl(s->stream), &p);
	if (p.fingerprint[0] == '\0')
		return;
	chain_macro(s->chain, "{cert_fp}", slice_z(p.fingerprint));
	if (!known)
		return;
	chain_macro(s->chain, "{cert_subject}", slice_z(p.subject));
	chain_macro(s->chain, "{cert_issuer}", slice_z(p.issuer));
}

void filters_tls(struct session *s)
{
	struct tls_facts f;
	char bits[16];

	if (!s->secured || s->tls_told)
		return;
	s->tls_told = true;
	f = tls_facts_of(stream_ssl(s->stream));
	(void)snprintf(bits, sizeof(bits), "%d", f.bits);
	chain_macro(s->chain, "{tls_version}", slice_z(f.version));
	chain_macro(s->chain, "{cipher}", slice_z(f.cipher));
	chain_macro(s->chain, "{cipher_bits}", slice_z(bits));
	chain_macro(s->chain, "{verify}", slice_z(f.verify));
	if (f.sni != NULL)
		chain_macro(s->chain, "{tls_sni}", slice_z(f.sni));
	tell_certificate(s, f.verify);
}

/* Who logged in, and what he says of the message. {auth_author} is MAIL's AUTH parameter, as
 * Postfix and Sendmail have it. */
static void filters_login(struct session *s)
{
	char text[512] = "";
	struct buf author = BUF_ON(text);
	struct slice xtext = parameters_value(s->mail.parameters, SLICE("AUTH"));
	bool named = xtext.p != NULL && !slice_eq(xtext, SLICE("<>")) &&
	    smtp_xtext_decode(xtext, &author, NULL) == 0;

	chain_macro(s->chain, "{auth_type}", auth_mechanism(s));
	chain_macro(s->chain, "{auth_authen}", slice_z(auth_login(s)));
	chain_macro(s->chain, "{auth_author}", named ? buf_slice(&author) : slice_z(NULL));
	chain_macro(
	    s->chain, "{mt_priority}", parameters_value(s->mail.parameters, SLICE("MT-PRIORITY")));
}

void filters_transaction(struct session *s, struct slice domain)
{
	chain_macro(s->chain, "i", slice_z(s->mail.id));
	filters_login(s);
	chain_macro(s->chain, "{mail_host}", domain);
	chain_macro(s->chain, "{mail_mailer}", SLICE("esmtp"));
	filters_findings(s);
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
