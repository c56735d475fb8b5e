#include "config.h"

#include "milterd/rules/loader.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>

#include "weir/file.h"
#include "weir/smtp_reply.h"

enum { FILES_MAX = 1000, FILE_BYTES_MAX = 16 << 20 };

/* ---- files ---- */

static int merge_one(struct loader *l, const struct json_file *j)
{
	if (!json_is_object(j->root))
		return json_finding(
		    l->f, FINDING_ERROR, j, "", false, "a rules file must be an object");
	if (!merge_patch(&l->rs->root, j->root))
		return complain_memory(l);
	return 0;
}

/* "NAME": null takes away what an earlier file gave; where none did, the name is likely a slip. */
static void check_removals(struct loader *l, const struct json_file *j)
{
	const char *part, *name;
	json_t *parts, *v;

	json_object_foreach(j->root, part, parts)
	{
		json_object_foreach(parts, name, v)
		{
			char pointer[256];
			struct buf b = BUF_ON(pointer);

			if (!json_is_null(v) || json_comment(name) ||
			    json_object_get(json_object_get(l->rs->root, part), name) != NULL)
				continue;
			pointer[0] = '\0';
			json_pointer_add(&b, slice_z(part));
			json_pointer_add(&b, slice_z(name));
			(void)json_finding(l->f, FINDING_WARNING, j, pointer, true,
			    "removes what no earlier file gives");
		}
	}
}

static int files_merge(struct loader *l)
{
	int rc = 0;

	if ((l->rs->root = json_object()) == NULL)
		return complain_memory(l);
	for (size_t i = 0; i < l->file_count; i++) {
		if (l->files[i].root == NULL)
			continue;
		check_removals(l, &l->files[i]);
		rc |= merge_one(l, &l->files[i]);
	}
	return rc;
}

static int is_rules_file(const struct dirent *d)
{
	return d->d_name[0] != '.' && slice_iends(slice_z(d->d_name), SLICE(".json"));
}

static int name_order(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* The schema that stands beside the shipped rules describes rules and is none. */
static bool is_schema(const char *name)
{
	return slice_iends(slice_z(name), SLICE(".schema.json"));
}

static int read_one(struct loader *l, const char *folder, const char *name)
{
	struct json_file *j = &l->files[l->file_count];
	char *path = path_join(folder, name);
	int rc;

	if (path == NULL)
		return complain_memory(l);
	rc = json_file_read(path, FILE_BYTES_MAX, j, l->f);
	free(path);
	/* A file that is no JSON has had its finding; the others are read all the same. */
	if (rc < 0)
		json_file_free(j);
	else
		l->file_count++;
	return rc;
}

static int read_all(struct loader *l, const char *folder, struct dirent **names, int n)
{
	int rc = 0, used = 0;

	l->files = calloc((size_t)n + 1, sizeof(*l->files));
	if (l->files == NULL)
		return complain_memory(l);
	for (int i = 0; i < n; i++) {
		if (is_schema(names[i]->d_name))
			continue;
		used++;
		rc |= read_one(l, folder, names[i]->d_name);
	}
	if (used == 0)
		return findings_add(l->f, FINDING_ERROR,
		    "%s: no *.json file in the rules folder (milterd/rules)", folder);
	return rc;
}

int load_files(struct loader *l, const char *folder)
{
	struct dirent **names = NULL;
	int n = scandir(folder, &names, is_rules_file, name_order), rc;

	if (n < 0)
		return findings_add(l->f, FINDING_ERROR,
		    "%s: the rules folder (milterd/rules) cannot be read: %s", folder,
		    strerror(errno));
	rc = n > FILES_MAX
	    ? findings_add(l->f, FINDING_ERROR, "%s: more than %d files", folder, FILES_MAX)
	    : read_all(l, folder, names, n);
	for (int i = 0; i < n; i++)
		free(names[i]);
	free((void *)names);
	return rc;
}

int load_one_text(struct loader *l, const char *name, struct slice text)
{
	if ((l->files = calloc(1, sizeof(*l->files))) == NULL)
		return complain_memory(l);
	if (json_file_parse(name, text, l->files, l->f) < 0) {
		json_file_free(l->files);
		return -1;
	}
	l->file_count = 1;
	return 0;
}

/* ---- settings and the top level ---- */

static int load_split_reply(struct loader *l, const struct key_row *row, json_t *v, void *into)
{
	struct ruleset *rs = into;
	struct smtp_reply reply;
	struct err e;

	(void)row;
	if (smtp_reply_from_text(text_of(v), &reply, &e) < 0)
		return complain(l, false, "%s", e.text);
	if (smtp_reply_class(&reply) != 4)
		return complain(l, false, "the recipient is to come again: a 4yz reply is needed");
	rs->split_reply.p = loader_text(l, text_of(v));
	rs->split_reply.n = text_of(v).n;
	return 0;
}

static const struct key_row setting_rows[] = {
	{ "split_reply", SHAPE_REPLY,
	    "What a recipient is told whose policy is not that of the first one.", load_split_reply,
	    NULL },
};
const struct key_table setting_keys = { "setting", setting_rows, COUNT(setting_rows) };

static int load_settings(struct loader *l, const struct key_row *row, json_t *v, void *into)
{
	(void)row;
	return load_keys(l, &setting_keys, v, into);
}

static int load_headers(struct loader *l, const struct key_row *row, json_t *v, void *into)
{
	struct ruleset *rs = into;

	(void)row;
	rs->headers.given = true;
	return load_keys(l, &header_keys, v, &rs->headers);
}

/* Lists, rules and policies refer to one another, so they are loaded in that order, whatever their
 * order in the files: nothing to do when their keys are met. */
static int load_later(struct loader *l, const struct key_row *row, json_t *v, void *into)
{
	(void)l;
	(void)row;
	(void)v;
	(void)into;
	return 0;
}

static const struct key_row top_rows[] = {
	{ "lists", SHAPE_MAP, "Named lists that conditions ask with {\"in\": \"name\"}.",
	    load_later, &list_keys },
	{ "rules", SHAPE_MAP, "Rules by name; a rule that fires is a symbol of the verdict.",
	    load_later, &rule_keys },
	{ "policies", SHAPE_MAP,
	    "What is done at which sum of scores; \"default\", and others for some recipients.",
	    load_later, &policy_keys },
	{ "headers", SHAPE_OBJECT, "Header fields that every message loses and gets.", load_headers,
	    &header_keys },
	{ "settings", SHAPE_OBJECT, "Texts that belong to no rule.", load_settings, &setting_keys },
};
const struct key_table top_keys = { "part of a rule set", top_rows, COUNT(top_rows) };

/* Load one part of the top level; -1 when it is no object was told by load_keys. */
static int load_part(
    struct loader *l, const char *name, int (*load)(struct loader *l, json_t *part))
{
	json_t *part = json_object_get(l->rs->root, name);
	size_t was = loader_enter(l, slice_z(name));
	int rc = part == NULL || !json_is_object(part) ? 0 : load(l, part);

	loader_leave(l, was);
	return rc;
}

static int check_split(struct loader *l)
{
	size_t was;
	int rc = 0;

	if (l->incomplete || l->rs->policy_count < 2 || l->rs->split_reply.p != NULL)
		return 0;
	was = loader_enter(l, SLICE("policies"));
	rc = complain(l, true,
	    "recipients of different policies are split: give /settings/split_reply, as in "
	    "\"452 4.5.3 Send this recipient's copy separately\"");
	loader_leave(l, was);
	return rc;
}

static int load_parts(struct loader *l)
{
	int rc = load_part(l, "lists", load_lists);

	rc |= load_part(l, "rules", load_rules);
	rc |= load_keys(l, &top_keys, l->rs->root, l->rs);
	/* Policies take their headers from the set's, so these come first. */
	rc |= load_part(l, "policies", load_policies);
	if (json_object_get(l->rs->root, "policies") == NULL)
		rc |= load_policies(l, NULL);
	return rc < 0 ? rc : check_split(l);
}

static void loader_free(struct loader *l)
{
	for (size_t i = 0; i < l->file_count; i++)
		json_file_free(&l->files[i]);
	free(l->files);
	json_decref(l->named_lists);
	json_decref(l->rule_numbers);
	json_decref(l->group_numbers);
	json_decref(l->fact_numbers);
}

static struct ruleset *set_new(void)
{
	struct ruleset *rs = calloc(1, sizeof(*rs));

	if (rs == NULL || (rs->patterns = pattern_set_new()) == NULL ||
	    (rs->nodes = calloc(32, sizeof(*rs->nodes))) == NULL) {
		ruleset_free(&rs);
		return NULL;
	}
	rs->node_cap = 32;
	rs->node_count = 1; /* node 0 is none */
	return rs;
}

static int loader_start(struct loader *l)
{
	l->pointer = (struct buf)BUF_ON(l->pointer_text);
	l->rs = set_new();
	l->named_lists = json_object();
	l->rule_numbers = json_object();
	l->group_numbers = json_object();
	l->fact_numbers = json_object();
	if (l->rs == NULL || l->named_lists == NULL || l->rule_numbers == NULL ||
	    l->group_numbers == NULL || l->fact_numbers == NULL)
		return complain_memory(l);
	return 0;
}

static struct ruleset *load(
    const char *folder, const char *name, struct slice text, struct findings *f)
{
	struct loader l = { .f = f, .folder = folder };
	struct ruleset *rs = NULL;
	size_t errors = f->errors;

	if (loader_start(&l) < 0)
		goto done;
	l.incomplete = (folder != NULL ? load_files(&l, folder) : load_one_text(&l, name, text)) <
	    0;
	if (l.file_count > 0 && files_merge(&l) == 0) {
		(void)load_parts(&l);
		if (!l.out_of_memory)
			(void)order_rules(&l);
	}
	if (f->errors == errors) {
		derive_acts(l.rs);
		rs = l.rs;
		l.rs = NULL;
	}
done:
	ruleset_free(&l.rs);
	loader_free(&l);
	return rs;
}

struct ruleset *ruleset_load(const char *folder, struct findings *f)
{
	return load(folder, NULL, SLICE(""), f);
}

struct ruleset *ruleset_load_text(const char *name, struct slice text, struct findings *f)
{
	return load(NULL, name, text, f);
}
