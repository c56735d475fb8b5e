#include "config.h"

#include "milterd/facts/facts.h"

#include <stdlib.h>

const char *const stage_names[STAGE_COUNT] = { "connect", "helo", "mail", "rcpt", "data", "header",
	"body", "eom" };
const char *const fact_type_names[] = { "text", "number", "true or false", "IP address",
	"list of texts", "list of objects" };

/* Most names that a suggestion is looked for among. */
enum { NAMES_MAX = 1024 };

/* RFC 5322 3.6.8: ftext is printable ASCII but the colon. A dot is refused as well, though no RFC
 * does: no field of the registry has one, and a slip as "header.from.adr" must be found. */
static bool field_name(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= 0x20 || s.p[i] == 0x7f || s.p[i] == ':' || s.p[i] == '.' ||
		    (s.p[i] & 0x80) != 0)
			return false;
	return s.n > 0;
}

/* Does name fit the row? *field is what stands for the row's "*", empty where it has none. */
static bool row_fits(const struct fact_row *row, struct slice name, struct slice *field)
{
	struct slice head = slice_z(row->name), tail = head;

	*field = (struct slice){ 0 };
	if (slice_find(head, '*') == head.n)
		return slice_eq(head, name);
	head = slice_cut(&tail, '*');
	if (name.n <= head.n + tail.n || !slice_starts(name, head) ||
	    !slice_eq(slice_sub(name, name.n - tail.n, tail.n), tail))
		return false;
	*field = slice_sub(name, head.n, name.n - head.n - tail.n);
	return field_name(*field);
}

/* Of several rows that fit ("header.*", "header.*.addr") the one with the longest name is meant. */
static const struct provider *row_find(struct slice name, size_t *row, struct slice *field)
{
	const struct provider *best = NULL;
	size_t longest = 0;

	for (size_t p = 0; providers[p] != NULL; p++)
		for (size_t i = 0; i < providers[p]->n; i++) {
			const struct fact_row *r = &providers[p]->rows[i];
			struct slice its;

			if (strlen(r->name) < longest || !row_fits(r, name, &its))
				continue;
			longest = strlen(r->name);
			best = providers[p];
			*row = i;
			*field = its;
		}
	return best;
}

static int unknown_fact(struct slice name, struct err *e)
{
	const char *names[NAMES_MAX], *like;
	size_t n = 0;

	for (size_t p = 0; providers[p] != NULL; p++)
		for (size_t i = 0; i < providers[p]->n && n < NAMES_MAX; i++)
			names[n++] = providers[p]->rows[i].name;
	like = nearest(name, names, n);
	return err_set(e, "unknown fact \"%.*s\"%s%s%s", SLICE_ARG(slice_sub(name, 0, 100)),
	    like != NULL ? " (did you mean \"" : "", like != NULL ? like : "",
	    like != NULL ? "\"?)" : "");
}

static char *lower_dup(struct slice s)
{
	char *copy = slice_dup(s);

	for (size_t i = 0; copy != NULL && i < s.n; i++)
		copy[i] = ascii_lower(copy[i]);
	return copy;
}

int catalogue_find(struct slice name, struct fact_ref *out, struct err *e)
{
	struct fact_ref ref = { 0 };
	struct slice field;

	if ((ref.provider = row_find(name, &ref.row, &field)) == NULL)
		return unknown_fact(name, e);
	ref.type = ref.provider->rows[ref.row].type;
	ref.stage = ref.provider->rows[ref.row].stage;
	/* Names of header fields know no case, so one spelling stands for all. */
	ref.name = field.n > 0 ? lower_dup(name) : slice_dup(name);
	if (field.n > 0)
		ref.field = lower_dup(field);
	if (ref.name == NULL || (field.n > 0 && ref.field == NULL)) {
		fact_ref_free(&ref);
		return err_set(e, "out of memory");
	}
	*out = ref;
	return 0;
}

void fact_ref_free(struct fact_ref *r)
{
	free(r->name);
	free(r->field);
	*r = (struct fact_ref){ 0 };
}

const struct fact_row *catalogue_member(struct slice list, struct slice member)
{
	for (size_t p = 0; providers[p] != NULL; p++)
		for (size_t i = 0; i < providers[p]->n; i++) {
			struct slice name = slice_z(providers[p]->rows[i].name);

			if (name.n == list.n + member.n + 3 && slice_starts(name, list) &&
			    slice_starts(slice_sub(name, list.n, name.n), SLICE("[].")) &&
			    slice_eq(slice_sub(name, list.n + 3, name.n), member))
				return &providers[p]->rows[i];
		}
	return NULL;
}
