#include "config.h"

#include "milterd/rules/loader.h"

#include <math.h>
#include <stdlib.h>

#define T(type)  (1u << (type))
#define TEXT     (T(FACT_STRING) | T(FACT_STRINGS))
#define ANY_TYPE (T(FACT_OBJECTS + 1) - 1)

/* clang-format off */
const struct matcher matchers[] = {
	{ "in", TEXT | T(FACT_NUMBER) | T(FACT_ADDRESS), OPERAND_SET,
	    "One of a list: its name, or the values themselves.", LIST_STRINGS, TEST_LIST },
	{ "regex", TEXT, OPERAND_TEXTS,
	    "A regular expression (PCRE2) that matches somewhere, or one of several.", LIST_REGEXES, TEST_LIST },
	{ "glob", TEXT, OPERAND_TEXTS,
	    "The whole text, with * for any octets and ? for one.", LIST_GLOBS, TEST_LIST },
	{ "contains", TEXT, OPERAND_TEXTS, "Text that stands somewhere in it.", LIST_PARTS, TEST_LIST },
	{ "domain", TEXT, OPERAND_TEXTS,
	    "The domain or one beneath it; of an address what follows the @.", LIST_DOMAINS, TEST_LIST },
	{ "cidr", T(FACT_ADDRESS), OPERAND_TEXTS, "In the network 192.0.2.0/24, or in one of several.",
	    LIST_NETWORKS, TEST_LIST },
	{ "lt", T(FACT_NUMBER), OPERAND_NUMBER, "Less than.", LIST_NUMBERS, TEST_RANGE },
	{ "le", T(FACT_NUMBER), OPERAND_NUMBER, "Less than or equal.", LIST_NUMBERS, TEST_RANGE },
	{ "gt", T(FACT_NUMBER), OPERAND_NUMBER, "Greater than.", LIST_NUMBERS, TEST_RANGE },
	{ "ge", T(FACT_NUMBER), OPERAND_NUMBER, "Greater than or equal.", LIST_NUMBERS, TEST_RANGE },
	{ "exists", ANY_TYPE, OPERAND_BOOL,
	    "Known, and neither an empty text nor an empty list. Never unknown.", LIST_STRINGS, TEST_EXISTS },
	{ "unknown", ANY_TYPE, OPERAND_BOOL,
	    "Its provider is absent, failed or has nothing to say. Never unknown.", LIST_STRINGS, TEST_UNKNOWN },
	{ "count", T(FACT_STRINGS) | T(FACT_OBJECTS), OPERAND_COUNT,
	    "How many elements there are: a number, or lt, le, gt, ge.", LIST_STRINGS, TEST_COUNT },
	{ "some", T(FACT_OBJECTS), OPERAND_CONDITION,
	    "One element fits a condition on its members.", LIST_STRINGS, TEST_SOME },
	{ "every", T(FACT_OBJECTS), OPERAND_CONDITION,
	    "All elements fit; true of an empty list.", LIST_STRINGS, TEST_EVERY },
	{ "none", T(FACT_OBJECTS), OPERAND_CONDITION, "No element fits.", LIST_STRINGS, TEST_NONE },
	{ "same_domain_as", TEXT, OPERAND_FACT,
	    "Its domain is that of the other fact, or one is beneath the other.", LIST_STRINGS,
	    TEST_SAME_DOMAIN },
};
const size_t matcher_count = COUNT(matchers);

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

static const char *const comparisons[] = { "lt", "le", "gt", "ge" };

static bool is_comparison(const char *key)
{
	for (size_t i = 0; i < COUNT(comparisons); i++)
		if (strcmp(key, comparisons[i]) == 0)
			return true;
	return false;
}

/* ---- nodes ---- */

static uint32_t node_new(struct loader *l, enum node_op op, const json_t *source)
{
	struct ruleset *rs = l->rs;

	if (rs->node_count == rs->node_cap) {
		struct node *grown = realloc(rs->nodes, rs->node_cap * 2 * sizeof(*rs->nodes));

		if (grown == NULL) {
			(void)complain_memory(l);
			return 0;
		}
		rs->nodes = grown;
		rs->node_cap *= 2;
	}
	rs->nodes[rs->node_count] = (struct node){ .op = op, .source = source, .ref = NONE };
	return (uint32_t)rs->node_count++;
}

/* Children in the order they are written: *last is the one before, 0 for the first. */
static void node_adopt(struct loader *l, uint32_t parent, uint32_t *last, uint32_t child)
{
	if (child == 0)
		return;
	if (*last == 0)
		l->rs->nodes[parent].first = child;
	else
		l->rs->nodes[*last].next = child;
	*last = child;
}

/* ---- comparisons ---- */

struct range {
	double low, high;
	bool open_low, open_high, given;
};
static const struct range everything = { .low = -INFINITY, .high = INFINITY };

static int range_add(struct loader *l, struct range *r, const char *key, const json_t *v)
{
	double n = json_number_value(v);

	if (!json_is_number(v))
		return wrong_type(l, "a number", v);
	r->given = true;
	if (key[0] == 'g' && n >= r->low) {
		r->low = n;
		r->open_low = key[1] == 't';
	} else if (key[0] == 'l' && n <= r->high) {
		r->high = n;
		r->open_high = key[1] == 't';
	}
	return 0;
}

static int range_check(struct loader *l, const struct range *r)
{
	if (r->low < r->high || (r->low == r->high && !r->open_low && !r->open_high))
		return 0;
	return complain(l, false, "no number is in this range: it can never match");
}

static void range_set(struct node *n, const struct range *r)
{
	n->low = r->low;
	n->high = r->high;
	n->open_low = r->open_low;
	n->open_high = r->open_high;
	n->ranged = r->given;
}

static int range_node(struct loader *l, const struct range *r, const json_t *v, uint32_t *out)
{
	if (range_check(l, r) < 0 || (*out = node_new(l, TEST_RANGE, v)) == 0)
		return -1;
	range_set(&l->rs->nodes[*out], r);
	return 0;
}

/* ---- tests of one fact ---- */

struct asked {
	const char *label;
	enum fact_type type;
	const char *list; /* of FACT_OBJECTS: its name, for members */
};

static enum list_kind kind_for(enum fact_type type)
{
	return type == FACT_ADDRESS ? LIST_NETWORKS
	    : type == FACT_NUMBER   ? LIST_NUMBERS
				    : LIST_STRINGS;
}

static int list_item(struct loader *l, struct list *list, json_t *v)
{
	bool number = list_kind(list) == LIST_NUMBERS;
	struct err e;
	int rc;

	if (number && !json_is_number(v))
		return wrong_type(l, "a number", v);
	if (!number && !json_is_string(v))
		return wrong_type(l, "text", v);
	rc = number ? list_add_number(list, json_number_value(v), &e)
		    : list_add(list, text_of(v), &e);
	return rc < 0 ? complain(l, false, "%s", e.text) : 0;
}

static int list_items(struct loader *l, struct list *list, json_t *v)
{
	size_t i;
	json_t *item;
	int rc = 0;

	if (!json_is_array(v))
		return list_item(l, list, v);
	if (json_array_size(v) == 0)
		return complain(l, false, "nothing is in an empty list: it can never match");
	json_array_foreach(v, i, item)
	{
		size_t was = loader_enter_index(l, i);

		rc |= list_item(l, list, item);
		loader_leave(l, was);
	}
	return rc;
}

/* A test for one value or a list of them that stands in the condition itself. */
static int test_values(struct loader *l, enum list_kind kind, json_t *v, uint32_t *out)
{
	struct list *list = loader_list(l, kind);

	if (list == NULL || list_items(l, list, v) < 0)
		return -1;
	list_seal(list);
	if ((*out = node_new(l, TEST_LIST, v)) == 0)
		return -1;
	l->rs->nodes[*out].list = list;
	return 0;
}

static int test_named(struct loader *l, const struct asked *a, json_t *v, uint32_t *out)
{
	const json_t *number = json_object_get(l->named_lists, json_string_value(v));
	const struct list *list;
	bool networks;

	if (number == NULL)
		return complain_unknown_of(l, false, "list", text_of(v), l->named_lists);
	if (json_integer_value(number) < 0)
		return -1;
	list = l->rs->lists[json_integer_value(number)];
	networks = list_kind(list) == LIST_NETWORKS;
	if (networks != (a->type == FACT_ADDRESS) || a->type == FACT_NUMBER)
		return complain(l, false,
		    "the list \"%s\" holds %s, but %s is of type %s: it can never match",
		    json_string_value(v), networks ? "networks" : "texts", a->label,
		    fact_type_names[a->type]);
	if ((*out = node_new(l, TEST_LIST, v)) == 0)
		return -1;
	l->rs->nodes[*out].list = list;
	return 0;
}

static int test_set(struct loader *l, const struct asked *a, json_t *v, uint32_t *out)
{
	if (json_is_string(v))
		return test_named(l, a, v, out);
	if (!json_is_array(v))
		return wrong_type(l, "the name of a list, or a list of values", v);
	return test_values(l, kind_for(a->type), v, out);
}

static int test_flag(struct loader *l, enum node_op op, const json_t *v, uint32_t *out)
{
	if (!json_is_boolean(v))
		return wrong_type(l, "true or false", v);
	if ((*out = node_new(l, op, v)) == 0)
		return -1;
	l->rs->nodes[*out].yes = json_is_true(v);
	return 0;
}

static int count_range(struct loader *l, json_t *v, uint32_t *test)
{
	struct range r = everything;
	const char *key;
	json_t *n;
	int rc = 0;

	json_object_foreach(v, key, n)
	{
		size_t was = loader_enter(l, slice_z(key));

		if (!is_comparison(key))
			rc = complain_unknown(
			    l, true, "comparison", slice_z(key), comparisons, COUNT(comparisons));
		else
			rc |= range_add(l, &r, key, n);
		loader_leave(l, was);
	}
	if (rc == 0 && !r.given)
		rc = complain(l, false, "needs a comparison: lt, le, gt or ge");
	return rc < 0 ? -1 : range_node(l, &r, v, test);
}

static int test_count(struct loader *l, json_t *v, uint32_t *out)
{
	uint32_t test = 0;

	if (!json_is_number(v) && !json_is_object(v))
		return wrong_type(l, "a number, or an object of lt, le, gt, ge", v);
	if ((json_is_object(v) ? count_range(l, v, &test)
			       : test_values(l, LIST_NUMBERS, v, &test)) < 0 ||
	    (*out = node_new(l, TEST_COUNT, v)) == 0)
		return -1;
	l->rs->nodes[*out].first = test;
	return 0;
}

static int test_elements(
    struct loader *l, const struct asked *a, enum node_op op, json_t *v, uint32_t *out)
{
	const char *outer = l->element_of;
	uint32_t inner = 0;
	int rc;

	l->element_of = a->list;
	rc = load_condition(l, v, &inner);
	l->element_of = outer;
	if (rc < 0 || (*out = node_new(l, op, v)) == 0)
		return -1;
	l->rs->nodes[*out].first = inner;
	return 0;
}

static int test_same_domain(struct loader *l, json_t *v, uint32_t *out)
{
	enum fact_type type;
	const char *member;
	uint32_t fact;
	struct err e;

	if (!json_is_string(v))
		return wrong_type(l, "the name of a fact", v);
	if (loader_fact(l, text_of(v), &fact, &member, &type, &e) < 0)
		return complain(l, false, "%s", e.text);
	if ((T(type) & TEXT) == 0)
		return complain(l, false, "%s is of type %s and has no domain",
		    json_string_value(v), fact_type_names[type]);
	if ((*out = node_new(l, TEST_SAME_DOMAIN, v)) == 0)
		return -1;
	l->rs->nodes[*out].ref = fact;
	l->rs->nodes[*out].member = member;
	return 0;
}

static int load_test(
    struct loader *l, const struct asked *a, const struct matcher *m, json_t *v, uint32_t *out)
{
	if ((m->types & T(a->type)) == 0)
		return complain(l, true, "\"%s\" cannot be asked of %s, which is of type %s",
		    m->name, a->label, fact_type_names[a->type]);
	switch (m->operand) {
	case OPERAND_TEXTS:
		return test_values(l, m->list, v, out);
	case OPERAND_SET:
		return test_set(l, a, v, out);
	case OPERAND_BOOL:
		return test_flag(l, m->op, v, out);
	case OPERAND_COUNT:
		return test_count(l, v, out);
	case OPERAND_CONDITION:
		return test_elements(l, a, m->op, v, out);
	case OPERAND_FACT:
		return test_same_domain(l, v, out);
	case OPERAND_NUMBER: /* collected into one range */
		break;
	}
	return -1;
}

static const struct matcher *matcher_find(const char *name)
{
	for (size_t i = 0; i < matcher_count; i++)
		if (strcmp(matchers[i].name, name) == 0)
			return &matchers[i];
	return NULL;
}

static int unknown_matcher(struct loader *l, const char *key)
{
	const char *names[COUNT(matchers)];

	for (size_t i = 0; i < matcher_count; i++)
		names[i] = matchers[i].name;
	return complain_unknown(l, true, "matcher", slice_z(key), names, matcher_count);
}

/* {"regex": ..., "exists": true}: all of them. */
static int load_tests(struct loader *l, const struct asked *a, json_t *v, uint32_t fact)
{
	struct range r = everything;
	uint32_t last = 0, test;
	const char *key;
	json_t *operand;
	int rc = 0;

	json_object_foreach(v, key, operand)
	{
		const struct matcher *m = matcher_find(key);
		size_t was = loader_enter(l, slice_z(key));

		test = 0;
		if (m == NULL)
			rc = unknown_matcher(l, key);
		else if (m->op == TEST_RANGE && (m->types & T(a->type)) != 0)
			rc |= range_add(l, &r, key, operand);
		else
			rc |= load_test(l, a, m, operand, &test);
		node_adopt(l, fact, &last, test);
		loader_leave(l, was);
	}
	if (rc == 0 && json_object_size(v) == 0)
		rc = complain(l, false, "needs a matcher, as in {\"contains\": \"text\"}");
	if (rc == 0 && r.given && (rc = range_node(l, &r, v, &test)) == 0)
		node_adopt(l, fact, &last, test);
	return rc;
}

/* A bare value or a list of them: equal, or one of. */
static int load_bare(struct loader *l, const struct asked *a, json_t *v, uint32_t fact)
{
	uint32_t test = 0, last = 0;
	int rc;

	if (a->type == FACT_OBJECTS)
		return complain(l, false,
		    "%s is a list of objects: ask with \"some\", \"every\", \"none\" or \"count\"",
		    a->label);
	if (a->type == FACT_BOOL && json_is_boolean(v))
		rc = test_flag(l, TEST_BOOL, v, &test);
	else if (a->type == FACT_BOOL)
		rc = wrong_type(l, "true or false", v);
	else
		rc = test_values(l, kind_for(a->type), v, &test);
	node_adopt(l, fact, &last, test);
	return rc;
}

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
	struct range r = everything;
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
