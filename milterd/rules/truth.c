#include "config.h"

#include "milterd/rules/evaluation.h"

/* What a question is asked about: the message, or one element of a list of objects. want is the
 * answer whose reasons are noted; below a "not" it is the opposite one. */
struct question {
	struct evaluation *ev;
	const struct value *element;
	enum truth want;
};

static enum truth node_truth(const struct question *q, uint32_t i);

static enum truth truth_of(bool b)
{
	return b ? TRUTH_YES : TRUTH_NO;
}

static enum truth truth_not(enum truth t)
{
	return (enum truth)(TRUTH_YES - t);
}

static enum truth truth_and(enum truth a, enum truth b)
{
	return a < b ? a : b;
}

/* ---- notes ---- */

static struct slice cut_text(struct slice s)
{
	size_t n = BECAUSE_TEXT_MAX;

	if (s.n <= n)
		return s;
	while (n > 0 && ((unsigned char)s.p[n] & 0xc0) == 0x80)
		n--;
	return slice_sub(s, 0, n);
}

/* Short enough to be logged, kept and shown: long texts and lists are cut, a list of objects is its
 * number. */
static struct value cut_value(struct evaluation *ev, const struct value *v)
{
	size_t n = v->list.n < BECAUSE_ELEMENTS_MAX ? v->list.n : BECAUSE_ELEMENTS_MAX;
	struct value *elements;

	if (v->kind == VALUE_STRING)
		return value_string(cut_text(v->string));
	if (v->kind != VALUE_LIST)
		return v->kind == VALUE_OBJECT ? value_unknown : *v;
	if (n > 0 && v->list.v[0].kind == VALUE_OBJECT)
		return value_number((double)v->list.n);
	if ((elements = arena_take(ev->arena, (n + 1) * sizeof(*elements))) == NULL)
		return value_unknown;
	for (size_t i = 0; i < n; i++) {
		elements[i] = v->list.v[i];
		if (elements[i].kind == VALUE_STRING)
			elements[i].string = cut_text(elements[i].string);
	}
	return (struct value){ .kind = VALUE_LIST, .list = { elements, n } };
}

static void note(
    const struct question *q, struct slice fact, const struct value *v, struct slice matched)
{
	struct evaluation *ev = q->ev;

	if (ev->cached_only || ev->note_count == BECAUSE_MAX)
		return;
	/* Values are cut when the rule has fired: most notes are dropped before. */
	ev->notes[ev->note_count++] = (struct because){
		.fact = fact, .value = *v, .matched = matched
	};
}

/* ---- tests of one value ---- */

struct hit {
	const struct value *value; /* the element that fitted */
	struct slice matched;
};

static enum truth in_range(const struct node *n, double x)
{
	bool low = n->open_low ? x > n->low : x >= n->low;
	bool high = n->open_high ? x < n->high : x <= n->high;

	return truth_of(low && high);
}

static bool one_domain(struct slice a, struct slice b)
{
	a = domain_of(a);
	b = domain_of(b);
	return domain_within(a, b) || domain_within(b, a);
}

static const struct value *maybe_member(const struct value *v, const char *member)
{
	return member != NULL ? value_member(v, member) : v;
}

static enum truth same_domain(const struct value *v, const struct value *other, const char *member)
{
	if (other->kind == VALUE_UNKNOWN || v->kind == VALUE_UNKNOWN)
		return TRUTH_UNKNOWN;
	if (v->kind != VALUE_STRING)
		return TRUTH_NO;
	if (other->kind == VALUE_STRING)
		return truth_of(one_domain(v->string, other->string));
	for (size_t i = 0; other->kind == VALUE_LIST && i < other->list.n; i++) {
		const struct value *one = maybe_member(&other->list.v[i], member);

		if (one->kind == VALUE_STRING && one_domain(v->string, one->string))
			return TRUTH_YES;
	}
	return TRUTH_NO;
}

static enum truth one_test(
    const struct question *q, const struct node *n, const struct value *v, struct slice *matched)
{
	if (v->kind == VALUE_UNKNOWN)
		return TRUTH_UNKNOWN;
	switch (n->op) {
	case TEST_LIST:
		return list_match(n->list, q->ev->scan, v, matched);
	case TEST_RANGE:
		return v->kind == VALUE_NUMBER ? in_range(n, v->number) : TRUTH_NO;
	case TEST_BOOL:
		return truth_of(v->kind == VALUE_BOOL && v->boolean == n->yes);
	case TEST_SAME_DOMAIN:
		return same_domain(v, evaluation_fact(q->ev, n->ref), n->member);
	default:
		return TRUTH_NO;
	}
}

/* All tests of a chain that look at single values, on one value. */
static enum truth all_tests(
    const struct question *q, uint32_t first, const struct value *v, struct slice *matched)
{
	const struct node *nodes = q->ev->rs->nodes;
	enum truth t = TRUTH_YES;

	for (uint32_t i = first; i != 0 && t != TRUTH_NO; i = nodes[i].next)
		if (!test_of_whole(nodes[i].op))
			t = truth_and(t, one_test(q, &nodes[i], v, matched));
	return t;
}

static enum truth any_value(const struct question *q, const struct node *n, const struct value *v,
    const char *member, struct hit *hit);

static enum truth any_element(const struct question *q, const struct node *n, const struct value *v,
    const char *member, struct hit *hit)
{
	enum truth best = TRUTH_NO;

	for (size_t i = 0; i < v->list.n && best != TRUTH_YES; i++) {
		enum truth t = any_value(q, n, maybe_member(&v->list.v[i], member), NULL, hit);

		best = t > best ? t : best;
	}
	return best;
}

/* A list fits when one element does; member is asked of each element. Lists hold no lists but where
 * a member is one, so this goes two levels deep at most. */
static enum truth any_value(const struct question *q, const struct node *n, const struct value *v,
    const char *member, struct hit *hit)
{
	struct slice matched = { 0 };
	enum truth t;

	if (v->kind == VALUE_UNKNOWN)
		return TRUTH_UNKNOWN;
	if (v->kind == VALUE_LIST)
		return any_element(q, n, v, member, hit);
	t = all_tests(q, n->first, v, &matched);
	if (t == TRUTH_YES)
		*hit = (struct hit){ v, matched };
	return t;
}

/* ---- tests of the whole ---- */

static bool exists(const struct value *v, const char *member)
{
	switch (v->kind) {
	case VALUE_UNKNOWN:
		return false;
	case VALUE_STRING:
		return v->string.n > 0;
	case VALUE_LIST:
		if (member == NULL)
			return v->list.n > 0;
		for (size_t i = 0; i < v->list.n; i++)
			if (exists(value_member(&v->list.v[i], member), NULL))
				return true;
		return false;
	default:
		return true;
	}
}

/* some and every: one answer for each element, or'ed or and'ed. */
static enum truth elements_truth(
    const struct question *q, const struct node *n, const struct value *v, bool every)
{
	enum truth t = truth_of(every);

	if (v->kind == VALUE_UNKNOWN)
		return TRUTH_UNKNOWN;
	for (size_t i = 0; v->kind == VALUE_LIST && i < v->list.n; i++) {
		struct question inner = { q->ev, &v->list.v[i], q->want };
		enum truth its = node_truth(&inner, n->first);

		if (every ? its < t : its > t)
			t = its;
		if (t == truth_of(!every))
			break;
	}
	return t;
}

static enum truth whole_test(
    const struct question *q, const struct node *n, const struct value *v, const char *member)
{
	struct question opposite = { q->ev, q->element, truth_not(q->want) };
	struct slice matched;
	struct value count;

	switch (n->op) {
	case TEST_EXISTS:
		return truth_of(exists(v, member) == n->yes);
	case TEST_UNKNOWN:
		return truth_of((v->kind == VALUE_UNKNOWN) == n->yes);
	case TEST_COUNT:
		if (v->kind == VALUE_UNKNOWN)
			return TRUTH_UNKNOWN;
		count = value_number(v->kind == VALUE_LIST ? (double)v->list.n : 1);
		return all_tests(q, n->first, &count, &matched);
	case TEST_SOME:
		return elements_truth(q, n, v, false);
	case TEST_EVERY:
		return elements_truth(q, n, v, true);
	case TEST_NONE:
		return truth_not(elements_truth(&opposite, n, v, false));
	default:
		return TRUTH_NO;
	}
}

static enum truth fact_truth(const struct question *q, const struct node *n)
{
	const struct node *nodes = q->ev->rs->nodes;
	const struct value *v = n->ref != NONE ? evaluation_fact(q->ev, n->ref) : q->element;
	const char *member = n->each ? n->member : NULL;
	struct hit hit = { 0 };
	size_t notes = q->ev->note_count;
	enum truth t = TRUTH_YES;
	bool singles = false;

	if (n->member != NULL && !n->each)
		v = value_member(v, n->member);
	for (uint32_t i = n->first; i != 0 && t != TRUTH_NO; i = nodes[i].next) {
		if (test_of_whole(nodes[i].op))
			t = truth_and(t, whole_test(q, &nodes[i], v, member));
		else
			singles = true;
	}
	if (singles && t != TRUTH_NO)
		t = truth_and(t, any_value(q, n, v, member, &hit));
	if (t == q->want && q->ev->note_count == notes)
		note(q, slice_z(n->label), hit.value != NULL ? hit.value : v, hit.matched);
	return t;
}

/* ---- conditions made of conditions ---- */

/* all and any stop at the first child that settles the matter. */
static enum truth many_truth(const struct question *q, const struct node *n, enum truth settles)
{
	enum truth t = truth_not(settles);

	for (uint32_t i = n->first; i != 0 && t != settles; i = q->ev->rs->nodes[i].next) {
		enum truth its = node_truth(q, i);

		if (settles == TRUTH_NO ? its < t : its > t)
			t = its;
	}
	return t;
}

static enum truth at_least_truth(const struct question *q, const struct node *n)
{
	uint32_t yes = 0, maybe = 0;

	for (uint32_t i = n->first; i != 0 && yes < n->need; i = q->ev->rs->nodes[i].next) {
		enum truth t = node_truth(q, i);

		yes += t == TRUTH_YES;
		maybe += t == TRUTH_UNKNOWN;
	}
	if (yes >= n->need)
		return TRUTH_YES;
	return yes + maybe >= n->need ? TRUTH_UNKNOWN : TRUTH_NO;
}

static enum truth rule_truth(const struct question *q, const struct node *n)
{
	const struct rule *r = &q->ev->rs->rules[n->ref];
	enum truth t = (enum truth)q->ev->truth[n->ref];
	struct value v = value_bool(t == TRUTH_YES);

	if (t == q->want)
		note(q, slice_z(r->name), &v, (struct slice){ 0 });
	return t;
}

static bool group_fired(const struct evaluation *ev, const struct group *g)
{
	for (size_t i = 0; i < g->n; i++)
		if (ev->truth[g->members[i]] == TRUTH_YES && !ev->rs->rules[g->members[i]].shadow)
			return true;
	return false;
}

static enum truth group_truth(const struct question *q, const struct node *n)
{
	const struct group *g = &q->ev->rs->groups[n->ref];
	struct value sum = value_number(evaluation_group_sum(q->ev, g));
	enum truth t = n->ranged ? in_range(n, sum.number) : truth_of(group_fired(q->ev, g));

	if (t == q->want)
		note(q, slice_z(g->name), &sum, (struct slice){ 0 });
	return t;
}

static enum truth not_truth(const struct question *q, const struct node *n)
{
	struct question opposite = { q->ev, q->element, truth_not(q->want) };

	return truth_not(node_truth(&opposite, n->first));
}

static enum truth by_op(const struct question *q, const struct node *n)
{
	switch (n->op) {
	case NODE_ALL:
		return many_truth(q, n, TRUTH_NO);
	case NODE_ANY:
		return many_truth(q, n, TRUTH_YES);
	case NODE_NOT:
		return not_truth(q, n);
	case NODE_AT_LEAST:
		return at_least_truth(q, n);
	case NODE_RULE:
		return rule_truth(q, n);
	case NODE_GROUP:
		return group_truth(q, n);
	case NODE_FACT:
		return fact_truth(q, n);
	default:
		return TRUTH_NO;
	}
}

/* The loader bounds the depth. Reasons of an answer that was not wanted are dropped. */
static enum truth node_truth(const struct question *q, uint32_t i)
{
	size_t notes = q->ev->note_count;
	enum truth t = by_op(q, &q->ev->rs->nodes[i]);

	if (t != q->want)
		q->ev->note_count = notes;
	return t;
}

enum truth evaluation_truth(struct evaluation *ev, uint32_t node)
{
	struct question q = { ev, NULL, TRUTH_YES };
	enum truth t;

	ev->note_count = 0;
	t = node_truth(&q, node);
	for (size_t i = 0; t == TRUTH_YES && i < ev->note_count; i++) {
		ev->notes[i].value = cut_value(ev, &ev->notes[i].value);
		ev->notes[i].matched = cut_text(ev->notes[i].matched);
	}
	return t;
}

enum truth evaluation_truth_of(struct evaluation *ev, uint32_t node, const struct value *element)
{
	struct question q = { ev, element, TRUTH_YES };

	return node_truth(&q, node);
}
