#include "config.h"

#include "milterd/exam_body.h"

#include <math.h>

#include "milterd/facts/provide.h"

/* A report is for people and logs: what is longer is cut. */
enum { TEXT_MAX = 1000, LIST_MAX = 100, NAMES_MAX = 100 };

static json_t *bounded(const struct value *v);

static json_t *bounded_list(const struct value *v)
{
	json_t *array = json_array();

	for (size_t i = 0; i < v->list.n && i < LIST_MAX; i++) {
		json_t *one = bounded(&v->list.v[i]);

		if (one != NULL)
			json_array_append_new(array, one);
	}
	return array;
}

static json_t *bounded_object(const struct value *v)
{
	json_t *object = json_object();

	for (size_t i = 0; i < v->object.n; i++) {
		json_t *one = bounded(&v->object.v[i].value);

		if (one != NULL)
			json_object_set_new(object, v->object.v[i].name, one);
	}
	return object;
}

/* value_json() with long texts and lists cut. Values nest two deep: a list of objects. */
static json_t *bounded(const struct value *v)
{
	struct value cut = *v;

	if (v->kind == VALUE_LIST)
		return bounded_list(v);
	if (v->kind == VALUE_OBJECT)
		return bounded_object(v);
	if (v->kind == VALUE_STRING)
		cut.string = slice_sub(v->string, 0, TEXT_MAX);
	return value_json(&cut);
}

static json_t *text(struct slice s)
{
	struct value v = value_string(s);

	return s.p != NULL ? bounded(&v) : json_null();
}

static json_t *because_json(const struct symbol *s)
{
	json_t *array = json_array();

	for (size_t i = 0; i < s->because_count; i++) {
		const struct because *b = &s->because[i];
		json_t *one = json_pack("{s:o}", "fact", text(b->fact)),
		       *value = bounded(&b->value);

		json_object_set_new(one, "value", value != NULL ? value : json_null());
		if (b->matched.p != NULL)
			json_object_set_new(one, "matched", text(b->matched));
		json_array_append_new(array, one);
	}
	return array;
}

static json_t *symbols_json(const struct verdict *v)
{
	json_t *array = json_array();

	for (size_t i = 0; i < v->symbol_count; i++) {
		const struct symbol *s = &v->symbols[i];

		json_array_append_new(array,
		    json_pack("{s:s,s:f,s:s?,s:s?,s:b,s:s?,s:i,s:o}", "name", s->name, "score",
			s->score, "group", s->group, "about", s->about, "shadow", (int)s->shadow,
			"file", s->file, "line", (int)s->line, "because", because_json(s)));
	}
	return array;
}

static json_t *thresholds_json(const struct verdict *v)
{
	const struct {
		const char *name;
		double at;
	} all[] = { { "tag", v->tag_at }, { "quarantine", v->quarantine_at },
		{ "reject", v->reject_at } };
	json_t *object = json_object();

	for (size_t i = 0; i < COUNT(all); i++)
		if (isfinite(all[i].at))
			json_object_set_new(object, all[i].name, json_real(all[i].at));
	return object;
}

static json_t *elapsed_json(const struct exam *x)
{
	json_t *object = json_pack("{s:f}", "total", x->spent_ms);

	for (size_t i = 0; providers[i] != NULL; i++)
		if (x->asked_ms[i] > 0)
			json_object_set_new(object, providers[i]->name, json_real(x->asked_ms[i]));
	return object;
}

/* ---- facts ------------------------------------------------------------------------------- */

static void set_fact(json_t *facts, const char *name, const struct value *v)
{
	json_t *j = v->kind != VALUE_UNKNOWN && json_object_get(facts, name) == NULL ? bounded(v)
										     : NULL;

	if (j != NULL)
		json_object_set_new(facts, name, j);
}

/* What the rules were told. */
static void asked_facts(const struct exam *x, json_t *facts)
{
	size_t n;
	const struct fact_ref *refs = ruleset_facts(x->engine->rules, &n);

	for (size_t i = 0; x->facts != NULL && i < n; i++)
		set_fact(facts, refs[i].name, &x->facts[i]);
}

static bool once_per_message(const struct fact_row *row)
{
	return strchr(row->name, '*') == NULL && strchr(row->name, '[') == NULL;
}

static void all_of(struct exam *x, const struct provider *p, json_t *facts)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->rows[i].stage <= x->stage && once_per_message(&p->rows[i]) &&
		    json_object_get(facts, p->rows[i].name) == NULL) {
			struct value v = p->get(x, i, SLICE(""));

			set_fact(facts, p->rows[i].name, &v);
		}
}

static bool holds_addresses(struct slice field)
{
	static const char *const names[] = { "from", "to", "cc", "reply-to", "sender" };

	for (size_t i = 0; i < COUNT(names); i++)
		if (slice_eq(field, slice_z(names[i])))
			return true;
	return false;
}

/* The facts of one field of the message: "header.subject" and, for addresses, .addr and .name. */
static void field_facts(struct exam *x, const struct provider *p, struct slice field, json_t *facts)
{
	for (size_t i = 0; i < p->n; i++) {
		struct slice row = slice_z(p->rows[i].name), tail = row;
		char name[128] = "";
		struct buf b = BUF_ON(name);
		struct value v;

		if (once_per_message(&p->rows[i]))
			continue;
		buf_add(&b, slice_cut(&tail, '*'));
		buf_add(&b, field);
		buf_add(&b, tail);
		if (b.cut || slice_eq(tail, SLICE(".raw")) || slice_eq(tail, SLICE(".count")) ||
		    (tail.n > 0 && !holds_addresses(field)) || json_object_get(facts, name) != NULL)
			continue;
		v = p->get(x, i, field);
		set_fact(facts, name, &v);
	}
}

static void header_facts(struct exam *x, json_t *facts)
{
	size_t names = 0;

	for (size_t i = 0; i < x->message.field_count && names < NAMES_MAX; i++) {
		char lower[64] = "", key[80];
		struct buf b = BUF_ON(lower);

		for (size_t k = 0; k < x->message.fields[i].name.n; k++)
			buf_addc(&b, ascii_lower(x->message.fields[i].name.p[k]));
		(void)snprintf(key, sizeof(key), "header.%s", lower);
		if (b.cut || json_object_get(facts, key) != NULL)
			continue;
		field_facts(x, &header_provider, buf_slice(&b), facts);
		names++;
	}
}

static json_t *facts_json(struct exam *x)
{
	json_t *facts = json_object();

	asked_facts(x, facts);
	if (!x->engine->all_facts)
		return facts;
	for (size_t i = 0; providers[i] != NULL; i++)
		if (!providers[i]->costly)
			all_of(x, providers[i], facts);
	if (x->stage >= STAGE_HEADER)
		header_facts(x, facts);
	return facts;
}

json_t *exam_json(struct exam *x)
{
	const struct verdict *v = exam_verdict(x);
	json_t *j = json_pack("{s:s,s:o,s:f,s:s?,s:o,s:s,s:s?,s:o,s:o,s:o}", "action",
	    action_names[v->action], "reply", text(v->reply), "score", v->score, "policy",
	    v->policy, "thresholds", thresholds_json(v), "stage", stage_names[v->stage],
	    "decided_by", v->decided_by, "symbols", symbols_json(v), "facts", facts_json(x),
	    "elapsed_ms", elapsed_json(x));

	if (j != NULL && x->failed != NULL)
		json_object_set_new(j, "error", json_string(x->failed));
	return j;
}

json_t *exam_explain(struct exam *x, const char *rule)
{
	return x->evaluation != NULL ? evaluation_explain(x->evaluation, rule) : NULL;
}
