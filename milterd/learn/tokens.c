#include "config.h"

#include "tokens.h"

#include <stdlib.h>

enum {
	WORD_MIN = 2,
	WORD_MAX = 24, /* letters; a longer one is known by its begin and length */
};

static const char *const field_names[TOKEN_FIELDS] = {
	[TOKEN_SUBJECT] = "subject",
	[TOKEN_FROM] = "from",
	[TOKEN_ADDRESS] = "address",
	[TOKEN_REPLY] = "reply-to",
	[TOKEN_TO] = "to",
	[TOKEN_TEXT] = "text",
	[TOKEN_URL] = "url",
	[TOKEN_ATTACHMENT] = "attachment",
	[TOKEN_PART] = "part",
	[TOKEN_HEADER] = "header",
	[TOKEN_MAILER] = "mailer",
	[TOKEN_RECEIVED] = "received",
	[TOKEN_ID] = "id",
	[TOKEN_ANOMALY] = "anomaly",
};

/* ---- hashing --------------------------------------------------------------------------------- */

/* The finish of MurmurHash3: every bit of the input moves half of the output. */
static uint64_t mix(uint64_t h)
{
	h ^= h >> 33;
	h *= 0xff51afd7ed558ccdULL;
	h ^= h >> 33;
	h *= 0xc4ceb9fe1a85ec53ULL;
	return h ^ h >> 33;
}

static uint64_t salt(enum token_field field)
{
	return mix(0x9e3779b97f4a7c15ULL * ((uint64_t)field + 1));
}

/* FNV-1a over the lower case of text. In UTF-8 the capitals of Latin-1 are C3 80..9E, those of
 * Cyrillic D0 90..AF, whose small ones behind D0 BF go on at D1 80. */
static uint64_t hash_folded(uint64_t h, struct slice text)
{
	const unsigned char *p = (const unsigned char *)text.p;
	size_t n = text.n < TOKEN_OCTETS_MAX ? text.n : TOKEN_OCTETS_MAX;

	for (size_t i = 0; i < n; i++) {
		unsigned c = p[i], next = i + 1 < n ? p[i + 1] : 0;

		if (c < 0x80) {
			c = (unsigned char)ascii_lower((char)c);
		} else if (c == 0xc3 && next >= 0x80 && next <= 0x9e && next != 0x97) {
			h = (h ^ c) * 0x100000001b3ULL;
			c = next + 0x20;
			i++;
		} else if (c == 0xd0 && next >= 0x90 && next <= 0xaf) {
			h = (h ^ (next < 0xa0 ? 0xd0u : 0xd1u)) * 0x100000001b3ULL;
			c = next < 0xa0 ? next + 0x20 : next - 0x20;
			i++;
		}
		h = (h ^ c) * 0x100000001b3ULL;
	}
	return h;
}

static uint64_t hash_of(enum token_field field, struct slice text)
{
	return mix(hash_folded(salt(field), text));
}

/* ---- collecting ------------------------------------------------------------------------------ */

static void add(struct tokens *t, enum token_field field, uint64_t hash, struct slice text)
{
	if (t->n == t->cap) {
		size_t cap = t->cap == 0 ? 1024 : 2 * t->cap;
		struct token *grown;

		if (t->cap >= FEATURES_MAX)
			return;
		if ((grown = realloc(t->v, cap * sizeof(*grown))) == NULL) {
			t->failed = true;
			return;
		}
		t->v = grown;
		t->cap = cap;
	}
	hash = field == TOKEN_TEXT ? hash | FEATURE_OF_TEXT : hash & ~(uint64_t)FEATURE_OF_TEXT;
	t->v[t->n++] = (struct token){ hash, text, field };
}

void tokens_add(struct tokens *t, enum token_field field, struct slice text)
{
	if (text.n > 0)
		add(t, field, hash_of(field, text), text);
}

/* Order counts: "not good" is no "good not". */
static void add_pair(
    struct tokens *t, enum token_field field, uint64_t a, uint64_t b, struct slice text)
{
	add(t, field, mix(a * 0x9e3779b97f4a7c15ULL + b), text);
}

void tokens_add_pair(struct tokens *t, enum token_field field, struct slice a, struct slice b)
{
	add_pair(t, field, hash_of(field, a), hash_of(field, b), b);
}

/* ---- words ----------------------------------------------------------------------------------- */

enum octet { OUT, WORD, INNER, HIGH };

/* Letters and digits make words; INNER holds a word together ("don't", "f.r.e.e", "$9.99"); the
 * rest ends it. */
static enum octet octet_of(unsigned char c)
{
	static const char inner[] = "'-_.$%!*@";

	if (c >= 0x80)
		return HIGH;
	if (ascii_alpha((char)c) || ascii_digit((char)c))
		return WORD;
	return c != '\0' && memchr(inner, c, sizeof(inner) - 1) != NULL ? INNER : OUT;
}

/* Octets of the UTF-8 character at p, as its first octet says and the text's end allows. */
static size_t character_length(const unsigned char *p, size_t left)
{
	size_t n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc0 ? 2 : 1;

	return n < left ? n : left;
}

/* C2 80..BF and E2 xx xx are punctuation, spaces and signs; from E3 on (U+3000) stand the scripts
 * that write without spaces. */
static bool between(unsigned char first)
{
	return first == 0xc2 || first == 0xe2;
}
static bool unspaced(unsigned char first)
{
	return first >= 0xe3;
}

struct words {
	struct tokens *t;
	enum token_field field;
	bool pairs;
	uint64_t before; /* hash of the word before, 0 if none */
	const char *before_at;
};

static void on_word(struct words *w, struct slice word)
{
	uint64_t hash;

	while (word.n > 0 && octet_of((unsigned char)word.p[word.n - 1]) == INNER &&
	    word.p[word.n - 1] != '!' && word.p[word.n - 1] != '%')
		word.n--;
	if (word.n < WORD_MIN)
		return;
	if (word.n > WORD_MAX) {
		/* Shown as it is written, known by four octets and a length in tens. */
		hash = hash_folded(salt(w->field) + word.n / 10 + 1, slice_sub(word, 0, 4));
		hash = mix(hash);
	} else {
		hash = hash_of(w->field, word);
	}
	add(w->t, w->field, hash, word);
	if (w->pairs && w->before != 0)
		add_pair(w->t, w->field, w->before, hash,
		    slice_of(w->before_at, (size_t)(word.p + word.n - w->before_at)));
	w->before = hash;
	w->before_at = word.p;
}

/* A run of characters of a script without spaces: each two neighbours; the octets that were read.
 */
static size_t on_unspaced(struct words *w, struct slice text)
{
	const unsigned char *p = (const unsigned char *)text.p;
	size_t at = 0, length = 0;

	while (at < text.n && unspaced(p[at])) {
		size_t next = character_length(p + at, text.n - at);

		if (length > 0)
			tokens_add(w->t, w->field, slice_sub(text, at - length, length + next));
		at += length = next;
	}
	if (at == length)
		tokens_add(w->t, w->field, slice_sub(text, 0, at));
	w->before = 0;
	return at;
}

/* From the first octet of a word to its end. */
static size_t word_length(struct slice text)
{
	const unsigned char *p = (const unsigned char *)text.p;
	size_t at = 0;

	while (at < text.n) {
		enum octet o = octet_of(p[at]);

		if (o == OUT || (o == HIGH && (between(p[at]) || unspaced(p[at]))))
			break;
		at += o == HIGH ? character_length(p + at, text.n - at) : 1;
	}
	return at;
}

void tokens_add_words(struct tokens *t, enum token_field field, struct slice text, bool pairs)
{
	const unsigned char *p = (const unsigned char *)text.p;
	struct words w = { .t = t, .field = field, .pairs = pairs };
	size_t at = 0;

	while (at < text.n) {
		enum octet o = octet_of(p[at]);
		struct slice rest = slice_sub(text, at, text.n);
		size_t length;

		if (o == HIGH && unspaced(p[at])) {
			at += on_unspaced(&w, rest);
		} else if (o == HIGH && between(p[at])) {
			at += character_length(p + at, rest.n);
		} else if (o == OUT || (o == INNER && p[at] != '$')) {
			at++;
		} else {
			length = word_length(rest);
			on_word(&w, slice_sub(rest, 0, length));
			at += length;
		}
	}
}

/* ---- the set --------------------------------------------------------------------------------- */

static int by_hash(const void *a, const void *b)
{
	const struct token *x = a, *y = b;

	return (x->hash > y->hash) - (x->hash < y->hash);
}

static void insertion_sort(struct token *v, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		struct token new = v[i];
		size_t k = i;

		for (; k > 0 && v[k - 1].hash > new.hash; k--)
			v[k] = v[k - 1];
		v[k] = new;
	}
}

/* Hashes are even, so buckets by their first octet hold a few each; who crafts tokens to fill one
 * meets qsort. into has room for t->n. */
static void sort_into(const struct tokens *t, struct token *into)
{
	enum { BUCKETS = 256, FEW = 24 };
	size_t ends[BUCKETS + 1] = { 0 }, from = 0;

	for (size_t i = 0; i < t->n; i++)
		ends[(t->v[i].hash >> 56) + 1]++;
	for (size_t b = 0; b < BUCKETS; b++)
		ends[b + 1] += ends[b];
	for (size_t i = 0; i < t->n; i++)
		into[ends[t->v[i].hash >> 56]++] = t->v[i];
	for (size_t b = 0; b < BUCKETS; from = ends[b++]) {
		size_t n = ends[b] - from;

		if (n > FEW)
			qsort(into + from, n, sizeof(*into), by_hash);
		else
			insertion_sort(into + from, n);
	}
}

static size_t unique(struct token *v, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		if (kept == 0 || v[kept - 1].hash != v[i].hash)
			v[kept++] = v[i];
	return kept;
}

bool tokens_finish(struct tokens *t, struct arena *a, struct features *out)
{
	struct token *sorted = malloc((t->n + 1) * sizeof(*sorted));
	bool good = sorted != NULL && !t->failed;

	if (good) {
		sort_into(t, sorted);
		out->n = unique(sorted, t->n);
		out->v = arena_take(a, out->n * sizeof(*out->v));
		out->text = arena_take(a, out->n * sizeof(*out->text));
		out->field = arena_take(a, out->n * sizeof(*out->field));
		good = out->v != NULL && out->text != NULL && out->field != NULL;
	}
	for (size_t i = 0; good && i < out->n; i++) {
		out->v[i] = sorted[i].hash;
		out->text[i] = sorted[i].text;
		out->field[i] = field_names[sorted[i].field];
	}
	free(sorted);
	free(t->v);
	*t = (struct tokens){ 0 };
	return good;
}
