/*
 * received - the trace field of this hop (RFC 5321 4.4, RFC 3848, RFC 6531 4.3; W102).
 * Errors     the field is cut to what fits; every octet that could leave the field or its comment
 *            becomes '?'.
 */
#ifndef PROXY_RECEIVED_H
#define PROXY_RECEIVED_H

#include <time.h>

#include "proxy/tls/facts.h"
#include "weir/net.h"

struct received {
	struct slice helo, by, id;
	struct slice client_name; /* verified; .p NULL where there is none */
	const struct address *client;
	struct slice only_recipient; /* .p NULL where there are several: none of them is told of
					the others */
	bool esmtp, utf8;
	bool authenticated;          /* by AUTH */
	bool tls_in_front;           /* TLS was ended in front of us: nothing more is known */
	const struct tls_facts *tls; /* NULL: in the clear */
	const char
	    *certificate; /* common name of the client's, "" where it has none; NULL: none shown */
	time_t when;
};

#define RECEIVED_MAX 2000

/* "Received: ...\r\n", folded. into is empty and holds RECEIVED_MAX octets. */
void received_write(const struct received *r, struct buf *into);

#endif
