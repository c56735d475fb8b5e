/*
 * net - addresses, networks and endpoints as values.
 * Text       addresses as in RFC 4291 and RFC 1123 ("192.0.2.1", "2001:db8::1"); a v4-mapped IPv6
 *            address is kept as IPv4. Endpoints: "unix:PATH", "inet:HOST:PORT", "HOST:PORT",
 *            "[v6]:PORT".
 * Errors     0, or -1 with *e set and the output untouched.
 */
#ifndef WEIR_NET_H
#define WEIR_NET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "weir/err.h"
#include "weir/slice.h"

#define ADDRESS_TEXT_MAX  64 /* address as text, NUL included */
#define ENDPOINT_TEXT_MAX 300

struct address {
	int family;         /* AF_INET, AF_INET6, AF_UNIX, or AF_UNSPEC where nothing is known */
	uint8_t octets[16]; /* network order; the first 4 for AF_INET */
	uint16_t port;      /* host order, 0 unknown */
};

struct network {
	struct address base; /* host bits are zero */
	unsigned prefix;     /* bits */
};

struct endpoint {
	bool local; /* a Unix socket: path; else host and port */
	char path[108];
	char host[256]; /* name or address, without brackets */
	uint16_t port;
};

int address_parse(struct slice text, struct address *out, struct err *e);
/* From a socket address; AF_UNSPEC for families that are none of ours. */
struct address address_of(const struct sockaddr *sa);
/* Fills *ss for an AF_INET or AF_INET6 address and returns its length; 0 otherwise. */
socklen_t address_sockaddr(const struct address *a, struct sockaddr_storage *ss);
/* "192.0.2.1", "2001:db8::1", "local" or "unknown"; returns into, which holds ADDRESS_TEXT_MAX
 * octets. */
char *address_text(const struct address *a, char into[ADDRESS_TEXT_MAX]);
bool address_eq(const struct address *a, const struct address *b); /* ports do not count */

/* "192.0.2.0/24", "2001:db8::/32", or a lone address. Host bits that are set are an error.
 * "::ffff:192.0.2.0/120" is 192.0.2.0/24, as v4-mapped addresses are kept as IPv4. */
int network_parse(struct slice text, struct network *out, struct err *e);
bool network_has(const struct network *n, const struct address *a);

int endpoint_parse(struct slice text, struct endpoint *out, struct err *e);
/* As it would be written in the configuration; returns into (ENDPOINT_TEXT_MAX octets). */
char *endpoint_text(const struct endpoint *ep, char into[ENDPOINT_TEXT_MAX]);
/* Resolve (host names block: start-up and command line only) and listen, non-blocking,
 * close-on-exec. For a Unix socket a file that nobody serves is removed and the mode is set; one
 * that somebody serves is an error. reuse_port sets SO_REUSEPORT. The fd, or -1 with *e, which says
 * what to do. */
int endpoint_listen(
    const struct endpoint *ep, int backlog, mode_t mode, bool reuse_port, struct err *e);
/* Connect, blocking at most timeout_ms. The fd (blocking, close-on-exec, TCP_NODELAY), or -1. */
int endpoint_connect(const struct endpoint *ep, int timeout_ms, struct err *e);
/* The port a listening TCP socket got (for port 0). */
uint16_t socket_port(int fd);

#endif
