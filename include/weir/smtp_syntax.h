/*
 * smtp_syntax - what stands behind an SMTP verb: paths, ESMTP parameters, domains, xtext (RFC 5321
 * 4.1.2, 4.1.3; RFC 3461 4; RFC 6531 3.3).
 * Errors     0, or -1 with *e set and the output untouched.
 * Ownership  slices point into the line that was parsed.
 */
#ifndef WEIR_SMTP_SYNTAX_H
#define WEIR_SMTP_SYNTAX_H

#include "weir/err.h"
#include "weir/slice.h"

#define SMTP_PATH_MAX       256 /* octets of a path with its brackets (RFC 5321 4.5.3.1.3) */
#define SMTP_DOMAIN_MAX     255
#define SMTP_PARAMETERS_MAX 32 /* of one command; RFCs in force define about a dozen */

struct smtp_path {
	struct slice address; /* "local@domain" without brackets and source route; "" for <> */
	struct slice local;   /* as written, quotes included */
	struct slice domain;  /* "" for <> and <postmaster> */
	bool utf8;            /* holds octets above 127 */
};

struct smtp_parameter {
	struct slice keyword, value; /* value.p is NULL where there is no '=' */
};

enum smtp_path_kind { SMTP_REVERSE_PATH, SMTP_FORWARD_PATH };

/* What follows "MAIL FROM:" or "RCPT TO:": "<path> KEY=value KEY". A source route is taken off (RFC
 * 5321 app. C).
 * <> is a reverse-path only; <postmaster> (any case) a forward-path only (W59). Reserved: octets
 * above 127 are parsed as UTF-8 and reported in path->utf8; the caller knows whether SMTPUTF8
 * allows them. */
int smtp_path_parse(struct slice argument, enum smtp_path_kind kind, struct smtp_path *path,
    struct slice *rest, struct err *e);
/* The ESMTP parameters in rest; a repeated keyword is an error. */
int smtp_parameters_parse(
    struct slice rest, struct smtp_parameter v[SMTP_PARAMETERS_MAX], size_t *n, struct err *e);
/* Values of parameters. SIZE (RFC 1870): one to twenty digits; *size is UINT64_MAX where they are
 * more than that. NOTIFY (RFC 3461 4.1): NEVER, or some of SUCCESS, FAILURE, DELAY, each once.
 * ORCPT (4.2): type ";" xtext, 500 octets; utf8: of a transaction with SMTPUTF8, where octets above
 * 127 may stand (RFC 6533). ENVID (4.4): xtext of at most 100 printable characters. */
int smtp_size_parse(struct slice value, uint64_t *size, struct err *e);
bool smtp_notify_valid(struct slice value);
bool smtp_orcpt_valid(struct slice value, bool utf8);
bool smtp_envid_valid(struct slice value);
/* A lone address, without brackets, as a configuration or a filter writes it; brackets are
 * tolerated. "" is the null reverse-path. */
int smtp_address_parse(
    struct slice text, enum smtp_path_kind kind, struct smtp_path *path, struct err *e);
/* What may stand behind '@': a domain (underscores and octets above 127 included), or an address
 * literal. */
bool smtp_domain_valid(struct slice domain);
/* Domain or address literal of HELO and EHLO: lenient about underscores and the like, strict about
 * control octets, spaces and length. */
bool smtp_helo_valid(struct slice name);
/* xtext (RFC 3461 4): both append. Decoding takes a bare '=' and octets above 127 (RFC 6533) as
 * they are; an encoded NUL is an error (W09), and so is a text that does not fit. */
int smtp_xtext_decode(struct slice xtext, struct buf *out, struct err *e);
void smtp_xtext_encode(struct slice text, struct buf *out);
/* xtext of one to max (below 1024) characters, none of them a control: it comes to stand in header
 * fields, of notifications for one. */
bool smtp_xtext_valid(struct slice xtext, size_t max);

#endif
