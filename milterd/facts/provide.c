#include "config.h"

#include "provide.h"

struct value value_or_unknown(struct slice s)
{
	return s.n > 0 ? value_string(s) : value_unknown;
}

struct value *list_room(struct exam *x, size_t n)
{
	/* An empty list is known too, so it needs a place. */
	return arena_take(exam_arena(x), (n > 0 ? n : 1) * sizeof(struct value));
}

struct value list_value(const struct value *v, size_t n)
{
	if (v == NULL)
		return value_unknown;
	return (struct value){ .kind = VALUE_LIST, .list = { v, n } };
}

struct value object_value(
    struct exam *x, const char *const *names, size_t n, struct member **members)
{
	struct member *m = arena_take(exam_arena(x), n * sizeof(*m));

	*members = m;
	if (m == NULL)
		return value_unknown;
	for (size_t i = 0; i < n; i++)
		m[i] = (struct member){ names[i], value_unknown };
	return (struct value){ .kind = VALUE_OBJECT, .object = { m, n } };
}

static struct value member_of(const struct value *object, struct slice name)
{
	if (object->kind == VALUE_OBJECT)
		for (size_t i = 0; i < object->object.n; i++)
			if (slice_eq(slice_z(object->object.v[i].name), name))
				return object->object.v[i].value;
	return value_unknown;
}

struct value list_project(struct exam *x, struct value list, struct slice name)
{
	struct value *v;
	size_t n = 0;

	if (list.kind != VALUE_LIST || (v = list_room(x, list.list.n)) == NULL)
		return value_unknown;
	for (size_t i = 0; i < list.list.n; i++) {
		struct value one = member_of(&list.list.v[i], name);

		if (one.kind != VALUE_UNKNOWN)
			v[n++] = one;
	}
	return list_value(v, n);
}

struct value words_value(struct exam *x, struct slice words)
{
	size_t n = 0, room = 1;
	struct value *v;

	if (words.p == NULL)
		return value_unknown;
	for (size_t i = 0; i < words.n; i++)
		room += words.p[i] == ',';
	if ((v = list_room(x, room)) == NULL)
		return value_unknown;
	words.p = arena_copy(exam_arena(x), words).p;
	while (words.p != NULL && words.n > 0)
		v[n++] = value_string(slice_cut(&words, ','));
	return list_value(v, n);
}
