#include "config.h"

#include "cli.h"

#include <string.h>

/* weir config show | manual: every setting with its value and where it came from; the rows of
 * weir.json(5). */
int cmd_config(struct cli *c, int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "manual") == 0) {
		settings_manual(stdout);
		return CLI_OK;
	}
	if (argc != 2 || strcmp(argv[1], "show") != 0)
		return cli_usage("config", "say show or manual");
	if (cli_load(c) != CLI_OK)
		return CLI_DATA;
	settings_show(&c->settings, stdout);
	return fflush(stdout) == 0 ? CLI_OK : CLI_IO;
}
