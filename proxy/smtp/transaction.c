#include "config.h"

#include "findings.h"
#include "identity.h"
#include "intake.h"

#include <assert.h>

#include "proxy/listen/front.h"
#include "weir/log.h"

static void log_reply(struct log_line *l, const struct smtp_reply *reply)
{
	char text[600];
	struct buf b = BUF_ON(text);

	if (reply == NULL || reply->code == 0) {
		log_z(l, "reply", NULL);
		return;
	}
	smtp_reply_line(reply, &b);
	log_str(l, "reply", buf_slice(&b));
}

static void log_envelope(struct log_line *l, const struct session *s)
{
	char path[300];
	struct buf b = BUF_ON(path);

	buf_addc(&b, '<');
	buf_add(&b, slice_z(s->mail.reverse_path));
	buf_addc(&b, '>');
	log_z(l, "id", s->mail.id);
	if (s->front != NULL && s->front->unique_id != NULL)
		log_z(l, "front_id", s->front->unique_id);
	log_z(l, "client", s->client_text);
	log_z(l, "client_name", identity_name(s));
	log_z(l, "helo", s->helo);
	log_str(l, "from", buf_slice(&b));
}

/* Only where there is something to say. */
static void log_findings(struct log_line *l, const struct session *s)
{
	char text[512] = "";
	struct buf b = BUF_ON(text);

	if (s->findings == 0)
		return;
	findings_text(s->findings, &b);
	log_z(l, "findings", text);
}

/* One log line for a message that came as far as its data. */
static void log_message(const struct session *s, const struct verdict_line *v)
{
	const char *backend = v->backend != NULL && v->backend[0] != '\0' ? v->backend : NULL;
	struct log_line l;

	log_begin(&l, LOG_LEVEL_INFO, "message");
	if (!l.wanted)
		return;
	log_envelope(&l, s);
	log_z(&l, "to", s->mail.recipient_count > 0 ? s->mail.recipients[0].address : NULL);
	log_int(&l, "rcpts", (int64_t)s->mail.recipient_count);
	log_int(&l, "bytes", (int64_t)intake_bytes(s->intake));
	log_z(&l, "backend", backend);
	log_str(&l, "backend_id", v->backend_id.n > 0 ? v->backend_id : slice_z(NULL));
	log_z(&l, "filter", s->filter[0] != '\0' ? s->filter : NULL);
	log_z(&l, "action", v->action);
	log_reply(&l, v->reply);
	log_findings(&l, s);
	log_int(&l, "ms", clock_ms() - s->begun_ms);
	log_end(&l);
}

void transaction_log_refusal(struct session *s, const char *stage, const char *recipient,
    const char *by, const struct smtp_reply *reply)
{
	struct log_line l;

	atomic_fetch_add_explicit(
	    &s->worker->shared->slots[s->worker->slot].refused, 1, memory_order_relaxed);
	log_begin(&l, LOG_LEVEL_INFO, "refused");
	if (!l.wanted)
		return;
	log_envelope(&l, s);
	log_z(&l, "to", recipient);
	log_z(&l, "stage", stage);
	log_z(&l, "by", by);
	log_reply(&l, reply);
	log_end(&l);
}

void transaction_reset(struct session *s, bool aborted)
{
	if (s->relay != NULL)
		relay_reset(s->relay);
	if (aborted && s->chain != NULL)
		chain_abort(s->chain);
	intake_free(&s->intake);
	if (s->held_ms != 0)
		stream_pause(s->stream, false);
	s->held_ms = 0;
	memory_wake(s);
	memory_count(s);
	mail_free(&s->mail);
	s->utf8 = s->discard = false;
	if (s->state != SESSION_START)
		s->state = SESSION_READY;
	assert(s->mail.reverse_path == NULL && s->mail.recipient_count == 0 &&
	    s->mail.field_count == 0 && s->mail.body == NULL && s->intake == NULL);
}

void transaction_finish(struct session *s, const struct verdict_line *v, bool aborted)
{
	struct shared_slot *slot = &s->worker->shared->slots[s->worker->slot];

	log_message(s, v);
	if (v->reply->code / 100 == 2) {
		s->errors = s->junk = s->beyond = 0;
		atomic_fetch_add_explicit(&slot->messages, 1, memory_order_relaxed);
	} else {
		atomic_fetch_add_explicit(&slot->refused, 1, memory_order_relaxed);
	}
	session_reply(s, v->reply);
	transaction_reset(s, aborted);
}

void transaction_abort(struct session *s)
{
	bdat_forget(s);
	if (s->mail.reverse_path == NULL) {
		if (s->state != SESSION_START)
			s->state = SESSION_READY; /* after chunks that failed */
		return;
	}
	aborts_count(s);
	if (s->intake != NULL)
		log_message(s,
		    &(struct verdict_line){ .action = data_committed(s) ? "in_doubt" : "abort" });
	transaction_reset(s, true);
}
