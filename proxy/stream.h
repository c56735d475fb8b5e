/*
 * stream - a connected socket with its octets in and out: the bottom of both SMTP sides, plain or
 * under TLS (stream_tls.c), which changes nothing for the owner.
 * Input      lies in place until it is taken, and may be looked at until the next stream_flush or
 *            the return to the loop; at most input_max octets wait, then the peer is not read
 *            (back-pressure).
 * Output     is appended to stream_output() and leaves with stream_flush(), which writes at once
 *            and lets only what the socket refuses wait for the loop.
 * Callbacks  run from the event loop, never inside a call of ours; stream_free may be called in
 *            them.
 * Threads    one loop.
 */
#ifndef PROXY_STREAM_H
#define PROXY_STREAM_H

#include <event2/event.h>
#include <openssl/types.h>
#include <sys/types.h>

#include "weir/slice.h"

struct stream;

struct stream_events {
	void (*on_input)(void *arg);   /* more octets lie there, or stream_eof turned true */
	void (*on_drained)(void *arg); /* all output that had to wait is written */
	void (*on_failed)(void *arg, const char *error); /* reset or not writable: no more events */
	void (*on_secured)(void *arg); /* the TLS handshake is done; NULL where none is started */
};

/* Takes fd (non-blocking) over. NULL without memory: fd is closed. */
struct stream *stream_new(struct event_base *base, int fd, size_t input_max,
    const struct stream_events *events, void *arg);
/* Closes the socket. What was not flushed is lost. */
void stream_free(struct stream **s);

/* What lies there; and n octets of it are done with. */
struct slice stream_input(const struct stream *s);
void stream_take(struct stream *s, size_t n);
/* The peer will send no more than what lies there. */
bool stream_eof(const struct stream *s);
/* Do not read, whatever the room; or read again. */
void stream_pause(struct stream *s, bool pause);

/* Where output is appended, and off with it. A write that fails is told by on_failed. */
struct bytes *stream_output(struct stream *s);
void stream_flush(struct stream *s);
/* Flush, then write octets that lie elsewhere; what the socket does not take at once is copied. So
 * a stream of much output holds no buffer of its size. */
void stream_write(struct stream *s, struct slice octets);
/* The same for n parts (at most STREAM_PARTS), one behind the other. */
#define STREAM_PARTS 4
void stream_write_parts(struct stream *s, const struct slice *parts, size_t n);
/* Octets that were flushed and wait for the socket, or were not flushed yet; never 0 once a write
 * has failed. */
size_t stream_unsent(const struct stream *s);
/* No more output will follow: the peer sees the end after what is written. */
void stream_shut(struct stream *s);
/* The socket; the stream's. */
int stream_fd(const struct stream *s);
/* Octets of memory that input and output take, beyond the little that an idle one keeps. */
size_t stream_memory(const struct stream *s);

/* Turn to TLS. What was read and not taken is dropped (RFC 3207 6); what was flushed leaves in the
 * clear first. ssl is taken over, its role set. Until on_secured nothing is read or written; an
 * on_failed within deadline_s, with the reason in words, is a failed handshake. False without
 * memory: then the stream can only be freed. */
bool stream_tls_start(struct stream *s, SSL *ssl, int64_t deadline_s);
/* What the peer and we agreed on: NULL before stream_tls_start. The stream's. */
SSL *stream_ssl(const struct stream *s);
/* Did the peer of a handshake say anything at all? */
bool stream_tls_spoke(const struct stream *s);
/* The first octets that wait to be read, without reading them; as recv with MSG_PEEK. */
ssize_t stream_peek(struct stream *s, void *into, size_t n);

#endif
