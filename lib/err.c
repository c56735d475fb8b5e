#include "config.h"

#include "weir/err.h"

#include <stdarg.h>
#include <stdlib.h>

int err_set(struct err *e, const char *format, ...)
{
	va_list ap;

	if (e == NULL)
		return -1;
	va_start(ap, format);
	(void)vsnprintf(e->text, sizeof(e->text), format, ap);
	va_end(ap);
	return -1;
}

int err_prefix(struct err *e, const char *format, ...)
{
	char was[sizeof(e->text)];
	struct buf b;
	va_list ap;

	if (e == NULL)
		return -1;
	memcpy(was, e->text, sizeof(was));
	b = (struct buf){ .p = e->text, .cap = sizeof(e->text) };
	va_start(ap, format);
	buf_vaddf(&b, format, ap);
	va_end(ap);
	buf_add(&b, SLICE(": "));
	(void)snprintf(e->text + b.n, sizeof(e->text) - b.n, "%s", was);
	return -1;
}

static bool findings_room(struct findings *f)
{
	struct finding *grown;
	size_t cap = f->cap > 0 ? f->cap * 2 : 8;

	if (f->n < f->cap)
		return true;
	if (f->n >= FINDINGS_MAX || (grown = realloc(f->v, cap * sizeof(*grown))) == NULL)
		return false;
	f->v = grown;
	f->cap = cap;
	return true;
}

int findings_add(struct findings *f, enum finding_level level, const char *format, ...)
{
	char text[1024];
	va_list ap;

	f->errors += level == FINDING_ERROR;
	va_start(ap, format);
	(void)vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	if (findings_room(f)) {
		char *copy = slice_dup(slice_z(text));

		if (copy != NULL)
			f->v[f->n++] = (struct finding){ level, copy };
	}
	return level == FINDING_ERROR ? -1 : 0;
}

void findings_print(const struct findings *f, FILE *to)
{
	for (size_t i = 0; i < f->n; i++)
		fprintf(to, "%s%s\n", f->v[i].text,
		    f->v[i].level == FINDING_WARNING ? " (warning)" : "");
}

void findings_free(struct findings *f)
{
	for (size_t i = 0; i < f->n; i++)
		free(f->v[i].text);
	free(f->v);
	*f = (struct findings){ 0 };
}

/* Optimal string alignment distance (insert, delete, change, swap of neighbours), bounded to short
 * words. */
static size_t distance(struct slice a, struct slice b)
{
	enum { LONGEST = 64 };
	size_t row[3][LONGEST + 1];
	size_t *before = row[0], *above = row[1], *now = row[2];

	if (a.n > LONGEST || b.n > LONGEST)
		return LONGEST;
	for (size_t k = 0; k <= b.n; k++)
		above[k] = k;
	for (size_t i = 1; i <= a.n; i++) {
		size_t *spare;

		now[0] = i;
		for (size_t k = 1; k <= b.n; k++) {
			size_t best = above[k - 1] + (a.p[i - 1] != b.p[k - 1]);

			best = above[k] + 1 < best ? above[k] + 1 : best;
			best = now[k - 1] + 1 < best ? now[k - 1] + 1 : best;
			if (i > 1 && k > 1 && a.p[i - 1] == b.p[k - 2] &&
			    a.p[i - 2] == b.p[k - 1] && before[k - 2] + 1 < best)
				best = before[k - 2] + 1;
			now[k] = best;
		}
		spare = before;
		before = above;
		above = now;
		now = spare;
	}
	return above[b.n];
}

const char *nearest(struct slice word, const char *const *candidates, size_t n)
{
	const char *best = NULL;
	size_t least = word.n / 3 + 1;

	for (size_t i = 0; i < n; i++) {
		size_t d = distance(word, slice_z(candidates[i]));

		if (d < least || (best == NULL && d == least)) {
			least = d;
			best = candidates[i];
		}
	}
	return best;
}
