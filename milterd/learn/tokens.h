/*
 * tokens - text to hashed words: a collector that many texts are poured into, and a set at the
 * end.
 * Words      ASCII, Latin-1 letters and Cyrillic are compared without case; scripts that put no
 *            spaces between words give pairs of characters.
 * Bounds     FEATURES_MAX tokens; what comes behind is not seen. No text is ever copied.
 */
#ifndef LEARN_TOKENS_H
#define LEARN_TOKENS_H

#include "bayes.h"

/* Where a token stood: the same word is another token in another place. */
enum token_field {
	TOKEN_SUBJECT,
	TOKEN_FROM,
	TOKEN_ADDRESS,
	TOKEN_REPLY,
	TOKEN_TO,
	TOKEN_TEXT,
	TOKEN_URL,
	TOKEN_ATTACHMENT,
	TOKEN_PART,
	TOKEN_HEADER,
	TOKEN_MAILER,
	TOKEN_RECEIVED,
	TOKEN_ID,
	TOKEN_ANOMALY,
	TOKEN_FIELDS
};

struct token {
	uint64_t hash;
	struct slice text; /* borrowed */
	enum token_field field;
};
struct tokens {
	struct token *v;
	size_t n, cap;
	bool failed; /* memory is gone */
};

/* text as a whole, without case; the first TOKEN_OCTETS_MAX of it count. Empty is no token. */
#define TOKEN_OCTETS_MAX 96
void tokens_add(struct tokens *t, enum token_field field, struct slice text);
/* a and b as one token; shown as the text from a's begin to b's end where both stand in one text,
 * else as b. */
void tokens_add_pair(struct tokens *t, enum token_field field, struct slice a, struct slice b);
/* The words of text. pairs: each two neighbours as well. */
void tokens_add_words(struct tokens *t, enum token_field field, struct slice text, bool pairs);
/* Sort, remove what is there twice, move to the arena. False when memory is gone. Frees t. */
bool tokens_finish(struct tokens *t, struct arena *a, struct features *out);

#endif
