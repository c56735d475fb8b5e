/*
 * model - what learning keeps in the store, and the score of a message by it: shared by bayes.c,
 * which asks, and learn.c, which teaches. Spaces "tok"   hash of a token (8 octets, big endian, so
 * that ascending hashes are ascending keys) -> messages of ham and of spam that held it (2 x 4
 * octets) "msg"   id of a message -> what was learnt of it: learn.c's record "sum"   "totals" ->
 * struct totals Numbers in values are little endian.
 */
#ifndef LEARN_MODEL_H
#define LEARN_MODEL_H

#include "bayes.h"

#define MODEL_VERSION 1 /* of tokens and records: another one cannot be read */

struct bayes {
	struct store *store;
};

struct totals {
	uint64_t learned[2]; /* messages counted into tokens, by enum class */
	uint64_t known[2];   /* messages recorded: counted, or surely judged already */
	uint64_t tokens;     /* different tokens */
};

uint64_t number_read(const char *p, size_t octets);
void number_write(char *p, size_t octets, uint64_t value);

/* All zero where nothing was learnt. 0, or -1 with *e. */
int model_totals(struct store_tx *tx, struct totals *t, struct err *e);
/* Both classes are known: without, there is no score. */
bool model_taught(const struct totals *t);
int model_totals_put(struct store_tx *tx, const struct totals *t, struct err *e);
/* 1 found, 0 never seen (counts are 0), -1 error. */
int model_token(struct store_tx *tx, uint64_t token, uint32_t counts[2], struct err *e);
/* Counts of 0 and 0 delete it. */
int model_token_put(struct store_tx *tx, uint64_t token, const uint32_t counts[2], struct err *e);
int model_score(struct store_tx *tx, const struct totals *t, const struct features *f,
    struct bayes_score *out, struct err *e);

#endif
