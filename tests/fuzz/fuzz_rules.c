#include "config.h"

#include "../unit/facts_fixture.h"

/* A rules file of any octets is loaded or refused; one that is loaded judges a message, and
 * explains each of its rules. */

static struct value no_value(void *arg, const struct fact_ref *ref, size_t index)
{
	struct arena *a = arg;
	struct value *v = arena_take(a, 2 * sizeof(*v));

	(void)index;
	if (v == NULL || ref->name[0] == 'v')
		return value_unknown;
	v[0] = value_string(SLICE("Re: invoice 17 for you@example.org"));
	v[1] = value_string(
	    SLICE("\xff\xc3\xa4 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"));
	switch (ref->type) {
	case FACT_STRING:
		return v[1];
	case FACT_NUMBER:
		return value_number(2);
	case FACT_BOOL:
		return value_bool(true);
	case FACT_ADDRESS:
		return value_address(
		    (struct address){ .family = AF_INET, .octets = { 10, 1, 2, 3 } });
	default:
		return (struct value){ .kind = VALUE_LIST, .list = { v, 2 } };
	}
}

static void judge(const struct ruleset *rs)
{
	struct arena values = { .max = 1 << 20 }, a = { .max = 1 << 20 };
	struct evaluation *ev = evaluation_new(rs, &a, (struct fact_source){ no_value, &values });
	struct slice reply;

	for (int stage = 0; stage < STAGE_COUNT; stage++) {
		if (stage == STAGE_RCPT)
			(void)evaluation_recipient(ev, &reply);
		(void)evaluation_run(ev, (enum stage)stage);
		(void)evaluation_verdict(ev);
		if (stage == STAGE_RCPT)
			evaluation_forget(ev, STAGE_RCPT);
	}
	for (size_t i = 0; i < ruleset_rule_count(rs) && i < 20; i++)
		json_decref(evaluation_explain(ev, ruleset_rule(rs, i).name));
	evaluation_free(&ev);
	arena_free(&values);
	arena_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct findings f = { 0 };
	struct ruleset *rs = ruleset_load_text("fuzz.json", slice_of(p, n), &f);

	if (rs != NULL)
		judge(rs);
	ruleset_free(&rs);
	findings_free(&f);
	return 0;
}
