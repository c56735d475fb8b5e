/*
 * mime - the structure of a body (RFC 2046): one pass over its lines with a stack of open
 * multiparts, no recursion. What broken mail leaves open is read as mail programs read it, so that
 * nothing is shown to the reader which was hidden from us.
 */
#include "config.h"

#include "milterd/message/anomaly.h"
#include "milterd/message/inside.h"

enum { BOUNDARY_MAX = 256, BUCKETS = 64 }; /* RFC 2046 allows 70 */

struct level {
	struct part *part;
	struct slice boundary;
	uint32_t hash;
	int below; /* the next outer level in the same bucket, or -1 */
	bool closed, seen;
};

enum state { IN_HEADER, IN_BODY, IN_NOTHING }; /* nothing: preamble, epilogue, behind a limit */

struct walk {
	struct message *m;
	struct slice src;
	size_t at;            /* the next line */
	struct part *top;     /* of this source */
	struct part *current; /* the innermost open part */
	enum state state;
	size_t from; /* where current's header section or body begins */
	struct level levels[MESSAGE_DEPTH_MAX];
	int depth;             /* open levels */
	int buckets[BUCKETS];  /* the innermost level of each bucket, or -1 */
	struct part **encoded; /* messages to decode and to walk afterwards */
	size_t encoded_count;
};

struct part *part_next(const struct part *p)
{
	if (p->first != NULL)
		return p->first;
	while (p != NULL && p->next == NULL)
		p = p->parent;
	return p != NULL ? p->next : NULL;
}

static struct part *part_new(struct message *m, struct part *parent)
{
	struct part *p;

	if (m->part_count >= MESSAGE_PARTS_MAX) {
		anomaly_fail(m, ANOMALY_TOO_MANY_PARTS);
		return NULL;
	}
	if ((p = arena_take(&m->arena, sizeof(*p))) == NULL)
		return NULL;
	p->number = (unsigned)m->part_count++;
	p->type = p->charset = p->encoding = p->disposition = p->name = SLICE("");
	p->raw_body = p->body = SLICE("");
	p->leaf = true;
	p->parent = parent;
	if (parent == NULL)
		return p;
	p->depth = parent->depth + 1;
	if (parent->last != NULL)
		parent->last->next = p;
	else
		parent->first = p;
	parent->last = p;
	parent->leaf = false;
	return p;
}

/* ---- boundaries -------------------------------------------------------------------------- */

/* FNV-1a */
static uint32_t hash_of(struct slice s)
{
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < s.n; i++)
		hash = (hash ^ (unsigned char)s.p[i]) * 16777619u;
	return hash;
}

/* The level with that boundary: the innermost open one, else the innermost closed one; or -1. */
static int level_find(const struct walk *w, struct slice boundary)
{
	uint32_t hash;
	int closed = -1;

	if (boundary.n == 0 || boundary.n > BOUNDARY_MAX)
		return -1;
	hash = hash_of(boundary);
	for (int i = w->buckets[hash % BUCKETS]; i >= 0; i = w->levels[i].below) {
		if (w->levels[i].hash != hash || !slice_eq(w->levels[i].boundary, boundary))
			continue;
		if (!w->levels[i].closed)
			return i;
		if (closed < 0)
			closed = i;
	}
	return closed;
}

static void level_push(struct walk *w, struct part *part, struct slice boundary)
{
	struct level *l = &w->levels[w->depth];
	int *bucket;

	*l = (struct level){ .part = part, .boundary = boundary, .hash = hash_of(boundary) };
	if (level_find(w, boundary) >= 0)
		anomaly_add(w->m, ANOMALY_BOUNDARY_REUSED);
	bucket = &w->buckets[l->hash % BUCKETS];
	l->below = *bucket;
	*bucket = w->depth++;
}

static void level_pop(struct walk *w)
{
	struct level *l = &w->levels[--w->depth];

	w->buckets[l->hash % BUCKETS] = l->below;
	if (!l->seen)
		anomaly_add(w->m, ANOMALY_BOUNDARY_UNSEEN);
	else if (!l->closed)
		anomaly_add(w->m, ANOMALY_BOUNDARY_UNCLOSED);
	/* What nobody can take apart is shown as text. */
	if (!l->seen && l->part->leaf)
		l->part->type = SLICE("text/plain");
}

static struct slice trim_end(struct slice s)
{
	while (s.n > 0 && ascii_space(s.p[s.n - 1]))
		s.n--;
	return s;
}

/* delimiter := "--" boundary; close-delimiter := delimiter "--" (RFC 2046 5.1.1), blanks may
 * follow. The level, or -1. */
static int delimiter_match(struct walk *w, struct slice text, bool *close)
{
	int level = level_find(w, text);

	*close = false;
	if (level >= 0 || text.n < 3 || text.p[text.n - 1] != '-' || text.p[text.n - 2] != '-')
		return level;
	*close = true;
	return level_find(w, slice_sub(text, 0, text.n - 2));
}

/* The same for a whole line that begins with "--". "It is sufficient that the boundary appear in
 * its entirety" (5.1.1), but one boundary may be the beginning of another: so what follows it must
 * be set apart by a blank. */
static int delimiter_find(struct walk *w, struct slice line, bool *close)
{
	struct slice text = trim_end(slice_sub(line, 2, line.n));
	int level = delimiter_match(w, text, close);
	size_t n = 0;

	if (level >= 0)
		return level;
	while (n < text.n && n <= BOUNDARY_MAX + 2 && !is_blank(text.p[n]))
		n++;
	if (n >= text.n || (level = delimiter_match(w, slice_sub(text, 0, n), close)) < 0)
		return -1;
	anomaly_add(w->m, ANOMALY_BOUNDARY_TRAILER);
	return level;
}

/* A multipart without a boundary: the first line that looks like a delimiter tells it, unless it is
 * one of an outer multipart. */
static struct slice boundary_guess(struct walk *w, struct slice body)
{
	while (body.n > 0) {
		struct slice line = slice_cut(&body, '\n');
		bool close;

		if (!slice_starts(line, SLICE("--")))
			continue;
		if (delimiter_find(w, line, &close) >= 0)
			break;
		line = trim_end(slice_sub(line, 2, line.n));
		if (line.n > 0 && line.n <= 70 && slice_find(line, ' ') == line.n)
			return line;
	}
	return SLICE("");
}

/* ---- a part's header section ------------------------------------------------------------- */

/* Take one field with its folds off *s. False where the line is none: it is taken off as well. */
static bool field_take(struct slice *s, struct slice *name, struct slice *raw)
{
	struct slice rest = *s, field;

	do
		(void)slice_cut(&rest, '\n');
	while (rest.n > 0 && is_blank(rest.p[0]));
	field = slice_of(s->p, (size_t)(rest.p - s->p));
	*s = rest;
	if ((*name = field_name_of(field)).n == 0)
		return false;
	(void)slice_cut(&field, ':');
	if (field.n > 0 && field.p[field.n - 1] == '\n')
		field.n--;
	if (field.n > 0 && field.p[field.n - 1] == '\r')
		field.n--;
	*raw = field;
	return true;
}

static struct header_field *fields_room(struct message *m, struct slice header, size_t *cap)
{
	size_t lines = 0, left = MESSAGE_FIELDS_MAX - m->inner_fields;

	while (header.n > 0 && lines <= left) {
		if (!is_blank(header.p[0]))
			lines++;
		(void)slice_cut(&header, '\n');
	}
	if (lines > left)
		anomaly_fail(m, ANOMALY_HEADER_TOO_MANY);
	*cap = lines < left ? lines : left;
	m->inner_fields += *cap;
	return *cap > 0 ? arena_take(&m->arena, *cap * sizeof(struct header_field)) : NULL;
}

/* Read the fields of an inner part. The first line that is none may be text whose header section
 * was forgotten: then the body begins there. The octets of the header section. */
static size_t fields_read(struct walk *w, struct part *p, struct content *c, struct slice header)
{
	struct slice rest = header, name, raw = SLICE("");
	size_t cap, junk = header.n;
	bool content = false;

	p->fields = fields_room(w->m, header, &cap);
	while (rest.n > 0) {
		size_t at = (size_t)(rest.p - header.p);

		if (!field_take(&rest, &name, &raw)) {
			anomaly_add(w->m, ANOMALY_HEADER_NO_COLON);
			if (junk == header.n)
				junk = at;
			continue;
		}
		content |= content_field(w->m, p, c, name, raw);
		if (p->fields != NULL && p->field_count < cap)
			p->fields[p->field_count++] = (struct header_field){ .name = name,
				.raw = raw };
	}
	return content ? header.n : junk;
}

/* ---- the walk ---------------------------------------------------------------------------- */

/* The octets before `end`, without the line end that belongs to the delimiter. */
static void body_end(struct walk *w, struct part *p, size_t end, bool delimiter)
{
	const char *stop = w->src.p + end;

	if (delimiter && stop > p->raw_body.p && stop[-1] == '\n')
		stop--;
	if (delimiter && stop > p->raw_body.p && stop[-1] == '\r')
		stop--;
	p->raw_body.n = stop > p->raw_body.p ? (size_t)(stop - p->raw_body.p) : 0;
}

/* End all parts inside `outer` (NULL: all of this source). */
static void parts_end(struct walk *w, const struct part *outer, size_t end, bool delimiter)
{
	for (struct part *p = w->current; p != outer; p = p->parent) {
		body_end(w, p, end, delimiter);
		if (w->depth > 0 && w->levels[w->depth - 1].part == p)
			level_pop(w);
		if (p == w->top)
			break;
	}
}

static void part_start(struct walk *w, struct part *parent)
{
	struct part *p = part_new(w->m, parent);

	w->state = p != NULL ? IN_HEADER : IN_NOTHING;
	w->current = p != NULL ? p : parent;
	w->from = w->at;
}

static bool may_nest(struct walk *w, const struct part *p)
{
	if (p->depth + 1 < MESSAGE_DEPTH_MAX)
		return true;
	anomaly_fail(w->m, ANOMALY_TOO_DEEP);
	return false;
}

static void multipart_start(struct walk *w, struct part *p, struct content *c)
{
	struct slice boundary = c->boundary;

	if (boundary.n == 0 || boundary.n > BOUNDARY_MAX) {
		anomaly_add(w->m, ANOMALY_BOUNDARY_MISSING);
		boundary = boundary_guess(w, slice_sub(w->src, w->at, w->src.n));
	}
	if (boundary.n == 0) {
		p->type = SLICE("text/plain");
		return;
	}
	level_push(w, p, boundary);
	w->state = IN_NOTHING;
}

static void encoded_add(struct walk *w, struct part *p)
{
	if (w->encoded == NULL)
		w->encoded = arena_take(&w->m->arena, MESSAGE_PARTS_MAX * sizeof(struct part *));
	if (w->encoded != NULL)
		w->encoded[w->encoded_count++] = p;
}

/* current's header section is known, its body begins at `at`. */
static void body_start(struct walk *w, struct content *c)
{
	struct part *p = w->current;
	enum transfer transfer = transfer_of(p->encoding);
	bool encoded = transfer != TRANSFER_IDENTITY && transfer != TRANSFER_UNKNOWN;

	content_finish(w->m, p, c);
	p->raw_body = slice_of(w->src.p + w->at, 0);
	w->from = w->at;
	w->state = IN_BODY;
	if (!(c->multipart || c->message) || !may_nest(w, p))
		return;
	if (encoded)
		anomaly_add(w->m, ANOMALY_ENCODED_COMPOSITE);
	if (c->multipart)
		multipart_start(w, p, c);
	else if (encoded)
		encoded_add(w, p);
	else
		part_start(w, p);
}

/* The header section of an inner part ends before `end`; what follows begins at `next`. */
static void header_end(struct walk *w, size_t end, size_t next)
{
	struct content c = { 0 };
	struct slice header = slice_sub(w->src, w->from, end - w->from);
	size_t n = fields_read(w, w->current, &c, header);

	w->at = n < header.n ? w->from + n : next;
	body_start(w, &c);
}

static void delimiter_take(struct walk *w, int level, bool close, size_t line, size_t next)
{
	struct level *l = &w->levels[level];

	/* A part that ends before its body; one more if that is a message without any octet. */
	while (w->state == IN_HEADER)
		header_end(w, line, line);
	w->at = next;
	parts_end(w, l->part, line, true);
	w->current = l->part;
	w->state = IN_NOTHING;
	l->seen = true;
	l->part->leaf = false;
	if (close) {
		l->closed = true;
		return;
	}
	if (l->closed)
		anomaly_add(w->m, ANOMALY_AFTER_CLOSE);
	part_start(w, l->part);
}

/* Look at the line at `at` and go behind it. */
static void line_step(struct walk *w)
{
	size_t begin = w->at, next;
	const char *p = w->src.p + begin;
	const char *lf = memchr(p, '\n', w->src.n - begin);
	struct slice line;
	bool close;
	int level;

	next = lf != NULL ? (size_t)(lf + 1 - w->src.p) : w->src.n;
	w->at = next;
	line = slice_sub(w->src, begin, next - begin);
	if (line.n > 2 && p[0] == '-' && p[1] == '-' && w->depth > 0 &&
	    (level = delimiter_find(w, line, &close)) >= 0)
		delimiter_take(w, level, close, begin, next);
	else if (w->state == IN_HEADER && (p[0] == '\n' || (p[0] == '\r' && line.n == 2)))
		header_end(w, begin, next);
}

static void walk_start(struct walk *w, struct message *m, struct slice src)
{
	w->m = m;
	w->src = src;
	w->at = 0;
	w->depth = 0;
	w->state = IN_NOTHING;
	for (size_t i = 0; i < BUCKETS; i++)
		w->buckets[i] = -1;
}

static void walk_run(struct walk *w)
{
	/* Without an open multipart nothing ends a body but the end. */
	while (w->at < w->src.n && (w->depth > 0 || w->state == IN_HEADER))
		line_step(w);
	while (w->state == IN_HEADER)
		header_end(w, w->src.n, w->src.n);
	parts_end(w, NULL, w->src.n, false);
}

static void root_walk(struct walk *w, struct message *m)
{
	struct content c = { 0 };

	walk_start(w, m, slice_of(m->body.p != NULL ? m->body.p : "", m->body.n));
	if ((m->root = w->top = w->current = part_new(m, NULL)) == NULL)
		return;
	m->root->fields = m->fields;
	m->root->field_count = m->field_count;
	for (size_t i = 0; i < m->field_count; i++)
		(void)content_field(m, m->root, &c, m->fields[i].name, m->fields[i].raw);
	body_start(w, &c);
	walk_run(w);
}

/* ---- bodies ------------------------------------------------------------------------------ */

/* Base64 inside base64 shrinks, quoted-printable inside quoted-printable need not: what is decoded
 * in all is bounded by what came. */
static void body_decode(struct message *m, struct part *p)
{
	enum transfer transfer = transfer_of(p->encoding);

	if (transfer == TRANSFER_UNKNOWN)
		anomaly_add(m, ANOMALY_ENCODING_UNKNOWN);
	else if (transfer != TRANSFER_IDENTITY)
		m->decoded += p->raw_body.n;
	if (m->decoded > 3 * m->body.n) {
		anomaly_fail(m, ANOMALY_DECODED_TOO_LARGE);
		return;
	}
	p->body = transfer_decode(m, transfer, p->raw_body);
	if (p->body.p == NULL)
		p->body = SLICE("");
}

static void encoded_walk(struct walk *w, struct part *p)
{
	body_decode(w->m, p);
	walk_start(w, w->m, p->body);
	part_start(w, p);
	if ((w->top = w->current) != p)
		walk_run(w);
}

void mime_parse(struct message *m)
{
	struct walk w = { 0 };

	root_walk(&w, m);
	for (size_t i = 0; i < w.encoded_count; i++)
		encoded_walk(&w, w.encoded[i]);
	for (struct part *p = m->root; p != NULL; p = part_next(p))
		if (p->leaf)
			body_decode(m, p);
}
