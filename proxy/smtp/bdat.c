#include "config.h"

#include "chunk.h"
#include "identity.h"
#include "intake.h"

#include <stdlib.h>

/* One sequence of chunks: from its first BDAT to LAST, or to what breaks it off. */
struct bdat {
	struct chunk_reader chunk;
	bool failed; /* there is no transaction: the rest is read and thrown away (W61) */
	char *held;  /* the reply that refuses the chunk in hand; NULL: there is none */
	int64_t begun_ms, last_ms; /* of throwing away: when this chunk began, when octets came */
};

void bdat_forget(struct session *s)
{
	if (s->bdat == NULL)
		return;
	free(s->bdat->held);
	free(s->bdat);
	s->bdat = NULL;
}

/* ---- refusing a chunk --------------------------------------------------------------------- */

/* The octets come whatever we say: they must be read before the client is told (RFC 3030 2). What
 * was said behind `before` of the output waits until then. */
static void hold_reply(struct session *s, size_t before)
{
	struct bytes *out = stream_output(s->stream);
	struct bdat *b = s->bdat;

	if (s->closing)
		return;
	b->held = slice_dup(slice_sub(bytes_slice(out), before, out->n));
	if (b->held == NULL) {
		s->closing = true; /* then it is told now */
		return;
	}
	out->n = before;
	out->p[before] = '\0';
	b->failed = true;
	b->begun_ms = b->last_ms = clock_ms();
	s->state = SESSION_CHUNK;
	session_arm_by(s, bdat_deadline(s));
}

/* The transaction, where there is one, is over (W69). */
static void refuse_transaction(struct session *s, const struct smtp_reply *r)
{
	if (s->intake != NULL) {
		transaction_finish(s,
		    &(struct verdict_line){
			.action = r->code / 100 == 5 ? "reject" : "tempfail", .reply = r },
		    true);
		return;
	}
	session_reply(s, r);
	if (s->mail.reverse_path == NULL)
		return;
	transaction_log_refusal(s, "data", NULL, NULL, r);
	transaction_reset(s, true);
}

static void refuse(struct session *s, int code, const char *enhanced, const char *text)
{
	size_t before = stream_output(s->stream)->n;
	struct smtp_reply r;

	smtp_reply_set(&r, code, enhanced, "%s", text);
	refuse_transaction(s, &r);
	hold_reply(s, before);
}

/* Consequences of one error are none of their own; but there is a limit to them. */
static void discard(struct session *s)
{
	command_count_junk(s);
	s->bdat->begun_ms = s->bdat->last_ms = clock_ms();
	s->state = SESSION_CHUNK;
	session_arm_by(s, bdat_deadline(s));
}

/* ---- BDAT --------------------------------------------------------------------------------- */

static void begin(struct session *s)
{
	if (s->worker->pressure.memory == MEMORY_OUT) {
		refuse(s, 452, "4.3.1", "Insufficient system storage, try again later");
		return;
	}
	if ((s->intake = intake_new(s, true)) == NULL) {
		refuse(s, 451, "4.3.0", "Out of memory, try again later");
		return;
	}
	s->state = SESSION_CHUNK;
	session_arm_by(s, bdat_deadline(s));
}

static void on_data(const struct chain_answer *a, void *arg)
{
	struct session *s = arg;
	size_t before;

	if (s->dead)
		return;
	before = stream_output(s->stream)->n;
	if (filters_refused(s, a)) {
		transaction_log_refusal(s, "data", NULL, s->filter, &a->reply);
		transaction_reset(s, true);
		hold_reply(s, before);
	} else {
		s->discard |= a->verdict == CHAIN_DISCARD;
		begin(s);
	}
	session_done(s);
}

/* The first chunk is what DATA would be to the filters (W65). */
static void first_chunk(struct session *s)
{
	if (!session_filtered(s) || s->discard) {
		identity_await(s, begin); /* the Received field names the client */
		return;
	}
	s->busy = true;
	chain_data(s->chain, on_data, s);
}

static bool too_big(const struct session *s, const struct bdat *b)
{
	uint64_t limit = s->message_max;

	return b->chunk.size > limit || intake_bytes(s->intake) > limit - b->chunk.size;
}

static void take_chunk(struct session *s)
{
	struct bdat *b = s->bdat;

	if (b->failed)
		discard(s);
	else if (s->state == SESSION_MAIL)
		refuse(s, 554, "5.5.1", "No valid recipients");
	else if (s->state != SESSION_RCPT && s->state != SESSION_BDAT)
		refuse(s, 503, "5.5.1", "MAIL and RCPT must come first");
	else if (b->chunk.size == 0 && !b->chunk.last)
		refuse(s, 551, "5.7.1", "A chunk without octets can only be the last"); /* W62 */
	else if (too_big(s, b))
		refuse(s, 552, "5.3.4", "Message too big"); /* W63 */
	else if (s->state == SESSION_RCPT)
		first_chunk(s);
	else
		s->state = SESSION_CHUNK;
}

/* Where the size is not known, or the octets are too many to be read, there is no way to go on:
 * what follows is content, and must not be taken for commands (W60). */
void command_bdat(struct session *s, struct slice argument)
{
	if (!(s->offered & EXTENSION_CHUNKING)) {
		session_say(s, SLICE("521 5.5.1 BDAT is not offered\r\n"));
		return;
	}
	if (s->bdat == NULL && (s->bdat = calloc(1, sizeof(*s->bdat))) == NULL) {
		session_bye(s, SLICE("421 4.3.0 Out of memory\r\n"));
		return;
	}
	switch (chunk_begin(&s->bdat->chunk, argument, s->message_max)) {
	case CHUNK_GOOD:
		take_chunk(s);
		break;
	case CHUNK_MALFORMED:
		session_say(s, SLICE("521 5.5.4 Syntax: BDAT size [LAST]\r\n"));
		break;
	case CHUNK_TOO_MUCH:
		session_bye(s, SLICE("552 5.3.4 Message too big\r\n"));
		break;
	}
}

/* ---- the octets --------------------------------------------------------------------------- */

/* A chunk that was thrown away gets its answer. */
static void end_discarded(struct session *s)
{
	struct bytes *out = stream_output(s->stream);
	struct bdat *b = s->bdat;
	bool good = b->held != NULL
	    ? bytes_add(out, slice_z(b->held))
	    : bytes_addf(out, "551 5.5.0 %llu octets thrown away after an error\r\n",
		  (unsigned long long)b->chunk.size);

	free(b->held);
	b->held = NULL;
	s->owing = true;
	s->closing |= !good;
	s->state = b->chunk.last ? SESSION_READY : SESSION_BDAT;
	if (b->chunk.last)
		bdat_forget(s);
}

/* The intake knows already that the message is refused: why have the client send the rest? */
static void end_refused(struct session *s)
{
	struct smtp_reply reply;

	(void)intake_close(s, &reply);
	transaction_finish(s,
	    &(struct verdict_line){
		.action = reply.code / 100 == 5 ? "reject" : "tempfail", .reply = &reply },
	    true);
	s->bdat->failed = true;
	s->state = SESSION_BDAT;
}

static void end_chunk(struct session *s)
{
	struct bdat *b = s->bdat;

	if (b->failed) {
		end_discarded(s);
	} else if (b->chunk.last) {
		bdat_forget(s);
		s->state = SESSION_DATA; /* all of it was read */
		data_end(s);
	} else if (intake_refused(s->intake)) {
		end_refused(s);
	} else {
		/* No word of a delivery (W68). */
		(void)bytes_addf(stream_output(s->stream), "250 2.0.0 %llu octets received\r\n",
		    (unsigned long long)b->chunk.size);
		s->owing = true;
		s->closing |= stream_output(s->stream)->failed;
		s->state = SESSION_BDAT;
	}
}

bool bdat_input(struct session *s)
{
	struct bdat *b = s->bdat;
	struct slice in = stream_input(s->stream);

	if (b->chunk.left == 0) {
		end_chunk(s);
		return true;
	}
	if (in.n == 0 || (!b->failed && (data_filters_behind(s) || memory_waits(s))))
		return false;
	in = chunk_octets(&b->chunk, in);
	s->waiting = false;
	b->last_ms = clock_ms();
	if (!b->failed && intake_add(s, in) < 0) {
		session_bye(s, SLICE("421 4.3.0 Out of memory\r\n"));
		return false;
	}
	stream_take(s->stream, in.n);
	chunk_take(&b->chunk, in.n);
	return true;
}

/* W56. Between chunks the message goes on; only after an error there is none. */
int64_t bdat_deadline(const struct session *s)
{
	const struct patience *p = &s->worker->pressure.patience;
	const struct bdat *b = s->bdat;
	uint64_t rate = (uint64_t)s->settings->timeouts.min_data_rate;
	int64_t silence, whole;

	if (!b->failed)
		return data_deadline(s);
	if (s->state == SESSION_BDAT)
		return s->since_ms + p->command_s * 1000;
	silence = b->last_ms + p->data_s * 1000;
	whole = b->begun_ms + p->data_s * 1000 +
	    (int64_t)((b->chunk.size - b->chunk.left) * 1000 / rate);
	return silence < whole ? silence : whole;
}
