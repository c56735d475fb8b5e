/*
 * proxy_header - the header of the PROXY protocol, version 1 (a line) and 2 (binary), that a load
 * balancer sends ahead of a connection that it passes on (HAProxy's proxy-protocol.txt; W108).
 * Parsing    a pure function of the octets so far: call it again with more until it is done. It
 *            never asks for more than PROXY_HEADER_MAX octets, and says that it is no header at
 *            the first octet that cannot be one. TLVs that are not known are skipped; a checksum
 *            is checked where it is given.
 * Ownership  texts point into the octets that were parsed.
 */
#ifndef PROXY_LISTEN_PROXY_HEADER_H
#define PROXY_LISTEN_PROXY_HEADER_H

#include "weir/net.h"

/* Of version 2, TLVs included. A client's certificate may be among them; nothing else is large. */
#define PROXY_HEADER_MAX  16384
#define PROXY_UNIQUE_MAX  128 /* octets of PP2_TYPE_UNIQUE_ID */
#define PROXY_SIGNATURE_2 SLICE("\r\n\r\n\0\r\nQUIT\n")

struct proxy_header {
	bool local; /* LOCAL, UNKNOWN, UNSPEC, a Unix socket: the client is who connected to us */
	struct address client, server; /* meaningless where local */
	struct slice unique_id;        /* .p NULL where the TLV is not there; octets, not text */
	struct slice authority;        /* the name that the client asked for (SNI) */
	struct {
		bool used;                    /* the client came over TLS */
		bool verified;                /* and showed a certificate that was found good */
		struct slice version, cipher; /* "TLSv1.3", "TLS_AES_256_GCM_SHA384" */
		struct slice common_name;     /* of the client's certificate */
	} tls;
};

/* 1: a whole header, *used octets of in; 0: more is needed; -1: none, with *e, and *h as it was. */
int proxy_header_parse(struct slice in, struct proxy_header *h, size_t *used, struct err *e);

#endif
