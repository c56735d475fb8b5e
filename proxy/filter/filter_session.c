#include "config.h"

#include "proxy/filter/filter_session.h"

#include <stdlib.h>

#include "proxy/filter/connection.h"
#include "proxy/filter/content.h"
#include "weir/log.h"

enum {
	PACKETS_AT_ONCE = 64, /* of content, before others of the loop have their turn */
};

/* How far the filter's own state machine is; UNKNOWN depends on it. */
enum position { AT_START, AT_SESSION, AT_MAIL, AT_RCPT, AT_CONTENT };

struct filter_session {
	struct filter *filter;
	const struct filter_facts *facts;
	const struct filter_session_calls *calls;
	void *arg;

	struct filter_connection *connection;
	bool open;                    /* negotiated */
	bool connect_told, helo_told; /* on this connection */
	bool excused;                 /* ACCEPT at CONNECT or HELO: not asked any more */
	bool refused;                 /* a refusal at CONNECT or HELO stands in `said` for good */

	enum position position;
	int awaited; /* command whose reply is owed; 0 none */
	int64_t awaited_since_ms;
	bool swallow; /* that reply is of an aborted transaction */

	bool in_transaction; /* MAIL was passed, no verdict and no failure yet */
	bool failed;         /* in this transaction */
	bool no_more_rcpt;
	const struct chain_answer *verdict; /* on the message, once it is there */
	struct content content;
	struct edits *edits;

	enum filter_event goal; /* the question */
	bool goal_told;         /* its own event is what is awaited */
	bool untold;            /* MAIL: the connection was found broken before it was told */
	bool again;             /* MAIL: that was seen to once */
	bool asking;            /* inside filter_session_ask */
	const struct chain_answer *answer;
	struct chain_answer said; /* what answer and verdict point to where they refuse */
};

/* ---- answers --------------------------------------------------------------------------------- */

static const struct chain_answer go_on = { .verdict = CHAIN_CONTINUE };

static void resolve(struct filter_session *fs, const struct chain_answer *answer)
{
	if (fs->goal == FILTER_NOTHING)
		return;
	fs->goal = FILTER_NOTHING;
	fs->answer = answer;
	if (!fs->asking)
		fs->calls->answered(fs, fs->arg);
}

static const struct chain_answer *say(struct filter_session *fs, enum chain_verdict verdict,
    int code, const char *enhanced, const char *text)
{
	fs->said = (struct chain_answer){ .verdict = verdict,
		.filter = fs->filter->settings->name };
	if (code != 0)
		smtp_reply_set(&fs->said.reply, code, enhanced, "%s", text);
	return &fs->said;
}

static const struct chain_answer *say_reject(struct filter_session *fs)
{
	return say(fs, CHAIN_REJECT, 550, "5.7.1", "Command rejected");
}

static const struct chain_answer *say_tempfail(struct filter_session *fs)
{
	return say(fs, CHAIN_TEMPFAIL, 451, "4.7.1", "Service unavailable - try again later");
}

/* What a reply that refuses means for the client. */
static const struct chain_answer *refusal_of(
    struct filter_session *fs, const struct milter_reply *r)
{
	switch (r->code) {
	case MILTER_REJECT:
		return say_reject(fs);
	case MILTER_SHUTDOWN:
		return say(fs, CHAIN_CLOSE, 421, "4.7.0", "Service unavailable - try again later");
	case MILTER_DISCARD:
		return say(fs, CHAIN_DISCARD, 0, "", "");
	case MILTER_REPLYCODE:
		(void)say(fs, CHAIN_TEMPFAIL, 0, "", "");
		if (r->smtp.code == 421)
			fs->said.verdict = CHAIN_CLOSE;
		else if (smtp_reply_class(&r->smtp) == 5)
			fs->said.verdict = CHAIN_REJECT;
		fs->said.reply = r->smtp;
		return &fs->said;
	default:
		return say_tempfail(fs);
	}
}

static const struct chain_answer *failure_of(struct filter_session *fs)
{
	switch (fs->filter->settings->on_failure) {
	case ON_FAILURE_TEMPFAIL:
		return say_tempfail(fs);
	case ON_FAILURE_REJECT:
		return say_reject(fs);
	default:
		return &go_on;
	}
}

/* ---- the connection's end ------------------------------------------------------------------- */

static void transaction_reset(struct filter_session *fs)
{
	fs->in_transaction = fs->failed = fs->no_more_rcpt = false;
	fs->verdict = NULL;
	content_free(&fs->content);
	edits_free(&fs->edits);
}

static void disconnect(struct filter_session *fs, bool quit)
{
	filter_connection_free(&fs->connection, quit);
	fs->open = fs->connect_told = fs->helo_told = fs->swallow = false;
	fs->position = AT_START;
	fs->awaited = 0;
}

static void failure_log(const struct filter_session *fs, const char *why)
{
	struct slice id = macros_get(&fs->facts->macros, SLICE("i"));
	struct log_line l;

	log_begin(&l, LOG_LEVEL_WARN, "filter-failed");
	log_str(&l, "id", id.p != NULL ? id : SLICE("-"));
	log_z(&l, "filter", fs->filter->settings->name);
	log_z(&l, "stage",
	    fs->awaited != 0 ? milter_command_name((enum milter_command)fs->awaited) : NULL);
	log_z(&l, "error", why);
	log_end(&l);
}

/* What broke between two transactions is no failure of the second. */
static bool reconnect(struct filter_session *fs)
{
	if (!fs->untold || fs->again)
		return false;
	fs->again = true;
	fs->untold = fs->in_transaction = false;
	filter_session_open(fs);
	return fs->connection != NULL;
}

/* The filter broke off, hung or broke the protocol. Outside a transaction nothing is refused for
 * it: MAIL tries again. */
static void fail(struct filter_session *fs, const char *why)
{
	enum filter_event goal = fs->goal;

	failure_log(fs, why);
	disconnect(fs, false);
	if (reconnect(fs))
		return;
	fs->failed = fs->in_transaction || goal == FILTER_MAIL;
	fs->in_transaction = false;
	content_free(&fs->content);
	edits_free(&fs->edits);
	fs->calls->sent(fs, fs->arg);
	if (fs->failed && goal != FILTER_UNKNOWN)
		resolve(fs, failure_of(fs));
	else
		resolve(fs, &go_on);
}

static void breach(struct filter_session *fs, const char *what, const struct milter_reply *r)
{
	struct err e;

	err_set(&e, "%s: %s", what, milter_reply_name(r->code));
	fail(fs, e.text);
}

/* ---- sending events ---------------------------------------------------------------------------
 */

static const struct event_form {
	enum filter_event event;
	enum milter_command command;
	enum milter_stage stage;
	uint32_t unwanted, unanswered; /* bits of the negotiation */
	enum position position;        /* where the filter is afterwards */
} event_forms[] = {
	{ FILTER_CONNECT, MILTER_CONNECT, MILTER_STAGE_CONNECT, MILTER_NO_CONNECT,
	    MILTER_NR_CONNECT, AT_SESSION },
	{ FILTER_HELO, MILTER_HELO, MILTER_STAGE_HELO, MILTER_NO_HELO, MILTER_NR_HELO, AT_SESSION },
	{ FILTER_MAIL, MILTER_MAIL, MILTER_STAGE_MAIL, MILTER_NO_MAIL, MILTER_NR_MAIL, AT_MAIL },
	{ FILTER_RCPT, MILTER_RCPT, MILTER_STAGE_RCPT, MILTER_NO_RCPT, MILTER_NR_RCPT, AT_RCPT },
	{ FILTER_DATA, MILTER_DATA, MILTER_STAGE_DATA, MILTER_NO_DATA, MILTER_NR_DATA, AT_CONTENT },
	{ FILTER_UNKNOWN, MILTER_UNKNOWN, MILTER_STAGES, MILTER_NO_UNKNOWN, MILTER_NR_UNKNOWN,
	    AT_START },
};

static const struct event_form *form_of(enum filter_event event)
{
	for (size_t i = 0; i < COUNT(event_forms); i++)
		if (event_forms[i].event == event)
			return &event_forms[i];
	return NULL;
}

static void put_macros(struct filter_session *fs, enum milter_stage stage)
{
	if (stage < MILTER_STAGES)
		(void)macros_put(&fs->facts->macros, stage,
		    filter_connection_macros(fs->connection, stage),
		    filter_connection_out(fs->connection));
}

static void put_event(struct filter_session *fs, enum milter_command command)
{
	struct bytes *out = filter_connection_out(fs->connection);
	const struct filter_facts *f = fs->facts;

	switch (command) {
	case MILTER_CONNECT:
		(void)milter_put_connect(out, slice_z(f->host), &f->client);
		break;
	case MILTER_HELO:
		(void)milter_put_text(out, command, slice_z(f->helo));
		break;
	case MILTER_UNKNOWN:
		(void)milter_put_text(out, command, f->address);
		break;
	case MILTER_MAIL:
	case MILTER_RCPT:
		(void)milter_put_path(out, command, f->address, f->parameters);
		break;
	default:
		(void)milter_put(out, command);
	}
}

static void await(struct filter_session *fs, enum milter_command command)
{
	const struct filter_settings *s = fs->filter->settings;
	bool content = command == MILTER_HEADER || command == MILTER_EOH ||
	    command == MILTER_BODY || command == MILTER_END;

	fs->awaited = (int)command;
	fs->awaited_since_ms = filter_now_ms();
	filter_connection_ask(fs->connection, content ? s->content_timeout_s : s->command_timeout_s,
	    s->total_timeout_s);
}

/* libmilter takes UNKNOWN after RCPT for the end of the envelope unless DATA is to come, and is
 * mute for the rest of the message then. Where it could do harm it is kept back. */
static bool unknown_is_safe(const struct filter_session *fs)
{
	uint32_t protocol = filter_connection_options(fs->connection)->protocol;

	return fs->position == AT_SESSION || fs->position == AT_MAIL ||
	    (fs->position == AT_RCPT && (protocol & MILTER_NO_DATA) == 0);
}

static bool event_wanted(const struct filter_session *fs, const struct event_form *form)
{
	uint32_t protocol = filter_connection_options(fs->connection)->protocol;

	if ((protocol & form->unwanted) != 0)
		return false;
	if (form->event == FILTER_UNKNOWN)
		return unknown_is_safe(fs);
	return form->event != FILTER_RCPT || !fs->no_more_rcpt;
}

/* Send macros and event, as far as they are wanted. Is a reply owed? */
static bool tell(struct filter_session *fs, enum filter_event event)
{
	const struct event_form *form = form_of(event);
	bool wanted = event_wanted(fs, form);

	put_macros(fs, form->stage);
	if (form->position != AT_START)
		fs->position = form->position;
	if (wanted) {
		put_event(fs, form->command);
		if ((filter_connection_options(fs->connection)->protocol & form->unanswered) == 0) {
			await(fs, form->command);
			return true;
		}
	}
	filter_connection_send(fs->connection);
	return false;
}

/* ---- content -----------------------------------------------------------------------------------
 */

static bool answered_content(uint32_t protocol, int command)
{
	return (command == MILTER_HEADER && (protocol & MILTER_NR_HEADER) == 0) ||
	    (command == MILTER_EOH && (protocol & (MILTER_NR_EOH | MILTER_NO_EOH)) == 0) ||
	    (command == MILTER_BODY && (protocol & MILTER_NR_BODY) == 0);
}

static int put_content(struct filter_session *fs, int what, struct err *e)
{
	const struct milter_options *o = filter_connection_options(fs->connection);

	fs->position = AT_CONTENT;
	if (what == MILTER_EOH) {
		put_macros(fs, MILTER_STAGE_EOH);
		if ((o->protocol & MILTER_NO_EOH) == 0)
			(void)milter_put(filter_connection_out(fs->connection), MILTER_EOH);
	}
	return content_put(&fs->content, what, o, filter_connection_out(fs->connection), e);
}

static void tell_end(struct filter_session *fs)
{
	put_macros(fs, MILTER_STAGE_END);
	(void)milter_put(filter_connection_out(fs->connection), MILTER_END);
	fs->goal_told = true;
	await(fs, MILTER_END);
}

/* Send what may be sent: up to the next packet that is answered, or as much as the socket takes. */
static void pump(struct filter_session *fs)
{
	const struct milter_options *o = filter_connection_options(fs->connection);
	struct err e;
	int what = 0;

	for (int n = 0; !filter_connection_full(fs->connection); n++) {
		if ((what = content_next(&fs->content, o)) == 0)
			break;
		if (n == PACKETS_AT_ONCE) {
			filter_connection_pause(fs->connection);
			break;
		}
		if (what == MILTER_END) {
			if (fs->goal == FILTER_END)
				tell_end(fs);
			break;
		}
		if (put_content(fs, what, &e) < 0) {
			fail(fs, e.text);
			return;
		}
		if (answered_content(o->protocol, what)) {
			await(fs, (enum milter_command)what);
			break;
		}
		if (what == MILTER_BODY)
			filter_connection_send(fs->connection);
	}
	if (fs->awaited == 0)
		filter_connection_send(fs->connection);
	fs->calls->sent(fs, fs->arg);
}

static bool may_pump(const struct filter_session *fs)
{
	return fs->in_transaction && fs->open && fs->awaited == 0 && fs->content.mail != NULL;
}

/* ---- towards the question's own event ----------------------------------------------------------
 */

/* CONNECT and HELO go before whatever is asked, where this connection was not told them yet. Is a
 * reply owed? */
static bool tell_session(struct filter_session *fs)
{
	if (!fs->connect_told && fs->facts->host != NULL) {
		fs->connect_told = true;
		fs->goal_told = fs->goal == FILTER_CONNECT;
		if (tell(fs, FILTER_CONNECT))
			return true;
	}
	if (!fs->helo_told && fs->facts->helo != NULL && fs->goal != FILTER_CONNECT) {
		fs->helo_told = true;
		fs->goal_told = fs->goal == FILTER_HELO;
		if (tell(fs, FILTER_HELO))
			return true;
	}
	return false;
}

static void advance(struct filter_session *fs)
{
	if (fs->goal == FILTER_NOTHING || !fs->open || fs->awaited != 0)
		return;
	if (fs->goal == FILTER_END) {
		pump(fs);
		return;
	}
	if (tell_session(fs))
		return;
	if (fs->goal == FILTER_MAIL && !fs->goal_told && !filter_connection_sound(fs->connection)) {
		fs->untold = true;
		return;
	}
	if (fs->goal == FILTER_MAIL)
		fs->in_transaction = true;
	if (fs->goal != FILTER_CONNECT && fs->goal != FILTER_HELO && !fs->goal_told) {
		fs->goal_told = true;
		if (tell(fs, fs->goal))
			return;
	}
	resolve(fs, &go_on);
}

/* ---- replies ------------------------------------------------------------------------------------
 */

/* A verdict on the message ends the filter's part in it; it is back where HELO left it. */
static void judge(struct filter_session *fs, const struct chain_answer *a)
{
	fs->in_transaction = false;
	fs->verdict = a;
	fs->position = AT_SESSION;
	content_free(&fs->content);
	fs->calls->sent(fs, fs->arg);
	resolve(fs, a);
}

static bool refuses(enum milter_reply_code code)
{
	return code == MILTER_REJECT || code == MILTER_TEMPFAIL || code == MILTER_REPLYCODE ||
	    code == MILTER_SHUTDOWN;
}

static void reply_session(struct filter_session *fs, const struct milter_reply *r)
{
	if (r->code == MILTER_ACCEPT) {
		fs->excused = true;
		disconnect(fs, true);
		resolve(fs, &go_on);
	} else if (refuses(r->code)) {
		fs->refused = true;
		disconnect(fs, true);
		resolve(fs, refusal_of(fs, r));
	} else {
		/* DISCARD is illegal here, SKIP has no meaning: both go on. */
		advance(fs);
	}
}

/* One recipient, or one unknown command: the transaction goes on. */
static void reply_single(struct filter_session *fs, const struct milter_reply *r, bool rcpt)
{
	bool refusal = refuses(r->code) || (r->code == MILTER_DISCARD && rcpt);

	if (r->code == MILTER_ACCEPT && fs->in_transaction) {
		judge(fs, &go_on);
		return;
	}
	if (r->code == MILTER_SKIP && rcpt)
		fs->no_more_rcpt = true;
	resolve(fs, refusal ? refusal_of(fs, r) : &go_on);
}

static void reply_message(struct filter_session *fs, const struct milter_reply *r, int command)
{
	if (refuses(r->code) || r->code == MILTER_DISCARD) {
		edits_free(&fs->edits);
		judge(fs, refusal_of(fs, r));
	} else if (r->code == MILTER_ACCEPT || command == MILTER_END) {
		judge(fs, &go_on);
	} else if (command == MILTER_MAIL || command == MILTER_DATA) {
		resolve(fs, &go_on);
	} else {
		if (r->code == MILTER_SKIP)
			content_skip(&fs->content, (enum milter_command)command);
		pump(fs);
	}
}

static void verdict_log(const struct filter_session *fs, const struct milter_reply *r)
{
	struct slice id = macros_get(&fs->facts->macros, SLICE("i"));
	struct log_line l;

	if (!log_wanted(LOG_LEVEL_DEBUG))
		return;
	log_begin(&l, LOG_LEVEL_DEBUG, "filter");
	log_str(&l, "id", id.p != NULL ? id : SLICE("-"));
	log_z(&l, "filter", fs->filter->settings->name);
	log_z(&l, "stage", milter_command_name((enum milter_command)fs->awaited));
	log_z(&l, "reply", milter_reply_name(r->code));
	log_int(&l, "ms", filter_now_ms() - fs->awaited_since_ms);
	log_end(&l);
}

static void on_edit(struct filter_session *fs, const struct milter_reply *r)
{
	const struct milter_options *o = filter_connection_options(fs->connection);
	struct err e;

	if (fs->awaited != MILTER_END) {
		breach(fs, "an edit before the end of the message", r);
		return;
	}
	if ((o->actions & milter_reply_action(r->code)) == 0) {
		breach(fs, "an edit that was not negotiated", r);
		return;
	}
	if (fs->edits == NULL &&
	    (fs->edits = edits_new(
		 fs->filter->all->settings, (o->protocol & MILTER_LEADING_SPACE) != 0)) == NULL)
		fail(fs, "no memory for an edit");
	else if (edits_add(fs->edits, r, &e) < 0)
		fail(fs, e.text);
}

static void on_reply(const struct milter_reply *r, void *arg)
{
	struct filter_session *fs = arg;
	const struct milter_options *o = filter_connection_options(fs->connection);
	int command = fs->awaited;

	if (milter_reply_action(r->code) != 0) {
		on_edit(fs, r);
		return;
	}
	if (r->code == MILTER_SKIP && (o->protocol & MILTER_CAN_SKIP) == 0) {
		breach(fs, "not negotiated", r);
		return;
	}
	verdict_log(fs, r);
	filter_connection_settle(fs->connection);
	fs->awaited = 0;
	if (fs->swallow) {
		fs->swallow = false;
		advance(fs);
	} else if (command == MILTER_CONNECT || command == MILTER_HELO) {
		reply_session(fs, r);
	} else if (command == MILTER_RCPT || command == MILTER_UNKNOWN) {
		reply_single(fs, r, command == MILTER_RCPT);
	} else {
		reply_message(fs, r, command);
	}
}

static void on_open(void *arg)
{
	struct filter_session *fs = arg;

	fs->open = true;
	advance(fs);
}

static void on_drained(void *arg)
{
	struct filter_session *fs = arg;

	if (may_pump(fs))
		pump(fs);
}

static void on_failed(const char *error, void *arg)
{
	fail(arg, error);
}

static const struct filter_connection_calls connection_calls = {
	.on_open = on_open,
	.on_reply = on_reply,
	.on_drained = on_drained,
	.on_failed = on_failed,
};

/* ---- the owner's side ---------------------------------------------------------------------------
 */

struct filter_session *filter_session_new(struct filter *filter, const struct filter_facts *facts,
    const struct filter_session_calls *calls, void *arg)
{
	struct filter_session *fs = calloc(1, sizeof(*fs));

	if (fs == NULL)
		return NULL;
	fs->filter = filter;
	fs->facts = facts;
	fs->calls = calls;
	fs->arg = arg;
	return fs;
}

void filter_session_free(struct filter_session **fs)
{
	if (*fs == NULL)
		return;
	filter_session_quit(*fs);
	free(*fs);
	*fs = NULL;
}

const char *filter_session_name(const struct filter_session *fs)
{
	return fs->filter->settings->name;
}

void filter_session_open(struct filter_session *fs)
{
	if (fs->connection == NULL && !fs->excused && !fs->refused)
		fs->connection = filter_connection_start(fs->filter, &connection_calls, fs);
}

/* The answer where it is known without asking, else NULL. */
static const struct chain_answer *known(struct filter_session *fs, enum filter_event event)
{
	if (fs->refused)
		return &fs->said;
	if (fs->excused)
		return &go_on;
	if (event == FILTER_MAIL)
		return NULL;
	if (event == FILTER_CONNECT || event == FILTER_HELO || event == FILTER_UNKNOWN)
		return fs->connection == NULL ? &go_on : NULL;
	if (fs->failed)
		return failure_of(fs);
	if (fs->verdict != NULL)
		return fs->verdict;
	return fs->in_transaction ? NULL : &go_on;
}

bool filter_session_ask(struct filter_session *fs, enum filter_event event)
{
	if (event == FILTER_MAIL)
		transaction_reset(fs);
	if (event == FILTER_HELO)
		fs->helo_told = false;
	if (event == FILTER_END)
		fs->content.ended = true;
	if ((fs->answer = known(fs, event)) != NULL)
		return true;
	fs->goal = event;
	fs->goal_told = fs->untold = fs->again = false;
	fs->asking = true;
	filter_session_open(fs);
	if (fs->connection == NULL)
		fail(fs, "no memory");
	else
		advance(fs);
	fs->asking = false;
	return fs->goal == FILTER_NOTHING;
}

const struct chain_answer *filter_session_answer(const struct filter_session *fs)
{
	return fs->answer;
}

bool filter_session_listens(const struct filter_session *fs)
{
	return fs->in_transaction;
}

void filter_session_content(
    struct filter_session *fs, const struct mail *m, size_t hidden, bool spooled)
{
	if (!fs->in_transaction)
		return;
	content_begin(&fs->content, m, hidden, spooled);
	if (may_pump(fs))
		pump(fs);
}

void filter_session_body(struct filter_session *fs, struct slice octets)
{
	if (!fs->in_transaction)
		return;
	if (!content_add(&fs->content, octets))
		fail(fs, "no memory");
	else if (may_pump(fs))
		pump(fs);
}

size_t filter_session_waiting(const struct filter_session *fs)
{
	return content_waiting(&fs->content);
}

bool filter_session_decided(const struct filter_session *fs)
{
	int on_failure = fs->filter->settings->on_failure;

	if (fs->failed)
		return on_failure == ON_FAILURE_TEMPFAIL || on_failure == ON_FAILURE_REJECT;
	return fs->verdict != NULL && fs->verdict->verdict != CHAIN_CONTINUE;
}

struct edits *filter_session_edits(const struct filter_session *fs)
{
	return fs->edits;
}

bool filter_session_marks(const struct filter_session *fs)
{
	return fs->failed && fs->filter->settings->on_failure == ON_FAILURE_QUARANTINE;
}

void filter_session_abort(struct filter_session *fs)
{
	bool due = fs->in_transaction && fs->open;

	fs->goal = FILTER_NOTHING;
	transaction_reset(fs);
	if (!due)
		return;
	/* libmilter reads nothing while it works on the end of a message: there is no way back but
	 * a new connection. */
	if (fs->awaited == MILTER_END) {
		disconnect(fs, false);
		return;
	}
	fs->swallow = fs->awaited != 0;
	fs->position = AT_SESSION;
	(void)milter_put(filter_connection_out(fs->connection), MILTER_ABORT);
	filter_connection_send(fs->connection);
}

void filter_session_quit(struct filter_session *fs)
{
	filter_session_abort(fs);
	fs->excused = true;
	disconnect(fs, true);
}
