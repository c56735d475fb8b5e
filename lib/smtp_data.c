#include "config.h"

#include "weir/smtp_data.h"

/*
 * Both directions pass over plain text in blocks, without looking at where its lines end; only
 * where something may have to change (a dot at the start of a line, a CR or LF without its other
 * half) a line is taken by itself, and then an octet.
 */
struct scan {
	const char *at, *end;
	const char *lf; /* the next LF, or end; stale, and looked up again, once `at` is past it */
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

#define BLOCK 128

/* Vectors as gcc and clang have them for every processor; where there are none of the size, of
 * smaller ones. */
typedef char vector __attribute__((vector_size(32)));

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* Bits of *odd turn where a CR is not followed by LF, an LF not preceded by CR, or an LF followed
 * by a dot. The octet behind the vector is looked at, too. */
ALWAYS_INLINE void look(const char *p, vector *odd)
{
	vector here, next;

	memcpy(&here, p, sizeof(here));
	memcpy(&next, p + 1, sizeof(next));
	*odd |= (here == '\r') ^ (next == '\n');
	*odd |= (here == '\n') & (next == '.');
}

/* Pass over blocks with nothing odd in them. */
ALWAYS_INLINE const char *skip(const char *at, const char *end)
{
	uint64_t any[sizeof(vector) / sizeof(uint64_t)];

	for (; end - at > BLOCK; at += BLOCK) {
		vector odd = { 0 };

		look(at, &odd);
		look(at + 32, &odd);
		look(at + 64, &odd);
		look(at + 96, &odd);
		memcpy(any, &odd, sizeof(any));
		if ((any[0] | any[1] | any[2] | any[3]) != 0)
			break;
	}
	return at;
}

#if defined(__x86_64__)
/* Half as many instructions where the processor has them. */
__attribute__((target("avx2"))) static const char *skip_avx2(const char *at, const char *end)
{
	return skip(at, end);
}

static const char *skip_best(const char *at, const char *end)
{
	return __builtin_cpu_supports("avx2") ? skip_avx2(at, end) : skip(at, end);
}
#else
static const char *skip_best(const char *at, const char *end)
{
	return skip(at, end);
}
#endif

/* Blocks may cut a CR LF in two: then the CR is left as well. */
static void skip_blocks(struct scan *s)
{
	const char *from = s->at;

	if (*from == '\n' || s->end - from <= BLOCK)
		return;
	s->at = skip_best(from, s->end);
	if (s->at > from && s->at[-1] == '\r')
		s->at--;
}

/* Move on over text and CR LF; stop before a dot that follows a CR LF, before a bare LF, and before
 * a CR that is bare or the last octet. The LF is kept between calls: a line of bare CRs would else
 * cost its length for each of them. */
static void scan_plain(struct scan *s)
{
	while (s->at < s->end) {
		const char *cr;

		skip_blocks(s);
		if (s->lf == NULL || s->lf < s->at)
			s->lf = find_or_end(s->at, '\n', s->end);
		cr = find_or_end(s->at, '\r', s->lf);
		if (cr == s->lf || s->lf == s->end || cr + 1 != s->lf) {
			s->at = cr;
			return;
		}
		s->at = s->lf + 1;
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
enum { BARE_CR = 1, BARE_LF = 2, DOT = 4, SELF = 8 };

/* What an octet does: the next state, what goes out before it, and whether it goes out itself. */
static const struct step {
	enum state next;
	unsigned flags;
	const char *out;
} steps[ENDED][4] = {
	[AFTER_CRLF] = { { IN_LINE_CR, 0, "" }, { AFTER_LF, BARE_LF, "\r\n" }, { CRLF_DOT, 0, "" },
	    { IN_LINE, SELF, "" } },
	[AFTER_LF] = { { IN_LINE_CR, 0, "" }, { AFTER_LF, BARE_LF, "\r\n" }, { LF_DOT, 0, "" },
	    { IN_LINE, SELF, "" } },
	[CRLF_DOT] = { { CRLF_DOT_CR, 0, "" }, { AFTER_LF, BARE_LF, "" },
	    { IN_LINE, DOT | SELF, "" }, { IN_LINE, SELF, "" } },
	[LF_DOT] = { { LF_DOT_CR, 0, "" }, { AFTER_LF, BARE_LF, "" }, { IN_LINE, DOT | SELF, "" },
	    { IN_LINE, SELF, "" } },
	[CRLF_DOT_CR] = { { IN_LINE_CR, BARE_CR, " " }, { ENDED, 0, "" },
	    { IN_LINE, BARE_CR | SELF, " " }, { IN_LINE, BARE_CR | SELF, " " } },
	[LF_DOT_CR] = { { IN_LINE_CR, BARE_CR, " " }, { AFTER_CRLF, 0, "" },
	    { IN_LINE, BARE_CR | SELF, " " }, { IN_LINE, BARE_CR | SELF, " " } },
	[IN_LINE] = { { IN_LINE_CR, 0, "" }, { AFTER_LF, BARE_LF, "\r\n" }, { IN_LINE, SELF, "" },
	    { IN_LINE, SELF, "" } },
	[IN_LINE_CR] = { { IN_LINE_CR, BARE_CR, " " }, { AFTER_CRLF, 0, "\r\n" },
	    { IN_LINE, BARE_CR | SELF, " " }, { IN_LINE, BARE_CR | SELF, " " } },
};

static enum octet octet_class(char c)
{
	return c == '\r' ? OCTET_CR : c == '\n' ? OCTET_LF : c == '.' ? OCTET_DOT : OCTET_OTHER;
}

/* In chunks the start of a line is a place like any other. */
static void enter(struct smtp_data_decoder *d, enum state state)
{
	d->open = state != AFTER_CRLF && state != AFTER_LF;
	d->state = d->chunks && !d->open ? IN_LINE : state;
}

/* What came out: one run of the octets that went in, as long as that is all of it; else it is
 * copied to out. */
struct outcome {
	struct slice run;
	struct bytes *out;
	size_t held; /* octets of out that were there before */
};

static bool spill(struct outcome *o)
{
	struct slice run = o->run;

	o->run = (struct slice){ 0 };
	return run.n == 0 || bytes_add(o->out, run);
}

static bool put_run(struct outcome *o, struct slice octets)
{
	if (o->run.n == 0 && o->out->n == o->held)
		o->run = octets;
	else if (o->run.n > 0 && octets.p == o->run.p + o->run.n)
		o->run.n += octets.n;
	else
		return spill(o) && bytes_add(o->out, octets);
	return true;
}

static bool decode_octet(struct smtp_data_decoder *d, char c, struct outcome *o)
{
	const struct step *step = &steps[d->state][octet_class(c)];

	enter(d, step->next);
	d->bare_cr |= (step->flags & BARE_CR) != 0;
	d->bare_lf |= (step->flags & BARE_LF) != 0;
	d->dots |= (step->flags & DOT) != 0;
	d->bare += (step->flags & (BARE_CR | BARE_LF)) != 0;
	if (step->out[0] == '\0' && (step->flags & SELF) == 0)
		return true;
	return spill(o) && bytes_add(o->out, slice_z(step->out)) &&
	    ((step->flags & SELF) == 0 || bytes_addc(o->out, c));
}

static bool decode_run(struct smtp_data_decoder *d, struct scan *s, struct outcome *o)
{
	const char *from = s->at;

	if (d->state != IN_LINE && d->state != AFTER_CRLF && d->state != AFTER_LF)
		return true;
	if (d->state != IN_LINE && *from == '.')
		return true;
	do { /* in chunks a dot ends a scan and means nothing, but to who sends it on */
		d->dots |= d->chunks && *s->at == '.';
		scan_plain(s);
	} while (d->chunks && s->at < s->end && *s->at == '.');
	if (s->at == from)
		return true;
	enter(d, s->at[-1] == '\n' ? AFTER_CRLF : IN_LINE);
	return put_run(o, slice_of(from, (size_t)(s->at - from)));
}

void smtp_data_decode_start(struct smtp_data_decoder *d)
{
	*d = (struct smtp_data_decoder){ .state = AFTER_CRLF };
}

int smtp_data_take(struct smtp_data_decoder *d, struct slice in, size_t *used, struct bytes *out,
    struct slice *content)
{
	struct smtp_data_decoder was = *d;
	struct scan s = scan_start(in);
	struct outcome o = { .out = out, .held = out->n };

	*used = 0;
	while (s.at < s.end && d->state != ENDED) {
		if (!decode_run(d, &s, &o) || (s.at < s.end && !decode_octet(d, *s.at++, &o))) {
			*d = was;
			if (out->p != NULL)
				out->p[out->n = o.held] = '\0';
			return -1;
		}
	}
	*used = (size_t)(s.at - in.p);
	d->wire_bytes += *used;
	d->nul = d->nul || (*used > 0 && memchr(in.p, '\0', *used) != NULL);
	*content = o.run.n > 0 ? o.run : slice_sub(bytes_slice(out), o.held, out->n);
	return d->state == ENDED;
}

int smtp_data_decode(struct smtp_data_decoder *d, struct slice in, size_t *used, struct bytes *out)
{
	struct smtp_data_decoder was = *d;
	size_t held = out->n;
	struct slice content;
	int rc = smtp_data_take(d, in, used, out, &content);

	if (rc < 0 || out->n > held || bytes_add(out, content))
		return rc;
	*d = was;
	*used = 0;
	return -1;
}

void smtp_chunk_decode_start(struct smtp_data_decoder *d)
{
	*d = (struct smtp_data_decoder){ .state = IN_LINE, .chunks = true };
}

int smtp_chunk_decode(
    struct smtp_data_decoder *d, struct slice in, struct bytes *out, struct slice *content)
{
	size_t used;

	return smtp_data_take(d, in, &used, out, content);
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
