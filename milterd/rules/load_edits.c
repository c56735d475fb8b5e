#include "config.h"

#include "milterd/rules/loader.h"

/* What rules, policies and the set have in common: texts, header fields, recipients, and the edits
 * that they become. */

int load_texts(struct loader *l, json_t *v, struct texts *out)
{
	size_t n = json_is_string(v) ? 1 : json_array_size(v);

	if ((out->v = loader_take(l, (n + 1) * sizeof(*out->v))) == NULL)
		return -1;
	for (out->n = 0; out->n < n; out->n++) {
		const json_t *one = json_is_string(v) ? v : json_array_get(v, out->n);

		if ((out->v[out->n] = loader_text(l, text_of(one))) == NULL)
			return -1;
	}
	return 0;
}

int edits_add(struct loader *l, struct edit_rows *into, enum edit_kind kind, struct slice name,
    const struct template *value)
{
	struct edit_row *row = loader_take(l, sizeof(*row));
	const char *copy = loader_text(l, name);

	if (row == NULL || copy == NULL)
		return -1;
	*row = (struct edit_row){ .kind = kind, .name = slice_of(copy, name.n), .value = value };
	if (into->first == NULL)
		into->first = row;
	else
		*into->last = row;
	into->last = &row->next;
	return 0;
}

/* RFC 5322 3.6.8: printable ASCII but the colon. */
static int check_field_name(struct loader *l, struct slice name, bool may_be_prefix)
{
	if (may_be_prefix && name.n > 1 && name.p[name.n - 1] == '*')
		name.n--;
	if (name.n == 0 || name.n > 76)
		return complain(l, true, "a header field's name has 1..76 octets");
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] <= 0x20 || name.p[i] == 0x7f || (name.p[i] & 0x80) != 0 ||
		    name.p[i] == ':' || name.p[i] == '*')
			return complain(
			    l, true, "\"%.*s\" is no name of a header field", SLICE_ARG(name));
	return 0;
}

/* Text that goes into a header field: a line end in it would begin another field. */
int load_line(struct loader *l, json_t *v, const struct template **out)
{
	struct slice s = text_of(v);

	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
			return complain(l, false, "must not hold control characters or line ends");
	return load_template(l, s, out);
}

static int load_field(
    struct loader *l, struct slice name, json_t *text, enum edit_kind kind, struct edit_rows *into)
{
	const struct template *value = NULL;

	if (check_field_name(l, name, false) < 0)
		return -1;
	if (!json_is_string(text))
		return wrong_type(l, "text", text);
	if (load_line(l, text, &value) < 0)
		return -1;
	return edits_add(l, into, kind, name, value);
}

int load_fields(struct loader *l, json_t *v, enum edit_kind kind, struct edit_rows *into)
{
	const char *name;
	json_t *text;
	int rc = 0;

	json_object_foreach(v, name, text)
	{
		size_t was = loader_enter(l, slice_z(name));

		rc |= load_field(l, slice_z(name), text, kind, into);
		loader_leave(l, was);
	}
	return rc;
}

int load_removals(struct loader *l, json_t *v, struct edit_rows *into)
{
	size_t i;
	json_t *name;
	int rc = 0;

	json_array_foreach(v, i, name)
	{
		size_t was = loader_enter_index(l, i);

		if (check_field_name(l, text_of(name), true) < 0)
			rc = -1;
		else
			rc |= edits_add(l, into, EDIT_REMOVE_HEADER, text_of(name), NULL);
		loader_leave(l, was);
	}
	return rc;
}

static bool address_octet(char c)
{
	return (unsigned char)c > 0x20 && c != 0x7f && strchr("<>()\",;:\\", c) == NULL;
}

/* Addresses in rules are plain: local@domain without quotes, spaces and brackets. */
int load_address(struct loader *l, struct slice s)
{
	size_t at = slice_find(s, '@');
	bool good = at > 0 && at + 1 < s.n && s.n <= 254 &&
	    slice_find(slice_sub(s, at + 1, s.n), '@') == s.n - at - 1;

	for (size_t i = 0; i < s.n; i++)
		good = good && address_octet(s.p[i]);
	return good ? 0
		    : complain(l, false, "\"%.*s\" is no address (local@domain)",
			  SLICE_ARG(slice_sub(s, 0, 100)));
}
