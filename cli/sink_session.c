#include "config.h"

#include "sink_session.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <event2/buffer.h>
#include <event2/event.h>

#define LINE_MAX_OCTETS  2048
#define INPUT_HIGH       (256u << 10)
#define OUTPUT_HIGH      (64u << 10)
#define IDLE_TIMEOUT_S   300
#define LINGER_TIMEOUT_S 5

static void session_free(struct sink_session *s)
{
	sink_reset(s);
	*s->at = s->next;
	if (s->next != NULL)
		s->next->at = s->at;
	s->sink->session_count--;
	if (s->timer != NULL)
		event_free(s->timer);
	if (s->bev != NULL)
		bufferevent_free(s->bev);
	bytes_free(&s->out);
	bytes_free(&s->head);
	bytes_free(&s->content);
	free(s);
}

/* Say no more, and read what is still on its way: closing at once would reset the connection, and
 * the client might lose our last reply. */
static void session_linger(struct sink_session *s)
{
	static const struct timeval limit = { LINGER_TIMEOUT_S, 0 };

	(void)shutdown(bufferevent_getfd(s->bev), SHUT_WR);
	(void)bufferevent_set_timeouts(s->bev, &limit, &limit);
}

static void session_flush(struct sink_session *s)
{
	if (s->waiting || s->dead || s->out.n == 0)
		return;
	if (bufferevent_write(s->bev, s->out.p, s->out.n) < 0)
		s->dead = true;
	bytes_clear(&s->out);
}

static bool session_owes_replies(const struct sink_session *s)
{
	return s->waiting || s->out.n > 0 ||
	    evbuffer_get_length(bufferevent_get_output(s->bev)) > 0;
}

static bool session_may_go_on(const struct sink_session *s)
{
	return !s->waiting && !s->stalled && !s->closing && !s->dead &&
	    s->out.n + evbuffer_get_length(bufferevent_get_output(s->bev)) < OUTPUT_HIGH;
}

static void line_refuse(struct sink_session *s, const char *why)
{
	sink_reply(s, 500, "5.5.2", "%s", why);
	s->closing = true;
}

/* Handle one line; false when no whole one is there. Only CR LF ends it (W01). */
static bool take_line(struct sink_session *s, struct evbuffer *in)
{
	struct evbuffer_ptr lf = evbuffer_search_eol(in, NULL, NULL, EVBUFFER_EOL_LF);
	char text[LINE_MAX_OCTETS];
	struct slice line;

	if (lf.pos < 0 && evbuffer_get_length(in) < sizeof(text))
		return false;
	if (lf.pos < 0 || (size_t)lf.pos >= sizeof(text)) {
		line_refuse(s, "Line too long");
		return true;
	}
	line = slice_of(text, (size_t)evbuffer_remove(in, text, (size_t)lf.pos + 1));
	if (line.n < 2 || slice_find(line, '\r') != line.n - 2 ||
	    slice_find(line, '\0') != line.n) {
		line_refuse(s, "Bare CR, bare LF or NUL in a command");
		return true;
	}
	sink_command(s, slice_sub(line, 0, line.n - 2));
	return true;
}

/* Handle the octets of mail data that lie together; false when there are none. */
static bool take_data(struct sink_session *s, struct evbuffer *in)
{
	struct evbuffer_iovec piece;
	size_t used = 0;

	if (s->state == SINK_ST_IN_CHUNK && s->chunk.left == 0) {
		sink_chunk_end(s);
		return true;
	}
	if (evbuffer_peek(in, -1, NULL, &piece, 1) < 1 || piece.iov_len == 0)
		return false;
	if (s->state == SINK_ST_IN_CHUNK)
		sink_chunk_data(s, slice_of(piece.iov_base, piece.iov_len), &used);
	else
		sink_mail_data(s, slice_of(piece.iov_base, piece.iov_len), &used);
	evbuffer_drain(in, used);
	return true;
}

static void session_run(struct sink_session *s)
{
	struct evbuffer *in = bufferevent_get_input(s->bev);

	while (session_may_go_on(s) &&
	    (s->state == SINK_ST_IN_DATA || s->state == SINK_ST_IN_CHUNK ? take_data(s, in)
									 : take_line(s, in)))
		;
	if (s->stalled || s->closing)
		evbuffer_drain(in, evbuffer_get_length(in));
	session_flush(s);
	if (s->dead || (s->eof && !session_owes_replies(s)))
		session_free(s);
}

static void on_read(struct bufferevent *bev, void *arg)
{
	(void)bev;
	session_run(arg);
}

/* All replies are out. */
static void on_written(struct bufferevent *bev, void *arg)
{
	struct sink_session *s = arg;

	(void)bev;
	/* Deferred callbacks may come late: there may be new output. */
	if (evbuffer_get_length(bufferevent_get_output(s->bev)) > 0)
		return;
	if (s->closing && !s->waiting && !s->eof)
		session_linger(s);
	else
		session_run(s);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	struct sink_session *s = arg;

	(void)bev;
	s->eof = (what & BEV_EVENT_EOF) != 0 && !s->stalled;
	if (!s->eof || !session_owes_replies(s))
		session_free(s);
}

static void on_slow(evutil_socket_t fd, short what, void *arg)
{
	struct sink_session *s = arg;

	(void)fd;
	(void)what;
	s->waiting = false;
	session_flush(s);
	session_run(s);
}

static void session_delay(struct sink_session *s)
{
	struct timeval delay = { s->sink->slow_ms / 1000, s->sink->slow_ms % 1000 * 1000L };

	if (s->sink->slow_ms == 0)
		return;
	s->waiting = event_add(s->timer, &delay) == 0;
}

void sink_reply(struct sink_session *s, int code, const char *enhanced, const char *format, ...)
{
	char text[1024];
	struct smtp_reply r;
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	smtp_reply_set(&r, code, enhanced, "%s", text);
	if (!smtp_reply_write(&r, &s->out))
		s->dead = true;
	if (code == 421)
		s->closing = true; /* W49 */
	session_delay(s);
}

void sink_misbehave(struct sink_session *s, const struct sink_fault *fault)
{
	switch (fault->action) {
	case SINK_EARLY:
		s->closing = true;
		/* fall through */
	case SINK_REPLY:
		sink_reply(s, fault->code, fault->code < 500 ? "4.3.0" : "5.3.0",
		    "Fault asked for on the command line");
		break;
	case SINK_GARBAGE:
		if (!bytes_add(&s->out, SLICE("\x80garbage\0\r\r\n2 5 0 ok\n")))
			s->dead = true;
		session_delay(s);
		break;
	case SINK_STALL:
	case SINK_STORE_THEN_STALL:
		s->stalled = true;
		(void)bufferevent_set_timeouts(s->bev, NULL, NULL);
		if (fault->phase == SINK_BODY) /* nor is anything read: the client is pushed back */
			(void)bufferevent_disable(s->bev, EV_READ);
		break;
	case SINK_CLOSE:
	case SINK_STORE_THEN_CLOSE:
		/* What was said to earlier commands of the group still arrives. */
		s->closing = session_owes_replies(s);
		s->dead = !s->closing;
		break;
	}
}

bool sink_fault(struct sink_session *s, enum sink_phase phase)
{
	const struct sink_fault *fault = sink_fault_take(s->sink, phase);

	if (fault != NULL)
		sink_misbehave(s, fault);
	return fault != NULL;
}

/* A session without a connection, first in the sink's list. */
static struct sink_session *session_new(struct sink *sink)
{
	struct sink_session *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->sink = sink;
	s->message.fd = -1;
	s->at = &sink->sessions;
	if ((s->next = sink->sessions) != NULL)
		s->next->at = &s->next;
	sink->sessions = s;
	sink->session_count++;
	return s;
}

void sink_session_start(struct sink *sink, evutil_socket_t fd)
{
	static const struct timeval idle = { IDLE_TIMEOUT_S, 0 };
	struct sink_session *s = session_new(sink);
	int one = 1;

	if (s == NULL) {
		evutil_closesocket(fd);
		return;
	}
	s->bev = bufferevent_socket_new(
	    sink->base, fd, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	s->timer = evtimer_new(sink->base, on_slow, s);
	if (s->bev == NULL)
		evutil_closesocket(fd);
	if (s->bev == NULL || s->timer == NULL) {
		session_free(s);
		return;
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	bufferevent_setcb(s->bev, on_read, on_written, on_event, s);
	bufferevent_setwatermark(s->bev, EV_READ, 0, INPUT_HIGH);
	(void)bufferevent_set_timeouts(s->bev, &idle, &idle);
	(void)bufferevent_enable(s->bev, EV_READ | EV_WRITE);
	sink_greet(s);
	session_flush(s);
	if (s->dead)
		session_free(s);
}

void sink_sessions_end(struct sink *sink)
{
	for (struct sink_session *s = sink->sessions, *next; s != NULL; s = next) {
		next = s->next;
		session_free(s);
	}
}
