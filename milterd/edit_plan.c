#include "config.h"

#include "milterd/edit_plan.h"

#include <stdlib.h>
#include <strings.h>

bool field_names_add(struct field_names *f, struct slice name)
{
	f->text.max = FIELD_NAMES_MAX;
	if (memchr(name.p, '\0', name.n) != NULL || !bytes_reserve(&f->text, name.n + 1))
		return false;
	(void)bytes_add(&f->text, name);
	(void)bytes_addc(&f->text, '\0');
	f->n++;
	return true;
}

static void add(struct edit_plan *p, struct step s)
{
	if (p->n == p->cap) {
		size_t cap = p->cap > 0 ? p->cap * 2 : 16;
		struct step *more = arena_take(p->arena, cap * sizeof(*more));

		if (more == NULL) {
			p->failed = true;
			return;
		}
		if (p->n > 0)
			memcpy(more, p->steps, p->n * sizeof(*more));
		p->steps = more;
		p->cap = cap;
	}
	p->steps[p->n++] = s;
}

/* s as a C text behind lead. Folds are LF in the milter protocol; NUL and CR cannot go. */
static const char *text(struct edit_plan *p, const char *lead, struct slice s)
{
	struct slice whole[] = { slice_z(lead), s };
	char *z = arena_take(p->arena, whole[0].n + s.n + 1);
	size_t n = 0;

	if (z == NULL) {
		p->failed = true;
		return "";
	}
	for (size_t k = 0; k < COUNT(whole); k++)
		for (size_t i = 0; i < whole[k].n; i++)
			if (whole[k].p[i] != '\0' && whole[k].p[i] != '\r')
				z[n++] = whole[k].p[i];
	return z;
}

/* "X-Spam-*" stands for every name that begins so. */
static bool matches(struct slice pattern, struct slice name)
{
	if (pattern.n > 0 && pattern.p[pattern.n - 1] == '*')
		return slice_istarts(name, slice_sub(pattern, 0, pattern.n - 1));
	return slice_ieq(pattern, name);
}

static int by_name(const void *a, const void *b)
{
	return strcasecmp(*(const char *const *)a, *(const char *const *)b);
}

/* The announced names that match, sorted; *n says how many. */
static const char **matching(
    struct edit_plan *p, const struct field_names *names, struct slice pattern, size_t *n)
{
	const char **v = arena_take(p->arena, (names->n + 1) * sizeof(*v)), *at = names->text.p;

	*n = 0;
	if (v == NULL) {
		p->failed = true;
		return NULL;
	}
	for (size_t i = 0; i < names->n; i++, at += strlen(at) + 1)
		if (matches(pattern, slice_z(at)))
			v[(*n)++] = at;
	if (*n > 1)
		qsort(v, *n, sizeof(*v), by_name);
	return v;
}

/* Highest occurrence first: right whether or not the MTA renumbers after each deletion. */
static void remove_header(
    struct edit_plan *p, const struct field_names *names, struct slice pattern)
{
	size_t n;
	const char **v = matching(p, names, pattern, &n);

	for (size_t i = 0; v != NULL && i < n;) {
		size_t end = i + 1;

		while (end < n && strcasecmp(v[i], v[end]) == 0)
			end++;
		for (size_t k = end - i; k > 0; k--)
			add(p,
			    (struct step){ .kind = STEP_CHANGE_HEADER,
				.name = v[i],
				.index = (int)k,
				.value = "" });
		i = end;
	}
}

static bool removed_before(const struct verdict *v, size_t edit)
{
	for (size_t i = 0; i < edit; i++)
		if (v->edits[i].kind == EDIT_REMOVE_HEADER &&
		    matches(v->edits[i].name, v->edits[edit].name))
			return true;
	return false;
}

static void add_header(struct edit_plan *p, const char *lead, struct slice name, struct slice value)
{
	add(p,
	    (struct step){ .kind = STEP_ADD_HEADER,
		.name = text(p, "", name),
		.value = text(p, lead, value) });
}

/* One field of that name remains, with that value. */
static void set_header(struct edit_plan *p, const struct verdict *v, size_t edit,
    const struct field_names *names, const char *lead)
{
	const struct edit *e = &v->edits[edit];
	const char *name = text(p, "", e->name);
	size_t n = 0;

	if (!removed_before(v, edit))
		(void)matching(p, names, e->name, &n);
	for (size_t k = n; k > 1; k--)
		add(p,
		    (struct step){
			.kind = STEP_CHANGE_HEADER, .name = name, .index = (int)k, .value = "" });
	if (n == 0)
		add_header(p, lead, e->name, e->value);
	else
		add(p,
		    (struct step){ .kind = STEP_CHANGE_HEADER,
			.name = name,
			.index = 1,
			.value = text(p, lead, e->value) });
}

/* A message that comes by twice (a list, a forwarder) gets the prefix once. */
static void prefix_subject(
    struct edit_plan *p, struct exam *x, struct slice prefix, const char *lead)
{
	struct message *m = exam_message(x);
	struct header_field *f = message_find(m, SLICE("subject"), 0);
	struct slice value;

	if (f == NULL) {
		add_header(p, lead, SLICE("Subject"), slice_trim(prefix));
		return;
	}
	if (slice_starts(header_value(m, f), slice_trim(prefix)))
		return;
	value = slice_trim(f->raw);
	value = arena_printf(p->arena, "%.*s%s%.*s", SLICE_ARG(prefix),
	    slice_iends(prefix, SLICE(" ")) ? "" : " ", SLICE_ARG(value));
	add(p,
	    (struct step){ .kind = STEP_CHANGE_HEADER,
		.name = "Subject",
		.index = 1,
		.value = text(p, lead, value) });
}

/* The milter protocol wants brackets. */
static const char *path(struct edit_plan *p, struct slice address)
{
	return text(p, "", arena_printf(p->arena, "<%.*s>", SLICE_ARG(address)));
}

static void remove_rcpt(struct edit_plan *p, struct exam *x, struct slice address)
{
	size_t n;
	const struct envelope_path *v = exam_recipients(x, &n);

	for (size_t i = 0; i < n; i++)
		if (slice_eq(address, SLICE("*")) || slice_ieq(address, v[i].address))
			add(p,
			    (struct step){
				.kind = STEP_DELETE_RCPT, .value = path(p, v[i].address) });
}

void edit_plan_make(
    struct edit_plan *p, struct exam *x, const struct field_names *names, bool leading_space)
{
	const struct verdict *v = exam_verdict(x);
	const char *lead = leading_space ? " " : "";

	*p = (struct edit_plan){ .arena = exam_arena(x) };
	for (size_t i = 0; i < v->edit_count && !p->failed; i++) {
		const struct edit *e = &v->edits[i];

		switch (e->kind) {
		case EDIT_ADD_HEADER:
			add_header(p, lead, e->name, e->value);
			break;
		case EDIT_SET_HEADER:
			set_header(p, v, i, names, lead);
			break;
		case EDIT_REMOVE_HEADER:
			remove_header(p, names, e->name);
			break;
		case EDIT_SUBJECT_PREFIX:
			prefix_subject(p, x, e->value, lead);
			break;
		case EDIT_ADD_RCPT:
			add(p, (struct step){ .kind = STEP_ADD_RCPT, .value = path(p, e->value) });
			break;
		case EDIT_REMOVE_RCPT:
			remove_rcpt(p, x, e->value);
			break;
		case EDIT_QUARANTINE:
			add(p, (struct step){ .kind = STEP_HOLD, .value = text(p, "", e->value) });
			break;
		}
	}
	p->failed |= p->arena->failed;
}
