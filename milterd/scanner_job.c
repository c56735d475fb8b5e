#include "config.h"

#include "milterd/scanner_job.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "milterd/scanner/channel.h"
#include "weir/file.h"

int64_t clock_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int job_message(struct slice message, uint64_t *size)
{
	static const struct slice trace = SLICE("Received: by weir\r\n");
	int fd = memfd_create("message", MFD_CLOEXEC | MFD_ALLOW_SEALING), was;

	if (fd < 0)
		return -1;
	*size = trace.n + message.n;
	if (file_write_all(fd, trace.p, trace.n) == 0 &&
	    file_write_all(fd, message.p, message.n) == 0 &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) == 0)
		return fd;
	was = errno;
	close(fd);
	errno = was;
	return -1;
}

static enum job_end lost(struct scan_result *result, const char *why)
{
	(void)snprintf(result->error, sizeof(result->error), "%s", why);
	return JOB_LOST;
}

/* A worker without a job has nothing to say: a packet is a lie, end of file its death. */
static bool silent(int worker)
{
	char octet;

	return recv(worker, &octet, 1, MSG_DONTWAIT | MSG_PEEK) < 0 &&
	    (errno == EAGAIN || errno == EWOULDBLOCK);
}

static bool readable(int fd, int64_t deadline_ms)
{
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		const int64_t left = deadline_ms - clock_ms();
		const int rc = poll(&p, 1, left > 0 ? (int)left : 0);

		if (rc > 0)
			return true;
		if (rc == 0 || errno != EINTR)
			return false;
	}
}

enum job_end job_run(int worker, int message, uint64_t size, uint64_t id, int64_t deadline_ms,
    struct scan_result *result)
{
	const struct scanner_job job = { .version = SCANNER_PROTOCOL, .id = id, .size = size };
	struct scanner_answer answer;

	if (!silent(worker) || channel_send(worker, &job, sizeof(job), message, MSG_DONTWAIT) < 0)
		return JOB_UNSENT;
	if (!readable(worker, deadline_ms))
		return lost(result, "timeout");
	switch (channel_receive(worker, &answer, sizeof(answer), NULL, MSG_DONTWAIT)) {
	case 1:
		return job_answer(&answer, id, result) ? JOB_DONE : lost(result, "bad answer");
	case 0:
		return lost(result, "crashed");
	default:
		return lost(result, errno == EBADMSG ? "bad answer" : "crashed");
	}
}

/* The length of the name, or SCANNER_NAME_MAX where it is not a printable text with its end. */
static size_t name_length(const char name[SCANNER_NAME_MAX])
{
	size_t n = 0;

	while (n < SCANNER_NAME_MAX && name[n] >= ' ' && name[n] <= '~')
		n++;
	return n < SCANNER_NAME_MAX && name[n] == '\0' ? n : SCANNER_NAME_MAX;
}

bool job_answer(const struct scanner_answer *a, uint64_t id, struct scan_result *result)
{
	const size_t n = name_length(a->name);

	if (a->version != SCANNER_PROTOCOL || a->id != id || n == SCANNER_NAME_MAX)
		return false;
	switch (a->status) {
	case SCANNER_CLEAN:
		return a->code == 0 && n == 0;
	case SCANNER_VIRUS:
		if (n == 0)
			return false;
		result->found = true;
		(void)snprintf(result->name, sizeof(result->name), "%s", a->name);
		return true;
	case SCANNER_ERROR:
		if (n == 0)
			return false;
		(void)snprintf(result->error, sizeof(result->error), "%s", a->name);
		return true;
	default:
		return false;
	}
}
