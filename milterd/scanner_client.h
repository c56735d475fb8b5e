/*
 * scanner_client - the daemon's side of the scanner processes: a message goes out as a sealed
 * memfd, a verdict comes back. The scanner itself (milterd/scanner/, an executable of its own,
 * GPL-2.0) is never linked with the daemon.
 * Failure    a worker that dies, lies or passes its time costs the message in hand an error and is
 *            replaced; the message is not tried again. A master that dies is restarted, at once
 *            the first time, then with growing pauses.
 * Threads    scanner_scan may run on many threads at once; each waits for a free worker, at most
 *            100 for each worker and at most antivirus.time_ms long. One housekeeping thread
 *            adopts new workers and restarts masters, so scanner_start is called after the program
 *            has become a daemon.
 */
#ifndef WEIR_SCANNER_CLIENT_H
#define WEIR_SCANNER_CLIENT_H

#include "weir/err.h"
#include "weir/settings.h"

struct scanner;

/* Start the scanner's master and wait until its database is loaded or was refused. NULL with *e
 * when there is no signature database or no executable: the caller says so once, and the virus
 * facts are unknown. program is argv[0] of the caller: siblings of the build tree are found beside
 * it. */
struct scanner *scanner_start(const struct milterd_settings *s, const char *program, struct err *e);
/* End all scanner processes. Scans on their way end at once with an error, and are waited for; no
 * other call may be on its way or come after. */
void scanner_stop(struct scanner **s);

struct scan_result {
	bool found;
	char name[256];  /* "Eicar-Test-Signature"; "" if nothing was found */
	char error[128]; /* "" if the scan is complete; else "timeout", "crashed", "busy", "bad
			  * answer", "down: ...", "limit: MaxFileSize", "libclamav: ...": then found
			  * is false and nothing may be taken for clean */
	double elapsed_ms;
};
/* Scan one message. Never fails otherwise than by result->error. */
void scanner_scan(struct scanner *s, struct slice message, struct scan_result *result);
/* Load the database again in a new master, swap, and let the old one end its scans. Where the new
 * one is refused, -1 with *e, and the old one stays. Returns when that is decided. */
int scanner_reload(struct scanner *s, struct err *e);
/* Number of signatures of the loaded database. */
unsigned scanner_signatures(const struct scanner *s);

#endif
