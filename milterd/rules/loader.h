/*
 * loader - what the files that load the parts of a rule set share: where we are in the JSON, how a
 * mistake is told, tables of keys, tables of the set that grow.
 * Errors     everything returns 0, or -1 after a finding was added; callers go on with what is
 *            left so that one run finds every mistake.
 */
#ifndef WEIR_RULES_LOADER_H
#define WEIR_RULES_LOADER_H

#include "milterd/rules/set.h"
#include "weir/json.h"

#define LOADER_DEPTH_MAX 32 /* conditions inside conditions */

struct loader {
	struct ruleset *rs;
	struct findings *f;
	struct json_file *files; /* in name order */
	size_t file_count;
	const char *folder; /* NULL: loading from memory */
	struct buf pointer;
	char pointer_text[2048];
	json_t *named_lists;                                 /* name -> index in rs->lists */
	json_t *rule_numbers, *group_numbers, *fact_numbers; /* name -> index */
	struct rule *rule;      /* the one that is being loaded, or NULL */
	const char *element_of; /* inside some, every, none: the list's name */
	unsigned depth;
	bool saw_recipients; /* a fact of all recipients was asked, likewise */
	enum stage latest;   /* of the facts that were asked since the caller reset it */
	bool facts_only;     /* rules and groups cannot be asked here (policies) */
	bool out_of_memory;
	/* A file could not be read: what others refer to may stand there, so names that are not
	 * found are no finding. */
	bool incomplete;
};

/* ---- where we are ---- */
size_t loader_enter(struct loader *l, struct slice token); /* returns what loader_leave takes */
size_t loader_enter_index(struct loader *l, size_t i);
void loader_leave(struct loader *l, size_t was);
/* An error (or warning) at the value in hand, or at its key. */
int complain(struct loader *l, bool key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void warn(struct loader *l, bool key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* 'unknown WHAT "WORD" (did you mean "LIKE"?)' */
int complain_unknown(struct loader *l, bool key, const char *what, struct slice word,
    const char *const *candidates, size_t n);
/* The same, with an object's keys for candidates. */
int complain_unknown_of(
    struct loader *l, bool key, const char *what, struct slice word, json_t *object);
int complain_memory(struct loader *l);
/* The file that supplied the value at a pointer (the last that has it), its line too. */
const struct json_file *loader_source(const struct loader *l, const char *pointer);

/* ---- tables of keys: the loader's and the schema's ---- */
enum shape {
	SHAPE_TEXT,
	SHAPE_NUMBER,
	SHAPE_BOOL,
	SHAPE_TRUE,  /* only true says anything */
	SHAPE_TEXTS, /* list of texts */
	SHAPE_TEXT_OR_TEXTS,
	SHAPE_FIELDS, /* header fields: name -> text */
	SHAPE_CONDITION,
	SHAPE_THRESHOLDS, /* number -> action */
	SHAPE_REPLY,      /* "550 5.7.1 text" */
	SHAPE_OBJECT,     /* keys of its own: table */
	SHAPE_MAP         /* any name -> object with keys of table */
};
struct key_row;
typedef int key_load(struct loader *l, const struct key_row *row, json_t *v, void *into);
struct key_table {
	const char *what; /* "key of a rule" */
	const struct key_row *rows;
	size_t n;
};
struct key_row {
	const char *name;
	enum shape shape;
	const char *about;
	key_load *load;
	const struct key_table *table;
};
/* Every key of the object must have a row, of the row's shape; its load is called. */
int load_keys(struct loader *l, const struct key_table *table, json_t *object, void *into);
int wrong_type(struct loader *l, const char *wanted, const json_t *v);
struct slice text_of(const json_t *v);

extern const struct key_table top_keys, list_keys, rule_keys, example_keys, policy_keys, reply_keys,
    header_keys, setting_keys;

/* A matcher of a condition on a fact: {"regex": ...}. */
enum operand {
	OPERAND_TEXTS, /* one text or several */
	OPERAND_SET,   /* the name of a list, or a list of values */
	OPERAND_NUMBER,
	OPERAND_BOOL,
	OPERAND_COUNT, /* a number, or comparisons */
	OPERAND_CONDITION,
	OPERAND_FACT
};
struct matcher {
	const char *name;
	unsigned types; /* of facts that it can look at: bits 1 << enum fact_type */
	enum operand operand;
	const char *about;
	enum list_kind list;
	enum node_op op;
};
extern const struct matcher matchers[];
extern const size_t matcher_count;
/* {"all": ...} and the like: conditions made of conditions. */
struct combinator {
	const char *name;
	enum { COMBINES_MANY, COMBINES_ONE, COMBINES_NUMBER, COMBINES_NAME } kind;
	const char *about;
};
extern const struct combinator combinators[];
extern const size_t combinator_count;

/* ---- growing the set ---- */
/* Zeroed memory of the set's, or NULL after a finding. */
void *loader_take(struct loader *l, size_t n);
const char *loader_text(struct loader *l, struct slice s);
/* A new list, owned by the set; NULL after a finding. */
struct list *loader_list(struct loader *l, enum list_kind kind);
/* The number of a fact, new or known; notes its stage. member: of each element, or NULL. A member
 * that is asked directly ("attachments[].name") is a member of the fact "attachments". */
int loader_fact(struct loader *l, struct slice name, uint32_t *fact, const char **member,
    enum fact_type *type, struct err *e);
/* Append what an array of a rule's uses needs. */
int loader_uses_rule(struct loader *l, uint32_t rule);

/* ---- parts ---- */
/* Read and merge all files. */
int load_files(struct loader *l, const char *folder);
int load_one_text(struct loader *l, const char *name, struct slice text);
/* JSON Merge Patch (RFC 7396) over target, comments left out. False without memory. */
bool merge_patch(json_t **target, const json_t *patch);

int load_lists(struct loader *l, json_t *lists);
int load_rules(struct loader *l, json_t *rules);
int load_policies(struct loader *l, json_t *policies);
int load_condition(struct loader *l, json_t *v, uint32_t *node);
int load_texts(struct loader *l, json_t *v, struct texts *out);
/* name -> template, as edits. */
int load_fields(struct loader *l, json_t *v, enum edit_kind kind, struct edit_rows *into);
int load_removals(struct loader *l, json_t *v, struct edit_rows *into);
int edits_add(struct loader *l, struct edit_rows *into, enum edit_kind kind, struct slice name,
    const struct template *value);

/* Is it an address that a rule may name? A finding where it is not. */
int load_address(struct loader *l, struct slice s);
/* Note file and line of each rule. */
int place_rules(struct loader *l);
/* A text for a header field or a queue: no line ends. */
int load_line(struct loader *l, json_t *v, const struct template **out);
/* A text with ${...}; notes the stages of the facts in it. */
int load_template(struct loader *l, struct slice text, const struct template **out);
/* The same for a reply: its class must be that of the action. */
int load_reply(struct loader *l, json_t *v, enum action action, const struct template **out);

/* Stages, cycles, order of evaluation; the rules table is sorted, references follow. */
int order_rules(struct loader *l);
/* What the finished set can do at which stage; last of all. */
void derive_acts(struct ruleset *rs);

#endif
