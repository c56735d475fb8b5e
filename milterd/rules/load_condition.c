#include "config.h"

#include "milterd/rules/condition.h"

/* clang-format off */
const struct combinator combinators[] = {
	{ "all", COMBINES_MANY, "All of these conditions." },
	{ "any", COMBINES_MANY, "One of these conditions." },
	{ "not", COMBINES_ONE, "Not this condition; unknown where it is unknown." },
	{ "at_least", COMBINES_NUMBER, "So many of the conditions in \"of\"." },
	{ "of", COMBINES_MANY, "The conditions that \"at_least\" counts." },
	{ "rule", COMBINES_NAME, "The condition of another rule, whether it has a score or not." },
	{ "group", COMBINES_NAME, "The sum of a group's scores, compared by lt, le, gt, ge; without these: "
	    "one of its rules fired." },
};
const size_t combinator_count = COUNT(combinators);
/* clang-format on */

/* ---- facts ---- */

static int member_unknown(struct loader *l, struct slice member)
{
	const char *names[64];
	struct slice prefix = slice_z(l->element_of);
	size_t n = 0;

	for (size_t p = 0; providers[p] != NULL; p++)
		for (size_t i = 0; i < providers[p]->n && n < COUNT(names); i++) {
			struct slice name = slice_z(providers[p]->rows[i].name);

			if (slice_starts(name, prefix) &&
			    slice_starts(slice_sub(name, prefix.n, name.n), SLICE("[].")))
				names[n++] = name.p + prefix.n + 3;
		}
	return complain_unknown(l, true, "member", member, names, n);
}

/* In some, every and none names are members of the element. */
static int find_member(struct loader *l, struct slice name, struct node *n, struct asked *a)
{
	const struct fact_row *row = catalogue_member(slice_z(l->element_of), name);

	if (row == NULL)
		return member_unknown(l, name);
	a->type = row->type;
	a->label = n->label = row->name;
	n->member = row->name + strlen(l->element_of) + 3;
	return 0;
}

static int find_fact(struct loader *l, struct slice name, struct node *n, struct asked *a)
{
	struct err e;

	if (loader_fact(l, name, &n->ref, &n->member, &a->type, &e) < 0)
		return complain(l, true, "%s", e.text);
	n->each = n->member != NULL;
	a->list = l->rs->facts[n->ref].name;
	a->label = n->label = n->each ? loader_text(l, name) : l->rs->facts[n->ref].name;
	return n->label != NULL ? 0 : -1;
}

static int load_fact(struct loader *l, const char *name, json_t *v, uint32_t *out)
{
	struct node n = { .op = NODE_FACT, .source = v, .ref = NONE };
	struct asked a = { 0 };
	int rc = l->element_of != NULL ? find_member(l, slice_z(name), &n, &a)
				       : find_fact(l, slice_z(name), &n, &a);

	if (rc < 0 || (*out = node_new(l, NODE_FACT, v)) == 0)
		return -1;
	l->rs->nodes[*out] = n;
	return json_is_object(v) ? load_tests(l, &a, v, *out) : load_bare(l, &a, v, *out);
}

/* ---- conditions made of conditions ---- */

static int load_many(struct loader *l, enum node_op op, json_t *list, uint32_t *out)
{
	uint32_t last = 0, child, node;
	json_t *v;
	size_t i;
	int rc = 0;

	if (!json_is_array(list))
		return wrong_type(l, "a list of conditions", list);
	if (json_array_size(list) == 0)
		return complain(l, false, "must hold at least one condition");
	if ((node = node_new(l, op, list)) == 0)
		return -1;
	json_array_foreach(list, i, v)
	{
		size_t was = loader_enter_index(l, i);

		child = 0;
		rc |= load_condition(l, v, &child);
		node_adopt(l, node, &last, child);
		loader_leave(l, was);
	}
	*out = node;
	return rc;
}

static int load_not(struct loader *l, json_t *v, uint32_t *out)
{
	uint32_t child = 0;

	if (load_condition(l, v, &child) < 0 || (*out = node_new(l, NODE_NOT, v)) == 0)
		return -1;
	l->rs->nodes[*out].first = child;
	return 0;
}

/* "of" makes the node, "at_least" is looked at beside it. */
static int load_at_least(struct loader *l, json_t *whole, const json_t *v)
{
	const json_t *of = json_object_get(whole, "of");

	if (!json_is_integer(v) || json_integer_value(v) < 1)
		return complain(l, false, "must be a whole number from 1 on");
	if (of == NULL)
		return complain(l, true, "\"at_least\" needs \"of\", the list of conditions");
	if (json_is_array(of) && (size_t)json_integer_value(v) > json_array_size(of))
		return complain(
		    l, false, "there are only %zu conditions in \"of\"", json_array_size(of));
	return 0;
}

static int load_of(struct loader *l, json_t *whole, json_t *v, uint32_t *out)
{
	const json_t *need = json_object_get(whole, "at_least");

	if (need == NULL)
		return complain(l, true, "\"of\" needs \"at_least\", the number of conditions");
	if (load_many(l, NODE_AT_LEAST, v, out) < 0)
		return -1;
	l->rs->nodes[*out].need = (uint32_t)json_integer_value(need);
	return 0;
}

static int load_rule_asked(struct loader *l, json_t *v, uint32_t *out)
{
	const json_t *number;

	if (!json_is_string(v))
		return wrong_type(l, "the name of a rule", v);
	if (l->facts_only)
		return complain(l, true, "a policy is chosen before rules run: ask facts only");
	if ((number = json_object_get(l->rule_numbers, json_string_value(v))) == NULL)
		return complain_unknown_of(l, false, "rule", text_of(v), l->rule_numbers);
	if ((*out = node_new(l, NODE_RULE, v)) == 0)
		return -1;
	l->rs->nodes[*out].ref = (uint32_t)json_integer_value(number);
	return loader_uses_rule(l, (uint32_t)json_integer_value(number));
}

/* The comparisons that stand beside "group". */
static int group_range(struct loader *l, json_t *whole, struct range *r)
{
	const char *key;
	json_t *v;
	int rc = 0;

	json_object_foreach(whole, key, v)
	{
		if (is_comparison(key) && range_add(l, r, key, v) < 0)
			rc = -1;
	}
	return rc < 0 || !r->given ? rc : range_check(l, r);
}

static int load_group_asked(struct loader *l, json_t *whole, json_t *v, uint32_t *out)
{
	struct range r = range_everything;
	const struct group *g;
	const json_t *number;
	int rc;

	if (!json_is_string(v))
		return wrong_type(l, "the name of a group", v);
	if (l->facts_only)
		return complain(l, true, "a policy is chosen before rules run: ask facts only");
	if ((number = json_object_get(l->group_numbers, json_string_value(v))) == NULL)
		return complain_unknown_of(l, false, "group", text_of(v), l->group_numbers);
	if (group_range(l, whole, &r) < 0 || (*out = node_new(l, NODE_GROUP, whole)) == 0)
		return -1;
	l->rs->nodes[*out].ref = (uint32_t)json_integer_value(number);
	range_set(&l->rs->nodes[*out], &r);
	g = &l->rs->groups[json_integer_value(number)];
	rc = 0;
	for (size_t i = 0; i < g->n && rc == 0; i++)
		rc = loader_uses_rule(l, g->members[i]);
	return rc;
}

/* One key of a condition. *out stays 0 where the key belongs to another one. */
static int load_key(struct loader *l, json_t *whole, const char *key, json_t *v, uint32_t *out)
{
	if (strcmp(key, "all") == 0)
		return load_many(l, NODE_ALL, v, out);
	if (strcmp(key, "any") == 0)
		return load_many(l, NODE_ANY, v, out);
	if (strcmp(key, "not") == 0)
		return load_not(l, v, out);
	if (strcmp(key, "rule") == 0)
		return load_rule_asked(l, v, out);
	if (strcmp(key, "group") == 0)
		return load_group_asked(l, whole, v, out);
	if (strcmp(key, "at_least") == 0)
		return load_at_least(l, whole, v);
	if (strcmp(key, "of") == 0)
		return load_of(l, whole, v, out);
	if (is_comparison(key))
		return json_object_get(whole, "group") != NULL
		    ? 0
		    : complain(l, true, "\"%s\" compares a fact or a group, and none is named here",
			  key);
	return load_fact(l, key, v, out);
}

static int load_all_keys(struct loader *l, json_t *v, uint32_t *out)
{
	uint32_t last = 0, child, node = node_new(l, NODE_ALL, v);
	const char *key;
	json_t *member;
	int rc = node == 0 ? -1 : 0;

	json_object_foreach(v, key, member)
	{
		size_t was = loader_enter(l, slice_z(key));

		child = 0;
		rc |= load_key(l, v, key, member, &child);
		if (node != 0)
			node_adopt(l, node, &last, child);
		loader_leave(l, was);
	}
	*out = node;
	/* The and of one thing is that thing. */
	if (rc == 0 && l->rs->nodes[node].first == last)
		*out = last;
	return rc;
}

int load_condition(struct loader *l, json_t *v, uint32_t *out)
{
	int rc;

	if (!json_is_object(v))
		return wrong_type(l, "a condition (an object)", v);
	if (json_object_size(v) == 0)
		return complain(l, false, "a condition must ask something");
	if (l->depth >= LOADER_DEPTH_MAX)
		return complain(l, false, "conditions are nested deeper than %d", LOADER_DEPTH_MAX);
	l->depth++;
	rc = load_all_keys(l, v, out);
	l->depth--;
	return rc;
}
