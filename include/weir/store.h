/*
 * store - keys and values that survive: one interface, LMDB behind it, other engines later.
 * Spaces     named key spaces ("msg", "tok"): 1..10 octets of a name; a key has 1..500 octets, a
 *            value at most 1 MiB.
 * Reading    a snapshot: store_read_begin .. store_read_end sees one state, never blocks and is
 *            never blocked.
 * Writing    one writer at a time, over all processes; a transaction is applied whole or not at
 *            all, also under kill -9. After an error the only way on is store_end.
 * Errors     0, or -1 with *e that names the path, the cause and the remedy (a full store names
 *            the setting).
 * Threads    a store is shared by threads and processes, but a process opens a folder once. A
 *            reading transaction may move between threads, a writing one belongs to its thread. A
 *            thread has one transaction at a time.
 */
#ifndef WEIR_STORE_H
#define WEIR_STORE_H

#include "weir/err.h"
#include "weir/slice.h"

#define STORE_SPACE_MAX 10
#define STORE_KEY_MAX   500
#define STORE_VALUE_MAX (1u << 20)

struct store;
struct store_tx;

enum { STORE_READ_ONLY = 1 }; /* open_flags: fail where there is none, never write */

/* spec: "lmdb:FOLDER", made with its parents where missing. max_bytes bounds the file. A file of
 * another format or a newer version is an error, and nothing of it is changed. New files are
 * writable by their group; where root makes them they belong to the folder's owner, so that root's
 * command line and the daemon's user share one store. */
struct store *store_open(const char *spec, uint64_t max_bytes, unsigned open_flags, struct err *e);
void store_close(struct store **s);

int store_read_begin(struct store *s, struct store_tx **tx, struct err *e);
int store_write_begin(struct store *s, struct store_tx **tx, struct err *e);
/* Commit a writing transaction. Frees it in every case. */
int store_commit(struct store_tx **tx, struct err *e);
/* End a reading transaction, or give up a writing one. */
void store_end(struct store_tx **tx);

/* 1 found, 0 not there, -1 error. value points into the store until the transaction ends or writes.
 */
int store_get(
    struct store_tx *tx, const char *space, struct slice key, struct slice *value, struct err *e);
int store_put(
    struct store_tx *tx, const char *space, struct slice key, struct slice value, struct err *e);
/* 1 deleted, 0 was not there, -1 error. */
int store_delete(struct store_tx *tx, const char *space, struct slice key, struct err *e);
/* Call each pair in key order from `from` on ("": all) until it returns false; it must not write.
 */
typedef bool store_each_fn(struct slice key, struct slice value, void *arg);
int store_each(struct store_tx *tx, const char *space, struct slice from, store_each_fn *each,
    void *arg, struct err *e);
/* {"engine", "path", "bytes_used", "bytes_max", "entries"}: a new reference, or NULL. */
struct json_t;
struct json_t *store_stats(struct store *s, struct err *e);

#endif
