#include "config.h"

#include "milterd/scanner_pool.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "milterd/scanner_job.h"
#include "weir/log.h"

static struct timespec timespec_of(int64_t ms)
{
	return (struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
}

static int refused(struct scan_result *result, const char *prefix, const char *why)
{
	(void)snprintf(result->error, sizeof(result->error), "%s%s", prefix, why);
	return -1;
}

/* No master, and none on its way: waiting would only pass time. */
static bool down(const struct scanner *s)
{
	return s->current == NULL && s->candidate == NULL &&
	    (s->load != LOAD_WANTED || s->load_at_ms > clock_ms());
}

/* With the lock held: until a worker is free. */
static int await_worker(struct scanner *s, int64_t deadline_ms, struct scan_result *result)
{
	const struct timespec until = timespec_of(deadline_ms);

	while (s->idle_count == 0) {
		if (down(s))
			return refused(result, "down: ", s->refusal.text);
		if (pthread_cond_timedwait(&s->changed, &s->lock, &until) == ETIMEDOUT &&
		    s->idle_count == 0)
			return refused(result, "busy", "");
	}
	return 0;
}

void pool_enter(struct scanner *s)
{
	pthread_mutex_lock(&s->lock);
	s->scans++;
	pthread_mutex_unlock(&s->lock);
}

void pool_leave(struct scanner *s)
{
	pthread_mutex_lock(&s->lock);
	s->scans--;
	if (s->stopping)
		pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

int pool_take(struct scanner *s, int64_t deadline_ms, struct scanner_worker *w, uint64_t *id,
    struct scan_result *result)
{
	int rc;

	pthread_mutex_lock(&s->lock);
	if (s->waiting >= SCANNER_QUEUE * s->command.workers) {
		pthread_mutex_unlock(&s->lock);
		return refused(result, "busy", "");
	}
	s->waiting++;
	if ((rc = await_worker(s, deadline_ms, result)) == 0) {
		*w = s->idle[--s->idle_count];
		w->of->taken++;
		*id = ++s->last_id;
	}
	s->waiting--;
	pthread_mutex_unlock(&s->lock);
	return rc;
}

/* The last scan of a master that leaves, or is gone, is what the keeper waits for. */
static bool settle_taken(struct scanner_master *m)
{
	m->taken--;
	return m->taken == 0 && m->state >= MASTER_LEAVING;
}

void pool_give(struct scanner *s, struct scanner_worker *w)
{
	bool wake, keep;

	pthread_mutex_lock(&s->lock);
	wake = settle_taken(w->of);
	keep = w->of == s->current && s->idle_count < SCANNER_WORKERS_MAX;
	if (keep) {
		s->idle[s->idle_count++] = *w;
		pthread_cond_signal(&s->changed);
	} else {
		w->of->workers--;
	}
	pthread_mutex_unlock(&s->lock);
	if (!keep)
		close(w->fd);
	if (wake)
		scanner_wake(s);
}

void pool_drop(struct scanner *s, struct scanner_worker *w)
{
	struct scanner_master *m = w->of;
	bool wake;

	close(w->fd);
	process_kill_worker(&m->process, w->pid);
	pthread_mutex_lock(&s->lock);
	m->workers--;
	wake = settle_taken(m);
	if (m->state == MASTER_LOADED && m->workers < s->command.workers && m->kill_at_ms == 0) {
		m->kill_at_ms = clock_ms() + SCANNER_REPLACE_MS;
		wake = true;
	}
	pthread_mutex_unlock(&s->lock);
	if (wake)
		scanner_wake(s);
}

/* Free workers that died, or speak without a job, are replaced ones: their master told us of the
 * successor before we looked. */
static void sweep(struct scanner *s)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->idle_count; i++) {
		struct scanner_worker *w = &s->idle[i];
		struct pollfd p = { .fd = w->fd, .events = POLLIN };

		if (poll(&p, 1, 0) == 0) {
			s->idle[kept++] = *w;
			continue;
		}
		close(w->fd);
		w->of->workers--;
	}
	s->idle_count = kept;
}

bool pool_adopt(struct scanner *s, struct scanner_worker w)
{
	sweep(s);
	/* Up to one dead one for each live one may still be in a scan's hand. */
	if (w.of->workers >= 2 * s->command.workers || s->idle_count == SCANNER_WORKERS_MAX)
		return false;
	s->idle[s->idle_count++] = w;
	w.of->workers++;
	if (w.of->workers >= s->command.workers)
		w.of->kill_at_ms = 0;
	pthread_cond_signal(&s->changed);
	return true;
}

void pool_empty(struct scanner *s)
{
	for (size_t i = 0; i < s->idle_count; i++) {
		close(s->idle[i].fd);
		s->idle[i].of->workers--;
	}
	s->idle_count = 0;
}

void scanner_wake(struct scanner *s)
{
	const uint64_t one = 1;
	const ssize_t ignored = write(s->wake, &one, sizeof(one)); /* full means: woken already */

	(void)ignored;
}
