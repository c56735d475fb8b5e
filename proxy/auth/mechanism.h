/*
 * mechanism - the SASL mechanisms that we know: names, and who it is that logs in by them. Left
 * out are those that would vouch for us instead of the client (EXTERNAL), for nobody (ANONYMOUS),
 * or for a channel that ends here (the -PLUS ones).
 * Threads    any: no state.
 */
#ifndef PROXY_AUTH_MECHANISM_H
#define PROXY_AUTH_MECHANISM_H

#include "proxy/auth/bearer.h"

struct mechanism {
	struct slice name;
	unsigned bit;
	/* Append the login that the client's first response (decoded) tells; nothing where it tells
	 * none. */
	void (*login)(struct slice response, struct buf *into);
};

/* By its name in any case, or NULL. */
const struct mechanism *mechanism_find(struct slice name);
/* The bits of a list of names, separated by blanks; those that we do not know are passed over. */
unsigned mechanisms_read(struct slice names);
/* Append " PLAIN LOGIN ...". */
void mechanisms_write(unsigned set, struct bytes *out);

#endif
