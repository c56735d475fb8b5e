#include "config.h"

#include "milterd/rules/loader.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Most names that a suggestion is looked for among. */
enum { NAMES_MAX = 4096 };

/* ---- where we are ---- */

size_t loader_enter(struct loader *l, struct slice token)
{
	size_t was = l->pointer.n;

	json_pointer_add(&l->pointer, token);
	return was;
}

size_t loader_enter_index(struct loader *l, size_t i)
{
	size_t was = l->pointer.n;

	buf_addf(&l->pointer, "/%zu", i);
	return was;
}

/* A pointer that did not fit names a parent: good enough for the finding, so cut is forgotten. */
void loader_leave(struct loader *l, size_t was)
{
	l->pointer.n = was;
	l->pointer.p[was] = '\0';
	l->pointer.cut = false;
}

/* The value that a pointer names, or NULL (RFC 6901). */
static const json_t *resolve(const json_t *v, struct slice pointer)
{
	(void)slice_cut(&pointer, '/');
	while (v != NULL && pointer.n > 0) {
		struct slice token = slice_cut(&pointer, '/');
		char plain[1024];
		struct buf b = BUF_ON(plain);
		uint64_t index;

		plain[0] = '\0';
		for (size_t i = 0; i < token.n; i++) {
			bool escaped = token.p[i] == '~' && i + 1 < token.n;

			buf_addc(&b, escaped ? (token.p[++i] == '1' ? '/' : '~') : token.p[i]);
		}
		if (json_is_array(v) && slice_number(token, UINT32_MAX, &index) == 0)
			v = json_array_get(v, (size_t)index);
		else
			v = json_object_getn(v, b.p, b.n);
	}
	return v;
}

/* Of a value that the merge kept, the last file that has it is the one it came from: a later file
 * would have changed or removed it. What is in no file (a missing key) is looked for at its
 * parent. */
const struct json_file *loader_source(const struct loader *l, const char *pointer)
{
	struct slice at = slice_z(pointer);

	for (;;) {
		for (size_t i = l->file_count; i-- > 0;) {
			const json_t *v = resolve(l->files[i].root, at);

			if (v != NULL && !json_is_null(v))
				return &l->files[i];
		}
		if (at.n == 0)
			return l->file_count > 0 ? &l->files[l->file_count - 1] : NULL;
		while (at.n > 0 && at.p[--at.n] != '/')
			;
	}
}

enum { FINDING_TEXT = 800, CANDIDATES_SHOWN = 8 };

static void tell(struct loader *l, enum finding_level level, bool key, const char *text)
{
	const struct json_file *j;

	/* Past this nothing is kept, so no position need be looked for either. */
	if (l->f->n >= FINDINGS_MAX) {
		(void)findings_add(l->f, level, "%s", text);
		return;
	}
	if ((j = loader_source(l, l->pointer.p)) != NULL)
		(void)json_finding(l->f, level, j, l->pointer.p, key, "%s", text);
	else
		(void)findings_add(l->f, level, "%s", text);
}

int complain(struct loader *l, bool key, const char *format, ...)
{
	char text[FINDING_TEXT];
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	tell(l, FINDING_ERROR, key, text);
	return -1;
}

void warn(struct loader *l, bool key, const char *format, ...)
{
	char text[FINDING_TEXT];
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	tell(l, FINDING_WARNING, key, text);
}

int complain_memory(struct loader *l)
{
	if (!l->out_of_memory)
		(void)findings_add(l->f, FINDING_ERROR, "rules: out of memory");
	l->out_of_memory = true;
	return -1;
}

/* Of a few words all are shown where none is like what was written. */
static void add_candidates(struct buf *b, const char *const *candidates, size_t n)
{
	for (size_t i = 0; n <= CANDIDATES_SHOWN && i < n; i++)
		buf_addf(b, "%s%s", i == 0 ? ", known are " : ", ", candidates[i]);
}

int complain_unknown(struct loader *l, bool key, const char *what, struct slice word,
    const char *const *candidates, size_t n)
{
	const char *like = nearest(word, candidates, n);
	char hint[FINDING_TEXT] = "";
	struct buf b = BUF_ON(hint);

	if (like != NULL)
		buf_addf(&b, " (did you mean \"%s\"?)", like);
	else
		add_candidates(&b, candidates, n);
	return complain(
	    l, key, "unknown %s \"%.*s\"%s", what, SLICE_ARG(slice_sub(word, 0, 100)), hint);
}

int complain_unknown_of(
    struct loader *l, bool key, const char *what, struct slice word, json_t *object)
{
	const char **names, *name;
	json_t *member;
	size_t n = 0;
	int rc;

	if (l->incomplete)
		return -1;
	names = calloc(NAMES_MAX, sizeof(*names));
	json_object_foreach(object, name, member)
	{
		if (names != NULL && n < NAMES_MAX)
			names[n++] = name;
	}
	rc = complain_unknown(l, key, what, word, names, n);
	free(names);
	return rc;
}

/* ---- tables of keys ---- */

int wrong_type(struct loader *l, const char *wanted, const json_t *v)
{
	return complain(l, false, "must be %s, not %s", wanted, json_kind(v));
}

struct slice text_of(const json_t *v)
{
	return slice_of(json_string_value(v), json_string_length(v));
}

static bool all_texts(const json_t *list)
{
	size_t i;
	json_t *v;

	json_array_foreach(list, i, v)
	{
		if (!json_is_string(v))
			return false;
	}
	return json_is_array(list);
}

static int check_shape(struct loader *l, enum shape shape, const json_t *v)
{
	switch (shape) {
	case SHAPE_TEXT:
	case SHAPE_REPLY:
		return json_is_string(v) ? 0 : wrong_type(l, "text", v);
	case SHAPE_NUMBER:
		return json_is_number(v) ? 0 : wrong_type(l, "a number", v);
	case SHAPE_BOOL:
		return json_is_boolean(v) ? 0 : wrong_type(l, "true or false", v);
	case SHAPE_TRUE:
		return json_is_true(v) ? 0 : complain(l, false, "must be true, or left out");
	case SHAPE_TEXTS:
		return all_texts(v) ? 0 : wrong_type(l, "a list of texts", v);
	case SHAPE_TEXT_OR_TEXTS:
		return json_is_string(v) || all_texts(v)
		    ? 0
		    : wrong_type(l, "text or a list of texts", v);
	case SHAPE_FIELDS:
	case SHAPE_THRESHOLDS:
	case SHAPE_OBJECT:
	case SHAPE_MAP:
		return json_is_object(v) ? 0 : wrong_type(l, "an object", v);
	case SHAPE_CONDITION:
		return json_is_object(v) ? 0 : wrong_type(l, "a condition (an object)", v);
	}
	return 0;
}

static const struct key_row *row_of(const struct key_table *table, const char *name)
{
	for (size_t i = 0; i < table->n; i++)
		if (strcmp(table->rows[i].name, name) == 0)
			return &table->rows[i];
	return NULL;
}

static int unknown_key(struct loader *l, const struct key_table *table, const char *key)
{
	const char *names[64];
	size_t n = 0;

	for (; n < table->n && n < COUNT(names); n++)
		names[n] = table->rows[n].name;
	return complain_unknown(l, true, table->what, slice_z(key), names, n);
}

int load_keys(struct loader *l, const struct key_table *table, json_t *object, void *into)
{
	const char *key;
	json_t *v;
	int rc = 0;

	if (!json_is_object(object))
		return wrong_type(l, "an object", object);
	json_object_foreach(object, key, v)
	{
		const struct key_row *row = row_of(table, key);
		size_t was = loader_enter(l, slice_z(key));

		if (row == NULL)
			rc |= unknown_key(l, table, key);
		else if (check_shape(l, row->shape, v) < 0)
			rc = -1;
		else
			rc |= row->load(l, row, v, into);
		loader_leave(l, was);
	}
	return rc;
}

/* ---- growing the set ---- */

void *loader_take(struct loader *l, size_t n)
{
	void *p = arena_take(&l->rs->mem, n);

	if (p == NULL)
		(void)complain_memory(l);
	return p;
}

const char *loader_text(struct loader *l, struct slice s)
{
	struct slice copy = arena_copy(&l->rs->mem, s);

	if (copy.p == NULL)
		(void)complain_memory(l);
	return copy.p;
}

/* Room for one more in a table of the set's. */
static void *grow(void *table, size_t n, size_t *cap, size_t size)
{
	size_t more = *cap > 0 ? *cap * 2 : 32;
	void *grown;

	if (n < *cap)
		return table;
	if ((grown = realloc(table, more * size)) == NULL)
		return NULL;
	*cap = more;
	return grown;
}

struct list *loader_list(struct loader *l, enum list_kind kind)
{
	struct ruleset *rs = l->rs;
	struct list **grown = grow(rs->lists, rs->list_count, &rs->list_cap, sizeof(struct list *));
	struct list *list;

	if (grown == NULL) {
		(void)complain_memory(l);
		return NULL;
	}
	rs->lists = grown;
	if ((list = list_new(kind, rs->patterns)) == NULL)
		(void)complain_memory(l);
	else
		rs->lists[rs->list_count++] = list;
	return list;
}

int loader_uses_rule(struct loader *l, uint32_t rule)
{
	struct rule *r = l->rule;
	uint32_t *grown;

	if (r == NULL)
		return 0;
	if ((grown = grow(r->uses, r->use_count, &r->use_cap, sizeof(*grown))) == NULL)
		return complain_memory(l);
	r->uses = grown;
	r->uses[r->use_count++] = rule;
	return 0;
}

/* ref moves into the table, or is freed. */
static int fact_number(struct loader *l, struct fact_ref *ref, uint32_t *fact)
{
	struct ruleset *rs = l->rs;
	const json_t *known = json_object_get(l->fact_numbers, ref->name);
	struct fact_ref *grown;

	if (known != NULL) {
		*fact = (uint32_t)json_integer_value(known);
		fact_ref_free(ref);
		return 0;
	}
	grown = grow(rs->facts, rs->fact_count, &rs->fact_cap, sizeof(*grown));
	if (grown == NULL) {
		fact_ref_free(ref);
		return complain_memory(l);
	}
	rs->facts = grown;
	*fact = (uint32_t)rs->fact_count;
	rs->facts[rs->fact_count++] = *ref;
	if (json_object_set_new(l->fact_numbers, ref->name, json_integer(*fact)) < 0)
		return complain_memory(l);
	return 0;
}

int loader_fact(struct loader *l, struct slice name, uint32_t *fact, const char **member,
    enum fact_type *type, struct err *e)
{
	size_t at = slice_find_slice(name, SLICE("[]."));
	struct fact_ref ref;

	*member = NULL;
	if (catalogue_find(name, &ref, e) < 0)
		return -1;
	*type = ref.type;
	if (at < name.n) {
		fact_ref_free(&ref);
		if (catalogue_find(slice_sub(name, 0, at), &ref, e) < 0)
			return -1;
		if ((*member = loader_text(l, slice_sub(name, at + 3, name.n))) == NULL) {
			fact_ref_free(&ref);
			return err_set(e, "out of memory");
		}
	}
	if (ref.stage > l->latest)
		l->latest = ref.stage;
	l->saw_recipients |= ref.stage == STAGE_RCPT && ref.type == FACT_STRINGS;
	return fact_number(l, &ref, fact) < 0 ? err_set(e, "out of memory") : 0;
}
