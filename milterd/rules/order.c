#include "config.h"

#include "milterd/rules/loader.h"

#include <stdlib.h>

/* Rules ask rules: each comes behind those that it asks, and is of no earlier stage. A walk in
 * depth with a stack of its own, because a chain of rules may be as long as the set. */

enum mark { UNSEEN, OPEN, DONE };

struct walk {
	struct loader *l;
	uint32_t *base;  /* rules by file and name */
	uint32_t *order; /* rules in the order of evaluation, stages apart */
	uint32_t *stack; /* the rules that are open, each asked by the one before */
	size_t *at;      /* for each on the stack: which of its uses is next */
	enum mark *mark;
	size_t n, depth;
};

/* qsort takes no context, so the elements carry what they are sorted by. */
struct key {
	const struct rule *rule;
	uint32_t number;
};

static int base_order(const void *a, const void *b)
{
	const struct rule *x = ((const struct key *)a)->rule, *y = ((const struct key *)b)->rule;

	if (x->file_index != y->file_index)
		return x->file_index < y->file_index ? -1 : 1;
	return strcmp(x->name, y->name);
}

static bool sort_base(struct walk *w)
{
	struct key *keys = calloc(w->n + 1, sizeof(*keys));

	if (keys == NULL)
		return false;
	for (size_t i = 0; i < w->n; i++)
		keys[i] = (struct key){ &w->l->rs->rules[i], (uint32_t)i };
	qsort(keys, w->n, sizeof(*keys), base_order);
	for (size_t i = 0; i < w->n; i++)
		w->base[i] = keys[i].number;
	free(keys);
	return true;
}

static int complain_circle(struct walk *w, uint32_t again)
{
	struct loader *l = w->l;
	const struct rule *rules = l->rs->rules;
	char text[400];
	struct buf b = BUF_ON(text);
	size_t from = w->depth, rules_at, name_at;

	text[0] = '\0';
	while (from > 0 && w->stack[from - 1] != again)
		from--;
	from = from > 0 ? from - 1 : 0;
	for (size_t i = from; i < w->depth; i++)
		buf_addf(&b, "%s -> ", rules[w->stack[i]].name);
	buf_addf(&b, "%s", b.cut ? "..." : rules[again].name);
	rules_at = loader_enter(l, SLICE("rules"));
	name_at = loader_enter(l, slice_z(rules[again].name));
	(void)loader_enter(l, SLICE("when"));
	(void)complain(l, true, "rules ask each other in a circle: %s", text);
	loader_leave(l, name_at);
	loader_leave(l, rules_at);
	return -1;
}

static void open_rule(struct walk *w, uint32_t rule)
{
	w->mark[rule] = OPEN;
	w->stack[w->depth] = rule;
	w->at[w->depth++] = 0;
}

static void take_over(struct rule *r, const struct rule *used)
{
	if (used->stage > r->stage)
		r->stage = used->stage;
	r->reads_rcpt |= used->reads_rcpt;
}

/* Go one step from the rule on top of the stack. */
static int walk_step(struct walk *w, size_t *placed)
{
	uint32_t top = w->stack[w->depth - 1];
	struct rule *r = &w->l->rs->rules[top];
	uint32_t used;

	if (w->at[w->depth - 1] == r->use_count) {
		w->mark[top] = DONE;
		w->order[(*placed)++] = top;
		w->depth--;
		if (w->depth > 0)
			take_over(&w->l->rs->rules[w->stack[w->depth - 1]], r);
		return 0;
	}
	used = r->uses[w->at[w->depth - 1]++];
	if (w->mark[used] == OPEN)
		return complain_circle(w, used);
	if (w->mark[used] == UNSEEN)
		open_rule(w, used);
	else
		take_over(r, &w->l->rs->rules[used]);
	return 0;
}

static int walk_all(struct walk *w)
{
	size_t placed = 0;
	int rc = 0;

	for (size_t i = 0; i < w->n; i++) {
		if (w->mark[w->base[i]] != UNSEEN)
			continue;
		open_rule(w, w->base[i]);
		while (w->depth > 0)
			rc |= walk_step(w, &placed);
	}
	return rc;
}

/* Into the order, stage by stage (each keeps the walk's), and every reference after them. */
static bool sort_rules(struct walk *w)
{
	struct ruleset *rs = w->l->rs;
	struct rule *sorted = calloc(w->n + 1, sizeof(*sorted));
	uint32_t *moved = calloc(w->n + 1, sizeof(*moved));
	size_t n = 0;

	if (sorted == NULL || moved == NULL) {
		free(sorted);
		free(moved);
		return false;
	}
	for (unsigned stage = 0; stage < STAGE_COUNT; stage++) {
		for (size_t i = 0; i < w->n; i++)
			if (rs->rules[w->order[i]].stage == (enum stage)stage) {
				moved[w->order[i]] = (uint32_t)n;
				sorted[n++] = rs->rules[w->order[i]];
			}
		rs->stage_end[stage] = n;
	}
	for (size_t i = 1; i < rs->node_count; i++)
		if (rs->nodes[i].op == NODE_RULE)
			rs->nodes[i].ref = moved[rs->nodes[i].ref];
	for (size_t g = 0; g < rs->group_count; g++)
		for (size_t i = 0; i < rs->groups[g].n; i++)
			rs->groups[g].members[i] = moved[rs->groups[g].members[i]];
	free(rs->rules);
	free(moved);
	rs->rules = sorted;
	return true;
}

/* A rule of a later stage sees all recipients at once, and one that fits is enough: whoever adds
 * that one to his list gets the message to all of them. */
static void warn_of_recipients(struct loader *l)
{
	size_t was = loader_enter(l, SLICE("rules"));

	for (size_t i = 0; i < l->rs->rule_count; i++) {
		const struct rule *r = &l->rs->rules[i];
		size_t name;

		if (!r->reads_rcpt || r->stage <= STAGE_RCPT || r->shadow ||
		    (r->action != ACTION_ACCEPT && r->action != ACTION_DISCARD))
			continue;
		name = loader_enter(l, slice_z(r->name));
		(void)loader_enter(l, slice_z(action_names[r->action]));
		warn(l, true, "goes for all recipients when one of them fits: use a policy");
		loader_leave(l, name);
	}
	loader_leave(l, was);
}

int order_rules(struct loader *l)
{
	struct walk w = { .l = l, .n = l->rs->rule_count };
	size_t room = w.n + 1;
	int rc = -1;

	w.base = calloc(room, sizeof(*w.base));
	w.order = calloc(room, sizeof(*w.order));
	w.stack = calloc(room, sizeof(*w.stack));
	w.at = calloc(room, sizeof(*w.at));
	w.mark = calloc(room, sizeof(*w.mark));
	if (w.base == NULL || w.order == NULL || w.stack == NULL || w.at == NULL ||
	    w.mark == NULL || !sort_base(&w))
		(void)complain_memory(l);
	else if ((rc = walk_all(&w)) == 0 && !sort_rules(&w))
		rc = complain_memory(l);
	if (rc == 0)
		warn_of_recipients(l);
	free(w.base);
	free(w.order);
	free(w.stack);
	free(w.at);
	free(w.mark);
	return rc;
}

/* accept and discard of a rule that looks at one recipient wait for the last one. */
static enum stage acting_stage(const struct rule *r)
{
	bool waits = r->action == ACTION_ACCEPT || r->action == ACTION_DISCARD;

	return r->stage == STAGE_RCPT && waits ? STAGE_DATA : r->stage;
}

void derive_acts(struct ruleset *rs)
{
	rs->acts_at[STAGE_EOM] = true;
	rs->acts_at[STAGE_RCPT] = rs->policy_count > 1;
	for (size_t i = 0; i < rs->rule_count; i++) {
		const struct rule *r = &rs->rules[i];

		if (r->shadow)
			continue;
		if (r->action != ACTION_DELIVER)
			rs->acts_at[acting_stage(r)] = true;
		if (r->delay_ms > 0)
			rs->acts_at[r->stage] = true;
	}
}
