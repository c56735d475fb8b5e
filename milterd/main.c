#include "config.h"

/*
 * weir-milterd: options, start, signals, end.
 *
 * Signals    libmilter takes HUP, TERM and INT with sigwait(3) in a thread of its own, and each of
 * them means: stop at once, sessions left hanging. That thread must not get them, so sigwait is
 * defined here, where libmilter finds it before libc's, and never returns. What remains: libmilter
 * runs on a second thread, all of its threads block the three signals, and the main thread, which
 * does not, takes them. HUP means reload; TERM and INT mean drain: no new session and no new
 * message, what is in hand is finished, at most drain_s long.
 */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "milterd/daemon.h"
#include "milterd/milter.h"
#include "weir/control.h"
#include "weir/file.h"
#include "weir/log.h"
#include "weir/privileges.h"

enum { EXIT_USAGE = 64, EXIT_CHECK = 2, RELOAD_MS = 120000 };

struct milterd *the_milterd;

/* What the handler leaves for the main loop. */
static volatile sig_atomic_t asked_to_stop, asked_to_reload, milter_ended;

static void on_signal(int signal_number)
{
	int saved = errno;

	if (signal_number == SIGHUP)
		asked_to_reload = 1;
	else
		asked_to_stop = 1;
	daemon_wake(the_milterd);
	errno = saved;
}

/* See above. In libmilter's thread the signals are blocked, so nothing ends the pause. */
__attribute__((visibility("default"))) int sigwait(const sigset_t *set, int *signal_number)
{
	(void)set;
	(void)signal_number;
	for (;;)
		(void)pause();
}

static const int signals[] = { SIGHUP, SIGTERM, SIGINT };

static void signals_prepare(void)
{
	struct sigaction take = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	for (size_t i = 0; i < COUNT(signals); i++)
		(void)sigaction(signals[i], &take, NULL);
	(void)sigaction(SIGPIPE, &ignore, NULL);
}

static void signals_mask(int how)
{
	sigset_t set;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < COUNT(signals); i++)
		(void)sigaddset(&set, signals[i]);
	(void)pthread_sigmask(how, &set, NULL);
}

/* ---- start ------------------------------------------------------------------------------- */

/* Leave the terminal. The parent waits for the child's word that it serves, so that its exit status
 * tells. Returns the descriptor to give that word on. */
static int detach(void)
{
	int ends[2];
	char word;
	pid_t child;

	if (pipe2(ends, O_CLOEXEC) < 0 || (child = fork()) < 0) {
		perror("weir-milterd");
		exit(EXIT_FAILURE);
	}
	if (child > 0) {
		close(ends[1]);
		_exit(read(ends[0], &word, 1) == 1 ? EXIT_SUCCESS : EXIT_FAILURE);
	}
	close(ends[0]);
	(void)setsid();
	return ends[1];
}

static void detached(int ready)
{
	int null;

	if (ready < 0)
		return;
	(void)file_write_all(ready, "+", 1);
	close(ready);
	if ((null = open("/dev/null", O_RDWR | O_CLOEXEC)) >= 0) {
		for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
			(void)dup2(null, fd);
		close(null);
	}
}

/* What needs root, then give root up. */
static int take_place(const struct milterd_settings *s, struct err *e)
{
	if (privileges_socket_folder(&s->socket, s->user, e) < 0 ||
	    privileges_socket_folder(&s->control, s->user, e) < 0 ||
	    privileges_folder(s->store + strlen("lmdb:"), s->user, e) < 0 ||
	    milter_open(s, e) < 0 ||
	    (s->socket.local && privileges_give(s->socket.path, s->user, e) < 0))
		return -1;
	return privileges_drop(s->user, e);
}

/* ---- at work ----------------------------------------------------------------------------- */

static void *serve(void *arg)
{
	struct milterd *d = arg;

	if (milter_run() < 0)
		log_event(
		    LOG_LEVEL_ERROR, "milter", "error", "libmilter gave up (see system log)", NULL);
	milter_ended = 1;
	daemon_wake(d);
	return NULL;
}

/* Sleep until something happens, or ms have passed; -1 means for ever. */
static void doze(struct milterd *d, int ms)
{
	struct pollfd p = { .fd = d->wake, .events = POLLIN };
	uint64_t count;

	if (poll(&p, 1, ms) == 1 && read(d->wake, &count, sizeof(count)) < 0 && errno != EAGAIN)
		log_event(LOG_LEVEL_WARN, "wake", "error", strerror(errno), NULL);
}

/* HUP goes the way of `weir reload`, so that reloads come one at a time. What came of it stands in
 * the log. */
static void reload(const struct milterd *d)
{
	struct err e;
	json_t *answer = control_ask(&d->settings.milterd.control, "reload", RELOAD_MS, &e);

	if (answer == NULL)
		log_event(LOG_LEVEL_ERROR, "reload", "error", e.text, NULL);
	json_decref(answer);
}

static void work(struct milterd *d)
{
	while (!asked_to_stop && !milter_ended) {
		if (asked_to_reload) {
			asked_to_reload = 0;
			reload(d);
		}
		doze(d, -1);
	}
}

static int64_t monotonic_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Let the messages in hand end. How many did not. */
static unsigned drain(struct milterd *d)
{
	int64_t end = monotonic_ms() + d->settings.milterd.drain_s * 1000;
	unsigned left;

	daemon_set_state(d, DAEMON_DRAINS);
	while ((left = daemon_messages_in_hand(d)) > 0 && !milter_ended) {
		int64_t ms = end - monotonic_ms();

		if (ms <= 0)
			break;
		doze(d, (int)ms);
	}
	for (int ms; left == 0 && !milter_ended && (ms = daemon_settle_ms(d)) > 0;)
		doze(d, ms);
	daemon_set_state(d, DAEMON_STOPS);
	return left;
}

static void say_started(const struct milterd *d)
{
	char text[ENDPOINT_TEXT_MAX];
	struct log_line l;

	log_begin(&l, LOG_LEVEL_INFO, "start");
	log_z(&l, "version", PACKAGE_VERSION);
	log_z(&l, "socket", endpoint_text(&d->settings.milterd.socket, text));
	log_int(&l, "rules", (int64_t)ruleset_rule_count(d->engine->rules));
	log_z(&l, "bayes", d->services.bayes != NULL ? "yes" : "no");
	log_int(&l, "signatures",
	    d->services.scanner != NULL ? (int64_t)scanner_signatures(d->services.scanner) : 0);
	log_end(&l);
}

static void say_stopped(unsigned left)
{
	struct log_line l;

	log_begin(&l, left > 0 ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, "stop");
	log_int(&l, "left", (int64_t)left);
	log_end(&l);
}

/* Serve until the end. libmilter is not stopped: that waits five seconds for its listener and
 * leaves sessions hanging all the same; its idle threads end with the process. Those that are still
 * in a message when the time of the drain is over may use everything: then nothing is taken apart
 * either. What is on disk is safe at any moment, and the scanner ends, and clears up, when it sees
 * our end of its socket closed. */
static int run(struct milterd *d, int ready)
{
	const struct log_settings *log = &d->settings.log;
	struct control_thread *control;
	pthread_t milter;
	struct err e;
	unsigned left;
	bool failed;

	assert(d->engine != NULL);
	daemon_services_start(d);
	/* A daemon in the background has no terminal: what its start had to say is said. */
	if (log_place(log->to, ready >= 0) != log->to)
		(void)log_open(
		    "weir-milterd", log_place(log->to, true), log->format, log->level, &e);
	signals_mask(SIG_BLOCK);
	control = control_thread_start(&d->settings.milterd.control, daemon_control, d, &e);
	if (control == NULL || pthread_create(&milter, NULL, serve, d) != 0) {
		fprintf(stderr, "weir-milterd: %s\n",
		    control == NULL ? e.text : "no thread can be started");
		if (d->settings.milterd.socket.local)
			(void)unlink(d->settings.milterd.socket.path);
		return EXIT_FAILURE;
	}
	signals_mask(SIG_UNBLOCK);
	say_started(d);
	detached(ready);
	work(d);
	failed = milter_ended;
	left = drain(d);
	control_thread_stop(&control);
	if (d->settings.milterd.socket.local)
		(void)unlink(d->settings.milterd.socket.path);
	say_stopped(left);
	if (left > 0)
		_exit(EXIT_SUCCESS);
	daemon_services_stop(d);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int start(struct milterd *d, bool foreground)
{
	const struct log_settings *log = &d->settings.log;
	int ready = -1;
	struct err e;

	if (log_open("weir-milterd", log->to, log->format, log->level, &e) < 0 ||
	    privileges_check(d->settings.milterd.user, "milterd.user", &e) < 0 ||
	    privileges_give_log(log->to, d->settings.milterd.user, &e) < 0 ||
	    take_place(&d->settings.milterd, &e) < 0) {
		fprintf(stderr, "weir-milterd: %s\n", e.text);
		return EXIT_FAILURE;
	}
	if (!foreground)
		ready = detach();
	if ((d->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0) {
		perror("weir-milterd: eventfd");
		return EXIT_FAILURE;
	}
	signals_prepare();
	return run(d, ready);
}

static int usage(FILE *to)
{
	fputs("usage: weir-milterd [-c weir.json] [-t] [-f]\n"
	      "  -c  the configuration file; else " WEIR_SYSCONFDIR
	      "/weir.json, else every default\n"
	      "  -t  check all of it, and the rules, and exit: 0 good, 2 not\n"
	      "  -f  stay in the foreground\n"
	      "  -V  print the version\n",
	    to);
	return to == stdout ? EXIT_SUCCESS : EXIT_USAGE;
}

int main(int argc, char **argv)
{
	static struct milterd d = {
		.lock = PTHREAD_MUTEX_INITIALIZER, .stopping = PTHREAD_COND_INITIALIZER, .wake = -1
	};
	static const char installed[] = WEIR_SYSCONFDIR "/weir.json";
	bool check = false, foreground = false;
	struct findings f = { 0 };
	int option, rc;

	the_milterd = &d;
	d.program = argv[0];
	d.started = time(NULL);
	while ((option = getopt(argc, argv, "c:tfhV")) != -1) {
		if (option == 'c')
			d.config_path = optarg;
		else if (option == 't')
			check = true;
		else if (option == 'f')
			foreground = true;
		else if (option == 'V')
			return printf("weir-milterd %s\n", PACKAGE_VERSION) < 0;
		else
			return usage(option == 'h' ? stdout : stderr);
	}
	if (optind < argc)
		return usage(stderr);
	if (d.config_path == NULL && access(installed, F_OK) == 0)
		d.config_path = installed;
	rc = daemon_load(&d, &f);
	findings_print(&f, stderr);
	findings_free(&f);
	if (rc == 0 && !check)
		return start(&d, foreground);
	if (rc == 0 &&
	    printf("%s and its rules are good\n",
		d.config_path != NULL ? d.config_path : "(defaults)") < 0)
		rc = -1;
	daemon_free(&d);
	return rc == 0 ? EXIT_SUCCESS : EXIT_CHECK;
}
