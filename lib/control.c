#include "config.h"

#include "weir/control.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "weir/file.h"

enum { REQUEST_MAX = 65536, ANSWER_MAX = 16 << 20 };

struct control_thread {
	struct endpoint ep;
	control_handler *handler;
	void *arg;
	int fd, stop; /* the listening socket, and an eventfd that ends the thread */
	pthread_t thread;
};

json_t *control_ok(void)
{
	return json_pack("{s:b}", "ok", 1);
}

json_t *control_error(const char *format, ...)
{
	char text[1024];
	json_t *answer;
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	answer = json_pack("{s:b,s:s}", "ok", 0, "error", text);
	/* A text that is no UTF-8 is none for JSON. */
	return answer != NULL ? answer : json_pack("{s:b,s:s}", "ok", 0, "error", "failed");
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Wait for something to read. 1, or 0 at the deadline, or -1. */
static int wait_readable(int fd, int64_t deadline)
{
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int64_t left = deadline - now_ms();
		int n;

		if (left <= 0)
			return 0;
		n = poll(&p, 1, (int)left);
		if (n >= 0 || errno != EINTR)
			return n;
	}
}

/* Read up to the first LF, or to the end. One deadline for all of it, so that a peer who sends an
 * octet at a time gains nothing. */
static int line_read(int fd, int timeout_ms, struct bytes *line, struct err *e)
{
	int64_t deadline = now_ms() + timeout_ms;

	for (;;) {
		char some[4096];
		ssize_t n;

		if (wait_readable(fd, deadline) != 1)
			return err_set(e, "no answer within %d ms", timeout_ms);
		n = read(fd, some, sizeof(some));
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0)
			return err_set(e, "%s", strerror(errno));
		if (n == 0)
			return line->n > 0 ? 0 : err_set(e, "closed the connection");
		if (!bytes_add(line, slice_of(some, (size_t)n)))
			return err_set(e, "more than %zu octets", line->max);
		if (memchr(some, '\n', (size_t)n) != NULL)
			return 0;
	}
}

static int line_write(int fd, json_t *object)
{
	char *text = json_dumps(object, JSON_COMPACT | JSON_ENSURE_ASCII);
	int rc = -1;

	if (text != NULL)
		rc = file_write_all(fd, text, strlen(text)) | file_write_all(fd, "\n", 1);
	free(text);
	return rc;
}

static json_t *answer_to(struct slice line, control_handler *handler, void *arg)
{
	json_error_t error;
	json_t *request = json_loadb(line.p, line.n, JSON_REJECT_DUPLICATES, &error), *answer;
	const char *command = json_string_value(json_object_get(request, "command"));

	if (request == NULL)
		answer = control_error("not JSON: %s", error.text);
	else if (command == NULL)
		answer = control_error("must be an object with a \"command\"");
	else
		answer = handler(command, request, arg);
	json_decref(request);
	return answer;
}

static void set_send_timeout(int fd)
{
	struct timeval t = { .tv_sec = CONTROL_TIMEOUT_MS / 1000 };

	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
}

void control_serve(int fd, control_handler *handler, void *arg)
{
	struct bytes line = { .max = REQUEST_MAX };
	struct err e;
	json_t *answer;

	set_send_timeout(fd);
	if (line_read(fd, CONTROL_TIMEOUT_MS, &line, &e) < 0)
		answer = control_error("%s", e.text);
	else
		answer = answer_to(bytes_slice(&line), handler, arg);
	(void)line_write(fd, answer); /* a peer that has gone needs no answer */
	json_decref(answer);
	bytes_free(&line);
	close(fd);
}

static void *thread_run(void *arg)
{
	struct control_thread *t = arg;
	struct pollfd p[] = { { .fd = t->fd, .events = POLLIN },
		{ .fd = t->stop, .events = POLLIN } };

	while (poll(p, COUNT(p), -1) >= 0 || errno == EINTR) {
		int fd;

		if (p[1].revents != 0)
			break;
		if ((fd = accept(t->fd, NULL, NULL)) >= 0)
			control_serve(fd, t->handler, t->arg);
	}
	return NULL;
}

static int thread_create(struct control_thread *t)
{
	sigset_t all, was;
	int rc;

	(void)sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &was);
	rc = pthread_create(&t->thread, NULL, thread_run, t);
	pthread_sigmask(SIG_SETMASK, &was, NULL);
	return rc;
}

static void thread_free(struct control_thread *t)
{
	if (t->fd >= 0)
		close(t->fd);
	if (t->stop >= 0)
		close(t->stop);
	free(t);
}

struct control_thread *control_thread_start(
    const struct endpoint *ep, control_handler *handler, void *arg, struct err *e)
{
	struct control_thread *t = malloc(sizeof(*t));

	if (t == NULL) {
		err_set(e, "out of memory");
		return NULL;
	}
	*t = (struct control_thread){
		.ep = *ep, .handler = handler, .arg = arg, .fd = -1, .stop = -1
	};
	if ((t->fd = endpoint_listen(ep, 16, 0600, false, e)) < 0)
		goto failed;
	if ((t->stop = eventfd(0, EFD_CLOEXEC)) < 0 || thread_create(t) != 0) {
		err_set(e, "control thread: %s", strerror(errno));
		goto failed;
	}
	return t;
failed:
	thread_free(t);
	return NULL;
}

void control_thread_stop(struct control_thread **t)
{
	struct control_thread *c = *t;
	uint64_t one = 1;

	if (c == NULL)
		return;
	*t = NULL;
	(void)file_write_all(c->stop, &one, sizeof(one));
	pthread_join(c->thread, NULL);
	if (c->ep.local)
		(void)unlink(c->ep.path);
	thread_free(c);
}

json_t *control_ask(const struct endpoint *ep, const char *command, int timeout_ms, struct err *e)
{
	struct bytes line = { .max = ANSWER_MAX };
	json_t *request = json_pack("{s:s}", "command", command), *answer = NULL;
	json_error_t error;
	char text[ENDPOINT_TEXT_MAX];
	int fd = endpoint_connect(ep, timeout_ms, e);

	if (fd < 0) {
		const char *hint = errno == ENOENT || errno == ECONNREFUSED
		    ? ": nobody serves it: is the daemon running, and with this configuration?"
		    : errno == EACCES ? ": ask as root, or as the user that the daemon runs as"
				      : "";

		if (e != NULL)
			(void)snprintf(e->text + strlen(e->text), sizeof(e->text) - strlen(e->text),
			    "%s", hint);
		goto done;
	}
	if (request == NULL || line_write(fd, request) < 0)
		err_set(e, "%s: %s", endpoint_text(ep, text), strerror(errno));
	else if (line_read(fd, timeout_ms, &line, e) < 0)
		err_prefix(e, "%s", endpoint_text(ep, text));
	else if ((answer = json_loadb(line.p, line.n, 0, &error)) == NULL)
		err_set(e, "%s: the answer is not JSON: %s", endpoint_text(ep, text), error.text);
	close(fd);
done:
	json_decref(request);
	bytes_free(&line);
	return answer;
}
