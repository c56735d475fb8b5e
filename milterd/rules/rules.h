/*
 * rules - a rule set: loaded strictly from a folder of JSON files, evaluated as a pure function of
 * facts.
 * Layers     the folder's *.json files are merged in name order by JSON Merge Patch (RFC 7396);
 *            every finding still names the file, line and column that the value came from.
 * Stages     a rule runs at the earliest stage at which all facts that it reads (itself, in its
 *            reply, and through rules and groups it refers to) are known; the loader derives it.
 * Logic      three-valued (Kleene): a condition over an unknown fact is unknown, and so is its
 *            `not`; a rule fires only where its condition is true.
 * Sharing    a loaded set is immutable and may be used by any number of threads; evaluations are
 *            per message.
 * Errors     ruleset_load reports every error of every file in one run.
 */
#ifndef WEIR_RULES_H
#define WEIR_RULES_H

#include "milterd/facts/facts.h"
#include "weir/err.h"

enum action {
	ACTION_DELIVER,
	ACTION_TAG,
	ACTION_QUARANTINE,
	ACTION_REJECT,
	ACTION_TEMPFAIL,
	ACTION_DISCARD,
	ACTION_ACCEPT
};
extern const char *const action_names[]; /* "deliver", "tag", ... */

struct ruleset;

/* folder: path of the rules. NULL with findings when one error was found. Warnings may be there on
 * success. */
struct ruleset *ruleset_load(const char *folder, struct findings *f);
/* The same from one file in memory: name stands in findings. There is no folder, so lists that are
 * files are refused. For the web page, tests and the fuzzer. */
struct ruleset *ruleset_load_text(const char *name, struct slice text, struct findings *f);
void ruleset_free(struct ruleset **rs);

size_t ruleset_rule_count(const struct ruleset *rs);
/* A rule as the lint, the tests of rules and the web page see it; texts live as long as the set. */
struct rule_info {
	const char *name, *about, *group; /* about and group: "" where none is given */
	const char *file;                 /* where its condition stands */
	unsigned line;
	enum stage stage; /* when it runs */
	double score;
	bool shadow;
	enum action action; /* what ends the matter when it fires, ACTION_DELIVER if nothing does */
	const char *const *match, *const *miss; /* examples: paths, joined to the rules folder */
	size_t match_count, miss_count;
};
/* i below ruleset_rule_count; rules come in the order in which they are evaluated. */
struct rule_info ruleset_rule(const struct ruleset *rs, size_t i);
/* The index of a rule, or SIZE_MAX; *like is the nearest name or NULL (like itself may be NULL). */
size_t ruleset_find(const struct ruleset *rs, struct slice name, const char **like);
/* The rule as merged from all files, comments left out; a new reference. */
json_t *ruleset_rule_json(const struct ruleset *rs, size_t i);
/* The facts that anything in the set reads; index is the reference's number in evaluations. For
 * members of lists ("attachments[].name") the list is asked ("attachments"). */
const struct fact_ref *ruleset_facts(const struct ruleset *rs, size_t *n);
/* Can anything end or hold up the session, the message or a recipient at this stage? What cannot
 * needs no reply from us (SMFIP_NR_*). Always true for STAGE_EOM. */
bool ruleset_acts_at(const struct ruleset *rs, enum stage stage);
/* Is anything asked of this stage's facts at all (directly, or by rules of later stages)? */
bool ruleset_reads(const struct ruleset *rs, enum stage stage);

/* Where an evaluation gets its facts from: the daemon's providers, or a test's fixture. get is
 * called at most once for each reference of an evaluation and not before the fact's stage. */
struct fact_source {
	struct value (*get)(void *arg, const struct fact_ref *ref, size_t index);
	void *arg;
};

/* ---- one message
 * -------------------------------------------------------------------------------------- */

struct evaluation;

/* a: where values and texts of the result live; it outlives the evaluation. */
struct evaluation *evaluation_new(
    const struct ruleset *rs, struct arena *a, struct fact_source source);
void evaluation_free(struct evaluation **ev);
/* Choose the policy of a recipient (STAGE_RCPT facts of that recipient are current). The first
 * recipient decides; 0 for the same policy, 1 when this recipient is judged by another one: he is
 * to come again in a transaction of his own, with *reply (the set's text, as "452 4.5.3 ..."). */
int evaluation_recipient(struct evaluation *ev, struct slice *reply);
/* A stage is repeated, so its facts change: forget values, results and symbols of it and of all
 * later stages. STAGE_RCPT is to be called before each further recipient; what the rules found for
 * the last one stays where he was accepted, and goes where a rule refused him or
 * evaluation_recipient sent him away. From STAGE_DATA on, rcpt facts are read again (all recipients
 * then). */
void evaluation_forget(struct evaluation *ev, enum stage stage);
/* Run the rules of all stages up to this one that have not run yet. True when a rule ended the
 * matter: the verdict is final. At STAGE_EOM it is final always. True at STAGE_RCPT: a rule refuses
 * this recipient (accept and discard wait for the last one: they count only where they hold for all
 * recipients, and act at the next stage), or a rule of an earlier stage that had not run yet ended
 * the matter; verdict.stage tells. */
bool evaluation_run(struct evaluation *ev, enum stage stage);

struct because {
	struct slice fact; /* "spf.result" */
	struct value value;
	struct slice matched; /* the text that a pattern matched, bounded; .p NULL if none */
};
struct symbol {
	const char *name, *group, *about;
	double score;
	bool shadow;
	const char *file; /* where the rule stands */
	unsigned line;
	const struct because *because;
	size_t because_count;
};

enum edit_kind {
	EDIT_ADD_HEADER,
	EDIT_SET_HEADER,
	EDIT_REMOVE_HEADER,
	EDIT_ADD_RCPT,
	EDIT_REMOVE_RCPT,
	EDIT_QUARANTINE,
	EDIT_SUBJECT_PREFIX
};
struct edit {
	enum edit_kind kind;
	struct slice name,
	    value; /* header: field name ("X-Spam-*" for a removal by prefix, of the fields that
		    * came with the message), value (folds are LF TAB); else value alone. redirect
		    * becomes a removal of "*", which is every recipient, and one addition */
};

struct verdict {
	enum action action;
	struct slice reply; /* "550 5.7.1 ..."; .p NULL where the action has none */
	double score;
	const char *policy;
	double tag_at, quarantine_at, reject_at; /* INFINITY where the policy has none */
	enum stage stage;                        /* where it was decided */
	const char *decided_by;                  /* the rule that decided, NULL when the sum did */
	const struct symbol *symbols;            /* in order of firing */
	size_t symbol_count;
	const struct edit *edits; /* all of them, header fields of the policy included, in order */
	size_t edit_count;
	int64_t delay_ms; /* asked for by rules that fired in the last evaluation_run */
};
/* The verdict so far; valid as long as the evaluation's arena. */
const struct verdict *evaluation_verdict(struct evaluation *ev);
/* Why a rule fired or did not: its tree of conditions, each with its truth ("true", "false",
 * "unknown"), facts with their values. Asks for no fact that was not asked for ("asked": false).
 * NULL for an unknown rule. */
json_t *evaluation_explain(struct evaluation *ev, const char *rule);

/* The rule language as JSON Schema (2020-12), made from the loader's tables and the catalogue; a
 * new reference. */
json_t *rules_schema(void);

#endif
