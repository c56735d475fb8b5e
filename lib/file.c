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

/* Make every folder on the way; whoever the last one is given to must be able to walk to it. *first
 * is the length of the shortest path that was missing. */
static int folders_make(char *path, size_t *first, struct err *e)
{
	char *end = path + (path[0] == '/');

	for (;;) {
		char was;

		end = end + strcspn(end, "/");
		was = *end;
		*end = '\0';
		if (path[0] != '\0' && mkdir(path, was != '\0' ? 0755 : 0750) == 0)
			*first = *first < (size_t)(end - path) ? *first : (size_t)(end - path);
		else if (path[0] != '\0' && errno != EEXIST)
			return err_set(e, "cannot make the folder %s: %s", path, strerror(errno));
		*end = was;
		if (was == '\0')
			return 0;
		end++;
	}
}

/* The deepest first: while we work below a folder, nobody else may write in it. */
static int folders_give(char *path, size_t first, uid_t user, gid_t group, struct err *e)
{
	for (size_t n = strlen(path); n >= first; n--) {
		if (path[n] != '\0' && path[n] != '/')
			continue;
		path[n] = '\0';
		if (lchown(path, user, group) < 0)
			return err_set(e, "%s: %s", path, strerror(errno));
	}
	return 0;
}

int folder_make_for(const char *path, uid_t user, gid_t group, struct err *e)
{
	char *copy = slice_dup(slice_z(path));
	size_t first = SIZE_MAX;
	int rc;

	if (copy == NULL)
		return err_set(e, "%s: out of memory", path);
	rc = folders_make(copy, &first, e);
	if (rc == 0 && user != (uid_t)-1)
		rc = folders_give(copy, first, user, group, e);
	free(copy);
	return rc;
}

int folder_make(const char *path, struct err *e)
{
	return folder_make_for(path, (uid_t)-1, (gid_t)-1, e);
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
