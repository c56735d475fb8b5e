#include "config.h"

#include "milterd/rules/pattern.h"

#include <stdlib.h>
#include <time.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "weir/log.h"

enum {
	MATCH_LIMIT = 50000,     /* backtracking points at one place of a text */
	DEPTH_LIMIT = 10000,     /* nested backtracking, where the JIT is not used */
	HEAP_LIMIT_KIB = 16384,  /* memory of one match, likewise */
	JIT_STACK_MAX = 1 << 20, /* octets */
	/* The limits above do not see a pattern that is merely quadratic. In a text that is longer
	 * than this the clock is looked at every few starting places. */
	TEXT_SHORT = 4096,
	STARTS_MIN = 16,
	STARTS_MAX = 4096,
	STEPS_UNWATCHED = 512 << 20, /* starting places times octets between two looks */
	BUDGET_MS = 250,             /* processor time of one pattern in one long text */
	BUDGET_ALL_MS = 2000,        /* of all patterns over one message */
	GAVE_UP_US = 100, /* what a short text is charged that took a whole match limit */
	MEMO_MAX = 1 << 16
};

struct pattern {
	struct slice source;
	uint64_t hash;
	pcre2_code *code;
	bool shared; /* asked for by several conditions: its results are worth keeping */
};

struct pattern_set {
	struct pattern *v;
	size_t n, cap;
	pcre2_compile_context *compile;
	pcre2_match_context *match;
};

struct pattern_set *pattern_set_new(void)
{
	struct pattern_set *set = calloc(1, sizeof(*set));

	if (set == NULL)
		return NULL;
	set->compile = pcre2_compile_context_create(NULL);
	set->match = pcre2_match_context_create(NULL);
	if (set->compile == NULL || set->match == NULL) {
		pattern_set_free(&set);
		return NULL;
	}
	(void)pcre2_set_max_pattern_length(set->compile, PATTERN_SOURCE_MAX);
	(void)pcre2_set_parens_nest_limit(set->compile, 100);
	(void)pcre2_set_match_limit(set->match, MATCH_LIMIT);
	(void)pcre2_set_depth_limit(set->match, DEPTH_LIMIT);
	(void)pcre2_set_heap_limit(set->match, HEAP_LIMIT_KIB);
	return set;
}

void pattern_set_free(struct pattern_set **set)
{
	struct pattern_set *s = *set;

	if (s == NULL)
		return;
	for (size_t i = 0; i < s->n; i++) {
		pcre2_code_free(s->v[i].code);
		free((char *)s->v[i].source.p);
	}
	pcre2_compile_context_free(s->compile);
	pcre2_match_context_free(s->match);
	free(s->v);
	free(s);
	*set = NULL;
}

static uint64_t hash_of(struct slice s) /* FNV-1a */
{
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t i = 0; i < s.n; i++)
		h = (h ^ (unsigned char)s.p[i]) * 0x100000001b3u;
	return h;
}

static pcre2_code *compile(struct pattern_set *set, struct slice source, struct err *e)
{
	PCRE2_UCHAR what[160];
	PCRE2_SIZE at = 0;
	int error = 0;
	pcre2_code *code;

	if (source.n > PATTERN_SOURCE_MAX) {
		(void)err_set(e, "bad regex: longer than %d octets", PATTERN_SOURCE_MAX);
		return NULL;
	}
	code = pcre2_compile((PCRE2_SPTR)source.p, source.n,
	    PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF | PCRE2_USE_OFFSET_LIMIT |
		PCRE2_NEVER_BACKSLASH_C,
	    &error, &at, set->compile);
	if (code == NULL) {
		(void)pcre2_get_error_message(error, what, sizeof(what));
		(void)err_set(e, "bad regex at octet %zu: %s", (size_t)at, (const char *)what);
		return NULL;
	}
	/* Where the JIT is not to be had, pcre2_match() interprets. */
	(void)pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
	return code;
}

static bool set_room(struct pattern_set *set)
{
	size_t cap = set->cap > 0 ? set->cap * 2 : 64;
	struct pattern *grown;

	if (set->n < set->cap)
		return true;
	if ((grown = realloc(set->v, cap * sizeof(*grown))) == NULL)
		return false;
	set->v = grown;
	set->cap = cap;
	return true;
}

int pattern_set_add(struct pattern_set *set, struct slice source, uint32_t *id, struct err *e)
{
	struct pattern p = { .hash = hash_of(source) };

	for (size_t i = 0; i < set->n; i++)
		if (set->v[i].hash == p.hash && slice_eq(set->v[i].source, source)) {
			set->v[i].shared = true;
			*id = (uint32_t)i;
			return 0;
		}
	if (set->n >= PATTERN_COUNT_MAX)
		return err_set(e, "more than %d regexes", PATTERN_COUNT_MAX);
	if ((p.code = compile(set, source, e)) == NULL)
		return -1;
	p.source = slice_of(slice_dup(source), source.n);
	if (p.source.p == NULL || !set_room(set)) {
		pcre2_code_free(p.code);
		free((char *)p.source.p);
		return err_set(e, "out of memory");
	}
	*id = (uint32_t)set->n;
	set->v[set->n++] = p;
	return 0;
}

struct slice pattern_source(const struct pattern_set *set, uint32_t id)
{
	return set->v[id].source;
}

/* ---- one message's matches ---- */

struct memo {
	const char *p; /* text and pattern; NULL: a free place */
	size_t n;
	uint32_t id;
	enum pattern_result result;
	struct slice matched;
};

struct pattern_scan {
	const struct pattern_set *set;
	pcre2_match_data *data;
	pcre2_match_context *match;
	pcre2_jit_stack *stack; /* made when a match asks for more than the usual one */
	struct memo *memo;      /* open addressing, at most half full */
	size_t memo_n, memo_cap;
	int64_t spent_ns;
	bool told; /* one line in the log for one message is enough */
};

struct pattern_scan *pattern_scan_new(const struct pattern_set *set)
{
	struct pattern_scan *scan = calloc(1, sizeof(*scan));

	if (scan != NULL)
		scan->set = set;
	return scan;
}

void pattern_scan_free(struct pattern_scan **scan)
{
	struct pattern_scan *s = *scan;

	if (s == NULL)
		return;
	pcre2_match_data_free(s->data);
	pcre2_match_context_free(s->match);
	pcre2_jit_stack_free(s->stack);
	free(s->memo);
	free(s);
	*scan = NULL;
}

void pattern_scan_forget(struct pattern_scan *scan)
{
	if (scan->memo != NULL)
		memset(scan->memo, 0, scan->memo_cap * sizeof(*scan->memo));
	scan->memo_n = 0;
}

/* The place of a text and pattern in the table, taken or free. */
static struct memo *memo_place(struct memo *table, size_t cap, struct slice text, uint32_t id)
{
	uint64_t h = ((uint64_t)(uintptr_t)text.p ^ ((uint64_t)text.n << 32) ^ id) *
	    0x9e3779b97f4a7c15u;
	size_t at = (size_t)(h >> 20) & (cap - 1);

	while (table[at].p != NULL &&
	    !(table[at].p == text.p && table[at].n == text.n && table[at].id == id))
		at = (at + 1) & (cap - 1);
	return &table[at];
}

/* Make room for one more. False: the memo is as large as it may become, or memory is short; the
 * result is then computed again when it is asked for again. */
static bool memo_room(struct pattern_scan *scan)
{
	size_t cap = scan->memo_cap > 0 ? scan->memo_cap * 2 : 128;
	struct memo *grown;

	if (scan->memo_n * 2 < scan->memo_cap)
		return true;
	if (cap > MEMO_MAX || (grown = calloc(cap, sizeof(*grown))) == NULL)
		return false;
	for (size_t i = 0; i < scan->memo_cap; i++) {
		const struct memo *m = &scan->memo[i];

		if (m->p != NULL)
			*memo_place(grown, cap, slice_of(m->p, m->n), m->id) = *m;
	}
	free(scan->memo);
	scan->memo = grown;
	scan->memo_cap = cap;
	return true;
}

/* Match data and limits are made with the first match: many messages need none. */
static bool scan_ready(struct pattern_scan *scan)
{
	if (scan->data == NULL)
		scan->data = pcre2_match_data_create(1, NULL);
	if (scan->match == NULL)
		scan->match = pcre2_match_context_copy(scan->set->match);
	return scan->data != NULL && scan->match != NULL;
}

static int64_t cpu_ns(void)
{
	struct timespec t;

	if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) < 0)
		return 0;
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Look for a match that starts at from..last. PCRE2's code: >= 0 found. */
static int match_between(
    struct pattern_scan *scan, const struct pattern *p, struct slice text, size_t from, size_t last)
{
	int rc;

	(void)pcre2_set_offset_limit(scan->match, last);
	rc = pcre2_match(p->code, (PCRE2_SPTR)text.p, text.n, from, 0, scan->data, scan->match);
	if (rc == PCRE2_ERROR_JIT_STACKLIMIT && scan->stack == NULL &&
	    (scan->stack = pcre2_jit_stack_create(32768, JIT_STACK_MAX, NULL)) != NULL) {
		pcre2_jit_stack_assign(scan->match, NULL, scan->stack);
		rc = pcre2_match(
		    p->code, (PCRE2_SPTR)text.p, text.n, from, 0, scan->data, scan->match);
	}
	return rc;
}

static size_t starts_unwatched(size_t n)
{
	size_t starts = STEPS_UNWATCHED / n;

	return starts < STARTS_MIN ? STARTS_MIN : starts > STARTS_MAX ? STARTS_MAX : starts;
}

/* A starting place must not stand inside a character. */
static size_t character_start(struct slice text, size_t at)
{
	while (at < text.n && ((unsigned char)text.p[at] & 0xc0) == 0x80)
		at++;
	return at;
}

static int match_long(struct pattern_scan *scan, const struct pattern *p, struct slice text)
{
	size_t step = starts_unwatched(text.n);
	int64_t begun = cpu_ns(), spent = 0;
	int rc = PCRE2_ERROR_NOMATCH;

	for (size_t from = 0; from <= text.n && rc == PCRE2_ERROR_NOMATCH;) {
		size_t next = character_start(text, from + step);

		if (spent > BUDGET_MS * INT64_C(1000000) ||
		    scan->spent_ns + spent > BUDGET_ALL_MS * INT64_C(1000000))
			rc = PCRE2_ERROR_MATCHLIMIT;
		else
			rc = match_between(scan, p, text, from, next - 1);
		from = next;
		spent = cpu_ns() - begun;
	}
	scan->spent_ns += spent;
	return rc;
}

/* The clock is not worth a look here; a message may hold ten thousands of them, though. */
static int match_short(struct pattern_scan *scan, const struct pattern *p, struct slice text)
{
	int rc;

	if (scan->spent_ns > BUDGET_ALL_MS * INT64_C(1000000))
		return PCRE2_ERROR_MATCHLIMIT;
	rc = match_between(scan, p, text, 0, PCRE2_UNSET);
	if (rc == PCRE2_ERROR_MATCHLIMIT)
		scan->spent_ns += GAVE_UP_US * INT64_C(1000);
	return rc;
}

static enum pattern_result look(
    struct pattern_scan *scan, const struct pattern *p, struct slice text, struct slice *matched)
{
	const PCRE2_SIZE *at;
	int rc;

	if (!scan_ready(scan))
		return PATTERN_GAVE_UP;
	rc = text.n <= TEXT_SHORT ? match_short(scan, p, text) : match_long(scan, p, text);
	if (rc == PCRE2_ERROR_NOMATCH)
		return PATTERN_MISS;
	if (rc < 0) {
		if (!scan->told)
			log_event(LOG_LEVEL_WARN, "pattern_limit", "pattern", p->source.p, NULL);
		scan->told = true;
		return PATTERN_GAVE_UP;
	}
	at = pcre2_get_ovector_pointer(scan->data);
	/* \K in a lookahead can end a match before its start. */
	*matched = at[1] >= at[0] ? slice_sub(text, at[0], at[1] - at[0]) : SLICE("");
	return PATTERN_HIT;
}

enum pattern_result pattern_find(
    struct pattern_scan *scan, uint32_t id, struct slice text, struct slice *matched)
{
	const struct pattern *p = &scan->set->v[id];
	struct memo *m;

	if (text.p == NULL)
		text = SLICE("");
	if (!p->shared || !memo_room(scan))
		return look(scan, p, text, matched);
	m = memo_place(scan->memo, scan->memo_cap, text, id);
	if (m->p == NULL) {
		*m = (struct memo){ .p = text.p, .n = text.n, .id = id };
		m->result = look(scan, p, text, &m->matched);
		scan->memo_n++;
	}
	*matched = m->matched;
	return m->result;
}
