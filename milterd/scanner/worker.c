/* SPDX-License-Identifier: GPL-2.0-only */
#include "config.h"

#include "milterd/scanner/worker.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "milterd/scanner/channel.h"

/* The daemon is trusted; this is against its mistakes: a memfd that shrinks would end the worker
 * with SIGBUS in the middle of a scan. */
static bool job_valid(const struct scanner_job *job, int fd)
{
	const int wanted = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	struct stat st;

	return job->version == SCANNER_PROTOCOL && fd >= 0 && fstat(fd, &st) == 0 &&
	    (uint64_t)st.st_size == job->size && (fcntl(fd, F_GET_SEALS) & wanted) == wanted;
}

void worker_serve(struct engine *g, int fd)
{
	for (;;) {
		struct scanner_answer answer = { .version = SCANNER_PROTOCOL };
		struct scanner_job job;
		int message = -1, rc = channel_receive(fd, &job, sizeof(job), &message, 0);

		if (rc == 0)
			_exit(0);
		if (rc < 0 || !job_valid(&job, message))
			_exit(1);
		answer.id = job.id;
		engine_scan(g, message, job.size, &answer);
		close(message);
		if (channel_send(fd, &answer, sizeof(answer), -1, 0) < 0)
			_exit(0);
	}
}
