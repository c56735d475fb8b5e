/*
 * maildir - store messages in a Maildir: written and synced under tmp, then renamed into new.
 * Errors     0, or -1 with *e that names the folder and the cause; an unfinished message leaves
 *            nothing behind once it was aborted.
 * Threads    one at a time.
 */
#ifndef CLI_MAILDIR_H
#define CLI_MAILDIR_H

#include "weir/err.h"
#include "weir/slice.h"

struct maildir {
	char *path;
	int tmp_fd, new_fd; /* folders */
	char host[64];      /* as it stands in file names */
	unsigned long sequence;
};

struct maildir_message {
	int fd; /* -1: none is open */
	char name[160];
};

/* Make the folders where they are missing. Call maildir_close either way. */
int maildir_open(struct maildir *m, const char *path, const char *host, struct err *e);
void maildir_close(struct maildir *m);

int maildir_begin(struct maildir *m, struct maildir_message *message, struct err *e);
int maildir_add(
    struct maildir *m, struct maildir_message *message, struct slice content, struct err *e);
/* On 0 the message lies in new, and both its content and its name survive a crash. On -1 it was
 * aborted. */
int maildir_commit(struct maildir *m, struct maildir_message *message, struct err *e);
/* Does nothing where none is open. */
void maildir_abort(struct maildir *m, struct maildir_message *message);

#endif
