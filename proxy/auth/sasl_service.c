#include "config.h"

#include "sasl_service.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proxy/auth/sasl_process.h"
#include "proxy/upstream/upstream.h"
#include "weir/log.h"

#define BACKLOG            512
#define BACKOFF_MS(deaths) (100 << ((deaths) > 7 ? 7 : (deaths)))
#define YOUNG_MS           10000

struct sasl_service {
	struct event_base *base;
	void (*leave_master)(void *);
	void *master;
	const struct proxy_settings *settings;
	int listener;
	char name[sizeof(((struct sockaddr_un *)NULL)->sun_path) + 1];
	pid_t pid; /* 0: none runs */
	unsigned deaths;
	int64_t started_ms;
	struct event *again;
};

bool sasl_wanted(const struct proxy_settings *settings)
{
	const struct listen_settings *l = settings->listen.v;

	for (size_t i = 0; i < settings->listen.n; i++)
		if (strcmp(l[i].auth, "sasl") == 0)
			return true;
	return false;
}

/* In the child. */
static void become_process(struct sasl_service *s, pid_t parent)
{
	const struct proxy_settings *settings = s->settings;
	int listener = s->listener;

	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(EXIT_FAILURE);
	s->listener = -1;           /* it stays open ... */
	s->leave_master(s->master); /* ... while s goes */
	(void)signal(SIGTERM, SIG_DFL);
	/* A terminal's: the master ends us when it is time. */
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
	_exit(sasl_process_run(settings, listener));
}

static void fork_process(struct sasl_service *s)
{
	pid_t parent = getpid(), pid;
	sigset_t all, were;

	/* As for workers: a signal for one that has no handlers of its own yet must wait. */
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_BLOCK, &all, &were);
	if ((pid = fork()) == 0)
		become_process(s, parent);
	(void)sigprocmask(SIG_SETMASK, &were, NULL);
	if (pid < 0)
		log_event(LOG_LEVEL_ERROR, "sasl", "error", strerror(errno), NULL);
	s->pid = pid > 0 ? pid : 0;
	s->started_ms = clock_ms();
}

static void start_later(struct sasl_service *s)
{
	long ms = BACKOFF_MS(s->deaths);

	s->deaths++;
	event_add(s->again, &(struct timeval){ .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 });
}

static void start(struct sasl_service *s)
{
	fork_process(s);
	if (s->pid == 0)
		start_later(s);
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	start(arg);
}

/* The kernel names a Unix socket that is bound to nothing: NUL and five digits. */
static int listen_anywhere(char *name, size_t size, struct err *e)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	socklen_t n = sizeof(at);
	size_t length;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(sa_family_t)) < 0 ||
	    listen(fd, BACKLOG) < 0 || getsockname(fd, (struct sockaddr *)&at, &n) < 0) {
		err_set(e, "socket of the SASL process: %s", strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	length = n - offsetof(struct sockaddr_un, sun_path);
	(void)snprintf(name, size, "@%.*s", (int)length - 1, at.sun_path + 1);
	return fd;
}

struct sasl_service *sasl_service_new(
    struct event_base *base, void (*leave_master)(void *), void *master, struct err *e)
{
	struct sasl_service *s = calloc(1, sizeof(*s));

	if (s == NULL || (s->again = evtimer_new(base, on_again, s)) == NULL) {
		free(s);
		err_set(e, "out of memory");
		return NULL;
	}
	s->base = base;
	s->leave_master = leave_master;
	s->master = master;
	if ((s->listener = listen_anywhere(s->name, sizeof(s->name), e)) >= 0)
		return s;
	event_free(s->again);
	free(s);
	return NULL;
}

void sasl_service_start(struct sasl_service *s, const struct proxy_settings *settings)
{
	s->settings = settings;
	start(s);
}

bool sasl_service_died(struct sasl_service *s, pid_t pid, int status, bool expected)
{
	char text[64];

	if (s == NULL || s->pid != pid)
		return false;
	if (expected) {
		s->pid = 0;
		return true;
	}
	(void)snprintf(text, sizeof(text), "the SASL process died: status %d", status);
	log_event(LOG_LEVEL_ERROR, "sasl", "error", text, NULL);
	s->pid = 0;
	if (clock_ms() - s->started_ms > YOUNG_MS)
		s->deaths = 0;
	start_later(s);
	return true;
}

const char *sasl_service_socket(const struct sasl_service *s)
{
	return s != NULL ? s->name : "";
}

void sasl_service_close(struct sasl_service **at)
{
	struct sasl_service *s = *at;

	*at = NULL;
	if (s == NULL)
		return;
	event_free(s->again);
	if (s->listener >= 0)
		close(s->listener);
	free(s);
}

void sasl_service_retire(struct sasl_service **s)
{
	if (*s != NULL && (*s)->pid > 0)
		(void)kill((*s)->pid, SIGUSR1);
	sasl_service_close(s);
}

void sasl_service_stop(struct sasl_service **s)
{
	if (*s != NULL && (*s)->pid > 0) {
		(void)kill((*s)->pid, SIGTERM);
		(void)waitpid((*s)->pid, NULL, 0);
	}
	sasl_service_close(s);
}
