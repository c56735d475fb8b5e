/*
 * mail_source - the messages behind a path: a message file, an mbox, a Maildir (cur/ and new/), a
 * folder of messages with all below it, or "-", which is one message or an mbox on standard input.
 * Order      by name, so that two runs over one folder see the same.
 * Skipped    hidden files and folders, what is no file, a Maildir's tmp/ and index files.
 * Bounds     the first message_max octets of a message; a folder's names and one message are in
 *            memory at a time.
 */
#ifndef CLI_MAIL_SOURCE_H
#define CLI_MAIL_SOURCE_H

#include "weir/slice.h"

struct mail_source {
	size_t message_max;
	/* name: the file, with ":N" behind it for the N-th message of an mbox. 0 to go on; anything
	 * else stops the run, which returns it. */
	int (*on_mail)(const char *name, struct slice octets, void *arg);
	/* text names the file; code is CLI_IO, or CLI_DATA for a file without a message. */
	void (*on_failure)(int code, const char *text, void *arg);
	void *arg;
	uint64_t octets; /* read so far */
};

int mail_source_run(struct mail_source *s, const char *path);
/* Octets that a run would read; 0 for what has no size. */
uint64_t mail_source_measure(const char *path);

#endif
