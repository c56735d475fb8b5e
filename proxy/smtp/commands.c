#include "config.h"

#include "session.h"

#include <stdlib.h>

#include "proxy/smtp/auth.h"
#include "findings.h"
#include "identity.h"
#include "weir/log.h"
#include "weir/smtp_syntax.h"

#define IN(state) (1u << (state))
#define ANY       (IN(SESSION_STATES) - 1)
#define GREETED   (IN(SESSION_READY) | IN(SESSION_MAIL) | IN(SESSION_RCPT))

enum {
	LAST =
	    1, /* ends a pipelined group (RFC 2920 3.1); what waits behind it is an offence (W31) */
	JUNK = 2,     /* too many of these without a delivery count as errors (W48) */
	BARE = 4,     /* takes no argument (W58) */
	AGAIN = 8,    /* junk where it is not the first of the session */
	PRE_TLS = 16, /* allowed where TLS is required and not there yet (W24) */
};

/* ---- HELO and EHLO ------------------------------------------------------------------------ */

/* Keep a filter's refusal for MAIL. A shutdown cannot wait. */
static void keep_refusal(struct session *s, const struct chain_answer *a, bool at_connect)
{
	if (a->verdict == CHAIN_CONTINUE || a->verdict == CHAIN_DISCARD)
		return;
	if (a->verdict == CHAIN_CLOSE) {
		(void)filters_refused(s, a);
		return;
	}
	if (s->refusal == NULL && (s->refusal = malloc(sizeof(*s->refusal))) == NULL) {
		session_bye(s, SLICE("421 4.3.0 Out of memory\r\n"));
		return;
	}
	*s->refusal = *a;
	s->refused_at_connect = at_connect;
}

static void on_helo(const struct chain_answer *a, void *arg)
{
	struct session *s = arg;

	if (s->dead)
		return;
	keep_refusal(s, a, false);
	if (!s->closing)
		offer_greet(s);
	session_done(s);
}

static void on_connect(const struct chain_answer *a, void *arg)
{
	struct session *s = arg;

	if (s->dead)
		return;
	keep_refusal(s, a, true);
	if (!s->closing && s->refusal == NULL) {
		chain_helo(s->chain, slice_z(s->helo), on_helo, s);
		return;
	}
	if (!s->closing)
		offer_greet(s);
	session_done(s);
}

/* The filters hear of the connection with the first HELO: one that only looks whether we are there
 * costs them nothing (W114). */
static void ask_filters(struct session *s)
{
	const char *name = identity_name(s);
	char literal[ADDRESS_TEXT_MAX + 2] = "";
	struct buf b = BUF_ON(literal);

	s->busy = true;
	filters_tls(s);
	if (s->introduced) {
		chain_helo(s->chain, slice_z(s->helo), on_helo, s);
		return;
	}
	filters_introduce(s);
	buf_addf(&b, s->client.family == AF_UNSPEC ? "%s" : "[%s]", s->client_text);
	chain_connect(
	    s->chain, name != NULL ? slice_z(name) : buf_slice(&b), &s->client, on_connect, s);
}

static void hello(struct session *s, struct slice name, bool esmtp)
{
	char *copy;

	name = slice_trim(name);
	if (!smtp_helo_valid(name)) {
		found(s, FOUND_HELO_SYNTAX);
		session_say(s, SLICE("501 5.5.4 A domain or address literal must follow\r\n"));
		return;
	}
	if ((copy = slice_dup(name)) == NULL || !filters_open(s)) {
		free(copy);
		session_say(s, SLICE("451 4.3.0 Out of memory, try again later\r\n"));
		return;
	}
	/* A hello in a transaction ends it (RFC 5321 4.1.4; W72). */
	transaction_abort(s);
	found_helo(s, name);
	free(s->helo);
	s->helo = copy;
	s->esmtp = esmtp;
	if (s->refusal != NULL && !s->refused_at_connect) {
		free(s->refusal);
		s->refusal = NULL;
	}
	if (session_filtered(s) && s->refusal == NULL)
		identity_await(s, ask_filters);
	else
		offer_greet(s);
}

static void command_ehlo(struct session *s, struct slice argument)
{
	hello(s, argument, true);
}

static void command_helo(struct session *s, struct slice argument)
{
	hello(s, argument, false);
}

/* ---- the small ones ----------------------------------------------------------------------- */

static void command_rset(struct session *s, struct slice argument)
{
	(void)argument;
	transaction_abort(s);
	session_say(s, SLICE("250 2.0.0 Ok\r\n"));
}

static void command_noop(struct session *s, struct slice argument)
{
	(void)argument;
	session_say(s, SLICE("250 2.0.0 Ok\r\n"));
}

static void command_help(struct session *s, struct slice argument)
{
	(void)argument;
	session_say(s, SLICE("214 2.0.0 See RFC 5321\r\n"));
}

/* RFC 6531 3.7.4.2: the parameter stands behind the text, and says that the answer may be UTF-8. */
static void command_vrfy(struct session *s, struct slice argument)
{
	struct slice text = slice_trim(argument);
	bool utf8 = slice_iends(text, SLICE(" SMTPUTF8"));

	if (text.n == 0)
		session_say(s, SLICE("501 5.5.4 An address must follow\r\n"));
	else if (utf8 && !(s->offered & EXTENSION_SMTPUTF8))
		session_say(s, SLICE("555 5.5.4 SMTPUTF8 is not offered\r\n"));
	else if (!utf8 && !slice_ascii(text))
		session_say(s, SLICE("553 5.6.7 A UTF-8 address needs SMTPUTF8\r\n"));
	else
		session_say(s, SLICE("252 2.5.0 Cannot verify, but will take mail and try\r\n"));
}

static void command_quit(struct session *s, struct slice argument)
{
	(void)argument;
	transaction_abort(s);
	stream_take(s->stream, stream_input(s->stream).n); /* what follows QUIT is dropped (W31) */
	session_bye(s, SLICE("221 2.0.0 Bye\r\n"));
}

static void command_off(struct session *s, struct slice argument)
{
	(void)argument;
	session_say(s, SLICE("502 5.5.1 Command not offered\r\n"));
}

/* ---- the table ---------------------------------------------------------------------------- */

static const struct command {
	struct slice verb;
	unsigned states, flags;
	void (*run)(struct session *s, struct slice argument);
} commands[] = {
	{ SLICE("MAIL"), GREETED, 0, command_mail },
	{ SLICE("RCPT"), ANY & ~IN(SESSION_BDAT), 0, command_rcpt },
	{ SLICE("DATA"), ANY & ~IN(SESSION_BDAT), LAST | BARE, command_data },
	{ SLICE("EHLO"), ANY, LAST | AGAIN | PRE_TLS, command_ehlo },
	{ SLICE("HELO"), ANY, LAST | JUNK | PRE_TLS, command_helo },
	{ SLICE("RSET"), ANY, JUNK | BARE, command_rset },
	{ SLICE("QUIT"), ANY, BARE | PRE_TLS, command_quit },
	{ SLICE("NOOP"), ANY, LAST | JUNK | PRE_TLS, command_noop },
	{ SLICE("VRFY"), ANY, LAST | JUNK, command_vrfy },
	{ SLICE("HELP"), ANY, JUNK | PRE_TLS, command_help },
	{ SLICE("EXPN"), ANY, LAST | JUNK, command_off },
	{ SLICE("TURN"), ANY, LAST | JUNK, command_off },
	{ SLICE("ETRN"), ANY, LAST | JUNK, command_off },
	{ SLICE("STARTTLS"), ANY, LAST | JUNK | PRE_TLS, command_starttls },
	{ SLICE("AUTH"), ANY, LAST, command_auth },
	{ SLICE("BDAT"), ANY, PRE_TLS, command_bdat },
	{ SLICE("XCLIENT"), ANY, PRE_TLS, command_xclient },
};

static const struct command *command_find(struct slice verb)
{
	for (size_t i = 0; i < COUNT(commands); i++)
		if (slice_ieq(verb, commands[i].verb))
			return &commands[i];
	return NULL;
}

/* ---- what is no command ------------------------------------------------------------------- */

/* Browsers and what else was made to speak to us (W41). */
static bool foreign_verb(struct slice verb)
{
	static const struct slice verbs[] = { SLICE("CONNECT"), SLICE("GET"), SLICE("POST"),
		SLICE("PUT"), SLICE("HEAD"), SLICE("OPTIONS"), SLICE("DELETE"), SLICE("PATCH"),
		SLICE("TRACE"), SLICE("PROXY") };

	for (size_t i = 0; i < COUNT(verbs); i++)
		if (slice_ieq(verb, verbs[i]))
			return true;
	return false;
}

/* "Name: value": the client and we have lost each other, and mail content would be run as commands
 * (W41). */
static bool field_like(struct slice line)
{
	size_t n = 0;

	while (n < line.n && (ascii_alpha(line.p[n]) || ascii_digit(line.p[n]) || line.p[n] == '-'))
		n++;
	return n > 0 && n < line.n && line.p[n] == ':';
}

static void on_unknown(const struct chain_answer *a, void *arg)
{
	struct session *s = arg;

	if (s->dead)
		return;
	if (!filters_refused(s, a))
		session_say(s, SLICE("500 5.5.2 Command not recognised\r\n"));
	session_done(s);
}

/* What of this is no command of any mail client; FOUND_COUNT: nothing. */
static enum found no_smtp(struct slice line, struct slice verb)
{
	if (line.n == 0)
		return FOUND_COUNT;
	if (foreign_verb(verb))
		return FOUND_FOREIGN;
	if (field_like(line))
		return FOUND_HEADER_FIELD;
	return ascii_alpha(line.p[0]) ? FOUND_COUNT : FOUND_NO_COMMAND;
}

static void run_unknown(struct session *s, struct slice line, struct slice verb)
{
	enum found what = no_smtp(line, verb);

	if (what != FOUND_COUNT && found_violation(s, what)) {
		session_bye(s, SLICE("221 2.7.0 I speak SMTP only\r\n"));
	} else if (what == FOUND_COUNT && line.n > 0 && session_filtered(s) && s->introduced) {
		s->busy = true;
		chain_unknown(s->chain, line, on_unknown, s);
	} else {
		session_say(s, SLICE("500 5.5.2 Command not recognised\r\n"));
	}
}

/* ---- one line ----------------------------------------------------------------------------- */

void command_count_junk(struct session *s)
{
	if (++s->junk > (unsigned)s->worker->pressure.patience.junk_commands)
		s->errors++;
}

/* Is there something behind a command that must be the last of its group (W31)? Who said HELO may
 * send nothing ahead at all (W32). */
static bool sent_ahead(const struct session *s, const struct command *c)
{
	bool alone = (c->flags & LAST) != 0 ||
	    (s->state != SESSION_START && !s->esmtp && c->run != command_quit);

	return alone && session_has_input(s);
}

/* What lies behind STARTTLS ends the session whatever the listener's policy: it would be taken for
 * what came under TLS (W20). */
void command_run(struct session *s, struct slice line)
{
	struct slice argument = line, verb = slice_cut(&argument, ' ');
	const struct command *c = command_find(verb);

	if (!slice_utf8(line)) {
		found(s, FOUND_NO_UTF8);
		session_say(s, SLICE("500 5.5.2 Not UTF-8\r\n"));
		return;
	}
	if (c == NULL) {
		run_unknown(s, line, verb);
		return;
	}
	if (sent_ahead(s, c) &&
	    (found_violation(s, FOUND_PIPELINING) || c->run == command_starttls)) {
		session_bye(s, SLICE("554 5.5.0 You sent more before this was answered\r\n"));
		return;
	}
	if ((c->flags & JUNK) || ((c->flags & AGAIN) && s->state != SESSION_START))
		command_count_junk(s);
	if (starttls_required(s) && !(c->flags & PRE_TLS))
		session_say(s, SLICE("530 5.7.0 Must issue a STARTTLS command first\r\n"));
	else if (!(c->states & IN(s->state)))
		session_say(s,
		    s->state == SESSION_BDAT
			? SLICE("503 5.5.1 Not between two chunks\r\n") /* W64 */
			: SLICE("503 5.5.1 Say EHLO first\r\n"));
	else if ((c->flags & BARE) && slice_trim(argument).n > 0)
		session_say(s, SLICE("501 5.5.4 This command takes no argument\r\n"));
	else
		c->run(s, argument);
}
