#include "config.h"

#include "model.h"

#include <math.h>
#include <stdlib.h>

#include "combine.h"

/* Two witnesses are heard, the body's text and what is around it (header, URLs, parts), and in each
 * its strongest tokens: more of them only repeat what is said, and a pasted novel must not outvote
 * the way that the message took. */
enum { WITNESSES = 2, SPEAKERS_MAX = 75 };
static const double STRENGTH_MIN = 0.4; /* |p - 0.5| below it says little, and that over and over */
static const double LOG_ODDS_MAX = 700; /* exp() of it is still a double */

uint64_t number_read(const char *p, size_t octets)
{
	uint64_t value = 0;

	for (size_t i = octets; i-- > 0;)
		value = value << 8 | (unsigned char)p[i];
	return value;
}

void number_write(char *p, size_t octets, uint64_t value)
{
	for (size_t i = 0; i < octets; i++, value >>= 8)
		p[i] = (char)(value & 0xff);
}

/* ---- totals ---------------------------------------------------------------------------------- */

enum { TOTALS = 6 };

int model_totals(struct store_tx *tx, struct totals *t, struct err *e)
{
	struct slice value;
	uint64_t n[TOTALS];
	int rc = store_get(tx, "sum", SLICE("totals"), &value, e);

	*t = (struct totals){ 0 };
	if (rc <= 0)
		return rc;
	if (value.n < 8 || (n[0] = number_read(value.p, 8)) != MODEL_VERSION ||
	    value.n != sizeof(n))
		return err_set(e, "what was learnt is of another version of weir: train again");
	for (size_t i = 0; i < TOTALS; i++)
		n[i] = number_read(value.p + 8 * i, 8);
	*t = (struct totals){ { n[1], n[2] }, { n[3], n[4] }, n[5] };
	return 0;
}

int model_totals_put(struct store_tx *tx, const struct totals *t, struct err *e)
{
	const uint64_t n[TOTALS] = { MODEL_VERSION, t->learned[0], t->learned[1], t->known[0],
		t->known[1], t->tokens };
	char octets[sizeof(n)];

	if (t->known[0] == 0 && t->known[1] == 0 && t->tokens == 0)
		return store_delete(tx, "sum", SLICE("totals"), e) < 0 ? -1 : 0;
	for (size_t i = 0; i < TOTALS; i++)
		number_write(octets + 8 * i, 8, n[i]);
	return store_put(tx, "sum", SLICE("totals"), slice_of(octets, sizeof(octets)), e);
}

/* ---- tokens ---------------------------------------------------------------------------------- */

static struct slice token_key(uint64_t token, char octets[8])
{
	for (size_t i = 8; i-- > 0; token >>= 8)
		octets[i] = (char)(token & 0xff);
	return slice_of(octets, 8);
}

int model_token(struct store_tx *tx, uint64_t token, uint32_t counts[2], struct err *e)
{
	char key[8];
	struct slice value;
	int rc = store_get(tx, "tok", token_key(token, key), &value, e);

	counts[0] = counts[1] = 0;
	if (rc == 1 && value.n == 8) {
		counts[0] = (uint32_t)number_read(value.p, 4);
		counts[1] = (uint32_t)number_read(value.p + 4, 4);
	}
	return rc;
}

int model_token_put(struct store_tx *tx, uint64_t token, const uint32_t counts[2], struct err *e)
{
	char key[8], value[8];

	if (counts[0] == 0 && counts[1] == 0)
		return store_delete(tx, "tok", token_key(token, key), e) < 0 ? -1 : 0;
	number_write(value, 4, counts[0]);
	number_write(value + 4, 4, counts[1]);
	return store_put(tx, "tok", token_key(token, key), slice_of(value, 8), e);
}

/* ---- score ----------------------------------------------------------------------------------- */

struct speaker {
	double spam, strength;
	size_t index; /* of the feature: breaks ties, so that a score is the same every time */
};
/* A heap with the weakest at its root, which leaves when a stronger one comes. */
struct speakers {
	struct speaker v[SPEAKERS_MAX];
	size_t n;
};

static bool weaker(const struct speaker *a, const struct speaker *b)
{
	return a->strength != b->strength ? a->strength < b->strength : a->index > b->index;
}

static void sink_root(struct speakers *s, struct speaker new)
{
	size_t at = 0, child;

	while ((child = 2 * at + 1) < s->n) {
		if (child + 1 < s->n && weaker(&s->v[child + 1], &s->v[child]))
			child++;
		if (weaker(&new, &s->v[child]))
			break;
		s->v[at] = s->v[child];
		at = child;
	}
	s->v[at] = new;
}

static void raise_last(struct speakers *s, struct speaker new)
{
	size_t at = s->n++;

	while (at > 0 && weaker(&new, &s->v[(at - 1) / 2])) {
		s->v[at] = s->v[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	s->v[at] = new;
}

static void speakers_add(struct speakers *s, struct speaker new)
{
	if (s->n < SPEAKERS_MAX)
		raise_last(s, new);
	else if (weaker(&s->v[0], &new))
		sink_root(s, new);
}

static int stronger_first(const void *a, const void *b)
{
	const struct speaker *x = a, *y = b;

	return weaker(y, x) ? -1 : weaker(x, y);
}

static void explain(struct speakers s[WITNESSES], const struct features *f, struct bayes_score *out)
{
	size_t at[WITNESSES] = { 0 };

	for (out->why_count = 0; out->why_count < COUNT(out->why); out->why_count++) {
		bool first = at[0] < s[0].n &&
		    (at[1] >= s[1].n || weaker(&s[1].v[at[1]], &s[0].v[at[0]]));
		struct speakers *from = first ? &s[0] : &s[1];
		size_t *next = first ? &at[0] : &at[1];

		if (*next >= from->n)
			return;
		out->why[out->why_count] = (struct bayes_why){
			.field = f->field != NULL ? f->field[from->v[*next].index] : "",
			.token = f->text != NULL ? f->text[from->v[*next].index]
						 : (struct slice){ 0 },
			.spam = from->v[*next].spam,
		};
		(*next)++;
	}
}

/* Let each token speak that is known and strong enough. 1 when one was known, 0 none, -1 error. */
static int hear(struct store_tx *tx, const struct totals *t, const struct features *f,
    struct speakers s[WITNESSES], struct err *e)
{
	int known = 0;

	for (size_t i = 0; i < f->n; i++) {
		struct speaker new = { .index = i };
		uint32_t counts[2];
		int rc = model_token(tx, f->v[i], counts, e);

		if (rc < 0)
			return -1;
		if (rc == 0)
			continue;
		known = 1;
		new.spam = combine_token(counts, t->learned);
		new.strength = fabs(new.spam - 0.5);
		if (new.strength >= STRENGTH_MIN)
			speakers_add(&s[f->v[i] & FEATURE_OF_TEXT], new);
	}
	return known;
}

static double log_odds_of(const struct speakers *s)
{
	double spam[SPEAKERS_MAX];

	for (size_t i = 0; i < s->n; i++)
		spam[i] = s->v[i].spam;
	return combine_log_odds(spam, s->n);
}

bool model_taught(const struct totals *t)
{
	return t->learned[CLASS_HAM] > 0 && t->learned[CLASS_SPAM] > 0;
}

int model_score(struct store_tx *tx, const struct totals *t, const struct features *f,
    struct bayes_score *out, struct err *e)
{
	struct speakers s[WITNESSES] = { { .n = 0 } };
	double odds = 0;
	int known;

	*out = (struct bayes_score){ .spam = 0.5 };
	if (!model_taught(t))
		return 0;
	if ((known = hear(tx, t, f, s, e)) < 0)
		return -1;
	for (size_t i = 0; i < WITNESSES; i++) {
		qsort(s[i].v, s[i].n, sizeof(s[i].v[0]), stronger_first);
		odds += log_odds_of(&s[i]);
		out->evidence += (double)s[i].n;
	}
	out->known = known == 1;
	out->log_odds = fmax(-LOG_ODDS_MAX, fmin(LOG_ODDS_MAX, combine_trust(t->learned) * odds));
	out->spam = combine_probability(out->log_odds);
	explain(s, f, out);
	return 0;
}
