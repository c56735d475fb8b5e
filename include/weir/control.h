/*
 * control - the control socket of a daemon: one JSON object a line in, one out.
 * Request    {"command": "reload"}; the answer always has "ok" (bool), and "error" (text) or
 *            "findings" (list of texts) where it is false.
 * Server     a thread-free handler: the daemon accepts and calls control_serve on the connection.
 *            control_thread runs that in a thread of its own, for daemons without an event loop.
 * Limits     a request has at most 64 KiB, a connection at most CONTROL_TIMEOUT_MS; one request a
 *            connection.
 */
#ifndef WEIR_CONTROL_H
#define WEIR_CONTROL_H

#include <jansson.h>

#include "weir/err.h"
#include "weir/net.h"

#define CONTROL_TIMEOUT_MS 30000

/* Answer one request: a new reference that is never NULL. Runs on the thread that serves. */
typedef json_t *control_handler(const char *command, json_t *request, void *arg);

/* Serve one accepted connection and close it. Blocks at most CONTROL_TIMEOUT_MS while reading. */
void control_serve(int fd, control_handler *handler, void *arg);

struct control_thread;
/* Listen on ep (mode 0600 for a Unix socket) and serve from a thread with all signals blocked. NULL
 * with *e. */
struct control_thread *control_thread_start(
    const struct endpoint *ep, control_handler *handler, void *arg, struct err *e);
/* Stop, join, remove the socket. */
void control_thread_stop(struct control_thread **t);

/* Ask a daemon. A new reference to its answer, or NULL with *e when it cannot be reached. */
json_t *control_ask(const struct endpoint *ep, const char *command, int timeout_ms, struct err *e);

/* {"ok": true}, and {"ok": false, "error": text}. */
json_t *control_ok(void);
json_t *control_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
