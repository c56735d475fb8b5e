#include "config.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include <lmdb.h>

#include "store_engine.h"
#include "weir/file.h"

/*
 * One file, FOLDER/store.mdb, and one LMDB tree in it: the name of the space, NUL and the key make
 * an LMDB key. Named LMDB databases are not used: a handle that one process makes is not seen by a
 * transaction that another has begun.
 *
 * The key that starts with NUL is ours: the mark that says whose file this is, in which version.
 */
#define MARK_NAME "weir store "
enum {
	FORMAT = 1,
	READERS = 1024,                   /* over all processes; a slot has 64 octets */
	LOCK_BYTES = (READERS + 64) * 64, /* with LMDB's own head */
	RESIZE_WAIT_MS = 2000,
	DISK_FULL = 65536, /* octets left over that no write was content with */
	KEY_MAX = STORE_SPACE_MAX + 1 + STORE_KEY_MAX, /* LMDB takes 511 */
};
static const char mark_key[] = "\0mark";

struct lmdb {
	struct store s;
	MDB_env *env;
	MDB_dbi dbi;
	bool read_only;
	char *path;
	/* The map may only be resized while no transaction of this process is open. */
	pthread_mutex_t active_guard;
	pthread_cond_t active_less;
	unsigned active;
};

struct lmdb_tx {
	struct store_tx tx;
	MDB_txn *txn;
	MDB_cursor *cursor; /* keys that come in order are found on the page in hand */
};

struct lmdb_key {
	char octets[KEY_MAX];
	MDB_val val;
};

static void key_set(struct lmdb_key *k, struct slice space, struct slice key)
{
	memcpy(k->octets, space.p, space.n);
	k->octets[space.n] = '\0';
	if (key.n > 0)
		memcpy(k->octets + space.n + 1, key.p, key.n);
	k->val = (MDB_val){ .mv_size = space.n + 1 + key.n, .mv_data = k->octets };
}

/* LMDB's own order (octets, then length), decided by one comparison of two numbers for most keys:
 * half of the time of a look-up went into memcmp. */
static int key_compare(const MDB_val *a, const MDB_val *b)
{
	uint64_t x, y;

	if (a->mv_size >= sizeof(x) && b->mv_size >= sizeof(y)) {
		memcpy(&x, a->mv_data, sizeof(x));
		memcpy(&y, b->mv_data, sizeof(y));
		if (x != y)
			return be64toh(x) < be64toh(y) ? -1 : 1;
	}
	return slice_cmp(slice_of(a->mv_data, a->mv_size), slice_of(b->mv_data, b->mv_size));
}

/* LMDB calls a write that came to an end half way an input/output error, whatever the reason. */
static bool disk_full(const struct lmdb *l)
{
	struct statvfs v;

	return statvfs(l->path, &v) == 0 && v.f_bavail * v.f_frsize < DISK_FULL;
}

static int lmdb_error(const struct lmdb *l, int rc, struct err *e)
{
	MDB_envinfo info;

	if (rc == EIO && disk_full(l))
		rc = ENOSPC;
	switch (rc) {
	case ENOSPC:
	case EDQUOT:
		return err_set(e, "%s: %s: make room on that disk", l->path, strerror(rc));
	case MDB_MAP_FULL:
		mdb_env_info(l->env, &info);
		return err_set(e, "%s: full at %zu octets: raise milterd/store_bytes", l->path,
		    info.me_mapsize);
	case MDB_INVALID:
	case MDB_VERSION_MISMATCH:
		return err_set(
		    e, "%s: not a store of weir's: move it away, or name another folder", l->path);
	case MDB_CORRUPTED:
	case MDB_PAGE_NOTFOUND:
	case MDB_PANIC:
		return err_set(e, "%s: damaged (%s): restore it, or move it away and train again",
		    l->path, mdb_strerror(rc));
	case MDB_READERS_FULL:
		return err_set(e, "%s: more than %d readers at once", l->path, READERS);
	case EACCES:
	case EPERM:
	case EROFS:
		return err_set(
		    e, "%s: %s: run as its owner or with its group", l->path, strerror(rc));
	default:
		return err_set(e, "%s: %s", l->path, mdb_strerror(rc));
	}
}

/* ---- opening --------------------------------------------------------------------------------- */

/* LMDB would leave its lock file beside a foreign file before it refuses it, so the mark of LMDB's
 * first page is looked at before. It stands behind a page header of one size_t and 8 octets. */
static int file_check(struct lmdb *l, struct err *e)
{
	const uint32_t magic = 0xBEEFC0DE;
	char head[sizeof(size_t) + 8 + sizeof(magic)];
	int fd = open(l->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	ssize_t n;

	if (fd < 0 && errno == ENOENT)
		return l->read_only
		    ? err_set(e, "%s: there is no store yet: weir train makes it", l->path)
		    : 0;
	if (fd < 0)
		return lmdb_error(l, errno, e);
	n = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? read(fd, head, sizeof(head)) : -1;
	close(fd);
	if (n == 0)
		return 0;
	if (n != (ssize_t)sizeof(head) ||
	    memcmp(head + sizeof(head) - sizeof(magic), &magic, sizeof(magic)) != 0)
		return lmdb_error(l, MDB_INVALID, e);
	return 0;
}

/* Make an empty file of the folder's owner that its group may write, whatever the umask. LMDB takes
 * an empty file for a new one. Not after mdb_env_open: closing a descriptor of the lock file would
 * drop LMDB's locks (POSIX). O_EXCL, so that nothing that a link names is handed over. */
static int file_make(const char *path, const struct stat *folder, struct err *e)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0660);
	int rc = 0;

	if (fd < 0)
		return errno == EEXIST ? 0 : err_set(e, "%s: %s", path, strerror(errno));
	if (fchmod(fd, 0660) < 0 ||
	    (geteuid() == 0 && fchown(fd, folder->st_uid, folder->st_gid) < 0))
		rc = err_set(e, "%s: %s", path, strerror(errno));
	close(fd);
	return rc;
}

/* LMDB makes its lock file with a hole and maps it: a page of it that is written first on a full
 * disk is the death of the process (SIGBUS). So the disk is asked for all of it here. What another
 * process may have mapped is not made longer. */
static int lock_fill(const struct lmdb *l, const char *path, struct err *e)
{
	int fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC), rc = 0;
	struct stat st;

	if (fd < 0)
		return lmdb_error(l, errno, e);
	if (fstat(fd, &st) == 0 &&
	    fallocate(fd, 0, 0, st.st_size > 0 ? st.st_size : LOCK_BYTES) < 0 &&
	    errno != EOPNOTSUPP)
		rc = lmdb_error(l, errno, e);
	close(fd);
	return rc;
}

static int files_make(struct lmdb *l, const char *folder, struct err *e)
{
	struct bytes lock = { 0 };
	struct stat st;
	int rc;

	if (stat(folder, &st) < 0)
		return err_set(e, "%s: %s", folder, strerror(errno));
	if (!bytes_addf(&lock, "%s-lock", l->path))
		return err_set(e, "%s: out of memory", l->path);
	/* The lock first: whoever finds the data file finds its lock as well. */
	rc = file_make(lock.p, &st, e) < 0 || lock_fill(l, lock.p, e) < 0 ||
		file_make(l->path, &st, e) < 0
	    ? -1
	    : 0;
	bytes_free(&lock);
	return rc;
}

/* 1 the mark of a version we know, 0 the file is new, -1 neither. */
static int mark_check(struct lmdb *l, MDB_txn *txn, struct err *e)
{
	MDB_val key = { sizeof(mark_key) - 1, (void *)mark_key }, value;
	struct slice text;
	uint64_t version;
	MDB_stat st;
	int rc = mdb_get(txn, l->dbi, &key, &value);

	if (rc == MDB_NOTFOUND && (rc = mdb_stat(txn, l->dbi, &st)) == 0)
		return st.ms_entries == 0 ? 0 : lmdb_error(l, MDB_INVALID, e);
	if (rc != 0)
		return lmdb_error(l, rc, e);
	text = slice_of(value.mv_data, value.mv_size);
	if (!slice_starts(text, SLICE(MARK_NAME)) ||
	    slice_number(slice_sub(text, sizeof(MARK_NAME) - 1, text.n), UINT32_MAX, &version) < 0)
		return lmdb_error(l, MDB_INVALID, e);
	if (version != FORMAT)
		return err_set(e,
		    "%s: written by another version of weir (format %u, this is format %d)",
		    l->path, (unsigned)version, FORMAT);
	return 1;
}

static int mark_put(struct lmdb *l, MDB_txn *txn, struct err *e)
{
	char text[32] = "";
	struct buf b = BUF_ON(text);
	MDB_val key = { sizeof(mark_key) - 1, (void *)mark_key }, value;
	int rc;

	buf_addf(&b, MARK_NAME "%d", FORMAT);
	value = (MDB_val){ b.n, b.p };
	rc = mdb_put(txn, l->dbi, &key, &value, 0);
	return rc == 0 ? 0 : lmdb_error(l, rc, e);
}

/* Read the mark; a new file gets it, looked at again under the writer's lock: another process may
 * have been faster. */
static int mark(struct lmdb *l, bool writing, struct err *e)
{
	MDB_txn *txn;
	int rc = mdb_txn_begin(l->env, NULL, writing ? 0 : MDB_RDONLY, &txn);

	if (rc == 0 &&
	    ((rc = mdb_dbi_open(txn, NULL, 0, &l->dbi)) != 0 ||
		(rc = mdb_set_compare(txn, l->dbi, key_compare)) != 0))
		mdb_txn_abort(txn);
	if (rc != 0)
		return lmdb_error(l, rc, e);
	rc = mark_check(l, txn, e);
	if (rc == 0 && writing && (rc = mark_put(l, txn, e)) == 0) {
		rc = mdb_txn_commit(txn);
		return rc == 0 ? 0 : lmdb_error(l, rc, e);
	}
	mdb_txn_abort(txn);
	return rc == 0 && !l->read_only ? mark(l, true, e) : (rc < 0 ? -1 : 0);
}

static int env_open(struct lmdb *l, uint64_t max_bytes, struct err *e)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	/* NOTLS: a reader's slot belongs to its transaction, so threads may hand it on. */
	unsigned flags = MDB_NOSUBDIR | MDB_NOTLS | (l->read_only ? MDB_RDONLY : 0);
	int rc, dead;

	if ((rc = mdb_env_create(&l->env)) != 0)
		return lmdb_error(l, rc, e);
	if ((rc = mdb_env_set_maxreaders(l->env, READERS)) != 0 ||
	    (rc = mdb_env_set_mapsize(l->env, (max_bytes + page - 1) / page * page)) != 0 ||
	    (rc = mdb_env_open(l->env, l->path, flags, 0660)) != 0)
		return lmdb_error(l, rc, e);
	/* Slots of readers that were killed keep old pages from being used again. */
	(void)mdb_reader_check(l->env, &dead);
	return mark(l, false, e);
}

static void lmdb_close(struct store *s)
{
	struct lmdb *l = (struct lmdb *)s;

	mdb_env_close(l->env);
	pthread_cond_destroy(&l->active_less);
	pthread_mutex_destroy(&l->active_guard);
	free(l->path);
	free(l);
}

static void active_init(struct lmdb *l)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&l->active_less, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&l->active_guard, NULL);
}

static struct store *lmdb_open(
    const char *folder, uint64_t max_bytes, unsigned flags, struct err *e)
{
	struct lmdb *l = calloc(1, sizeof(*l));

	if (l == NULL || (l->path = path_join(folder, "store.mdb")) == NULL) {
		free(l);
		err_set(e, "%s: out of memory", folder);
		return NULL;
	}
	l->s.engine = &store_lmdb;
	l->read_only = flags & STORE_READ_ONLY;
	active_init(l);
	if ((!l->read_only && folder_make(folder, e) < 0) || file_check(l, e) < 0 ||
	    (!l->read_only && files_make(l, folder, e) < 0) || env_open(l, max_bytes, e) < 0) {
		lmdb_close(&l->s);
		return NULL;
	}
	return &l->s;
}

/* ---- transactions ---------------------------------------------------------------------------- */

static void active_leave(struct lmdb *l)
{
	pthread_mutex_lock(&l->active_guard);
	l->active--;
	pthread_cond_signal(&l->active_less);
	pthread_mutex_unlock(&l->active_guard);
}

static int txn_begin(struct lmdb *l, bool writing, MDB_txn **txn)
{
	int dead, rc = mdb_txn_begin(l->env, NULL, writing ? 0 : MDB_RDONLY, txn);

	if (rc == MDB_READERS_FULL && mdb_reader_check(l->env, &dead) == 0 && dead > 0)
		rc = mdb_txn_begin(l->env, NULL, MDB_RDONLY, txn);
	return rc;
}

/* Another process with a larger store_bytes has written behind our map: take its size once the
 * other transactions of this process have ended. Called and left with the guard held. */
static int map_resize(struct lmdb *l)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += RESIZE_WAIT_MS / 1000;
	while (l->active > 0)
		if (pthread_cond_timedwait(&l->active_less, &l->active_guard, &until) != 0)
			return MDB_MAP_RESIZED;
	return mdb_env_set_mapsize(l->env, 0);
}

static int txn_begin_resized(struct lmdb *l, bool writing, MDB_txn **txn)
{
	int rc;

	pthread_mutex_lock(&l->active_guard);
	l->active--;
	rc = map_resize(l);
	if (rc == 0)
		rc = txn_begin(l, writing, txn);
	l->active++;
	pthread_mutex_unlock(&l->active_guard);
	return rc;
}

static struct store_tx *lmdb_begin(struct store *s, bool writing, struct err *e)
{
	struct lmdb *l = (struct lmdb *)s;
	struct lmdb_tx *t = calloc(1, sizeof(*t));
	int rc = t != NULL ? 0 : ENOMEM;

	pthread_mutex_lock(&l->active_guard);
	l->active++;
	pthread_mutex_unlock(&l->active_guard);
	if (rc == 0 && (rc = txn_begin(l, writing, &t->txn)) == MDB_MAP_RESIZED)
		rc = txn_begin_resized(l, writing, &t->txn);
	if (rc == 0 && (rc = mdb_cursor_open(t->txn, l->dbi, &t->cursor)) != 0)
		mdb_txn_abort(t->txn);
	if (rc != 0) {
		active_leave(l);
		free(t);
		lmdb_error(l, rc, e);
		return NULL;
	}
	t->tx = (struct store_tx){ .store = s, .writing = writing };
	return &t->tx;
}

static int lmdb_commit(struct store_tx *tx, struct err *e)
{
	struct lmdb_tx *t = (struct lmdb_tx *)tx;
	struct lmdb *l = (struct lmdb *)tx->store;
	int rc;

	mdb_cursor_close(t->cursor);
	rc = mdb_txn_commit(t->txn);
	active_leave(l);
	free(t);
	return rc == 0 ? 0 : lmdb_error(l, rc, e);
}

static void lmdb_end(struct store_tx *tx)
{
	struct lmdb_tx *t = (struct lmdb_tx *)tx;

	mdb_cursor_close(t->cursor);
	mdb_txn_abort(t->txn);
	active_leave((struct lmdb *)tx->store);
	free(t);
}

/* ---- keys and values ------------------------------------------------------------------------- */

static int lmdb_get(
    struct store_tx *tx, struct slice space, struct slice key, struct slice *value, struct err *e)
{
	struct lmdb_tx *t = (struct lmdb_tx *)tx;
	struct lmdb_key k;
	MDB_val v;
	int rc;

	key_set(&k, space, key);
	rc = mdb_cursor_get(t->cursor, &k.val, &v, MDB_SET);
	if (rc == MDB_NOTFOUND)
		return 0;
	if (rc != 0)
		return lmdb_error((struct lmdb *)tx->store, rc, e);
	*value = slice_of(v.mv_data, v.mv_size);
	return 1;
}

static int lmdb_put(
    struct store_tx *tx, struct slice space, struct slice key, struct slice value, struct err *e)
{
	struct lmdb_tx *t = (struct lmdb_tx *)tx;
	MDB_val v = { value.n, (void *)value.p };
	struct lmdb_key k;
	int rc;

	key_set(&k, space, key);
	rc = mdb_cursor_put(t->cursor, &k.val, &v, 0);
	return rc == 0 ? 0 : lmdb_error((struct lmdb *)tx->store, rc, e);
}

static int lmdb_remove(struct store_tx *tx, struct slice space, struct slice key, struct err *e)
{
	struct lmdb_tx *t = (struct lmdb_tx *)tx;
	struct lmdb_key k;
	MDB_val v;
	int rc;

	key_set(&k, space, key);
	if ((rc = mdb_cursor_get(t->cursor, &k.val, &v, MDB_SET)) == 0)
		rc = mdb_cursor_del(t->cursor, 0);
	if (rc == MDB_NOTFOUND)
		return 0;
	return rc == 0 ? 1 : lmdb_error((struct lmdb *)tx->store, rc, e);
}

static int lmdb_each(struct store_tx *tx, struct slice space, struct slice from,
    store_each_fn *each, void *arg, struct err *e)
{
	struct lmdb_tx *t = (struct lmdb_tx *)tx;
	struct lmdb_key first;
	MDB_val k, v;
	int rc;

	key_set(&first, space, from);
	k = first.val;
	rc = mdb_cursor_get(t->cursor, &k, &v, MDB_SET_RANGE);
	while (rc == 0) {
		struct slice key = slice_of(k.mv_data, k.mv_size);

		if (!slice_starts(key, slice_of(first.octets, space.n + 1)) ||
		    !each(slice_sub(key, space.n + 1, key.n), slice_of(v.mv_data, v.mv_size), arg))
			return 0;
		rc = mdb_cursor_get(t->cursor, &k, &v, MDB_NEXT);
	}
	return rc == MDB_NOTFOUND ? 0 : lmdb_error((struct lmdb *)tx->store, rc, e);
}

static json_t *lmdb_stats(struct store *s, struct err *e)
{
	struct lmdb *l = (struct lmdb *)s;
	MDB_envinfo info;
	MDB_stat st;
	json_t *out;
	int rc;

	if ((rc = mdb_env_info(l->env, &info)) != 0 || (rc = mdb_env_stat(l->env, &st)) != 0) {
		lmdb_error(l, rc, e);
		return NULL;
	}
	out = json_pack("{s:s, s:s, s:I, s:I, s:I}", "engine", s->engine->name, "path", l->path,
	    "bytes_used", ((json_int_t)info.me_last_pgno + 1) * st.ms_psize, "bytes_max",
	    (json_int_t)info.me_mapsize, "entries",
	    (json_int_t)(st.ms_entries > 0 ? st.ms_entries - 1 : 0)); /* without the mark */
	if (out == NULL)
		err_set(e, "%s: out of memory", l->path);
	return out;
}

const struct store_engine store_lmdb = {
	.name = "lmdb",
	.open = lmdb_open,
	.close = lmdb_close,
	.begin = lmdb_begin,
	.commit = lmdb_commit,
	.end = lmdb_end,
	.get = lmdb_get,
	.put = lmdb_put,
	.remove = lmdb_remove,
	.each = lmdb_each,
	.stats = lmdb_stats,
};
