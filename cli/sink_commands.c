#include "config.h"

#include "sink_session.h"

#include "weir/smtp_syntax.h"

#define WRITE_BYTES (256u << 10) /* content held before it goes to the file */

#define IN(state)   (1u << (state))
#define ANY         (IN(SINK_ST_COUNT) - 1)
#define TRANSACTION (IN(SINK_ST_IN_MAIL) | IN(SINK_ST_IN_RCPT))
#define GREETED     (IN(SINK_ST_READY) | TRANSACTION)

void sink_reset(struct sink_session *s)
{
	maildir_abort(&s->sink->maildir, &s->message);
	bytes_clear(&s->head);
	bytes_clear(&s->content);
	s->recipients = 0;
	s->smtputf8 = s->chunk.failed = false;
	s->stored_bytes = 0;
	s->too_big = false;
	s->store_error.text[0] = '\0';
	if (s->state > SINK_ST_READY)
		s->state = SINK_ST_READY;
}

void sink_greet(struct sink_session *s)
{
	const struct sink_fault *fault = sink_fault_take(s->sink, SINK_CONNECT);

	s->state = SINK_ST_START;
	if (s->sink->session_count > SINK_SESSIONS) {
		sink_reply(s, 421, "", "%s Too many sessions", s->sink->hostname);
		return;
	}
	if (fault == NULL)
		sink_reply(s, 220, "", "%s ESMTP weir sink", s->sink->hostname);
	else if (fault->action == SINK_REPLY)
		s->state = SINK_ST_REFUSED;
	if (fault != NULL)
		sink_misbehave(s, fault);
}

static const char *const extensions[] = { "SIZE", "PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES",
	"SMTPUTF8", "DSN", "CHUNKING" };

static bool listed(struct slice list, struct slice keyword)
{
	while (list.n > 0)
		if (slice_ieq(slice_cut(&list, ','), keyword))
			return true;
	return false;
}

bool sink_offers(const struct sink *sink, struct slice keyword)
{
	return !listed(slice_z(sink->without), keyword);
}

int sink_without_parse(struct sink *sink, const char *text, struct err *e)
{
	struct slice list = slice_z(text);

	while (list.n > 0) {
		struct slice one = slice_cut(&list, ',');
		size_t i = 0;

		while (i < COUNT(extensions) && !slice_ieq(one, slice_z(extensions[i])))
			i++;
		if (i == COUNT(extensions))
			return err_set(e, "\"%.*s\" is no extension of the sink", SLICE_ARG(one));
	}
	sink->without = text;
	return 0;
}

static void cmd_ehlo(struct sink_session *s, struct slice arg)
{
	char text[512];
	struct buf b = BUF_ON(text);

	if (!smtp_helo_valid(arg)) {
		sink_reply(s, 501, "", "EHLO takes a domain or an address literal");
		return;
	}
	s->state = s->state < SINK_ST_READY ? SINK_ST_READY : s->state;
	sink_reset(s);
	text[0] = '\0';
	buf_add(&b, slice_z(s->sink->hostname));
	for (size_t i = 0; i < COUNT(extensions); i++) {
		if (!sink_offers(s->sink, slice_z(extensions[i])))
			continue;
		buf_addf(&b, "\n%s", extensions[i]);
		if (i == 0) /* SIZE */
			buf_addf(&b, " %u", SINK_MESSAGE_MAX);
	}
	sink_reply(s, 250, "", "%s", text);
}

static void cmd_helo(struct sink_session *s, struct slice arg)
{
	if (!smtp_helo_valid(arg)) {
		sink_reply(s, 501, "", "HELO takes a domain");
		return;
	}
	s->state = s->state < SINK_ST_READY ? SINK_ST_READY : s->state;
	sink_reset(s);
	sink_reply(s, 250, "", "%s", s->sink->hostname);
}

/* One parameter of MAIL or RCPT: its value, and a reply where it is refused. */
static bool is_size(struct sink_session *s, struct slice value)
{
	uint64_t size;

	if (value.n > 20 || slice_number(value, UINT64_MAX, &size) < 0)
		sink_reply(s, 501, "5.5.4", "SIZE takes a number");
	else if (size > SINK_MESSAGE_MAX)
		sink_reply(s, 552, "5.3.4", "Message too big");
	else
		return true;
	return false;
}

static bool is_body(struct sink_session *s, struct slice value)
{
	if (slice_ieq(value, SLICE("7BIT")) || slice_ieq(value, SLICE("8BITMIME")))
		return true;
	sink_reply(s, 501, "5.5.4", "BODY is 7BIT or 8BITMIME");
	return false;
}

static bool is_smtputf8(struct sink_session *s, struct slice value)
{
	s->smtputf8 = value.p == NULL;
	if (!s->smtputf8)
		sink_reply(s, 501, "5.5.4", "SMTPUTF8 takes no value");
	return s->smtputf8;
}

static bool is_given(struct sink_session *s, struct slice value)
{
	if (value.p != NULL)
		return true;
	sink_reply(s, 501, "5.5.4", "The parameter wants a value");
	return false;
}

static const struct {
	const char *keyword, *extension;
	enum smtp_path_kind kind;
	bool (*accept)(struct sink_session *s, struct slice value);
} known_parameters[] = {
	{ "SIZE", "SIZE", SMTP_REVERSE_PATH, is_size },
	{ "BODY", "8BITMIME", SMTP_REVERSE_PATH, is_body },
	{ "SMTPUTF8", "SMTPUTF8", SMTP_REVERSE_PATH, is_smtputf8 },
	{ "RET", "DSN", SMTP_REVERSE_PATH, is_given },
	{ "ENVID", "DSN", SMTP_REVERSE_PATH, is_given },
	{ "NOTIFY", "DSN", SMTP_FORWARD_PATH, is_given },
	{ "ORCPT", "DSN", SMTP_FORWARD_PATH, is_given },
};

static bool parameter_accept(
    struct sink_session *s, const struct smtp_parameter *p, enum smtp_path_kind kind)
{
	for (size_t i = 0; i < COUNT(known_parameters); i++)
		if (known_parameters[i].kind == kind &&
		    sink_offers(s->sink, slice_z(known_parameters[i].extension)) &&
		    slice_ieq(p->keyword, slice_z(known_parameters[i].keyword)))
			return known_parameters[i].accept(s, p->value);
	sink_reply(s, 555, "5.5.4", "Unknown parameter %.*s", SLICE_ARG(p->keyword));
	return false;
}

/* "FROM:<path> parameters" or "TO:..." read whole; false when it was refused, with a reply. */
static bool envelope_parse(struct sink_session *s, struct slice arg, struct slice word,
    enum smtp_path_kind kind, struct smtp_path *path)
{
	struct smtp_parameter v[SMTP_PARAMETERS_MAX];
	struct slice rest;
	struct err e;
	size_t n;

	if (!slice_istarts(arg, word)) {
		sink_reply(s, 501, "5.5.4", "Expected %.*s<address>", SLICE_ARG(word));
		return false;
	}
	if (smtp_path_parse(slice_sub(arg, word.n, arg.n), kind, path, &rest, &e) < 0) {
		sink_reply(s, 501, kind == SMTP_REVERSE_PATH ? "5.1.7" : "5.1.3", "%s", e.text);
		return false;
	}
	if (smtp_parameters_parse(rest, v, &n, &e) < 0) {
		sink_reply(s, 501, "5.5.4", "%s", e.text);
		return false;
	}
	for (size_t i = 0; i < n; i++)
		if (!parameter_accept(s, &v[i], kind))
			return false;
	if (path->utf8 && !s->smtputf8) {
		sink_reply(s, 553, "5.6.7", "The address needs SMTPUTF8"); /* W43 */
		return false;
	}
	return true;
}

static void cmd_mail(struct sink_session *s, struct slice arg)
{
	struct smtp_path path;

	if (!envelope_parse(s, arg, SLICE("FROM:"), SMTP_REVERSE_PATH, &path)) {
		s->smtputf8 = false;
		return;
	}
	if (!bytes_addf(&s->head, "Return-Path: <%.*s>\r\n", SLICE_ARG(path.address))) {
		sink_reset(s);
		sink_reply(s, 451, "4.3.0", "Out of memory");
		return;
	}
	s->state = SINK_ST_IN_MAIL;
	sink_reply(s, 250, "2.1.0", "Ok");
}

static bool recipient_refused(const struct sink *sink, struct slice address)
{
	for (size_t i = 0; i < sink->refused_count; i++)
		if (slice_ieq(address, slice_z(sink->refused[i])))
			return true;
	return false;
}

static void cmd_rcpt(struct sink_session *s, struct slice arg)
{
	struct smtp_path path;

	if (!envelope_parse(s, arg, SLICE("TO:"), SMTP_FORWARD_PATH, &path))
		return;
	if (s->recipients >= SINK_RECIPIENTS) {
		sink_reply(s, 452, "4.5.3", "Too many recipients"); /* W45 */
		return;
	}
	if (recipient_refused(s->sink, path.address)) {
		sink_reply(
		    s, 550, "5.1.1", "<%.*s>: no such mailbox here", SLICE_ARG(path.address));
		return;
	}
	if (!bytes_addf(&s->head, "Delivered-To: %.*s\r\n", SLICE_ARG(path.address))) {
		sink_reply(s, 452, "4.3.0", "Out of memory");
		return;
	}
	s->recipients++;
	s->state = SINK_ST_IN_RCPT;
	sink_reply(s, 250, "2.1.5", "Ok");
}

static void cmd_data(struct sink_session *s, struct slice arg)
{
	(void)arg;
	if (s->state != SINK_ST_IN_RCPT) {
		sink_reply(s, 554, "5.5.1", "No valid recipients"); /* W35 */
		return;
	}
	s->state = SINK_ST_IN_DATA;
	smtp_data_decode_start(&s->decoder);
	if (!bytes_add(&s->content, bytes_slice(&s->head)))
		err_set(&s->store_error, "out of memory");
	sink_reply(s, 354, "", "End data with <CR><LF>.<CR><LF>");
}

static void cmd_rset(struct sink_session *s, struct slice arg)
{
	(void)arg;
	sink_reset(s);
	sink_reply(s, 250, "2.0.0", "Ok");
}

static void cmd_noop(struct sink_session *s, struct slice arg)
{
	(void)arg;
	sink_reply(s, 250, "2.0.0", "Ok");
}

static void cmd_vrfy(struct sink_session *s, struct slice arg)
{
	(void)arg;
	sink_reply(s, 252, "2.1.5", "Send some mail, I'll try my best");
}

static void cmd_help(struct sink_session *s, struct slice arg)
{
	(void)arg;
	sink_reply(s, 214, "2.0.0", "weir(1) says what weir sink does");
}

static void cmd_quit(struct sink_session *s, struct slice arg)
{
	(void)arg;
	s->closing = true;
	sink_reply(s, 221, "2.0.0", "Bye");
}

enum { NO_ARGUMENT = 1 };
static const struct command {
	const char *verb;
	unsigned states, flags;
	enum sink_phase phase; /* whose faults come before it; SINK_PHASES: none */
	void (*run)(struct sink_session *s, struct slice arg);
} commands[] = {
	{ "EHLO", ANY & ~IN(SINK_ST_REFUSED), 0, SINK_EHLO, cmd_ehlo },
	{ "HELO", ANY & ~IN(SINK_ST_REFUSED), 0, SINK_EHLO, cmd_helo },
	{ "MAIL", IN(SINK_ST_READY), 0, SINK_MAIL, cmd_mail },
	{ "RCPT", TRANSACTION, 0, SINK_RCPT, cmd_rcpt },
	{ "DATA", TRANSACTION, NO_ARGUMENT, SINK_DATA, cmd_data },
	{ "BDAT", ANY, 0, SINK_PHASES, sink_bdat },
	{ "RSET", GREETED | IN(SINK_ST_IN_BDAT) | IN(SINK_ST_START), NO_ARGUMENT, SINK_PHASES,
	    cmd_rset },
	{ "NOOP", ANY & ~IN(SINK_ST_REFUSED), 0, SINK_PHASES, cmd_noop },
	{ "VRFY", GREETED, 0, SINK_PHASES, cmd_vrfy },
	{ "HELP", ANY & ~IN(SINK_ST_REFUSED), 0, SINK_PHASES, cmd_help },
	{ "QUIT", ANY, NO_ARGUMENT, SINK_QUIT, cmd_quit },
};

static const struct command *command_find(struct slice verb)
{
	for (size_t i = 0; i < COUNT(commands); i++)
		if (slice_ieq(verb, slice_z(commands[i].verb)))
			return &commands[i];
	return NULL;
}

void sink_command(struct sink_session *s, struct slice line)
{
	const struct command *c = command_find(slice_cut(&line, ' '));

	if (c == NULL)
		sink_reply(s, 500, "5.5.2", "Command unrecognized");
	else if (!(c->states & IN(s->state)))
		sink_reply(s, 503, "5.5.1", "Bad sequence of commands");
	else if ((c->flags & NO_ARGUMENT) && slice_trim(line).n > 0)
		sink_reply(s, 501, "5.5.4", "%s takes no argument", c->verb);
	else if (c->phase == SINK_PHASES || !sink_fault(s, c->phase))
		c->run(s, slice_trim(line));
}

/* Write what was decoded; a message that is lost already, or too big, is only counted. */
static void content_write(struct sink_session *s)
{
	struct maildir *m = &s->sink->maildir;

	s->stored_bytes += s->content.n;
	if (s->stored_bytes > SINK_MESSAGE_MAX)
		s->too_big = true;
	if (!s->too_big && s->store_error.text[0] == '\0' &&
	    ((s->message.fd < 0 && maildir_begin(m, &s->message, &s->store_error) < 0) ||
		maildir_add(m, &s->message, bytes_slice(&s->content), &s->store_error) < 0))
		maildir_abort(m, &s->message);
	bytes_clear(&s->content);
}

/* The message is whole: store it or say why not. True when it lies in the Maildir. */
static bool message_store(struct sink_session *s)
{
	content_write(s);
	if (s->too_big) {
		sink_reply(s, 552, "5.3.4", "Message too big");
		return false;
	}
	/* Stored as received or not at all: what would have to be changed is refused. */
	if (s->decoder.bare_cr || s->decoder.bare_lf) {
		sink_reply(s, 550, "5.6.0", "Bare CR or LF in the message");
		return false;
	}
	if (s->store_error.text[0] == '\0' &&
	    maildir_commit(&s->sink->maildir, &s->message, &s->store_error) == 0)
		return true;
	sink_reply(s, 451, "4.3.0", "Not stored: %s", s->store_error.text);
	return false;
}

void sink_content_end(struct sink_session *s)
{
	const struct sink_fault *fault = sink_fault_take(s->sink, SINK_DOT);
	bool store = fault == NULL || fault->action == SINK_STORE_THEN_CLOSE ||
	    fault->action == SINK_STORE_THEN_STALL;
	size_t held = s->out.n;

	if (store && message_store(s) && fault == NULL)
		sink_reply(s, 250, "2.0.0", "Stored as %s", s->message.name);
	if (fault != NULL) {
		s->out.n = held; /* not even that it could not be stored is said */
		sink_misbehave(s, fault);
	}
	sink_reset(s);
}

void sink_content_flush(struct sink_session *s)
{
	if (s->content.n >= WRITE_BYTES)
		content_write(s);
}

void sink_mail_data(struct sink_session *s, struct slice in, size_t *used)
{
	int rc;

	if (sink_fault(s, SINK_BODY))
		return;
	rc = smtp_data_decode(&s->decoder, in, used, &s->content);
	if (rc < 0) {
		sink_reply(s, 421, "4.3.0", "Out of memory");
		return;
	}
	sink_content_flush(s);
	if (rc == 1)
		sink_content_end(s);
}
