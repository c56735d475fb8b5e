#include "config.h"

#include "identity.h"
#include "intake.h"

#include <stdio.h>

#include "proxy/upstream/queue_id.h"
#include "weir/log.h"

/* ---- 354 ---------------------------------------------------------------------------------- */

static void data_begin(struct session *s)
{
	if (s->worker->pressure.memory == MEMORY_OUT) {
		session_say(s, SLICE("452 4.3.1 Insufficient system storage, try again later\r\n"));
		transaction_abort(s);
		return;
	}
	if ((s->intake = intake_new(s, false)) == NULL) {
		session_say(s, SLICE("451 4.3.0 Out of memory, try again later\r\n"));
		transaction_abort(s);
		return;
	}
	s->state = SESSION_DATA;
	session_say(s, SLICE("354 End with <CR><LF>.<CR><LF>\r\n"));
	session_arm_by(s, data_deadline(s));
}

static void on_data(const struct chain_answer *a, void *arg)
{
	struct session *s = arg;

	if (s->dead)
		return;
	if (filters_refused(s, a)) {
		transaction_log_refusal(s, "data", NULL, s->filter, &a->reply);
		transaction_reset(s, true);
	} else {
		s->discard |= a->verdict == CHAIN_DISCARD;
		data_begin(s);
	}
	session_done(s);
}

void command_data(struct session *s, struct slice argument)
{
	(void)argument;
	if (s->state == SESSION_MAIL)
		session_say(s, SLICE("554 5.5.1 No valid recipients\r\n"));
	else if (s->state != SESSION_RCPT)
		session_say(s, SLICE("503 5.5.1 MAIL and RCPT must come first\r\n"));
	else if (!session_filtered(s) || s->discard)
		identity_await(s, data_begin); /* the Received field names the client */
	else {
		s->busy = true;
		chain_data(s->chain, on_data, s);
	}
}

/* ---- after the dot ------------------------------------------------------------------------ */

static void data_discard(struct session *s, bool aborted)
{
	struct smtp_reply ok;

	smtp_reply_set(&ok, 250, "2.0.0", "Ok");
	transaction_finish(s, &(struct verdict_line){ .action = "discard", .reply = &ok }, aborted);
}

static const char *action_of(const struct relay_answer *a)
{
	if (a->in_doubt)
		return "in_doubt";
	return a->reply.code / 100 == 2 ? "relay"
	    : a->reply.code / 100 == 5  ? "reject"
					: "tempfail";
}

static void on_sent(const struct relay_answer *a, void *arg)
{
	struct session *s = arg;
	struct slice id = { 0 };

	if (s->dead)
		return;
	if (a->backend_said && smtp_reply_class(&a->reply) == 2)
		id = queue_id_find(slice_z(a->reply.text));
	if (a->in_doubt)
		log_event(LOG_LEVEL_ERROR, "in_doubt", "id", s->mail.id, "server", a->server, "why",
		    "lost after the dot: the backend may have the message, and the client will "
		    "send "
		    "it again",
		    NULL);
	transaction_finish(s,
	    &(struct verdict_line){ .action = action_of(a),
		.reply = &a->reply,
		.backend = a->server,
		.backend_id = id },
	    false);
	session_done(s);
}

static void data_relay(struct session *s)
{
	s->busy = true;
	relay_send(s->relay, &s->mail, on_sent, s);
}

static const char *verdict_action(enum chain_verdict v)
{
	return v == CHAIN_REJECT ? "reject" : v == CHAIN_CLOSE ? "close" : "tempfail";
}

static void on_verdict(const struct chain_answer *a, void *arg)
{
	struct session *s = arg;
	struct smtp_reply reply;

	if (s->dead)
		return;
	if (a->filter != NULL)
		(void)snprintf(s->filter, sizeof(s->filter), "%s", a->filter);
	if (a->verdict == CHAIN_CONTINUE && s->mail.recipient_count > 0) {
		data_relay(s);
		return;
	}
	if (a->verdict == CHAIN_CONTINUE || a->verdict == CHAIN_DISCARD) {
		data_discard(s, false); /* a filter that takes all recipients away discards too */
	} else {
		smtp_reply_copy(&reply, &a->reply);
		if (reply.code == 0)
			smtp_reply_set(&reply, 451, "4.3.2", "Please try again later");
		transaction_finish(s,
		    &(struct verdict_line){ .action = verdict_action(a->verdict), .reply = &reply },
		    false);
		s->closing |= a->verdict == CHAIN_CLOSE;
	}
	session_done(s);
}

void data_end(struct session *s)
{
	struct smtp_reply reply;

	if (!intake_close(s, &reply)) {
		transaction_finish(s,
		    &(struct verdict_line){
			.action = reply.code / 100 == 5 ? "reject" : "tempfail", .reply = &reply },
		    true);
	} else if (s->discard) {
		data_discard(s, true);
	} else if (session_filtered(s)) {
		s->busy = true;
		filters_findings(s);
		chain_end(s->chain, &s->mail, on_verdict, s);
	} else {
		data_relay(s);
	}
}

/* ---- the octets --------------------------------------------------------------------------- */

static void on_chain_ready(void *arg)
{
	struct session *s = arg;

	if (s->dead || s->held_ms == 0)
		return;
	intake_excuse(s->intake, clock_ms() - s->held_ms);
	s->held_ms = 0;
	s->waiting = false;
	stream_pause(s->stream, false);
	session_process(s);
}

bool data_filters_behind(struct session *s)
{
	if (!session_filtered(s) || s->discard || intake_refused(s->intake) ||
	    chain_ready(s->chain))
		return false;
	if (s->held_ms != 0)
		return true; /* since then, whoever asks again */
	chain_on_ready(s->chain, on_chain_ready, s);
	s->held_ms = clock_ms();
	stream_pause(s->stream, true);
	return true;
}

bool data_input(struct session *s)
{
	struct slice in = stream_input(s->stream);
	size_t used;
	int rc;

	if (in.n == 0 || data_filters_behind(s) || memory_waits(s))
		return false;
	rc = intake_take(s, in, &used);
	stream_take(s->stream, used);
	s->waiting = false;
	if (rc > 0)
		data_end(s);
	else if (rc < 0)
		session_bye(s, SLICE("421 4.3.0 Out of memory\r\n"));
	return rc >= 0;
}

int64_t data_deadline(const struct session *s)
{
	return intake_deadline(
	    s->intake, s->worker->pressure.patience.data_s, s->settings->timeouts.min_data_rate);
}

bool data_committed(const struct session *s)
{
	return s->intake != NULL && s->relay != NULL && relay_committed(s->relay);
}
