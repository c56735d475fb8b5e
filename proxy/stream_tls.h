/*
 * stream_tls - TLS on a connected socket, for stream.c alone: OpenSSL behind calls that look like
 * recv and send.
 * Memory     OpenSSL's record buffers are there only while they hold something, what the handshake
 *            needed goes when it is over.
 * Turns      one call takes no more than about TURN_MAX octets from the socket, so that one peer
 *            does not keep the loop to himself.
 * Errors     errno; EAGAIN as for a socket, EPROTO where stream_tls_error has the words.
 */
#ifndef PROXY_STREAM_TLS_H
#define PROXY_STREAM_TLS_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <sys/types.h>

struct stream_tls;

/* ssl is taken over, its role is set (SSL_set_accept_state, SSL_set_connect_state); fd stays the
 * caller's. NULL without memory: then ssl is freed. */
struct stream_tls *stream_tls_new(SSL *ssl, int fd);
/* polite: tell the peer (close_notify) as far as the socket takes it at once. */
void stream_tls_free(struct stream_tls **t, bool polite);

/* 1: done; 0: to be called again when the socket is ready (see stream_tls_wants_write); -1: errno.
 */
int stream_tls_handshake(struct stream_tls *t);
/* 0 is the peer's end, with close_notify or without: SMTP has ends of its own for what matters. */
ssize_t stream_tls_read(struct stream_tls *t, void *into, size_t n);
/* After EAGAIN the same octets must come again, wherever they lie by then, more behind them or not.
 */
ssize_t stream_tls_write(struct stream_tls *t, const void *octets, size_t n);
/* Look at what stream_tls_read would bring, without taking it. */
ssize_t stream_tls_peek(struct stream_tls *t, void *into, size_t n);
/* No more will be written: close_notify. */
void stream_tls_shut(struct stream_tls *t);

/* Must the socket be writable before the last call can be repeated? */
bool stream_tls_wants_write(const struct stream_tls *t);
/* May stream_tls_read bring something although the socket is not readable? */
bool stream_tls_more(const struct stream_tls *t);
/* Did the peer send anything at all? */
bool stream_tls_heard(const struct stream_tls *t);
/* What EPROTO was about. */
const char *stream_tls_error(const struct stream_tls *t);
SSL *stream_tls_ssl(const struct stream_tls *t);

#endif
