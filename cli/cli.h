/*
 * cli - what the subcommands of weir share: one file each, cmd_NAME.c, one row each in main.c.
 * Exit codes are a contract: 0 good, 64 usage, 65 unreadable rules, data or configuration, 74 I/O;
 * a subcommand's own codes stand in weir(1).
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "weir/settings.h"

enum { CLI_OK = 0, CLI_USAGE = 64, CLI_DATA = 65, CLI_IO = 74 };

struct cli {
	const char *program; /* argv[0] of weir: siblings of the build tree are found beside it */
	const char *config_path; /* of -c, or the installed file where it is there, or NULL */
	struct settings settings;
	bool loaded;
};

/* Run with argv[0] the command's word; optind is 1 for getopt_long. Returns the exit code. */
typedef int cli_command(struct cli *c, int argc, char **argv);

/* Load the settings once; findings go to standard error. CLI_OK or CLI_DATA. */
int cli_load(struct cli *c);
/* Print "weir NAME: ..." and the command's usage line to standard error; returns CLI_USAGE. */
int cli_usage(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Print "weir: ..." to standard error; returns code. */
int cli_fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

cli_command cmd_check, cmd_config, cmd_forget, cmd_reload, cmd_rules, cmd_sink, cmd_stats,
    cmd_status, cmd_train;

#endif
