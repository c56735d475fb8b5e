/*
 * facts_fixture - a small catalogue of facts for the tests of rules, and a source that reads their
 * values from JSON: {"spf.result": "fail", "attachments": [{"name": "a.js"}]}. What is not there is
 * unknown.
 */
#ifndef TESTS_FACTS_FIXTURE_H
#define TESTS_FACTS_FIXTURE_H

#include "milterd/rules/rules.h"

struct facts_fixture {
	struct arena arena;
	json_t *facts;  /* borrowed */
	unsigned asked; /* how often a value was asked for */
};

struct value fixture_value(struct arena *a, const json_t *v, enum fact_type type);
struct fact_source fixture_source(struct facts_fixture *x);

#endif
