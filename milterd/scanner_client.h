/*
 * scanner_client - the daemon's side of the scanner processes: a message goes out as a sealed
 * memfd, a verdict comes back. The scanner itself (milterd/scanner/, an executable of its own,
 * GPL-2.0) is never linked with the daemon. Failure    a worker that dies, lies or passes its time
 * costs the message in hand an error and is replaced. Threads    scanner_scan may run on many
 * threads at once; each waits for a free worker.
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
void scanner_stop(struct scanner **s);

struct scan_result {
	bool found;
	char name[256];  /* "Eicar-Test-Signature"; "" if nothing was found */
	char error[128]; /* "" if the scan is complete; else "timeout", "crashed", "busy", "limit:
			  * ...": then found is false and nothing may be taken for clean */
	double elapsed_ms;
};
/* Scan one message. Never fails otherwise than by result->error. */
void scanner_scan(struct scanner *s, struct slice message, struct scan_result *result);
/* Load the database again in a new master and swap; the old one stays where the new one is refused.
 */
int scanner_reload(struct scanner *s, struct err *e);
/* Number of signatures of the loaded database. */
unsigned scanner_signatures(const struct scanner *s);

#endif
