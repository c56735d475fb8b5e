#include "config.h"

#include "cli.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "weir/log.h"

static const struct command {
	const char *name;
	cli_command *run;
	const char *usage, *about;
} commands[] = {
	{ "check", cmd_check,
	    "check [--json] [--explain] [--without virus,bayes,dns] [--ip A] [--helo H] [--from F] "
	    "[--rcpt R]... FILE|-",
	    "the verdict on a message, and why" },
	{ "config", cmd_config, "config show|manual",
	    "show every setting and where its value came from" },
	{ "forget", cmd_forget, "forget PATH...", "take back what was learnt of messages" },
	{ "reload", cmd_reload, "reload", "have the daemons read their files anew" },
	{ "rules", cmd_rules, "rules lint|test|show NAME|schema|facts",
	    "look at the rule set, try its examples" },
	{ "sink", cmd_sink,
	    "sink --listen ADDR:PORT --maildir DIR [--refuse-rcpt ADDR]... [--slow MS] [--fault "
	    "PHASE=ACTION]...",
	    "a small SMTP server for demos and tests that stores into a Maildir" },
	{ "stats", cmd_stats, "stats [--json]", "what was learnt, and how large it is" },
	{ "status", cmd_status, "status [--json]", "how the daemons are" },
	{ "train", cmd_train, "train spam|ham [--all] [--teacher NAME] [--quiet] PATH...",
	    "learn from message files, Maildirs, mboxes, folders, or - for standard input" },
};

static const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < COUNT(commands); i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

int cli_usage(const char *command, const char *format, ...)
{
	const struct command *c = command_find(command);
	va_list ap;

	fprintf(stderr, "weir %s: ", command);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fprintf(stderr, "\nusage: weir [-c weir.json] %s\n", c != NULL ? c->usage : command);
	return CLI_USAGE;
}

int cli_fail(int code, const char *format, ...)
{
	va_list ap;

	fputs("weir: ", stderr);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
	return code;
}

int cli_load(struct cli *c)
{
	struct findings f = { 0 };
	int rc;

	if (c->loaded)
		return CLI_OK;
	rc = settings_load(c->config_path, &c->settings, &f);
	findings_print(&f, stderr);
	findings_free(&f);
	c->loaded = true;
	return rc == 0 ? CLI_OK : CLI_DATA;
}

static int help(FILE *to)
{
	fputs("usage: weir [-c weir.json] COMMAND ...\n\n", to);
	for (size_t i = 0; i < COUNT(commands); i++)
		fprintf(to, "  weir %s\n      %s\n", commands[i].usage, commands[i].about);
	fputs("\nweir(1) says more.\n", to);
	return to == stdout ? CLI_OK : CLI_USAGE;
}

int main(int argc, char **argv)
{
	static const char installed[] = WEIR_SYSCONFDIR "/weir.json";
	struct cli c = { .program = argv[0] };
	const struct command *command;
	struct err e;
	int option, rc;

	(void)signal(SIGPIPE, SIG_IGN);
	/* What the daemon's parts have to tell besides is no answer to a command. */
	(void)log_open("weir", "stderr", "text", "warn", &e);
	if (access(installed, F_OK) == 0)
		c.config_path = installed;
	while ((option = getopt(argc, argv, "+c:hV")) != -1) {
		if (option == 'c')
			c.config_path = optarg;
		else if (option == 'V')
			return printf("weir %s\n", PACKAGE_VERSION) > 0 ? CLI_OK : CLI_IO;
		else
			return help(option == 'h' ? stdout : stderr);
	}
	if (optind >= argc)
		return help(stderr);
	if ((command = command_find(argv[optind])) == NULL) {
		const char *names[COUNT(commands)], *like;

		for (size_t i = 0; i < COUNT(commands); i++)
			names[i] = commands[i].name;
		like = nearest(slice_z(argv[optind]), names, COUNT(names));
		return cli_fail(CLI_USAGE, "unknown command \"%s\"%s%s%s", argv[optind],
		    like != NULL ? " (did you mean \"" : "", like != NULL ? like : "",
		    like != NULL ? "\"?)" : "");
	}
	argc -= optind;
	argv += optind;
	optind = 1;
	rc = command->run(&c, argc, argv);
	if ((fflush(stdout) != 0 || ferror(stdout)) && rc < CLI_USAGE)
		rc = cli_fail(CLI_IO, "cannot write to standard output");
	if (c.loaded)
		settings_free(&c.settings);
	return rc;
}
