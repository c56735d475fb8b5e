/*
 * stream_inside - what the files of a stream share: its octets (stream.c) and the turn to TLS
 * (stream_handshake.c).
 */
#ifndef PROXY_STREAM_INSIDE_H
#define PROXY_STREAM_INSIDE_H

#include <event2/event_struct.h>

#include "proxy/stream.h"
#include "proxy/stream_tls.h"

struct stream {
	struct event_base *base;
	int fd;
	const struct stream_events *events;
	void *arg;
	unsigned depth; /* of callbacks that run; a stream freed in one goes when it returns */
	bool dead;      /* ... and is this until then */

	/* input */
	struct event readable;
	bool reading;       /* the event is set */
	struct slice fresh; /* octets just read that nobody took yet; on the stack of on_readable */
	struct bytes in;    /* octets that had to wait, from in_at on */
	size_t in_at, input_max;
	bool eof, paused, full; /* full: as much waits as may */

	/* output */
	struct event writable; /* also brings the news of a failed write */
	bool waiting;          /* the event is set */
	struct bytes out;      /* octets that the socket did not take yet, from out_at on */
	size_t out_at;
	int error; /* errno of a failed write, reported from the loop */

	/* TLS */
	struct stream_tls *tls;  /* NULL: plain */
	struct event *handshake; /* its deadline; NULL: none is under way */
};

/* ---- stream.c ----------------------------------------------------------------------------- */

/* Put the read event where eof, pause and room want it. */
void stream_watch(struct stream *s);
/* Under TLS octets may wait that the socket knows nothing of any more: come back for them. */
void stream_look_again(struct stream *s);
/* Come back when the socket takes octets again. */
void stream_await_writable(struct stream *s);
/* Run one of the owner's callbacks; the stream may be freed in it. False when it was. */
bool stream_call(struct stream *s, void (*event)(void *arg));
/* Tell the owner of an errno (EPROTO: TLS has the words), from the loop; no more events then. The
 * stream may be freed in it. */
void stream_fail(struct stream *s, int error);

/* ---- stream_handshake.c ------------------------------------------------------------------- */

/* One step of the handshake that is under way. The stream may be freed in it. */
void stream_shake_hands(struct stream *s);
/* None is under way any more. */
void stream_end_handshake(struct stream *s);

#endif
