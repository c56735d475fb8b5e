/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * weir-scanner - the master: loads the signatures once, keeps N workers that share them, and hands
 * each worker's socket to the daemon. It never looks at a message itself. Started by weir-milterd
 * only; protocol.h says how they speak. It ends when the daemon's end of the socket closes.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "milterd/scanner/channel.h"
#include "milterd/scanner/engine.h"
#include "milterd/scanner/sandbox.h"
#include "milterd/scanner/scratch.h"
#include "milterd/scanner/worker.h"

enum {
	WORKERS_MAX = 256,
	YOUNG_MS = 1000, /* a worker that dies younger than this died quickly */
	QUICK_FREE = 3,  /* quick deaths in a row that are replaced at once */
	PAUSE_MIN_MS = 50,
	PAUSE_MAX_MS = 1000,
};

struct slot {
	pid_t pid; /* 0: none */
	int64_t since_ms, start_at_ms;
	unsigned quick; /* deaths in a row at a young age */
	char folder[16];
};

struct master {
	struct engine *engine;
	struct engine_limits limits;
	struct slot slots[WORKERS_MAX];
	size_t workers;
	bool draining;
};

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int notify(enum scanner_notice_kind kind, uint32_t value, int fd, const char *text)
{
	struct scanner_notice n = { .version = SCANNER_PROTOCOL, .kind = kind, .value = value };

	(void)snprintf(n.text, sizeof(n.text), "%s", text);
	return channel_send(SCANNER_FD, &n, sizeof(n), fd, 0);
}

/* The daemon says in its log what was wrong. */
static int refuse(const char *what)
{
	char text[SCANNER_TEXT_MAX];

	(void)snprintf(text, sizeof(text), "%s: %s", what, strerror(errno));
	(void)notify(SCANNER_REFUSED, 0, -1, text);
	return EXIT_FAILURE;
}

/* No temporary file is larger than the larger of the two. */
static uint64_t largest_file(const struct engine_limits *l)
{
	return l->scan_bytes > l->file_bytes ? l->scan_bytes : l->file_bytes;
}

/* In the child: leave all that is the master's behind. */
static void become_worker(struct master *m, const struct slot *s, int fd)
{
	sigset_t none;

	sigemptyset(&none);
	if (dup2(fd, SCANNER_FD) < 0 || close_range(SCANNER_FD + 1, ~0u, 0) < 0 ||
	    chdir(s->folder) < 0 || sigprocmask(SIG_SETMASK, &none, NULL) < 0 ||
	    sandbox_worker(m->limits.recursion, largest_file(&m->limits)) < 0) {
		perror("weir-scanner: sandbox");
		_exit(1);
	}
	/* The master may have died before the death signal was asked for: then its socket is shut,
	 * the daemon closes ours, and the first read ends us. */
	worker_serve(m->engine, SCANNER_FD);
}

/* Start one worker and give its socket away. -1: the daemon is gone, or the machine is full. */
static int start_worker(struct master *m, struct slot *s)
{
	int pair[2], rc;

	if (mkdir(s->folder, 0700) < 0 && errno != EEXIST)
		return -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	if ((s->pid = fork()) == 0)
		become_worker(m, s, pair[1]);
	close(pair[1]);
	if (s->pid < 0)
		s->pid = 0;
	s->since_ms = now_ms();
	rc = s->pid > 0 ? notify(SCANNER_WORKER, (uint32_t)s->pid, pair[0], "") : -1;
	close(pair[0]);
	return rc;
}

static struct slot *slot_of(struct master *m, pid_t pid)
{
	for (size_t i = 0; i < m->workers; i++)
		if (pid > 0 && m->slots[i].pid == pid)
			return &m->slots[i];
	return NULL;
}

/* At once, unless workers die as fast as they are born. */
static void plan_restart(struct slot *s)
{
	const int64_t now = now_ms();
	int64_t pause = 0;

	s->pid = 0;
	s->quick = now - s->since_ms < YOUNG_MS ? s->quick + 1 : 0;
	if (s->quick > QUICK_FREE) {
		const unsigned doublings = s->quick - QUICK_FREE - 1;

		pause = doublings < 5 ? PAUSE_MIN_MS << doublings : PAUSE_MAX_MS;
	}
	s->start_at_ms = now + pause;
}

static void reap(struct master *m)
{
	pid_t pid;

	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0) {
		struct slot *s = slot_of(m, pid);

		if (s == NULL)
			continue;
		(void)scratch_remove(AT_FDCWD, s->folder); /* what a scan in hand left behind */
		plan_restart(s);
	}
}

/* Start what is due; the time until the next one is, -1 for none. */
static int start_due(struct master *m)
{
	int64_t wait = -1;

	for (size_t i = 0; i < m->workers && !m->draining; i++) {
		struct slot *s = &m->slots[i];

		if (s->pid == 0 && s->start_at_ms <= now_ms() && start_worker(m, s) < 0)
			s->start_at_ms = now_ms() + PAUSE_MAX_MS;
		if (s->pid == 0) {
			const int64_t left = s->start_at_ms - now_ms();

			wait = wait < 0 || left < wait ? (left > 0 ? left : 0) : wait;
		}
	}
	return (int)wait;
}

/* False at the end of the daemon, or when it speaks another protocol. */
static bool take_order(struct master *m)
{
	struct scanner_order o;
	const struct slot *s;

	if (channel_receive(SCANNER_FD, &o, sizeof(o), NULL, 0) != 1 ||
	    o.version != SCANNER_PROTOCOL)
		return false;
	switch (o.kind) {
	case SCANNER_KILL:
		if ((s = slot_of(m, (pid_t)o.value)) != NULL)
			(void)kill(s->pid, SIGKILL);
		return true;
	case SCANNER_DRAIN:
		m->draining = true;
		return true;
	default:
		return false;
	}
}

static int serve(struct master *m)
{
	struct pollfd fds[2] = { { .fd = SCANNER_FD, .events = POLLIN }, { .events = POLLIN } };
	sigset_t children;

	sigemptyset(&children);
	sigaddset(&children, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &children, NULL) < 0 ||
	    (fds[1].fd = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK)) < 0)
		return refuse("signalfd");
	for (;;) {
		struct signalfd_siginfo seen;
		const int wait = start_due(m);

		if (poll(fds, 2, wait) < 0 && errno != EINTR)
			return EXIT_FAILURE;
		if (fds[0].revents != 0 && !take_order(m))
			return EXIT_SUCCESS;
		while (read(fds[1].fd, &seen, sizeof(seen)) > 0)
			continue;
		reap(m);
	}
}

/* A worker writes until it is dead, so the folder is taken away after that. */
static void end_workers(struct master *m)
{
	for (size_t i = 0; i < m->workers; i++)
		if (m->slots[i].pid > 0)
			(void)kill(m->slots[i].pid, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		continue;
}

static uint64_t number(const char *text)
{
	return strtoull(text, NULL, 10); /* the daemon wrote it from checked settings */
}

static int run(struct master *m, char **argv, const char *database)
{
	char why[SCANNER_TEXT_MAX];
	unsigned signatures;

	m->engine = engine_load(database, &m->limits, why, sizeof(why), &signatures);
	if (m->engine == NULL) {
		(void)notify(SCANNER_REFUSED, 0, -1, why);
		return EXIT_FAILURE;
	}
	if (sandbox_user(argv[SCANNER_ARG_USER], argv[SCANNER_ARG_SCRATCH]) < 0)
		return refuse("cannot give up root");
	if (notify(SCANNER_LOADED, signatures, -1, "") < 0)
		return EXIT_FAILURE;
	return serve(m);
}

static void settle(struct master *m, char **argv)
{
	const uint64_t workers = number(argv[SCANNER_ARG_WORKERS]);

	m->limits = (struct engine_limits){ .time_ms = number(argv[SCANNER_ARG_TIME_MS]),
		.scan_bytes = number(argv[SCANNER_ARG_SCAN_BYTES]),
		.file_bytes = number(argv[SCANNER_ARG_FILE_BYTES]),
		.recursion = number(argv[SCANNER_ARG_RECURSION]),
		.files = number(argv[SCANNER_ARG_FILES]) };
	m->workers = workers < 1 ? 1 : workers > WORKERS_MAX ? WORKERS_MAX : (size_t)workers;
	for (size_t i = 0; i < m->workers; i++)
		(void)snprintf(m->slots[i].folder, sizeof(m->slots[i].folder), "%zu", i);
}

int main(int argc, char **argv)
{
	static const char usage[] = "weir-scanner is started by weir-milterd, not by hand\n";
	struct master *m;
	int rc;

	if (argc != SCANNER_ARGS || fcntl(SCANNER_FD, F_GETFD) < 0) {
		fputs(usage, stderr);
		return 64;
	}
	if (sandbox_inherit() < 0)
		return refuse("sandbox");
	if (chdir(argv[SCANNER_ARG_SCRATCH]) < 0)
		return refuse(argv[SCANNER_ARG_SCRATCH]);
	if ((m = calloc(1, sizeof(*m))) == NULL)
		return refuse("memory");
	settle(m, argv);
	rc = run(m, argv, argv[SCANNER_ARG_DATABASE]);
	end_workers(m);
	(void)scratch_remove(AT_FDCWD, argv[SCANNER_ARG_SCRATCH]);
	/* The engine is not freed: it goes with the process, at once. */
	_exit(rc);
}
