# milterd/rules: loading, compiling and evaluating rule sets.
libweirfilter_a_SOURCES += \
	milterd/rules/evaluate.c \
	milterd/rules/evaluation.h \
	milterd/rules/explain.c \
	milterd/rules/list.c \
	milterd/rules/list.h \
	milterd/rules/load.c \
	milterd/rules/load_condition.c \
	milterd/rules/load_lists.c \
	milterd/rules/load_policies.c \
	milterd/rules/load_rules.c \
	milterd/rules/loader.c \
	milterd/rules/loader.h \
	milterd/rules/merge.c \
	milterd/rules/order.c \
	milterd/rules/pattern.c \
	milterd/rules/pattern.h \
	milterd/rules/render.c \
	milterd/rules/set.c \
	milterd/rules/set.h \
	milterd/rules/template.c \
	milterd/rules/truth.c \
	milterd/rules/verdict.c
