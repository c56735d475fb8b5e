#include "config.h"

#include "bayes.h"

#include <stdlib.h>

#include "model.h"

struct bayes *bayes_open(struct store *s, struct err *e)
{
	struct bayes *b = calloc(1, sizeof(*b));
	struct store_tx *tx;
	struct totals t;
	int rc;

	if (b == NULL) {
		err_set(e, "bayes: out of memory");
		return NULL;
	}
	b->store = s;
	/* What another version learnt is found now, not at the first message. */
	if ((rc = store_read_begin(s, &tx, e)) == 0) {
		rc = model_totals(tx, &t, e);
		store_end(&tx);
	}
	if (rc < 0)
		bayes_close(&b);
	return b;
}

void bayes_close(struct bayes **b)
{
	free(*b);
	*b = NULL;
}

bool bayes_taught(struct bayes *b)
{
	struct store_tx *tx;
	struct totals t;
	struct err e;
	bool taught;

	if (store_read_begin(b->store, &tx, &e) < 0)
		return true;
	taught = model_totals(tx, &t, &e) < 0 || model_taught(&t);
	store_end(&tx);
	return taught;
}

int bayes_score(struct bayes *b, const struct features *f, struct bayes_score *out, struct err *e)
{
	struct store_tx *tx;
	struct totals t;
	int rc;

	*out = (struct bayes_score){ .spam = 0.5 };
	if (store_read_begin(b->store, &tx, e) < 0)
		return -1;
	rc = model_totals(tx, &t, e);
	if (rc == 0)
		rc = model_score(tx, &t, f, out, e);
	store_end(&tx);
	return rc;
}

json_t *bayes_stats(struct bayes *b, struct err *e)
{
	struct store_tx *tx;
	struct totals t;
	json_t *out;
	int rc;

	if (store_read_begin(b->store, &tx, e) < 0)
		return NULL;
	rc = model_totals(tx, &t, e);
	store_end(&tx);
	if (rc < 0)
		return NULL;
	out = json_pack("{s:{s:I, s:I}, s:{s:s, s:I, s:{s:I, s:I}}}", "learned", "spam",
	    (json_int_t)t.learned[CLASS_SPAM], "ham", (json_int_t)t.learned[CLASS_HAM], "model",
	    "kind", "robinson-fisher", "tokens", (json_int_t)t.tokens, "known", "spam",
	    (json_int_t)t.known[CLASS_SPAM], "ham", (json_int_t)t.known[CLASS_HAM]);
	if (out == NULL)
		err_set(e, "bayes: out of memory");
	return out;
}
