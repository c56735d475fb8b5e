/*
 * condition - what loading a condition is made of: nodes, ranges of numbers, and tests of one fact
 * (load_tests.c), under the conditions that put them together (load_condition.c).
 */
#ifndef WEIR_RULES_CONDITION_H
#define WEIR_RULES_CONDITION_H

#include "milterd/rules/loader.h"

/* The number of a new node, 0 after a finding. The table may move: keep no pointers into it. */
uint32_t node_new(struct loader *l, enum node_op op, const json_t *source);
/* Children in the order they are written: *last is the one before, 0 for the first. A child 0 is
 * left out. */
void node_adopt(struct loader *l, uint32_t parent, uint32_t *last, uint32_t child);

/* What several of lt, le, gt, ge say together. */
struct range {
	double low, high;
	bool open_low, open_high, given;
};
extern const struct range range_everything;
bool is_comparison(const char *key);
int range_add(struct loader *l, struct range *r, const char *key, const json_t *v);
/* A range that holds no number is an error. */
int range_check(struct loader *l, const struct range *r);
void range_set(struct node *n, const struct range *r);

/* The fact that a test is about. */
struct asked {
	const char *label;
	enum fact_type type;
	const char *list; /* of FACT_OBJECTS: its name, for members */
};
/* The tests of {"regex": ..., "exists": true}, or of a bare value, become children of the node. */
int load_tests(struct loader *l, const struct asked *a, json_t *v, uint32_t fact);
int load_bare(struct loader *l, const struct asked *a, json_t *v, uint32_t fact);

#endif
