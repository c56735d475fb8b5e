/*
 * sink - the SMTP server at the end of every measurement: says yes to all, keeps nothing, and costs
 * little, so that what stands before it is measured and not it. (weir sink keeps what it is sent.)
 * Of mail data only the end is looked for. One thread with epoll.
 */
#include "config.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "weir/net.h"

enum {
	EVENTS = 256,
	BACKLOG = 4096,
	KEPT_MAX = 2048, /* of an unfinished line */
	READ_MAX = 256 << 10,
	REPLIES_MAX =
	    16 << 10, /* to what one read brings; a client that asks for more is dropped */
};

struct session {
	int fd;
	bool in_data, over;
	size_t kept_n;
	char kept[KEPT_MAX]; /* what was read of a line, or of the end of the data */
};

struct sink {
	int epoll, listener;
	struct session *now; /* served now, with what it is answered */
	struct buf replies;
	char in[KEPT_MAX + READ_MAX], out[REPLIES_MAX];
};

static void stop(const char *what, const char *why)
{
	fprintf(stderr, "sink: %s: %s\n", what, why);
	exit(EXIT_FAILURE);
}

static void data_begin(struct sink *k)
{
	k->now->in_data = true;
}

static void quit(struct sink *k)
{
	k->now->over = true;
}

static const struct {
	struct slice verb, reply;
	void (*run)(struct sink *);
} commands[] = {
	{ { "MAIL", 4 }, { "250 2.1.0 Ok\r\n", 14 }, NULL },
	{ { "RCPT", 4 }, { "250 2.1.5 Ok\r\n", 14 }, NULL },
	{ { "DATA", 4 }, { "354 Go ahead\r\n", 14 }, data_begin },
	{ { "RSET", 4 }, { "250 2.0.0 Ok\r\n", 14 }, NULL },
	{ { "NOOP", 4 }, { "250 2.0.0 Ok\r\n", 14 }, NULL },
	{ { "HELO", 4 }, { "250 sink.example\r\n", 18 }, NULL },
	{ { "QUIT", 4 }, { "221 2.0.0 Bye\r\n", 15 }, quit },
};

static const char greeting[] = "220 sink.example ESMTP\r\n";
static const char abilities[] = "250-sink.example\r\n250-PIPELINING\r\n250-SIZE 100000000\r\n"
				"250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n"
				"250 ENHANCEDSTATUSCODES\r\n";

static void command(struct sink *k, struct slice line)
{
	if (slice_istarts(line, SLICE("EHLO"))) {
		buf_add(&k->replies, slice_of(abilities, sizeof(abilities) - 1));
		return;
	}
	for (size_t i = 0; i < COUNT(commands); i++) {
		if (!slice_istarts(line, commands[i].verb))
			continue;
		buf_add(&k->replies, commands[i].reply);
		if (commands[i].run != NULL)
			commands[i].run(k);
		return;
	}
	buf_add(&k->replies, SLICE("502 5.5.1 Command not implemented\r\n"));
}

/* Octets of mail data that are done with; in_data turns false at their end. */
static size_t take_data(struct sink *k, struct slice in)
{
	static const struct slice end = { "\r\n.\r\n", 5 };
	size_t at = slice_find_slice(in, end);

	if (at == in.n) /* the last four octets may be the beginning of the end */
		return in.n < end.n ? 0 : in.n - (end.n - 1);
	k->now->in_data = false;
	buf_add(&k->replies, SLICE("250 2.0.0 Ok: dropped\r\n"));
	return at + end.n;
}

/* Octets that are done with; 0 when a whole line is not there yet. */
static size_t take_line(struct sink *k, struct slice in)
{
	size_t n = slice_find(in, '\n');

	if (n == in.n)
		return 0;
	command(k, slice_sub(in, 0, n));
	/* An end of data may follow at once: leave the CR LF that it begins with. */
	return k->now->in_data ? n - 1 : n + 1;
}

static void take(struct sink *k, struct slice in)
{
	struct session *s = k->now;
	size_t used;

	do {
		used = s->in_data ? take_data(k, in) : take_line(k, in);
		in = slice_sub(in, used, in.n);
	} while (used > 0 && in.n > 0 && !s->over);
	s->over |= in.n > sizeof(s->kept);
	s->kept_n = s->over ? 0 : in.n;
	memcpy(s->kept, in.p, s->kept_n);
}

static void session_end(struct session *s)
{
	close(s->fd);
	free(s);
}

/* Replies are few octets, to a client that waits for them: where they do not fit, drop it. */
static bool answer(struct sink *k)
{
	ssize_t n = 0;

	if (k->replies.n > 0)
		n = send(k->now->fd, k->replies.p, k->replies.n, MSG_NOSIGNAL);
	return n == (ssize_t)k->replies.n && !k->replies.cut;
}

static void serve(struct sink *k, struct session *s)
{
	ssize_t n;

	k->now = s;
	k->replies.n = 0;
	memcpy(k->in, s->kept, s->kept_n);
	n = recv(s->fd, k->in + s->kept_n, READ_MAX, 0);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n > 0)
		take(k, slice_of(k->in, s->kept_n + (size_t)n));
	if (n <= 0 || !answer(k) || s->over)
		session_end(s);
}

static void accept_one(struct sink *k)
{
	struct epoll_event event = { .events = EPOLLIN };
	int fd = accept4(k->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), one = 1;
	struct session *s;

	if (fd < 0 && (errno == EAGAIN || errno == ECONNABORTED))
		return;
	if (fd < 0)
		stop("accept", strerror(errno));
	if ((s = calloc(1, sizeof(*s))) == NULL)
		stop("session", "out of memory");
	s->fd = fd;
	event.data.ptr = s;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (epoll_ctl(k->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		stop("epoll", strerror(errno));
	(void)send(fd, greeting, sizeof(greeting) - 1, MSG_NOSIGNAL);
}

static void descriptors_raise(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static void open_all(struct sink *k, const char *where)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL };
	struct endpoint ep;
	struct err e;

	if (endpoint_parse(slice_z(where), &ep, &e) < 0 ||
	    (k->listener = endpoint_listen(&ep, BACKLOG, 0600, false, &e)) < 0)
		stop(where, e.text);
	if ((k->epoll = epoll_create1(EPOLL_CLOEXEC)) < 0 ||
	    epoll_ctl(k->epoll, EPOLL_CTL_ADD, k->listener, &event) < 0)
		stop("epoll", strerror(errno));
	if (printf("listening on %u\n", socket_port(k->listener)) < 0 || fflush(stdout) != 0)
		stop("standard output", strerror(errno));
}

int main(int argc, char **argv)
{
	static struct sink k;
	struct epoll_event events[EVENTS];
	int n;

	if (argc != 2)
		stop("usage", "sink ADDRESS:PORT (port 0: any; it is printed)");
	k.replies = BUF_ON(k.out);
	descriptors_raise();
	open_all(&k, argv[1]);
	for (;;) {
		if ((n = epoll_wait(k.epoll, events, EVENTS, -1)) < 0 && errno != EINTR)
			stop("epoll", strerror(errno));
		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr == NULL)
				accept_one(&k);
			else
				serve(&k, events[i].data.ptr);
		}
	}
}
