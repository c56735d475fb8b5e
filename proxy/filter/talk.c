#include "config.h"

#include "proxy/filter/talk.h"

static const struct event_form {
	enum filter_event event;
	enum milter_command command;
	enum milter_stage stage;
	uint32_t unwanted, unanswered; /* bits of the negotiation */
	enum talk_position position;   /* where the filter is afterwards */
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

uint32_t talk_protocol(const struct talk *t)
{
	return filter_connection_options(t->connection)->protocol;
}

static void put_macros(struct talk *t, enum milter_stage stage)
{
	if (stage < MILTER_STAGES)
		(void)macros_put(&t->facts->macros, stage,
		    filter_connection_macros(t->connection, stage),
		    filter_connection_out(t->connection));
}

static void put_event(struct talk *t, enum milter_command command)
{
	struct bytes *out = filter_connection_out(t->connection);
	const struct filter_facts *f = t->facts;

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

static void await(struct talk *t, enum milter_command command)
{
	const struct filter_settings *s = t->filter->settings;
	bool content = command == MILTER_HEADER || command == MILTER_EOH ||
	    command == MILTER_BODY || command == MILTER_END;

	t->awaited = (int)command;
	t->awaited_since_ms = filter_now_ms();
	filter_connection_ask(t->connection, content ? s->content_timeout_s : s->command_timeout_s,
	    s->total_timeout_s);
}

/* libmilter takes UNKNOWN after RCPT for the end of the envelope unless DATA is to come, and is
 * mute for the rest of the message then. Where it could do harm it is kept back. */
static bool unknown_is_safe(const struct talk *t)
{
	return t->position == AT_SESSION || t->position == AT_MAIL ||
	    (t->position == AT_RCPT && (talk_protocol(t) & MILTER_NO_DATA) == 0);
}

static bool event_wanted(const struct talk *t, const struct event_form *form)
{
	if ((talk_protocol(t) & form->unwanted) != 0)
		return false;
	if (form->event == FILTER_UNKNOWN)
		return unknown_is_safe(t);
	return form->event != FILTER_RCPT || !t->no_more_rcpt;
}

bool talk_event(struct talk *t, enum filter_event event)
{
	const struct event_form *form = form_of(event);
	bool wanted = event_wanted(t, form);

	put_macros(t, form->stage);
	if (form->position != AT_START)
		t->position = form->position;
	if (wanted) {
		put_event(t, form->command);
		if ((talk_protocol(t) & form->unanswered) == 0) {
			await(t, form->command);
			return true;
		}
	}
	filter_connection_send(t->connection);
	return false;
}

static bool answered_content(uint32_t protocol, int command)
{
	return (command == MILTER_HEADER && (protocol & MILTER_NR_HEADER) == 0) ||
	    (command == MILTER_EOH && (protocol & (MILTER_NR_EOH | MILTER_NO_EOH)) == 0) ||
	    (command == MILTER_BODY && (protocol & MILTER_NR_BODY) == 0);
}

int talk_content(struct talk *t, struct content *c, int what, struct err *e)
{
	const struct milter_options *o = filter_connection_options(t->connection);

	t->position = AT_CONTENT;
	if (what == MILTER_EOH) {
		put_macros(t, MILTER_STAGE_EOH);
		if ((o->protocol & MILTER_NO_EOH) == 0)
			(void)milter_put(filter_connection_out(t->connection), MILTER_EOH);
	}
	if (content_put(c, what, o, filter_connection_out(t->connection), e) < 0)
		return -1;
	if (!answered_content(o->protocol, what))
		return 0;
	await(t, (enum milter_command)what);
	return 1;
}

void talk_end(struct talk *t)
{
	put_macros(t, MILTER_STAGE_END);
	(void)milter_put(filter_connection_out(t->connection), MILTER_END);
	await(t, MILTER_END);
}

void talk_abort(struct talk *t)
{
	t->position = AT_SESSION;
	(void)milter_put(filter_connection_out(t->connection), MILTER_ABORT);
	filter_connection_send(t->connection);
}

void talk_settle(struct talk *t)
{
	filter_connection_settle(t->connection);
	t->awaited = 0;
}

void talk_close(struct talk *t, bool quit)
{
	filter_connection_free(&t->connection, quit);
	t->position = AT_START;
	t->awaited = 0;
}
