#include "config.h"

#include "session.h"

#include "identity.h"

#include "proxy/smtp/auth.h"
#include "weir/smtp_syntax.h"

/* Octets of a mailbox in MAIL's AUTH, decoded; filters_login has room for so many. */
#define SUBMITTER_MAX 500

/* ---- parameters --------------------------------------------------------------------------- */

static const char *check_size(struct session *s, struct slice value)
{
	uint64_t size;

	if (smtp_size_parse(value, &size, NULL) < 0)
		return "501 5.5.4 SIZE wants a number\r\n";
	return size > s->message_max ? "552 5.3.4 Message too big\r\n" : NULL;
}

static const char *check_body(struct session *s, struct slice value)
{
	if (slice_ieq(value, SLICE("7BIT")))
		return NULL;
	if (!slice_ieq(value, SLICE("8BITMIME")))
		return "501 5.5.4 BODY is 7BIT or 8BITMIME\r\n";
	return s->offered & EXTENSION_8BITMIME ? NULL : "554 5.6.3 8BITMIME is not offered\r\n";
}

static const char *check_smtputf8(struct session *s, struct slice value)
{
	if (value.p != NULL)
		return "501 5.5.4 SMTPUTF8 takes no value\r\n";
	if (!(s->offered & EXTENSION_SMTPUTF8))
		return "553 5.6.7 SMTPUTF8 is not offered\r\n";
	s->utf8 = true;
	return NULL;
}

static const char *check_ret(struct session *s, struct slice value)
{
	(void)s;
	return slice_ieq(value, SLICE("FULL")) || slice_ieq(value, SLICE("HDRS"))
	    ? NULL
	    : "501 5.5.4 RET is FULL or HDRS\r\n";
}

static const char *check_envid(struct session *s, struct slice value)
{
	(void)s;
	return smtp_envid_valid(value) ? NULL : "501 5.5.4 ENVID wants xtext\r\n";
}

static const char *check_notify(struct session *s, struct slice value)
{
	(void)s;
	return smtp_notify_valid(value)
	    ? NULL
	    : "501 5.5.4 NOTIFY is NEVER, or of SUCCESS, FAILURE, DELAY\r\n";
}

static const char *check_orcpt(struct session *s, struct slice value)
{
	return smtp_orcpt_valid(value, s->utf8) ? NULL : "501 5.5.4 ORCPT wants type;xtext\r\n";
}

/* RFC 4954 5: the submitter, as xtext, or <>. From who has not logged in it says nothing; see
 * trusted_value. */
static const char *check_auth(struct session *s, struct slice value)
{
	if (!auth_offered(s))
		return "555 5.5.4 AUTH is not offered\r\n";
	return smtp_xtext_valid(value, SUBMITTER_MAX) ? NULL
						      : "501 5.5.4 AUTH wants xtext or <>\r\n";
}

/* RFC 6710 9: -9 to 9, without a plus and without zeros in front. */
static const char *check_priority(struct session *s, struct slice value)
{
	bool minus = value.n == 2 && value.p[0] == '-';
	char digit = value.n > 0 ? value.p[value.n - 1] : '\0';

	(void)s;
	return ascii_digit(digit) && (minus ? digit != '0' : value.n == 1)
	    ? NULL
	    : "501 5.5.4 MT-PRIORITY is -9 to 9\r\n";
}

/* needs: the extension without which the parameter is unknown; 0: it speaks for itself. */
static const struct parameter {
	struct slice keyword;
	enum smtp_path_kind command;
	unsigned needs;
	const char *(*check)(struct session *s, struct slice value); /* NULL, or the refusal */
} parameters[] = {
	{ SLICE("SIZE"), SMTP_REVERSE_PATH, 0, check_size },
	{ SLICE("BODY"), SMTP_REVERSE_PATH, 0, check_body },
	{ SLICE("SMTPUTF8"), SMTP_REVERSE_PATH, 0, check_smtputf8 },
	{ SLICE("RET"), SMTP_REVERSE_PATH, EXTENSION_DSN, check_ret },
	{ SLICE("ENVID"), SMTP_REVERSE_PATH, EXTENSION_DSN, check_envid },
	{ SLICE("REQUIRETLS"), SMTP_REVERSE_PATH, 0, starttls_check_requiretls },
	{ SLICE("AUTH"), SMTP_REVERSE_PATH, 0, check_auth },
	{ SLICE("MT-PRIORITY"), SMTP_REVERSE_PATH, EXTENSION_MT_PRIORITY, check_priority },
	{ SLICE("NOTIFY"), SMTP_FORWARD_PATH, EXTENSION_DSN, check_notify },
	{ SLICE("ORCPT"), SMTP_FORWARD_PATH, EXTENSION_DSN, check_orcpt },
};

static const char *check_parameter(
    struct session *s, enum smtp_path_kind command, const struct smtp_parameter *given)
{
	for (size_t i = 0; i < COUNT(parameters); i++) {
		const struct parameter *p = &parameters[i];

		if (p->command == command && slice_ieq(given->keyword, p->keyword) &&
		    (p->needs & ~s->offered) == 0)
			return p->check(s, given->value);
	}
	return "555 5.5.4 Parameter not recognised\r\n";
}

static struct slice trusted_value(const struct session *s, const struct smtp_parameter *given)
{
	return slice_ieq(given->keyword, SLICE("AUTH")) && !auth_good(s) ? SLICE("<>")
									 : given->value;
}

/* "<path> parameters"; where the settings are lenient, also behind blanks and without brackets. */
static int parse_path(const struct session *s, struct slice argument, enum smtp_path_kind kind,
    struct smtp_path *path, struct slice *rest)
{
	struct slice address;

	if (s->settings->lenient_paths)
		while (argument.n > 0 && argument.p[0] == ' ')
			argument = slice_sub(argument, 1, argument.n);
	if (!s->settings->lenient_paths || argument.n == 0 || argument.p[0] == '<')
		return smtp_path_parse(argument, kind, path, rest, NULL);
	address = slice_cut(&argument, ' ');
	*rest = slice_trim(argument);
	return smtp_address_parse(address, kind, path, NULL);
}

/* Path and parameters of one command. False when it was refused. text: the parameters, one blank
 * between them. */
static bool parse(struct session *s, struct slice argument, struct slice word,
    enum smtp_path_kind kind, struct smtp_path *path, struct buf *text)
{
	struct smtp_parameter given[SMTP_PARAMETERS_MAX];
	struct slice rest;
	size_t n = 0;
	const char *refusal;

	if (!slice_istarts(argument, word)) {
		session_say(s,
		    kind == SMTP_REVERSE_PATH ? SLICE("501 5.5.4 Syntax: MAIL FROM:<address>\r\n")
					      : SLICE("501 5.5.4 Syntax: RCPT TO:<address>\r\n"));
		return false;
	}
	argument = slice_sub(argument, word.n, argument.n);
	if (parse_path(s, argument, kind, path, &rest) < 0) {
		session_say(s,
		    kind == SMTP_REVERSE_PATH ? SLICE("501 5.1.7 Bad sender address\r\n")
					      : SLICE("501 5.1.3 Bad recipient address\r\n"));
		return false;
	}
	if (smtp_parameters_parse(rest, given, &n, NULL) < 0) {
		session_say(s, SLICE("501 5.5.4 Bad parameters\r\n"));
		return false;
	}
	for (size_t i = 0; i < n; i++) {
		if ((refusal = check_parameter(s, kind, &given[i])) != NULL) {
			session_say(s, slice_z(refusal));
			return false;
		}
		if (i > 0)
			buf_addc(text, ' ');
		buf_add(text, given[i].keyword);
		if (given[i].value.p != NULL) {
			buf_addc(text, '=');
			buf_add(text, trusted_value(s, &given[i]));
		}
	}
	if (path->utf8 && !s->utf8) {
		session_say(s, SLICE("553 5.6.7 A UTF-8 address needs SMTPUTF8\r\n"));
		return false;
	}
	return true;
}

/* ---- MAIL --------------------------------------------------------------------------------- */

static void mail_accept(struct session *s)
{
	s->state = SESSION_MAIL;
	session_say(s, SLICE("250 2.1.0 Ok\r\n"));
}

static void on_mail(const struct chain_answer *a, void *arg)
{
	struct session *s = arg;

	if (s->dead)
		return;
	if (filters_refused(s, a)) {
		transaction_log_refusal(s, "mail", NULL, s->filter, &a->reply);
		transaction_reset(s, true);
	} else {
		s->discard = a->verdict == CHAIN_DISCARD;
		mail_accept(s);
	}
	session_done(s);
}

static bool mail_begin(struct session *s, struct slice address, struct slice text)
{
	struct buf id = BUF_ON(s->mail.id);

	buf_add(&id, slice_z(s->id));
	buf_addc(&id, '.');
	buf_addu(&id, ++s->transactions, 1);
	s->filter[0] = '\0';
	s->begun_ms = clock_ms();
	return mail_set_reverse_path(&s->mail, address, text);
}

static bool too_old(const struct session *s)
{
	int64_t most = s->settings->timeouts.session_s;

	return most > 0 && clock_ms() - s->started_ms > most * 1000;
}

static bool may_begin(struct session *s)
{
	if (s->state != SESSION_READY)
		session_say(s, SLICE("503 5.5.1 A transaction is under way\r\n"));
	else if (auth_needed(s))
		session_say(s, SLICE("530 5.7.0 Log in first\r\n"));
	else if (s->refusal != NULL)
		(void)filters_refused(s, s->refusal);
	else if (s->transactions >= (unsigned)s->settings->limits.transactions)
		session_bye(s, SLICE("421 4.7.0 Too many transactions in one session\r\n"));
	else if (too_old(s))
		session_bye(s, SLICE("421 4.3.2 This session is too old, make a new one\r\n"));
	else if (!aborts_refuse(s))
		return true;
	return false;
}

void command_mail(struct session *s, struct slice argument)
{
	char store[2048];
	struct buf text = BUF_ON(store);
	struct smtp_path path;

	store[0] = '\0';
	if (!may_begin(s)) /* a transaction that is under way stays as it is (W71) */
		return;
	s->utf8 = false;
	if (!parse(s, argument, SLICE("FROM:"), SMTP_REVERSE_PATH, &path, &text))
		return;
	if (text.cut || !mail_begin(s, path.address, buf_slice(&text))) {
		mail_free(&s->mail);
		session_say(s, SLICE("451 4.3.0 Out of memory, try again later\r\n"));
		return;
	}
	if (!session_filtered(s)) {
		mail_accept(s);
		return;
	}
	filters_transaction(s, path.domain);
	s->busy = true;
	chain_mail(s->chain, path.address, buf_slice(&text), on_mail, s);
}

/* ---- RCPT --------------------------------------------------------------------------------- */

static const char *last_recipient(const struct session *s)
{
	return s->mail.recipients[s->mail.recipient_count - 1].address;
}

static void on_relayed(const struct relay_answer *a, void *arg)
{
	struct session *s = arg;

	if (s->dead)
		return;
	if (smtp_reply_class(&a->reply) == 2) {
		s->state = SESSION_RCPT;
	} else {
		transaction_log_refusal(s, "rcpt", last_recipient(s),
		    a->server[0] != '\0' ? a->server : "backend", &a->reply);
		mail_drop_recipient(&s->mail);
	}
	session_reply(s, &a->reply);
	session_done(s);
}

/* The filters have nothing against the recipient: the backend decides (order note of the failure
 * map). */
static void rcpt_relay(struct session *s)
{
	if (s->discard) {
		s->state = SESSION_RCPT;
		session_say(s, SLICE("250 2.1.5 Ok\r\n"));
		session_done(s);
		return;
	}
	if (identity_relay(s) == NULL) {
		mail_drop_recipient(&s->mail);
		session_say(s, SLICE("451 4.3.0 Out of memory, try again later\r\n"));
		session_done(s);
		return;
	}
	s->busy = true;
	relay_rcpt(s->relay, &s->mail, on_relayed, s);
}

static void on_rcpt(const struct chain_answer *a, void *arg)
{
	struct session *s = arg;

	if (s->dead)
		return;
	if (filters_refused(s, a)) {
		transaction_log_refusal(s, "rcpt", last_recipient(s), s->filter, &a->reply);
		mail_drop_recipient(&s->mail);
		session_done(s);
		return;
	}
	s->discard |= a->verdict == CHAIN_DISCARD;
	rcpt_relay(s);
}

/* W45: so many may be too many; then each one more is an error. */
static void beyond_limit(struct session *s)
{
	session_say(s, SLICE("452 4.5.3 Too many recipients\r\n"));
	if (++s->beyond > (unsigned)s->settings->limits.recipients_overshoot)
		s->errors++;
}

void command_rcpt(struct session *s, struct slice argument)
{
	char store[2048];
	struct buf text = BUF_ON(store);
	struct smtp_path path;

	store[0] = '\0';
	if (s->state != SESSION_MAIL && s->state != SESSION_RCPT) {
		session_say(s, SLICE("503 5.5.1 MAIL must come first\r\n"));
		return;
	}
	if (!parse(s, argument, SLICE("TO:"), SMTP_FORWARD_PATH, &path, &text))
		return;
	if (s->mail.recipient_count >= (size_t)s->settings->limits.recipients) {
		beyond_limit(s);
		return;
	}
	if (text.cut || !mail_add_recipient(&s->mail, path.address, buf_slice(&text))) {
		session_say(s, SLICE("451 4.3.0 Out of memory, try again later\r\n"));
		return;
	}
	if (!session_filtered(s)) {
		rcpt_relay(s);
		return;
	}
	filters_recipient(s, path.domain);
	s->busy = true;
	chain_rcpt(s->chain, path.address, buf_slice(&text), on_rcpt, s);
}
