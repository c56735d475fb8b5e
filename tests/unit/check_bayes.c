#include "config.h"

#include "unit.h"

#include <math.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "milterd/learn/bayes.h"
#include "milterd/learn/combine.h"
#include "weir/store.h"

/* ---- arithmetic ------------------------------------------------------------------------------ */

static const struct {
	uint32_t ham, spam;
	uint64_t hams, spams;
	double low, high;
} seen[] = {
	{ 0, 0, 10, 10, 0.5, 0.5 },
	{ 5, 5, 10, 10, 0.5, 0.5 },
	{ 0, 1, 10, 10, 0.8, 0.95 },
	{ 0, 10, 10, 10, 0.97, 0.999 },
	{ 1, 0, 10, 10, 0.05, 0.2 },
	{ 10, 10, 1000, 10, 0.97, 0.999 }, /* one in a hundred against each */
	{ UINT32_MAX, 0, UINT32_MAX, 1, 0, 0.001 },
};
START_TEST(token)
{
	const uint32_t counts[2] = { seen[_i].ham, seen[_i].spam };
	const uint64_t learned[2] = { seen[_i].hams, seen[_i].spams };
	double p = combine_token(counts, learned);

	ck_assert_double_ge(p, seen[_i].low);
	ck_assert_double_le(p, seen[_i].high);
	ck_assert_double_gt(p, 0);
	ck_assert_double_lt(p, 1);
}
END_TEST

/* Robinson's indicator with Fisher's method for two witnesses, by hand: for 2n = 4 degrees of
 * freedom the upper tail at 2x is exp(-x) (1 + x). */
START_TEST(two_witnesses_by_hand)
{
	const double spam[] = { 0.9, 0.8 };
	double xs = -log(0.1) - log(0.2), xh = -log(0.9) - log(0.8);
	double s = exp(-xs) * (1 + xs), h = exp(-xh) * (1 + xh), p = (1 + h - s) / 2;

	ck_assert_double_eq_tol(combine_probability(combine_log_odds(spam, 2)), p, 1e-12);
}
END_TEST

START_TEST(witnesses_are_symmetric_and_bounded)
{
	double spam[150], ham[150], mixed[150], before = 0;

	for (size_t n = 1; n <= 150; n++) {
		double odds;

		spam[n - 1] = 0.9999;
		ham[n - 1] = 0.0001;
		mixed[n - 1] = n % 2 == 0 ? 0.999 : 0.001;
		odds = combine_log_odds(spam, n);
		ck_assert_double_finite(odds);
		ck_assert_double_ge(odds, before);
		ck_assert_double_eq_tol(combine_log_odds(ham, n), -odds, 1e-6);
		if (n % 2 == 0)
			ck_assert_double_eq_tol(combine_log_odds(mixed, n), 0, 1e-9);
		before = odds;
	}
	ck_assert_double_gt(before, 100);
	ck_assert_double_eq(combine_log_odds(spam, 0), 0);
}
END_TEST

/* No hidden minimum, no cliff: trust rises with every message, and never by much. */
START_TEST(trust_is_smooth)
{
	uint64_t learned[2] = { 1000000, 0 };
	double before = combine_trust(learned);

	ck_assert_double_eq(before, 0);
	for (learned[1] = 1; learned[1] < 10000; learned[1]++) {
		double now = combine_trust(learned);

		ck_assert_double_gt(now, before);
		ck_assert_double_lt(now - before, 0.05);
		if (learned[1] <= 5) /* a handful is no certainty */
			ck_assert_double_lt(now, 0.2);
		ck_assert_double_lt(now, 1);
		before = now;
	}
	ck_assert_double_gt(before, 0.99);
}
END_TEST

/* ---- learning -------------------------------------------------------------------------------- */

static char folder[64];
static struct store *store;
static struct bayes *bayes;

static void enter(void)
{
	char spec[80];
	struct err e = { "" };

	(void)snprintf(folder, sizeof(folder), "/tmp/check_bayes.XXXXXX");
	if (mkdtemp(folder) == NULL)
		abort();
	(void)snprintf(spec, sizeof(spec), "lmdb:%s", folder);
	ck_assert_msg((store = store_open(spec, 64 << 20, 0, &e)) != NULL, "%s", e.text);
	ck_assert_msg((bayes = bayes_open(store, &e)) != NULL, "%s", e.text);
}

static void leave(void)
{
	static const char *const made[] = { "/store.mdb", "/store.mdb-lock", "" };
	char path[96];

	bayes_close(&bayes);
	store_close(&store);
	for (size_t i = 0; i < COUNT(made); i++) {
		(void)snprintf(path, sizeof(path), "%s%s", folder, made[i]);
		(void)remove(path);
	}
}

enum { WORDS = 30 };
struct mail {
	uint64_t v[WORDS];
	struct features f;
};

/* A message of one topic's words (0..1023): every number is another message with other words. */
static struct features *mail(struct mail *m, unsigned topic, unsigned number)
{
	uint64_t state = number * 2654435761u + 1, at = (uint64_t)topic << 32;

	for (size_t i = 0; i < WORDS; i++) {
		state = state * 6364136223846793005ULL + 1442695040888963407ULL;
		at += 1 + (state >> 33) % 30;
		m->v[i] = at;
	}
	m->f = (struct features){ .v = m->v, .n = WORDS };
	memset(m->f.id, 0, sizeof(m->f.id));
	memcpy(m->f.id, &topic, sizeof(topic));
	memcpy(m->f.id + sizeof(topic), &number, sizeof(number));
	return &m->f;
}
enum { HAM = 100, SPAM = 200 }; /* topics */

static enum learn_result learn(unsigned topic, unsigned number, enum class class, bool all)
{
	struct err e = { "" };
	enum learn_result result = LEARN_KNOWN;
	struct mail m;
	int rc = bayes_learn(bayes, mail(&m, topic, number), class, all, "admin", &result, &e);

	ck_assert_msg(rc == 0, "%s", e.text);
	return result;
}

static int forget(unsigned topic, unsigned number)
{
	struct err e = { "" };
	struct mail m;

	return bayes_forget(bayes, mail(&m, topic, number), &e);
}

static struct bayes_score score(unsigned topic, unsigned number)
{
	struct bayes_score s;
	struct err e = { "" };
	struct mail m;

	ck_assert_msg(bayes_score(bayes, mail(&m, topic, number), &s, &e) == 0, "%s", e.text);
	return s;
}

static long long stat_of(const char *a, const char *b, const char *c)
{
	struct err e = { "" };
	json_t *j = bayes_stats(bayes, &e), *at = json_object_get(json_object_get(j, a), b);
	long long n = json_integer_value(c != NULL ? json_object_get(at, c) : at);

	ck_assert_msg(j != NULL, "%s", e.text);
	json_decref(j);
	return n;
}

/* All that the store holds, times of learning left out, as one number. */
static bool on_pair(struct slice key, struct slice value, void *arg)
{
	uint64_t *sum = arg;

	for (size_t i = 0; i < key.n; i++)
		*sum = *sum * 31 + (unsigned char)key.p[i];
	for (size_t i = 0; i < value.n; i++)
		if (key.n != 32 || i < 4 || i >= 12)
			*sum = *sum * 31 + (unsigned char)value.p[i];
	return true;
}
static uint64_t state(void)
{
	static const char *const spaces[] = { "tok", "msg", "sum" };
	struct store_tx *tx;
	struct err e = { "" };
	uint64_t sum = 17;

	ck_assert_int_eq(store_read_begin(store, &tx, &e), 0);
	for (size_t i = 0; i < COUNT(spaces); i++)
		ck_assert_int_eq(store_each(tx, spaces[i], SLICE(""), on_pair, &sum, &e), 0);
	store_end(&tx);
	return sum;
}

START_TEST(nothing_is_known_at_first)
{
	struct bayes_score s = score(HAM, 1);

	ck_assert(!s.known && !bayes_taught(bayes));
	ck_assert_double_eq(s.spam, 0.5);
	learn(SPAM, 1, CLASS_SPAM, true);
	ck_assert_msg(!score(SPAM, 1).known, "one class alone says nothing");
	ck_assert(!bayes_taught(bayes));
	learn(HAM, 1, CLASS_HAM, true);
	ck_assert(bayes_taught(bayes));
	ck_assert(score(SPAM, 1).known);
	ck_assert_msg(!score(999, 1).known, "no word of it was ever seen");
}
END_TEST

START_TEST(what_was_taught_is_told_apart)
{
	for (unsigned i = 0; i < 30; i++) {
		learn(HAM, i, CLASS_HAM, true);
		learn(SPAM, i, CLASS_SPAM, true);
	}
	for (unsigned i = 100; i < 120; i++) {
		struct bayes_score ham = score(HAM, i), spam = score(SPAM, i);

		ck_assert_double_lt(ham.spam, 0.01);
		ck_assert_double_gt(spam.spam, 0.99);
		ck_assert_double_gt(spam.evidence, 10);
		ck_assert_double_eq_tol(spam.spam, 1 / (1 + exp(-spam.log_odds)), 1e-12);
		ck_assert_uint_eq(spam.why_count, COUNT(spam.why));
		for (size_t k = 1; k < spam.why_count; k++)
			ck_assert_double_ge(
			    fabs(spam.why[k - 1].spam - 0.5), fabs(spam.why[k].spam - 0.5));
	}
}
END_TEST

START_TEST(a_score_is_the_same_twice)
{
	struct bayes_score one, two;

	for (unsigned i = 0; i < 10; i++) {
		learn(HAM, i, CLASS_HAM, true);
		learn(SPAM, i, CLASS_SPAM, true);
	}
	one = score(SPAM, 50);
	two = score(SPAM, 50);
	ck_assert(one.log_odds == two.log_odds && one.spam == two.spam);
}
END_TEST

START_TEST(forgetting_leads_back_exactly)
{
	uint64_t empty = state(), some;

	for (unsigned i = 0; i < 5; i++) {
		learn(HAM, i, CLASS_HAM, true);
		learn(SPAM, i, CLASS_SPAM, true);
	}
	some = state();
	for (unsigned i = 5; i < 15; i++)
		learn(SPAM, i, CLASS_SPAM, i % 2 == 0);
	ck_assert(state() != some);
	for (unsigned i = 14; i >= 5; i--)
		ck_assert_int_eq(forget(SPAM, i), 1);
	ck_assert(state() == some);
	ck_assert_int_eq(forget(SPAM, 5), 0);
	ck_assert(state() == some);
	for (unsigned i = 0; i < 5; i++) {
		ck_assert_int_eq(forget(HAM, i), 1);
		ck_assert_int_eq(forget(SPAM, i), 1);
	}
	ck_assert(state() == empty);
}
END_TEST

START_TEST(known_and_moved)
{
	uint64_t as_ham;

	ck_assert_int_eq(learn(SPAM, 1, CLASS_HAM, false), LEARN_NEW);
	as_ham = state();
	ck_assert_int_eq(learn(SPAM, 1, CLASS_HAM, false), LEARN_KNOWN);
	ck_assert_int_eq(learn(SPAM, 1, CLASS_HAM, true), LEARN_KNOWN);
	ck_assert(state() == as_ham);
	ck_assert_int_eq(learn(SPAM, 1, CLASS_SPAM, false), LEARN_MOVED);
	ck_assert_int_eq(stat_of("learned", "spam", NULL), 1);
	ck_assert_int_eq(stat_of("learned", "ham", NULL), 0);
	ck_assert_int_eq(learn(SPAM, 1, CLASS_HAM, false), LEARN_MOVED);
	ck_assert(state() == as_ham);
}
END_TEST

START_TEST(sure_already)
{
	unsigned i = 0;

	for (; i < 50; i++) {
		learn(HAM, i, CLASS_HAM, true);
		learn(SPAM, i, CLASS_SPAM, true);
	}
	ck_assert_int_eq(learn(SPAM, 100, CLASS_SPAM, false), LEARN_SURE);
	ck_assert_int_eq(stat_of("learned", "spam", NULL), 50);
	ck_assert_int_eq(stat_of("model", "known", "spam"), 51);
	ck_assert_int_eq(learn(SPAM, 100, CLASS_SPAM, false), LEARN_KNOWN);
	/* Asked for all, it is counted after all. */
	ck_assert_int_eq(learn(SPAM, 100, CLASS_SPAM, true), LEARN_NEW);
	ck_assert_int_eq(stat_of("learned", "spam", NULL), 51);
	/* What is surely judged wrongly is learnt. */
	ck_assert_int_eq(learn(SPAM, 101, CLASS_HAM, false), LEARN_NEW);
	/* Moving what was only recorded counts it once. */
	ck_assert_int_eq(learn(HAM, 102, CLASS_HAM, false), LEARN_SURE);
	ck_assert_int_eq(learn(HAM, 102, CLASS_SPAM, false), LEARN_MOVED);
	ck_assert_int_eq(stat_of("learned", "spam", NULL), 52);
	ck_assert_int_eq(stat_of("learned", "ham", NULL), 51);
}
END_TEST

/* One learnt message of each class must not make certainties of a word or two; with each further
 * one the same evidence weighs more. */
START_TEST(little_knowledge_speaks_softly)
{
	double before = 0.5;
	struct err e = { "" };

	for (unsigned i = 0; i < 12; i++) {
		struct bayes_score s;
		struct features two_words;
		struct mail m;

		learn(HAM, i, CLASS_HAM, true);
		learn(SPAM, i, CLASS_SPAM, true);
		two_words = *mail(&m, SPAM, 0);
		two_words.n = 2;
		ck_assert_int_eq(bayes_score(bayes, &two_words, &s, &e), 0);
		if (i == 0)
			ck_assert_double_lt(s.spam, 0.75);
		ck_assert_double_gt(s.spam, 0.5);
		ck_assert_double_lt(fabs(s.spam - before), 0.25);
		before = s.spam;
	}
}
END_TEST

START_TEST(many_at_once_are_like_one_by_one)
{
	enum { N = 20 };
	static struct mail mails[N];
	struct features f[N];
	enum learn_result results[N];
	struct err e = { "" };
	uint64_t one_by_one;

	for (unsigned i = 0; i < N; i++) {
		f[i] = *mail(&mails[i], SPAM, i % (N - 1)); /* the last is the first again */
		learn(SPAM, i % (N - 1), CLASS_SPAM, true);
	}
	one_by_one = state();
	for (unsigned i = 0; i < N - 1; i++)
		ck_assert_int_eq(forget(SPAM, i), 1);
	ck_assert_int_eq(bayes_learn_many(bayes, f, N, CLASS_SPAM, true, "admin", results, &e), 0);
	ck_assert_int_eq(results[0], LEARN_NEW);
	ck_assert_int_eq(results[N - 1], LEARN_KNOWN);
	ck_assert(state() == one_by_one);
}
END_TEST

/* A store that is too small: nothing of the batch is there afterwards, and what was there works. */
START_TEST(a_full_store_learns_all_or_nothing)
{
	struct err e = { "" };
	enum learn_result result;
	uint64_t before = 0;
	char spec[80];
	int rc = 0;

	leave();
	if (mkdir(folder, 0700) != 0)
		abort();
	(void)snprintf(spec, sizeof(spec), "lmdb:%s", folder);
	ck_assert_ptr_nonnull(store = store_open(spec, 300 << 10, 0, &e));
	ck_assert_ptr_nonnull(bayes = bayes_open(store, &e));
	for (unsigned i = 0; rc == 0; i++) {
		struct mail m;

		ck_assert_uint_lt(i, 10000);
		before = state();
		rc = bayes_learn(bayes, mail(&m, i, i), CLASS_SPAM, true, "admin", &result, &e);
	}
	ck_assert_msg(strstr(e.text, "raise milterd/store_bytes") != NULL, "%s", e.text);
	ck_assert(state() == before);
}
END_TEST

START_TEST(another_version_is_refused)
{
	struct store_tx *tx;
	struct err e = { "" };
	const char totals[48] = { 99 };

	bayes_close(&bayes);
	ck_assert_int_eq(store_write_begin(store, &tx, &e), 0);
	ck_assert_int_eq(
	    store_put(tx, "sum", SLICE("totals"), slice_of(totals, sizeof(totals)), &e), 0);
	ck_assert_int_eq(store_commit(&tx, &e), 0);
	ck_assert_ptr_null(bayes_open(store, &e));
	ck_assert_str_eq(e.text, "what was learnt is of another version of weir: train again");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("bayes");
	TCase *arithmetic = tcase_create("arithmetic"), *learning = tcase_create("learning");

	tcase_add_loop_test(arithmetic, token, 0, COUNT(seen));
	tcase_add_test(arithmetic, two_witnesses_by_hand);
	tcase_add_test(arithmetic, witnesses_are_symmetric_and_bounded);
	tcase_add_test(arithmetic, trust_is_smooth);
	suite_add_tcase(s, arithmetic);
	tcase_set_timeout(learning, 60);
	tcase_add_checked_fixture(learning, enter, leave);
	tcase_add_test(learning, nothing_is_known_at_first);
	tcase_add_test(learning, what_was_taught_is_told_apart);
	tcase_add_test(learning, a_score_is_the_same_twice);
	tcase_add_test(learning, forgetting_leads_back_exactly);
	tcase_add_test(learning, known_and_moved);
	tcase_add_test(learning, sure_already);
	tcase_add_test(learning, little_knowledge_speaks_softly);
	tcase_add_test(learning, many_at_once_are_like_one_by_one);
	tcase_add_test(learning, a_full_store_learns_all_or_nothing);
	tcase_add_test(learning, another_version_is_refused);
	suite_add_tcase(s, learning);
	return unit_run(s);
}
