#include "config.h"

#include "weir/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

enum { VALUE_MAX = 512, TAIL = 64 };

static const char *const level_names[] = { "debug", "info", "warn", "error" };

/* The one destination of the process, set before threads start. */
static struct {
	char program[32];
	char who[56]; /* "weir-proxy[4711] "; "" before log_open */
	char to[4096];
	int fd;
	bool syslog, json;
	enum log_level level;
} sink = { .program = "weir", .fd = STDERR_FILENO, .level = LOG_LEVEL_INFO };

static int level_of(const char *name, enum log_level *out)
{
	for (size_t i = 0; i < COUNT(level_names); i++)
		if (strcmp(name, level_names[i]) == 0) {
			*out = (enum log_level)i;
			return 0;
		}
	return -1;
}

/* The descriptor for `to`; a file is opened for appending, so several processes may share it. */
static int open_destination(const char *to, struct err *e)
{
	int fd;

	if (strcmp(to, "stderr") == 0 || strcmp(to, "syslog") == 0)
		return STDERR_FILENO;
	fd = open(to, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
	return fd >= 0 ? fd : err_set(e, "log file %s: %s", to, strerror(errno));
}

static void know_process(void)
{
	struct buf b = BUF_ON(sink.who);

	sink.who[0] = '\0';
	buf_add(&b, slice_z(sink.program));
	buf_addc(&b, '[');
	buf_addu(&b, (uint64_t)getpid(), 1);
	buf_add(&b, SLICE("] "));
}

int log_open(
    const char *program, const char *to, const char *format, const char *level, struct err *e)
{
	enum log_level wanted;
	int fd;

	if (level_of(level, &wanted) < 0)
		return err_set(e, "log level \"%s\" is none of debug, info, warn, error", level);
	if (strcmp(format, "text") != 0 && strcmp(format, "json") != 0)
		return err_set(e, "log format \"%s\" is neither text nor json", format);
	if ((fd = open_destination(to, e)) < 0)
		return -1;
	if (sink.fd != STDERR_FILENO)
		close(sink.fd);
	sink.fd = fd;
	sink.syslog = strcmp(to, "syslog") == 0;
	sink.json = strcmp(format, "json") == 0;
	sink.level = wanted;
	if (sink.who[0] == '\0')
		(void)pthread_atfork(NULL, NULL, know_process);
	(void)snprintf(sink.program, sizeof(sink.program), "%s", program);
	know_process();
	(void)snprintf(sink.to, sizeof(sink.to), "%s", to);
	if (sink.syslog)
		openlog(sink.program, LOG_PID | LOG_NDELAY, LOG_MAIL);
	return 0;
}

int log_reopen(struct err *e)
{
	int fd, rc = 0;

	if (sink.fd == STDERR_FILENO)
		return 0;
	if ((fd = open_destination(sink.to, e)) < 0)
		return -1;
	/* In place, so that no thread ever sees a closed descriptor. */
	if (dup3(fd, sink.fd, O_CLOEXEC) < 0)
		rc = err_set(e, "log file %s: %s", sink.to, strerror(errno));
	close(fd);
	return rc;
}

const char *log_place(const char *to, bool background)
{
	return background && strcmp(to, "stderr") == 0 ? "syslog" : to;
}

bool log_wanted(enum log_level level)
{
	return level >= sink.level;
}

/* "2026-11-25T07:28:54." */
static void write_second(struct buf *b, time_t second)
{
	struct tm tm;

	gmtime_r(&second, &tm);
	buf_addu(b, (uint64_t)tm.tm_year + 1900, 4);
	buf_addc(b, '-');
	buf_addu(b, (uint64_t)tm.tm_mon + 1, 2);
	buf_addc(b, '-');
	buf_addu(b, (uint64_t)tm.tm_mday, 2);
	buf_addc(b, 'T');
	buf_addu(b, (uint64_t)tm.tm_hour, 2);
	buf_addc(b, ':');
	buf_addu(b, (uint64_t)tm.tm_min, 2);
	buf_addc(b, ':');
	buf_addu(b, (uint64_t)tm.tm_sec, 2);
	buf_addc(b, '.');
}

/* Many lines are written in one second: all but its fraction is kept from line to line. */
static void add_time(struct buf *b)
{
	static _Thread_local struct {
		time_t second;
		char text[32];
		size_t n;
	} kept;
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (now.tv_sec != kept.second || kept.n == 0) {
		struct buf text = BUF_ON(kept.text);

		write_second(&text, now.tv_sec);
		kept.second = now.tv_sec;
		kept.n = text.n;
	}
	buf_add(b, slice_of(kept.text, kept.n));
	buf_addu(b, (uint64_t)now.tv_nsec / 1000000, 3);
	buf_addc(b, 'Z');
}

void log_begin(struct log_line *l, enum log_level level, const char *event)
{
	l->wanted = log_wanted(level);
	l->level = level;
	/* What stands past the bound is kept free for the end of the line. */
	l->b = (struct buf){ .p = l->store, .cap = sizeof(l->store) - TAIL };
	l->store[0] = '\0';
	if (!l->wanted)
		return;
	if (sink.json) {
		buf_add(&l->b, SLICE("{\"time\":\""));
		add_time(&l->b);
		buf_addf(&l->b, "\",\"program\":\"%s\",\"level\":\"%s\",\"event\":\"%s\"",
		    sink.program, level_names[level], event);
		return;
	}
	if (!sink.syslog) {
		add_time(&l->b);
		buf_addc(&l->b, ' ');
		if (sink.who[0] == '\0')
			know_process();
		buf_add(&l->b, slice_z(sink.who));
	}
	if (level != LOG_LEVEL_INFO)
		buf_addf(&l->b, "%s: ", level_names[level]);
	buf_add(&l->b, slice_z(event));
}

/* Octets looked at in one go, as gcc and clang have them for every processor. */
typedef signed char octets __attribute__((vector_size(16)));

/* May the n octets at p stand as they are, without quotes, or inside of them? Some behind them are
 * written over; what is no ASCII is negative here. */
static bool clean(char *p, size_t n, bool quoted)
{
	uint64_t any[sizeof(octets) / sizeof(uint64_t)];
	signed char least = quoted ? ' ' : ' ' + 1, equals = quoted ? '"' : '=';
	octets odd = { 0 };

	memset(p + n, 'x', sizeof(octets));
	for (size_t i = 0; i < n; i += sizeof(octets)) {
		octets v;

		memcpy(&v, p + i, sizeof(v));
		odd |= (v < least) | (v == '"') | (v == '\\') | (v == 0x7f) | (v == equals);
	}
	memcpy(any, &odd, sizeof(any));
	return (any[0] | any[1]) == 0;
}

static bool printable(unsigned char c)
{
	return c >= ' ' && c < 0x7f && c != '"' && c != '\\';
}

static void add_escaped(struct buf *b, struct slice v, bool json)
{
	bool more = v.n > VALUE_MAX;

	v = slice_sub(v, 0, VALUE_MAX);
	for (size_t i = 0; i < v.n; i++) {
		unsigned char c = (unsigned char)v.p[i];

		if (printable(c))
			buf_addc(b, (char)c);
		else if (c == '"' || c == '\\')
			buf_addf(b, "\\%c", c);
		else
			buf_addf(b, json ? "\\u%04x" : "\\x%02x", c);
	}
	if (more)
		buf_add(b, SLICE("..."));
}

/* Most values are short and need no escape: these are copied and looked at where they stand. False:
 * nothing was added. */
static bool add_clean_pair(struct buf *b, struct slice key, struct slice value, bool bare)
{
	char *p = b->p + b->n;

	if (value.n > VALUE_MAX || key.n + value.n + 8 > b->cap - b->n)
		return false;
	*p++ = sink.json ? ',' : ' ';
	if (sink.json)
		*p++ = '"';
	memcpy(p, key.p, key.n);
	p += key.n;
	if (sink.json)
		*p++ = '"';
	*p++ = sink.json ? ':' : '=';
	memcpy(p, value.p, value.n);
	if (!bare && (sink.json || value.n == 0 || !clean(p, value.n, false))) {
		*p++ = '"';
		memcpy(p, value.p, value.n);
		if (!clean(p, value.n, true))
			return false;
		p[value.n] = '"';
		p++;
	}
	p += value.n;
	*p = '\0';
	b->n = (size_t)(p - b->p);
	return true;
}

/* A pair that does not fit is left out whole, so that a line is never half a pair. */
static void add_pair(struct log_line *l, struct slice key, struct slice value, bool bare)
{
	size_t was = l->b.n;

	if (!l->wanted || l->b.cut || add_clean_pair(&l->b, key, value, bare))
		return;
	l->store[was] = '\0';
	buf_add(&l->b, sink.json ? SLICE(",\"") : SLICE(" "));
	buf_add(&l->b, key);
	buf_add(&l->b, sink.json ? SLICE("\":") : SLICE("="));
	if (bare) {
		buf_add(&l->b, value);
	} else {
		buf_addc(&l->b, '"');
		add_escaped(&l->b, value, sink.json);
		buf_addc(&l->b, '"');
	}
	if (l->b.cut) {
		l->b.n = was;
		l->store[was] = '\0';
	}
}

void log_pair(struct log_line *l, struct slice key, struct slice value)
{
	if (value.p == NULL)
		add_pair(l, key, sink.json ? SLICE("null") : SLICE("-"), true);
	else
		add_pair(l, key, value, false);
}

void log_int(struct log_line *l, const char *key, int64_t value)
{
	char text[24];
	struct buf b = BUF_ON(text);

	text[0] = '\0';
	if (value < 0)
		buf_addc(&b, '-');
	buf_addu(&b, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, 1);
	add_pair(l, slice_z(key), buf_slice(&b), true);
}

void log_end(struct log_line *l)
{
	static const int priority[] = { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERR };
	ssize_t ignored;

	if (!l->wanted)
		return;
	l->b.cap = sizeof(l->store);
	if (l->b.cut) {
		l->b.cut = false;
		buf_add(&l->b, sink.json ? SLICE(",\"cut\":true") : SLICE(" cut=yes"));
	}
	if (sink.json)
		buf_addc(&l->b, '}');
	if (sink.syslog) {
		syslog(priority[l->level], "%s", l->store);
		return;
	}
	buf_addc(&l->b, '\n');
	ignored = write(
	    sink.fd, l->b.p, l->b.n); /* nobody is left to tell when the log cannot be written */
	(void)ignored;
}

void log_event(enum log_level level, const char *event, ...)
{
	struct log_line l;
	const char *key;
	va_list ap;

	if (!log_wanted(level))
		return;
	log_begin(&l, level, event);
	va_start(ap, event);
	while ((key = va_arg(ap, const char *)) != NULL)
		log_z(&l, key, va_arg(ap, const char *));
	va_end(ap);
	log_end(&l);
}
