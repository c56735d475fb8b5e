#include "config.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "master.h"
#include "proxy/tls/client.h"
#include "proxy/tls/store.h"
#include "weir/log.h"

/* The contract of -t, and of every start: 2 for a configuration that is not good. */
enum { BAD_CONFIGURATION = 2, BAD_USAGE = 64 };

struct options {
	const char *path;
	bool test, foreground;
};

static int usage(FILE *to)
{
	fputs("usage: weir-proxy [-c weir.json] [-t] [-f]\n"
	      "  -c FILE  the configuration; else " WEIR_SYSCONFDIR
	      "/weir.json, else every default\n"
	      "  -t       check the whole file and exit: 0 it is good, 2 it is not\n"
	      "  -f       stay in the foreground\n"
	      "  -V       print the version\n",
	    to);
	return to == stdout ? EXIT_SUCCESS : BAD_USAGE;
}

/* -1: go on; else the exit status. */
static int parse_options(int argc, char **argv, struct options *o)
{
	int option;

	while ((option = getopt(argc, argv, "c:tfhV")) != -1) {
		if (option == 'c')
			o->path = optarg;
		else if (option == 't')
			o->test = true;
		else if (option == 'f')
			o->foreground = true;
		else if (option == 'V')
			return printf("weir-proxy %s\n", PACKAGE_VERSION) > 0 ? EXIT_SUCCESS
									      : EXIT_FAILURE;
		else
			return usage(option == 'h' ? stdout : stderr);
	}
	return optind < argc ? usage(stderr) : -1;
}

/* A daemon changes its folder, so a relative path would be lost at a reload; ours stays where it
 * is (daemon(3) with nochdir). */
static int load(const struct options *o, struct settings *s)
{
	struct findings f = { 0 };
	int rc = settings_load(o->path, s, &f);

	findings_print(&f, stderr);
	findings_free(&f);
	return rc;
}

/* What a start would read beside the configuration. */
static int check_certificates(const struct settings *s)
{
	struct findings f = { 0 };
	struct tls_store *store = tls_store_load(s, NULL, &f);
	int rc = store != NULL && tls_clients_check(s, &f) == 0 ? 0 : -1;

	findings_print(&f, stderr);
	findings_free(&f);
	tls_store_free(&store);
	return rc;
}

int main(int argc, char **argv)
{
	static const char installed[] = WEIR_SYSCONFDIR "/weir.json";
	struct options o = { 0 };
	int status = parse_options(argc, argv, &o);
	struct settings s;
	struct err e;

	if (status >= 0)
		return status;
	if (o.path == NULL && access(installed, F_OK) == 0)
		o.path = installed;
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(
	    SIGXFSZ, SIG_IGN); /* a spool file at its limit is a full disk, no reason to die */
	if (load(&o, &s) < 0) {
		settings_free(&s);
		return BAD_CONFIGURATION;
	}
	if (o.test) {
		bool good = check_certificates(&s) == 0;

		settings_free(&s);
		if (!good)
			return BAD_CONFIGURATION;
		return printf("%s is good\n", o.path != NULL ? o.path : "(defaults)") > 0
		    ? EXIT_SUCCESS
		    : EXIT_FAILURE;
	}
	if (log_open("weir-proxy", s.log.to, s.log.format, s.log.level, &e) < 0) {
		fprintf(stderr, "weir-proxy: %s\n", e.text);
		settings_free(&s);
		return EXIT_FAILURE;
	}
	return master_run(o.path, &s, o.foreground);
}
