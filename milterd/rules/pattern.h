/*
 * pattern - regular expressions over hostile text: compiled once, looked for at most once in each
 * text, never for long.
 * Engine     PCRE2 with JIT, UTF-8 that tolerates broken octets, Unicode classes; a set is the
 *            seam behind which another engine can look for all patterns of it in one pass.
 * Limits     backtracking, depth and memory of one match, and processor time over long texts. A
 *            pattern that reaches one gives up: that is no match and no miss, and a line in the
 *            log.
 * Sharing    a set is immutable once all patterns are added: any thread. A scan is one message's.
 */
#ifndef WEIR_PATTERN_H
#define WEIR_PATTERN_H

#include "weir/err.h"

#define PATTERN_SOURCE_MAX 4096  /* octets of one expression */
#define PATTERN_COUNT_MAX  20000 /* expressions of one set */

struct pattern_set;
struct pattern_set *pattern_set_new(void); /* NULL without memory */
void pattern_set_free(struct pattern_set **set);
/* Compile; an expression that is there already gets its number again. 0, or -1 with *e 'bad regex
 * at octet 7: missing closing parenthesis'. */
int pattern_set_add(struct pattern_set *set, struct slice source, uint32_t *id, struct err *e);
struct slice pattern_source(const struct pattern_set *set, uint32_t id);

enum pattern_result { PATTERN_MISS, PATTERN_HIT, PATTERN_GAVE_UP };

struct pattern_scan;
struct pattern_scan *pattern_scan_new(const struct pattern_set *set);
void pattern_scan_free(struct pattern_scan **scan);
/* Look for a pattern. A text is told by its address and length, so it must not change between
 * pattern_scan_forget() calls. *matched is the first match inside text, set on a hit alone. */
enum pattern_result pattern_find(
    struct pattern_scan *scan, uint32_t id, struct slice text, struct slice *matched);
void pattern_scan_forget(struct pattern_scan *scan);

#endif
