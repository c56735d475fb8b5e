#include "config.h"

#include "milterd/rules/loader.h"

#include <math.h>
#include <stdlib.h>

enum { RULES_MAX = 20000, NAME_MAX_OCTETS = 64, SCORE_MAX = 1000, DELAY_MAX_MS = 300000 };

/* ---- the keys of a rule ---- */

static int load_about(struct loader *l, const struct key_row *row, json_t *v, void *into)
{
	struct rule *r = into;

	(void)row;
	return (r->about = loader_text(l, text_of(v))) != NULL ? 0 : -1;
}

static int load_group(struct loader *l, const struct key_row *row, json_t *v, void *into)
{
	struct rule *r = into;

	(void)row;
	if (json_string_length(v) == 0)
		return complain(l, false, "must not be empty");
	return (r->group = loader_text(l, text_of(v))) != NULL ? 0 : -1;
}

static int load_when(struct loader *l, const struct key_row *row, json_t *v, void *into)
{
	struct rule *r = into;
	int rc;

	(void)row;
	l->saw_recipients = false;
	rc = load_condition(l, v, &r->when);
	r->reads_rcpt = l->saw_recipients;
	return rc;
}

static int load_score(struct loader *l, const struct key_row *row, json_t *v, void *into)
{
	struct rule *r = into;

	(void)row;
	r->score = json_number_value(v);
	if (!isfinite(r->score) || fabs(r->score) > SCORE_MAX)
		return complain(l, false, "must be -%d..%d", SCORE_MAX, SCORE_MAX);
	return 0;
}

static int load_shadow(struct loader *l, const struct key_row *row, json_t *v, void *into)
{
	(void)l;
	(void)row;
	((struct rule *)into)->shadow = json_is_true(v);
	return 0;
}

static int set_terminal(struct loader *l, struct rule *r, enum action action)
{
	if (r->action != ACTION_DELIVER)
		return complain(l, true, "a rule ends the matter in one way: it has \"%s\" already",
		    action_names[r->action]);
	r->action = action;
	return 0;
}

static enum action action_named(const char *name)
{
	size_t i = ACTION_ACCEPT;

	while (i > 0 && strcmp(action_names[i], name) != 0)
		i--;
	return (enum action)i;
}

static int load_refusal(struct loader *l, const struct key_row *row, json_t *v, void *into)
{
	struct rule *r = into;
	enum action action = action_named(row->name);

	if (set_terminal(l, r, action) < 0)
		return -1;
	return load_reply(l, v, action, &r->reply);
}

static int load_silent_end(struct loader *l, const struct key_row *row, json_t *v, void *into)
{
	(void)v;
	return set_terminal(l, into, action_named(row->name));
}

/* Facts that these texts name are read at the end of the message, when the edits are made: they do
 * not hold the rule up. */
static int without_stage(struct loader *l, enum stage was, int rc)
{
	l->latest = was;
	return rc;
}

static int load_quarantine(struct loader *l, const struct key_row *row, json_t *v, void *into)
{
	enum stage was = l->latest;

	(void)row;
	if (json_string_length(v) == 0)
		return complain(l, false, "must be the reason that the queue shows");
	return without_stage(l, was, load_line(l, v, &((struct rule *)into)->quarantine));
}

static int load_tag(struct loader *l, const struct key_row *row, json_t *v, void *into)
{
	(void)l;
	(void)row;
	(void)v;
	((struct rule *)into)->tag = true;
	return 0;
}

static int load_rule_fields(struct loader *l, const struct key_row *row, json_t *v, void *into)
{
	enum edit_kind kind = row->name[0] == 'a' ? EDIT_ADD_HEADER : EDIT_SET_HEADER;
	enum stage was = l->latest;

	return without_stage(l, was, load_fields(l, v, kind, &((struct rule *)into)->edits));
}

static int load_rule_removals(struct loader *l, const struct key_row *row, json_t *v, void *into)
{
	(void)row;
	return load_removals(l, v, &((struct rule *)into)->edits);
}

static int load_prefix(struct loader *l, const struct key_row *row, json_t *v, void *into)
{
	const struct template *value = NULL;
	enum stage was = l->latest;

	(void)row;
	if (without_stage(l, was, load_line(l, v, &value)) < 0)
		return -1;
	return edits_add(l, &((struct rule *)into)->edits, EDIT_SUBJECT_PREFIX, SLICE(""), value);
}

static int load_rcpt(struct loader *l, json_t *v, enum edit_kind kind, struct rule *r)
{
	const struct template *value;

	if (load_address(l, text_of(v)) < 0 || load_template(l, text_of(v), &value) < 0)
		return -1;
	return edits_add(l, &r->edits, kind, SLICE(""), value);
}

static int load_rcpts(struct loader *l, const struct key_row *row, json_t *v, void *into)
{
	enum edit_kind kind = row->name[0] == 'a' ? EDIT_ADD_RCPT : EDIT_REMOVE_RCPT;
	json_t *one;
	size_t i;
	int rc = 0;

	if (json_is_string(v))
		return load_rcpt(l, v, kind, into);
	json_array_foreach(v, i, one)
	{
		size_t was = loader_enter_index(l, i);

		rc |= load_rcpt(l, one, kind, into);
		loader_leave(l, was);
	}
	return rc;
}

static int load_redirect(struct loader *l, const struct key_row *row, json_t *v, void *into)
{
	const struct template *everyone;

	(void)row;
	if (load_template(l, SLICE("*"), &everyone) < 0 ||
	    edits_add(l, &((struct rule *)into)->edits, EDIT_REMOVE_RCPT, SLICE(""), everyone) < 0)
		return -1;
	return load_rcpt(l, v, EDIT_ADD_RCPT, into);
}

static int load_delay(struct loader *l, const struct key_row *row, json_t *v, void *into)
{
	(void)row;
	if (!json_is_integer(v) || json_integer_value(v) < 0 ||
	    json_integer_value(v) > DELAY_MAX_MS)
		return complain(l, false, "must be a whole number, 0..%d ms", DELAY_MAX_MS);
	((struct rule *)into)->delay_ms = json_integer_value(v);
	return 0;
}

/* Paths of examples are relative to the rules folder. */
static int load_paths(struct loader *l, const struct key_row *row, json_t *v, void *into)
{
	struct rule *r = into;
	struct texts *out = row->name[1] == 'a' ? &r->match : &r->miss;

	if (load_texts(l, v, out) < 0)
		return -1;
	for (size_t i = 0; i < out->n && l->folder != NULL; i++) {
		struct slice joined;

		if (out->v[i][0] == '/')
			continue;
		joined = arena_printf(&l->rs->mem, "%s/%s", l->folder, out->v[i]);
		if ((out->v[i] = joined.p) == NULL)
			return complain_memory(l);
	}
	return 0;
}

static const struct key_row example_rows[] = {
	{ "match", SHAPE_TEXTS, "Message files on which the rule fires.", load_paths, NULL },
	{ "miss", SHAPE_TEXTS, "Message files on which it does not.", load_paths, NULL },
};
const struct key_table example_keys = { "key of examples", example_rows, COUNT(example_rows) };

static int load_examples(struct loader *l, const struct key_row *row, json_t *v, void *into)
{
	(void)row;
	return load_keys(l, &example_keys, v, into);
}

/* clang-format off */
static const struct key_row rule_rows[] = {
	{ "about", SHAPE_TEXT, "One sentence for people.", load_about, NULL },
	{ "group", SHAPE_TEXT, "What it belongs to; conditions can ask a group's sum.", load_group, NULL },
	{ "when", SHAPE_CONDITION, "The rule fires when this is true.", load_when, NULL },
	{ "score", SHAPE_NUMBER, "What it adds to the sum; negative speaks for the message.", load_score, NULL },
	{ "reject", SHAPE_REPLY, "Refuse for good, as \"550 5.7.1 text\"; ${fact} stands for a fact.", load_refusal, NULL },
	{ "tempfail", SHAPE_REPLY, "Refuse for now, as \"451 4.7.1 text\".", load_refusal, NULL },
	{ "accept", SHAPE_TRUE, "Deliver, whatever the sum; a refusal of the same stage is stronger.", load_silent_end, NULL },
	{ "discard", SHAPE_TRUE, "Take the message and drop it.", load_silent_end, NULL },
	{ "quarantine", SHAPE_TEXT, "Hold the message, for this reason.", load_quarantine, NULL },
	{ "tag", SHAPE_TRUE, "Mark the message as spam at least.", load_tag, NULL },
	{ "add_header", SHAPE_FIELDS, "Header fields to add; ${fact} stands for a fact.", load_rule_fields, NULL },
	{ "set_header", SHAPE_FIELDS, "Header fields to replace, or to add.", load_rule_fields, NULL },
	{ "remove_header", SHAPE_TEXTS, "Header fields to remove; X-Foo-* removes all with that beginning.", load_rule_removals, NULL },
	{ "subject_prefix", SHAPE_TEXT, "Text to put before the subject.", load_prefix, NULL },
	{ "add_rcpt", SHAPE_TEXT_OR_TEXTS, "Recipients to add.", load_rcpts, NULL },
	{ "remove_rcpt", SHAPE_TEXT_OR_TEXTS, "Recipients to remove.", load_rcpts, NULL },
	{ "redirect", SHAPE_TEXT, "Deliver to this recipient instead of all others.", load_redirect, NULL },
	{ "delay_ms", SHAPE_NUMBER, "Hold the answer back so long.", load_delay, NULL },
	{ "examples", SHAPE_OBJECT, "Messages that `weir rules test` tries the rule on.", load_examples, &example_keys },
	{ "shadow", SHAPE_BOOL, "Recorded and counted, but changes nothing.", load_shadow, NULL },
};
/* clang-format on */
const struct key_table rule_keys = { "key of a rule", rule_rows, COUNT(rule_rows) };

/* ---- rules ---- */

/* Names stand in header fields and log lines: letters, digits and "_". */
static int check_name(struct loader *l, const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < n; i++)
		if (!ascii_alpha(name[i]) && name[i] != '_' && (i == 0 || !ascii_digit(name[i])))
			n = 0;
	if (n == 0 || n > NAME_MAX_OCTETS)
		return complain(l, true,
		    "a rule's name is made of letters, digits and \"_\", at most %d",
		    NAME_MAX_OCTETS);
	return 0;
}

static int group_member(struct loader *l, const char *name, uint32_t rule)
{
	struct ruleset *rs = l->rs;
	const json_t *number = json_object_get(l->group_numbers, name);
	struct group *g;

	if (number == NULL) {
		g = realloc(rs->groups, (rs->group_count + 1) * sizeof(*g));
		if (g == NULL)
			return complain_memory(l);
		rs->groups = g;
		g = &rs->groups[rs->group_count++];
		*g = (struct group){ .name = loader_text(l, slice_z(name)) };
		number = json_integer((json_int_t)rs->group_count - 1);
		if (json_object_set_new(l->group_numbers, name, (json_t *)number) < 0)
			return complain_memory(l);
	}
	g = &rs->groups[json_integer_value(number)];
	if (g->n == g->cap) {
		size_t cap = g->cap > 0 ? g->cap * 2 : 8;
		uint32_t *grown = realloc(g->members, cap * sizeof(*grown));

		if (grown == NULL)
			return complain_memory(l);
		g->members = grown;
		g->cap = cap;
	}
	g->members[g->n++] = rule;
	l->rs->rules[rule].group_index = (uint32_t)json_integer_value(number);
	return 0;
}

/* Names and groups first: conditions ask rules that stand behind them. */
static int name_rules(struct loader *l, json_t *rules)
{
	const char *name;
	json_t *v;
	int rc = 0;

	json_object_foreach(rules, name, v)
	{
		uint32_t i = (uint32_t)l->rs->rule_count++;
		struct rule *r = &l->rs->rules[i];
		const char *group = json_string_value(json_object_get(v, "group"));

		r->name = loader_text(l, slice_z(name));
		r->about = r->group = "";
		r->group_index = NONE;
		r->json = v;
		if (r->name == NULL ||
		    json_object_set_new(l->rule_numbers, name, json_integer(i)) < 0)
			return complain_memory(l);
		if (group != NULL)
			rc |= group_member(l, group, i);
	}
	return rc;
}

static int load_rule(struct loader *l, struct rule *r)
{
	int rc;

	l->rule = r;
	l->latest = STAGE_CONNECT;
	rc = check_name(l, r->name);
	rc |= load_keys(l, &rule_keys, r->json, r);
	r->stage = l->latest;
	l->rule = NULL;
	if (rc == 0 && r->when == 0 && !l->incomplete)
		rc = complain(l, true, "a rule needs \"when\", its condition");
	return rc;
}

int load_rules(struct loader *l, json_t *rules)
{
	size_t n = json_object_size(rules);
	int rc;

	if (n > RULES_MAX)
		return complain(l, true, "more than %d rules", RULES_MAX);
	if ((l->rs->rules = calloc(n + 1, sizeof(*l->rs->rules))) == NULL)
		return complain_memory(l);
	rc = name_rules(l, rules);
	rc |= place_rules(l);
	for (size_t i = 0; i < n && !l->out_of_memory; i++) {
		size_t was = loader_enter(l, slice_z(l->rs->rules[i].name));

		rc |= load_rule(l, &l->rs->rules[i]);
		loader_leave(l, was);
	}
	return rc;
}
