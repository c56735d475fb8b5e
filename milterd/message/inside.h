/*
 * inside - what the files of this folder tell each other; nobody else includes it.
 */
#ifndef WEIR_MESSAGE_INSIDE_H
#define WEIR_MESSAGE_INSIDE_H

#include "milterd/message/message.h"

static inline bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* ---- header.c ---------------------------------------------------------------------------- */

/* The name, without blanks before the colon, when line begins with one and a colon; else "". */
struct slice field_name_of(struct slice line);
/* raw without line ends (RFC 5322 2.2.3), trimmed; copied only where there are folds. */
struct slice header_unfold(struct message *m, struct slice raw);
/* A copy in the arena in lower case. */
struct slice lower_copy(struct message *m, struct slice s);

/* ---- words.c: RFC 2047 ------------------------------------------------------------------- */

/* Unfolded text with its encoded words decoded, and 8-bit octets brought to UTF-8. s itself where
 * there is nothing to do. */
struct slice words_decode(struct message *m, struct slice s);

/* ---- charset.c --------------------------------------------------------------------------- */

struct charset;
/* NULL where the label is unknown. "" is US-ASCII (RFC 2045 5.2). */
const struct charset *charset_find(struct slice label);
/* Append `in` as UTF-8. What is no text in that charset becomes U+FFFD and an anomaly; NULL is
 * unknown, and read as windows-1252. At most out->max octets in all; false when it was cut. */
bool charset_add(
    struct message *m, const struct charset *charset, struct slice in, struct bytes *out);
/* The same as a slice: `in` where it is UTF-8 already, else a piece of the arena. At most max
 * octets, never cut inside a character; *cut turns true when there is more. */
struct slice charset_text(
    struct message *m, const struct charset *charset, struct slice in, size_t max, bool *cut);
bool utf8_valid(struct slice s);
/* How many octets at the beginning of s are ASCII. */
size_t ascii_run(struct slice s);
/* At most max octets of well-formed s, no character cut. */
struct slice utf8_cut(struct slice s, size_t max);
/* The code point of an octet of windows-1252. */
uint32_t cp1252_code(unsigned char c);
/* Append one code point as UTF-8 at to (4 octets of room); the octets written. */
size_t utf8_put(char *to, uint32_t c);
void converters_free(struct message *m);

/* ---- decode.c: RFC 2045 6 ---------------------------------------------------------------- */

enum transfer { TRANSFER_IDENTITY, TRANSFER_BASE64, TRANSFER_QP, TRANSFER_UU, TRANSFER_UNKNOWN };
enum transfer transfer_of(struct slice encoding);
/* The decoded octets: raw itself where it is not encoded. .p NULL without memory. */
struct slice transfer_decode(struct message *m, enum transfer transfer, struct slice raw);
/* Into `to`, which has room for in.n octets; the octets written. *odd: 1 noise, 2 padding. */
size_t base64_decode(struct slice in, char *to, unsigned *odd);
enum { BASE64_NOISE = 1, BASE64_PADDING = 2 };
/* The "Q" encoding of RFC 2047 4.2 in the same way. */
size_t q_decode(struct slice in, char *to);
int hex_value(char c); /* 0..15, or -1 */

/* ---- params.c: RFC 2045 5.1, RFC 2231 ---------------------------------------------------- */

enum { PARAMS_MAX = 200 };
struct param {
	struct slice name;  /* without RFC 2231 marks, as written */
	struct slice value; /* unquoted */
	unsigned section;   /* RFC 2231 3; 0 for a parameter without sections */
	bool sectioned, extended, quoted;
};
struct params {
	struct param v[PARAMS_MAX];
	size_t n;
};
/* Read what follows the first value of a Content-* field, from the ';' on. */
void params_read(struct message *m, struct slice s, struct params *out);
/* The value as it stands, for boundary and charset; "" if there is none. *given says which. */
struct slice params_plain(
    struct message *m, const struct params *p, struct slice name, bool *given);
/* The value as text: sections joined, charset and encoded words decoded. "" if there is none. */
struct slice params_text(struct message *m, const struct params *p, struct slice name);

/* ---- mime.c ------------------------------------------------------------------------------ */

/* Build m->root: structure, types, names, raw bodies; bodies of leaves are decoded. */
void mime_parse(struct message *m);
/* The next part in document order, or NULL. */
struct part *part_next(const struct part *p);

/* ---- content.c: a part's Content-* fields ------------------------------------------------ */

struct content {
	bool type_seen, encoding_seen, disposition_seen, multipart, message;
	bool boundary_given;
	struct slice boundary, type_name, disposition_name;
};
/* Take one field into account if it is one of them; true when it begins with "Content-". */
bool content_field(
    struct message *m, struct part *p, struct content *c, struct slice name, struct slice raw);
/* After the last field: defaults and the name. */
void content_finish(struct message *m, struct part *p, struct content *c);

/* ---- html.c ------------------------------------------------------------------------------ */

/* Append the visible text of source to out, up to its limit; URLs of attributes go to url_add. */
void html_render(struct message *m, struct slice source, struct bytes *out);

/* ---- html_tables.c ----------------------------------------------------------------------- */

enum {
	HTML_BLOCK = 1,     /* breaks lines, closes an open <p> */
	HTML_VOID = 2,      /* has no end tag */
	HTML_RAW = 4,       /* its content is neither markup nor text */
	HTML_TEXT = 8,      /* its content is text without markup (title, textarea) */
	HTML_SCOPE = 16,    /* an end tag does not reach out of it */
	HTML_CELL = 32,     /* its neighbours are set apart by a blank */
	HTML_LINE = 64,     /* br */
	HTML_IGNORED = 128, /* its tags mean nothing: html, body, head */
	HTML_KEEP = 256     /* line ends are line ends: pre */
};
/* Elements whose start tag ends others without an end tag. */
enum {
	END_P = 1,
	END_LI = 2,
	END_CELL = 4,
	END_ROW = 8,
	END_DD = 16,
	END_OPTION = 32,
	END_GROUP = 64
};
struct html_element {
	struct slice name;
	uint16_t flags;
	uint8_t is, ends; /* is: what it is ended as; ends: what its start tag ends */
};
/* name in lower case. Never NULL: what is unknown is an element without properties. */
const struct html_element *html_element(struct slice name);
/* The character reference at s ("&amp;", "&#x41;"): octets of UTF-8 put to `to` (4 octets of room),
 * *used octets of s. 0 when s begins with none. attribute: HTML's rule for references without ';'.
 */
size_t html_reference(struct slice s, bool attribute, char *to, size_t *used);

/* ---- url.c ------------------------------------------------------------------------------- */

/* An absolute URL of ours (http, https, ftp, or without scheme "//host"), if it is one. */
void url_add(struct message *m, struct slice url, bool html);
/* All URLs of a text. */
void urls_find(struct message *m, struct slice text);

#endif
