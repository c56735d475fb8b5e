/*
 * set - a loaded rule set from the inside: what the loader fills, and evaluation reads.
 * Numbers    rules, groups, facts and nodes are told by their index, so that the whole is a few
 *            flat tables. Node 0 is none.
 * Ownership  everything hangs from the set: texts and tables in its arena, conditions' sources in
 *            its merged JSON, lists and patterns in theirs.
 */
#ifndef WEIR_RULES_SET_H
#define WEIR_RULES_SET_H

#include "milterd/rules/list.h"
#include "milterd/rules/pattern.h"
#include "milterd/rules/rules.h"

#define NONE UINT32_MAX

enum node_op {
	NODE_ALL,
	NODE_ANY,
	NODE_NOT,
	NODE_AT_LEAST, /* need of the children */
	NODE_RULE,     /* ref: a rule */
	NODE_GROUP, /* ref: a group; its sum in low..high, or any member where there is no range */
	NODE_FACT,  /* ref: a fact, or NONE: of the element in hand; its children are tests */
	/* Tests of one value, or of each element of a list until one fits. */
	TEST_LIST,
	TEST_RANGE,
	TEST_BOOL,
	TEST_SAME_DOMAIN, /* ref: the other fact */
	/* Tests of the whole: whether it is known, how many there are, what its elements are. */
	TEST_EXISTS,
	TEST_UNKNOWN,
	TEST_COUNT, /* children test the number */
	TEST_SOME,  /* the only child is a condition on an element */
	TEST_EVERY,
	TEST_NONE
};
static inline bool test_of_whole(enum node_op op)
{
	return op >= TEST_EXISTS;
}

struct node {
	enum node_op op;
	bool each;                /* FACT: the member of each element of a list of objects */
	bool yes;                 /* BOOL, EXISTS, UNKNOWN: the answer that is wanted */
	bool open_low, open_high; /* RANGE, GROUP: gt and lt, not ge and le */
	bool ranged;              /* GROUP: has a range */
	uint32_t need, ref;
	uint32_t first, next; /* child, sibling */
	double low, high;
	const char *member; /* FACT: NULL for the value itself */
	const char *label;  /* FACT: as the author would name it, "attachments[].extension" */
	const struct list *list;
	const json_t *source; /* of the condition, for explain */
};

/* A text with ${fact} and ${verdict.x} in it. */
enum pseudo {
	PSEUDO_ACTION,
	PSEUDO_SCORE,
	PSEUDO_REQUIRED,
	PSEUDO_TESTS,
	PSEUDO_SCORES,
	PSEUDO_FLAG,
	PSEUDO_YESNO,
	PSEUDO_LEVEL,
	PSEUDO_POLICY,
	PSEUDO_STAGE,
	PSEUDO_RULE,
	PSEUDO_COUNT
};
extern const char *const pseudo_names[PSEUDO_COUNT]; /* "verdict.action", ... */
struct piece {
	enum { PIECE_TEXT, PIECE_FACT, PIECE_PSEUDO } kind;
	enum pseudo pseudo;
	struct slice text;
	uint32_t fact;
	const char *member; /* of each element; NULL for the value itself */
};
struct template
{
	struct piece *v;
	size_t n;
};

struct edit_row {
	enum edit_kind kind;
	struct slice name;
	const struct template *value; /* NULL for a removal */
	struct edit_row *next;
};
struct edit_rows {
	struct edit_row *first, **last;
};

struct texts {
	const char **v;
	size_t n;
};

struct rule {
	const char *name, *about, *group;
	uint32_t group_index; /* NONE: in no group */
	const char *file;
	unsigned line;
	unsigned file_index;
	enum stage stage;
	bool reads_rcpt; /* its condition asks for recipients, itself or through others */
	double score;
	bool shadow, tag;
	uint32_t when;
	enum action action; /* terminal, or ACTION_DELIVER */
	const struct template *reply, *quarantine;
	int64_t delay_ms;
	struct edit_rows edits;
	struct texts match, miss;
	json_t *json;
	uint32_t *uses; /* rules asked, itself and as members of groups asked; for ordering */
	size_t use_count, use_cap;
};

struct group {
	const char *name;
	uint32_t *members;
	size_t n, cap;
	enum stage stage;
};

struct headers {
	bool given;
	struct edit_rows remove, add, add_when_tagged;
	const struct template *subject_prefix_when_tagged;
};

struct threshold {
	double at;
	enum action action;
};

struct policy {
	const char *name;
	uint32_t when; /* 0 for the default */
	struct threshold *thresholds;
	size_t threshold_count; /* ascending */
	const struct template *reply[ACTION_ACCEPT + 1];
	const struct template *quarantine;
	struct headers headers;
};

struct named_list {
	const char *name;
	struct list *list;
};

struct ruleset {
	struct arena mem;
	json_t *root; /* all files merged, comments left out */
	struct pattern_set *patterns;
	struct fact_ref *facts;
	size_t fact_count, fact_cap;
	struct node *nodes;
	size_t node_count, node_cap;
	struct rule *rules; /* in the order of evaluation */
	size_t rule_count;
	size_t stage_end[STAGE_COUNT]; /* rules of stage s end before this index */
	struct group *groups;
	size_t group_count;
	struct policy *policies; /* the default first, then by name */
	size_t policy_count;
	struct list **lists; /* named and inline ones */
	size_t list_count, list_cap;
	struct headers headers;
	struct slice split_reply;
	bool acts_at[STAGE_COUNT];
};

#endif
