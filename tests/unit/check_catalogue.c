#include "config.h"

#include "facts_fixture.h"
#include "unit.h"

#include <math.h>

/* ---- values ---- */

static const struct {
	struct value v;
	const char *json, *text; /* json NULL: no JSON for it */
} values[] = {
	{ { .kind = VALUE_UNKNOWN }, NULL, "" },
	{ { .kind = VALUE_STRING, .string = { "a\"b", 3 } }, "\"a\\\"b\"", "a\"b" },
	{ { .kind = VALUE_STRING, .string = { NULL, 0 } }, "\"\"", "" },
	{ { .kind = VALUE_STRING, .string = { "a\0b\r\n\tc\x7f", 8 } },
	    "\"a\\u0000b\\r\\n\\tc\x7f\"", "abc" },
	{ { .kind = VALUE_STRING,
	      .string = { "\xff"
			  "a\xc3\xa4\xc3",
		  5 } },
	    "\"\xef\xbf\xbd"
	    "a\xc3\xa4\xef\xbf\xbd\"",
	    "\xff"
	    "a\xc3\xa4\xc3" },
	{ { .kind = VALUE_NUMBER, .number = 3 }, "3", "3" },
	{ { .kind = VALUE_NUMBER, .number = -0.25 }, "-0.25", "-0.25" },
	{ { .kind = VALUE_NUMBER, .number = INFINITY }, "null", "inf" },
	{ { .kind = VALUE_BOOL, .boolean = true }, "true", "true" },
	{ { .kind = VALUE_ADDRESS, .address = { .family = AF_INET, .octets = { 192, 0, 2, 7 } } },
	    "\"192.0.2.7\"", "192.0.2.7" },
	{ { .kind = VALUE_LIST,
	      .list = { (struct value[]){ { .kind = VALUE_STRING, .string = { "x", 1 } },
			    { .kind = VALUE_UNKNOWN }, { .kind = VALUE_NUMBER, .number = 7 } },
		  3 } },
	    "[\"x\",null,7]", "x, , 7" },
	{ { .kind = VALUE_LIST }, "[]", "" },
	{ { .kind = VALUE_OBJECT,
	      .object = { (struct member[]){
			      { "name", { .kind = VALUE_STRING, .string = { "x", 1 } } },
			      { "size", { .kind = VALUE_UNKNOWN } } },
		  2 } },
	    "{\"name\":\"x\"}", "" },
};

START_TEST(value)
{
	json_t *json = value_json(&values[_i].v);
	char text[100], *dump;
	struct buf b = BUF_ON(text);

	text[0] = '\0';
	value_text(&values[_i].v, &b);
	ck_assert_str_eq(text, values[_i].text);
	if (values[_i].json == NULL) {
		ck_assert_ptr_null(json);
		return;
	}
	dump = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
	ck_assert_str_eq(dump, values[_i].json);
	free(dump);
	json_decref(json);
}
END_TEST

START_TEST(text_is_bounded)
{
	char text[8] = "";
	struct buf b = BUF_ON(text);
	struct value v = value_string(SLICE("0123456789"));

	value_text(&v, &b);
	ck_assert_str_eq(text, "0123456");
	ck_assert(b.cut);
}
END_TEST

START_TEST(too_deep)
{
	struct value deep[20];
	json_t *json;

	deep[19] = value_bool(true);
	for (int i = 18; i >= 0; i--)
		deep[i] = (struct value){ .kind = VALUE_LIST, .list = { &deep[i + 1], 1 } };
	ck_assert_ptr_nonnull(json = value_json(&deep[0]));
	json_decref(json);
}
END_TEST

/* ---- names ---- */

static const struct {
	const char *ask, *name, *field; /* name NULL: field is the error */
	enum fact_type type;
	enum stage stage;
} names[] = {
	{ "client.address", "client.address", NULL, FACT_ADDRESS, STAGE_CONNECT },
	{ "attachments", "attachments", NULL, FACT_OBJECTS, STAGE_EOM },
	{ "attachments[].size", "attachments[].size", NULL, FACT_NUMBER, STAGE_EOM },
	{ "header.subject", "header.subject", "subject", FACT_STRINGS, STAGE_HEADER },
	{ "header.X-Foo.addr", "header.x-foo.addr", "x-foo", FACT_STRINGS, STAGE_HEADER },
	{ "header.received.count", "header.received.count", "received", FACT_NUMBER, STAGE_HEADER },
	{ "header.addr", "header.addr", "addr", FACT_STRINGS, STAGE_HEADER },
	{ "header.", NULL, "unknown fact \"header.\" (did you mean \"header.*\"?)", 0, 0 },
	{ "header.a:b", NULL, "unknown fact \"header.a:b\" (did you mean \"header.*\"?)", 0, 0 },
	{ "header.from.adr", NULL,
	    "unknown fact \"header.from.adr\" (did you mean \"header.*.addr\"?)", 0, 0 },
	{ "Client.Address", NULL,
	    "unknown fact \"Client.Address\" (did you mean \"client.address\"?)", 0, 0 },
	{ "", NULL, "unknown fact \"\"", 0, 0 },
};

START_TEST(name)
{
	struct fact_ref r = { 0 };
	struct err e;
	int rc = catalogue_find(slice_z(names[_i].ask), &r, &e);

	if (names[_i].name == NULL) {
		ck_assert_int_eq(rc, -1);
		ck_assert_str_eq(e.text, names[_i].field);
		return;
	}
	ck_assert_int_eq(rc, 0);
	ck_assert_str_eq(r.name, names[_i].name);
	ck_assert_pstr_eq(r.field, names[_i].field);
	ck_assert_int_eq(r.type, names[_i].type);
	ck_assert_int_eq(r.stage, names[_i].stage);
	fact_ref_free(&r);
	ck_assert_ptr_null(r.name);
}
END_TEST

START_TEST(member)
{
	const struct fact_row *row = catalogue_member(SLICE("attachments"), SLICE("extension"));

	ck_assert_str_eq(row->name, "attachments[].extension");
	ck_assert_ptr_null(catalogue_member(SLICE("attachments"), SLICE("url")));
	ck_assert_ptr_null(catalogue_member(SLICE("attach"), SLICE("ments[].extension")));
	ck_assert_ptr_null(catalogue_member(SLICE(""), SLICE("")));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("catalogue");
	TCase *tc = tcase_create("catalogue");

	tcase_add_loop_test(tc, value, 0, COUNT(values));
	tcase_add_test(tc, text_is_bounded);
	tcase_add_test(tc, too_deep);
	tcase_add_loop_test(tc, name, 0, COUNT(names));
	tcase_add_test(tc, member);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
