/*
 * mailbox - the mailboxes of an address field (RFC 5322 3.4), in one pass over its unfolded text:
 * groups, comments, quoted strings, routes, and what broken software writes instead.
 */
#include "config.h"

#include "milterd/message/anomaly.h"
#include "milterd/message/inside.h"

enum { MAILBOXES_MAX = 1000 };

struct reader {
	struct message *m;
	struct slice in;
	size_t at;
	bool no_quote_end, no_comment_end; /* there is none ahead: a lone '"' or '(' is an octet */
	char *words, *angle, *comment;     /* of this element; each has room for the whole input */
	size_t words_n, angle_n, comment_n;
	bool in_angle, had_angle, literal; /* literal: inside [...] */
	bool blank;                        /* one stands before the next octet */
	struct mailbox *out;
	size_t n, cap;
};

static void put(struct reader *r, char c)
{
	if (r->in_angle)
		r->angle[r->angle_n++] = c;
	else
		r->words[r->words_n++] = c;
}

/* Blanks around '@' and '.' are not part of an address (RFC 5322 4.4); between words one is kept.
 */
static void put_blank(struct reader *r, char before)
{
	const char *text = r->in_angle ? r->angle : r->words;
	size_t n = r->in_angle ? r->angle_n : r->words_n;

	if (r->blank && n > 0 && !r->in_angle && before != '@' && text[n - 1] != '@')
		put(r, ' ');
	r->blank = false;
}

/* The index of the octet that ends what began before `at`, or in.n. */
static size_t quote_end(const struct reader *r, size_t at)
{
	while (at < r->in.n && r->in.p[at] != '"')
		at += r->in.p[at] == '\\' && at + 1 < r->in.n ? 2 : 1;
	return at < r->in.n ? at : r->in.n;
}

static size_t comment_end(const struct reader *r, size_t at)
{
	for (size_t depth = 1; at < r->in.n; at++) {
		if (r->in.p[at] == '\\')
			at++;
		else if (r->in.p[at] == '(')
			depth++;
		else if (r->in.p[at] == ')' && --depth == 0)
			return at;
	}
	return r->in.n;
}

/* A quoted string: its content among words; with its quotes where it is a local part. */
static bool quote_take(struct reader *r)
{
	size_t end = r->no_quote_end ? r->in.n : quote_end(r, r->at + 1), next = end + 1;
	bool local;

	if (end >= r->in.n) {
		r->no_quote_end = true;
		return false;
	}
	while (next < r->in.n && is_blank(r->in.p[next]))
		next++;
	local = r->in_angle || (next < r->in.n && r->in.p[next] == '@');
	put_blank(r, '"');
	if (local)
		put(r, '"');
	for (size_t i = r->at + 1; i < end; i++) {
		if (r->in.p[i] == '\\' && !local && i + 1 < end)
			i++;
		put(r, r->in.p[i]);
	}
	if (local)
		put(r, '"');
	r->at = end + 1;
	return true;
}

static bool comment_take(struct reader *r)
{
	size_t end = r->no_comment_end ? r->in.n : comment_end(r, r->at + 1);

	if (end >= r->in.n) {
		r->no_comment_end = true;
		return false;
	}
	r->comment_n = 0;
	for (size_t i = r->at + 1; i < end; i++) {
		if (r->in.p[i] == '\\' && i + 1 < end)
			i++;
		r->comment[r->comment_n++] = r->in.p[i];
	}
	r->at = end + 1;
	r->blank = true;
	return true;
}

/* ---- results ----------------------------------------------------------------------------- */

static bool is_atom_text(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= 32 || s.p[i] == 127 || strchr("()<>[]:;@\\,\"", s.p[i]) != NULL)
			return false;
	return s.n > 0;
}

/* Quotes that quote nothing are not part of the address. */
static struct slice local_part(struct slice s)
{
	s = slice_trim(s);
	if (s.n > 2 && s.p[0] == '"' && s.p[s.n - 1] == '"' &&
	    is_atom_text(slice_sub(s, 1, s.n - 2)))
		return slice_sub(s, 1, s.n - 2);
	return s;
}

static size_t last_at(struct slice s)
{
	size_t at = s.n;

	while (at > 0 && s.p[at - 1] != '@')
		at--;
	return at > 0 ? at - 1 : s.n;
}

/* Octets of no known charset are brought to UTF-8, as in the rest of the header. */
static struct slice address_utf8(struct reader *r, struct slice s)
{
	struct bytes out = { 0 };

	if (ascii_run(s) == s.n)
		return s;
	(void)charset_add(r->m, charset_find(SLICE("")), s, &out);
	s = arena_copy(&r->m->arena, bytes_slice(&out));
	bytes_free(&out);
	return s.p != NULL ? s : SLICE("");
}

/* Without the route (RFC 5322 4.4 obs-route), the domain in lower case. */
static struct slice address_of(struct reader *r, struct slice s)
{
	struct slice local, domain;
	size_t at;
	char *p;

	if (s.n > 0 && s.p[0] == '@' && slice_find(s, ':') < s.n)
		(void)slice_cut(&s, ':');
	if ((at = last_at(s)) == s.n)
		return slice_trim(s);
	local = local_part(slice_sub(s, 0, at));
	domain = slice_trim(slice_sub(s, at + 1, s.n));
	if ((p = arena_take(&r->m->arena, local.n + 1 + domain.n + 1)) == NULL)
		return SLICE("");
	memcpy(p, local.p, local.n);
	p[local.n] = '@';
	for (size_t i = 0; i < domain.n; i++)
		p[local.n + 1 + i] = ascii_lower(domain.p[i]);
	return slice_of(p, local.n + 1 + domain.n);
}

static void mailbox_add(struct reader *r, struct slice name, struct slice address)
{
	if (r->n >= r->cap)
		return;
	r->out[r->n++] = (struct mailbox){
		.name = words_decode(r->m, slice_trim(name)),
		.address = address_utf8(r, address_of(r, address)),
	};
}

/* The next word, blanks inside quotes kept. */
static struct slice word_take(struct slice *s)
{
	size_t n = 0;
	struct slice word;

	for (bool quoted = false; n < s->n && (quoted || s->p[n] != ' '); n++)
		if (s->p[n] == '"')
			quoted = !quoted;
	word = slice_sub(*s, 0, n);
	*s = slice_sub(*s, n + 1, s->n);
	return word;
}

/* No angle bracket: each word with an '@' is an address, and a comment its name (RFC 822 did so).
 */
static void bare_words(struct reader *r, struct slice words, struct slice comment)
{
	if (last_at(words) == words.n) {
		mailbox_add(r, words.n > 0 ? words : comment, SLICE(""));
		return;
	}
	while (words.n > 0) {
		struct slice word = word_take(&words);

		if (last_at(word) < word.n)
			mailbox_add(r, comment, word);
	}
}

/* An element of the list ends. Its texts stay where they are: names point to them. */
static void element_end(struct reader *r)
{
	struct slice words = slice_of(r->words, r->words_n);
	struct slice comment = slice_of(r->comment, r->comment_n);

	if (r->had_angle)
		mailbox_add(r, words.n > 0 ? words : comment, slice_of(r->angle, r->angle_n));
	else if (words.n > 0)
		bare_words(r, words, comment);
	r->words += r->words_n;
	r->angle += r->angle_n;
	r->comment += r->comment_n;
	r->words_n = r->angle_n = r->comment_n = 0;
	r->in_angle = r->had_angle = r->blank = r->literal = false;
}

/* ---- the list ---------------------------------------------------------------------------- */

static void angle_start(struct reader *r)
{
	if (r->in_angle)
		return;
	if (r->had_angle) /* a lost comma */
		element_end(r);
	r->in_angle = r->had_angle = true;
	r->blank = false;
}

/* Within a route (RFC 5322 4.4) commas and colons separate hops. */
static bool in_route(const struct reader *r)
{
	return r->in_angle && r->angle_n > 0 && r->angle[0] == '@';
}

static void octet_take(struct reader *r, char c)
{
	if (c == '[' || c == ']')
		r->literal = c == '[';
	put_blank(r, c);
	put(r, c);
}

/* A group's name is no mailbox: what stood before the colon goes. */
static void group_start(struct reader *r)
{
	r->words_n = 0;
	r->had_angle = r->blank = false;
}

static void step(struct reader *r)
{
	char c = r->in.p[r->at];

	if ((c == '"' && quote_take(r)) || (c == '(' && comment_take(r)))
		return;
	r->at++;
	if (ascii_space(c) || c == '\0')
		r->blank = true;
	else if (c == '<')
		angle_start(r);
	else if (c == '>')
		r->in_angle = false;
	else if ((c == ',' && !in_route(r)) || c == ';')
		element_end(r);
	else if (c == ':' && !r->in_angle && !r->literal)
		group_start(r);
	else
		octet_take(r, c);
}

static size_t most_mailboxes(struct slice s)
{
	size_t n = 1;

	for (size_t i = 0; i < s.n && n < MAILBOXES_MAX; i++)
		n += s.p[i] == ',' || s.p[i] == ';' || s.p[i] == '<' || s.p[i] == '@';
	return n;
}

struct mailbox *message_mailboxes(struct message *m, struct header_field *f, size_t *count)
{
	struct reader r = { .m = m, .in = header_unfold(m, f->raw) };

	*count = 0;
	r.cap = most_mailboxes(r.in);
	r.out = arena_take(&m->arena, r.cap * sizeof(*r.out));
	r.words = arena_take(&m->arena, 3 * (r.in.n + 2));
	if (r.out == NULL || r.words == NULL)
		return NULL;
	r.angle = r.words + r.in.n + 2;
	r.comment = r.angle + r.in.n + 2;
	while (r.at < r.in.n)
		step(&r);
	element_end(&r);
	*count = r.n;
	return r.n > 0 ? r.out : NULL;
}
