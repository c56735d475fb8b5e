/*
 * err - an error as a value: one sentence that names the thing, the place and the remedy.
 * findings - many of them, for files that report every mistake in one run.
 * Errors     err_set returns -1, so `return err_set(e, ...)` reads well. e may be NULL: then
 *            nothing is kept.
 * Ownership  err owns nothing. findings owns its texts; findings_free releases them.
 * Threads    values; one thread at a time.
 */
#ifndef WEIR_ERR_H
#define WEIR_ERR_H

#include <stdbool.h>
#include <stdio.h>

#include "weir/slice.h"

struct err {
	char text[1024];
};

int err_set(struct err *e, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Put "prefix: " before the text that is there. */
int err_prefix(struct err *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

enum finding_level { FINDING_ERROR, FINDING_WARNING };

struct finding {
	enum finding_level level;
	char *text; /* "rules/local.json:14:7: /rules/FOO/when: unknown fact ..." */
};

struct findings {
	struct finding *v;
	size_t n, cap;
	size_t
	    errors; /* how many of them are errors; more than FINDINGS_MAX are counted, not kept */
};

#define FINDINGS_MAX 500

/* Append one finding; a text without memory is still counted. Returns -1 for an error, 0 for a
 * warning. */
int findings_add(struct findings *f, enum finding_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* One a line; a warning says so at its end. */
void findings_print(const struct findings *f, FILE *to);
void findings_free(struct findings *f);

/* The candidate nearest to word (edit distance at most a third of its length), or NULL: "did you
 * mean". */
const char *nearest(struct slice word, const char *const *candidates, size_t n);

#endif
