/*
 * load - an SMTP load generator for bench/: some sessions at once, kept busy or left at rest,
 * plain, after STARTTLS or under implicit TLS (RFC 3207, RFC 8314). It must cost less than what it
 * measures: one thread with epoll, one write per command group, the message ready-made. Every
 * reply is checked; the first one that is not as expected ends the program with its text. Units
 * octets; times in nanoseconds of the monotonic clock unless a name says otherwise.
 * Threads    none.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <stdio.h>
#include <sys/socket.h>

#include <openssl/ssl.h>

#include "weir/slice.h"

enum load_tls { LOAD_PLAIN, LOAD_STARTTLS, LOAD_IMPLICIT };

struct load_options {
	size_t sessions;       /* at the same time */
	size_t messages;       /* in all; of connections where a connection carries none */
	size_t per_connection; /* messages; 0: connect, EHLO, QUIT */
	size_t size;           /* of a message, without the dot that ends it */
	double seconds;        /* begin nothing after so long; 0: only the number counts */
	enum load_tls tls;
	bool resume;   /* each connection offers the ticket of the one before (RFC 8446 2.2) */
	bool pipeline; /* MAIL, RCPT and DATA in one write (RFC 2920) */
	bool rest;     /* sessions stay after their messages until standard input ends */
};

/* Ends the program. */
_Noreturn void load_stop(const char *format, ...) __attribute__((format(printf, 1, 2)));
uint64_t load_now(void);

/* ---- a connection's octets, with or without TLS (load_channel.c) */

struct channel {
	int fd;   /* -1: closed */
	SSL *ssl; /* NULL: plain */
	bool want_write;
};

enum { CHANNEL_WAIT = -1 };

void channel_connect(struct channel *c, const struct sockaddr *to, socklen_t to_n);
/* Octets, 0 at the end, or CHANNEL_WAIT, with want_write where that is what it waits for. */
ssize_t channel_read(struct channel *c, void *into, size_t n);
ssize_t channel_write(struct channel *c, struct slice octets);
/* TLS from here on; ticket may be NULL. The new tickets come to the context's callback, with arg as
 * the SSL's application data. */
void channel_start_tls(struct channel *c, SSL_CTX *tls, SSL_SESSION *ticket, void *arg);
/* True when the handshake is over, false where it waits. */
bool channel_handshake(struct channel *c);
void channel_close(struct channel *c);

/* ---- sessions (load_session.c) */

struct load;

/* Runs until all is delivered. */
struct load *load_new(const struct load_options *o, const struct sockaddr *to, socklen_t to_n);
void load_run(struct load *l);
/* What was measured, as one line of JSON. */
void load_report(struct load *l, FILE *to);
void load_free(struct load **l);

#endif
