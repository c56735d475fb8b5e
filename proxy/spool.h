/*
 * spool - a body in flight: memory first, then an unlinked file. Append only, read anywhere.
 * Errors     0, or -1 with *e (a full disk is one: the caller answers 452 4.3.1); what was there
 *            stays readable.
 * Threads    the worker's loop. Writing to and reading from a local file blocks that loop shortly;
 *            nothing is synced, since nothing in a spool was acknowledged to anyone.
 */
#ifndef PROXY_SPOOL_H
#define PROXY_SPOOL_H

#include <stdbool.h>
#include <stdint.h>

#include "weir/err.h"
#include "weir/slice.h"

struct spool;

/* NULL without memory. directory must outlive the spool. */
struct spool *spool_new(const char *directory, size_t memory_max);
void spool_free(struct spool **s);
int spool_add(struct spool *s, struct slice octets, struct err *e);
uint64_t spool_size(const struct spool *s);
/* Take no more memory; what is held goes to the file too, where nothing is there yet. */
int spool_spill(struct spool *s, struct err *e);
/* Octets of memory; 0 for NULL. */
size_t spool_memory(const struct spool *s);
/* What was added is whole lines with CR LF and no other CR or LF, none of which begins with a dot:
 * it can be sent as mail data as it is. Until something more is added. */
void spool_set_plain(struct spool *s);
bool spool_plain(const struct spool *s);
/* Octets from offset on, at most n and perhaps less: *got points into the spool's memory, or into
 * `into` (n octets), and is valid until the next call. Empty at the end. */
int spool_read(
    struct spool *s, uint64_t offset, char *into, size_t n, struct slice *got, struct err *e);

#endif
