#include "config.h"

#include "proxy/filter/chain.h"

#include <stdlib.h>

#include "proxy/filter/answer.h"
#include "proxy/filter/filter_session.h"
#include "weir/log.h"

enum { HIGH_WATER = 262144, LOW_WATER = 65536 };

struct chain {
	struct filters *filters;
	struct filter_session **sessions; /* filters->n, in order */
	struct filter_facts facts;
	bool no_memory; /* for a macro or a name: the next question is answered 451 */

	enum filter_event event; /* the question; NOTHING: none */
	size_t at;               /* the filter that is being asked */
	struct bytes text;       /* what facts.address and .parameters point into */
	chain_done_fn *done;
	void *arg;
	struct event *answered; /* tells the answer from the loop */
	const struct chain_answer *answer;
	const struct chain_answer *refusal; /* of the session */

	struct mail *mail;           /* at its end */
	struct filter_session *head; /* whom the content streams to */
	size_t own_received;         /* where that field is, or would be */

	bool choked;
	struct event *roomy;
	void (*on_ready)(void *arg);
	void *ready_arg;
};

/* ---- the answer ----------------------------------------------------------------------------- */

static void on_answered(evutil_socket_t fd, short what, void *arg)
{
	struct chain *c = arg;

	(void)fd;
	(void)what;
	/* Last: done may ask anew, or free the chain. */
	c->done(c->answer, c->arg);
}

static void transaction_over(struct chain *c)
{
	for (size_t i = 0; i < c->filters->n; i++)
		filter_session_abort(c->sessions[i]);
	c->head = NULL;
	c->mail = NULL;
}

/* What an answer means for the filters that had no part in it. */
static void settle(struct chain *c, enum filter_event event, const struct chain_answer *answer)
{
	if (answer->verdict == CHAIN_CONTINUE || event == FILTER_UNKNOWN)
		return;
	if (event == FILTER_CONNECT || event == FILTER_HELO) {
		c->refusal = answer;
		for (size_t i = 0; i < c->filters->n; i++)
			filter_session_quit(c->sessions[i]);
	} else if (event != FILTER_RCPT || answer->verdict == CHAIN_DISCARD ||
	    answer->verdict == CHAIN_CLOSE) {
		transaction_over(c);
	}
}

static void finish(struct chain *c, const struct chain_answer *answer)
{
	enum filter_event event = c->event;

	c->event = FILTER_NOTHING;
	c->answer = answer;
	settle(c, event, answer);
	if (event == FILTER_END)
		transaction_over(c);
	event_active(c->answered, EV_TIMEOUT, 1);
}

/* ---- the end of a message ------------------------------------------------------------------- */

/* The filter of this turn was content: its edits become part of the mail. NULL, or an answer. */
static const struct chain_answer *take_edits(struct chain *c, struct filter_session *fs)
{
	struct edits *edits = filter_session_edits(fs);
	struct err e;

	if (edits != NULL && edits_apply(edits, c->mail, &c->own_received, &e) < 0) {
		log_event(LOG_LEVEL_ERROR, "filter-edits", "filter", filter_session_name(fs),
		    "error", e.text, NULL);
		return &answer_no_storage;
	}
	if (filter_session_marks(fs)) {
		char text[128];
		struct buf reason = BUF_ON(text);

		text[0] = '\0';
		buf_addf(&reason, "filter %s could not be asked", filter_session_name(fs));
		if (!mail_mark_quarantine(c->mail, buf_slice(&reason)))
			return &answer_no_storage;
	}
	return NULL;
}

static size_t hidden_field(const struct chain *c, const struct mail *m)
{
	return m->own_received ? c->own_received : SIZE_MAX;
}

/* ---- asking --------------------------------------------------------------------------------- */

/* Ask the filters from `at` on, until one must be waited for or the matter is decided. */
static void run(struct chain *c)
{
	for (; c->at < c->filters->n; c->at++) {
		struct filter_session *fs = c->sessions[c->at];

		if (c->event == FILTER_END && fs != c->head)
			filter_session_content(fs, c->mail, hidden_field(c, c->mail), true);
		if (!filter_session_ask(fs, c->event))
			return;
		if (filter_session_answer(fs)->verdict != CHAIN_CONTINUE) {
			finish(c, filter_session_answer(fs));
			return;
		}
		if (c->event == FILTER_END) {
			const struct chain_answer *trouble = take_edits(c, fs);

			if (trouble != NULL) {
				finish(c, trouble);
				return;
			}
		}
	}
	if (c->event == FILTER_END && c->filters->n > 0 && c->mail->recipient_count == 0)
		finish(c, &answer_discard);
	else
		finish(c, &answer_continue);
}

/* The filter that was waited for has answered: what run does after an answer, then the others. */
static void on_filter_answered(struct filter_session *fs, void *arg)
{
	struct chain *c = arg;
	const struct chain_answer *answer = filter_session_answer(fs);

	if (answer->verdict == CHAIN_CONTINUE && c->event == FILTER_END) {
		const struct chain_answer *trouble = take_edits(c, fs);

		answer = trouble != NULL ? trouble : answer;
	}
	if (answer->verdict != CHAIN_CONTINUE) {
		finish(c, answer);
		return;
	}
	c->at++;
	run(c);
}

static void start(struct chain *c, enum filter_event event, chain_done_fn *done, void *arg)
{
	c->event = event;
	c->done = done;
	c->arg = arg;
	c->at = 0;
	if (c->refusal != NULL)
		finish(c, c->refusal);
	else if (c->no_memory || c->text.failed)
		finish(c, &answer_no_memory);
	else
		run(c);
	c->no_memory = false;
}

/* Keep the texts of a question for as long as it takes. */
static void keep_texts(struct chain *c, struct slice address, struct slice parameters)
{
	bytes_clear(&c->text);
	(void)bytes_add(&c->text, address);
	(void)bytes_add(&c->text, parameters);
	if (c->text.failed)
		return;
	c->facts.address = slice_of(c->text.p, address.n);
	c->facts.parameters = slice_of(
	    c->text.p != NULL ? c->text.p + address.n : NULL, parameters.n);
}

static void replace(struct chain *c, char **text, struct slice with)
{
	char *copy = slice_dup(with);

	c->no_memory |= copy == NULL;
	if (copy == NULL)
		return;
	free(*text);
	*text = copy;
}

/* ---- the owner's side ----------------------------------------------------------------------- */

bool chain_ready(struct chain *c)
{
	if (c->head == NULL || filter_session_waiting(c->head) < HIGH_WATER)
		return true;
	c->choked = true;
	return false;
}

static void on_roomy(evutil_socket_t fd, short what, void *arg)
{
	struct chain *c = arg;

	(void)fd;
	(void)what;
	if (!c->choked)
		return;
	c->choked = false;
	if (c->on_ready != NULL)
		c->on_ready(c->ready_arg);
}

static void on_filter_sent(struct filter_session *fs, void *arg)
{
	struct chain *c = arg;

	if (c->choked && (fs != c->head || filter_session_waiting(fs) <= LOW_WATER))
		event_active(c->roomy, EV_TIMEOUT, 1);
}

static const struct filter_session_calls session_calls = {
	.answered = on_filter_answered,
	.sent = on_filter_sent,
};

struct chain *chain_new(struct filters *f)
{
	struct chain *c = calloc(1, sizeof(*c));
	bool complete = c != NULL;

	if (c == NULL)
		return NULL;
	c->filters = f;
	c->answered = evtimer_new(f->base, on_answered, c);
	c->roomy = evtimer_new(f->base, on_roomy, c);
	c->sessions = calloc(f->n > 0 ? f->n : 1, sizeof(struct filter_session *));
	complete = c->answered != NULL && c->roomy != NULL && c->sessions != NULL;
	for (size_t i = 0; complete && i < f->n; i++) {
		c->sessions[i] = filter_session_new(&f->v[i], &c->facts, &session_calls, c);
		complete = c->sessions[i] != NULL;
	}
	if (!complete)
		chain_free(&c);
	return c;
}

void chain_free(struct chain **c)
{
	struct chain *was = *c;

	if (was == NULL)
		return;
	*c = NULL;
	for (size_t i = 0; was->sessions != NULL && i < was->filters->n; i++)
		filter_session_free(&was->sessions[i]);
	free(was->sessions);
	if (was->answered != NULL)
		event_free(was->answered);
	if (was->roomy != NULL)
		event_free(was->roomy);
	macros_free(&was->facts.macros);
	free(was->facts.host);
	free(was->facts.helo);
	bytes_free(&was->text);
	free(was);
}

bool chain_empty(const struct chain *c)
{
	return c->filters->n == 0;
}

void chain_macro(struct chain *c, const char *name, struct slice value)
{
	if (!macros_set(&c->facts.macros, slice_z(name), value))
		c->no_memory = true;
}

void chain_connect(struct chain *c, struct slice host, const struct address *client,
    chain_done_fn *done, void *arg)
{
	c->facts.client = *client;
	replace(c, &c->facts.host, host);
	/* All at once, so that the slowest alone is waited for. */
	for (size_t i = 0; i < c->filters->n; i++)
		filter_session_open(c->sessions[i]);
	start(c, FILTER_CONNECT, done, arg);
}

void chain_helo(struct chain *c, struct slice name, chain_done_fn *done, void *arg)
{
	chain_abort(c);
	replace(c, &c->facts.helo, name);
	start(c, FILTER_HELO, done, arg);
}

void chain_mail(
    struct chain *c, struct slice address, struct slice parameters, chain_done_fn *done, void *arg)
{
	transaction_over(c);
	keep_texts(c, address, parameters);
	chain_macro(c, "{mail_addr}", address);
	start(c, FILTER_MAIL, done, arg);
}

void chain_rcpt(
    struct chain *c, struct slice address, struct slice parameters, chain_done_fn *done, void *arg)
{
	keep_texts(c, address, parameters);
	chain_macro(c, "{rcpt_addr}", address);
	start(c, FILTER_RCPT, done, arg);
}

void chain_data(struct chain *c, chain_done_fn *done, void *arg)
{
	start(c, FILTER_DATA, done, arg);
}

void chain_unknown(struct chain *c, struct slice line, chain_done_fn *done, void *arg)
{
	keep_texts(c, line, SLICE(""));
	start(c, FILTER_UNKNOWN, done, arg);
}

void chain_header(struct chain *c, const struct mail *m)
{
	c->own_received = 0;
	c->head = NULL;
	for (size_t i = 0; i < c->filters->n && c->head == NULL; i++)
		if (filter_session_listens(c->sessions[i]))
			c->head = c->sessions[i];
	if (c->head != NULL)
		filter_session_content(c->head, m, hidden_field(c, m), false);
}

void chain_body(struct chain *c, struct slice octets)
{
	if (c->head != NULL)
		filter_session_body(c->head, octets);
}

void chain_on_ready(struct chain *c, void (*on_ready)(void *arg), void *arg)
{
	c->on_ready = on_ready;
	c->ready_arg = arg;
}

size_t chain_memory(const struct chain *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->filters->n; i++)
		n += filter_session_memory(c->sessions[i]);
	return n;
}

bool chain_decided(const struct chain *c)
{
	return c->head != NULL && filter_session_decided(c->head);
}

void chain_end(struct chain *c, struct mail *m, chain_done_fn *done, void *arg)
{
	if (c->head == NULL)
		c->own_received = 0;
	c->mail = m;
	start(c, FILTER_END, done, arg);
}

void chain_abort(struct chain *c)
{
	(void)event_del(c->answered);
	c->event = FILTER_NOTHING;
	transaction_over(c);
	/* Whoever waits for room need not: nothing waits any more. */
	if (c->choked)
		event_active(c->roomy, EV_TIMEOUT, 1);
}
