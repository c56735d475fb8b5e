#include "config.h"

#include "weir/store.h"

#include "store_engine.h"

static const struct store_engine *const engines[] = { &store_lmdb };

struct store *store_open(const char *spec, uint64_t max_bytes, unsigned open_flags, struct err *e)
{
	struct slice path = slice_z(spec);
	struct slice name = slice_cut(&path, ':');

	for (size_t i = 0; i < COUNT(engines); i++) {
		if (!slice_eq(name, slice_z(engines[i]->name)))
			continue;
		if (path.n == 0)
			break;
		return engines[i]->open(path.p, max_bytes, open_flags, e);
	}
	err_set(e, "store \"%s\": must be lmdb:FOLDER", spec);
	return NULL;
}

void store_close(struct store **s)
{
	if (*s != NULL)
		(*s)->engine->close(*s);
	*s = NULL;
}

int store_read_begin(struct store *s, struct store_tx **tx, struct err *e)
{
	*tx = s->engine->begin(s, false, e);
	return *tx != NULL ? 0 : -1;
}

int store_write_begin(struct store *s, struct store_tx **tx, struct err *e)
{
	*tx = s->engine->begin(s, true, e);
	return *tx != NULL ? 0 : -1;
}

int store_commit(struct store_tx **tx, struct err *e)
{
	int rc = (*tx)->store->engine->commit(*tx, e);

	*tx = NULL;
	return rc;
}

void store_end(struct store_tx **tx)
{
	if (*tx != NULL)
		(*tx)->store->engine->end(*tx);
	*tx = NULL;
}

static int check(struct slice space, struct slice key, size_t key_min, struct err *e)
{
	if (space.n < 1 || space.n > STORE_SPACE_MAX)
		return err_set(
		    e, "store: a space's name has 1..%d octets, not %zu", STORE_SPACE_MAX, space.n);
	if (key.n < key_min || key.n > STORE_KEY_MAX)
		return err_set(e, "store: a key has 1..%d octets, not %zu", STORE_KEY_MAX, key.n);
	return 0;
}

static int check_writing(const struct store_tx *tx, struct err *e)
{
	return tx->writing ? 0 : err_set(e, "store: a reading transaction cannot write");
}

int store_get(
    struct store_tx *tx, const char *space, struct slice key, struct slice *value, struct err *e)
{
	struct slice name = slice_z(space);

	if (check(name, key, 1, e) < 0)
		return -1;
	return tx->store->engine->get(tx, name, key, value, e);
}

int store_put(
    struct store_tx *tx, const char *space, struct slice key, struct slice value, struct err *e)
{
	struct slice name = slice_z(space);

	if (check_writing(tx, e) < 0 || check(name, key, 1, e) < 0)
		return -1;
	if (value.n > STORE_VALUE_MAX)
		return err_set(
		    e, "store: a value has at most %u octets, not %zu", STORE_VALUE_MAX, value.n);
	return tx->store->engine->put(tx, name, key, value, e);
}

int store_delete(struct store_tx *tx, const char *space, struct slice key, struct err *e)
{
	struct slice name = slice_z(space);

	if (check_writing(tx, e) < 0 || check(name, key, 1, e) < 0)
		return -1;
	return tx->store->engine->remove(tx, name, key, e);
}

int store_each(struct store_tx *tx, const char *space, struct slice from, store_each_fn *each,
    void *arg, struct err *e)
{
	struct slice name = slice_z(space);

	if (check(name, from, 0, e) < 0)
		return -1;
	return tx->store->engine->each(tx, name, from, each, arg, e);
}

struct json_t *store_stats(struct store *s, struct err *e)
{
	return s->engine->stats(s, e);
}
