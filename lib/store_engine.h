/*
 * store_engine - what an engine gives to store.c: one row of functions each.
 * Checked    by the front before an engine is called: names, keys and values are within their
 *            limits, only a writing transaction writes.
 */
#ifndef WEIR_STORE_ENGINE_H
#define WEIR_STORE_ENGINE_H

#include <jansson.h>

#include "weir/store.h"

/* Both stand first in the engine's own structures. */
struct store {
	const struct store_engine *engine;
};
struct store_tx {
	struct store *store;
	bool writing;
};

struct store_engine {
	const char *name; /* what stands before the colon of a spec */
	struct store *(*open)(const char *path, uint64_t max_bytes, unsigned flags, struct err *e);
	void (*close)(struct store *s);
	struct store_tx *(*begin)(struct store *s, bool writing, struct err *e);
	int (*commit)(struct store_tx *tx, struct err *e); /* frees tx */
	void (*end)(struct store_tx *tx);                  /* frees tx */
	int (*get)(struct store_tx *tx, struct slice space, struct slice key, struct slice *value,
	    struct err *e);
	int (*put)(struct store_tx *tx, struct slice space, struct slice key, struct slice value,
	    struct err *e);
	int (*remove)(struct store_tx *tx, struct slice space, struct slice key, struct err *e);
	int (*each)(struct store_tx *tx, struct slice space, struct slice from, store_each_fn *each,
	    void *arg, struct err *e);
	json_t *(*stats)(struct store *s, struct err *e);
};

extern const struct store_engine store_lmdb;

#endif
