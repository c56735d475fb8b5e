/*
 * log - one line an event: an event word, then key=value in the order given (or one JSON object a
 * line).
 * Text       values are cut at 512 octets, quoted where they hold a space, '"' or '=', and
 *            control, non-ASCII and quote octets are written as \xHH, so that no peer can forge a
 *            line.
 * Threads    any; a line is one write(2). log_open is called before threads start.
 */
#ifndef WEIR_LOG_H
#define WEIR_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "weir/err.h"
#include "weir/slice.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

#define LOG_LINE_MAX 8192

struct log_line {
	struct buf b;
	bool wanted; /* false: below the level, every call is a no-op */
	enum log_level level;
	char store[LOG_LINE_MAX];
};

/* to: "stderr", "syslog", or the path of a file to append to. format: "text" or "json". level:
 * "debug", "info", "warn" or "error". program stands in every line. 0, or -1 with *e. */
int log_open(
    const char *program, const char *to, const char *format, const char *level, struct err *e);
/* Open the file by its name again, for whoever rotates logs; nothing for stderr and syslog. While
 * threads write, too. 0, or -1 with *e: then the old one stays. */
int log_reopen(struct err *e);
/* `to`, or "syslog" where that is stderr and the process goes into the background. */
const char *log_place(const char *to, bool background);
bool log_wanted(enum log_level level);

void log_begin(struct log_line *l, enum log_level level, const char *event);
/* A value without octets (.p NULL) is written as -. */
void log_pair(struct log_line *l, struct slice key, struct slice value);
/* Inline, so that the length of a key that is a literal is known when we are compiled. */
static inline void log_str(struct log_line *l, const char *key, struct slice value)
{
	log_pair(l, slice_z(key), value);
}
static inline void log_z(struct log_line *l, const char *key, const char *value)
{
	log_str(l, key, slice_z(value));
}
void log_int(struct log_line *l, const char *key, int64_t value);
void log_end(struct log_line *l);

/* A whole line in one call: log_event(LOG_LEVEL_WARN, "filter", "name", name, "error", e.text,
 * NULL). */
void log_event(enum log_level level, const char *event, ...) __attribute__((sentinel));

#endif
