/*
 * status - what the master says of itself and its workers on the control socket: the answer to
 * `weir status`.
 */
#ifndef PROXY_CONTROL_STATUS_H
#define PROXY_CONTROL_STATUS_H

#include "proxy/control/shared.h"
#include "proxy/tls/store.h"

/* retired: by slot of the shared table, not 0 for a worker of an earlier configuration. The answer
 * is the caller's; NULL without memory. */
json_t *status_answer(
    const struct shared *shared, const pid_t *retired, const struct tls_store *certificates);

#endif
