#include "config.h"

#include "weir/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int file_read_fd(int fd, const char *name, struct bytes *into, struct err *e)
{
	for (;;) {
		char some[65536];
		ssize_t n = read(fd, some, sizeof(some));

		if (n == 0)
			return 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(e, "%s: %s", name, strerror(errno));
		if (!bytes_add(into, slice_of(some, (size_t)n)))
			return into->max > 0 && (size_t)n > into->max - into->n
			    ? err_set(e, "%s: larger than %zu octets", name, into->max)
			    : err_set(e, "%s: out of memory", name);
	}
}

int file_read(const char *path, struct bytes *into, struct err *e)
{
	struct stat st;
	int fd, rc;

	if (strcmp(path, "-") == 0)
		return file_read_fd(STDIN_FILENO, "standard input", into, e);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
		return err_set(e, "%s: %s", path, strerror(errno));
	/* One allocation of the right size where the size is known. */
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 &&
	    (into->max == 0 || (size_t)st.st_size <= into->max - into->n))
		(void)bytes_reserve(into, (size_t)st.st_size);
	rc = file_read_fd(fd, path, into, e);
	close(fd);
	return rc;
}

int file_write_all(int fd, const void *p, size_t n)
{
	const char *at = p;

	while (n > 0) {
		ssize_t some = write(fd, at, n);

		if (some < 0 && errno != EINTR)
			return -1;
		if (some > 0) {
			at += some;
			n -= (size_t)some;
		}
	}
	return 0;
}

/* Whoever the last folder is given to must be able to walk to it. */
int folder_make(const char *path, struct err *e)
{
	char *copy = slice_dup(slice_z(path));
	int rc = 0;

	if (copy == NULL)
		return err_set(e, "%s: out of memory", path);
	for (char *slash = copy + (copy[0] == '/'); rc == 0 && slash != NULL; slash++) {
		slash = strchr(slash, '/');
		if (slash != NULL)
			*slash = '\0';
		if (copy[0] != '\0' && mkdir(copy, slash != NULL ? 0755 : 0750) < 0 &&
		    errno != EEXIST)
			rc = err_set(e, "cannot make the folder %s: %s", copy, strerror(errno));
		if (slash == NULL)
			break;
		*slash = '/';
	}
	free(copy);
	return rc;
}

char *path_join(const char *dir, const char *name)
{
	struct bytes b = { 0 };

	if (name[0] == '/' || dir[0] == '\0')
		return slice_dup(slice_z(name));
	(void)bytes_addf(&b, "%s/%s", dir, name);
	if (b.failed)
		bytes_free(&b);
	return b.p;
}
