/*
 * slice, buf, bytes - text that carries its length. slice      borrowed octets; never freed, may
 * hold NUL. A slice lives as long as what it points into. buf        bounded octets in storage of
 * the caller's; appending past the end sets `cut`, never overflows. bytes      owned octets on the
 * heap that grow up to a limit of their own; appending past the limit, or without memory, sets
 * `failed` and keeps what was held. Threads values without shared state: any thread, one at a
 * time.
 */
#ifndef WEIR_SLICE_H
#define WEIR_SLICE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
	const char *p;
	size_t n;
};

struct buf {
	char *p;
	size_t n, cap;
	bool cut;
};

struct bytes {
	char *p;       /* p[n] == '\0' whenever p is not NULL */
	size_t n, cap; /* cap counts the final NUL */
	size_t max;    /* most octets it may hold; 0 means no limit but memory */
	bool failed;
};

#define SLICE(lit) ((struct slice){ "" lit, sizeof(lit) - 1 })
/* A zeroed char array as an empty buf. */
#define BUF_ON(array) ((struct buf){ .p = (array), .cap = sizeof(array) })
#define COUNT(array)  (sizeof(array) / sizeof((array)[0]))
/* For printf("%.*s", SLICE_ARG(s)); s must be shorter than INT_MAX. */
#define SLICE_ARG(s) (int)(s).n, (s).p != NULL ? (s).p : ""

static inline struct slice slice_z(const char *z)
{
	return (struct slice){ z, z != NULL ? strlen(z) : 0 };
}
static inline struct slice slice_of(const void *p, size_t n)
{
	return (struct slice){ p, n };
}
static inline struct slice buf_slice(const struct buf *b)
{
	return (struct slice){ b->p, b->n };
}
static inline struct slice bytes_slice(const struct bytes *b)
{
	return (struct slice){ b->p, b->n };
}
/* ASCII only, whatever the locale: what SMTP and MIME compare by. */
static inline char ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}
static inline bool ascii_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
static inline bool ascii_digit(char c)
{
	return c >= '0' && c <= '9';
}
static inline bool ascii_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\v' || c == '\f';
}

/* Is every octet below 128? */
bool slice_ascii(struct slice s);
bool slice_eq(struct slice a, struct slice b);
/* Equal when ASCII case is ignored. */
bool slice_ieq(struct slice a, struct slice b);
/* Order like memcmp, shorter first. */
int slice_cmp(struct slice a, struct slice b);
bool slice_starts(struct slice s, struct slice prefix);
bool slice_istarts(struct slice s, struct slice prefix);
bool slice_iends(struct slice s, struct slice suffix);
/* Index of the first c in s, or s.n. */
size_t slice_find(struct slice s, char c);
/* Index of the first occurrence of needle, or s.n where there is none. */
size_t slice_find_slice(struct slice s, struct slice needle);
size_t slice_ifind_slice(struct slice s, struct slice needle);
/* Take what stands before the first c off *s, and that c with it; all of *s where there is no c. */
struct slice slice_cut(struct slice *s, char c);
/* Without leading and trailing ASCII white space. */
struct slice slice_trim(struct slice s);
/* The part from octet `from` on, at most n octets; both are cut to what is there. */
static inline struct slice slice_sub(struct slice s, size_t from, size_t n)
{
	if (from > s.n)
		from = s.n;
	if (n > s.n - from)
		n = s.n - from;
	return (struct slice){ from > 0 ? s.p + from : s.p, n };
}
/* The whole of s as a decimal number without sign. 0, or -1 when it is empty, no number, or above
 * max. */
int slice_number(struct slice s, uint64_t max, uint64_t *out);
/* Is s well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms)? */
bool slice_utf8(struct slice s);
/* A NUL-terminated heap copy (inner NULs are kept), or NULL without memory. The caller frees it. */
char *slice_dup(struct slice s);

/* Append s. If it does not fit, b keeps what it held and b->cut turns, and stays, true. */
static inline void buf_add(struct buf *b, struct slice s)
{
	b->cut |= s.n >= b->cap - b->n;
	if (b->cut)
		return;
	if (s.n > 0)
		memcpy(b->p + b->n, s.p, s.n);
	b->n += s.n;
	b->p[b->n] = '\0';
}
static inline void buf_addc(struct buf *b, char c)
{
	b->cut |= 1 >= b->cap - b->n;
	if (b->cut)
		return;
	b->p[b->n++] = c;
	b->p[b->n] = '\0';
}
/* n in decimal, with zeros in front up to `width` digits (at most 20): what is written for every
 * message is spared the machinery of printf. */
void buf_addu(struct buf *b, uint64_t n, size_t width);
void buf_addf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_vaddf(struct buf *b, const char *format, va_list ap) __attribute__((format(printf, 2, 0)));

/* bytes_reserve, where the room may not be there. */
bool bytes_grow(struct bytes *b, size_t n);
/* Room for n more octets without another allocation. */
static inline bool bytes_reserve(struct bytes *b, size_t n)
{
	/* Where there is a limit, the storage may be larger than what it leaves. */
	return (b->max == 0 && n < b->cap - b->n) || bytes_grow(b, n);
}
/* Append; false, with b->failed set and b unchanged, when it does not fit or memory is gone. */
static inline bool bytes_add(struct bytes *b, struct slice s)
{
	if (!bytes_reserve(b, s.n))
		return false;
	if (s.p != NULL)
		memcpy(b->p + b->n, s.p, s.n);
	b->n += s.n;
	b->p[b->n] = '\0';
	return true;
}
static inline bool bytes_addc(struct bytes *b, char c)
{
	return bytes_add(b, (struct slice){ &c, 1 });
}
bool bytes_addf(struct bytes *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Empty, storage and limit kept, failed cleared. */
void bytes_clear(struct bytes *b);
/* Free the storage; b is empty and usable again with the same limit. */
void bytes_free(struct bytes *b);
/* Hand the storage to the caller (who frees it); never NULL unless memory is gone. b is empty
 * afterwards. */
char *bytes_take(struct bytes *b);

#endif
