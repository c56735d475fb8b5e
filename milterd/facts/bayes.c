#include "config.h"

#include "provide.h"
#include "weir/log.h"

enum { SPAM, LOG_ODDS, EVIDENCE };

/* clang-format off */
static const struct fact_row rows[] = {
	[SPAM] = { "bayes.spam", FACT_NUMBER, STAGE_EOM,
	    "The probability from 0 to 1 that the message is spam; unknown before anything was learnt.", "0.998" },
	[LOG_ODDS] = { "bayes.log_odds", FACT_NUMBER, STAGE_EOM,
	    "The same as ln(p / (1 - p)).", "6.2" },
	[EVIDENCE] = { "bayes.evidence", FACT_NUMBER, STAGE_EOM,
	    "How many tokens of the message spoke.", "57" },
};
/* clang-format on */

static void score(struct exam *x, struct bayes_score *s)
{
	struct bayes *bayes = exam_services(x)->bayes;
	struct features f;
	struct err e;

	if (!bayes_taught(bayes) || !features_to_score(exam_message(x), exam_arena(x), &f))
		return;
	if (bayes_score(bayes, &f, s, &e) < 0) {
		s->known = false;
		log_event(LOG_LEVEL_ERROR, "bayes", "error", e.text, NULL);
	}
}

/* One score for the three facts. */
static const struct bayes_score *scored(struct exam *x)
{
	void **memo = exam_memo(x, &bayes_provider);

	if (*memo == NULL && exam_services(x)->bayes != NULL) {
		*memo = arena_take(exam_arena(x), sizeof(struct bayes_score));
		if (*memo != NULL)
			score(x, *memo);
	}
	return *memo;
}

static struct value get(struct exam *x, size_t row, struct slice name)
{
	const struct bayes_score *s = scored(x);

	(void)name;
	if (s == NULL || !s->known)
		return value_unknown;
	return value_number(row == SPAM ? s->spam : row == LOG_ODDS ? s->log_odds : s->evidence);
}

const struct provider bayes_provider = {
	.name = "bayes", .rows = rows, .n = COUNT(rows), .costly = true, .get = get
};
