/*
 * scanner_process - one scanner master as a child process: how it is started, heard and ended.
 * Ownership  a command owns its texts; a process owns its pid, its socket and its scratch folder
 *            until process_end.
 * Threads    one at a time, but that process_kill_worker may run beside process_hear.
 */
#ifndef WEIR_SCANNER_PROCESS_H
#define WEIR_SCANNER_PROCESS_H

#include <sys/types.h>

#include "milterd/scanner/protocol.h"
#include "weir/err.h"
#include "weir/settings.h"

/* What to run, drawn once from the settings. */
struct process_command {
	char *args[SCANNER_ARGS + 1]; /* [0] is the executable; SCANNER_ARG_SCRATCH stays NULL */
	size_t workers;
	int64_t time_ms;
};

struct process {
	pid_t pid; /* 0: none, or it was waited for */
	int fd;
	char *scratch;
};

/* program: argv[0] of the caller. 0, or -1 with *e that says what to do: no executable, no
 * signature database. Call process_command_free either way. */
int process_command(struct process_command *c, const struct milterd_settings *s,
    const char *program, struct err *e);
void process_command_free(struct process_command *c);

int process_start(const struct process_command *c, struct process *p, struct err *e);
/* One notice, without waiting. 1: *n is valid (its text ends, its kind is known) and *worker is the
 * worker's socket or -1; 0: nothing there yet; -1: it ended or speaks rubbish. */
int process_hear(const struct process *p, struct scanner_notice *n, int *worker);
/* Never waits; what cannot be sent is the keeper's to notice by the missing replacement. */
void process_kill_worker(const struct process *p, pid_t worker);
/* Tell it to replace no worker any more: another master has taken over. */
void process_drain(const struct process *p);
/* Ask it to end: it sees end of file, and process_hear says when it did. */
void process_leave(const struct process *p);
/* End it by force where it still runs, wait for it, remove its scratch folder. fd stays open, for
 * threads that hold workers may still send orders; process_free closes it. */
void process_end(struct process *p);
void process_free(struct process *p);

#endif
