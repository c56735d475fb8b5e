#include "config.h"

#include "milterd/rules/condition.h"

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

/* clang-format on */

static const char *const comparisons[] = { "lt", "le", "gt", "ge" };

bool is_comparison(const char *key)
{
	for (size_t i = 0; i < COUNT(comparisons); i++)
		if (strcmp(key, comparisons[i]) == 0)
			return true;
	return false;
}

/* ---- nodes ---- */

uint32_t node_new(struct loader *l, enum node_op op, const json_t *source)
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

void node_adopt(struct loader *l, uint32_t parent, uint32_t *last, uint32_t child)
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

const struct range range_everything = { .low = -INFINITY, .high = INFINITY };

int range_add(struct loader *l, struct range *r, const char *key, const json_t *v)
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

int range_check(struct loader *l, const struct range *r)
{
	if (r->low < r->high || (r->low == r->high && !r->open_low && !r->open_high))
		return 0;
	return complain(l, false, "no number is in this range: it can never match");
}

void range_set(struct node *n, const struct range *r)
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
	struct range r = range_everything;
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

int load_tests(struct loader *l, const struct asked *a, json_t *v, uint32_t fact)
{
	struct range r = range_everything;
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
int load_bare(struct loader *l, const struct asked *a, json_t *v, uint32_t fact)
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
