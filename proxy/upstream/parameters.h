/*
 * parameters - the ESMTP parameters of a transaction on their way to a backend: only what it lists
 * the extension of is sent (W111), and nothing is invented (W115).
 * Text       "SIZE=100 BODY=8BITMIME", one blank between them, as the server side made it.
 * Threads    any.
 */
#ifndef PROXY_UPSTREAM_PARAMETERS_H
#define PROXY_UPSTREAM_PARAMETERS_H

#include "weir/slice.h"

/* Append " KEYWORD=value" for each that the extensions (enum extension) allow. */
void parameters_write(const char *parameters, unsigned extensions, struct bytes *out);
/* The extensions without which the message cannot go on at all (W112). */
unsigned parameters_need(const char *parameters);
/* The value of KEYWORD=value; .p is NULL where it is not among them. */
struct slice parameters_value(const char *parameters, struct slice keyword);

#endif
