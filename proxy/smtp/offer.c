#include "config.h"

#include "session.h"
#include "xclient.h"

#include "proxy/smtp/auth.h"

/* ---- the backends' abilities -------------------------------------------------------------- */

/* Taken once in a session: what was promised is not taken back because a probe came in between. Of
 * backends that were never reached we promise only what every server of today can. */
static void freeze(struct session *s)
{
	struct abilities *a = &s->upstream;

	*a = upstream_abilities(s->worker->upstream);
	if (!a->known) {
		a->extensions = EXTENSION_8BITMIME;
		a->mechanisms = 0;
	}
	s->message_max = (uint64_t)s->settings->limits.message_bytes;
	if (a->size > 0 && a->size < s->message_max)
		s->message_max = a->size;
}

static void value_size(const struct session *s, struct bytes *out)
{
	(void)bytes_addf(out, " %llu", (unsigned long long)s->message_max);
}

/* RFC 9422: what we hold every client to, and no more than six digits. */
static void value_limits(const struct session *s, struct bytes *out)
{
	(void)bytes_addf(out, " MAILMAX=%lld RCPTMAX=%lld",
	    (long long)s->settings->limits.transactions, (long long)s->settings->limits.recipients);
}

/* RFC 6531 3.1: SMTPUTF8 is nothing without it. */
static bool with_8bitmime(const struct session *s)
{
	return (s->upstream.extensions & EXTENSION_8BITMIME) != 0;
}

/* Whatever the backends can do: chunks become one message before it goes on. */
static bool with_chunking(const struct session *s)
{
	return s->settings->chunking;
}

static bool when_xclient(const struct session *s)
{
	return s->may_xclient;
}

static void value_xclient(const struct session *s, struct bytes *out)
{
	(void)s;
	(void)bytes_add(out, SLICE(" " XCLIENT_ATTRIBUTES));
}

/* ---- conditions --------------------------------------------------------------------------- */

/* REQUIRETLS asks of every hop that the next has TLS (RFC 8689 2): so must this one. */
static bool under_tls(const struct session *s)
{
	return session_secure(s);
}

/* ---- the table ---------------------------------------------------------------------------- */

/* One line of the EHLO reply each, in this order. extension: it is promised only where the backends
 * have it, and stands in s->offered then; 0: it is ours alone. when: a further condition, or NULL.
 * value: writes what follows the keyword, or NULL. */
static const struct offer {
	struct slice keyword;
	unsigned extension;
	bool (*when)(const struct session *s);
	void (*value)(const struct session *s, struct bytes *out);
} offers[] = {
	{ SLICE("PIPELINING"), 0, NULL, NULL },
	{ SLICE("SIZE"), 0, NULL, value_size },
	{ SLICE("8BITMIME"), EXTENSION_8BITMIME, NULL, NULL },
	{ SLICE("DSN"), EXTENSION_DSN, NULL, NULL },
	{ SLICE("CHUNKING"), EXTENSION_CHUNKING, with_chunking, NULL },
	{ SLICE("SMTPUTF8"), EXTENSION_SMTPUTF8, with_8bitmime, NULL },
	{ SLICE("ENHANCEDSTATUSCODES"), 0, NULL, NULL },
	{ SLICE("LIMITS"), 0, NULL, value_limits },
	{ SLICE("AUTH"), 0, auth_offered, auth_offer },
	{ SLICE("MT-PRIORITY"), EXTENSION_MT_PRIORITY, auth_good, NULL },
	{ SLICE("XCLIENT"), 0, when_xclient, value_xclient },
	{ SLICE("STARTTLS"), 0, starttls_offered, NULL },
	{ SLICE("REQUIRETLS"), EXTENSION_REQUIRETLS, under_tls, NULL },
};

void offer_greet(struct session *s)
{
	struct bytes *out = stream_output(s->stream);
	bool all = s->esmtp && s->refusal == NULL;
	unsigned can;
	size_t last = out->n;

	if (s->message_max == 0)
		freeze(s);
	can = s->upstream.extensions | EXTENSION_CHUNKING;
	s->state = SESSION_READY;
	s->offered = 0;
	(void)bytes_addf(out, "250-%s\r\n", s->settings->hostname);
	for (size_t i = 0; all && i < COUNT(offers); i++) {
		const struct offer *o = &offers[i];

		if ((o->extension & ~can) != 0 || (o->when != NULL && !o->when(s)))
			continue;
		s->offered |= o->extension;
		last = out->n;
		(void)bytes_add(out, SLICE("250-"));
		(void)bytes_add(out, o->keyword);
		if (o->value != NULL)
			o->value(s, out);
		(void)bytes_add(out, SLICE("\r\n"));
	}
	if (out->failed)
		s->closing = true;
	else
		out->p[last + 3] = ' ';
	s->owing = true;
}
