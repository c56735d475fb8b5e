#include "config.h"

#include "milterd/rules/loader.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

enum { POLICIES_MAX = 1000 };

/* ---- headers ---- */

static int load_remove(struct loader *l, const struct key_row *row, json_t *v, void *into)
{
	(void)row;
	return load_removals(l, v, &((struct headers *)into)->remove);
}

static int load_add(struct loader *l, const struct key_row *row, json_t *v, void *into)
{
	(void)row;
	return load_fields(l, v, EDIT_ADD_HEADER, &((struct headers *)into)->add);
}

static int load_add_when_tagged(struct loader *l, const struct key_row *row, json_t *v, void *into)
{
	(void)row;
	return load_fields(l, v, EDIT_ADD_HEADER, &((struct headers *)into)->add_when_tagged);
}

static int load_prefix_when_tagged(
    struct loader *l, const struct key_row *row, json_t *v, void *into)
{
	(void)row;
	return load_line(l, v, &((struct headers *)into)->subject_prefix_when_tagged);
}

/* Tagged is what the verdict tags or quarantines. */
static const struct key_row header_rows[] = {
	{ "remove", SHAPE_TEXTS,
	    "Fields that came with the message and go; X-Spam-* is all with that beginning.",
	    load_remove, NULL },
	{ "add", SHAPE_FIELDS, "Fields that every message gets.", load_add, NULL },
	{ "add_when_tagged", SHAPE_FIELDS, "Fields that tagged and quarantined messages get.",
	    load_add_when_tagged, NULL },
	{ "subject_prefix_when_tagged", SHAPE_TEXT,
	    "Text before the subject of tagged and quarantined messages.", load_prefix_when_tagged,
	    NULL },
};
const struct key_table header_keys = { "key of headers", header_rows, COUNT(header_rows) };

/* ---- the keys of a policy ---- */

static int load_about(struct loader *l, const struct key_row *row, json_t *v, void *into)
{
	(void)l;
	(void)row;
	(void)v;
	(void)into;
	return 0;
}

static int load_for(struct loader *l, const struct key_row *row, json_t *v, void *into)
{
	struct policy *p = into;
	int rc;

	(void)row;
	if (strcmp(p->name, "default") == 0)
		return complain(l, true, "the default policy is for all whom no other one is for");
	l->latest = STAGE_CONNECT;
	l->facts_only = true;
	rc = load_condition(l, v, &p->when);
	l->facts_only = false;
	if (rc == 0 && l->latest > STAGE_RCPT)
		rc = complain(l, false,
		    "a policy is chosen when the recipient is given: facts of the stage \"%s\" are "
		    "not known by then",
		    stage_names[l->latest]);
	return rc;
}

/* What a sum can lead to, from the mildest on. */
static const enum action by_sum[] = { ACTION_TAG, ACTION_QUARANTINE, ACTION_TEMPFAIL,
	ACTION_DISCARD, ACTION_REJECT };

static int threshold_action(struct loader *l, const json_t *v, enum action *out)
{
	const char *names[COUNT(by_sum)];

	if (!json_is_string(v))
		return wrong_type(l, "the name of an action", v);
	for (size_t i = 0; i < COUNT(by_sum); i++) {
		names[i] = action_names[by_sum[i]];
		if (strcmp(names[i], json_string_value(v)) == 0) {
			*out = by_sum[i];
			return 0;
		}
	}
	return complain_unknown(l, false, "action", text_of(v), names, COUNT(names));
}

static int threshold_at(struct loader *l, const char *key, double *out)
{
	char *end;

	errno = 0;
	*out = strtod(key, &end);
	if (end == key || *end != '\0' || !isfinite(*out) || fabs(*out) > 100000 ||
	    strspn(key, "+-.0123456789") != strlen(key))
		return complain(l, true, "must be a sum of scores, as in \"4.5\"");
	return 0;
}

static int threshold_add(struct loader *l, struct policy *p, struct threshold t)
{
	for (size_t i = 0; i < p->threshold_count; i++) {
		if (p->thresholds[i].action == t.action)
			return complain(
			    l, true, "the policy has \"%s\" already", action_names[t.action]);
		if (p->thresholds[i].at == t.at)
			return complain(l, true, "the policy has an action at this sum already");
	}
	p->thresholds[p->threshold_count++] = t;
	return 0;
}

static int threshold_order(const void *a, const void *b)
{
	const struct threshold *x = a, *y = b;

	return (x->at > y->at) - (x->at < y->at);
}

static size_t strength(enum action action)
{
	size_t i = 0;

	while (i < COUNT(by_sum) && by_sum[i] != action)
		i++;
	return i;
}

static void check_order(struct loader *l, const struct policy *p)
{
	for (size_t i = 1; i < p->threshold_count; i++)
		if (strength(p->thresholds[i].action) < strength(p->thresholds[i - 1].action))
			warn(l, true, "\"%s\" at %g comes after \"%s\" at %g, which is stronger",
			    action_names[p->thresholds[i].action], p->thresholds[i].at,
			    action_names[p->thresholds[i - 1].action], p->thresholds[i - 1].at);
}

static int load_at(struct loader *l, const struct key_row *row, json_t *v, void *into)
{
	struct policy *p = into;
	const char *key;
	json_t *action;
	int rc = 0;

	(void)row;
	p->thresholds = loader_take(l, (json_object_size(v) + 1) * sizeof(*p->thresholds));
	if (p->thresholds == NULL)
		return -1;
	json_object_foreach(v, key, action)
	{
		struct threshold t = { 0 };
		size_t was = loader_enter(l, slice_z(key));

		if (threshold_at(l, key, &t.at) < 0 || threshold_action(l, action, &t.action) < 0)
			rc = -1;
		else
			rc |= threshold_add(l, p, t);
		loader_leave(l, was);
	}
	qsort(p->thresholds, p->threshold_count, sizeof(*p->thresholds), threshold_order);
	check_order(l, p);
	return rc;
}

static int load_reply_row(struct loader *l, const struct key_row *row, json_t *v, void *into)
{
	struct policy *p = into;
	enum action action = row->name[0] == 'r' ? ACTION_REJECT : ACTION_TEMPFAIL;

	return load_reply(l, v, action, &p->reply[action]);
}

static const struct key_row reply_rows[] = {
	{ "reject", SHAPE_REPLY, "What a rejected message's client is told: \"550 5.7.1 text\".",
	    load_reply_row, NULL },
	{ "tempfail", SHAPE_REPLY, "What the client of one refused for now is told.",
	    load_reply_row, NULL },
};
const struct key_table reply_keys = { "reply", reply_rows, COUNT(reply_rows) };

static int load_replies(struct loader *l, const struct key_row *row, json_t *v, void *into)
{
	(void)row;
	return load_keys(l, &reply_keys, v, into);
}

static int load_reason(struct loader *l, const struct key_row *row, json_t *v, void *into)
{
	(void)row;
	if (json_string_length(v) == 0)
		return complain(l, false, "must be the reason that the queue shows");
	return load_line(l, v, &((struct policy *)into)->quarantine);
}

static int load_policy_headers(struct loader *l, const struct key_row *row, json_t *v, void *into)
{
	struct policy *p = into;

	(void)row;
	p->headers.given = true;
	return load_keys(l, &header_keys, v, &p->headers);
}

static const struct key_row policy_rows[] = {
	{ "about", SHAPE_TEXT, "One sentence for people.", load_about, NULL },
	{ "for", SHAPE_CONDITION,
	    "The recipients that it is for; the first policy by name that fits is taken.", load_for,
	    NULL },
	{ "at", SHAPE_THRESHOLDS, "Sum of scores -> tag, quarantine, tempfail, discard or reject.",
	    load_at, NULL },
	{ "replies", SHAPE_OBJECT, "Reply texts of refusals; the default policy's, if not given.",
	    load_replies, &reply_keys },
	{ "quarantine", SHAPE_TEXT,
	    "Reason for a quarantine by sum; the default policy's likewise.", load_reason, NULL },
	{ "headers", SHAPE_OBJECT, "Header fields, in place of the set's.", load_policy_headers,
	    &header_keys },
};
const struct key_table policy_keys = { "key of a policy", policy_rows, COUNT(policy_rows) };

/* ---- policies ---- */

static int load_policy(struct loader *l, struct policy *p, json_t *v)
{
	int rc;

	if (!json_is_object(v))
		return wrong_type(l, "an object", v);
	rc = load_keys(l, &policy_keys, v, p);
	if (rc == 0 && p->when == 0 && !l->incomplete && strcmp(p->name, "default") != 0)
		rc = complain(l, true, "a policy other than \"default\" needs \"for\"");
	return rc;
}

static int policy_order(const void *a, const void *b)
{
	const struct policy *x = a, *y = b;
	bool x_default = strcmp(x->name, "default") == 0,
	     y_default = strcmp(y->name, "default") == 0;

	return x_default != y_default ? (x_default ? -1 : 1) : strcmp(x->name, y->name);
}

static bool does(const struct policy *p, enum action action)
{
	for (size_t i = 0; i < p->threshold_count; i++)
		if (p->thresholds[i].action == action)
			return true;
	return false;
}

/* What a policy does not say, the default one says. */
static void inherit(struct loader *l, struct policy *p, const struct policy *from)
{
	size_t was = loader_enter(l, slice_z(p->name));

	for (size_t i = 0; i < COUNT(p->reply); i++)
		if (p->reply[i] == NULL)
			p->reply[i] = from->reply[i];
	if (p->quarantine == NULL)
		p->quarantine = from->quarantine;
	if (!p->headers.given)
		p->headers = from->headers.given ? from->headers : l->rs->headers;
	if (does(p, ACTION_REJECT) && p->reply[ACTION_REJECT] == NULL)
		warn(l, true, "rejects without a text in \"replies\": the MTA's own will be sent");
	loader_leave(l, was);
}

static int add_policy(struct loader *l, const char *name, json_t *v)
{
	struct policy *p = &l->rs->policies[l->rs->policy_count++];
	size_t was = loader_enter(l, slice_z(name));
	int rc;

	p->name = loader_text(l, slice_z(name));
	rc = p->name == NULL ? -1 : v == NULL ? 0 : load_policy(l, p, v);
	loader_leave(l, was);
	return rc;
}

/* policies may be NULL: the set has the default one always, at worst without thresholds. */
int load_policies(struct loader *l, json_t *policies)
{
	struct ruleset *rs = l->rs;
	const char *name;
	json_t *v;
	int rc = 0;

	if (json_object_size(policies) > POLICIES_MAX)
		return complain(l, true, "more than %d policies", POLICIES_MAX);
	rs->policies = calloc(json_object_size(policies) + 1, sizeof(*rs->policies));
	if (rs->policies == NULL)
		return complain_memory(l);
	if (json_object_get(policies, "default") == NULL)
		rc |= add_policy(l, "default", NULL);
	json_object_foreach(policies, name, v) rc |= add_policy(l, name, v);
	if (rc < 0)
		return -1;
	qsort(rs->policies, rs->policy_count, sizeof(*rs->policies), policy_order);
	for (size_t i = 0; i < rs->policy_count; i++)
		inherit(l, &rs->policies[i], &rs->policies[0]);
	return 0;
}
