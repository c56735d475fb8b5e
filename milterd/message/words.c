/*
 * words - encoded words in header fields (RFC 2047), read as mail programs read them: also inside
 * words, with blanks in their text, split within a character.
 */
#include "config.h"

#include "milterd/message/anomaly.h"
#include "milterd/message/inside.h"

enum { LABEL_MAX = 75 };

struct word {
	const struct charset *charset;
	bool base64;
	struct slice text;
	size_t n; /* octets of the whole */
};

struct words {
	struct message *m;
	struct bytes out;
	struct bytes pending; /* decoded octets of adjacent words of one charset: characters may be
			       * split between words */
	const struct charset *charset;
	bool after_word; /* nothing but blanks since the last word */
	bool no_end;     /* there is no "?=" ahead */
};

/* encoded-word = "=?" charset ["*" language] "?" encoding "?" encoded-text "?=" (RFC 2231 5) */
static bool word_read(struct words *w, struct slice s, struct word *out)
{
	struct slice rest = slice_sub(s, 2, s.n), label, encoding;
	size_t at = slice_find(slice_sub(rest, 0, LABEL_MAX), '?');

	if (w->no_end || at == 0 || at >= LABEL_MAX || rest.n < at + 3 || rest.p[at + 2] != '?')
		return false;
	label = slice_sub(rest, 0, at);
	encoding = slice_sub(rest, at + 1, 1);
	rest = slice_sub(rest, at + 3, rest.n);
	if (!slice_ieq(encoding, SLICE("B")) && !slice_ieq(encoding, SLICE("Q")))
		return false;
	if ((at = slice_find_slice(rest, SLICE("?="))) == rest.n) {
		w->no_end = true;
		return false;
	}
	label = slice_cut(&label, '*');
	if ((out->charset = charset_find(label)) == NULL)
		anomaly_add(w->m, ANOMALY_CHARSET_UNKNOWN);
	out->base64 = slice_ieq(encoding, SLICE("B"));
	out->text = slice_sub(rest, 0, at);
	out->n = (size_t)(rest.p + at + 2 - s.p);
	return true;
}

static void pending_flush(struct words *w)
{
	if (w->pending.n > 0)
		(void)charset_add(w->m, w->charset, bytes_slice(&w->pending), &w->out);
	bytes_clear(&w->pending);
}

static void word_add(struct words *w, const struct word *word)
{
	unsigned odd = 0;

	if (word->charset != w->charset)
		pending_flush(w);
	w->charset = word->charset;
	if (!bytes_reserve(&w->pending, word->text.n))
		return;
	w->pending.n += word->base64 ? base64_decode(word->text, w->pending.p + w->pending.n, &odd)
				     : q_decode(word->text, w->pending.p + w->pending.n);
	w->pending.p[w->pending.n] = '\0';
	if (odd & BASE64_NOISE)
		anomaly_add(w->m, ANOMALY_HEADER_BAD_WORD);
}

static bool all_blank(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_space(s.p[i]))
			return false;
	return true;
}

/* The first "=?" of s, or s.n. '=' is rare in a header: this is faster than a search for both. */
static size_t word_find(struct slice s)
{
	for (size_t at = 0; (at += slice_find(slice_sub(s, at, s.n), '=')) < s.n; at++)
		if (at + 1 < s.n && s.p[at + 1] == '?')
			return at;
	return s.n;
}

/* Text between words. Blanks between two words only serve to tell them apart (RFC 2047 6.2). */
static void plain_add(struct words *w, struct slice s, bool before_word)
{
	if (before_word && w->after_word && all_blank(s))
		return;
	pending_flush(w);
	if (ascii_run(s) < s.n)
		(void)charset_add(w->m, charset_find(SLICE("")), s, &w->out);
	else
		(void)bytes_add(&w->out, s);
}

static void words_run(struct words *w, struct slice s)
{
	size_t done = 0, from = 0;

	while (from < s.n) {
		size_t at = from + word_find(slice_sub(s, from, s.n));
		struct word word;

		if (at >= s.n)
			break;
		if (!word_read(w, slice_sub(s, at, s.n), &word)) {
			anomaly_add(w->m, ANOMALY_HEADER_BAD_WORD);
			from = at + 2;
			continue;
		}
		plain_add(w, slice_sub(s, done, at - done), true);
		word_add(w, &word);
		w->after_word = true;
		done = from = at + word.n;
	}
	plain_add(w, slice_sub(s, done, s.n), false);
	pending_flush(w);
}

struct slice words_decode(struct message *m, struct slice s)
{
	struct words w = { .m = m };
	struct slice result = SLICE("");

	if (word_find(s) == s.n && ascii_run(s) == s.n)
		return s.p != NULL ? s : result;
	words_run(&w, s);
	if (w.out.failed || w.pending.failed)
		anomaly_fail(m, ANOMALY_MEMORY);
	else if (w.out.n > 0 && (result = arena_copy(&m->arena, bytes_slice(&w.out))).p == NULL)
		result = SLICE("");
	bytes_free(&w.out);
	bytes_free(&w.pending);
	return result;
}
