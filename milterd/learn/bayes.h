/*
 * bayes - what training knows, asked and taught through a narrow door; the inside may change.
 * Features   a message as a set of hashed tokens, computed once; the same message always gives the
 *            same set.
 * Identity   a message is known by a hash of what its author wrote, so that the same mail is not
 *            learnt twice, however it travelled.
 * Threads    a bayes is shared by threads and processes (the CLI trains while the daemon scans).
 */
#ifndef WEIR_BAYES_H
#define WEIR_BAYES_H

#include <jansson.h>

#include "milterd/message/message.h"
#include "weir/err.h"
#include "weir/store.h"

enum class { CLASS_HAM, CLASS_SPAM };

#define FEATURES_MAX      16384 /* of one message; what comes behind is not seen */
#define FEATURES_TEXT_MAX 32768 /* octets of body text that are looked at */
#define FEATURE_OF_TEXT   1u /* bit of a hash: from the body's text, not from what is around it */

struct features {
	uint64_t *v;        /* hashes, ascending, each once; in the arena given */
	struct slice *text; /* the token behind v[i] in the message's own words; points into the
			     * message or the arena. NULL where nobody explains */
	const char **field; /* where it stood: "subject", "text", "url", ...; NULL like text */
	size_t n;
	uint8_t id[32]; /* SHA-256 that identifies the message */
};
/* From a parsed message. False when memory is gone. */
bool features_of(struct message *m, struct arena *a, struct features *out);
/* The same without the identity, which bayes_score does not ask for: it is a hash of the whole. */
bool features_to_score(struct message *m, struct arena *a, struct features *out);

struct bayes;
/* s stays the caller's and must outlive it. */
struct bayes *bayes_open(struct store *s, struct err *e);
void bayes_close(struct bayes **b);

struct bayes_why {
	const char *field; /* "subject"; "" where the features carry no text */
	struct slice token;
	double spam; /* this token's own probability */
};
struct bayes_score {
	bool known;      /* false: nothing was learnt of a class yet, or no token is known */
	double spam;     /* 0..1 */
	double log_odds; /* ln(p / (1 - p)), bounded */
	double evidence; /* how many tokens spoke */
	struct bayes_why why[10];
	size_t why_count; /* strongest first */
};
/* False where every score would be unknown, so that no features need be made; true on errors too:
 * bayes_score tells them. */
bool bayes_taught(struct bayes *b);
int bayes_score(struct bayes *b, const struct features *f, struct bayes_score *out, struct err *e);

enum learn_result { LEARN_NEW, LEARN_MOVED, LEARN_SURE, LEARN_KNOWN };
/* Teach one message. all false: a message that is already judged surely and rightly is recorded,
 * not learnt (LEARN_SURE). LEARN_MOVED: it was known as the other class and has been relearnt.
 * teacher: "admin", "user:NAME". */
int bayes_learn(struct bayes *b, const struct features *f, enum class class, bool all,
    const char *teacher, enum learn_result *result, struct err *e);
/* The same for n messages in one transaction, result[i] for f[i]: all of them are learnt or, after
 * -1, none. The fast way for training: a transaction waits for the disk. */
int bayes_learn_many(struct bayes *b, const struct features *f, size_t n, enum class class,
    bool all, const char *teacher, enum learn_result *result, struct err *e);
/* 1 forgotten, 0 was not known, -1 error. */
int bayes_forget(struct bayes *b, const struct features *f, struct err *e);
/* {"learned": {"spam": N, "ham": N}, "model": {"kind", "tokens", "known": {"spam", "ham"}}}: what
 * was counted into tokens, and what is known (the surely judged included). A new reference, or NULL
 * with *e. */
json_t *bayes_stats(struct bayes *b, struct err *e);

#endif
