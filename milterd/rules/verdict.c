#include "config.h"

#include "milterd/rules/evaluation.h"

#include <math.h>

/* ---- symbols and sums ---- */

static struct symbol symbol_of(const struct evaluation *ev, const struct fired *f)
{
	const struct rule *r = &ev->rs->rules[f->rule];

	return (struct symbol){
		.name = r->name,
		.group = r->group,
		.about = r->about,
		.score = r->score,
		.shadow = r->shadow,
		.file = r->file,
		.line = r->line,
		.because = f->because,
		.because_count = f->because_count,
	};
}

static void make_symbols(struct evaluation *ev)
{
	struct verdict *v = &ev->verdict;
	struct symbol *symbols = arena_take(ev->arena, (ev->fired_count + 1) * sizeof(*symbols));

	if (symbols == NULL)
		return;
	for (size_t i = 0; i < ev->fired_count; i++)
		symbols[i] = symbol_of(ev, &ev->fired[i]);
	v->symbols = symbols;
	v->symbol_count = ev->fired_count;
}

static const struct rule *rule_of(const struct evaluation *ev, const struct fired *f)
{
	return &ev->rs->rules[f->rule];
}

/* Apart from the symbols, so that it is right even where there is no memory for them. */
static void make_score(struct evaluation *ev)
{
	double sum = 0;

	for (size_t i = 0; i < ev->fired_count; i++)
		if (!rule_of(ev, &ev->fired[i])->shadow)
			sum += rule_of(ev, &ev->fired[i])->score;
	ev->verdict.score = score_rounded(sum);
}

static void make_delay(struct evaluation *ev)
{
	for (size_t i = ev->delay_from; i < ev->fired_count; i++) {
		const struct rule *r = rule_of(ev, &ev->fired[i]);

		if (!r->shadow && r->delay_ms > ev->verdict.delay_ms)
			ev->verdict.delay_ms = r->delay_ms;
	}
}

/* ---- policy ---- */

static double threshold_of(const struct policy *p, enum action action)
{
	for (size_t i = 0; i < p->threshold_count; i++)
		if (p->thresholds[i].action == action)
			return p->thresholds[i].at;
	return INFINITY;
}

static const struct policy *policy_of(struct evaluation *ev)
{
	if (ev->policy == NULL && ev->ran >= STAGE_RCPT)
		ev->policy = evaluation_policy_for(ev);
	return ev->policy != NULL ? ev->policy : &ev->rs->policies[0];
}

/* ---- action ---- */

/* The higher sum leads to what stands there, whatever stands below. */
static enum action action_of_sum(const struct policy *p, double score)
{
	enum action action = ACTION_DELIVER;

	for (size_t i = 0; i < p->threshold_count && p->thresholds[i].at <= score; i++)
		action = p->thresholds[i].action;
	return action;
}

/* tag and quarantine of rules are the least that happens: the sum may lead to more. */
static void raise_by_rules(struct evaluation *ev)
{
	struct verdict *v = &ev->verdict;

	for (size_t i = 0; i < ev->fired_count; i++) {
		const struct rule *r = rule_of(ev, &ev->fired[i]);
		enum action least = r->quarantine != NULL ? ACTION_QUARANTINE
		    : r->tag                              ? ACTION_TAG
							  : ACTION_DELIVER;

		if (r->shadow || v->action > ACTION_QUARANTINE || least <= v->action)
			continue;
		v->action = least;
		v->decided_by = r->name;
	}
}

static void decide_by_rule(struct evaluation *ev)
{
	const struct rule *r = &ev->rs->rules[ev->final_rule];
	struct verdict *v = &ev->verdict;

	v->action = r->action;
	v->decided_by = r->name;
	v->stage = ev->final_stage;
	if (r->reply != NULL)
		v->reply = render(ev, r->reply, RENDER_REPLY, SLICE(""));
}

static void decide_by_sum(struct evaluation *ev, const struct policy *p)
{
	struct verdict *v = &ev->verdict;

	v->action = action_of_sum(p, v->score);
	raise_by_rules(ev);
	if (p->reply[v->action] != NULL)
		v->reply = render(ev, p->reply[v->action], RENDER_REPLY, SLICE(""));
}

/* ---- edits ---- */

struct edits {
	struct evaluation *ev;
	struct edit *v;
	size_t n;
};

static size_t rows_count(const struct edit_rows *rows)
{
	size_t n = 0;

	for (const struct edit_row *r = rows->first; r != NULL; r = r->next)
		n++;
	return n;
}

static void add_edit(
    struct edits *to, enum edit_kind kind, struct slice name, const struct template *value)
{
	struct slice text = { 0 };

	if (value != NULL)
		text = render(to->ev, value, RENDER_FIELD, name);
	to->v[to->n++] = (struct edit){ .kind = kind, .name = name, .value = text };
}

static void add_rows(struct edits *to, const struct edit_rows *rows)
{
	for (const struct edit_row *r = rows->first; r != NULL; r = r->next)
		add_edit(to, r->kind, r->name, r->value);
}

/* The first rule that asks for a quarantine gives the reason, else the policy; its name where it
 * gives none, because a queue shows something. */
static void add_quarantine(struct edits *to, const struct policy *p)
{
	struct evaluation *ev = to->ev;

	for (size_t i = 0; i < ev->fired_count; i++) {
		const struct rule *r = rule_of(ev, &ev->fired[i]);

		if (r->shadow || r->quarantine == NULL)
			continue;
		add_edit(to, EDIT_QUARANTINE, SLICE(""), r->quarantine);
		return;
	}
	add_edit(to, EDIT_QUARANTINE, SLICE(""), p->quarantine);
	if (p->quarantine == NULL)
		to->v[to->n - 1].value = slice_z(p->name);
}

static size_t edits_room(const struct evaluation *ev, const struct headers *h)
{
	size_t n = rows_count(&h->remove) + rows_count(&h->add) + rows_count(&h->add_when_tagged) +
	    2;

	for (size_t i = 0; i < ev->fired_count; i++)
		n += rows_count(&rule_of(ev, &ev->fired[i])->edits);
	return n;
}

static void make_edits(struct evaluation *ev, const struct policy *p)
{
	const struct headers *h = &p->headers;
	struct edits to = { .ev = ev };
	struct verdict *v = &ev->verdict;
	bool tagged = v->action == ACTION_TAG || v->action == ACTION_QUARANTINE;

	to.v = arena_take(ev->arena, (edits_room(ev, h) + 1) * sizeof(*to.v));
	if (to.v == NULL)
		return;
	add_rows(&to, &h->remove);
	for (size_t i = 0; i < ev->fired_count; i++)
		if (!rule_of(ev, &ev->fired[i])->shadow)
			add_rows(&to, &rule_of(ev, &ev->fired[i])->edits);
	if (v->action == ACTION_QUARANTINE)
		add_quarantine(&to, p);
	add_rows(&to, &h->add);
	if (tagged)
		add_rows(&to, &h->add_when_tagged);
	if (tagged && h->subject_prefix_when_tagged != NULL)
		add_edit(&to, EDIT_SUBJECT_PREFIX, SLICE(""), h->subject_prefix_when_tagged);
	v->edits = to.v;
	v->edit_count = to.n;
}

static bool message_goes_on(enum action action)
{
	return action != ACTION_REJECT && action != ACTION_TEMPFAIL && action != ACTION_DISCARD;
}

const struct verdict *evaluation_verdict(struct evaluation *ev)
{
	const struct policy *p;

	if (ev->verdict_made)
		return &ev->verdict;
	p = policy_of(ev);
	ev->verdict = (struct verdict){
		.action = ACTION_DELIVER,
		.policy = p->name,
		.tag_at = threshold_of(p, ACTION_TAG),
		.quarantine_at = threshold_of(p, ACTION_QUARANTINE),
		.reject_at = threshold_of(p, ACTION_REJECT),
		.stage = ev->ran >= 0 ? (enum stage)ev->ran : STAGE_CONNECT,
	};
	make_symbols(ev);
	make_score(ev);
	make_delay(ev);
	if (ev->final_rule != NONE)
		decide_by_rule(ev);
	else if (ev->ran == STAGE_EOM)
		decide_by_sum(ev, p);
	if (message_goes_on(ev->verdict.action))
		make_edits(ev, p);
	ev->verdict_made = true;
	return &ev->verdict;
}
