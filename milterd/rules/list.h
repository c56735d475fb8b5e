/*
 * list - things that a value can be one of: texts, domains, networks, numbers, patterns.
 * Cost       texts and domains are looked up in a hash table, networks by binary search in sorted
 *            ranges; patterns one after the other.
 * Case       ASCII case is ignored everywhere but in regexes.
 * Sharing    immutable once sealed: any thread.
 */
#ifndef WEIR_LIST_H
#define WEIR_LIST_H

#include "milterd/facts/facts.h"
#include "milterd/rules/pattern.h"

#define LIST_ITEM_MAX  1024    /* octets of one item, regexes apart */
#define LIST_ITEMS_MAX 1000000 /* items of one list */

enum list_kind {
	LIST_STRINGS,
	LIST_DOMAINS,  /* the domain and what lies beneath it; of an address what follows the @ */
	LIST_NETWORKS, /* addresses too */
	LIST_REGEXES,
	LIST_GLOBS, /* * and ? over the whole value */
	LIST_PARTS, /* texts that a value contains */
	LIST_NUMBERS
};

/* Three-valued logic (Kleene): and is the least, or the greatest, not is YES - t. */
enum truth { TRUTH_NO, TRUTH_UNKNOWN, TRUTH_YES };

struct list;
struct list *list_new(enum list_kind kind, struct pattern_set *patterns);
void list_free(struct list **list);
/* Add an item as it is written in a file. 0, or -1 with *e. */
int list_add(struct list *list, struct slice item, struct err *e);
int list_add_number(struct list *list, double n, struct err *e);
/* After the last item, before the first list_match. */
void list_seal(struct list *list);
enum list_kind list_kind(const struct list *list);
size_t list_count(const struct list *list);
/* Is v, a single value, in the list? Values of a kind that cannot be are not. *matched is set where
 * a part of v matched, and left alone otherwise. */
enum truth list_match(const struct list *list, struct pattern_scan *scan, const struct value *v,
    struct slice *matched);

/* The domain of a name or address: what follows the last "@", without a final dot. */
struct slice domain_of(struct slice name);
/* Is name the domain, or beneath it? */
bool domain_within(struct slice name, struct slice domain);
/* Does the whole text fit a glob? */
bool glob_match(struct slice glob, struct slice text);

#endif
