/*
 * edit_plan - a verdict's edits as the milter protocol's steps: which occurrence of which field,
 * in an order that means the same to Postfix (which renumbers at once) and Sendmail (which does
 * not).
 * Ownership  the plan lives in the arena given; texts are NUL-terminated, without CR.
 */
#ifndef MILTERD_EDIT_PLAN_H
#define MILTERD_EDIT_PLAN_H

#include "milterd/exam.h"

/* The names of all header fields that the MTA announced, also of those behind the limits of
 * `struct message`: a forged field must be found wherever it stands. */
struct field_names {
	struct bytes text; /* each name with its NUL */
	size_t n;
};
enum { FIELD_NAMES_MAX = 8 << 20 }; /* octets */

/* False when there is no room: then the message cannot be examined. */
bool field_names_add(struct field_names *f, struct slice name);

enum step_kind { STEP_ADD_HEADER, STEP_CHANGE_HEADER, STEP_ADD_RCPT, STEP_DELETE_RCPT, STEP_HOLD };
struct step {
	enum step_kind kind;
	const char *name;
	int index;         /* STEP_CHANGE_HEADER: the n-th of that name, from 1 */
	const char *value; /* "" deletes a field */
};
struct edit_plan {
	struct step *steps;
	size_t n, cap;
	struct arena *arena;
	bool failed; /* memory is gone */
};

/* leading_space: were values with the space behind the colon agreed on (SMFIP_HDR_LEADSPC)? */
void edit_plan_make(
    struct edit_plan *p, struct exam *x, const struct field_names *names, bool leading_space);

#endif
