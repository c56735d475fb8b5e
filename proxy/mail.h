/*
 * mail - one mail transaction's content as the proxy holds it: envelope, header fields, body.
 * Filters edit it (filter/), the upstream sends it (upstream/).
 * Fields     whole lines as on the wire ("Name: value" CR LF, folds included). Where the proxy
 *            adds a Received field of its own, it is fields[0] and `own_received` is true: filters
 *            never see it and their indexes count as Postfix has them (the reference: index 0 is
 *            above it, 1 below). Ownership everything here is the mail's; mail_free releases it.
 * Errors     false when memory is gone; the mail is unchanged then.
 */
#ifndef PROXY_MAIL_H
#define PROXY_MAIL_H

#include "proxy/spool.h"
#include "weir/slice.h"

struct mail_recipient {
	char *address;    /* without brackets */
	char *parameters; /* "NOTIFY=NEVER ORCPT=rfc822;a@b", "" if none; lies behind the address */
};

struct mail_field {
	char *line; /* "Name: value\r\n", owned */
	size_t n;
	size_t name_n; /* octets of the name, trailing blanks not counted */
	size_t value;  /* offset of what follows the colon */
};

struct mail {
	char id[32];        /* transaction id, "7f3a91.2" */
	char *reverse_path; /* without brackets, "" for <> */
	char *parameters;   /* of MAIL, as they go on; lie behind the reverse-path */
	struct mail_recipient *recipients;
	size_t recipient_count, recipient_cap;
	struct mail_field *fields;
	size_t field_count, field_cap;
	bool own_received;
	bool separator; /* an empty line stands between header section and body */
	struct spool *body;
	bool
	    envelope_edited; /* a filter changed reverse-path or recipients: the upstream replays */
};

void mail_free(struct mail *m);
bool mail_set_reverse_path(struct mail *m, struct slice address, struct slice parameters);
bool mail_add_recipient(struct mail *m, struct slice address, struct slice parameters);
/* The recipient added last, when the backend or a filter refused it. */
void mail_drop_recipient(struct mail *m);
/* All recipients with that address (domain without case); how many went. */
size_t mail_remove_recipient(struct mail *m, struct slice address);
/* line: "Name: value\r\n". at: position in fields; at or past the end appends. */
bool mail_insert_field(struct mail *m, size_t at, struct slice line);
void mail_remove_field(struct mail *m, size_t at);
/* All of them. */
void mail_drop_fields(struct mail *m);
/* Exchange a field's line. */
bool mail_change_field(struct mail *m, size_t at, struct slice line);
/* Octets of header section, separator and body. */
uint64_t mail_size(const struct mail *m);

#endif
