#include "config.h"

#include "milterd/facts/facts.h"

#include <math.h>
#include <stdlib.h>

const struct value value_unknown = { .kind = VALUE_UNKNOWN };

/* Lists in lists and objects in objects do not occur in the catalogue; deeper than this is cut. */
enum { DEPTH_MAX = 8 };

struct value value_string(struct slice s)
{
	return (struct value){ .kind = VALUE_STRING, .string = s };
}

struct value value_number(double n)
{
	return (struct value){ .kind = VALUE_NUMBER, .number = n };
}

struct value value_bool(bool b)
{
	return (struct value){ .kind = VALUE_BOOL, .boolean = b };
}

struct value value_address(struct address a)
{
	return (struct value){ .kind = VALUE_ADDRESS, .address = a };
}

const struct value *value_member(const struct value *object, const char *name)
{
	if (object->kind == VALUE_OBJECT)
		for (size_t i = 0; i < object->object.n; i++)
			if (strcmp(object->object.v[i].name, name) == 0)
				return &object->object.v[i].value;
	return &value_unknown;
}

/* ---- as JSON ---- */

/* The longest well-formed sequence at the front of s, 1..4 octets, or 0. */
static size_t utf8_front(struct slice s)
{
	for (size_t n = 1; n <= 4 && n <= s.n; n++)
		if (slice_utf8(slice_sub(s, 0, n)))
			return n;
	return 0;
}

static json_t *string_mended(struct slice s)
{
	struct bytes b = { 0 };
	json_t *json = NULL;

	while (s.n > 0) {
		size_t n = utf8_front(s);

		(void)bytes_add(&b, n > 0 ? slice_sub(s, 0, n) : SLICE("\xef\xbf\xbd"));
		s = slice_sub(s, n > 0 ? n : 1, s.n);
	}
	if (!b.failed)
		json = json_stringn_nocheck(b.p, b.n);
	bytes_free(&b);
	return json;
}

static json_t *string_json(struct slice s)
{
	if (s.n == 0)
		return json_string("");
	return slice_utf8(s) ? json_stringn_nocheck(s.p, s.n) : string_mended(s);
}

/* Whole numbers are written without a fraction. JSON knows no infinity: null stands for it. */
static json_t *number_json(double n)
{
	if (!isfinite(n))
		return json_null();
	return n == trunc(n) && fabs(n) < 9e15 ? json_integer((json_int_t)n) : json_real(n);
}

static json_t *json_of(const struct value *v, unsigned depth);

static json_t *list_json(const struct value *v, unsigned depth)
{
	json_t *list = json_array();

	for (size_t i = 0; list != NULL && i < v->list.n; i++) {
		json_t *element = json_of(&v->list.v[i], depth + 1);

		(void)json_array_append_new(list, element != NULL ? element : json_null());
	}
	return list;
}

static json_t *object_json(const struct value *v, unsigned depth)
{
	json_t *object = json_object();

	for (size_t i = 0; object != NULL && i < v->object.n; i++) {
		json_t *member = json_of(&v->object.v[i].value, depth + 1);

		if (member != NULL)
			(void)json_object_set_new(object, v->object.v[i].name, member);
	}
	return object;
}

static json_t *address_json(const struct address *a)
{
	char text[ADDRESS_TEXT_MAX];

	return json_string(address_text(a, text));
}

static json_t *json_of(const struct value *v, unsigned depth)
{
	if (depth > DEPTH_MAX)
		return NULL;
	switch (v->kind) {
	case VALUE_UNKNOWN:
		return NULL;
	case VALUE_STRING:
		return string_json(v->string);
	case VALUE_NUMBER:
		return number_json(v->number);
	case VALUE_BOOL:
		return json_boolean(v->boolean);
	case VALUE_ADDRESS:
		return address_json(&v->address);
	case VALUE_LIST:
		return list_json(v, depth);
	case VALUE_OBJECT:
		return object_json(v, depth);
	}
	return NULL;
}

json_t *value_json(const struct value *v)
{
	return json_of(v, 0);
}

/* ---- as text ---- */

static void text_printable(struct slice s, struct buf *into)
{
	for (size_t i = 0; i < s.n && !into->cut; i++)
		if ((unsigned char)s.p[i] >= 0x20 && s.p[i] != 0x7f)
			buf_addc(into, s.p[i]);
}

static void text_number(double n, struct buf *into)
{
	if (n == trunc(n) && fabs(n) < 9e15)
		buf_addf(into, "%.0f", n);
	else
		buf_addf(into, "%.6g", n);
}

static void text_of(const struct value *v, struct buf *into, unsigned depth)
{
	char address[ADDRESS_TEXT_MAX];

	switch (v->kind) {
	case VALUE_UNKNOWN:
	case VALUE_OBJECT:
		return;
	case VALUE_STRING:
		text_printable(v->string, into);
		return;
	case VALUE_NUMBER:
		text_number(v->number, into);
		return;
	case VALUE_BOOL:
		buf_add(into, v->boolean ? SLICE("true") : SLICE("false"));
		return;
	case VALUE_ADDRESS:
		buf_add(into, slice_z(address_text(&v->address, address)));
		return;
	case VALUE_LIST:
		for (size_t i = 0; i < v->list.n && !into->cut && depth < DEPTH_MAX; i++) {
			if (i > 0)
				buf_add(into, SLICE(", "));
			text_of(&v->list.v[i], into, depth + 1);
		}
		return;
	}
}

void value_text(const struct value *v, struct buf *into)
{
	text_of(v, into, 0);
}
