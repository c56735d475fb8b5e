/* SPDX-License-Identifier: 0BSD */
/*
 * scratch - take away a folder of temporary files whose names were chosen by hostile input.
 * Safety     goes by descriptors and follows no symbolic link, so nothing outside the folder is
 * touched even while somebody still writes in it. Bounded: SCRATCH_DEPTH_MAX levels.
 */
#ifndef WEIR_SCANNER_SCRATCH_H
#define WEIR_SCANNER_SCRATCH_H

#define SCRATCH_DEPTH_MAX 64

/* Remove all that lies below the folder path, looked up from the folder `at` (AT_FDCWD: from the
 * working folder), and the folder itself. 0 when it is gone, else -1 with errno. */
int scratch_remove(int at, const char *path);

#endif
