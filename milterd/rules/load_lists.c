#include "config.h"

#include "milterd/rules/loader.h"

#include <assert.h>
#include <stdlib.h>

#include "weir/file.h"

enum { LIST_FILE_BYTES_MAX = 64 << 20 };

/* A named list while its keys are read. */
struct reading {
	const struct kind *kind; /* of the items that stand in the JSON */
	json_t *items;
	const char *file;
	const struct kind *file_type;
};

static const struct kind {
	const char *name;
	enum list_kind kind;
} kinds[] = {
	{ "strings", LIST_STRINGS }, /* what a file holds that does not say */
	{ "domains", LIST_DOMAINS },
	{ "addresses", LIST_NETWORKS },
	{ "networks", LIST_NETWORKS },
	{ "regexes", LIST_REGEXES },
	{ "globs", LIST_GLOBS },
};

static const struct kind *kind_find(const char *name)
{
	for (size_t i = 0; i < COUNT(kinds); i++)
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	return NULL;
}

static int load_items(struct loader *l, const struct key_row *row, json_t *v, void *into)
{
	struct reading *r = into;

	if (r->items != NULL)
		return complain(l, true, "a list has one kind of items: \"%s\" is there already",
		    r->kind->name);
	r->kind = kind_find(row->name);
	r->items = v;
	return 0;
}

static int load_file(struct loader *l, const struct key_row *row, json_t *v, void *into)
{
	struct reading *r = into;

	(void)row;
	if (l->folder == NULL)
		return complain(l, false, "there is no rules folder to read a file from");
	if (json_string_length(v) == 0)
		return complain(l, false, "must be the path of a file");
	r->file = json_string_value(v);
	return 0;
}

static int load_file_type(struct loader *l, const struct key_row *row, json_t *v, void *into)
{
	struct reading *r = into;
	const char *names[COUNT(kinds)];

	(void)row;
	if ((r->file_type = kind_find(json_string_value(v))) != NULL)
		return 0;
	for (size_t i = 0; i < COUNT(kinds); i++)
		names[i] = kinds[i].name;
	return complain_unknown(l, false, "type of list", text_of(v), names, COUNT(names));
}

static int load_about(struct loader *l, const struct key_row *row, json_t *v, void *into)
{
	(void)l;
	(void)row;
	(void)v;
	(void)into;
	return 0;
}

static const struct key_row list_rows[] = {
	{ "about", SHAPE_TEXT, "One sentence for people.", load_about, NULL },
	{ "strings", SHAPE_TEXTS, "Texts; ASCII case is ignored.", load_items, NULL },
	{ "domains", SHAPE_TEXTS, "Domains, each with all beneath it.", load_items, NULL },
	{ "addresses", SHAPE_TEXTS, "IP addresses.", load_items, NULL },
	{ "networks", SHAPE_TEXTS, "Networks as 192.0.2.0/24, or IP addresses.", load_items, NULL },
	{ "regexes", SHAPE_TEXTS, "Regular expressions (PCRE2).", load_items, NULL },
	{ "globs", SHAPE_TEXTS, "Texts in which * and ? stand for any.", load_items, NULL },
	{ "file", SHAPE_TEXT,
	    "A file with one item a line; # begins a comment. Relative to the rules folder.",
	    load_file, NULL },
	{ "type", SHAPE_TEXT, "What the file's items are; \"strings\" if not given.",
	    load_file_type, NULL },
};
const struct key_table list_keys = { "key of a list", list_rows, COUNT(list_rows) };

static int add_items(struct loader *l, const struct reading *r, struct list *list)
{
	size_t i, key = loader_enter(l, slice_z(r->kind->name));
	json_t *item;
	struct err e;
	int rc = 0;

	json_array_foreach(r->items, i, item)
	{
		size_t was = loader_enter_index(l, i);

		if (text_of(item).n == 0)
			rc = complain(l, false, "must not be empty");
		else if (list_add(list, text_of(item), &e) < 0)
			rc = complain(l, false, "%s", e.text);
		loader_leave(l, was);
	}
	loader_leave(l, key);
	return rc;
}

/* What stands before a comment: "#" begins one at the line's start or behind white space, so that a
 * regex or a fragment may hold it. */
static struct slice without_comment(struct slice line)
{
	for (size_t i = 0; i < line.n; i++)
		if (line.p[i] == '#' && (i == 0 || ascii_space(line.p[i - 1])))
			return slice_trim(slice_sub(line, 0, i));
	return slice_trim(line);
}

static int add_lines(struct loader *l, const char *path, struct slice text, struct list *list)
{
	struct err e;
	int rc = 0;

	for (unsigned line = 1; text.n > 0; line++) {
		struct slice item = without_comment(slice_cut(&text, '\n'));

		if (item.n > 0 && list_add(list, item, &e) < 0)
			rc = findings_add(l->f, FINDING_ERROR, "%s:%u:1: %s", path, line, e.text);
	}
	return rc;
}

static int add_file(struct loader *l, const struct reading *r, struct list *list)
{
	struct bytes text = { .max = LIST_FILE_BYTES_MAX };
	char *path = path_join(l->folder, r->file);
	size_t was = loader_enter(l, SLICE("file"));
	struct err e;
	int rc;

	if (path == NULL)
		rc = complain_memory(l);
	else if (file_read(path, &text, &e) < 0)
		rc = complain(l, false, "%s", e.text);
	else
		rc = add_lines(l, path, bytes_slice(&text), list);
	loader_leave(l, was);
	bytes_free(&text);
	free(path);
	return rc;
}

/* The kind of the whole, or NULL after a finding. */
static const struct kind *kind_of(struct loader *l, const struct reading *r)
{
	const struct kind *of_file = r->file_type != NULL ? r->file_type
	    : r->kind != NULL                             ? r->kind
							  : &kinds[0];

	assert(r->items == NULL || r->kind != NULL);
	if (r->items == NULL && r->file == NULL) {
		(void)complain(
		    l, true, "a list needs items (\"strings\", \"domains\", ...) or a \"file\"");
		return NULL;
	}
	if (r->file == NULL && r->file_type != NULL) {
		(void)complain(l, true, "\"type\" says what a \"file\" holds, and there is none");
		return NULL;
	}
	if (r->items != NULL && r->file != NULL && of_file->kind != r->kind->kind) {
		(void)complain(l, true, "the file's items are %s, the others %s", of_file->name,
		    r->kind->name);
		return NULL;
	}
	return r->items != NULL ? r->kind : of_file;
}

/* The list's number, or -1 after a finding. */
static int load_list(struct loader *l, json_t *v)
{
	struct reading r = { 0 };
	const struct kind *kind;
	struct list *list;
	int rc, number = (int)l->rs->list_count;

	if (load_keys(l, &list_keys, v, &r) < 0 || (kind = kind_of(l, &r)) == NULL ||
	    (list = loader_list(l, kind->kind)) == NULL)
		return -1;
	rc = r.items != NULL ? add_items(l, &r, list) : 0;
	if (r.file != NULL)
		rc |= add_file(l, &r, list);
	list_seal(list);
	return rc < 0 ? -1 : number;
}

int load_lists(struct loader *l, json_t *lists)
{
	const char *name;
	json_t *v;
	int rc = 0;

	json_object_foreach(lists, name, v)
	{
		size_t was = loader_enter(l, slice_z(name));
		int number = load_list(l, v);

		/* A list that is wrong is known all the same (as -1), lest every rule that asks it
		 * be blamed too. */
		if (json_object_set_new(l->named_lists, name, json_integer(number)) < 0)
			rc |= complain_memory(l);
		rc |= number < 0 ? -1 : 0;
		loader_leave(l, was);
	}
	return rc;
}
