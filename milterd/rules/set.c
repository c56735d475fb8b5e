#include "config.h"

#include "milterd/rules/set.h"

#include <stdlib.h>

const char *const action_names[] = { "deliver", "tag", "quarantine", "reject", "tempfail",
	"discard", "accept" };

void ruleset_free(struct ruleset **set)
{
	struct ruleset *rs = *set;

	if (rs == NULL)
		return;
	for (size_t i = 0; i < rs->fact_count; i++)
		fact_ref_free(&rs->facts[i]);
	for (size_t i = 0; i < rs->rule_count; i++)
		free(rs->rules[i].uses);
	for (size_t i = 0; i < rs->group_count; i++)
		free(rs->groups[i].members);
	for (size_t i = 0; i < rs->list_count; i++)
		list_free(&rs->lists[i]);
	free(rs->facts);
	free(rs->rules);
	free(rs->groups);
	free((void *)rs->lists);
	free(rs->nodes);
	free(rs->policies);
	pattern_set_free(&rs->patterns);
	arena_free(&rs->mem);
	json_decref(rs->root);
	free(rs);
	*set = NULL;
}

size_t ruleset_rule_count(const struct ruleset *rs)
{
	return rs->rule_count;
}

struct rule_info ruleset_rule(const struct ruleset *rs, size_t i)
{
	const struct rule *r = &rs->rules[i];

	return (struct rule_info){
		.name = r->name,
		.about = r->about,
		.group = r->group,
		.file = r->file,
		.line = r->line,
		.stage = r->stage,
		.score = r->score,
		.shadow = r->shadow,
		.action = r->action,
		.match = r->match.v,
		.miss = r->miss.v,
		.match_count = r->match.n,
		.miss_count = r->miss.n,
	};
}

static const char *nearest_rule(const struct ruleset *rs, struct slice name)
{
	const char **names = calloc(rs->rule_count + 1, sizeof(*names)), *like;

	if (names == NULL)
		return NULL;
	for (size_t i = 0; i < rs->rule_count; i++)
		names[i] = rs->rules[i].name;
	like = nearest(name, names, rs->rule_count);
	free((void *)names);
	return like;
}

size_t ruleset_find(const struct ruleset *rs, struct slice name, const char **like)
{
	if (like != NULL)
		*like = NULL;
	for (size_t i = 0; i < rs->rule_count; i++)
		if (slice_eq(slice_z(rs->rules[i].name), name))
			return i;
	if (like != NULL)
		*like = nearest_rule(rs, name);
	return SIZE_MAX;
}

/* A copy: the set is shared between threads, and jansson's iteration is the reader's own. */
json_t *ruleset_rule_json(const struct ruleset *rs, size_t i)
{
	return json_deep_copy(rs->rules[i].json);
}

const struct fact_ref *ruleset_facts(const struct ruleset *rs, size_t *n)
{
	*n = rs->fact_count;
	return rs->facts;
}

bool ruleset_acts_at(const struct ruleset *rs, enum stage stage)
{
	return rs->acts_at[stage];
}

bool ruleset_reads(const struct ruleset *rs, enum stage stage)
{
	for (size_t i = 0; i < rs->fact_count; i++)
		if (rs->facts[i].stage == stage)
			return true;
	return false;
}
