/*
 * base64 - as RFC 4648 4 writes it and RFC 4954 4 wants it: with its padding, and without a single
 * octet more.
 * Errors     decoding: false, with into as far as it came; what it holds then means nothing.
 * Threads    any: no state.
 */
#ifndef PROXY_AUTH_BASE64_H
#define PROXY_AUTH_BASE64_H

#include "weir/slice.h"

/* Octets that encoding n octets takes. */
#define BASE64_MAX(n) (((n) + 2) / 3 * 4)

/* Append what text stands for. False when it is no base64 (bits that the padding leaves over must
 * be zero), or does not fit. */
bool base64_read(struct slice text, struct buf *into);
/* Append octets as base64. */
void base64_write(struct slice octets, struct buf *into);

#endif
