/*
 * envelope - the commands of a transaction as a backend is to have them: queued, not flushed. Only
 * parameters and attributes that the backend has listed are sent (W105, W111).
 * Threads    the worker's loop.
 */
#ifndef PROXY_UPSTREAM_ENVELOPE_H
#define PROXY_UPSTREAM_ENVELOPE_H

#include "proxy/upstream/backend.h"
#include "proxy/upstream/relay.h"

/* For whom the next transaction is, where the backend is to know by XFORWARD: how many replies will
 * come. Postfix forgets with each transaction, so it is told for each. */
size_t envelope_xforward(
    struct backend *b, const struct relay_client *client, const struct mail *m);
void envelope_mail(struct backend *b, const struct mail *m);
void envelope_recipient(struct backend *b, const struct mail_recipient *to);

#endif
