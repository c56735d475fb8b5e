/*
 * evaluation - one message under a rule set, from the inside: truth.c answers conditions,
 * evaluate.c runs rules stage by stage, verdict.c turns what fired into a verdict, render.c fills
 * texts.
 */
#ifndef WEIR_RULES_EVALUATION_H
#define WEIR_RULES_EVALUATION_H

#include "milterd/rules/set.h"

enum {
	BECAUSE_MAX = 16,       /* facts that are named for one rule */
	BECAUSE_TEXT_MAX = 100, /* octets of a value or match in it */
	BECAUSE_ELEMENTS_MAX = 10,
	RENDER_FACT_MAX = 200, /* octets of one fact in a text */
	RENDER_MAX = 8000      /* octets of a whole text */
};

struct fired {
	uint32_t rule;
	enum stage stage;
	const struct because *because;
	size_t because_count;
};

struct evaluation {
	const struct ruleset *rs;
	struct arena *arena;
	struct fact_source source;
	struct pattern_scan *scan;
	int ran;        /* the last stage that was run, -1 before the first */
	enum stage now; /* facts of later stages are unknown */
	struct value *values;
	bool *asked;
	uint8_t *truth; /* of each rule that has run: enum truth */
	uint8_t *kept;  /* of rules at STAGE_RCPT, over the recipients that were accepted */
	uint32_t *held; /* recipients of which it was true */
	uint32_t recipients;
	bool sent_away; /* evaluation_recipient refused the recipient in hand */
	struct fired *fired;
	size_t fired_count, fired_cap;
	size_t settled; /* what fired before the recipient in hand */
	const struct policy *policy;
	bool policy_settled; /* an accepted recipient chose it */
	uint32_t final_rule; /* NONE: nothing is final yet */
	enum stage final_stage;
	bool final_of_recipient; /* it refuses the recipient in hand, not the message */
	size_t delay_from;       /* what fired in the last run begins here */
	struct because notes[BECAUSE_MAX];
	size_t note_count;
	bool cached_only; /* explain: ask for nothing new */
	struct verdict verdict;
	bool verdict_made;
};

/* The value of fact i; asked from its source at most once. */
const struct value *evaluation_fact(struct evaluation *ev, uint32_t i);
/* Is the condition true? Notes the facts that made it so. */
enum truth evaluation_truth(struct evaluation *ev, uint32_t node);
/* The truth of one node for an element of a list (or NULL), without notes. */
enum truth evaluation_truth_of(struct evaluation *ev, uint32_t node, const struct value *element);
double evaluation_group_sum(const struct evaluation *ev, const struct group *g);
/* The policy whose "for" is true with the facts as they stand. */
const struct policy *evaluation_policy_for(struct evaluation *ev);
static inline double score_rounded(double sum)
{
	/* Sums of decimal fractions are compared with thresholds: 0.1 ten times must be 1. */
	double scaled = sum * 1e6;

	return (double)(int64_t)(scaled < 0 ? scaled - 0.5 : scaled + 0.5) / 1e6;
}

/* What a text is for. */
enum render_for { RENDER_FIELD, RENDER_REPLY };
/* name: of the header field, for folding; .p NULL without memory. */
struct slice render(
    struct evaluation *ev, const struct template *t, enum render_for use, struct slice name);

#endif
