#include "config.h"

#include "cli.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/listener.h>

#include "sink.h"
#include "weir/smtp_syntax.h"

static const char help_text[] =
    "usage: weir sink --listen ADDR:PORT --maildir DIR [OPTION]...\n"
    "\n"
    "A small SMTP server for demos, tests and benchmarks. Each message is stored as\n"
    "received under Return-Path and one Delivered-To for each recipient; 250 is said\n"
    "only when it lies in DIR/new and is synced. Prints \"listening on ADDR:PORT\" when\n"
    "ready; port 0 takes a free one. SIGTERM and SIGINT end it.\n"
    "\n"
    "  --listen ADDR:PORT     where to listen\n"
    "  --maildir DIR          where to store; made if it is not there\n"
    "  --refuse-rcpt ADDR     refuse this recipient with 550 5.1.1; may be repeated\n"
    "  --slow MS              wait so long before each reply\n"
    "  --without KEYWORD,...  do not offer these extensions, of SIZE, PIPELINING, 8BITMIME,\n"
    "                         ENHANCEDSTATUSCODES, SMTPUTF8, DSN, CHUNKING\n"
    "\n"
    "Test aids:\n"
    "  --fault PHASE=ACTION   misbehave at a phase; may be repeated. PHASE=ACTION:N does so\n"
    "                         the first N times only.\n"
    "      PHASE   connect, ehlo, mail, rcpt, data, body, dot, quit; with BDAT data is the\n"
    "              first chunk, dot the last one\n"
    "      ACTION  450 (any 4yz or 5yz)  answer with that code; 421 closes\n"
    "              close                 close the connection without an answer\n"
    "              stall                 never answer\n"
    "              garbage               answer with what is no SMTP reply\n"
    "              dot:  store-then-close, store-then-stall   store it, but never say so\n"
    "              body: close and stall, in the middle of the data;\n"
    "                    early-450       answer before the dot, then close\n";

struct options {
	const char *listen, *maildir;
};

enum { OPT_LISTEN = 1, OPT_MAILDIR, OPT_REFUSE, OPT_SLOW, OPT_WITHOUT, OPT_FAULT, OPT_HELP };

static int option_fault(struct sink *sink, const char *text)
{
	struct err e;

	if (sink->fault_count == COUNT(sink->faults))
		return cli_usage("sink", "more than %d faults", SINK_LISTED);
	if (sink_fault_parse(slice_z(text), &sink->faults[sink->fault_count], &e) < 0)
		return cli_usage("sink", "--fault %s: %s", text, e.text);
	sink->fault_count++;
	return CLI_OK;
}

static int option_refuse(struct sink *sink, const char *address)
{
	if (sink->refused_count == COUNT(sink->refused))
		return cli_usage("sink", "more than %d refused recipients", SINK_LISTED);
	sink->refused[sink->refused_count++] = address;
	return CLI_OK;
}

static int option_slow(struct sink *sink, const char *text)
{
	uint64_t ms;

	if (slice_number(slice_z(text), 3600000, &ms) < 0)
		return cli_usage("sink", "--slow takes milliseconds, 0..3600000");
	sink->slow_ms = (int)ms;
	return CLI_OK;
}

static int option_without(struct sink *sink, const char *text)
{
	struct err e;

	if (sink_without_parse(sink, text, &e) < 0)
		return cli_usage("sink", "--without %s: %s", text, e.text);
	return CLI_OK;
}

static int option_take(struct sink *sink, struct options *o, int option)
{
	switch (option) {
	case OPT_LISTEN:
		o->listen = optarg;
		return CLI_OK;
	case OPT_MAILDIR:
		o->maildir = optarg;
		return CLI_OK;
	case OPT_REFUSE:
		return option_refuse(sink, optarg);
	case OPT_SLOW:
		return option_slow(sink, optarg);
	case OPT_WITHOUT:
		return option_without(sink, optarg);
	case OPT_FAULT:
		return option_fault(sink, optarg);
	default:
		return cli_usage("sink", "weir sink --help says more");
	}
}

/* CLI_OK to go on, or the exit code; *helped when only the help was wanted. */
static int options_read(int argc, char **argv, struct sink *sink, struct options *o, bool *helped)
{
	static const struct option known[] = {
		{ "listen", required_argument, NULL, OPT_LISTEN },
		{ "maildir", required_argument, NULL, OPT_MAILDIR },
		{ "refuse-rcpt", required_argument, NULL, OPT_REFUSE },
		{ "slow", required_argument, NULL, OPT_SLOW },
		{ "without", required_argument, NULL, OPT_WITHOUT },
		{ "fault", required_argument, NULL, OPT_FAULT },
		{ "help", no_argument, NULL, OPT_HELP },
		{ NULL, 0, NULL, 0 },
	};
	int option, rc;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		*helped = option == OPT_HELP;
		if (*helped)
			return fputs(help_text, stdout) >= 0 ? CLI_OK : CLI_IO;
		if ((rc = option_take(sink, o, option)) != CLI_OK)
			return rc;
	}
	if (o->listen == NULL || o->maildir == NULL)
		return cli_usage("sink", "--listen and --maildir are needed");
	if (optind < argc)
		return cli_usage("sink", "what is \"%s\"?", argv[optind]);
	return CLI_OK;
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *peer,
    int peer_n, void *arg)
{
	(void)listener;
	(void)peer;
	(void)peer_n;
	sink_session_start(arg, fd);
}

static void on_accept_again(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)evconnlistener_enable(arg);
}

/* Out of descriptors, most likely: the connection stays in the queue, and is tried again soon. */
static void on_accept_error(struct evconnlistener *listener, void *arg)
{
	static const struct timeval soon = { 0, 100000 };
	struct sink *sink = arg;

	fprintf(stderr, "weir sink: cannot accept with %zu sessions: %s\n", sink->session_count,
	    evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR()));
	if (event_base_once(sink->base, -1, EV_TIMEOUT, on_accept_again, listener, &soon) == 0)
		(void)evconnlistener_disable(listener);
}

static void on_stop(evutil_socket_t number, short what, void *arg)
{
	struct sink *sink = arg;

	(void)number;
	(void)what;
	(void)event_base_loopbreak(sink->base);
}

/* The line that tests wait for. */
static bool announce(struct endpoint *ep, int fd)
{
	char text[ENDPOINT_TEXT_MAX];

	if (!ep->local)
		ep->port = socket_port(fd);
	return printf("listening on %s\n", endpoint_text(ep, text)) > 0 && fflush(stdout) == 0;
}

static int serve(struct sink *sink, struct endpoint *ep, int fd)
{
	struct evconnlistener *listener = evconnlistener_new(
	    sink->base, on_accept, sink, LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_CLOSE_ON_FREE, 0, fd);
	struct event *term = evsignal_new(sink->base, SIGTERM, on_stop, sink);
	struct event *interrupt = evsignal_new(sink->base, SIGINT, on_stop, sink);
	int rc = CLI_OK;

	if (listener == NULL)
		close(fd);
	if (listener == NULL || term == NULL || interrupt == NULL || event_add(term, NULL) < 0 ||
	    event_add(interrupt, NULL) < 0) {
		rc = cli_fail(CLI_IO, "out of memory");
	} else if (!announce(ep, fd)) {
		rc = cli_fail(CLI_IO, "cannot write to standard output");
	} else {
		evconnlistener_set_error_cb(listener, on_accept_error);
		if (event_base_dispatch(sink->base) < 0)
			rc = cli_fail(CLI_IO, "the event loop failed");
	}
	sink_sessions_end(sink);
	if (interrupt != NULL)
		event_free(interrupt);
	if (term != NULL)
		event_free(term);
	if (listener != NULL)
		evconnlistener_free(listener);
	/* Deferred callbacks that wait in the loop hold the buffers of freed sessions: let them run
	 * out. */
	(void)event_base_loop(sink->base, EVLOOP_NONBLOCK);
	return rc;
}

static int run(struct sink *sink, const struct options *o)
{
	struct endpoint ep;
	struct err e;
	int fd, rc;

	if (endpoint_parse(slice_z(o->listen), &ep, &e) < 0)
		return cli_usage("sink", "--listen: %s", e.text);
	if (gethostname(sink->hostname, sizeof(sink->hostname) - 1) < 0 ||
	    !smtp_helo_valid(slice_z(sink->hostname)))
		(void)snprintf(sink->hostname, sizeof(sink->hostname), "localhost");
	if (maildir_open(&sink->maildir, o->maildir, sink->hostname, &e) < 0)
		return cli_fail(CLI_IO, "%s", e.text);
	if ((fd = endpoint_listen(&ep, 1024, 0600, false, &e)) < 0)
		return cli_fail(CLI_IO, "%s", e.text);
	if ((sink->base = event_base_new()) == NULL) {
		close(fd);
		return cli_fail(CLI_IO, "out of memory");
	}
	rc = serve(sink, &ep, fd);
	event_base_free(sink->base);
	return rc;
}

/* weir sink: a small SMTP server for demos, tests and benchmarks; sink.h says what it is. */
int cmd_sink(struct cli *c, int argc, char **argv)
{
	struct sink sink = { .maildir = { .tmp_fd = -1, .new_fd = -1 } };
	struct options o = { 0 };
	bool helped = false;
	int rc = options_read(argc, argv, &sink, &o, &helped);

	(void)c;
	if (rc == CLI_OK && !helped)
		rc = run(&sink, &o);
	maildir_close(&sink.maildir);
	return rc;
}
