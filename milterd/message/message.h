/*
 * message - one mail message as data: header fields, MIME parts, text, URLs, attachments,
 * anomalies.
 * Growth     header fields and body octets are added as they arrive, from a milter or from a file,
 *            then message_parse looks once; the same message gives the same structure whichever
 *            way it came.
 * Canonical  raw is what a backend would see: "Name:value" lines and body with CR LF line ends;
 *            blanks before a colon are not kept (a milter never shows them). A line without a
 *            colon in a file's header section begins the body, as it does for Postfix and
 *            Sendmail.
 * Limits     64 levels, 1 000 parts, 1 MB of header, `max` octets in all; what lies behind a limit
 *            is counted and named by an anomaly, never silently dropped.
 * Ownership  everything hangs from the message's arena and buffers; message_free releases it.
 *            Slices in the structures point there and may hold NUL. Those of header fields are
 *            good once the last field was added.
 * Threads    one at a time.
 */
#ifndef WEIR_MESSAGE_H
#define WEIR_MESSAGE_H

#include "weir/arena.h"
#include "weir/slice.h"

#define MESSAGE_DEPTH_MAX  64
#define MESSAGE_PARTS_MAX  1000
#define MESSAGE_HEADER_MAX (1u << 20)
#define MESSAGE_FIELDS_MAX 20000
#define MESSAGE_URLS_MAX   2000

struct header_field {
	struct slice name;  /* as written, trailing blanks removed */
	struct slice raw;   /* behind the colon, folding kept with CR LF, without the last CR LF */
	struct slice value; /* unfolded, trimmed, encoded words decoded (RFC 2047) to UTF-8; filled
			     * by message_parse for the message's own fields, by header_value() for
			     * those of inner parts and before message_parse */
};

/* A mailbox of an address field (RFC 5322 3.4). */
struct mailbox {
	struct slice name;    /* display name, decoded; "" if none */
	struct slice address; /* local@domain, domain in lower case; "" if there is none */
};

struct part {
	struct part *parent, *next, *first, *last; /* siblings are chained by next; first and last
						    * are children */
	unsigned depth, number;
	struct header_field *fields;
	size_t field_count;
	struct slice type;     /* "text/html", lower case; "text/plain" where none is declared (RFC
				* 2045 5.2) */
	struct slice charset;  /* lower case, "" if none */
	struct slice encoding; /* "base64", lower case, "" if none */
	struct slice disposition; /* "attachment", "inline" or "" */
	struct slice name;        /* best file name, decoded, "" if none */
	struct slice raw_body;    /* encoded octets inside the message */
	struct slice body;        /* decoded octets (transfer encoding only); a leaf's content */
	bool leaf;
	bool attachment; /* a leaf that is no body text: named, declared an attachment, or not
			  * text/plain|html. Named text that mail programs show in line stands in
			  * body.text as well */
	char sha256[65]; /* of body, hex; "" for what is no attachment */
};

struct url {
	struct slice url;    /* as written, entities decoded */
	struct slice host;   /* lower case, without port and user information */
	struct slice domain; /* the last two labels of host, or host where it is an address literal
			      * or shorter */
	bool html;           /* from an attribute, not from text */
};

struct converters;
struct url_set;

struct message {
	struct arena arena;
	struct bytes header; /* raw header section without the empty line */
	struct bytes body;   /* raw body */
	size_t max;          /* most octets of header and body together that are kept */
	uint64_t size;       /* octets seen in all: header, empty line and body */
	struct header_field *fields;
	size_t field_count, field_cap;
	struct part *root;
	size_t part_count;
	struct slice text; /* body.text: visible text of all text parts, UTF-8, HTML rendered; lines
			    * end with LF */
	struct slice html; /* body.html: sources of all HTML, attached pages included, UTF-8 */
	struct url *urls;
	size_t url_count;
	struct part **attachments;
	size_t attachment_count;
	struct slice *anomalies; /* "header.no_colon", "mime.boundary_missing", "mime.too_deep", ...
				  * in the order of message_anomalies; filled by message_parse */
	size_t anomaly_count;
	bool parsed;
	bool failed; /* memory or a limit made the structure incomplete; an anomaly says which */

	/* The parser's own. */
	struct bytes text_store, html_store;
	struct converters *converters; /* open iconv descriptors */
	struct url_set *url_set;
	size_t inner_fields;    /* header fields of inner parts that are kept */
	size_t decoded;         /* octets that transfer decoding made */
	unsigned bad_sequences; /* octets that were none in their charset */
	uint64_t anomaly_bits;
	bool ends_cr; /* the last body octet was a CR: a LF may follow in the next chunk */
};

void message_start(struct message *m, size_t max_bytes);
void message_free(struct message *m);
/* Add a field as a milter gives it: folds are LF or CR LF, value with or without its leading space
 * (leading_space says which). False when memory is gone. */
bool message_field(struct message *m, struct slice name, struct slice value, bool leading_space);
bool message_body(struct message *m, struct slice octets);
/* Add a whole message as a file holds it: LF and CR LF line ends, an mbox "From " line is skipped.
 */
bool message_raw(struct message *m, struct slice file);
/* Look at everything: fields, parts, text, URLs, attachments. At most text_max octets of text and
 * of html are kept. Call once, after the last body octet. */
void message_parse(struct message *m, size_t text_max);
/* The decoded value, computed once. Usable before message_parse (rules of the header stage). */
struct slice header_value(struct message *m, struct header_field *f);
/* The n-th field (from 0) with that name, or NULL. */
struct header_field *message_find(struct message *m, struct slice name, size_t n);
/* The mailboxes of an address field; *count at most 1 000. NULL where there is none. */
struct mailbox *message_mailboxes(struct message *m, struct header_field *f, size_t *count);
/* All octets seen so far were kept: what was not is unknown, never clean. */
bool message_whole(const struct message *m);
/* The whole as it would be sent: header, empty line, body, appended to out. */
bool message_write(const struct message *m, struct bytes *out);

/* What message.anomalies may hold, for the manual: *n rows of a name and a sentence each. */
struct anomaly_row {
	const char *name, *about;
};
const struct anomaly_row *message_anomalies(size_t *n);

#endif
