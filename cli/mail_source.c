#include "config.h"

#include "mail_source.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "mbox.h"

static void failure(struct mail_source *s, int code, const char *path, const char *what)
{
	char text[1024];

	(void)snprintf(text, sizeof(text), "%s: %s", path, what);
	s->on_failure(code, text, s->arg);
}

/* ---- one file -------------------------------------------------------------------------------- */

struct file {
	struct mail_source *source;
	const char *path;
	int fd;
	unsigned messages;
};

/* Octets read, 0 at the end, -1 when the failure was told. */
static ssize_t file_some(struct file *f, char *p, size_t n)
{
	ssize_t some;

	do
		some = read(f->fd, p, n);
	while (some < 0 && errno == EINTR);
	if (some < 0)
		failure(f->source, CLI_IO, f->path, strerror(errno));
	else
		f->source->octets += (uint64_t)some;
	return some;
}

static int on_mbox_message(struct slice message, void *arg)
{
	struct file *f = arg;
	char name[1024];

	(void)snprintf(name, sizeof(name), "%s:%u", f->path, ++f->messages);
	return f->source->on_mail(name, message, f->source->arg);
}

static int mbox_file(struct file *f, char *p, size_t size, ssize_t n)
{
	struct mbox b;
	int rc = 0;

	mbox_start(&b, f->source->message_max, on_mbox_message, f);
	for (; rc == 0 && n > 0; n = rc == 0 ? file_some(f, p, size) : 0)
		rc = mbox_feed(&b, slice_of(p, (size_t)n));
	if (rc == 0)
		rc = mbox_end(&b);
	if (b.failed)
		failure(f->source, CLI_IO, f->path, "out of memory");
	mbox_free(&b);
	return rc;
}

static int message_file(struct file *f, char *p, size_t size, ssize_t n)
{
	struct bytes message = { .max = f->source->message_max };
	int rc = 0;

	for (; n > 0 && message.n < message.max && !message.failed; n = file_some(f, p, size))
		(void)bytes_add(
		    &message, slice_sub(slice_of(p, (size_t)n), 0, message.max - message.n));
	if (message.failed)
		failure(f->source, CLI_IO, f->path, "out of memory");
	else if (n >= 0)
		rc = f->source->on_mail(f->path, bytes_slice(&message), f->source->arg);
	bytes_free(&message);
	return rc;
}

static int any_file(struct mail_source *s, const char *path, int fd)
{
	struct file f = { .source = s, .path = path, .fd = fd };
	char some[65536];
	size_t got = 0;
	ssize_t n;

	/* A pipe may give its first octets one by one. */
	do {
		if ((n = file_some(&f, some + got, sizeof(some) - got)) > 0)
			got += (size_t)n;
	} while (n > 0 && got < sizeof("From ") - 1);
	if (n < 0)
		return 0;
	if (got == 0) {
		failure(s, CLI_DATA, path, "no message in it");
		return 0;
	}
	return slice_starts(slice_of(some, got), SLICE("From "))
	    ? mbox_file(&f, some, sizeof(some), (ssize_t)got)
	    : message_file(&f, some, sizeof(some), (ssize_t)got);
}

static int open_file(struct mail_source *s, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY), rc;

	if (fd < 0) {
		failure(s, CLI_IO, path, strerror(errno));
		return 0;
	}
	rc = any_file(s, path, fd);
	close(fd);
	return rc;
}

/* ---- folders --------------------------------------------------------------------------------- */

enum { FOLDER, MAILDIR }; /* fts_number of a folder */

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

static bool has_folder(const char *path, const char *name)
{
	char joined[4096];
	struct stat st;

	return (size_t)snprintf(joined, sizeof(joined), "%s/%s", path, name) < sizeof(joined) &&
	    stat(joined, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool is_maildir(const char *path)
{
	return has_folder(path, "cur") && has_folder(path, "new");
}

static bool is_skipped(const FTSENT *at)
{
	bool in_maildir = at->fts_level > FTS_ROOTLEVEL && at->fts_parent->fts_number == MAILDIR;

	if (at->fts_level > FTS_ROOTLEVEL && at->fts_name[0] == '.')
		return true;
	return in_maildir && strcmp(at->fts_name, "cur") != 0 && strcmp(at->fts_name, "new") != 0;
}

typedef int on_file_fn(const FTSENT *at, void *arg);
typedef void on_walk_error_fn(const FTSENT *at, void *arg);

static int on_entry(
    FTS *fts, FTSENT *at, on_file_fn *on_file, on_walk_error_fn *on_error, void *arg)
{
	if (is_skipped(at)) {
		if (at->fts_info == FTS_D)
			(void)fts_set(fts, at, FTS_SKIP);
		return 0;
	}
	switch (at->fts_info) {
	case FTS_D:
		at->fts_number = is_maildir(at->fts_accpath) ? MAILDIR : FOLDER;
		return 0;
	case FTS_F:
		return on_file(at, arg);
	case FTS_DEFAULT: /* a pipe is read where it was named, not where it lies about */
		return at->fts_level == FTS_ROOTLEVEL ? on_file(at, arg) : 0;
	case FTS_DNR:
	case FTS_ERR:
	case FTS_NS:
	case FTS_SLNONE:
	case FTS_DC:
		if (on_error != NULL)
			on_error(at, arg);
		return 0;
	default:
		return 0;
	}
}

/* Links are followed; a folder that leads back to itself is an error, not a loop. */
static int walk(const char *path, on_file_fn *on_file, on_walk_error_fn *on_error, void *arg)
{
	char *const paths[] = { (char *)path, NULL };
	FTS *fts = fts_open(paths, FTS_LOGICAL | FTS_NOCHDIR, by_name);
	FTSENT *at;
	int rc = 0;

	if (fts == NULL)
		return -1;
	while (rc == 0 && (at = fts_read(fts)) != NULL)
		rc = on_entry(fts, at, on_file, on_error, arg);
	fts_close(fts);
	return rc;
}

static int on_run_file(const FTSENT *at, void *arg)
{
	return open_file(arg, at->fts_path);
}

static void on_run_error(const FTSENT *at, void *arg)
{
	failure(arg, CLI_IO, at->fts_path,
	    at->fts_info == FTS_DC   ? "leads back to a folder above it"
		: at->fts_errno != 0 ? strerror(at->fts_errno)
				     : strerror(ENOENT));
}

int mail_source_run(struct mail_source *s, const char *path)
{
	if (strcmp(path, "-") == 0)
		return any_file(s, "standard input", STDIN_FILENO);
	return walk(path, on_run_file, on_run_error, s);
}

static int on_measure_file(const FTSENT *at, void *arg)
{
	uint64_t *sum = arg;

	if (S_ISREG(at->fts_statp->st_mode))
		*sum += (uint64_t)at->fts_statp->st_size;
	return 0;
}

uint64_t mail_source_measure(const char *path)
{
	uint64_t sum = 0;

	if (strcmp(path, "-") != 0)
		(void)walk(path, on_measure_file, NULL, &sum);
	return sum;
}
