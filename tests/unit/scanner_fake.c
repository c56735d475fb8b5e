/* A scanner that lies, as a compromised one would: which lie stands in the database's file "fake".
 */
#include "config.h"

#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "milterd/scanner/channel.h"
#include "milterd/scanner/scratch.h"
#include "tests/unit/scanner_kit.h"
#include "weir/file.h"

const struct fake fake_workers[] = {
	{ "version", "bad answer" },
	{ "id", "bad answer" },
	{ "status", "bad answer" },
	{ "clean-with-name", "bad answer" },
	{ "clean-with-code", "bad answer" },
	{ "virus-without-name", "bad answer" },
	{ "error-without-name", "bad answer" },
	{ "unterminated", "bad answer" },
	{ "unprintable", "bad answer" },
	{ "short", "bad answer" },
	{ "long", "bad answer" },
	{ "descriptor", "bad answer" },
	{ "endless", "bad answer" },
	{ "crash", "crashed" },
	{ "silent", "timeout" },
	{ "unasked", NULL }, /* whether its words come before the job or behind it is open */
	{ "dead", "crashed" },
};
const size_t fake_worker_count = COUNT(fake_workers);

const struct fake fake_masters[] = {
	{ "master-exits", NULL },
	{ "master-version", NULL },
	{ "master-kind", NULL },
	{ "master-short", NULL },
	{ "master-long", NULL },
	{ "master-unterminated", NULL },
	{ "master-worker-without-socket", NULL },
	{ "master-loaded-with-socket", NULL },
	{ "master-worker-before-load", NULL },
	{ "master-loads-twice", NULL },
	{ "master-refuses", NULL },
	{ "master-pid-one", NULL },
};
const size_t fake_master_count = COUNT(fake_masters);

static bool is(const char *mode, const char *name)
{
	return strcmp(mode, name) == 0;
}

static void answer_fill(const char *mode, struct scanner_answer *a)
{
	a->version += is(mode, "version");
	a->id += is(mode, "id");
	a->status = is(mode, "status") ? 77 : a->status;
	a->code = is(mode, "clean-with-code");
	if (is(mode, "clean-with-name"))
		a->name[0] = 'x';
	if (is(mode, "virus-without-name"))
		a->status = SCANNER_VIRUS;
	if (is(mode, "error-without-name"))
		a->status = SCANNER_ERROR;
	if (is(mode, "unterminated") || is(mode, "unprintable")) {
		a->status = SCANNER_VIRUS;
		memset(a->name, 'A', sizeof(a->name));
	}
	if (is(mode, "unprintable"))
		memcpy(a->name, "a\nverdict action=accept", 24);
}

static void answer(const char *mode, int fd, const struct scanner_job *job)
{
	struct {
		struct scanner_answer a;
		char more[16];
	} room = { .a = { .version = SCANNER_PROTOCOL, .status = SCANNER_CLEAN, .id = job->id } };
	size_t n = sizeof(room.a);

	answer_fill(mode, &room.a);
	if (is(mode, "short"))
		n = 5;
	if (is(mode, "long") || is(mode, "endless"))
		n += sizeof(room.more);
	(void)channel_send(fd, &room, n, is(mode, "descriptor") ? STDIN_FILENO : -1, 0);
	while (is(mode, "endless") && channel_send(fd, &room, n, -1, 0) == 0)
		continue;
}

static void worker(const char *mode, int fd)
{
	const struct scanner_answer unasked = { .version = SCANNER_PROTOCOL,
		.status = SCANNER_CLEAN };
	struct scanner_job job;
	int message;

	(void)alarm(60);
	if (is(mode, "dead"))
		_exit(0);
	if (is(mode, "unasked"))
		for (uint64_t i = 0; i < 4; i++)
			(void)channel_send(fd, &unasked, sizeof(unasked), -1, MSG_DONTWAIT);
	while (channel_receive(fd, &job, sizeof(job), &message, 0) == 1) {
		close(message);
		if (is(mode, "crash"))
			(void)raise(SIGKILL);
		if (!is(mode, "silent"))
			answer(mode, fd, &job);
	}
	_exit(0);
}

static int notify(uint32_t kind, uint32_t value, int fd)
{
	const struct scanner_notice n = {
		.version = SCANNER_PROTOCOL, .kind = kind, .value = value, .text = "no\nsignatures"
	};

	return channel_send(SCANNER_FD, &n, sizeof(n), fd, 0);
}

static int start(const char *mode)
{
	int pair[2], rc;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0)
		return -1;
	if ((pid = fork()) == 0) {
		(void)dup2(pair[1], SCANNER_FD);
		(void)close_range(SCANNER_FD + 1, ~0u, 0);
		worker(mode, SCANNER_FD);
	}
	close(pair[1]);
	if (is(mode, "dead") || is(mode, "unasked"))
		(void)waitpid(pid, NULL, is(mode, "dead") ? 0 : WNOHANG);
	rc = notify(SCANNER_WORKER, (uint32_t)pid, pair[0]);
	close(pair[0]);
	return rc;
}

static void lie_as_master(const char *mode)
{
	struct {
		struct scanner_notice n;
		char more[8];
	} room = { .n = { .version = SCANNER_PROTOCOL, .kind = SCANNER_LOADED, .value = 1 } };
	size_t n = sizeof(room.n);

	room.n.version += is(mode, "master-version");
	room.n.kind += is(mode, "master-kind") ? 99 : 0;
	if (is(mode, "master-short"))
		n = 3;
	if (is(mode, "master-long"))
		n += sizeof(room.more);
	if (is(mode, "master-unterminated"))
		memset(room.n.text, 'x', sizeof(room.n.text));
	if (is(mode, "master-refuses"))
		room.n.kind = SCANNER_REFUSED;
	if (is(mode, "master-worker-before-load"))
		(void)notify(SCANNER_WORKER, 12345, STDIN_FILENO);
	(void)channel_send(
	    SCANNER_FD, &room, n, is(mode, "master-loaded-with-socket") ? STDIN_FILENO : -1, 0);
	if (is(mode, "master-loads-twice"))
		(void)notify(SCANNER_LOADED, 1, -1);
	if (is(mode, "master-worker-without-socket"))
		(void)notify(SCANNER_WORKER, 12345, -1);
	if (is(mode, "master-pid-one"))
		(void)notify(SCANNER_WORKER, 1, STDIN_FILENO);
}

static int serve(const char *mode, long workers)
{
	struct scanner_order order;

	if (is(mode, "master-exits"))
		return 1;
	if (slice_starts(slice_z(mode), SLICE("master-"))) {
		lie_as_master(mode);
		workers = 0;
	} else {
		(void)notify(SCANNER_LOADED, 1, -1);
	}
	while (workers-- > 0)
		(void)start(mode);
	while (is(mode, "endless-workers") && start("silent") == 0)
		continue;
	(void)signal(SIGCHLD, SIG_IGN);
	while (channel_receive(SCANNER_FD, &order, sizeof(order), NULL, 0) == 1)
		if (order.kind == SCANNER_KILL) {
			(void)kill((pid_t)order.value, SIGKILL);
			(void)start(mode);
		}
	return 0;
}

int fake_scanner(char **argv)
{
	char *path = path_join(argv[SCANNER_ARG_DATABASE], "fake");
	struct bytes mode = { 0 };
	int rc = 1;

	(void)alarm(60);
	if (path != NULL && file_read(path, &mode, NULL) == 0)
		rc = serve(mode.p, strtol(argv[SCANNER_ARG_WORKERS], NULL, 10));
	bytes_free(&mode);
	free(path);
	return rc;
}
