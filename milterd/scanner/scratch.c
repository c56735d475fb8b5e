/* SPDX-License-Identifier: 0BSD */
#include "config.h"

#include "milterd/scanner/scratch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static int remove_below(int at, const char *name, int depth)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct dirent *entry;
	DIR *d;

	if (fd < 0)
		return -1;
	if ((d = fdopendir(fd)) == NULL) {
		close(fd);
		return -1;
	}
	while ((entry = readdir(d)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		/* What cannot be unlinked is a folder, or shows in the final rmdir. */
		if (unlinkat(dirfd(d), entry->d_name, 0) < 0 && depth < SCRATCH_DEPTH_MAX)
			(void)remove_below(dirfd(d), entry->d_name, depth + 1);
	}
	closedir(d);
	return unlinkat(at, name, AT_REMOVEDIR);
}

int scratch_remove(int at, const char *path)
{
	return remove_below(at, path, 0);
}
