#include "config.h"

#include "spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "weir/file.h"
#include "weir/milter.h"

/* Memory grows by so much: what is held is never moved but for the first block, which is as large
 * as a small message needs it. A filter gets a block in one packet. */
#define BLOCK ((size_t)MILTER_CHUNK_MAX)

struct spool {
	const char *directory;
	char **blocks; /* each of BLOCK octets, but for the last, of last_cap */
	size_t count, cap, last_cap;
	uint64_t in_memory, memory_max; /* octets; the first ones */
	uint64_t in_file;               /* those behind them */
	int fd;                         /* -1 while memory is enough */
	bool plain;
};

struct spool *spool_new(const char *directory, size_t memory_max)
{
	struct spool *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->directory = directory;
	s->memory_max = memory_max;
	s->fd = -1;
	return s;
}

static void drop_memory(struct spool *s)
{
	for (size_t i = 0; i < s->count; i++)
		free(s->blocks[i]);
	free(s->blocks);
	s->blocks = NULL;
	s->count = s->cap = s->last_cap = 0;
	s->in_memory = 0;
}

void spool_free(struct spool **s)
{
	if (*s == NULL)
		return;
	drop_memory(*s);
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

/* A block more, for n octets at once. */
static bool add_block(struct spool *s, size_t n)
{
	char **grown = s->blocks;

	if (s->count == s->cap) {
		size_t cap = s->cap == 0 ? 1 : s->cap * 2;

		if ((grown = reallocarray(s->blocks, cap, sizeof(*grown))) == NULL)
			return false;
		s->blocks = grown;
		s->cap = cap;
	}
	s->last_cap = s->count == 0 && n < BLOCK ? n : BLOCK;
	if ((grown[s->count] = malloc(s->last_cap)) == NULL) {
		s->last_cap = s->count > 0 ? BLOCK : 0;
		return false;
	}
	s->count++;
	return true;
}

/* Room behind the octets that are there: how much, up to n; 0 without memory. */
static size_t room(struct spool *s, size_t n)
{
	size_t at = (size_t)(s->in_memory % BLOCK);
	size_t cap;
	char *grown;

	if (s->in_memory / BLOCK == s->count && !add_block(s, n))
		return 0;
	if (s->in_memory / BLOCK + 1 == s->count && s->last_cap < BLOCK && n > s->last_cap - at) {
		cap = at + n > s->last_cap * 2 ? at + n : s->last_cap * 2;
		cap = cap < BLOCK ? cap : BLOCK;
		if ((grown = realloc(s->blocks[s->count - 1], cap)) == NULL)
			return 0;
		s->blocks[s->count - 1] = grown;
		s->last_cap = cap;
	}
	cap = s->in_memory / BLOCK + 1 == s->count ? s->last_cap : BLOCK;
	return n < cap - at ? n : cap - at;
}

static bool add_to_memory(struct spool *s, struct slice octets)
{
	while (octets.n > 0) {
		size_t n = room(s, octets.n);

		if (n == 0)
			return false;
		memcpy(s->blocks[s->in_memory / BLOCK] + s->in_memory % BLOCK, octets.p, n);
		s->in_memory += n;
		octets = slice_sub(octets, n, octets.n);
	}
	return true;
}

int spool_add(struct spool *s, struct slice octets, struct err *e)
{
	uint64_t was = s->in_memory;
	size_t n = octets.n;

	if (s->in_file > 0 || was >= s->memory_max)
		n = 0;
	else if (n > s->memory_max - was)
		n = (size_t)(s->memory_max - was);
	s->plain = false;
	if (!add_to_memory(s, slice_sub(octets, 0, n)))
		err_set(e, "spool: out of memory");
	else if (n == octets.n || add_to_file(s, slice_sub(octets, n, octets.n), e) == 0)
		return 0;
	s->in_memory = was; /* all of the octets or none */
	return -1;
}

/* The part of the memory that begins at offset and lies in one piece, at most n octets. */
static struct slice in_one_piece(const struct spool *s, uint64_t offset, size_t n)
{
	size_t at = (size_t)(offset % BLOCK);

	if (n > BLOCK - at)
		n = BLOCK - at;
	if (n > s->in_memory - offset)
		n = (size_t)(s->in_memory - offset);
	return slice_of(s->blocks[offset / BLOCK] + at, n);
}

int spool_spill(struct spool *s, struct err *e)
{
	if (s->in_file > 0)
		return 0; /* so the memory is full */
	for (uint64_t at = 0; at < s->in_memory;) {
		struct slice piece = in_one_piece(s, at, BLOCK);

		if (add_to_file(s, piece, e) < 0) {
			s->in_file = 0;
			return -1;
		}
		at += piece.n;
	}
	drop_memory(s);
	s->memory_max = 0;
	return 0;
}

size_t spool_memory(const struct spool *s)
{
	return s != NULL && s->count > 0 ? (s->count - 1) * BLOCK + s->last_cap : 0;
}

void spool_set_plain(struct spool *s)
{
	s->plain = true;
}

bool spool_plain(const struct spool *s)
{
	return s->plain;
}

uint64_t spool_size(const struct spool *s)
{
	return s->in_memory + s->in_file;
}

int spool_read(
    struct spool *s, uint64_t offset, char *into, size_t n, struct slice *got, struct err *e)
{
	ssize_t done;

	*got = (struct slice){ into, 0 };
	if (offset < s->in_memory) {
		*got = in_one_piece(s, offset, n);
		return 0;
	}
	offset -= s->in_memory;
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
