#include "config.h"

#include "stream_inside.h"

#include <errno.h>
#include <openssl/ssl.h>

void stream_end_handshake(struct stream *s)
{
	if (s->handshake != NULL)
		event_free(s->handshake);
	s->handshake = NULL;
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	stream_fail(arg, ETIMEDOUT);
}

bool stream_tls_start(struct stream *s, SSL *ssl, int64_t deadline_s)
{
	if ((s->tls = stream_tls_new(ssl, s->fd)) == NULL ||
	    (s->handshake = evtimer_new(s->base, on_deadline, s)) == NULL)
		return false;
	event_add(s->handshake, &(struct timeval){ .tv_sec = deadline_s });
	s->fresh = (struct slice){ 0 };
	bytes_free(&s->in);
	s->in_at = 0;
	s->full = false;
	stream_watch(s);
	if (!SSL_is_server(ssl))
		event_active(&s->readable, EV_READ, 0); /* a client speaks first */
	return true;
}

void stream_shake_hands(struct stream *s)
{
	int rc;

	rc = stream_tls_handshake(s->tls);
	if (rc < 0) {
		stream_fail(s, errno);
	} else if (rc > 0) {
		stream_end_handshake(s);
		stream_watch(s);
		if (stream_call(s, s->events->on_secured))
			stream_look_again(s);
	} else if (stream_tls_wants_write(s->tls)) {
		stream_await_writable(s);
	}
}

SSL *stream_ssl(const struct stream *s)
{
	return s->tls != NULL ? stream_tls_ssl(s->tls) : NULL;
}

bool stream_tls_spoke(const struct stream *s)
{
	return s->tls != NULL && stream_tls_heard(s->tls);
}
