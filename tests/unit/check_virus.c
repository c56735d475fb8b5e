/* The virus facts, over an exam and a scanner that are told what to be. */
#include "config.h"

#include "milterd/facts/provide.h"

#include <stdio.h>

#include "tests/unit/unit.h"

static struct {
	struct message message;
	struct arena arena;
	struct services services;
	void *memo;
	struct scan_result result;
	int scans;
	char scanned[256];
} told;

struct message *exam_message(struct exam *x)
{
	(void)x;
	return &told.message;
}

struct arena *exam_arena(struct exam *x)
{
	(void)x;
	return &told.arena;
}

const struct services *exam_services(struct exam *x)
{
	(void)x;
	return &told.services;
}

void **exam_memo(struct exam *x, const struct provider *p)
{
	(void)x;
	ck_assert_ptr_eq(p, &virus_provider);
	return &told.memo;
}

void scanner_scan(struct scanner *s, struct slice message, struct scan_result *result)
{
	ck_assert_ptr_nonnull(s);
	told.scans++;
	(void)snprintf(told.scanned, sizeof(told.scanned), "%.*s", SLICE_ARG(message));
	*result = told.result;
}

static const struct {
	const char *what;
	struct scan_result result;
	bool scanner, cut;
	int found;                /* -1: unknown */
	const char *name, *error; /* NULL: unknown */
} cases[] = {
	{ "clean", { .found = false }, true, false, false, NULL, NULL },
	{ "virus", { .found = true, .name = "Eicar" }, true, false, true, "Eicar", NULL },
	{ "error", { .error = "timeout" }, true, false, -1, NULL, "timeout" },
	{ "no scanner", { .found = true, .name = "Eicar" }, false, false, -1, NULL, NULL },
	{ "clean as far as it was kept", { .found = false }, true, true, -1, NULL,
	    "limit: the message was not kept whole" },
	{ "virus in what was kept", { .found = true, .name = "A" }, true, true, true, "A", NULL },
};

static void expect_text(struct value v, const char *text, const char *what)
{
	ck_assert_msg(v.kind == (text != NULL ? VALUE_STRING : VALUE_UNKNOWN), "%s", what);
	if (text != NULL)
		ck_assert_slice_eq(v.string, text);
}

START_TEST(says)
{
	struct value found;

	told.result = cases[_i].result;
	told.services.scanner = cases[_i].scanner ? (struct scanner *)&told : NULL;
	bytes_add(&told.message.header, SLICE("From:a@b\r\n"));
	bytes_add(&told.message.body, SLICE("hello\r\n"));
	told.message.size = 19 + (cases[_i].cut ? 1u : 0u);
	found = virus_provider.get(NULL, 0, SLICE(""));
	ck_assert_str_eq(virus_provider.rows[0].name, "virus.found");
	if (cases[_i].found < 0)
		ck_assert_msg(found.kind == VALUE_UNKNOWN, "%s", cases[_i].what);
	else
		ck_assert_msg(found.kind == VALUE_BOOL && found.boolean == cases[_i].found, "%s",
		    cases[_i].what);
	expect_text(virus_provider.get(NULL, 1, SLICE("")), cases[_i].name, cases[_i].what);
	expect_text(virus_provider.get(NULL, 2, SLICE("")), cases[_i].error, cases[_i].what);
	ck_assert_int_eq(told.scans, cases[_i].scanner ? 1 : 0);
	ck_assert_str_eq(told.scanned, cases[_i].scanner ? "From:a@b\r\n\r\nhello\r\n" : "");
	arena_free(&told.arena);
	bytes_free(&told.message.header);
	bytes_free(&told.message.body);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("virus");
	TCase *tc = tcase_create("facts");

	tcase_add_loop_test(tc, says, 0, (int)COUNT(cases));
	suite_add_tcase(s, tc);
	return unit_run(s);
}
