#include "config.h"

#include "weir/conf.h"

#include <stdlib.h>

/* One load: where findings go and where in the file it stands. */
struct load {
	const struct json_file *j;
	struct findings *f;
	char text[512]; /* the pointer, grown and cut back while tables nest */
	struct buf pointer;
};

static void *at(void *settings, const struct conf_field *field)
{
	return (char *)settings + field->offset;
}

static int complain(struct load *l, bool key, const char *what)
{
	return json_finding(l->f, FINDING_ERROR, l->j, l->text, key, "%s", what);
}

static int wrong_type(struct load *l, const char *wanted, const json_t *v)
{
	return json_finding(
	    l->f, FINDING_ERROR, l->j, l->text, false, "must be %s, not %s", wanted, json_kind(v));
}

/* ---- one value by type
 * --------------------------------------------------------------------------------- */

static int out_of_range(struct load *l, const struct conf_field *field, const char *value)
{
	return json_finding(l->f, FINDING_ERROR, l->j, l->text, false,
	    "must be %.15g..%.15g%s%s, not %s", field->min, field->max,
	    field->unit[0] != '\0' ? " " : "", field->unit, value);
}

static int load_bool(struct load *l, json_t *v, bool *out)
{
	if (!json_is_boolean(v))
		return wrong_type(l, "true or false", v);
	*out = json_is_true(v);
	return 0;
}

static int load_int(struct load *l, const struct conf_field *field, json_t *v, int64_t *out)
{
	char text[96];

	if (json_is_real(v))
		return json_finding(l->f, FINDING_ERROR, l->j, l->text, false,
		    "must be a whole number, not %.15g", json_real_value(v));
	if (!json_is_integer(v)) {
		(void)snprintf(text, sizeof(text), "a whole number %.15g..%.15g%s%s", field->min,
		    field->max, field->unit[0] != '\0' ? " " : "", field->unit);
		return wrong_type(l, text, v);
	}
	if ((double)json_integer_value(v) < field->min ||
	    (double)json_integer_value(v) > field->max) {
		(void)snprintf(text, sizeof(text), "%lld", (long long)json_integer_value(v));
		return out_of_range(l, field, text);
	}
	*out = json_integer_value(v);
	return 0;
}

static int load_real(struct load *l, const struct conf_field *field, json_t *v, double *out)
{
	char text[32];

	if (!json_is_number(v))
		return wrong_type(l, "a number", v);
	if (json_number_value(v) < field->min || json_number_value(v) > field->max) {
		(void)snprintf(text, sizeof(text), "%.15g", json_number_value(v));
		return out_of_range(l, field, text);
	}
	*out = json_number_value(v);
	return 0;
}

/* The text of a string value without NUL; NULL, with a finding, where it is none. */
static const char *text_of(struct load *l, json_t *v)
{
	if (!json_is_string(v))
		wrong_type(l, "a text", v);
	else if (strlen(json_string_value(v)) != json_string_length(v))
		complain(l, false, "must not hold a NUL");
	else
		return json_string_value(v);
	return NULL;
}

static int load_str(struct load *l, const struct conf_field *field, json_t *v, char **out)
{
	const char *text = text_of(l, v);
	char *copy;

	if (text == NULL)
		return -1;
	if ((double)strlen(text) < field->min || (double)strlen(text) > field->max)
		return json_finding(l->f, FINDING_ERROR, l->j, l->text, false,
		    "must have %.0f..%.0f octets, not %zu", field->min, field->max, strlen(text));
	if ((copy = slice_dup(slice_z(text))) == NULL)
		return complain(l, false, "out of memory");
	free(*out);
	*out = copy;
	return 0;
}

static int load_choice(struct load *l, const struct conf_field *field, json_t *v, int *out)
{
	const char *text = json_is_string(v) ? text_of(l, v) : NULL;
	struct slice rest = slice_z(field->choices);

	if (!json_is_string(v))
		return json_finding(l->f, FINDING_ERROR, l->j, l->text, false,
		    "must be one of %s, not %s", field->choices, json_kind(v));
	if (text == NULL)
		return -1;
	for (int i = 0; rest.n > 0; i++)
		if (slice_eq(slice_cut(&rest, '|'), slice_z(text))) {
			*out = i;
			return 0;
		}
	return json_finding(l->f, FINDING_ERROR, l->j, l->text, false,
	    "must be one of %s, not \"%s\"", field->choices, text);
}

static int load_endpoint(struct load *l, json_t *v, struct endpoint *out)
{
	const char *text = text_of(l, v);
	struct err e;

	if (text == NULL)
		return -1;
	return endpoint_parse(slice_z(text), out, &e) < 0 ? complain(l, false, e.text) : 0;
}

/* Run one(element) over a list, with the element's index on the pointer. */
#define EACH_ELEMENT(l, list, element, body)                        \
	do {                                                        \
		size_t element_i;                                   \
		json_array_foreach(list, element_i, element)        \
		{                                                   \
			size_t element_was = (l)->pointer.n;        \
			buf_addf(&(l)->pointer, "/%zu", element_i); \
			body;                                       \
			(l)->pointer.n = element_was;               \
			(l)->text[element_was] = '\0';              \
		}                                                   \
	} while (0)

/* A list of `min..max` elements, with room made for structures of `size` octets in *v. */
static int list_room(
    struct load *l, const struct conf_field *field, json_t *v, size_t size, void **out)
{
	size_t n = json_array_size(v);

	if (!json_is_array(v))
		return wrong_type(l, "a list", v);
	if ((double)n < field->min || (double)n > field->max)
		return json_finding(l->f, FINDING_ERROR, l->j, l->text, false,
		    "must have %.0f..%.0f elements, not %zu", field->min, field->max, n);
	if ((*out = calloc(n > 0 ? n : 1, size)) == NULL)
		return complain(l, false, "out of memory");
	return 0;
}

static int load_strs(
    struct load *l, const struct conf_field *field, json_t *v, struct conf_strs *out)
{
	json_t *element;
	void *room;
	int rc = 0;

	if (list_room(l, field, v, sizeof(char *), &room) < 0)
		return -1;
	out->v = room;
	EACH_ELEMENT(l, v, element, {
		const char *text = text_of(l, element);

		if (text == NULL || (out->v[out->n] = slice_dup(slice_z(text))) == NULL)
			rc = -1;
		else
			out->n++;
	});
	return rc;
}

static int load_networks(
    struct load *l, const struct conf_field *field, json_t *v, struct conf_networks *out)
{
	json_t *element;
	void *room;
	int rc = 0;

	if (list_room(l, field, v, sizeof(struct network), &room) < 0)
		return -1;
	out->v = room;
	EACH_ELEMENT(l, v, element, {
		const char *text = text_of(l, element);
		struct err e;

		if (text == NULL)
			rc = -1;
		else if (network_parse(slice_z(text), &out->v[out->n], &e) < 0)
			rc = complain(l, false, e.text);
		else
			out->n++;
	});
	return rc;
}

static int load_table(struct load *l, const struct conf_table *table, json_t *object, void *out);

static int load_list(
    struct load *l, const struct conf_field *field, json_t *v, struct conf_items *out)
{
	json_t *element;
	int rc = 0;

	if (list_room(l, field, v, field->table->size, &out->v) < 0)
		return -1;
	EACH_ELEMENT(l, v, element, {
		rc |= load_table(
		    l, field->table, element, (char *)out->v + out->n * field->table->size);
		out->n++;
	});
	return rc < 0 ? -1 : 0;
}

/* The table's row "name", which a map fills from the key. */
static char **name_of(const struct conf_table *table, void *item)
{
	for (size_t i = 0; i < table->n; i++)
		if (strcmp(table->fields[i].name, "name") == 0)
			return at(item, &table->fields[i]);
	return NULL;
}

/* The keys of a map are names that the user gives, which is easily forgotten. */
static int no_name(struct load *l, const struct conf_field *field, const json_t *v)
{
	return json_finding(l->f, FINDING_ERROR, l->j, l->text, false,
	    "must be an object, not %s: the keys of \"%s\" are names, as \"default\"", json_kind(v),
	    field->name);
}

static int load_map(
    struct load *l, const struct conf_field *field, json_t *v, struct conf_items *out)
{
	const char *key;
	json_t *member;
	int rc = 0;

	if (!json_is_object(v))
		return wrong_type(l, "an object", v);
	if ((double)json_object_size(v) > field->max)
		return complain(l, false, "has too many members");
	if ((out->v = calloc(json_object_size(v) + 1, field->table->size)) == NULL)
		return complain(l, false, "out of memory");
	json_object_foreach(v, key, member)
	{
		void *item = (char *)out->v + out->n * field->table->size;
		size_t was = l->pointer.n;
		char **name;

		if (json_comment(key))
			continue;
		json_pointer_add(&l->pointer, slice_z(key));
		rc |= json_is_object(member) ? load_table(l, field->table, member, item)
					     : no_name(l, field, member);
		l->pointer.n = was;
		l->text[was] = '\0';
		if ((name = name_of(field->table, item)) != NULL) {
			free(*name);
			*name = slice_dup(slice_z(key));
		}
		out->n++;
	}
	return rc < 0 ? -1 : 0;
}

static int load_value(struct load *l, const struct conf_field *field, json_t *v, void *out)
{
	switch (field->type) {
	case CONF_BOOL:
		return load_bool(l, v, out);
	case CONF_INT:
		return load_int(l, field, v, out);
	case CONF_REAL:
		return load_real(l, field, v, out);
	case CONF_STR:
		return load_str(l, field, v, out);
	case CONF_CHOICE:
		return load_choice(l, field, v, out);
	case CONF_ENDPOINT:
		return load_endpoint(l, v, out);
	case CONF_STRS:
		return load_strs(l, field, v, out);
	case CONF_NETWORKS:
		return load_networks(l, field, v, out);
	case CONF_LIST:
		return load_list(l, field, v, out);
	case CONF_MAP:
		return load_map(l, field, v, out);
	}
	return -1;
}

/* ---- defaults
 * -------------------------------------------------------------------------------------------- */

/* Is the type written in quotes in the file? */
static bool quoted(enum conf_type type)
{
	return type == CONF_STR || type == CONF_CHOICE || type == CONF_ENDPOINT;
}

static json_t *fallback_value(const struct conf_field *field)
{
	return quoted(field->type) ? json_string(field->fallback)
				   : json_loads(field->fallback, JSON_DECODE_ANY, NULL);
}

static int load_fallback(struct load *l, const struct conf_field *field, void *out)
{
	json_t *v = fallback_value(field);
	int rc = v != NULL ? load_value(l, field, v, out) : complain(l, false, "out of memory");

	json_decref(v);
	return rc;
}

/* ---- tables
 * ---------------------------------------------------------------------------------------------- */

static json_t *member_at(json_t *object, struct slice name)
{
	while (object != NULL && name.n > 0) {
		struct slice token = slice_cut(&name, '/');

		object = json_object_getn(object, token.p, token.n);
	}
	return object;
}

static void push_name(struct load *l, const char *name)
{
	buf_addc(&l->pointer, '/');
	buf_add(&l->pointer, slice_z(name));
}

static int load_field(struct load *l, const struct conf_field *field, json_t *object, void *out)
{
	json_t *v = member_at(object, slice_z(field->name));
	size_t was = l->pointer.n;
	int rc;

	if (v == NULL && field->fallback == NULL)
		return json_finding(l->f, FINDING_ERROR, l->j, l->text, false,
		    "\"%s\" must be given: %s", field->name, field->about);
	push_name(l, field->name);
	rc = v != NULL ? load_value(l, field, v, at(out, field))
		       : load_fallback(l, field, at(out, field));
	l->pointer.n = was;
	l->text[was] = '\0';
	return rc;
}

/* What the table knows of a key that stands under prefix: a row, a group of rows, or nothing. */
enum known { KNOWN_NOT, KNOWN_ROW, KNOWN_GROUP };

static enum known key_known(const struct conf_table *table, struct slice prefix, struct slice key)
{
	for (size_t i = 0; i < table->n; i++) {
		struct slice name = slice_z(table->fields[i].name);

		if (!slice_starts(name, prefix))
			continue;
		name = slice_sub(name, prefix.n, name.n);
		if (slice_eq(name, key))
			return KNOWN_ROW;
		if (slice_starts(name, key) && name.p[key.n] == '/')
			return KNOWN_GROUP;
	}
	return KNOWN_NOT;
}

static int unknown_key(
    struct load *l, const struct conf_table *table, struct slice prefix, const char *key)
{
	const char *names[64], *like;
	size_t n = 0;

	for (size_t i = 0; i < table->n && n < COUNT(names); i++)
		if (slice_starts(slice_z(table->fields[i].name), prefix))
			names[n++] = table->fields[i].name + prefix.n;
	like = nearest(slice_z(key), names, n);
	json_pointer_add(&l->pointer, slice_z(key));
	return json_finding(l->f, FINDING_ERROR, l->j, l->text, true, "unknown setting%s%s%s",
	    like != NULL ? " (did you mean \"" : "", like != NULL ? like : "",
	    like != NULL ? "\"?)" : "");
}

/* A group of rows was given as something else: show what it looks like by its first row. */
static int no_group(
    struct load *l, const struct conf_table *table, struct slice prefix, const json_t *v)
{
	const char *first = "";

	for (size_t i = table->n; i-- > 0;)
		if (slice_starts(slice_z(table->fields[i].name), prefix))
			first = table->fields[i].name + prefix.n;
	return json_finding(l->f, FINDING_ERROR, l->j, l->text, false,
	    "must be an object, as { \"%s\": ... }, not %s", first, json_kind(v));
}

/* Every key of object must be a row, a group or a comment; groups are looked into (prefix
 * "limits/"). */
static int check_keys(
    struct load *l, const struct conf_table *table, struct slice prefix, json_t *object)
{
	const char *key;
	json_t *member;
	int rc = 0;

	json_object_foreach(object, key, member)
	{
		size_t was = l->pointer.n;
		char deeper[128];
		struct buf next = BUF_ON(deeper);

		if (json_comment(key))
			continue;
		deeper[0] = '\0';
		buf_addf(&next, "%.*s%s/", SLICE_ARG(prefix), key);
		switch (key_known(table, prefix, slice_z(key))) {
		case KNOWN_NOT:
			rc |= unknown_key(l, table, prefix, key);
			break;
		case KNOWN_ROW:
			break;
		case KNOWN_GROUP:
			json_pointer_add(&l->pointer, slice_z(key));
			rc |= json_is_object(member)
			    ? check_keys(l, table, buf_slice(&next), member)
			    : no_group(l, table, buf_slice(&next), member);
			break;
		}
		l->pointer.n = was;
		l->text[was] = '\0';
	}
	return rc;
}

static int load_table(struct load *l, const struct conf_table *table, json_t *object, void *out)
{
	int rc = 0;

	if (object != NULL && !json_is_object(object))
		return wrong_type(l, "an object", object);
	rc |= check_keys(l, table, SLICE(""), object);
	for (size_t i = 0; i < table->n; i++)
		rc |= load_field(l, &table->fields[i], object, out);
	return rc < 0 ? -1 : 0;
}

int conf_load(const struct conf_table *table, const struct json_file *j, const char *pointer,
    json_t *object, void *out, struct findings *f)
{
	struct load l = { .j = j, .f = f };

	l.pointer = (struct buf)BUF_ON(l.text);
	buf_add(&l.pointer, slice_z(pointer));
	return load_table(&l, table, object, out);
}

bool conf_networks_have(const struct conf_networks *n, const struct address *a)
{
	for (size_t i = 0; i < n->n; i++)
		if (network_has(&n->v[i], a))
			return true;
	return false;
}

static void free_items(const struct conf_table *table, struct conf_items *items)
{
	for (size_t i = 0; i < items->n; i++)
		conf_free(table, (char *)items->v + i * table->size);
	free(items->v);
	*items = (struct conf_items){ 0 };
}

static void free_strs(struct conf_strs *strs)
{
	for (size_t i = 0; i < strs->n; i++)
		free(strs->v[i]);
	free(strs->v);
	*strs = (struct conf_strs){ 0 };
}

void conf_free(const struct conf_table *table, void *settings)
{
	for (size_t i = 0; i < table->n; i++) {
		const struct conf_field *field = &table->fields[i];
		void *place = at(settings, field);

		if (field->type == CONF_STR) {
			free(*(char **)place);
			*(char **)place = NULL;
		} else if (field->type == CONF_STRS) {
			free_strs(place);
		} else if (field->type == CONF_NETWORKS) {
			free(((struct conf_networks *)place)->v);
			*(struct conf_networks *)place = (struct conf_networks){ 0 };
		} else if (field->type == CONF_LIST || field->type == CONF_MAP) {
			free_items(field->table, place);
		}
	}
}
