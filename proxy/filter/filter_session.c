#include "config.h"

#include "proxy/filter/filter_session.h"

#include <stdlib.h>

#include "proxy/filter/answer.h"
#include "weir/log.h"

enum {
	PACKETS_AT_ONCE = 64, /* of content, before others of the loop have their turn */
};

struct filter_session {
	struct talk talk;
	const struct filter_session_calls *calls;
	void *arg;

	bool open;                    /* negotiated */
	bool connect_told, helo_told; /* on this connection */
	bool excused;                 /* ACCEPT at CONNECT or HELO: not asked any more */
	bool refused;                 /* a refusal at CONNECT or HELO stands in `said` for good */

	bool swallow; /* the reply that is owed is of an aborted transaction */

	bool in_transaction;                /* MAIL was passed, no verdict and no failure yet */
	bool failed;                        /* in this transaction */
	const struct chain_answer *verdict; /* on the message, once it is there */
	struct content content;
	struct edits *edits;

	enum filter_event goal; /* the question */
	bool goal_told;         /* its own event is what is awaited */
	bool untold;            /* MAIL: the connection was found broken before it was told */
	bool again;             /* MAIL: that was seen to once */
	bool asking;            /* inside filter_session_ask */
	const struct chain_answer *answer;
	/* What answer and verdict point to where they refuse; made when one does. */
	struct chain_answer *said;
};

/* ---- answers -------------------------------------------------------------------------------- */

static void resolve(struct filter_session *fs, const struct chain_answer *answer)
{
	if (fs->goal == FILTER_NOTHING)
		return;
	fs->goal = FILTER_NOTHING;
	fs->answer = answer;
	if (!fs->asking)
		fs->calls->answered(fs, fs->arg);
}

/* An idle session need not keep room for a refusal. NULL without memory. */
static struct chain_answer *said(struct filter_session *fs)
{
	if (fs->said == NULL)
		fs->said = malloc(sizeof(*fs->said));
	return fs->said;
}

static const struct chain_answer *refusal_of(
    struct filter_session *fs, const struct milter_reply *r)
{
	return answer_of_refusal(r, filter_session_name(fs), said(fs));
}

static const struct chain_answer *failure_of(struct filter_session *fs)
{
	return answer_of_failure(
	    fs->talk.filter->settings->on_failure, filter_session_name(fs), said(fs));
}

/* ---- the connection's end ------------------------------------------------------------------- */

static void transaction_reset(struct filter_session *fs)
{
	fs->in_transaction = fs->failed = fs->talk.no_more_rcpt = false;
	fs->verdict = NULL;
	content_free(&fs->content);
	edits_free(&fs->edits);
}

static void disconnect(struct filter_session *fs, bool quit)
{
	talk_close(&fs->talk, quit);
	fs->open = fs->connect_told = fs->helo_told = fs->swallow = false;
}

static void failure_log(const struct filter_session *fs, const char *why)
{
	struct slice id = macros_get(&fs->talk.facts->macros, SLICE("i"));
	struct log_line l;

	log_begin(&l, LOG_LEVEL_WARN, "filter-failed");
	log_str(&l, "id", id.p != NULL ? id : SLICE("-"));
	log_z(&l, "filter", fs->talk.filter->settings->name);
	log_z(&l, "stage",
	    fs->talk.awaited != 0 ? milter_command_name((enum milter_command)fs->talk.awaited)
				  : NULL);
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
	return fs->talk.connection != NULL;
}

/* The filter broke off, hung or broke the protocol. Outside a transaction nothing is refused for
 * it: MAIL tries again. */
static void fail(struct filter_session *fs, const char *why)
{
	enum filter_event goal = fs->goal;

	failure_log(fs, why);
	/* It broke over the reply that it owed to an aborted message: MAIL was not told yet. */
	fs->untold |= fs->swallow && goal == FILTER_MAIL;
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
		resolve(fs, &answer_continue);
}

static void breach(struct filter_session *fs, const char *what, const struct milter_reply *r)
{
	struct err e;

	err_set(&e, "%s: %s", what, milter_reply_name(r->code));
	fail(fs, e.text);
}

/* ---- content -------------------------------------------------------------------------------- */

/* Send what may be sent: up to the next packet that is answered, or as much as the socket takes. */
static void pump(struct filter_session *fs)
{
	struct filter_connection *c = fs->talk.connection;
	struct err e;
	int owed = 0;

	for (int n = 0; owed == 0 && !filter_connection_full(c); n++) {
		int what = content_next(&fs->content, filter_connection_options(c));

		if (what == MILTER_END && fs->goal == FILTER_END)
			talk_end(&fs->talk);
		if (what == MILTER_END || what == 0)
			break;
		if (n == PACKETS_AT_ONCE) {
			filter_connection_pause(c);
			break;
		}
		owed = talk_content(&fs->talk, &fs->content, what, &e);
		if (owed == 0 && what == MILTER_BODY)
			filter_connection_send(c);
	}
	if (owed < 0) {
		fail(fs, e.text);
		return;
	}
	if (fs->talk.awaited == 0)
		filter_connection_send(c);
	fs->calls->sent(fs, fs->arg);
}

static bool may_pump(const struct filter_session *fs)
{
	return fs->in_transaction && fs->open && fs->talk.awaited == 0 && fs->content.mail != NULL;
}

/* ---- towards the question's own event ------------------------------------------------------- */

/* CONNECT and HELO go before whatever is asked, where this connection was not told them yet. Is a
 * reply owed? */
static bool tell_session(struct filter_session *fs)
{
	if (!fs->connect_told && fs->talk.facts->host != NULL) {
		fs->connect_told = true;
		fs->goal_told = fs->goal == FILTER_CONNECT;
		if (talk_event(&fs->talk, FILTER_CONNECT))
			return true;
	}
	if (!fs->helo_told && fs->talk.facts->helo != NULL && fs->goal != FILTER_CONNECT) {
		fs->helo_told = true;
		fs->goal_told = fs->goal == FILTER_HELO;
		if (talk_event(&fs->talk, FILTER_HELO))
			return true;
	}
	return false;
}

static void advance(struct filter_session *fs)
{
	if (fs->goal == FILTER_NOTHING || !fs->open || fs->talk.awaited != 0)
		return;
	if (fs->goal == FILTER_END) {
		pump(fs);
		return;
	}
	if (tell_session(fs))
		return;
	if (fs->goal == FILTER_MAIL && !fs->goal_told &&
	    !filter_connection_sound(fs->talk.connection)) {
		fs->untold = true;
		return;
	}
	if (fs->goal == FILTER_MAIL)
		fs->in_transaction = true;
	if (fs->goal != FILTER_CONNECT && fs->goal != FILTER_HELO && !fs->goal_told) {
		fs->goal_told = true;
		if (talk_event(&fs->talk, fs->goal))
			return;
	}
	resolve(fs, &answer_continue);
}

/* ---- replies -------------------------------------------------------------------------------- */

/* A verdict on the message ends the filter's part in it; it is back where HELO left it. */
static void judge(struct filter_session *fs, const struct chain_answer *a)
{
	fs->in_transaction = false;
	fs->verdict = a;
	fs->talk.position = AT_SESSION;
	content_free(&fs->content);
	fs->calls->sent(fs, fs->arg);
	resolve(fs, a);
}

static void reply_session(struct filter_session *fs, const struct milter_reply *r)
{
	if (r->code == MILTER_ACCEPT) {
		fs->excused = true;
		disconnect(fs, true);
		resolve(fs, &answer_continue);
	} else if (answer_refuses(r->code)) {
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
	bool refusal = answer_refuses(r->code) || (r->code == MILTER_DISCARD && rcpt);

	if (r->code == MILTER_ACCEPT && fs->in_transaction) {
		judge(fs, &answer_continue);
		return;
	}
	if (r->code == MILTER_SKIP && rcpt)
		fs->talk.no_more_rcpt = true;
	resolve(fs, refusal ? refusal_of(fs, r) : &answer_continue);
}

static void reply_message(struct filter_session *fs, const struct milter_reply *r, int command)
{
	if (answer_refuses(r->code) || r->code == MILTER_DISCARD) {
		edits_free(&fs->edits);
		judge(fs, refusal_of(fs, r));
	} else if (r->code == MILTER_ACCEPT || command == MILTER_END) {
		judge(fs, &answer_continue);
	} else if (command == MILTER_MAIL || command == MILTER_DATA) {
		resolve(fs, &answer_continue);
	} else {
		if (r->code == MILTER_SKIP)
			content_skip(&fs->content, (enum milter_command)command);
		pump(fs);
	}
}

static void verdict_log(const struct filter_session *fs, const struct milter_reply *r)
{
	struct slice id = macros_get(&fs->talk.facts->macros, SLICE("i"));
	struct log_line l;

	if (!log_wanted(LOG_LEVEL_DEBUG))
		return;
	log_begin(&l, LOG_LEVEL_DEBUG, "filter");
	log_str(&l, "id", id.p != NULL ? id : SLICE("-"));
	log_z(&l, "filter", fs->talk.filter->settings->name);
	log_z(&l, "stage", milter_command_name((enum milter_command)fs->talk.awaited));
	log_z(&l, "reply", milter_reply_name(r->code));
	log_int(&l, "ms", filter_now_ms() - fs->talk.awaited_since_ms);
	log_end(&l);
}

static void on_edit(struct filter_session *fs, const struct milter_reply *r)
{
	const struct milter_options *o = filter_connection_options(fs->talk.connection);
	struct err e;

	if (fs->talk.awaited != MILTER_END) {
		breach(fs, "an edit before the end of the message", r);
		return;
	}
	if ((o->actions & milter_reply_action(r->code)) == 0) {
		breach(fs, "an edit that was not negotiated", r);
		return;
	}
	if (fs->edits == NULL &&
	    (fs->edits = edits_new(fs->talk.filter->all->settings,
		 (o->protocol & MILTER_LEADING_SPACE) != 0)) == NULL)
		fail(fs, "no memory for an edit");
	else if (edits_add(fs->edits, r, &e) < 0)
		fail(fs, e.text);
}

static void on_reply(const struct milter_reply *r, void *arg)
{
	struct filter_session *fs = arg;
	const struct milter_options *o = filter_connection_options(fs->talk.connection);
	int command = fs->talk.awaited;

	if (milter_reply_action(r->code) != 0) {
		on_edit(fs, r);
		return;
	}
	if (r->code == MILTER_SKIP && (o->protocol & MILTER_CAN_SKIP) == 0) {
		breach(fs, "not negotiated", r);
		return;
	}
	verdict_log(fs, r);
	talk_settle(&fs->talk);
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

/* ---- the owner's side ----------------------------------------------------------------------- */

struct filter_session *filter_session_new(struct filter *filter, const struct filter_facts *facts,
    const struct filter_session_calls *calls, void *arg)
{
	struct filter_session *fs = calloc(1, sizeof(*fs));

	if (fs == NULL)
		return NULL;
	fs->talk.filter = filter;
	fs->talk.facts = facts;
	fs->calls = calls;
	fs->arg = arg;
	return fs;
}

void filter_session_free(struct filter_session **fs)
{
	if (*fs == NULL)
		return;
	filter_session_quit(*fs);
	free((*fs)->said);
	free(*fs);
	*fs = NULL;
}

const char *filter_session_name(const struct filter_session *fs)
{
	return fs->talk.filter->settings->name;
}

void filter_session_open(struct filter_session *fs)
{
	if (fs->talk.connection == NULL && !fs->excused && !fs->refused)
		fs->talk.connection = filter_connection_start(
		    fs->talk.filter, &connection_calls, fs);
}

/* The answer where it is known without asking, else NULL. */
static const struct chain_answer *known(struct filter_session *fs, enum filter_event event)
{
	if (fs->refused)
		return fs->said != NULL ? fs->said : &answer_no_memory;
	if (fs->excused)
		return &answer_continue;
	if (event == FILTER_MAIL)
		return NULL;
	/* Between two chunks of BDAT: libmilter takes no UNKNOWN there, and content is under way.
	 */
	if (event == FILTER_UNKNOWN && fs->talk.position == AT_CONTENT)
		return &answer_continue;
	if (event == FILTER_CONNECT || event == FILTER_HELO || event == FILTER_UNKNOWN)
		return fs->talk.connection == NULL ? &answer_continue : NULL;
	if (fs->failed)
		return failure_of(fs);
	if (fs->verdict != NULL)
		return fs->verdict;
	return fs->in_transaction ? NULL : &answer_continue;
}

bool filter_session_ask(struct filter_session *fs, enum filter_event event)
{
	if (event == FILTER_MAIL) {
		transaction_reset(fs);
		if (!fs->refused) {
			free(fs->said);
			fs->said = NULL;
		}
	}
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
	if (fs->talk.connection == NULL)
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

size_t filter_session_memory(const struct filter_session *fs)
{
	return fs->content.waiting.cap +
	    (fs->talk.connection != NULL ? filter_connection_memory(fs->talk.connection) : 0);
}

bool filter_session_decided(const struct filter_session *fs)
{
	int on_failure = fs->talk.filter->settings->on_failure;

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
	return fs->failed && fs->talk.filter->settings->on_failure == ON_FAILURE_QUARANTINE;
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
	if (fs->talk.awaited == MILTER_END) {
		disconnect(fs, false);
		return;
	}
	fs->swallow = fs->talk.awaited != 0;
	talk_abort(&fs->talk);
}

void filter_session_quit(struct filter_session *fs)
{
	filter_session_abort(fs);
	fs->excused = true;
	disconnect(fs, true);
}
