/*
 * bearer - what a client says in OAUTHBEARER (RFC 7628 3.1) and XOAUTH2 (Google's forerunner of
 * it): an access token, and perhaps for whom.
 * Errors     0, or -1 with *e set and the output untouched.
 * Ownership  slices point into the text that was parsed.
 * Threads    any.
 */
#ifndef PROXY_AUTH_BEARER_H
#define PROXY_AUTH_BEARER_H

#include "weir/err.h"
#include "weir/slice.h"

/* A name as mechanisms write it, decoded; more is no login of ours. */
#define LOGIN_MAX 255

struct bearer {
	char user[LOGIN_MAX + 1]; /* "" where the client names none (XOAUTH2 always does) */
	struct slice
	    token; /* b64token of RFC 6750 2.1: no octet that a header or a form could trip over */
};

/* "n,a=user,^Ahost=..^Aauth=Bearer TOKEN^A^A" */
int bearer_parse(struct slice text, struct bearer *out, struct err *e);
/* "user=..^Aauth=Bearer TOKEN^A^A" */
int bearer_parse_xoauth2(struct slice text, struct bearer *out, struct err *e);
/* A name of SASL's GS2 header and of SCRAM: "=2C" is a comma and "=3D" an equals sign (RFC 5801 4).
 * False when it is none, is empty or does not fit. */
bool saslname_read(struct slice text, struct buf *into);

#endif
