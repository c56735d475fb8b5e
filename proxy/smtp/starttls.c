#include "config.h"

#include "session.h"

#include <openssl/ssl.h>
#include <stdlib.h>

#include "proxy/smtp/auth.h"
#include "proxy/listen/front.h"
#include "proxy/tls/facts.h"
#include "weir/log.h"

bool session_secure(const struct session *s)
{
	return s->stream != NULL && stream_ssl(s->stream) != NULL;
}

/* Was it ended by somebody in front of us whom we trust? */
static bool secure_in_front(const struct session *s)
{
	return s->front != NULL && s->front->tls;
}

bool starttls_offered(const struct session *s)
{
	int tls = s->listener->settings->tls;

	return (tls == LISTEN_TLS_OFFER || tls == LISTEN_TLS_REQUIRE) && !session_secure(s) &&
	    !secure_in_front(s);
}

bool starttls_required(const struct session *s)
{
	return s->listener->settings->tls == LISTEN_TLS_REQUIRE && !session_secure(s) &&
	    !secure_in_front(s);
}

/* The session is busy until on_secured or on_failed of the stream. */
bool starttls_begin(struct session *s)
{
	SSL_CTX *ctx = listener_tls(s->listener);
	SSL *ssl = ctx != NULL ? SSL_new(ctx) : NULL;

	if (ssl == NULL)
		return false;
	SSL_set_accept_state(ssl);
	s->busy = true;
	return stream_tls_start(s->stream, ssl, s->worker->pressure.patience.tls_handshake_s);
}

/* What waits behind STARTTLS was an offence before we came here (W20): command_run closes. */
void command_starttls(struct session *s, struct slice argument)
{
	if (session_secure(s)) {
		session_say(s, SLICE("554 5.5.1 TLS is active already\r\n"));
	} else if (!starttls_offered(s)) {
		session_say(s, SLICE("502 5.5.1 Command not offered\r\n"));
	} else if (slice_trim(argument).n > 0) {
		session_say(s, SLICE("501 5.5.4 This command takes no argument\r\n"));
	} else if (s->state != SESSION_START && s->state != SESSION_READY) {
		session_say(s, SLICE("503 5.5.1 Not inside a transaction\r\n"));
	} else if (s->refusal != NULL || listener_tls(s->listener) == NULL) {
		session_say(s, SLICE("454 4.7.0 TLS is not available\r\n"));
	} else {
		session_say(s, SLICE("220 2.0.0 Ready to start TLS\r\n"));
		stream_flush(s->stream);
		if (!starttls_begin(s))
			session_end(s); /* 220 was said: nothing in the clear may follow */
	}
}

const char *starttls_check_requiretls(struct session *s, struct slice value)
{
	if (value.p != NULL)
		return "501 5.5.4 REQUIRETLS takes no value\r\n";
	if (s->offered & EXTENSION_REQUIRETLS)
		return NULL;
	return starttls_offered(s) ? "530 5.7.0 Must issue a STARTTLS command first\r\n"
				   : "550 5.7.30 REQUIRETLS is not supported\r\n";
}

/* RFC 3207 4.2: nothing that was said before counts any more (W21). That the filters heard of the
 * connection does: for them it is the same (W28). */
static void forget(struct session *s)
{
	auth_drop(s);
	free(s->helo);
	s->helo = NULL;
	s->esmtp = s->utf8 = false;
	s->offered = 0;
	s->state = SESSION_START;
	s->reader = (struct line_reader){ .lf_ends = s->reader.lf_ends };
	if (s->refusal != NULL && !s->refused_at_connect) {
		free(s->refusal);
		s->refusal = NULL;
	}
}

void starttls_done(struct session *s)
{
	struct tls_facts f = tls_facts_of(stream_ssl(s->stream));

	log_event(LOG_LEVEL_INFO, "tls", "id", s->id, "client", s->client_text, "version",
	    f.version, "cipher", f.cipher, "sni", f.sni, "resumed", f.resumed ? "yes" : "no",
	    "verify", f.verify, NULL);
	forget(s);
	s->waiting = false;
	if (s->listener->settings->tls == LISTEN_TLS_IMPLICIT)
		session_greet(s);
	else
		session_done(s);
}

/* One that connects and goes without a word only looked whether we are there (W114). */
void starttls_failed(struct session *s, const char *error)
{
	log_event(stream_tls_spoke(s->stream) ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG, "tls_failed",
	    "id", s->id, "client", s->client_text, "error", error, NULL);
	session_end(s);
}
