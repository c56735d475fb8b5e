/*
 * open_store - the store and the model as weir.json names them, for the subcommands that need them.
 */
#ifndef CLI_OPEN_STORE_H
#define CLI_OPEN_STORE_H

#include "cli.h"
#include "milterd/learn/bayes.h"
#include "weir/store.h"

/* Load the settings, open milterd.store (made where it is missing: for milterd.user, when root does
 * it) and the model on it. CLI_OK, or the exit code with the reason on standard error; then nothing
 * is open. */
int open_store(struct cli *c, struct store **s, struct bayes **b);
void close_store(struct store **s, struct bayes **b);

#endif
