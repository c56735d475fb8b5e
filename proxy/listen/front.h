/*
 * front - what somebody in front of us who is trusted told of a client, beside his address: a load
 * balancer in its PROXY header, a proxy with XCLIENT.
 * Ownership  all texts are the front's, and printable ASCII without blanks.
 */
#ifndef PROXY_LISTEN_FRONT_H
#define PROXY_LISTEN_FRONT_H

#include "proxy/listen/proxy_header.h"

struct front {
	struct address server;  /* where the client connected to; AF_UNSPEC: not told */
	char *unique_id;        /* the balancer's id of the connection; NULL: none, as below */
	char *authority;        /* the server name that the client asked for by SNI */
	bool tls, tls_verified; /* TLS ended in front of us; with a good client certificate */
	char *tls_version, *tls_cipher;
	char *tls_name; /* common name of the client's certificate */
	char *login;    /* who logged in there */
	uint64_t ttl;   /* how often the session may be passed on; UINT64_MAX: not told */
};

/* An empty one, or NULL without memory. */
struct front *front_new(void);
/* What the header tells; NULL without memory. An id that is no text is written in hexadecimal. */
struct front *front_of(const struct proxy_header *h);
void front_free(struct front **f);
/* Keep a text, what is not printable in it as '?'; false without memory. */
bool front_text(char **at, struct slice text);

#endif
