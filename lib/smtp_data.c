#include "config.h"

#include "weir/smtp_data.h"

/*
 * Both directions walk plain lines with memchr and copy them as one run; only the octets where
 * something may have to change (a dot at the start of a line, a CR or LF without its other half)
 * are looked at one by one.
 */
struct scan {
	const char *at, *end;
	const char *lf; /* the next LF, or end; stale, and looked up again, once `at` is past it */
	uint64_t lines; /* passed */
};

static struct scan scan_start(struct slice in)
{
	return (struct scan){ .at = in.p, .end = in.n > 0 ? in.p + in.n : in.p };
}

static const char *find_or_end(const char *p, char c, const char *end)
{
	const char *at = memchr(p, c, (size_t)(end - p));

	return at != NULL ? at : end;
}

/* Move on over text and CR LF; stop before a dot that follows a CR LF, before a bare LF, and before
 * a CR that is bare or the last octet. The LF is kept between calls: a line of bare CRs would else
 * cost its length for each of them. */
static void scan_plain(struct scan *s)
{
	while (s->at < s->end) {
		const char *cr;

		if (s->lf == NULL || s->lf < s->at)
			s->lf = find_or_end(s->at, '\n', s->end);
		cr = find_or_end(s->at, '\r', s->lf);
		if (cr == s->lf || s->lf == s->end || cr + 1 != s->lf) {
			s->at = cr;
			return;
		}
		s->at = s->lf + 1;
		s->lines++;
		if (s->at < s->end && *s->at == '.')
			return;
	}
}

/* Where the decoder stands. After a line that a bare LF ended, no dot ends the data. */
enum state {
	AFTER_CRLF,
	AFTER_LF,
	CRLF_DOT,
	LF_DOT,
	CRLF_DOT_CR,
	LF_DOT_CR,
	IN_LINE,
	IN_LINE_CR,
	ENDED,
};
enum octet { OCTET_CR, OCTET_LF, OCTET_DOT, OCTET_OTHER };
enum { BARE_CR = 1, BARE_LF = 2, LINE = 4, SELF = 8 };

/* What an octet does: the next state, what goes out before it, and whether it goes out itself. */
static const struct step {
	enum state next;
	unsigned flags;
	const char *out;
} steps[ENDED][4] = {
	[AFTER_CRLF] = { { IN_LINE_CR, 0, "" }, { AFTER_LF, BARE_LF | LINE, "\r\n" },
	    { CRLF_DOT, 0, "" }, { IN_LINE, SELF, "" } },
	[AFTER_LF] = { { IN_LINE_CR, 0, "" }, { AFTER_LF, BARE_LF | LINE, "\r\n" },
	    { LF_DOT, 0, "" }, { IN_LINE, SELF, "" } },
	[CRLF_DOT] = { { CRLF_DOT_CR, 0, "" }, { AFTER_LF, BARE_LF, "" }, { IN_LINE, SELF, "" },
	    { IN_LINE, SELF, "" } },
	[LF_DOT] = { { LF_DOT_CR, 0, "" }, { AFTER_LF, BARE_LF, "" }, { IN_LINE, SELF, "" },
	    { IN_LINE, SELF, "" } },
	[CRLF_DOT_CR] = { { IN_LINE_CR, BARE_CR, " " }, { ENDED, 0, "" },
	    { IN_LINE, BARE_CR | SELF, " " }, { IN_LINE, BARE_CR | SELF, " " } },
	[LF_DOT_CR] = { { IN_LINE_CR, BARE_CR, " " }, { AFTER_CRLF, 0, "" },
	    { IN_LINE, BARE_CR | SELF, " " }, { IN_LINE, BARE_CR | SELF, " " } },
	[IN_LINE] = { { IN_LINE_CR, 0, "" }, { AFTER_LF, BARE_LF | LINE, "\r\n" },
	    { IN_LINE, SELF, "" }, { IN_LINE, SELF, "" } },
	[IN_LINE_CR] = { { IN_LINE_CR, BARE_CR, " " }, { AFTER_CRLF, LINE, "\r\n" },
	    { IN_LINE, BARE_CR | SELF, " " }, { IN_LINE, BARE_CR | SELF, " " } },
};

static enum octet octet_class(char c)
{
	return c == '\r' ? OCTET_CR : c == '\n' ? OCTET_LF : c == '.' ? OCTET_DOT : OCTET_OTHER;
}

/* In chunks the start of a line is a place like any other. */
static void enter(struct smtp_data_decoder *d, enum state state)
{
	d->state = d->chunks && (state == AFTER_CRLF || state == AFTER_LF) ? IN_LINE : state;
}

static bool decode_octet(struct smtp_data_decoder *d, char c, struct bytes *out)
{
	const struct step *step = &steps[d->state][octet_class(c)];

	enter(d, step->next);
	d->bare_cr |= (step->flags & BARE_CR) != 0;
	d->bare_lf |= (step->flags & BARE_LF) != 0;
	d->bare += (step->flags & (BARE_CR | BARE_LF)) != 0;
	d->lines += (step->flags & LINE) != 0;
	return (step->out[0] == '\0' || bytes_add(out, slice_z(step->out))) &&
	    ((step->flags & SELF) == 0 || bytes_addc(out, c));
}

static bool decode_run(struct smtp_data_decoder *d, struct scan *s, struct bytes *out)
{
	const char *from = s->at;

	if (d->state != IN_LINE && d->state != AFTER_CRLF && d->state != AFTER_LF)
		return true;
	if (d->state != IN_LINE && *from == '.')
		return true;
	scan_plain(s);
	if (s->at == from)
		return true;
	enter(d, s->at[-1] == '\n' ? AFTER_CRLF : IN_LINE);
	return bytes_add(out, slice_of(from, (size_t)(s->at - from)));
}

void smtp_data_decode_start(struct smtp_data_decoder *d)
{
	*d = (struct smtp_data_decoder){ .state = AFTER_CRLF };
}

int smtp_data_decode(struct smtp_data_decoder *d, struct slice in, size_t *used, struct bytes *out)
{
	struct smtp_data_decoder was = *d;
	struct scan s = scan_start(in);
	size_t held = out->n;

	*used = 0;
	while (s.at < s.end && d->state != ENDED) {
		if (!decode_run(d, &s, out) || (s.at < s.end && !decode_octet(d, *s.at++, out))) {
			*d = was;
			if (out->p != NULL)
				out->p[out->n = held] = '\0';
			return -1;
		}
	}
	*used = (size_t)(s.at - in.p);
	d->wire_bytes += *used;
	d->lines += s.lines;
	d->nul = d->nul || (*used > 0 && memchr(in.p, '\0', *used) != NULL);
	return d->state == ENDED;
}

void smtp_chunk_decode_start(struct smtp_data_decoder *d)
{
	*d = (struct smtp_data_decoder){ .state = IN_LINE, .chunks = true };
}

/* A dot at the start of a line stops a scan, and means nothing here. */
static bool all_plain(struct scan *s)
{
	do
		scan_plain(s);
	while (s->at < s->end && *s->at == '.');
	return s->at == s->end;
}

int smtp_chunk_decode(
    struct smtp_data_decoder *d, struct slice in, struct bytes *out, struct slice *content)
{
	struct scan s = scan_start(in);
	size_t used, held = out->n;

	*content = in;
	if (d->state != IN_LINE || !all_plain(&s)) {
		if (smtp_data_decode(d, in, &used, out) < 0)
			return -1;
		*content = slice_sub(bytes_slice(out), held, out->n);
		return 0;
	}
	d->wire_bytes += in.n;
	d->lines += s.lines;
	d->nul = d->nul || (in.n > 0 && memchr(in.p, '\0', in.n) != NULL);
	return 0;
}

int smtp_chunk_decode_end(struct smtp_data_decoder *d, struct bytes *out)
{
	if (d->state != IN_LINE_CR)
		return 0;
	d->state = IN_LINE;
	d->bare_cr = true;
	d->bare++;
	return bytes_addc(out, ' ') ? 0 : -1;
}

/* The longest run of plain lines, after the dot that its first line may need. */
static void encode_run(struct smtp_data_encoder *d, struct scan *s, struct bytes *out)
{
	const char *from = s->at;

	if (!d->in_line && *from == '.')
		(void)bytes_addc(out, '.');
	scan_plain(s);
	if (s->at == from)
		return;
	d->in_line = s->at[-1] != '\n';
	(void)bytes_add(out, slice_of(from, (size_t)(s->at - from)));
}

/* A CR that turned out to be bare. */
static void encode_bare_cr(struct smtp_data_encoder *d, struct bytes *out)
{
	(void)bytes_addc(out, ' ');
	d->in_line = true;
	d->cr = false;
}

void smtp_data_encode(struct smtp_data_encoder *d, struct slice in, struct bytes *out)
{
	struct scan s = scan_start(in);

	while (s.at < s.end) {
		if (d->cr && *s.at != '\n')
			encode_bare_cr(d, out);
		if (!d->cr)
			encode_run(d, &s, out);
		if (s.at == s.end)
			return;
		if (*s.at == '\r') {
			d->cr = true;
			s.at++;
		} else if (*s.at == '\n') {
			(void)bytes_add(out, SLICE("\r\n"));
			d->in_line = d->cr = false;
			s.at++;
		} /* else a dot begins the next line, and the next run stuffs it */
	}
}

void smtp_data_encode_end(struct smtp_data_encoder *d, struct bytes *out)
{
	if (d->cr)
		encode_bare_cr(d, out);
	if (d->in_line)
		(void)bytes_add(out, SLICE("\r\n"));
	(void)bytes_add(out, SLICE(".\r\n"));
	*d = (struct smtp_data_encoder){ 0 };
}
