/*
 * html - what a reader sees of an HTML part: a tokeniser that goes over the source once, as
 * browsers do (HTML 13.2.5), and a stack of open elements that knows which of them are hidden.
 */
#include "config.h"

#include "milterd/message/anomaly.h"
#include "milterd/message/html_style.h"
#include "milterd/message/inside.h"

enum { OPEN_MAX = 256, NAME_OCTETS = 16 };

enum gap { GAP_NONE, GAP_BLANK, GAP_LINE };

struct open {
	uint32_t id; /* hash of the name */
	uint16_t flags;
	uint8_t is, hide;
};

struct html {
	struct message *m;
	struct slice src;
	size_t at;
	char *to; /* never more octets than src has */
	size_t n;
	enum gap gap; /* what stands between the last word and the next */
	struct open open[OPEN_MAX];
	size_t depth;
	bool lost; /* too deep to tell what is hidden: then nothing is */
};

struct tag {
	const struct html_element *element;
	uint32_t id;
	unsigned hide;
	bool end, refresh;
	struct slice content; /* of meta */
};

static const struct open *top(const struct html *h)
{
	static const struct open none = { 0 };

	return h->depth > 0 ? &h->open[h->depth - 1] : &none;
}

/* ---- text -------------------------------------------------------------------------------- */

enum { WORD, BLANK, REFERENCE, NUL };
static const unsigned char kinds[256] = {
	['\0'] = NUL,
	['\t'] = BLANK,
	['\n'] = BLANK,
	['\f'] = BLANK,
	['\r'] = BLANK,
	[' '] = BLANK,
	['&'] = REFERENCE,
};

static void gap_set(struct html *h, enum gap gap)
{
	if (gap > h->gap)
		h->gap = gap;
}

static void word_put(struct html *h, const char *p, size_t n)
{
	if (h->gap != GAP_NONE && h->n > 0)
		h->to[h->n++] = h->gap == GAP_LINE ? '\n' : ' ';
	h->gap = GAP_NONE;
	memcpy(h->to + h->n, p, n);
	h->n += n;
}

/* The octets used of a reference, or of a '&' that is none. */
static size_t reference_put(struct html *h, struct slice s)
{
	char octets[4];
	size_t used = 1, n = html_reference(s, false, octets, &used);

	if (n == 0)
		word_put(h, "&", 1);
	else if ((n == 1 && kinds[(unsigned char)octets[0]] == BLANK) ||
	    (n == 2 && memcmp(octets, "\xc2\xa0", 2) == 0)) /* no-break space */
		gap_set(h, GAP_BLANK);
	else
		word_put(h, octets, n);
	return used;
}

static void text_put(struct html *h, struct slice s, bool references)
{
	if (top(h)->hide != 0 && !h->lost)
		return;
	for (size_t i = 0; i < s.n;) {
		unsigned char c = (unsigned char)s.p[i];
		size_t from = i;

		switch (kinds[c]) {
		case NUL:
			anomaly_add(h->m, ANOMALY_BODY_NUL);
			i++;
			continue;
		case BLANK:
			gap_set(h, c == '\n' && top(h)->flags & HTML_KEEP ? GAP_LINE : GAP_BLANK);
			i++;
			continue;
		case REFERENCE:
			if (references) {
				i += reference_put(h, slice_sub(s, i, s.n));
				continue;
			}
			i++;
			break;
		default:
			break;
		}
		while (i < s.n && kinds[(unsigned char)s.p[i]] == WORD)
			i++;
		word_put(h, s.p + from, i - from);
	}
}

/* ---- attributes -------------------------------------------------------------------------- */

/* An attribute's value: references decoded; line ends and tabs go, as in a URL of a browser. */
static struct slice value_text(struct html *h, struct slice value)
{
	char *p;
	size_t n = 0;

	value = slice_trim(value);
	if (slice_find(value, '&') == value.n && slice_find(value, '\n') == value.n &&
	    slice_find(value, '\t') == value.n && slice_find(value, '\r') == value.n)
		return value;
	if ((p = arena_take(&h->m->arena, value.n + 4)) == NULL)
		return SLICE("");
	for (size_t i = 0; i < value.n;) {
		size_t used = 1, made = 0;

		if (value.p[i] == '&')
			made = html_reference(slice_sub(value, i, value.n), true, p + n, &used);
		else if (value.p[i] == '\n' || value.p[i] == '\r' || value.p[i] == '\t') {
			i++;
			continue;
		}
		if (made == 0)
			p[n++] = value.p[i];
		n += made;
		i += used;
	}
	return slice_trim(slice_of(p, n));
}

static void attr_url(struct html *h, struct tag *t, struct slice value)
{
	(void)t;
	url_add(h->m, value_text(h, value), true);
}

static void attr_style(struct html *h, struct tag *t, struct slice value)
{
	if (slice_find(value, '&') < value.n)
		value = value_text(h, value);
	t->hide = style_hide(value, t->hide);
}

static void attr_hidden(struct html *h, struct tag *t, struct slice value)
{
	(void)h;
	(void)value;
	t->hide |= HIDE_DISPLAY;
}

static void attr_size(struct html *h, struct tag *t, struct slice value)
{
	(void)h;
	(void)value;
	t->hide &= ~(unsigned)HIDE_SIZE;
}

static void attr_content(struct html *h, struct tag *t, struct slice value)
{
	t->content = value_text(h, value);
}

static void attr_equiv(struct html *h, struct tag *t, struct slice value)
{
	(void)h;
	t->refresh = slice_ieq(slice_trim(value), SLICE("refresh"));
}

static const struct {
	struct slice name;
	const char *only; /* on this element alone, or NULL */
	void (*take)(struct html *, struct tag *, struct slice value);
} attributes[] = {
#define NAME(lit)                       \
	{                               \
		"" lit, sizeof(lit) - 1 \
	}
	{ NAME("href"), NULL, attr_url },
	{ NAME("src"), NULL, attr_url },
	{ NAME("style"), NULL, attr_style },
	{ NAME("action"), NULL, attr_url },
	{ NAME("formaction"), NULL, attr_url },
	{ NAME("background"), NULL, attr_url },
	{ NAME("poster"), NULL, attr_url },
	{ NAME("data"), "object", attr_url },
	{ NAME("hidden"), NULL, attr_hidden },
	{ NAME("size"), "font", attr_size },
	{ NAME("content"), "meta", attr_content },
	{ NAME("http-equiv"), "meta", attr_equiv },
#undef NAME
};

static void attribute_take(struct html *h, struct tag *t, struct slice name, struct slice value)
{
	if (t->end)
		return;
	for (size_t i = 0; i < COUNT(attributes); i++)
		if (attributes[i].name.n == name.n &&
		    (attributes[i].only == NULL ||
			slice_eq(t->element->name, slice_z(attributes[i].only))) &&
		    slice_ieq(attributes[i].name, name)) {
			attributes[i].take(h, t, value);
			return;
		}
}

/* <meta http-equiv=refresh content="5; url=http://..."> */
static void refresh_take(struct html *h, struct slice content)
{
	(void)slice_cut(&content, ';');
	content = slice_trim(content);
	if (slice_istarts(content, SLICE("url"))) {
		(void)slice_cut(&content, '=');
		content = slice_trim(content);
	}
	if (content.n > 1 && (content.p[0] == '"' || content.p[0] == '\'')) {
		char quote = content.p[0];

		content = slice_sub(content, 1, content.n);
		content = slice_sub(content, 0, slice_find(content, quote));
	}
	url_add(h->m, content, true);
}

/* ---- open elements ----------------------------------------------------------------------- */

/* Start tags that end what its author left open: <p>, <li>, <td> and their like. */
static void implied_end(struct html *h, unsigned ends)
{
	for (size_t i = h->depth; i > 0; i--) {
		const struct open *o = &h->open[i - 1];

		if (o->is & ends)
			h->depth = i - 1;
		else if (o->flags & HTML_SCOPE || (ends & END_P && o->flags & HTML_BLOCK))
			break;
	}
}

static void element_open(struct html *h, const struct tag *t)
{
	const struct html_element *e = t->element;

	if (h->depth == OPEN_MAX) {
		anomaly_add(h->m, ANOMALY_HTML_TOO_DEEP);
		h->lost = true;
		return;
	}
	h->open[h->depth] = (struct open){
		.id = t->id,
		.flags = e->flags | (top(h)->flags & HTML_KEEP),
		.is = e->is,
		.hide = (uint8_t)t->hide,
	};
	h->depth++;
}

/* End what has that name, and all inside it; but no <p> of a cell ends one around the table. */
static void element_close(struct html *h, const struct tag *t)
{
	const unsigned table = END_CELL | END_ROW | END_GROUP;
	bool through = t->element->is & table || t->element->flags & HTML_SCOPE;

	for (size_t i = h->depth; i > 0; i--) {
		if (h->open[i - 1].id == t->id) {
			h->depth = i - 1;
			return;
		}
		if (h->open[i - 1].flags & HTML_SCOPE && !through)
			return;
	}
}

/* ---- tags -------------------------------------------------------------------------------- */

static bool ends_name(char c)
{
	return ascii_space(c) || c == '/' || c == '>';
}

static struct slice attribute_value(struct html *h)
{
	size_t from = h->at;
	char c = from < h->src.n ? h->src.p[from] : '\0';

	if (c == '"' || c == '\'') {
		struct slice value = slice_sub(h->src, from + 1, h->src.n);

		value.n = slice_find(value, c);
		h->at = from + 1 + value.n + 1;
		return value;
	}
	while (h->at < h->src.n && !ascii_space(h->src.p[h->at]) && h->src.p[h->at] != '>')
		h->at++;
	return slice_sub(h->src, from, h->at - from);
}

static void blanks_skip(struct html *h, bool slashes)
{
	while (h->at < h->src.n &&
	    (ascii_space(h->src.p[h->at]) || (slashes && h->src.p[h->at] == '/')))
		h->at++;
}

static void attribute_read(struct html *h, struct tag *t)
{
	size_t from = h->at++; /* a '=' in the first place is part of the name */
	struct slice name, value = SLICE("");

	while (h->at < h->src.n && !ends_name(h->src.p[h->at]) && h->src.p[h->at] != '=')
		h->at++;
	name = slice_sub(h->src, from, h->at - from);
	blanks_skip(h, false);
	if (h->at < h->src.n && h->src.p[h->at] == '=') {
		h->at++;
		blanks_skip(h, false);
		value = attribute_value(h);
	}
	attribute_take(h, t, name, value);
}

/* Up to and behind the '>'; false when the source ends before: such a tag is none. */
static bool attributes_read(struct html *h, struct tag *t)
{
	for (;;) {
		blanks_skip(h, true);
		if (h->at >= h->src.n)
			return false;
		if (h->src.p[h->at] == '>') {
			h->at++;
			return true;
		}
		attribute_read(h, t);
	}
}

/* The name at `at`, in lower case where it may be a known one. */
static void name_read(struct html *h, struct tag *t)
{
	char lower[NAME_OCTETS];
	size_t n = 0;

	t->id = 2166136261u; /* FNV-1a */
	for (; h->at < h->src.n && !ends_name(h->src.p[h->at]); h->at++) {
		char c = ascii_lower(h->src.p[h->at]);

		t->id = (t->id ^ (unsigned char)c) * 16777619u;
		if (n < sizeof(lower))
			lower[n] = c;
		n++;
	}
	t->element = html_element(slice_of(lower, n < sizeof(lower) ? n : 0));
}

/* The content of <script>, <title> and their like ends at their end tag only. */
static struct slice raw_take(struct html *h, struct slice name)
{
	size_t from = h->at, n = name.n;

	while (h->at < h->src.n) {
		struct slice rest;

		h->at += slice_find(slice_sub(h->src, h->at, h->src.n), '<');
		rest = slice_sub(h->src, h->at + 1, h->src.n);
		if (rest.n > n + 1 && rest.p[0] == '/' &&
		    slice_istarts(slice_sub(rest, 1, n), name) && ends_name(rest.p[n + 1]))
			break;
		h->at += h->at < h->src.n;
	}
	return slice_sub(h->src, from, h->at - from);
}

static void gap_of(struct html *h, const struct html_element *e)
{
	if (e->flags & (HTML_BLOCK | HTML_LINE))
		gap_set(h, GAP_LINE);
	else if (e->flags & HTML_CELL)
		gap_set(h, GAP_BLANK);
}

static void start_tag(struct html *h, struct tag *t)
{
	const struct html_element *e = t->element;

	if (t->refresh)
		refresh_take(h, t->content);
	if (e->flags & HTML_RAW) {
		(void)raw_take(h, e->name);
		return;
	}
	gap_of(h, e);
	if (e->flags & (HTML_VOID | HTML_IGNORED))
		return;
	element_open(h, t);
	if (e->flags & HTML_TEXT)
		text_put(h, raw_take(h, e->name), true);
}

static void tag_read(struct html *h, bool end)
{
	struct tag t = { .end = end };

	name_read(h, &t);
	if (!end && t.element->ends != 0)
		implied_end(h, t.element->ends);
	t.hide = top(h)->hide;
	if (!attributes_read(h, &t))
		return;
	if (!end) {
		start_tag(h, &t);
		return;
	}
	gap_of(h, t.element);
	element_close(h, &t);
}

/* "<!-- ... -->": a browser also ends it by "--!>", and takes "<!-->" for a whole one. */
static void comment_skip(struct html *h)
{
	const char *p = h->src.p;
	size_t start = h->at + 2; /* behind "<!" */

	for (h->at += 4; h->at < h->src.n; h->at++) {
		size_t n;

		h->at += slice_find(slice_sub(h->src, h->at, h->src.n), '>');
		n = h->at - start;
		if (h->at < h->src.n &&
		    ((n >= 2 && p[h->at - 1] == '-' && p[h->at - 2] == '-') ||
			(n >= 5 && p[h->at - 1] == '!' && p[h->at - 2] == '-' &&
			    p[h->at - 3] == '-'))) {
			h->at++;
			return;
		}
	}
}

/* At a '<'. */
static void markup_read(struct html *h)
{
	struct slice s = slice_sub(h->src, h->at, h->src.n);

	if (s.n > 1 && ascii_alpha(s.p[1])) {
		h->at += 1;
		tag_read(h, false);
	} else if (s.n > 2 && s.p[1] == '/' && ascii_alpha(s.p[2])) {
		h->at += 2;
		tag_read(h, true);
	} else if (slice_starts(s, SLICE("<!--"))) {
		comment_skip(h);
	} else if (s.n > 1 && strchr("!?/", s.p[1]) != NULL && s.p[1] != '\0') {
		h->at += slice_find(s, '>') + 1;
	} else {
		text_put(h, slice_sub(s, 0, 1), false);
		h->at++;
	}
}

void html_render(struct message *m, struct slice source, struct bytes *out)
{
	struct html h;

	if (source.n == 0)
		return;
	/* Each gap and each character stands for at least as many octets of the source. */
	if (!bytes_reserve(out, source.n)) {
		anomaly_fail(m, ANOMALY_MEMORY);
		return;
	}
	h.m = m;
	h.src = source;
	h.to = out->p + out->n;
	h.at = h.n = h.depth = 0;
	h.gap = GAP_NONE;
	h.lost = false;
	while (h.at < source.n) {
		size_t from = h.at;

		h.at += slice_find(slice_sub(source, from, source.n), '<');
		text_put(&h, slice_sub(source, from, h.at - from), true);
		if (h.at < source.n)
			markup_read(&h);
	}
	out->n += h.n;
	out->p[out->n] = '\0';
}
