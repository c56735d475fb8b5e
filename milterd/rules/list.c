#include "config.h"

#include "milterd/rules/list.h"

#include <stdlib.h>

struct range {
	uint8_t low[17], high[17]; /* the family's byte, then the address, network order */
};

struct list {
	enum list_kind kind;
	struct pattern_set *patterns;
	struct arena texts;
	size_t n, cap;
	union {
		void *any;
		struct slice *items;  /* STRINGS, DOMAINS, GLOBS, PARTS */
		struct range *ranges; /* NETWORKS */
		uint32_t *ids;        /* REGEXES */
		double *numbers;
	};
	size_t longest;  /* octets of the longest item */
	uint32_t *table; /* STRINGS, DOMAINS: index into items plus one, 0 free */
	size_t table_cap;
};

static const size_t item_size[] = {
	[LIST_STRINGS] = sizeof(struct slice),
	[LIST_DOMAINS] = sizeof(struct slice),
	[LIST_NETWORKS] = sizeof(struct range),
	[LIST_REGEXES] = sizeof(uint32_t),
	[LIST_GLOBS] = sizeof(struct slice),
	[LIST_PARTS] = sizeof(struct slice),
	[LIST_NUMBERS] = sizeof(double),
};

struct list *list_new(enum list_kind kind, struct pattern_set *patterns)
{
	struct list *l = calloc(1, sizeof(*l));

	if (l != NULL) {
		l->kind = kind;
		l->patterns = patterns;
	}
	return l;
}

void list_free(struct list **list)
{
	struct list *l = *list;

	if (l == NULL)
		return;
	arena_free(&l->texts);
	free(l->any);
	free(l->table);
	free(l);
	*list = NULL;
}

enum list_kind list_kind(const struct list *list)
{
	return list->kind;
}

size_t list_count(const struct list *list)
{
	return list->n;
}

static int list_room(struct list *l, struct err *e)
{
	size_t cap = l->cap > 0 ? l->cap * 2 : 8;
	void *grown;

	if (l->n < l->cap)
		return 0;
	if (l->n >= LIST_ITEMS_MAX)
		return err_set(e, "more than %d items", LIST_ITEMS_MAX);
	if ((grown = realloc(l->any, cap * item_size[l->kind])) == NULL)
		return err_set(e, "out of memory");
	l->any = grown;
	l->cap = cap;
	return 0;
}

/* ---- the hash table of texts ---- */

static uint64_t hash_lower(struct slice s) /* FNV-1a */
{
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t i = 0; i < s.n; i++)
		h = (h ^ (unsigned char)ascii_lower(s.p[i])) * 0x100000001b3u;
	return h ^ h >> 29;
}

/* Where s stands in the table, or where it would stand. */
static uint32_t *table_place(const struct list *l, struct slice s)
{
	size_t at = (size_t)hash_lower(s) & (l->table_cap - 1);

	while (l->table[at] != 0 && !slice_ieq(l->items[l->table[at] - 1], s))
		at = (at + 1) & (l->table_cap - 1);
	return &l->table[at];
}

static bool table_room(struct list *l)
{
	uint32_t *was = l->table, *fresh;
	size_t cap = l->table_cap > 0 ? l->table_cap * 2 : 16;

	if (l->n * 2 < l->table_cap)
		return true;
	if ((fresh = calloc(cap, sizeof(*fresh))) == NULL)
		return false;
	l->table = fresh;
	l->table_cap = cap;
	for (size_t i = 0; i < l->n; i++)
		*table_place(l, l->items[i]) = (uint32_t)i + 1;
	free(was);
	return true;
}

static bool table_has(const struct list *l, struct slice s)
{
	return l->table != NULL && s.n <= l->longest && *table_place(l, s) != 0;
}

static int add_text(struct list *l, struct slice item, struct err *e)
{
	struct slice copy;
	bool hashed = l->kind == LIST_STRINGS || l->kind == LIST_DOMAINS;

	if (item.n > LIST_ITEM_MAX)
		return err_set(e, "longer than %d octets", LIST_ITEM_MAX);
	if (hashed && !table_room(l))
		return err_set(e, "out of memory");
	if (hashed && table_has(l, item))
		return 0;
	if ((copy = arena_copy(&l->texts, item)).p == NULL)
		return err_set(e, "out of memory");
	l->items[l->n] = copy;
	if (item.n > l->longest)
		l->longest = item.n;
	if (hashed)
		*table_place(l, copy) = (uint32_t)l->n + 1;
	l->n++;
	return 0;
}

/* ---- domains ---- */

struct slice domain_of(struct slice name)
{
	const char *at = name.n > 0 ? memrchr(name.p, '@', name.n) : NULL;

	if (at != NULL)
		name = slice_sub(name, (size_t)(at + 1 - name.p), name.n);
	if (name.n > 0 && name.p[name.n - 1] == '.')
		name.n--;
	return name;
}

bool domain_within(struct slice name, struct slice domain)
{
	if (domain.n == 0 || name.n < domain.n || !slice_iends(name, domain))
		return false;
	return name.n == domain.n || name.p[name.n - domain.n - 1] == '.';
}

static bool domain_octet(char c)
{
	return ascii_alpha(c) || ascii_digit(c) || c == '-' || c == '_' || c == '.' ||
	    (c & 0x80) != 0;
}

static int add_domain(struct list *l, struct slice item, struct err *e)
{
	struct slice name = item;

	if (name.n > 0 && name.p[0] == '.')
		name = slice_sub(name, 1, name.n);
	if (name.n > 0 && name.p[name.n - 1] == '.')
		name.n--;
	for (size_t i = 0; i < name.n; i++)
		if (!domain_octet(name.p[i]))
			return err_set(
			    e, "\"%.*s\" is no domain", SLICE_ARG(slice_sub(item, 0, 80)));
	if (name.n == 0 || name.n > 255)
		return err_set(e, "\"%.*s\" is no domain", SLICE_ARG(slice_sub(item, 0, 80)));
	return add_text(l, name, e);
}

/* The name itself, then what is left of it behind each dot. No domain has more than 255 octets. */
static bool has_domain(const struct list *l, struct slice name)
{
	name = domain_of(name);
	if (name.n > 255)
		name = slice_sub(name, name.n - 255, 255);
	for (; name.n > 0; (void)slice_cut(&name, '.'))
		if (table_has(l, name))
			return true;
	return false;
}

/* ---- networks ---- */

static void range_of(const struct network *net, struct range *r)
{
	size_t n = net->base.family == AF_INET ? 4 : 16;

	*r = (struct range){ 0 };
	r->low[0] = r->high[0] = net->base.family == AF_INET ? 4 : 6;
	memcpy(r->low + 1, net->base.octets, n);
	memcpy(r->high + 1, net->base.octets, n);
	for (size_t bit = net->prefix; bit < n * 8; bit++)
		r->high[1 + bit / 8] |= (uint8_t)(0x80u >> bit % 8);
}

static int add_network(struct list *l, struct slice item, struct err *e)
{
	struct network net;

	if (network_parse(item, &net, e) < 0)
		return -1;
	range_of(&net, &l->ranges[l->n++]);
	return 0;
}

static int range_order(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	return memcmp(x->low, y->low, sizeof(x->low));
}

/* Sorted, and what lies inside another range dropped: then the last that begins at or before an
 * address is the only one that can hold it. Networks nest or are apart, so no range is cut. */
static void seal_networks(struct list *l)
{
	size_t kept = 0;

	if (l->n > 1)
		qsort(l->ranges, l->n, sizeof(*l->ranges), range_order);
	for (size_t i = 0; i < l->n; i++) {
		struct range *last = kept > 0 ? &l->ranges[kept - 1] : NULL;

		if (last == NULL || memcmp(l->ranges[i].low, last->high, sizeof(last->high)) > 0)
			l->ranges[kept++] = l->ranges[i];
		else if (memcmp(l->ranges[i].high, last->high, sizeof(last->high)) > 0)
			memcpy(last->high, l->ranges[i].high, sizeof(last->high));
	}
	l->n = kept;
}

static bool has_address(const struct list *l, const struct address *a)
{
	struct range key = { 0 };
	size_t low = 0, high = l->n;

	if (a->family != AF_INET && a->family != AF_INET6)
		return false;
	key.low[0] = a->family == AF_INET ? 4 : 6;
	memcpy(key.low + 1, a->octets, a->family == AF_INET ? 4 : 16);
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (memcmp(l->ranges[middle].low, key.low, sizeof(key.low)) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 && memcmp(key.low, l->ranges[low - 1].high, sizeof(key.low)) <= 0;
}

/* ---- globs ---- */

/* On a mismatch only the last "*" need take one octet more, so the work is at most the product of
 * the lengths. "?" takes one octet. */
bool glob_match(struct slice glob, struct slice text)
{
	size_t g = 0, t = 0, star = SIZE_MAX, from = 0;

	while (t < text.n) {
		if (g < glob.n && glob.p[g] == '*') {
			star = g++;
			from = t;
		} else if (g < glob.n &&
		    (glob.p[g] == '?' || ascii_lower(glob.p[g]) == ascii_lower(text.p[t]))) {
			g++;
			t++;
		} else if (star != SIZE_MAX) {
			g = star + 1;
			t = ++from;
		} else {
			return false;
		}
	}
	while (g < glob.n && glob.p[g] == '*')
		g++;
	return g == glob.n;
}

/* ---- all kinds ---- */

static int add_regex(struct list *l, struct slice item, struct err *e)
{
	uint32_t id;

	if (pattern_set_add(l->patterns, item, &id, e) < 0)
		return -1;
	l->ids[l->n++] = id;
	return 0;
}

int list_add(struct list *l, struct slice item, struct err *e)
{
	if (list_room(l, e) < 0)
		return -1;
	switch (l->kind) {
	case LIST_DOMAINS:
		return add_domain(l, item, e);
	case LIST_NETWORKS:
		return add_network(l, item, e);
	case LIST_REGEXES:
		return add_regex(l, item, e);
	case LIST_GLOBS:
	case LIST_PARTS:
	case LIST_STRINGS:
		return add_text(l, item, e);
	case LIST_NUMBERS:
		break;
	}
	return err_set(e, "numbers are wanted");
}

int list_add_number(struct list *l, double n, struct err *e)
{
	if (list_room(l, e) < 0)
		return -1;
	l->numbers[l->n++] = n;
	return 0;
}

void list_seal(struct list *l)
{
	if (l->kind == LIST_NETWORKS)
		seal_networks(l);
}

static enum truth match_regexes(
    const struct list *l, struct pattern_scan *scan, struct slice text, struct slice *matched)
{
	enum truth best = TRUTH_NO;

	for (size_t i = 0; i < l->n; i++) {
		enum pattern_result r = pattern_find(scan, l->ids[i], text, matched);

		if (r == PATTERN_HIT)
			return TRUTH_YES;
		if (r == PATTERN_GAVE_UP)
			best = TRUTH_UNKNOWN;
	}
	return best;
}

static bool match_parts(const struct list *l, struct slice text, struct slice *matched)
{
	for (size_t i = 0; i < l->n; i++) {
		size_t at = slice_ifind_slice(text, l->items[i]);

		if (at < text.n || l->items[i].n == 0) {
			*matched = slice_sub(text, at, l->items[i].n);
			return true;
		}
	}
	return false;
}

static bool match_globs(const struct list *l, struct slice text)
{
	for (size_t i = 0; i < l->n; i++)
		if (glob_match(l->items[i], text))
			return true;
	return false;
}

static bool match_numbers(const struct list *l, double n)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->numbers[i] == n)
			return true;
	return false;
}

static enum truth match_text(
    const struct list *l, struct pattern_scan *scan, struct slice text, struct slice *matched)
{
	switch (l->kind) {
	case LIST_STRINGS:
		return table_has(l, text) ? TRUTH_YES : TRUTH_NO;
	case LIST_DOMAINS:
		return has_domain(l, text) ? TRUTH_YES : TRUTH_NO;
	case LIST_REGEXES:
		return match_regexes(l, scan, text, matched);
	case LIST_GLOBS:
		return match_globs(l, text) ? TRUTH_YES : TRUTH_NO;
	case LIST_PARTS:
		return match_parts(l, text, matched) ? TRUTH_YES : TRUTH_NO;
	case LIST_NETWORKS:
	case LIST_NUMBERS:
		break;
	}
	return TRUTH_NO;
}

enum truth list_match(
    const struct list *l, struct pattern_scan *scan, const struct value *v, struct slice *matched)
{
	if (v->kind == VALUE_UNKNOWN)
		return TRUTH_UNKNOWN;
	if (v->kind == VALUE_STRING)
		return match_text(l, scan, v->string, matched);
	if (v->kind == VALUE_ADDRESS && l->kind == LIST_NETWORKS)
		return has_address(l, &v->address) ? TRUTH_YES : TRUTH_NO;
	if (v->kind == VALUE_NUMBER && l->kind == LIST_NUMBERS)
		return match_numbers(l, v->number) ? TRUTH_YES : TRUTH_NO;
	return TRUTH_NO;
}
