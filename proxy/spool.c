#include "config.h"

#include "spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "weir/file.h"

struct spool {
	const char *directory;
	struct bytes memory; /* the first octets */
	uint64_t in_file;    /* those behind them */
	int fd;              /* -1 while memory is enough */
};

struct spool *spool_new(const char *directory, size_t memory_max)
{
	struct spool *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	/* bytes.max 0 would mean no limit at all. */
	*s = (struct spool){
		.directory = directory, .memory.max = memory_max > 0 ? memory_max : 1, .fd = -1
	};
	return s;
}

void spool_free(struct spool **s)
{
	if (*s == NULL)
		return;
	bytes_free(&(*s)->memory);
	if ((*s)->fd >= 0)
		close((*s)->fd);
	free(*s);
	*s = NULL;
}

/* A file without a name; where the file system knows no O_TMPFILE, one that loses its name. */
static int open_unnamed(const char *directory, struct err *e)
{
	char path[4096];
	int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0)
		return fd;
	if (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT)
		return err_set(e, "spool %s: %s", directory, strerror(errno));
	if ((size_t)snprintf(path, sizeof(path), "%s/weir.XXXXXX", directory) >= sizeof(path))
		return err_set(e, "spool %s: the path is too long", directory);
	if ((fd = mkostemp(path, O_CLOEXEC)) < 0)
		return err_set(e, "spool %s: %s", directory, strerror(errno));
	(void)unlink(path);
	return fd;
}

/* After a failed write the file may be longer than in_file says: the rest is never read, and the
 * next write starts where in_file ends. */
static int add_to_file(struct spool *s, struct slice octets, struct err *e)
{
	if (s->fd < 0 && (s->fd = open_unnamed(s->directory, e)) < 0)
		return -1;
	for (size_t done = 0; done < octets.n;) {
		ssize_t n = pwrite(
		    s->fd, octets.p + done, octets.n - done, (off_t)(s->in_file + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(e, "spool %s: %s", s->directory, strerror(errno));
		done += (size_t)n;
	}
	s->in_file += octets.n;
	return 0;
}

int spool_add(struct spool *s, struct slice octets, struct err *e)
{
	size_t room = s->memory.max - s->memory.n;
	struct slice head = slice_sub(octets, 0, s->in_file > 0 ? 0 : room);
	struct slice tail = slice_sub(octets, head.n, octets.n);
	size_t was = s->memory.n;

	if (head.n > 0 && !bytes_add(&s->memory, head))
		return err_set(e, "spool: out of memory");
	if (tail.n == 0 || add_to_file(s, tail, e) == 0)
		return 0;
	s->memory.n = was; /* all of the octets or none */
	return -1;
}

int spool_spill(struct spool *s, struct err *e)
{
	if (s->in_file == 0 && s->memory.n > 0) {
		if (add_to_file(s, bytes_slice(&s->memory), e) < 0)
			return -1;
		bytes_free(&s->memory);
	}
	s->memory.max = s->memory.n > 0 ? s->memory.n : 1;
	return 0;
}

size_t spool_memory(const struct spool *s)
{
	return s != NULL ? s->memory.cap : 0;
}

uint64_t spool_size(const struct spool *s)
{
	return s->memory.n + s->in_file;
}

int spool_read(
    struct spool *s, uint64_t offset, char *into, size_t n, struct slice *got, struct err *e)
{
	ssize_t done;

	*got = (struct slice){ into, 0 };
	if (offset < s->memory.n) {
		*got = slice_sub(bytes_slice(&s->memory), (size_t)offset, n);
		return 0;
	}
	offset -= s->memory.n;
	if (offset >= s->in_file)
		return 0;
	if (n > s->in_file - offset)
		n = (size_t)(s->in_file - offset);
	while ((done = pread(s->fd, into, n, (off_t)offset)) < 0 && errno == EINTR)
		;
	if (done < 0)
		return err_set(e, "spool %s: %s", s->directory, strerror(errno));
	if (done == 0)
		return err_set(e, "spool %s: the file became shorter", s->directory);
	got->n = (size_t)done;
	return 0;
}
