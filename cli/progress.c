#include "config.h"

#include "progress.h"

#include <math.h>
#include <stdio.h>
#include <unistd.h>

enum { WIDTH = 30, EVERY_MS = 100 };

static double ms_since(const struct timespec *then)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - then->tv_sec) * 1e3 +
	    (double)(now.tv_nsec - then->tv_nsec) / 1e6;
}

void progress_start(struct progress *p, uint64_t total, bool quiet)
{
	*p = (struct progress){ .shown = !quiet && isatty(STDERR_FILENO) == 1, .total = total };
	clock_gettime(CLOCK_MONOTONIC, &p->begin);
}

static void draw_time_left(double seconds)
{
	if (seconds < 100)
		fprintf(stderr, ", %.0f s left", seconds);
	else
		fprintf(stderr, ", %.0f min left", seconds / 60);
}

void progress_update(struct progress *p, uint64_t octets, uint64_t messages)
{
	double elapsed_ms, share = 0;

	if (!p->shown || ms_since(&p->drawn) < EVERY_MS)
		return;
	clock_gettime(CLOCK_MONOTONIC, &p->drawn);
	elapsed_ms = fmax(ms_since(&p->begin), 1);
	fputc('\r', stderr);
	if (p->total > 0) {
		int full;

		share = octets < p->total ? (double)octets / (double)p->total : 1;
		full = (int)(share * WIDTH);
		fprintf(stderr, "[%.*s%*s] %3.0f %% ", full, "##############################",
		    WIDTH - full, "", share * 100);
	}
	fprintf(stderr, "%llu messages, %.0f/s", (unsigned long long)messages,
	    (double)messages * 1e3 / elapsed_ms);
	if (share > 0)
		draw_time_left(elapsed_ms / 1e3 * (1 - share) / share);
	fputs("\033[K", stderr); /* erase what an older, longer line left */
	fflush(stderr);
}

void progress_clear(struct progress *p)
{
	if (p->shown)
		fputs("\r\033[K", stderr);
}
