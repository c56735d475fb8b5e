#include "config.h"

#include "facts_fixture.h"
#include "unit.h"

#include <stdio.h>

/* The schema and the catalogue's manual are made from tables: what the tables hold must be there.
 */

static json_t *at(json_t *v, const char *const *path)
{
	for (; *path != NULL && v != NULL; path++)
		v = json_object_get(v, *path);
	return v;
}
#define AT(v, ...) at(v, (const char *const[]){ __VA_ARGS__, NULL })

START_TEST(has_keys)
{
	json_t *schema = rules_schema();
	json_t *rule = AT(schema, "properties", "rules", "anyOf");

	ck_assert_ptr_nonnull(AT(schema, "properties", "lists"));
	ck_assert_ptr_nonnull(AT(schema, "properties", "policies"));
	ck_assert_ptr_nonnull(AT(schema, "properties", "headers"));
	ck_assert_ptr_nonnull(AT(schema, "properties", "settings"));
	rule = json_object_get(json_array_get(rule, 0), "additionalProperties");
	rule = json_array_get(json_object_get(rule, "anyOf"), 0);
	for (size_t i = 0; i < 6; i++) {
		static const char *const keys[] = { "when", "score", "reject", "add_header",
			"examples", "shadow" };

		ck_assert_msg(AT(rule, "properties", keys[i]) != NULL, "%s", keys[i]);
	}
	ck_assert(json_is_false(json_object_get(rule, "additionalProperties")));
	json_decref(schema);
}
END_TEST

START_TEST(has_facts)
{
	json_t *schema = rules_schema();
	json_t *condition = AT(schema, "$defs", "condition");

	ck_assert_ptr_nonnull(AT(condition, "properties", "spf.result"));
	ck_assert_ptr_nonnull(AT(condition, "properties", "attachments[].name"));
	ck_assert_ptr_nonnull(AT(condition, "properties", "at_least"));
	ck_assert_ptr_nonnull(AT(condition, "patternProperties", "^header\\.[^.: ]+$"));
	ck_assert_ptr_nonnull(AT(condition, "patternProperties", "^header\\.[^.: ]+\\.addr$"));
	ck_assert_ptr_nonnull(
	    AT(schema, "$defs", "element.attachments", "properties", "extension"));
	ck_assert_ptr_null(AT(schema, "$defs", "element.attachments", "properties", "url"));
	ck_assert_ptr_nonnull(AT(schema, "$defs", "objects.urls", "properties", "some"));
	json_decref(schema);
}
END_TEST

/* Every "$ref" leads somewhere. */
static void check_refs(json_t *schema, json_t *v)
{
	const char *key;
	json_t *member;
	size_t i;

	json_object_foreach(v, key, member)
	{
		if (strcmp(key, "$ref") == 0)
			ck_assert_msg(json_object_get(json_object_get(schema, "$defs"),
					  json_string_value(member) + strlen("#/$defs/")) != NULL,
			    "%s", json_string_value(member));
		check_refs(schema, member);
	}
	json_array_foreach(v, i, member) check_refs(schema, member);
}

START_TEST(refs)
{
	json_t *schema = rules_schema();

	check_refs(schema, schema);
	json_decref(schema);
}
END_TEST

START_TEST(manual)
{
	char *text = NULL;
	size_t n = 0;
	FILE *to = open_memstream(&text, &n);

	catalogue_manual(to);
	fclose(to);
	ck_assert_ptr_nonnull(strstr(text, "\n## client\n"));
	ck_assert_ptr_nonnull(
	    strstr(text, "\n## virus (computed only where a rule asks for it)\n"));
	ck_assert_ptr_nonnull(
	    strstr(text, "| `spf.result` | text | mail | What SPF says. | `\"fail\"` |\n"));
	ck_assert_ptr_nonnull(strstr(text, "| `urls` | list of objects | eom | URLs. |  |\n"));
	ck_assert_ptr_nonnull(strstr(text, "`\"Eicar \\| test\"`"));
	free(text);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("rules_schema");
	TCase *tc = tcase_create("rules_schema");

	tcase_add_test(tc, has_keys);
	tcase_add_test(tc, has_facts);
	tcase_add_test(tc, refs);
	tcase_add_test(tc, manual);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
