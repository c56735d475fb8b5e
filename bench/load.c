#include "config.h"

#include "load.h"

#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "weir/net.h"

static const char help_text[] =
    "usage: load [options] ADDRESS:PORT\n"
    "Sends messages over SMTP, and prints what it took as a line of JSON.\n"
    "  --sessions N        at the same time (1)\n"
    "  --messages N        in all (1000)\n"
    "  --milliseconds N    begin no message after so long\n"
    "  --per-connection N  messages on one connection (1); 0: connections that carry none,\n"
    "                      and --messages counts connections\n"
    "  --size N            octets of a message (1024)\n"
    "  --tls HOW           starttls or implicit; certificates are not verified\n"
    "  --resume            resume TLS sessions where the server gives tickets\n"
    "  --pipeline          MAIL, RCPT and DATA in one write\n"
    "  --rest              a connection for each session, and no QUIT: when all have sent\n"
    "                      their messages, print so and wait for the end of standard input\n";

void load_stop(const char *format, ...)
{
	va_list ap;

	fputs("load: ", stderr);
	va_start(ap, format);
	(void)vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(EXIT_FAILURE);
}

static size_t number(const char *name, const char *text, uint64_t max)
{
	uint64_t n;

	if (slice_number(slice_z(text), max, &n) < 0)
		load_stop("--%s takes a number up to %llu", name, (unsigned long long)max);
	return (size_t)n;
}

static enum load_tls tls_option(const char *text)
{
	if (slice_eq(slice_z(text), SLICE("starttls")))
		return LOAD_STARTTLS;
	if (!slice_eq(slice_z(text), SLICE("implicit")))
		load_stop("--tls takes starttls or implicit");
	return LOAD_IMPLICIT;
}

static void option_take(struct load_options *o, int option, const char *name)
{
	switch (option) {
	case 's':
		o->sessions = number(name, optarg, 1000000);
		break;
	case 'm':
		o->messages = number(name, optarg, 1000000000);
		break;
	case 't':
		o->seconds = (double)number(name, optarg, 86400000) / 1000;
		break;
	case 'c':
		o->per_connection = number(name, optarg, 1000000000);
		break;
	case 'l':
		o->size = number(name, optarg, 1 << 30);
		break;
	case 'T':
		o->tls = tls_option(optarg);
		break;
	case 'r':
		o->resume = true;
		break;
	case 'p':
		o->pipeline = true;
		break;
	case 'R':
		o->rest = true;
		break;
	case 'h':
		fputs(help_text, stdout);
		exit(EXIT_SUCCESS);
	default:
		load_stop("load --help says more");
	}
}

static void options_read(int argc, char **argv, struct load_options *o)
{
	static const struct option known[] = {
		{ "sessions", required_argument, NULL, 's' },
		{ "messages", required_argument, NULL, 'm' },
		{ "milliseconds", required_argument, NULL, 't' },
		{ "per-connection", required_argument, NULL, 'c' },
		{ "size", required_argument, NULL, 'l' },
		{ "tls", required_argument, NULL, 'T' },
		{ "resume", no_argument, NULL, 'r' },
		{ "pipeline", no_argument, NULL, 'p' },
		{ "rest", no_argument, NULL, 'R' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int option, at = 0;

	while ((option = getopt_long(argc, argv, "", known, &at)) != -1)
		option_take(o, option, option != '?' ? known[at].name : "");
	if (optind + 1 != argc || o->sessions == 0)
		load_stop("name one ADDRESS:PORT and at least one session");
	if (o->rest) /* each session its part */
		o->messages = o->sessions * (o->per_connection > 0 ? o->per_connection : 1);
}

static socklen_t address_read(const char *text, struct sockaddr_storage *to)
{
	struct endpoint ep;
	struct address a;
	struct err e;

	if (endpoint_parse(slice_z(text), &ep, &e) < 0 ||
	    address_parse(slice_z(ep.host), &a, &e) < 0)
		load_stop("%s: %s", text, e.text);
	a.port = ep.port;
	return address_sockaddr(&a, to);
}

/* As many descriptors as the limit allows: ten thousand sessions are asked for. */
static void descriptors_raise(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int main(int argc, char **argv)
{
	struct load_options o = {
		.sessions = 1, .messages = 1000, .per_connection = 1, .size = 1024
	};
	struct sockaddr_storage to = { 0 };
	socklen_t to_n;
	struct load *l;

	options_read(argc, argv, &o);
	to_n = address_read(argv[optind], &to);
	descriptors_raise();
	(void)signal(SIGPIPE, SIG_IGN); /* OpenSSL writes without MSG_NOSIGNAL */
	l = load_new(&o, (const struct sockaddr *)&to, to_n);
	load_run(l);
	if (!o.rest)
		load_report(l, stdout);
	load_free(&l);
	return EXIT_SUCCESS;
}
