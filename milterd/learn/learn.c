#include "config.h"

#include "bayes.h"

#include <time.h>

#include "model.h"

/* "Sure already": learning what is judged rightly beyond doubt only makes the store larger. */
static const double SURE = 0.99;
static const double SURE_EVIDENCE = 20; /* tokens that spoke: a lucky few are no certainty */

/*
 * A record, the value behind a message's id: version, class, counted (1) or surely judged (0),
 * length of the teacher's name, time (8), the name, and the tokens that were counted (8 each), so
 * that forgetting subtracts exactly what was added, whatever the tokeniser has become meanwhile.
 */
enum { RECORD_HEAD = 12, TEACHER_MAX = 255 };

struct record {
	enum class class;
	bool counted;
	struct slice teacher, tokens;
};

static bool record_write(struct bytes *to, const struct features *f, enum class class, bool counted,
    struct slice teacher, time_t now)
{
	size_t n = counted ? f->n : 0;
	char head[RECORD_HEAD] = { MODEL_VERSION, (char)class, counted, (char)teacher.n };

	number_write(head + 4, 8, (uint64_t)now);
	bytes_clear(to);
	if (!bytes_reserve(to, sizeof(head) + teacher.n + 8 * n))
		return false;
	(void)bytes_add(to, slice_of(head, sizeof(head)));
	(void)bytes_add(to, teacher);
	for (size_t i = 0; i < n; i++) {
		char token[8];

		number_write(token, 8, f->v[i]);
		(void)bytes_add(to, slice_of(token, 8));
	}
	return !to->failed;
}

static int record_read(struct slice value, struct record *r, struct err *e)
{
	size_t name = value.n >= RECORD_HEAD ? (unsigned char)value.p[3] : 0;

	if (value.n < RECORD_HEAD + name || value.p[0] != MODEL_VERSION ||
	    (value.n - RECORD_HEAD - name) % 8 != 0 || (value.p[1] != 0 && value.p[1] != 1))
		return err_set(e, "what was learnt of this message cannot be read");
	*r = (struct record){ .class = value.p[1] == 1 ? CLASS_SPAM : CLASS_HAM,
		.counted = value.p[2] != 0,
		.teacher = slice_sub(value, RECORD_HEAD, name),
		.tokens = slice_sub(value, RECORD_HEAD + name, value.n) };
	return 0;
}

/* One lesson: what its steps share. */
struct lesson {
	struct store_tx *tx;
	struct totals totals;
	enum class class;
	bool all;
	struct slice teacher;
	time_t now;
	struct bytes record, old; /* reused from message to message */
};

static struct slice id_of(const struct features *f)
{
	return slice_of(f->id, sizeof(f->id));
}

static int tokens_add(struct lesson *l, const struct features *f, struct err *e)
{
	for (size_t i = 0; i < f->n; i++) {
		uint32_t counts[2];
		int rc = model_token(l->tx, f->v[i], counts, e);

		if (rc < 0)
			return -1;
		l->totals.tokens += rc == 0;
		if (counts[l->class] < UINT32_MAX)
			counts[l->class]++;
		if (model_token_put(l->tx, f->v[i], counts, e) < 0)
			return -1;
	}
	l->totals.learned[l->class]++;
	return 0;
}

/* old lies outside the store: writing moves what store_get gave. */
static int tokens_subtract(struct lesson *l, const struct record *old, struct err *e)
{
	for (size_t i = 0; i < old->tokens.n; i += 8) {
		uint64_t token = number_read(old->tokens.p + i, 8);
		uint32_t counts[2];
		int rc = model_token(l->tx, token, counts, e);

		if (rc < 0)
			return -1;
		if (rc == 0 || counts[old->class] == 0)
			continue;
		counts[old->class]--;
		l->totals.tokens -= counts[0] == 0 && counts[1] == 0 && l->totals.tokens > 0;
		if (model_token_put(l->tx, token, counts, e) < 0)
			return -1;
	}
	l->totals.learned[old->class] -= l->totals.learned[old->class] > 0;
	return 0;
}

static int record_put(struct lesson *l, const struct features *f, bool counted, struct err *e)
{
	if (!record_write(&l->record, f, l->class, counted, l->teacher, l->now))
		return err_set(e, "learning: out of memory");
	l->totals.known[l->class]++;
	return store_put(l->tx, "msg", id_of(f), bytes_slice(&l->record), e);
}

/* 1 with *r, which points into l->old; 0 not known; -1 error. */
static int record_find(struct lesson *l, const struct features *f, struct record *r, struct err *e)
{
	struct slice value;
	int rc = store_get(l->tx, "msg", id_of(f), &value, e);

	if (rc <= 0)
		return rc;
	bytes_clear(&l->old);
	if (!bytes_add(&l->old, value))
		return err_set(e, "learning: out of memory");
	return record_read(bytes_slice(&l->old), r, e) < 0 ? -1 : 1;
}

static int record_undo(struct lesson *l, const struct record *r, struct err *e)
{
	l->totals.known[r->class] -= l->totals.known[r->class] > 0;
	return r->counted ? tokens_subtract(l, r, e) : 0;
}

/* 1 judged rightly beyond doubt, 0 not, -1 error. */
static int sure_already(struct lesson *l, const struct features *f, struct err *e)
{
	struct bayes_score score;

	if (model_score(l->tx, &l->totals, f, &score, e) < 0)
		return -1;
	return score.known && score.evidence >= SURE_EVIDENCE &&
	    (l->class == CLASS_SPAM ? score.spam > SURE : score.spam < 1 - SURE);
}

static int learn_one(
    struct lesson *l, const struct features *f, enum learn_result *result, struct err *e)
{
	struct record old = { 0 };
	int sure = 0, rc = record_find(l, f, &old, e);

	if (rc < 0)
		return -1;
	if (rc == 1 && old.class == l->class && (old.counted || !l->all)) {
		*result = LEARN_KNOWN;
		return 0;
	}
	*result = rc == 1 && old.class != l->class ? LEARN_MOVED : LEARN_NEW;
	if (rc == 1 && record_undo(l, &old, e) < 0)
		return -1;
	/* Who moves a message corrects a mistake: that is always learnt. */
	if (rc == 0 && !l->all && (sure = sure_already(l, f, e)) < 0)
		return -1;
	if (sure == 1)
		*result = LEARN_SURE;
	if (sure == 0 && tokens_add(l, f, e) < 0)
		return -1;
	return record_put(l, f, sure == 0, e);
}

static int lesson_begin(struct lesson *l, struct bayes *b, struct err *e)
{
	if (store_write_begin(b->store, &l->tx, e) < 0)
		return -1;
	if (model_totals(l->tx, &l->totals, e) == 0)
		return 0;
	store_end(&l->tx);
	return -1;
}

/* Commit where rc is good, give up otherwise; returns what is left of rc. */
static int lesson_end(struct lesson *l, int rc, struct err *e)
{
	if (rc >= 0 && model_totals_put(l->tx, &l->totals, e) < 0)
		rc = -1;
	if (rc < 0)
		store_end(&l->tx);
	else if (store_commit(&l->tx, e) < 0)
		rc = -1;
	bytes_free(&l->record);
	bytes_free(&l->old);
	return rc;
}

int bayes_learn_many(struct bayes *b, const struct features *f, size_t n, enum class class,
    bool all, const char *teacher, enum learn_result *result, struct err *e)
{
	struct lesson l = { .class = class,
		.all = all,
		.teacher = slice_sub(slice_z(teacher), 0, TEACHER_MAX),
		.now = time(NULL) };
	int rc = 0;

	if (lesson_begin(&l, b, e) < 0)
		return -1;
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = learn_one(&l, &f[i], &result[i], e);
	return lesson_end(&l, rc, e);
}

int bayes_learn(struct bayes *b, const struct features *f, enum class class, bool all,
    const char *teacher, enum learn_result *result, struct err *e)
{
	return bayes_learn_many(b, f, 1, class, all, teacher, result, e);
}

int bayes_forget(struct bayes *b, const struct features *f, struct err *e)
{
	struct lesson l = { 0 };
	struct record old = { 0 };
	int rc;

	if (lesson_begin(&l, b, e) < 0)
		return -1;
	rc = record_find(&l, f, &old, e);
	if (rc == 1 && (record_undo(&l, &old, e) < 0 || store_delete(l.tx, "msg", id_of(f), e) < 0))
		rc = -1;
	return lesson_end(&l, rc, e);
}
