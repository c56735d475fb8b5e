#include "config.h"

#include "maildir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "weir/file.h"

static int folder_open(const char *path, const char *name, int *fd, struct err *e)
{
	char *folder = path_join(path, name);
	int rc = -1;

	if (folder == NULL)
		return err_set(e, "%s: out of memory", path);
	if (folder_make(folder, e) == 0) {
		if ((*fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
			rc = err_set(e, "%s: %s", folder, strerror(errno));
		else
			rc = 0;
	}
	free(folder);
	return rc;
}

/* What file names may not hold, and what Maildir gives a meaning to, is written as octal. */
static void host_set(struct maildir *m, const char *host)
{
	struct buf b = BUF_ON(m->host);

	for (; *host != '\0'; host++) {
		unsigned char c = (unsigned char)*host;

		if (c <= ' ' || c >= 0x7f || c == '/' || c == ':' || c == ',')
			buf_addf(&b, "\\%03o", c);
		else
			buf_addc(&b, (char)c);
	}
}

int maildir_open(struct maildir *m, const char *path, const char *host, struct err *e)
{
	int cur = -1;

	*m = (struct maildir){ .tmp_fd = -1, .new_fd = -1 };
	host_set(m, host);
	if ((m->path = slice_dup(slice_z(path))) == NULL)
		return err_set(e, "%s: out of memory", path);
	if (folder_open(path, "tmp", &m->tmp_fd, e) < 0 ||
	    folder_open(path, "new", &m->new_fd, e) < 0 || folder_open(path, "cur", &cur, e) < 0)
		return -1;
	close(cur);
	return 0;
}

void maildir_close(struct maildir *m)
{
	if (m->tmp_fd >= 0)
		close(m->tmp_fd);
	if (m->new_fd >= 0)
		close(m->new_fd);
	free(m->path);
	*m = (struct maildir){ .tmp_fd = -1, .new_fd = -1 };
}

int maildir_begin(struct maildir *m, struct maildir_message *message, struct err *e)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	(void)snprintf(message->name, sizeof(message->name), "%lld.M%06ldP%ldQ%lu.%s",
	    (long long)now.tv_sec, now.tv_nsec / 1000, (long)getpid(), ++m->sequence, m->host);
	message->fd = openat(
	    m->tmp_fd, message->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	if (message->fd < 0)
		return err_set(e, "%s/tmp: %s", m->path, strerror(errno));
	return 0;
}

int maildir_add(
    struct maildir *m, struct maildir_message *message, struct slice content, struct err *e)
{
	if (file_write_all(message->fd, content.p, content.n) < 0)
		return err_set(e, "%s/tmp/%s: %s", m->path, message->name, strerror(errno));
	return 0;
}

int maildir_commit(struct maildir *m, struct maildir_message *message, struct err *e)
{
	if (fsync(message->fd) < 0 ||
	    renameat(m->tmp_fd, message->name, m->new_fd, message->name) < 0) {
		int error = errno;

		maildir_abort(m, message);
		return err_set(e, "%s/new: %s", m->path, strerror(error));
	}
	close(message->fd);
	message->fd = -1;
	if (fsync(m->new_fd) < 0) {
		int error = errno;

		(void)unlinkat(m->new_fd, message->name, 0);
		return err_set(e, "%s/new: %s", m->path, strerror(error));
	}
	return 0;
}

void maildir_abort(struct maildir *m, struct maildir_message *message)
{
	if (message->fd < 0)
		return;
	close(message->fd);
	message->fd = -1;
	(void)unlinkat(m->tmp_fd, message->name, 0);
}
