#include "config.h"

#include "milterd/rules/loader.h"

/* JSON Schema 2020-12 from the same tables that the loader goes by: keys, matchers, combinators and
 * the catalogue of facts. What a schema cannot say (a regex that does not compile, a circle of
 * rules) only the loader tells. A value may be null everywhere, for that is how a file removes what
 * an earlier one gave (RFC 7396). */

static json_t *ref(const char *format, const char *name)
{
	char text[160];
	struct buf b = BUF_ON(text);

	text[0] = '\0';
	buf_add(&b, SLICE("#/$defs/"));
	buf_addf(&b, "%s%s", format, name);
	return json_pack("{s:s}", "$ref", text);
}

static json_t *type(const char *name)
{
	return json_pack("{s:s}", "type", name);
}

static json_t *list_of(json_t *items)
{
	return json_pack("{s:s, s:o}", "type", "array", "items", items);
}

static json_t *one_or_several(const char *name)
{
	return json_pack("{s:[o, o]}", "anyOf", type(name), list_of(type(name)));
}

static json_t *nullable(json_t *schema)
{
	return json_pack("{s:[o, o]}", "anyOf", schema, type("null"));
}

static void describe(json_t *schema, const char *about)
{
	(void)json_object_set_new(schema, "description", json_string(about));
}

/* An object whose keys are properties, comments and nothing else. */
static json_t *closed(json_t *properties, json_t *patterns)
{
	if (patterns == NULL)
		patterns = json_object();
	(void)json_object_set_new(patterns, "^//", json_true());
	return json_pack("{s:s, s:o, s:o, s:b}", "type", "object", "properties", properties,
	    "patternProperties", patterns, "additionalProperties", 0);
}

static json_t *map_of(json_t *values)
{
	return json_pack("{s:s, s:{s:b}, s:o}", "type", "object", "patternProperties", "^//", 1,
	    "additionalProperties", values);
}

/* ---- keys ---- */

static json_t *keys_schema(const struct key_table *table);

static json_t *thresholds_schema(void)
{
	json_t *actions = json_array();

	for (int a = ACTION_TAG; a < ACTION_ACCEPT; a++)
		(void)json_array_append_new(actions, json_string(action_names[a]));
	return map_of(nullable(json_pack("{s:o}", "enum", actions)));
}

static json_t *shape_schema(const struct key_row *row)
{
	switch (row->shape) {
	case SHAPE_TEXT:
		return type("string");
	case SHAPE_NUMBER:
		return type("number");
	case SHAPE_BOOL:
		return type("boolean");
	case SHAPE_TRUE:
		return json_pack("{s:b}", "const", 1);
	case SHAPE_TEXTS:
		return list_of(type("string"));
	case SHAPE_TEXT_OR_TEXTS:
		return one_or_several("string");
	case SHAPE_FIELDS:
		return map_of(nullable(type("string")));
	case SHAPE_CONDITION:
		return ref("", "condition");
	case SHAPE_THRESHOLDS:
		return thresholds_schema();
	case SHAPE_REPLY:
		return json_pack("{s:s, s:s}", "type", "string", "pattern", "^[45][0-9][0-9]");
	case SHAPE_OBJECT:
		return keys_schema(row->table);
	case SHAPE_MAP:
		return map_of(nullable(keys_schema(row->table)));
	}
	return json_true();
}

static json_t *keys_schema(const struct key_table *table)
{
	json_t *properties = json_object();

	for (size_t i = 0; i < table->n; i++) {
		json_t *schema = nullable(shape_schema(&table->rows[i]));

		describe(schema, table->rows[i].about);
		(void)json_object_set_new(properties, table->rows[i].name, schema);
	}
	return closed(properties, NULL);
}

/* ---- conditions on one fact ---- */

static const char *const type_names[] = { "string", "number", "boolean", "address", "strings",
	"objects" };

static json_t *count_schema(void)
{
	json_t *properties = json_pack("{s:o, s:o, s:o, s:o}", "lt", type("number"), "le",
	    type("number"), "gt", type("number"), "ge", type("number"));

	return json_pack("{s:[o, o]}", "anyOf", type("number"), closed(properties, NULL));
}

static json_t *operand_schema(const struct matcher *m, enum fact_type fact, const char *list)
{
	const char *value = fact == FACT_NUMBER ? "number" : "string";

	switch (m->operand) {
	case OPERAND_TEXTS:
		return one_or_several("string");
	case OPERAND_SET:
		return json_pack("{s:[o, o]}", "anyOf", type("string"), list_of(type(value)));
	case OPERAND_NUMBER:
		return type("number");
	case OPERAND_BOOL:
		return type("boolean");
	case OPERAND_COUNT:
		return count_schema();
	case OPERAND_CONDITION:
		return ref("element.", list);
	case OPERAND_FACT:
		return type("string");
	}
	return json_true();
}

static json_t *bare_schema(enum fact_type fact)
{
	if (fact == FACT_BOOL)
		return type("boolean");
	return one_or_several(fact == FACT_NUMBER ? "number" : "string");
}

/* What may stand behind a fact's name. list: the name of a list of objects. */
static json_t *fact_schema(enum fact_type fact, const char *list)
{
	json_t *properties = json_object(), *object;

	for (size_t i = 0; i < matcher_count; i++) {
		json_t *schema;

		if ((matchers[i].types & 1u << fact) == 0)
			continue;
		schema = operand_schema(&matchers[i], fact, list);
		describe(schema, matchers[i].about);
		(void)json_object_set_new(properties, matchers[i].name, schema);
	}
	object = closed(properties, NULL);
	if (fact == FACT_OBJECTS)
		return object;
	return json_pack("{s:[o, o]}", "anyOf", bare_schema(fact), object);
}

static json_t *fact_ref_schema(const struct fact_row *row)
{
	json_t *schema = row->type == FACT_OBJECTS ? ref("objects.", row->name)
						   : ref("fact.", type_names[row->type]);

	describe(schema, row->about);
	return schema;
}

/* ---- conditions ---- */

static void add_combinators(json_t *properties, const char *condition)
{
	for (size_t i = 0; i < combinator_count; i++) {
		const struct combinator *c = &combinators[i];
		json_t *schema = c->kind == COMBINES_MANY ? list_of(ref("", condition))
		    : c->kind == COMBINES_ONE
		    ? ref("", condition)
		    : type(c->kind == COMBINES_NUMBER ? "number" : "string");

		describe(schema, c->about);
		(void)json_object_set_new(properties, c->name, schema);
	}
	for (size_t i = 0; i < matcher_count; i++)
		if (matchers[i].op == TEST_RANGE)
			(void)json_object_set_new(properties, matchers[i].name, type("number"));
}

/* "header.*.addr" as a regular expression. */
static void pattern_text(const char *name, struct buf *b)
{
	buf_addc(b, '^');
	for (; *name != '\0'; name++) {
		if (*name == '*')
			buf_add(b, SLICE("[^.: ]+"));
		else if (ascii_alpha(*name) || ascii_digit(*name) || *name == '_')
			buf_addc(b, *name);
		else
			buf_addf(b, "\\%c", *name);
	}
	buf_addc(b, '$');
}

static void add_fact(json_t *properties, json_t *patterns, const struct fact_row *row)
{
	char text[200];
	struct buf b = BUF_ON(text);

	if (strchr(row->name, '*') == NULL) {
		(void)json_object_set_new(properties, row->name, fact_ref_schema(row));
		return;
	}
	text[0] = '\0';
	pattern_text(row->name, &b);
	(void)json_object_set_new(patterns, text, fact_ref_schema(row));
}

static json_t *condition_schema(void)
{
	json_t *properties = json_object(), *patterns = json_object();

	add_combinators(properties, "condition");
	for (size_t p = 0; providers[p] != NULL; p++)
		for (size_t i = 0; i < providers[p]->n; i++)
			add_fact(properties, patterns, &providers[p]->rows[i]);
	return closed(properties, patterns);
}

/* A condition on an element of a list of objects: the list's members. */
static json_t *element_schema(const struct provider *p, struct slice list, const char *self)
{
	json_t *properties = json_object();

	add_combinators(properties, self);
	for (size_t i = 0; i < p->n; i++) {
		struct slice name = slice_z(p->rows[i].name);

		if (slice_starts(name, list) &&
		    slice_starts(slice_sub(name, list.n, name.n), SLICE("[].")))
			(void)json_object_set_new(
			    properties, name.p + list.n + 3, fact_ref_schema(&p->rows[i]));
	}
	return closed(properties, NULL);
}

static void define_list(json_t *defs, const struct provider *p, const struct fact_row *row)
{
	char element[128], objects[128];
	struct buf e = BUF_ON(element), o = BUF_ON(objects);

	element[0] = objects[0] = '\0';
	buf_addf(&e, "element.%s", row->name);
	buf_addf(&o, "objects.%s", row->name);
	(void)json_object_set_new(defs, objects, fact_schema(FACT_OBJECTS, row->name));
	(void)json_object_set_new(defs, element, element_schema(p, slice_z(row->name), element));
}

static json_t *definitions(void)
{
	json_t *defs = json_object();

	for (int t = FACT_STRING; t < FACT_OBJECTS; t++) {
		char name[64];
		struct buf b = BUF_ON(name);

		name[0] = '\0';
		buf_addf(&b, "fact.%s", type_names[t]);
		(void)json_object_set_new(defs, name, fact_schema((enum fact_type)t, ""));
	}
	for (size_t p = 0; providers[p] != NULL; p++)
		for (size_t i = 0; i < providers[p]->n; i++)
			if (providers[p]->rows[i].type == FACT_OBJECTS)
				define_list(defs, providers[p], &providers[p]->rows[i]);
	(void)json_object_set_new(defs, "condition", condition_schema());
	return defs;
}

json_t *rules_schema(void)
{
	json_t *schema = keys_schema(&top_keys);

	(void)json_object_set_new(
	    schema, "$schema", json_string("https://json-schema.org/draft/2020-12/schema"));
	(void)json_object_set_new(schema, "title", json_string("A file of Weir's rules"));
	(void)json_object_set_new(schema, "$defs", definitions());
	return schema;
}
