#include "config.h"

#include "milterd/scanner_client.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "milterd/scanner_job.h"
#include "milterd/scanner_pool.h"
#include "weir/log.h"

/* ---- start and stop ---------------------------------------------------------------------------*/

static void scanner_free(struct scanner *s)
{
	process_command_free(&s->command);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	if (s->wake >= 0)
		close(s->wake);
	free(s);
}

static struct scanner *scanner_new(void)
{
	struct scanner *s = calloc(1, sizeof(*s));
	pthread_condattr_t clock;

	if (s == NULL)
		return NULL;
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&s->changed, &clock);
	pthread_condattr_destroy(&clock);
	pthread_mutex_init(&s->lock, NULL);
	s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return s;
}

/* The daemon's signals are for the daemon's threads. */
static int keeper_start(struct scanner *s, struct err *e)
{
	sigset_t all, was;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &was);
	rc = pthread_create(&s->keeper, NULL, scanner_keeper, s);
	pthread_sigmask(SIG_SETMASK, &was, NULL);
	return rc == 0 ? 0 : err_set(e, "scanner: thread: %s", strerror(rc));
}

struct scanner *scanner_start(const struct milterd_settings *m, const char *program, struct err *e)
{
	struct scanner *s = scanner_new();

	if (s == NULL || s->wake < 0) {
		err_set(e, "scanner: %s", strerror(errno));
		goto failed;
	}
	if (process_command(&s->command, m, program, e) < 0 || keeper_start(s, e) < 0)
		goto failed;
	if (scanner_reload(s, e) < 0)
		scanner_stop(&s);
	return s;
failed:
	if (s != NULL)
		scanner_free(s);
	return NULL;
}

void scanner_stop(struct scanner **at)
{
	struct scanner *s = *at;

	if (s == NULL)
		return;
	*at = NULL;
	pthread_mutex_lock(&s->lock);
	s->stopping = true;
	pthread_mutex_unlock(&s->lock);
	scanner_wake(s);
	pthread_join(s->keeper, NULL);
	pthread_mutex_lock(&s->lock);
	while (s->scans > 0)
		pthread_cond_wait(&s->changed, &s->lock);
	pthread_mutex_unlock(&s->lock);
	scanner_free(s);
}

/* A load that runs already may have read the files before they changed: wait for its end first. */
int scanner_reload(struct scanner *s, struct err *e)
{
	uint64_t before;
	int rc = 0;

	pthread_mutex_lock(&s->lock);
	while (s->load == LOAD_RUNNING)
		pthread_cond_wait(&s->changed, &s->lock);
	before = s->loads;
	s->load = LOAD_WANTED;
	s->load_at_ms = 0;
	scanner_wake(s);
	while (s->loads == before)
		pthread_cond_wait(&s->changed, &s->lock);
	if (!s->load_good)
		rc = err_set(e, "%s", s->refusal.text);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

unsigned scanner_signatures(const struct scanner *s)
{
	return s->signatures;
}

/* ---- scan -------------------------------------------------------------------------------------*/

static void log_lost(const struct scanner_worker *w, const struct scan_result *result)
{
	struct log_line l;

	log_begin(&l, LOG_LEVEL_WARN, "scanner-worker-lost");
	log_int(&l, "pid", w->pid);
	log_z(&l, "error", result->error[0] != '\0' ? result->error : "dead before a job");
	log_end(&l);
}

static enum job_end scan_with(struct scanner *s, struct scanner_worker *w, struct slice message,
    uint64_t id, struct scan_result *result)
{
	enum job_end end;
	uint64_t size;
	int fd = job_message(message, &size);

	if (fd < 0) {
		(void)snprintf(result->error, sizeof(result->error), "memfd: %s", strerror(errno));
		pool_give(s, w);
		return JOB_DONE;
	}
	end = job_run(
	    w->fd, fd, size, id, clock_ms() + s->command.time_ms + SCANNER_GRACE_MS, result);
	close(fd);
	if (end == JOB_DONE) {
		pool_give(s, w);
		return end;
	}
	log_lost(w, result);
	pool_drop(s, w);
	return end;
}

static void scan(struct scanner *s, struct slice message, struct scan_result *result)
{
	const int64_t deadline_ms = clock_ms() + s->command.time_ms;
	/* Each dead worker is met once; more of them are a scanner that cannot live. */
	size_t tries = 2 * s->command.workers + 1;
	enum job_end end = JOB_UNSENT;

	while (end == JOB_UNSENT && tries-- > 0) {
		struct scanner_worker w;
		uint64_t id;

		if (pool_take(s, deadline_ms, &w, &id, result) < 0)
			return;
		end = scan_with(s, &w, message, id, result);
	}
	if (end == JOB_UNSENT)
		(void)snprintf(result->error, sizeof(result->error), "crashed");
}

void scanner_scan(struct scanner *s, struct slice message, struct scan_result *result)
{
	struct timespec a, b;

	*result = (struct scan_result){ .found = false };
	clock_gettime(CLOCK_MONOTONIC, &a);
	pool_enter(s);
	scan(s, message, result);
	pool_leave(s);
	clock_gettime(CLOCK_MONOTONIC, &b);
	result->elapsed_ms = (double)(b.tv_sec - a.tv_sec) * 1e3 +
	    (double)(b.tv_nsec - a.tv_nsec) / 1e6;
}
