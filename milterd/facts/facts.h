/*
 * facts - what is known of a message: a catalogue of names, and values that are computed when a
 * rule asks.
 * Catalogue  one table of rows for each provider; the manual, the JSON Schema and the rule
 *            loader's checks come from it.
 * Three      a fact is known, or unknown (its provider is absent, failed, or it does not apply). A
 *            list that is empty is known.
 * Ownership  values live in the arena of the exam that computed them; a value is never changed
 *            after it was given out.
 */
#ifndef WEIR_FACTS_H
#define WEIR_FACTS_H

#include <jansson.h>
#include <stdio.h>

#include "weir/arena.h"
#include "weir/net.h"

/* The stages of an SMTP session in order; a fact is known from its stage on. */
enum stage {
	STAGE_CONNECT,
	STAGE_HELO,
	STAGE_MAIL,
	STAGE_RCPT,
	STAGE_DATA,
	STAGE_HEADER, /* all header fields are there */
	STAGE_BODY,   /* while the body comes; no fact is new here today */
	STAGE_EOM,
	STAGE_COUNT
};
extern const char *const stage_names[STAGE_COUNT]; /* "connect", ..., "eom" */

enum fact_type {
	FACT_STRING,
	FACT_NUMBER,
	FACT_BOOL,
	FACT_ADDRESS, /* IP address */
	FACT_STRINGS, /* list of strings; a condition matches when one element does */
	FACT_OBJECTS, /* list of objects: some, every, none, count look into it */
};

struct fact_row {
	const char *name;    /* "client.address"; "attachments"; members as "attachments[].name";
			      * "header.*.addr" for any    field name */
	enum fact_type type; /* of a member row: of one element */
	enum stage stage;
	const char *about;   /* one sentence */
	const char *example; /* as JSON */
};

enum value_kind {
	VALUE_UNKNOWN,
	VALUE_STRING,
	VALUE_NUMBER,
	VALUE_BOOL,
	VALUE_ADDRESS,
	VALUE_LIST,
	VALUE_OBJECT
};

struct value {
	enum value_kind kind;
	union {
		struct slice string;
		double number;
		bool boolean;
		struct address address;
		struct {
			const struct value *v;
			size_t n;
		} list;
		struct {
			const struct member *v;
			size_t n;
		} object;
	};
};
struct member {
	const char *name;
	struct value value;
};

extern const struct value value_unknown;
struct value value_string(struct slice s);
struct value value_number(double n);
struct value value_bool(bool b);
struct value value_address(struct address a);
/* As JSON: strings that are no UTF-8 have their bad octets replaced by U+FFFD; a new reference,
 * NULL for unknown. */
json_t *value_json(const struct value *v);
/* As text, appended: lists are joined by ", ", unknown and objects add nothing. Control octets are
 * left out, so that the text can stand in a header field, a reply or a log line. */
void value_text(const struct value *v, struct buf *into);
/* The member of an object, or unknown. */
const struct value *value_member(const struct value *object, const char *name);

struct exam; /* milterd/exam.h: one session and the message in hand */

struct provider {
	const char *
	    name; /* "client", "virus": what `weir check --without` and the timing report call it */
	const struct fact_row *rows;
	size_t n;
	bool costly; /* runs only when a rule, policy or template asks for one of its facts, even
			for weir check */
	/* The value of rows[row] for the message in hand; name is the field's for header.*, in
	 * lower case, else empty. Called at most once a message for each fact, not before the
	 * fact's stage. */
	struct value (*get)(struct exam *x, size_t row, struct slice name);
};

extern const struct provider *const providers[]; /* NULL-terminated, facts/providers.c */

/* A fact that something asks for: the catalogue's row, and the field's name for header.*. */
struct fact_ref {
	const struct provider *provider;
	size_t row;
	char *
	    name; /* as asked for: "header.subject", "attachments"; owned by whoever made the ref */
	char *field; /* "subject" for header.*, else NULL; owned likewise */
	enum fact_type type;
	enum stage stage;
};
/* Find a name. 0, or -1 with *e 'unknown fact "spf.reslt" (did you mean "spf.result"?)'. out owns
 * its texts: fact_ref_free. A member name ("attachments[].name") is found too, with the type of one
 * element. */
int catalogue_find(struct slice name, struct fact_ref *out, struct err *e);
void fact_ref_free(struct fact_ref *r);
/* The row of member `member` in the list of objects `list` ("attachments", "extension"), or NULL.
 */
const struct fact_row *catalogue_member(struct slice list, struct slice member);
/* What a row's type is called in errors and manuals: "text", "number", "list of texts", ... */
extern const char *const fact_type_names[];
/* Every fact of every provider as Markdown tables: name, type, stage, one sentence, example. */
void catalogue_manual(FILE *to);

#endif
