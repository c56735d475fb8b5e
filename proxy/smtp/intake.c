#include "config.h"

#include "findings.h"
#include "identity.h"
#include "intake.h"

#include <stdlib.h>
#include <time.h>

#include "proxy/listen/front.h"
#include "proxy/received.h"
#include "proxy/smtp/auth.h"
#include "weir/log.h"
#include "weir/smtp_data.h"

/* Fields of one header section. Each costs some eighty octets beside its own, and a filter's edits
 * are looked up among them; honest messages have some dozens. Fewer than EDITS_MAX: a filter that
 * takes away every field a client sent must not fail for it, and perhaps let the message pass. */
#define FIELDS_MAX 12000
/* What a field costs beside its octets: its place among them, and the allocator's head. */
#define FIELD_COST (sizeof(struct mail_field) + 16)

struct intake {
	struct smtp_data_decoder decoder;
	struct slice section; /* header section in hand; field, line and looked lie in it */
	struct bytes header;  /* the field in hand, as long as its end is not seen */
	size_t field;         /* where the field in hand begins */
	size_t line;          /* where the line in hand begins */
	size_t looked;        /* no line end before this */
	size_t room;          /* how much longer the header section may become */
	bool in_body, refused, ended;
	uint64_t bytes; /* of content; Received counts as well (W75) */
	size_t fields;  /* octets of memory that the fields take */
	int64_t received_fields;
	int64_t begun_ms, last_ms;
	int code; /* of the refusal, whose texts are literals */
	const char *enhanced, *text;
};

struct intake *intake_new(struct session *s, bool chunks)
{
	struct intake *c = malloc(sizeof(*c));

	if (c == NULL)
		return NULL;
	c->header = (struct bytes){ 0 };
	c->room = (size_t)s->settings->limits.header_bytes;
	c->field = c->line = c->looked = 0;
	c->in_body = c->refused = c->ended = false;
	c->bytes = 0;
	c->fields = 0;
	c->received_fields = 0;
	c->begun_ms = c->last_ms = clock_ms();
	if (chunks)
		smtp_chunk_decode_start(&c->decoder);
	else
		smtp_data_decode_start(&c->decoder);
	return c;
}

void intake_free(struct intake **c)
{
	if (*c == NULL)
		return;
	bytes_free(&(*c)->header);
	free(*c);
	*c = NULL;
}

bool intake_refused(const struct intake *c)
{
	return c->refused;
}

bool intake_ended(const struct intake *c)
{
	return c->ended;
}

uint64_t intake_bytes(const struct intake *c)
{
	return c != NULL ? c->bytes : 0;
}

void intake_excuse(struct intake *c, int64_t ms)
{
	c->begun_ms += ms;
	c->last_ms += ms;
}

/* W56: each read within data_s, and the whole no slower than min_data_rate. */
int64_t intake_deadline(const struct intake *c, int64_t data_s, int64_t rate)
{
	int64_t silence = c->last_ms + data_s * 1000;
	int64_t whole = c->begun_ms + data_s * 1000 +
	    (int64_t)(c->decoder.wire_bytes * 1000 / (uint64_t)rate);

	return silence < whole ? silence : whole;
}

static void refuse(struct session *s, int code, const char *enhanced, const char *text)
{
	struct intake *c = s->intake;

	if (c->refused)
		return;
	c->refused = true;
	c->code = code;
	c->enhanced = enhanced;
	c->text = text;
	/* Nothing of it will be wanted any more. */
	bytes_free(&c->header);
	spool_free(&s->mail.body);
}

static void refuse_memory(struct session *s)
{
	refuse(s, 451, "4.3.0", "Out of memory, try again later");
}

void intake_give_up(struct session *s)
{
	refuse(s, 452, "4.3.1", "Insufficient system storage, try again later");
	/* What filters have not read yet is given up as well; they read the fields in place. */
	if (session_filtered(s))
		chain_abort(s->chain);
	mail_drop_fields(&s->mail);
	s->intake->fields = 0;
}

size_t intake_memory(const struct intake *c)
{
	return c != NULL ? c->header.cap + c->fields : 0;
}

bool intake_in_header(const struct intake *c)
{
	return !c->in_body;
}

/* ---- header section ----------------------------------------------------------------------- */

static void add_field(struct session *s)
{
	struct intake *c = s->intake;
	struct slice line = slice_sub(c->section, c->field, c->line - c->field);
	const struct mail_field *f;

	if (line.n == 0)
		return;
	if (s->mail.field_count >= FIELDS_MAX) {
		refuse(s, 552, "5.3.4", "Too many header fields");
		return;
	}
	if (!mail_insert_field(&s->mail, s->mail.field_count, line)) {
		refuse_memory(s);
		return;
	}
	c->fields += FIELD_COST + line.n;
	f = &s->mail.fields[s->mail.field_count - 1];
	c->received_fields += slice_ieq(slice_of(f->line, f->name_n), SLICE("Received"));
}

static void add_received(struct session *s)
{
	char text[RECEIVED_MAX];
	struct buf b = BUF_ON(text);
	struct tls_facts facts;
	struct tls_peer peer;
	struct received r = { .helo = slice_z(s->helo),
		.client_name = slice_z(identity_name(s)),
		.by = slice_z(s->settings->hostname),
		.id = slice_z(s->mail.id),
		.client = &s->client,
		.esmtp = s->esmtp,
		.utf8 = s->utf8,
		.tls_in_front = s->front != NULL && s->front->tls,
		.when = time(NULL) };

	r.authenticated = auth_good(s);
	if (s->secured) {
		facts = tls_facts_of(stream_ssl(s->stream));
		r.tls = &facts;
	}
	if (s->secured && facts.certificate) {
		tls_peer_of(stream_ssl(s->stream), &peer);
		r.certificate = peer.common_name;
	}
	if (s->mail.recipient_count == 1)
		r.only_recipient = slice_z(s->mail.recipients[0].address);
	text[0] = '\0';
	received_write(&r, &b);
	if (b.cut || !mail_insert_field(&s->mail, 0, buf_slice(&b))) {
		refuse_memory(s);
		return;
	}
	s->mail.own_received = true;
	s->intake->bytes += b.n;
}

static void end_header(struct session *s, bool separator)
{
	struct intake *c = s->intake;

	c->in_body = true;
	s->mail.separator = separator;
	if (c->received_fields > s->settings->limits.received_fields) {
		refuse(s, 554, "5.4.6", "Too many hops"); /* W103 */
		return;
	}
	if (s->settings->received)
		add_received(s);
	s->mail.body = spool_new(s->settings->spool.directory,
	    s->worker->pressure.memory == MEMORY_EASY ? (size_t)s->settings->spool.memory_bytes
						      : 0);
	if (s->mail.body == NULL)
		refuse_memory(s);
	if (!c->refused && session_filtered(s) && !s->discard)
		chain_header(s->chain, &s->mail);
}

static void add_body(struct session *s, struct slice octets)
{
	struct err e;

	if (octets.n == 0)
		return;
	if ((s->worker->pressure.memory != MEMORY_EASY && spool_spill(s->mail.body, &e) < 0) ||
	    spool_add(s->mail.body, octets, &e) < 0) {
		log_event(LOG_LEVEL_ERROR, "spool", "id", s->mail.id, "error", e.text, NULL);
		intake_give_up(s);
		return;
	}
	if (session_filtered(s) && !s->discard && !chain_decided(s->chain))
		chain_body(s->chain, octets);
}

/* RFC 5322 2.2: printable ASCII but the colon, then perhaps blanks (obsolete), then the colon. */
static bool field_begins(struct slice line)
{
	size_t n = 0;

	while (n < line.n && line.p[n] > ' ' && line.p[n] < 127 && line.p[n] != ':')
		n++;
	if (n == 0)
		return false;
	while (n < line.n && (line.p[n] == ' ' || line.p[n] == '\t'))
		n++;
	return n < line.n && line.p[n] == ':';
}

/* One whole line of what may be header, and where the next begins. */
static void header_line(struct session *s, struct slice line)
{
	struct intake *c = s->intake;
	size_t begins = c->line;

	c->looked = begins + line.n;
	if (line.n > 2 && (line.p[0] == ' ' || line.p[0] == '\t') && c->field < begins) {
		c->line = c->looked; /* the field goes on */
		return;
	}
	add_field(s);
	c->field = begins;
	c->line = c->looked;
	if (c->refused || (line.n > 2 && field_begins(line)))
		return;
	/* An empty line; or a line that is no field: then the body begins with it, behind the empty
	 * line that its author forgot. Without it readers differ in where the header section ends,
	 * and what the filters took for body would be header fields to the next hop.
	 */
	if (line.n > 2)
		c->line = begins;
	end_header(s, true);
}

/* Keep the field in hand until the rest of it comes. */
static void keep_field(struct session *s)
{
	struct intake *c = s->intake;
	struct slice rest = slice_sub(c->section, c->field, c->section.n);

	if (c->header.n == 0) {
		if (!bytes_add(&c->header, rest))
			refuse_memory(s);
	} else if (c->field > 0) {
		memmove(c->header.p, rest.p, rest.n);
		c->header.n = rest.n;
	}
	c->line -= c->field;
	c->looked -= c->field;
	c->field = 0;
}

static void add_header(struct session *s, struct slice octets)
{
	struct intake *c = s->intake;
	struct slice head = slice_sub(octets, 0, c->room);
	struct slice rest = slice_sub(octets, head.n, octets.n);

	c->room -= head.n;
	c->section = head;
	if (c->header.n > 0) {
		if (!bytes_add(&c->header, head)) {
			refuse_memory(s);
			return;
		}
		c->section = bytes_slice(&c->header);
	}
	while (!c->refused && !c->in_body) {
		struct slice unseen = slice_sub(c->section, c->looked, c->section.n);
		size_t end = slice_find(unseen, '\n');

		if (end == unseen.n)
			break;
		header_line(s, slice_sub(c->section, c->line, c->looked + end + 1 - c->line));
	}
	if (c->refused)
		return;
	if (c->in_body) {
		add_body(s, slice_sub(c->section, c->line, c->section.n));
		bytes_free(&c->header);
		if (!c->refused)
			add_body(s, rest);
	} else if (rest.n > 0) {
		refuse(s, 552, "5.3.4", "Header section too big");
	} else {
		c->looked = c->section.n;
		keep_field(s);
	}
}

/* ---- the whole ---------------------------------------------------------------------------- */

static void add(struct session *s, struct slice octets)
{
	struct intake *c = s->intake;

	c->bytes += octets.n;
	if (c->refused)
		return;
	if (c->in_body)
		add_body(s, octets);
	else
		add_header(s, octets);
	if (c->bytes > s->message_max)
		refuse(s, 552, "5.3.4", "Message too big");
	memory_count(s);
}

int intake_take(struct session *s, struct slice in, size_t *used)
{
	struct bytes *decoded = &s->worker->scratch;
	struct slice content;
	int rc;

	bytes_clear(decoded);
	s->intake->last_ms = clock_ms();
	rc = smtp_data_take(&s->intake->decoder, in, used, decoded, &content);
	if (rc >= 0)
		add(s, content);
	return rc;
}

/* Each message has its own line: the policy may be to be changed for this client. */
static void note_newlines(struct session *s)
{
	static const char *const policies[] = { [BARE_NEWLINE_NORMALIZE] = "normalize",
		[BARE_NEWLINE_REJECT] = "reject",
		[BARE_NEWLINE_NOTE] = "note" };
	const struct smtp_data_decoder *d = &s->intake->decoder;

	struct log_line l;

	found(s, FOUND_BARE_NEWLINE);
	s->bare_newlines += d->bare;
	log_begin(&l, LOG_LEVEL_INFO, "bare_newline");
	if (!l.wanted)
		return;
	log_z(&l, "id", s->mail.id);
	log_z(&l, "client", s->client_text);
	log_z(&l, "what", d->bare_cr && d->bare_lf ? "cr,lf" : d->bare_cr ? "cr" : "lf");
	log_int(&l, "count", (int64_t)d->bare);
	log_int(&l, "session_count", (int64_t)s->bare_newlines);
	log_z(&l, "policy", policies[s->bare_newline]);
	log_end(&l);
}

int intake_add(struct session *s, struct slice in)
{
	struct bytes *decoded = &s->worker->scratch;
	struct slice content;

	bytes_clear(decoded);
	s->intake->last_ms = clock_ms();
	if (smtp_chunk_decode(&s->intake->decoder, in, decoded, &content) < 0)
		return -1;
	add(s, content);
	return 0;
}

/* Chunks may end anywhere: a last CR is bare, and a header section is of whole lines (W13). */
static void complete(struct session *s)
{
	struct bytes *decoded = &s->worker->scratch;
	struct intake *c = s->intake;

	bytes_clear(decoded);
	if (!c->decoder.chunks)
		return;
	if (smtp_chunk_decode_end(&c->decoder, decoded) < 0)
		refuse_memory(s);
	else if (decoded->n > 0)
		add(s, bytes_slice(decoded));
	if (!c->refused && !c->in_body && c->line < c->header.n)
		add(s, SLICE("\r\n"));
}

bool intake_close(struct session *s, struct smtp_reply *refusal)
{
	struct intake *c = s->intake;

	c->ended = true;
	complete(s);
	if (c->decoder.bare_cr || c->decoder.bare_lf)
		note_newlines(s);
	if (c->decoder.nul)
		found(s, FOUND_NUL);
	if (!c->refused && !c->in_body) {
		c->section = bytes_slice(&c->header);
		add_field(s);
		bytes_free(&c->header);
		if (!c->refused)
			end_header(s, false);
	}
	if (c->bytes > s->message_max)
		refuse(s, 552, "5.3.4", "Message too big"); /* our own field may have come last */
	if (s->bare_newline == BARE_NEWLINE_REJECT && (c->decoder.bare_cr || c->decoder.bare_lf))
		refuse(s, 550, "5.5.2", "A CR or LF stands alone in the message");
	if (!c->refused) {
		if (!c->decoder.dots && !(c->decoder.chunks && c->decoder.open))
			spool_set_plain(s->mail.body);
		return true;
	}
	smtp_reply_set(refusal, c->code, c->enhanced, "%s", c->text);
	return false;
}
