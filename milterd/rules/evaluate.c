#include "config.h"

#include "milterd/rules/evaluation.h"

#include <stdlib.h>

struct evaluation *evaluation_new(
    const struct ruleset *rs, struct arena *a, struct fact_source source)
{
	struct evaluation *ev = calloc(1, sizeof(*ev));
	size_t rules = rs->rule_count + 1, facts = rs->fact_count + 1;

	if (ev == NULL)
		return NULL;
	*ev = (struct evaluation){
		.rs = rs, .arena = a, .source = source, .ran = -1, .final_rule = NONE
	};
	ev->scan = pattern_scan_new(rs->patterns);
	ev->values = calloc(facts, sizeof(*ev->values));
	ev->asked = calloc(facts, sizeof(*ev->asked));
	ev->truth = calloc(rules, sizeof(*ev->truth));
	ev->kept = calloc(rules, sizeof(*ev->kept));
	ev->held = calloc(rules, sizeof(*ev->held));
	if (ev->scan == NULL || ev->values == NULL || ev->asked == NULL || ev->truth == NULL ||
	    ev->kept == NULL || ev->held == NULL)
		evaluation_free(&ev);
	return ev;
}

void evaluation_free(struct evaluation **pointer)
{
	struct evaluation *ev = *pointer;

	if (ev == NULL)
		return;
	pattern_scan_free(&ev->scan);
	free(ev->values);
	free(ev->asked);
	free(ev->truth);
	free(ev->kept);
	free(ev->held);
	free(ev->fired);
	free(ev);
	*pointer = NULL;
}

const struct value *evaluation_fact(struct evaluation *ev, uint32_t i)
{
	if (ev->asked[i])
		return &ev->values[i];
	if (ev->cached_only || ev->rs->facts[i].stage > ev->now)
		return &value_unknown;
	ev->asked[i] = true;
	ev->values[i] = ev->source.get(ev->source.arg, &ev->rs->facts[i], i);
	return &ev->values[i];
}

double evaluation_group_sum(const struct evaluation *ev, const struct group *g)
{
	double sum = 0;

	for (size_t i = 0; i < g->n; i++) {
		const struct rule *r = &ev->rs->rules[g->members[i]];

		if (!r->shadow && ev->truth[g->members[i]] == TRUTH_YES)
			sum += r->score;
	}
	return score_rounded(sum);
}

/* ---- policies ---- */

const struct policy *evaluation_policy_for(struct evaluation *ev)
{
	const struct ruleset *rs = ev->rs;

	for (size_t i = 1; i < rs->policy_count; i++)
		if (evaluation_truth_of(ev, rs->policies[i].when, NULL) == TRUTH_YES)
			return &rs->policies[i];
	return &rs->policies[0];
}

int evaluation_recipient(struct evaluation *ev, struct slice *reply)
{
	const struct policy *his;

	*reply = (struct slice){ 0 };
	if (ev->rs->policy_count == 1)
		return 0;
	if (ev->now < STAGE_RCPT)
		ev->now = STAGE_RCPT;
	his = evaluation_policy_for(ev);
	if (ev->policy == NULL)
		ev->policy = his;
	if (ev->policy == his)
		return 0;
	ev->sent_away = true;
	*reply = ev->rs->split_reply;
	return 1;
}

/* ---- forgetting ---- */

static size_t stage_start(const struct ruleset *rs, enum stage stage)
{
	return stage == STAGE_CONNECT ? 0 : rs->stage_end[stage - 1];
}

/* Values of facts of the stages from..to. */
static void forget_values(struct evaluation *ev, enum stage from, enum stage to)
{
	for (size_t i = 0; i < ev->rs->fact_count; i++)
		if (ev->rs->facts[i].stage >= from && ev->rs->facts[i].stage <= to)
			ev->asked[i] = false;
	pattern_scan_forget(ev->scan);
}

static void keep_recipient(struct evaluation *ev)
{
	ev->recipients++;
	ev->policy_settled = true;
	ev->settled = ev->fired_count;
	for (size_t i = stage_start(ev->rs, STAGE_RCPT); i < ev->rs->stage_end[STAGE_RCPT]; i++) {
		if (ev->truth[i] > ev->kept[i])
			ev->kept[i] = ev->truth[i];
		ev->held[i] += ev->truth[i] == TRUTH_YES;
	}
}

static void drop_recipient(struct evaluation *ev)
{
	while (ev->fired_count > ev->settled && ev->fired[ev->fired_count - 1].stage == STAGE_RCPT)
		ev->fired_count--;
	if (ev->delay_from > ev->fired_count)
		ev->delay_from = ev->fired_count;
	if (ev->final_of_recipient)
		ev->final_rule = NONE;
	ev->final_of_recipient = false;
	if (!ev->policy_settled)
		ev->policy = NULL;
}

/* The recipient in hand is dealt with: his results stay, or go. */
static void settle_recipient(struct evaluation *ev)
{
	if (ev->ran == STAGE_RCPT && !ev->sent_away && !ev->final_of_recipient)
		keep_recipient(ev);
	else
		drop_recipient(ev);
	ev->sent_away = false;
	if (ev->ran >= STAGE_RCPT)
		ev->ran = STAGE_RCPT - 1;
	forget_values(ev, STAGE_RCPT, STAGE_RCPT);
}

static void forget_recipients(struct evaluation *ev)
{
	ev->recipients = 0;
	ev->policy = NULL;
	ev->policy_settled = ev->sent_away = false;
	memset(ev->kept, 0, ev->rs->rule_count * sizeof(*ev->kept));
	memset(ev->held, 0, ev->rs->rule_count * sizeof(*ev->held));
}

void evaluation_forget(struct evaluation *ev, enum stage stage)
{
	ev->verdict_made = false;
	if (stage == STAGE_RCPT && ev->ran <= STAGE_RCPT) {
		settle_recipient(ev);
		return;
	}
	if (stage <= STAGE_RCPT)
		forget_recipients(ev);
	while (ev->fired_count > 0 && ev->fired[ev->fired_count - 1].stage >= stage)
		ev->fired_count--;
	if (ev->settled > ev->fired_count)
		ev->settled = ev->fired_count;
	if (ev->final_rule != NONE && ev->final_stage >= stage) {
		ev->final_rule = NONE;
		ev->final_of_recipient = false;
	}
	if (ev->ran >= (int)stage)
		ev->ran = (int)stage - 1;
	forget_values(ev, stage, STAGE_EOM);
}

/* ---- rules ---- */

static bool fired_already(const struct evaluation *ev, uint32_t rule)
{
	for (size_t i = 0; i < ev->settled; i++)
		if (ev->fired[i].rule == rule)
			return true;
	return false;
}

static bool fired_room(struct evaluation *ev)
{
	size_t cap = ev->fired_cap > 0 ? ev->fired_cap * 2 : 16;
	struct fired *grown;

	if (ev->fired_count < ev->fired_cap)
		return true;
	if ((grown = realloc(ev->fired, cap * sizeof(*grown))) == NULL) {
		ev->arena->failed = true; /* the exam fails the message for want of memory */
		return false;
	}
	ev->fired = grown;
	ev->fired_cap = cap;
	return true;
}

static void add_fired(struct evaluation *ev, uint32_t rule, enum stage stage)
{
	struct because *because;

	/* A rule that looks at recipients counts once, however many make it true. */
	if (stage == STAGE_RCPT && fired_already(ev, rule))
		return;
	if (!fired_room(ev))
		return;
	because = arena_take(ev->arena, (ev->note_count + 1) * sizeof(*because));
	if (because != NULL)
		memcpy(because, ev->notes, ev->note_count * sizeof(*because));
	ev->fired[ev->fired_count++] = (struct fired){ .rule = rule,
		.stage = stage,
		.because = because,
		.because_count = because != NULL ? ev->note_count : 0 };
}

/* Refusals are stronger than an acceptance of the same stage, and what is final stronger than what
 * may be tried again. */
static unsigned strength(enum action action)
{
	static const unsigned of[] = { [ACTION_ACCEPT] = 1,
		[ACTION_TEMPFAIL] = 2,
		[ACTION_DISCARD] = 3,
		[ACTION_REJECT] = 4 };

	return action < COUNT(of) ? of[action] : 0;
}

static void consider(struct evaluation *ev, uint32_t rule, enum stage stage)
{
	const struct rule *rules = ev->rs->rules;

	if (rules[rule].shadow || rules[rule].action == ACTION_DELIVER)
		return;
	if (ev->final_rule != NONE &&
	    strength(rules[rule].action) <= strength(rules[ev->final_rule].action))
		return;
	ev->final_rule = rule;
	ev->final_stage = stage;
}

static bool waits_for_all(const struct rule *r)
{
	return r->action == ACTION_ACCEPT || r->action == ACTION_DISCARD;
}

static void run_rule(struct evaluation *ev, uint32_t i, enum stage stage, bool one_recipient)
{
	const struct rule *r = &ev->rs->rules[i];

	ev->truth[i] = (uint8_t)evaluation_truth(ev, r->when);
	if (ev->truth[i] != TRUTH_YES)
		return;
	add_fired(ev, i, stage);
	if (!one_recipient || !waits_for_all(r))
		consider(ev, i, stage);
}

static void run_stage(struct evaluation *ev, enum stage stage, bool one_recipient)
{
	size_t end = ev->rs->stage_end[stage];

	ev->now = stage;
	for (size_t i = stage_start(ev->rs, stage); i < end; i++)
		run_rule(ev, (uint32_t)i, stage, one_recipient);
	ev->ran = (int)stage;
}

/* The last recipient was given. Rules at STAGE_RCPT are true from here on when they were true of
 * one who was accepted; accept and discard when they were true of all. */
static void leave_recipients(struct evaluation *ev)
{
	size_t from = stage_start(ev->rs, STAGE_RCPT), end = ev->rs->stage_end[STAGE_RCPT];

	settle_recipient(ev);
	ev->ran = STAGE_RCPT;
	if (ev->recipients == 0)
		return;
	for (size_t i = from; i < end; i++) {
		const struct rule *r = &ev->rs->rules[i];

		ev->truth[i] = ev->kept[i];
		if (waits_for_all(r) && ev->held[i] == ev->recipients)
			consider(ev, (uint32_t)i, STAGE_DATA);
	}
}

static bool is_final(const struct evaluation *ev)
{
	return ev->final_rule != NONE;
}

/* Stages before and at STAGE_RCPT. */
static void run_early(struct evaluation *ev, enum stage last)
{
	while (ev->ran < (int)last && !is_final(ev)) {
		enum stage next = (enum stage)(ev->ran + 1);

		run_stage(ev, next, next == STAGE_RCPT);
		ev->final_of_recipient = next == STAGE_RCPT && is_final(ev);
	}
}

/* Nobody asked recipient by recipient: all of them at once, and what is final is so for all. */
static void run_all_recipients(struct evaluation *ev)
{
	run_stage(ev, STAGE_RCPT, false);
	ev->settled = ev->fired_count;
	forget_values(ev, STAGE_RCPT, STAGE_RCPT);
}

/* From the recipients to the message. What accepts at this point meets the rules of STAGE_DATA as
 * one of theirs. */
static void run_data(struct evaluation *ev)
{
	bool one_by_one = ev->ran == STAGE_RCPT || ev->recipients > 0;

	run_early(ev, STAGE_MAIL);
	if (is_final(ev) && !ev->final_of_recipient)
		return;
	if (one_by_one)
		leave_recipients(ev);
	else
		run_all_recipients(ev);
	if (!is_final(ev) || one_by_one)
		run_stage(ev, STAGE_DATA, false);
}

static void run_late(struct evaluation *ev, enum stage stage)
{
	if (ev->ran < STAGE_DATA)
		run_data(ev);
	while (ev->ran < (int)stage && !is_final(ev))
		run_stage(ev, (enum stage)(ev->ran + 1), false);
}

bool evaluation_run(struct evaluation *ev, enum stage stage)
{
	ev->verdict_made = false;
	ev->delay_from = ev->fired_count;
	if (stage <= STAGE_RCPT)
		run_early(ev, stage);
	else if (!is_final(ev) || ev->final_of_recipient)
		run_late(ev, stage);
	if (!is_final(ev) && stage != STAGE_EOM)
		return false;
	/* It will be asked for at once; made here, a want of memory shows in the arena before the
	 * caller acts on it. */
	(void)evaluation_verdict(ev);
	return true;
}
