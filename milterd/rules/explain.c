#include "config.h"

#include "milterd/rules/evaluation.h"

enum { ELEMENTS_SHOWN = 20 };

static const char *const truth_names[] = { "false", "unknown", "true" };

static json_t *explain_node(struct evaluation *ev, uint32_t i, const struct value *element);

static json_t *with_truth(struct evaluation *ev, uint32_t i, const struct value *element)
{
	return json_pack("{s:s}", "is", truth_names[evaluation_truth_of(ev, i, element)]);
}

static void put(json_t *object, const char *key, json_t *v)
{
	if (v != NULL)
		(void)json_object_set_new(object, key, v);
}

static json_t *explain_children(struct evaluation *ev, uint32_t i, const struct value *element)
{
	json_t *list = json_array();

	for (i = ev->rs->nodes[i].first; i != 0; i = ev->rs->nodes[i].next)
		(void)json_array_append_new(list, explain_node(ev, i, element));
	return list;
}

/* The condition of some, every or none, for each of the first elements. */
static json_t *explain_elements(struct evaluation *ev, uint32_t condition, const struct value *list)
{
	json_t *out = json_array();

	for (size_t i = 0; list->kind == VALUE_LIST && i < list->list.n && i < ELEMENTS_SHOWN; i++)
		(void)json_array_append_new(out, explain_node(ev, condition, &list->list.v[i]));
	return out;
}

static json_t *short_value(const struct value *v)
{
	char text[BECAUSE_TEXT_MAX * 2 + 1];
	struct buf b = BUF_ON(text);

	if (v->kind == VALUE_UNKNOWN || v->kind == VALUE_NUMBER || v->kind == VALUE_BOOL)
		return value_json(v);
	if (v->kind == VALUE_LIST && v->list.n > 0 && v->list.v[0].kind == VALUE_OBJECT)
		return json_pack("{s:I}", "elements", (json_int_t)v->list.n);
	text[0] = '\0';
	value_text(v, &b);
	return value_json(&(struct value){ .kind = VALUE_STRING, .string = buf_slice(&b) });
}

static const struct value *value_asked(
    struct evaluation *ev, const struct node *n, const struct value *element)
{
	const struct value *v = n->ref != NONE ? evaluation_fact(ev, n->ref) : element;

	if (n->member == NULL || v == NULL)
		return v;
	return n->each ? v : value_member(v, n->member);
}

static void explain_fact(
    struct evaluation *ev, const struct node *n, const struct value *element, json_t *out)
{
	const struct value *v = value_asked(ev, n, element);

	put(out, "fact", json_string(n->label));
	put(out, "test", json_deep_copy(n->source));
	if (n->ref != NONE && !ev->asked[n->ref])
		put(out, "asked", json_false());
	else if (v != NULL)
		put(out, "value", short_value(v));
	for (uint32_t t = n->first; t != 0 && v != NULL; t = ev->rs->nodes[t].next) {
		const struct node *test = &ev->rs->nodes[t];

		if (test->op == TEST_SOME || test->op == TEST_EVERY || test->op == TEST_NONE)
			put(out, "elements", explain_elements(ev, test->first, v));
	}
}

static json_t *explain_node(struct evaluation *ev, uint32_t i, const struct value *element)
{
	const struct node *n = &ev->rs->nodes[i];
	json_t *out = with_truth(ev, i, element);

	switch (n->op) {
	case NODE_ALL:
		put(out, "all", explain_children(ev, i, element));
		break;
	case NODE_ANY:
		put(out, "any", explain_children(ev, i, element));
		break;
	case NODE_AT_LEAST:
		put(out, "at_least", json_integer(n->need));
		put(out, "of", explain_children(ev, i, element));
		break;
	case NODE_NOT:
		put(out, "not", explain_node(ev, n->first, element));
		break;
	case NODE_RULE:
		put(out, "rule", json_string(ev->rs->rules[n->ref].name));
		break;
	case NODE_GROUP:
		put(out, "group", json_string(ev->rs->groups[n->ref].name));
		put(out, "sum", json_real(evaluation_group_sum(ev, &ev->rs->groups[n->ref])));
		put(out, "test", json_deep_copy(n->source));
		break;
	default:
		explain_fact(ev, n, element, out);
		break;
	}
	return out;
}

static bool has_fired(const struct evaluation *ev, size_t rule)
{
	for (size_t i = 0; i < ev->fired_count; i++)
		if (ev->fired[i].rule == rule)
			return true;
	return false;
}

json_t *evaluation_explain(struct evaluation *ev, const char *name)
{
	size_t i = ruleset_find(ev->rs, slice_z(name), NULL);
	const struct rule *r;
	json_t *out;

	if (i == SIZE_MAX)
		return NULL;
	r = &ev->rs->rules[i];
	ev->cached_only = true;
	out = json_pack("{s:s, s:s, s:b, s:b, s:f, s:s, s:i}", "rule", r->name, "stage",
	    stage_names[r->stage], "fired", has_fired(ev, i), "run", (int)r->stage <= ev->ran,
	    "score", r->score, "file", r->file, "line", (int)r->line);
	put(out, "when", explain_node(ev, r->when, NULL));
	ev->cached_only = false;
	return out;
}
