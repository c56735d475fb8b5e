#include "config.h"

#include "sink_session.h"

/* BDAT size [LAST] */
static bool parse(struct sink_session *s, struct slice arg)
{
	struct slice size = slice_cut(&arg, ' ');

	s->chunk.last = slice_ieq(arg, SLICE("LAST"));
	return slice_number(size, UINT64_MAX / 2, &s->chunk.size) == 0 &&
	    (s->chunk.last || arg.n == 0);
}

static void begin_content(struct sink_session *s)
{
	smtp_chunk_decode_start(&s->decoder);
	if (!bytes_add(&s->content, bytes_slice(&s->head)))
		err_set(&s->store_error, "out of memory");
	s->chunk.fault = sink_fault_take(s->sink, SINK_DATA);
}

void sink_bdat(struct sink_session *s, struct slice arg)
{
	const struct sink_fault *fault;

	if (s->state < SINK_ST_READY || !sink_offers(s->sink, SLICE("CHUNKING")) ||
	    !parse(s, arg)) {
		sink_reply(s, 521, "5.5.4", "No such chunk is taken here"); /* W60 */
		s->closing = true;
		return;
	}
	s->chunk.left = s->chunk.size;
	s->chunk.fault = NULL;
	s->chunk.refusal = NULL;
	if (s->state == SINK_ST_IN_RCPT)
		begin_content(s);
	else if (s->state != SINK_ST_IN_BDAT)
		s->chunk.refusal = "MAIL and RCPT must come first";
	s->state = SINK_ST_IN_CHUNK;
	fault = s->chunk.fault;
	if (fault != NULL && (fault->action == SINK_CLOSE || fault->action == SINK_STALL))
		sink_misbehave(s, fault);
}

void sink_chunk_data(struct sink_session *s, struct slice in, size_t *used)
{
	struct slice content;

	if (sink_fault(s, SINK_BODY))
		return;
	in = slice_sub(in, 0, s->chunk.left < in.n ? (size_t)s->chunk.left : in.n);
	*used = in.n;
	s->chunk.left -= in.n;
	if (s->chunk.failed || s->chunk.refusal != NULL || s->chunk.fault != NULL)
		return;
	if (smtp_chunk_decode(&s->decoder, in, &s->content, &content) < 0 ||
	    (content.p == in.p && !bytes_add(&s->content, content))) {
		sink_reply(s, 421, "4.3.0", "Out of memory");
		return;
	}
	sink_content_flush(s);
}

static void fail(struct sink_session *s)
{
	sink_reset(s);
	if (s->chunk.last)
		return;
	s->chunk.failed = true;
	s->state = SINK_ST_IN_BDAT;
}

void sink_chunk_end(struct sink_session *s)
{
	if (s->chunk.failed) {
		sink_reply(s, 551, "5.5.0", "Thrown away after an error"); /* W61 */
	} else if (s->chunk.refusal != NULL) {
		sink_reply(s, 503, "5.5.1", "%s", s->chunk.refusal);
	} else if (s->chunk.fault != NULL) {
		sink_misbehave(s, s->chunk.fault);
	} else if (!s->chunk.last) {
		s->state = SINK_ST_IN_BDAT;
		sink_reply(s, 250, "2.0.0", "%llu octets", (unsigned long long)s->chunk.size);
		return;
	} else {
		(void)smtp_chunk_decode_end(&s->decoder, &s->content);
		sink_content_end(s);
		return;
	}
	fail(s);
}
