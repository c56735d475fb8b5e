/*
 * provide - what the providers of facts share: building values in the arena of the message in
 * hand.
 * Errors     without memory a value is unknown, and the arena's failed flag tells the exam.
 */
#ifndef MILTERD_FACTS_PROVIDE_H
#define MILTERD_FACTS_PROVIDE_H

#include "milterd/exam.h"

extern const struct provider client_provider, helo_provider, envelope_provider, header_provider,
    body_provider, urls_provider, attachments_provider, virus_provider, bayes_provider;

/* A text, or unknown where it is empty. */
struct value value_or_unknown(struct slice s);
/* n values to fill in, or NULL; list_value() makes them a list. */
struct value *list_room(struct exam *x, size_t n);
struct value list_value(const struct value *v, size_t n);
/* An object of n members in the arena, all named and unknown; its values are the caller's to fill
 * in by *members. */
struct value object_value(
    struct exam *x, const char *const *names, size_t n, struct member **members);
/* Words with commas between as a list of texts; unknown where words.p is NULL. */
struct value words_value(struct exam *x, struct slice words);
/* The members called name of a list of objects, as a list: what "urls[].host" stands for. */
struct value list_project(struct exam *x, struct value list, struct slice name);

#endif
