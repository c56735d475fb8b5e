# milterd/rules: loading, compiling and evaluating rule sets.
libweirfilter_a_SOURCES += \
	milterd/rules/condition.h \
	milterd/rules/evaluate.c \
	milterd/rules/evaluation.h \
	milterd/rules/explain.c \
	milterd/rules/list.c \
	milterd/rules/list.h \
	milterd/rules/load.c \
	milterd/rules/load_condition.c \
	milterd/rules/load_edits.c \
	milterd/rules/load_lists.c \
	milterd/rules/load_policies.c \
	milterd/rules/load_rules.c \
	milterd/rules/load_tests.c \
	milterd/rules/loader.c \
	milterd/rules/loader.h \
	milterd/rules/merge.c \
	milterd/rules/order.c \
	milterd/rules/pattern.c \
	milterd/rules/pattern.h \
	milterd/rules/render.c \
	milterd/rules/rule_lines.c \
	milterd/rules/schema.c \
	milterd/rules/set.c \
	milterd/rules/set.h \
	milterd/rules/template.c \
	milterd/rules/truth.c \
	milterd/rules/verdict.c

RULES_TEST_LIBS = $(FILTER_LIBS) $(CHECK_LIBS)
RULES_FIXTURE = tests/unit/facts_fixture.c tests/unit/facts_fixture.h tests/unit/unit.h
check_PROGRAMS += check_rules_eval
check_rules_eval_SOURCES = tests/unit/check_rules_eval.c $(RULES_FIXTURE)
check_rules_eval_LDADD = $(RULES_TEST_LIBS)

check_PROGRAMS += check_rules_load
check_rules_load_SOURCES = tests/unit/check_rules_load.c $(RULES_FIXTURE)
check_rules_load_LDADD = $(RULES_TEST_LIBS)

check_PROGRAMS += check_lists check_pattern
check_lists_SOURCES = tests/unit/check_lists.c $(RULES_FIXTURE)
check_lists_LDADD = $(RULES_TEST_LIBS)
check_pattern_SOURCES = tests/unit/check_pattern.c $(RULES_FIXTURE)
check_pattern_LDADD = $(RULES_TEST_LIBS)

check_PROGRAMS += check_rules_schema check_catalogue
check_rules_schema_SOURCES = tests/unit/check_rules_schema.c $(RULES_FIXTURE)
check_rules_schema_LDADD = $(RULES_TEST_LIBS)
check_catalogue_SOURCES = tests/unit/check_catalogue.c $(RULES_FIXTURE)
check_catalogue_LDADD = $(RULES_TEST_LIBS)

EXTRA_DIST += \
	tests/fuzz/corpus/rules/all.json \
	tests/fuzz/corpus/rules/broken.json \
	tests/fuzz/corpus/rules/circle.json
if FUZZING
noinst_PROGRAMS += fuzz_rules
fuzz_rules_SOURCES = tests/fuzz/fuzz_rules.c tests/unit/facts_fixture.c tests/unit/facts_fixture.h
fuzz_rules_LDADD = $(FILTER_LIBS)
fuzz_rules_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
endif
