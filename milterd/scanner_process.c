#include "config.h"

#include "milterd/scanner_process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "milterd/scanner/channel.h"
#include "milterd/scanner/scratch.h"
#include "weir/file.h"

#define SCANNER_NAME "weir-scanner"
#define NO_DATABASE_HELP                                                   \
	"install freshclam (Debian: apt-get install clamav-freshclam) or " \
	"set milterd.antivirus.database"

/* What of our environment the scanner gets: the loader's and the sanitizers' words, no secrets. */
static const char *const passed_on[] = { "LD_LIBRARY_PATH=", "ASAN_OPTIONS=", "LSAN_OPTIONS=",
	"UBSAN_OPTIONS=", "GCOV_PREFIX=", "GCOV_PREFIX_STRIP=" };

extern char **environ;

/* ---- the command ------------------------------------------------------------------------------*/

static bool folder_empty(const char *path)
{
	DIR *d = opendir(path);
	const struct dirent *entry;
	bool empty = true;

	if (d == NULL)
		return false; /* a single file, or unreadable: libclamav has the words for it */
	while (empty && (entry = readdir(d)) != NULL)
		empty = entry->d_name[0] == '.';
	closedir(d);
	return empty;
}

static char *database_path(const char *path, struct err *e)
{
	char *absolute = realpath(path, NULL);

	if (absolute == NULL)
		err_set(e, "signature database %s: %s: " NO_DATABASE_HELP, path, strerror(errno));
	else if (folder_empty(absolute)) {
		err_set(e, "signature database %s is empty: " NO_DATABASE_HELP, path);
		free(absolute);
		absolute = NULL;
	}
	return absolute;
}

/* The build tree's sibling of program, or NULL. */
static char *beside(const char *program)
{
	const char *slash = program != NULL ? strrchr(program, '/') : NULL;
	struct bytes b = { 0 };

	if (slash == NULL)
		return NULL; /* found by the shell's PATH: an installed one */
	(void)bytes_addf(&b, "%.*s/" SCANNER_NAME, (int)(slash - program), program);
	if (!b.failed && access(b.p, X_OK) == 0)
		return b.p;
	bytes_free(&b);
	return NULL;
}

static char *executable(const char *configured, const char *program, struct err *e)
{
	const char *path = configured[0] != '\0' ? configured : WEIR_LIBEXECDIR "/" SCANNER_NAME;
	char *sibling = configured[0] == '\0' ? beside(program) : NULL;

	if (sibling != NULL)
		return sibling;
	if (access(path, X_OK) == 0)
		return slice_dup(slice_z(path));
	err_set(e, "scanner %s: %s: install it or set milterd.antivirus.scanner", path,
	    strerror(errno));
	return NULL;
}

static size_t cores(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	if (sched_getaffinity(0, sizeof(set), &set) < 0 || CPU_COUNT(&set) < 1)
		return 1;
	return (size_t)CPU_COUNT(&set);
}

static char *number(int64_t n)
{
	struct bytes b = { 0 };

	(void)bytes_addf(&b, "%lld", (long long)n);
	return bytes_take(&b);
}

int process_command(
    struct process_command *c, const struct milterd_settings *s, const char *program, struct err *e)
{
	char **args = c->args;

	*c = (struct process_command){ .time_ms = s->antivirus.time_ms,
		.workers = s->antivirus.workers > 0 ? (size_t)s->antivirus.workers : cores() };
	if ((args[0] = executable(s->antivirus.scanner, program, e)) == NULL ||
	    (args[SCANNER_ARG_DATABASE] = database_path(s->antivirus.database, e)) == NULL)
		return -1;
	args[SCANNER_ARG_USER] = slice_dup(slice_z(s->user));
	args[SCANNER_ARG_WORKERS] = number((int64_t)c->workers);
	args[SCANNER_ARG_TIME_MS] = number(c->time_ms);
	args[SCANNER_ARG_SCAN_BYTES] = number(s->antivirus.scan_bytes);
	args[SCANNER_ARG_FILE_BYTES] = number(s->antivirus.file_bytes);
	args[SCANNER_ARG_RECURSION] = number(s->antivirus.recursion);
	args[SCANNER_ARG_FILES] = number(s->antivirus.files);
	for (int i = 0; i < SCANNER_ARGS; i++)
		if (args[i] == NULL && i != SCANNER_ARG_SCRATCH)
			return err_set(e, "scanner: out of memory");
	return 0;
}

void process_command_free(struct process_command *c)
{
	for (size_t i = 0; i < COUNT(c->args); i++)
		free(c->args[i]);
	*c = (struct process_command){ 0 };
}

/* ---- start ------------------------------------------------------------------------------------*/

static char *scratch_make(struct err *e)
{
	const char *tmp = getenv("TMPDIR");
	struct bytes b = { 0 };

	(void)bytes_addf(&b, "%s/weir-scanner.XXXXXX", tmp != NULL && tmp[0] == '/' ? tmp : "/tmp");
	if (!b.failed && mkdtemp(b.p) != NULL)
		return b.p;
	err_set(e, "scanner: folder %s: %s", b.p != NULL ? b.p : "", strerror(errno));
	bytes_free(&b);
	return NULL;
}

static void environment(char *out[COUNT(passed_on) + 1])
{
	size_t n = 0;

	for (char **v = environ; v != NULL && *v != NULL; v++)
		for (size_t i = 0; i < COUNT(passed_on) && n < COUNT(passed_on); i++)
			if (slice_starts(slice_z(*v), slice_z(passed_on[i])))
				out[n++] = *v;
	out[n] = NULL;
}

/* Its own process group: the terminal's Ctrl-C is for the daemon, which lets its messages end. */
static int spawn(const struct process_command *c, struct process *p, int theirs, struct err *e)
{
	char *args[SCANNER_ARGS + 1], *env[COUNT(passed_on) + 1];
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	int rc;

	memcpy(args, c->args, sizeof(args));
	args[SCANNER_ARG_SCRATCH] = p->scratch;
	environment(env);
	sigemptyset(&none);
	sigfillset(&all);
	if (posix_spawn_file_actions_init(&files) != 0)
		return err_set(e, "scanner: out of memory");
	if (posix_spawnattr_init(&attributes) != 0) {
		posix_spawn_file_actions_destroy(&files);
		return err_set(e, "scanner: out of memory");
	}
	(void)posix_spawnattr_setflags(
	    &attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	(void)posix_spawnattr_setsigmask(&attributes, &none);
	(void)posix_spawnattr_setsigdefault(&attributes, &all);
	(void)posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDWR, 0);
	(void)posix_spawn_file_actions_adddup2(&files, STDIN_FILENO, STDOUT_FILENO);
	rc = posix_spawn_file_actions_adddup2(&files, theirs, SCANNER_FD);
	if (rc == 0)
		rc = posix_spawn(&p->pid, args[0], &files, &attributes, args, env);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attributes);
	return rc == 0 ? 0 : err_set(e, "scanner %s: %s", args[0], strerror(rc));
}

int process_start(const struct process_command *c, struct process *p, struct err *e)
{
	int pair[2], rc;

	*p = (struct process){ .fd = -1 };
	if ((p->scratch = scratch_make(e)) == NULL)
		return -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		err_set(e, "scanner: socketpair: %s", strerror(errno));
		process_free(p);
		return -1;
	}
	p->fd = pair[0];
	rc = spawn(c, p, pair[1], e);
	close(pair[1]);
	if (rc < 0) {
		p->pid = 0;
		process_free(p);
	}
	return rc;
}

/* ---- while it runs ----------------------------------------------------------------------------*/

static bool notice_valid(const struct scanner_notice *n, int worker)
{
	if (n->version != SCANNER_PROTOCOL || memchr(n->text, '\0', sizeof(n->text)) == NULL)
		return false;
	switch (n->kind) {
	case SCANNER_LOADED:
	case SCANNER_REFUSED:
		return worker < 0;
	case SCANNER_WORKER:
		return worker >= 0 && n->value > 1 && n->value <= INT32_MAX;
	default:
		return false;
	}
}

int process_hear(const struct process *p, struct scanner_notice *n, int *worker)
{
	const int rc = channel_receive(p->fd, n, sizeof(*n), worker, MSG_DONTWAIT);

	if (rc < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return 0;
	if (rc != 1)
		return -1;
	if (notice_valid(n, *worker)) {
		for (char *c = n->text; *c != '\0'; c++)
			if ((*c >= '\0' && *c < ' ') || *c == '\x7f')
				*c = '?'; /* it goes to logs and terminals */
		return 1;
	}
	if (*worker >= 0)
		close(*worker);
	return -1;
}

static void order(const struct process *p, enum scanner_order_kind kind, uint32_t value)
{
	const struct scanner_order o = { SCANNER_PROTOCOL, kind, value };

	(void)channel_send(p->fd, &o, sizeof(o), -1, MSG_DONTWAIT);
}

void process_kill_worker(const struct process *p, pid_t worker)
{
	order(p, SCANNER_KILL, (uint32_t)worker);
}

void process_drain(const struct process *p)
{
	order(p, SCANNER_DRAIN, 0);
}

void process_leave(const struct process *p)
{
	(void)shutdown(p->fd, SHUT_WR);
}

void process_end(struct process *p)
{
	if (p->pid > 0) {
		(void)kill(p->pid, SIGKILL);
		while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR)
			continue;
		p->pid = 0;
	}
	if (p->scratch != NULL)
		(void)scratch_remove(AT_FDCWD, p->scratch);
	free(p->scratch);
	p->scratch = NULL;
}

void process_free(struct process *p)
{
	process_end(p);
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
}
