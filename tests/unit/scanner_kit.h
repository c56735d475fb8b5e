/*
 * scanner_kit - what the scanner's tests share: a private folder with a database and a TMPDIR, the
 * processes as /proc shows them, and scanners that lie (the test program itself, started again).
 * Failure    of any helper fails the test.
 */
#ifndef TESTS_SCANNER_KIT_H
#define TESTS_SCANNER_KIT_H

#include <sys/types.h>

#include "milterd/scanner/protocol.h"
#include "milterd/scanner_client.h"

/* In hexadecimal, so that no scanner takes this file for what it describes. */
#define KIT_EICAR                                                                          \
	"Eicar-Test-Signature:0:*:58354f2150254041505b345c505a58353428505e2937"            \
	"434329377d2445494341522d5354414e444152442d414e544956495255532d544553542d46494c45" \
	"2124482b482a\n"
#define KIT_OTHER "Other-Test:0:*:6f746865722d6d61726b6572\n" /* other-marker */

struct kit {
	char root[64], database[80], tmp[80], *executable;
	pid_t was; /* kit_replaced: the master before */
	struct milterd_settings settings;
	struct scanner *scanner;
};

/* Folders and settings; then kit_run starts the scanner, kit_halt stops it. */
void kit_make(struct kit *k);
void kit_run(struct kit *k);
void kit_halt(struct kit *k);
/* All three with EICAR as the only signature. */
void kit_start(struct kit *k, int workers);
void kit_stop(struct kit *k);
/* A file of the database. */
void kit_write(struct kit *k, const char *name, const char *text);

/* Poll until true, at most 30 seconds. */
void kit_wait(bool (*is)(struct kit *), struct kit *k);
bool kit_has_memfd(struct kit *k);
bool kit_one_master(struct kit *k);
bool kit_replaced(struct kit *k);
/* One scan of EICAR finds it; or: does within 30 seconds. */
void kit_expect_works(struct kit *k);
void kit_wait_works(struct kit *k);

int kit_children(pid_t of, pid_t *pids, int max);
pid_t kit_master(struct kit *k);
pid_t kit_worker(struct kit *k); /* waits until there is one */
int kit_count(const char *folder);
void kit_read_proc(pid_t pid, const char *file, char *into, size_t n);

/* The test program shall be the scanner, and lie. */
void kit_fake(struct kit *k, const char *lie);
int fake_scanner(char **argv);
struct fake {
	const char *name, *error; /* error: what scanner_scan then says */
};
extern const struct fake fake_workers[], fake_masters[];
extern const size_t fake_worker_count, fake_master_count;

#endif
