#include "config.h"

#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>
#include <lmdb.h>

#include "weir/file.h"
#include "weir/store.h"

#define MAX_BYTES (8u << 20)

/* Each test has a folder of its own and stands in it. */
static char folder[64];

static void enter(void)
{
	(void)snprintf(folder, sizeof(folder), "/tmp/check_store.XXXXXX");
	if (mkdtemp(folder) == NULL || chdir(folder) != 0)
		abort();
}

static void leave(void)
{
	static const char *const made[] = { "s/store.mdb", "s/store.mdb-lock", "s", "a/b/store.mdb",
		"a/b/store.mdb-lock", "a/b", "a" };

	for (size_t i = 0; i < COUNT(made); i++)
		(void)remove(made[i]);
	if (chdir("/") != 0 || rmdir(folder) != 0)
		abort();
}

static struct store *open_it(void)
{
	struct err e = { "" };
	struct store *s = store_open("lmdb:s", MAX_BYTES, 0, &e);

	ck_assert_msg(s != NULL, "%s", e.text);
	return s;
}

static void put(struct store_tx *tx, const char *space, const char *key, const char *value)
{
	struct err e = { "" };

	ck_assert_msg(store_put(tx, space, slice_z(key), slice_z(value), &e) == 0, "%s", e.text);
}

static void assert_holds(struct store_tx *tx, const char *space, const char *key, const char *value)
{
	struct err e = { "" };
	struct slice got;
	int rc = store_get(tx, space, slice_z(key), &got, &e);

	ck_assert_msg(rc == (value != NULL), "%s/%s: %d %s", space, key, rc, e.text);
	if (value != NULL)
		ck_assert_slice_eq(got, value);
}

START_TEST(a_transaction_is_whole_or_not_at_all)
{
	struct store *s = open_it();
	struct store_tx *tx;
	struct err e = { "" };

	ck_assert_int_eq(store_write_begin(s, &tx, &e), 0);
	put(tx, "one", "k", "1");
	put(tx, "two", "k", "2");
	ck_assert_int_eq(store_commit(&tx, &e), 0);
	ck_assert_ptr_null(tx);

	ck_assert_int_eq(store_write_begin(s, &tx, &e), 0);
	put(tx, "one", "k", "changed");
	put(tx, "one", "more", "3");
	ck_assert_int_eq(store_delete(tx, "two", SLICE("k"), &e), 1);
	ck_assert_int_eq(store_delete(tx, "two", SLICE("k"), &e), 0);
	assert_holds(tx, "two", "k", NULL);
	store_end(&tx);

	ck_assert_int_eq(store_read_begin(s, &tx, &e), 0);
	assert_holds(tx, "one", "k", "1");
	assert_holds(tx, "two", "k", "2");
	assert_holds(tx, "one", "more", NULL);
	assert_holds(tx, "on", "e", NULL);
	store_end(&tx);
	store_close(&s);
	ck_assert_ptr_null(s);
}
END_TEST

START_TEST(a_reader_sees_one_state)
{
	struct store *s = open_it();
	struct store_tx *reader, *writer;
	struct err e = { "" };

	ck_assert_int_eq(store_read_begin(s, &reader, &e), 0);
	ck_assert_int_eq(store_write_begin(s, &writer, &e), 0);
	put(writer, "x", "k", "1");
	ck_assert_int_eq(store_commit(&writer, &e), 0);
	assert_holds(reader, "x", "k", NULL);
	store_end(&reader);
	ck_assert_int_eq(store_read_begin(s, &reader, &e), 0);
	assert_holds(reader, "x", "k", "1");
	store_end(&reader);
	store_close(&s);
}
END_TEST

static const char long_key[STORE_KEY_MAX + 1] = { [0 ... STORE_KEY_MAX] = 'k' };
static const char big_value[STORE_VALUE_MAX + 1];
static const struct {
	const char *space;
	size_t key, value;
	const char *error; /* NULL: it is taken */
} limits[] = {
	{ "s", 1, 0, NULL },
	{ "0123456789", STORE_KEY_MAX, 10, NULL },
	{ "s", 1, STORE_VALUE_MAX, NULL },
	{ "", 1, 1, "store: a space's name has 1..10 octets, not 0" },
	{ "0123456789a", 1, 1, "store: a space's name has 1..10 octets, not 11" },
	{ "s", 0, 1, "store: a key has 1..500 octets, not 0" },
	{ "s", STORE_KEY_MAX + 1, 1, "store: a key has 1..500 octets, not 501" },
	{ "s", 1, STORE_VALUE_MAX + 1, "store: a value has at most 1048576 octets, not 1048577" },
};
START_TEST(limit)
{
	struct store *s = open_it();
	struct store_tx *tx;
	struct err e = { "" };
	struct slice key = slice_of(long_key, limits[_i].key), got;
	int rc;

	ck_assert_int_eq(store_write_begin(s, &tx, &e), 0);
	rc = store_put(tx, limits[_i].space, key, slice_of(big_value, limits[_i].value), &e);
	ck_assert_int_eq(rc, limits[_i].error == NULL ? 0 : -1);
	ck_assert_str_eq(e.text, limits[_i].error != NULL ? limits[_i].error : "");
	if (rc == 0) {
		ck_assert_int_eq(store_get(tx, limits[_i].space, key, &got, &e), 1);
		ck_assert_uint_eq(got.n, limits[_i].value);
	}
	store_end(&tx);
	ck_assert_int_eq(store_read_begin(s, &tx, &e), 0);
	ck_assert_int_eq(store_put(tx, "s", SLICE("k"), SLICE("v"), &e), -1);
	ck_assert_str_eq(e.text, "store: a reading transaction cannot write");
	store_end(&tx);
	store_close(&s);
}
END_TEST

struct walked {
	char text[256];
	struct buf b;
	unsigned most;
};
static bool on_each(struct slice key, struct slice value, void *arg)
{
	struct walked *w = arg;

	buf_addf(&w->b, "%.*s=%.*s ", SLICE_ARG(key), SLICE_ARG(value));
	return --w->most > 0;
}
static const struct {
	const char *space, *from;
	unsigned most;
	const char *walk;
} walks[] = {
	{ "b", "", 99, "a=1 b=2 c=3 " },
	{ "b", "b", 99, "b=2 c=3 " },
	{ "b", "aa", 1, "b=2 " },
	{ "b", "d", 99, "" },
	{ "a", "", 99, "z=0 " },
	{ "c", "", 99, "a=9 " },
	{ "none", "", 99, "" },
};
START_TEST(walk)
{
	struct store *s = open_it();
	struct walked w = { .most = walks[_i].most };
	struct store_tx *tx;
	struct err e = { "" };

	w.b = BUF_ON(w.text);
	ck_assert_int_eq(store_write_begin(s, &tx, &e), 0);
	put(tx, "a", "z", "0");
	put(tx, "b", "c", "3");
	put(tx, "b", "a", "1");
	put(tx, "b", "b", "2");
	put(tx, "c", "a", "9");
	ck_assert_int_eq(
	    store_each(tx, walks[_i].space, slice_z(walks[_i].from), on_each, &w, &e), 0);
	ck_assert_str_eq(w.text, walks[_i].walk);
	store_end(&tx);
	store_close(&s);
}
END_TEST

START_TEST(a_full_store_says_so_and_stays_sound)
{
	struct err e = { "" };
	struct store *s = store_open("lmdb:s", 256 << 10, 0, &e);
	struct store_tx *tx;
	char key[16];
	int rc = 0, kept = 0;

	ck_assert_msg(s != NULL, "%s", e.text);
	for (int i = 0; rc == 0; i++) {
		ck_assert_int_lt(i, 1000);
		ck_assert_int_eq(store_write_begin(s, &tx, &e), 0);
		(void)snprintf(key, sizeof(key), "%d", i);
		rc = store_put(tx, "s", slice_z(key), slice_of(big_value, 3000), &e);
		if (rc == 0)
			rc = store_commit(&tx, &e);
		else
			store_end(&tx);
		kept += rc == 0;
	}
	ck_assert_str_eq(e.text, "s/store.mdb: full at 262144 octets: raise milterd/store_bytes");
	ck_assert_int_gt(kept, 10);
	store_close(&s);
	ck_assert_ptr_nonnull(s = open_it());
	ck_assert_int_eq(store_read_begin(s, &tx, &e), 0);
	for (int i = 0; i < kept; i++) {
		struct slice got;

		(void)snprintf(key, sizeof(key), "%d", i);
		ck_assert_int_eq(store_get(tx, "s", slice_z(key), &got, &e), 1);
	}
	store_end(&tx);
	ck_assert_int_eq(store_write_begin(s, &tx, &e), 0);
	put(tx, "s", "after", "there is room again");
	ck_assert_int_eq(store_commit(&tx, &e), 0);
	store_close(&s);
}
END_TEST

/* ---- several processes ----------------------------------------------------------------------- */

enum { KEYS = 40 };

/* Write generation after generation of KEYS equal values, telling each that is committed; die by
 * SIGKILL in generation `generation` behind `puts` puts (never, where it is 0). */
static void write_generations(int tell, unsigned generation, unsigned puts)
{
	struct store *s = store_open("lmdb:s", MAX_BYTES, 0, NULL);
	struct store_tx *tx;

	if (s == NULL)
		_exit(1);
	for (unsigned g = 1;; g++) {
		if (store_write_begin(s, &tx, NULL) < 0)
			_exit(1);
		for (unsigned k = 0; k < KEYS; k++) {
			char key[16], value[16];

			if (g == generation && k == puts)
				(void)raise(SIGKILL);
			(void)snprintf(key, sizeof(key), "%u", k);
			(void)snprintf(value, sizeof(value), "%u", g);
			if (store_put(tx, "s", slice_z(key), slice_z(value), NULL) < 0)
				_exit(1);
		}
		if (store_commit(&tx, NULL) < 0 || file_write_all(tell, &g, sizeof(g)) < 0)
			_exit(1);
	}
}

/* The generation that all keys hold. */
static unsigned generation_whole(struct store *s)
{
	struct store_tx *tx;
	struct err e = { "" };
	uint64_t first = 0, value;

	ck_assert_int_eq(store_read_begin(s, &tx, &e), 0);
	for (unsigned k = 0; k < KEYS; k++) {
		char key[16];
		struct slice got;

		(void)snprintf(key, sizeof(key), "%u", k);
		if (store_get(tx, "s", slice_z(key), &got, &e) == 0) {
			ck_assert_uint_eq(first, 0);
			continue;
		}
		ck_assert_int_eq(slice_number(got, UINT32_MAX, &value), 0);
		ck_assert(k == 0 || value == first);
		first = value;
	}
	store_end(&tx);
	return (unsigned)first;
}

static void writer_killed(unsigned generation, unsigned puts, unsigned kill_after)
{
	int pipes[2], status;
	unsigned told = 0, g;
	struct store *s;
	struct store_tx *tx;
	struct err e = { "" };
	pid_t child;

	ck_assert_int_eq(pipe(pipes), 0);
	if ((child = fork()) == 0) {
		close(pipes[0]);
		write_generations(pipes[1], generation, puts);
	}
	close(pipes[1]);
	while (read(pipes[0], &g, sizeof(g)) == (ssize_t)sizeof(g)) {
		told = g;
		if (g == kill_after)
			kill(child, SIGKILL);
	}
	close(pipes[0]);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);

	s = open_it();
	g = generation_whole(s);
	ck_assert_msg(g == told || g == told + 1, "%u was told, %u is there", told, g);
	ck_assert_int_eq(store_write_begin(s, &tx, &e), 0);
	put(tx, "s", "after", "a dead writer holds no lock");
	ck_assert_int_eq(store_commit(&tx, &e), 0);
	store_close(&s);
}

START_TEST(a_writer_killed_inside_a_transaction)
{
	for (unsigned puts = 0; puts < KEYS; puts += 3)
		writer_killed(1 + (unsigned)_i, puts, 0);
}
END_TEST

START_TEST(a_writer_killed_anywhere)
{
	for (unsigned after = 1; after <= 12; after++)
		writer_killed(0, 0, after);
}
END_TEST

/* Add 1 to one counter n times, each in a transaction of its own. */
static int count_up(int n)
{
	struct store *s = store_open("lmdb:s", MAX_BYTES, 0, NULL);
	struct store_tx *tx;
	int rc = s != NULL ? 0 : 1;

	for (int i = 0; rc == 0 && i < n; i++) {
		char text[16];
		struct slice got;
		uint64_t value = 0;

		if (store_write_begin(s, &tx, NULL) < 0)
			return 1;
		if (store_get(tx, "s", SLICE("counter"), &got, NULL) == 1)
			rc |= slice_number(got, UINT32_MAX, &value);
		(void)snprintf(text, sizeof(text), "%u", (unsigned)value + 1);
		rc |= store_put(tx, "s", SLICE("counter"), slice_z(text), NULL);
		rc |= store_commit(&tx, NULL);
	}
	store_close(&s);
	return rc;
}

START_TEST(two_writers_lose_nothing)
{
	pid_t children[2];
	struct store *s;
	struct store_tx *tx;
	struct err e;

	for (int i = 0; i < 2; i++)
		if ((children[i] = fork()) == 0)
			_exit(count_up(100));
	for (int i = 0; i < 2; i++) {
		int status;

		ck_assert_int_eq(waitpid(children[i], &status, 0), children[i]);
		ck_assert_int_eq(status, 0);
	}
	s = open_it();
	ck_assert_int_eq(store_read_begin(s, &tx, &e), 0);
	assert_holds(tx, "s", "counter", "200");
	store_end(&tx);
	store_close(&s);
}
END_TEST

/* A reader that died must not keep its slot: with it, no page would ever be used again. */
START_TEST(dead_readers_are_cleared)
{
	struct store *s;
	MDB_env *env;
	int status, dead = -1;
	pid_t child;

	s = open_it();
	store_close(&s);
	if ((child = fork()) == 0) {
		struct store_tx *tx;

		s = store_open("lmdb:s", MAX_BYTES, 0, NULL);
		if (s != NULL && store_read_begin(s, &tx, NULL) == 0)
			(void)raise(SIGKILL);
		_exit(1);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFSIGNALED(status));
	s = open_it();
	store_close(&s);
	ck_assert_int_eq(mdb_env_create(&env), 0);
	ck_assert_int_eq(mdb_env_open(env, "s/store.mdb", MDB_NOSUBDIR | MDB_RDONLY, 0), 0);
	ck_assert_int_eq(mdb_reader_check(env, &dead), 0);
	ck_assert_int_eq(dead, 0);
	mdb_env_close(env);
}
END_TEST

/* A process with a larger map writes behind the end of ours. */
START_TEST(the_map_follows_a_larger_one)
{
	struct err e = { "" };
	struct store *s = store_open("lmdb:s", 256 << 10, 0, &e);
	struct store_tx *tx;
	struct slice got;
	pid_t child;
	int status;

	ck_assert_msg(s != NULL, "%s", e.text);
	if ((child = fork()) == 0) {
		struct store *larger = store_open("lmdb:s", MAX_BYTES, 0, NULL);

		_exit(larger == NULL || store_write_begin(larger, &tx, NULL) < 0 ||
		    store_put(tx, "s", SLICE("big"), slice_of(big_value, STORE_VALUE_MAX), NULL) <
			0 ||
		    store_commit(&tx, NULL) < 0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	ck_assert_msg(store_read_begin(s, &tx, &e) == 0, "%s", e.text);
	ck_assert_int_eq(store_get(tx, "s", SLICE("big"), &got, &e), 1);
	ck_assert_uint_eq(got.n, STORE_VALUE_MAX);
	store_end(&tx);
	store_close(&s);
}
END_TEST

/* libmilter's threads: a reading transaction ends on another thread than it began on. */
static void *end_there(void *arg)
{
	struct store_tx *tx = arg;

	assert_holds(tx, "s", "k", "1");
	store_end(&tx);
	return NULL;
}
START_TEST(a_reader_moves_between_threads)
{
	struct store *s = open_it();
	struct store_tx *tx, *other;
	struct err e = { "" };
	pthread_t thread;

	ck_assert_int_eq(store_write_begin(s, &tx, &e), 0);
	put(tx, "s", "k", "1");
	ck_assert_int_eq(store_commit(&tx, &e), 0);
	ck_assert_int_eq(store_read_begin(s, &tx, &e), 0);
	ck_assert_int_eq(store_read_begin(s, &other, &e), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, end_there, tx), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	assert_holds(other, "s", "k", "1");
	store_end(&other);
	store_close(&s);
}
END_TEST

/* ---- files that are none of ours, folders that will not do ----------------------------------- */

static void file_write(const char *path, struct slice content)
{
	int fd = open(path, O_WRONLY | O_CREAT, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(file_write_all(fd, content.p, content.n), 0);
	close(fd);
}

static void assert_refused(const char *why)
{
	struct bytes before = { 0 }, after = { 0 };
	struct err e = { "" };
	struct store *s;

	ck_assert_int_eq(file_read("s/store.mdb", &before, &e), 0);
	s = store_open("lmdb:s", MAX_BYTES, 0, &e);
	ck_assert_ptr_null(s);
	ck_assert_str_eq(e.text, why);
	ck_assert_int_eq(file_read("s/store.mdb", &after, &e), 0);
	ck_assert(slice_eq(bytes_slice(&before), bytes_slice(&after)));
	bytes_free(&before);
	bytes_free(&after);
}

static const char page_of_text[8192] = { [0 ... 8191] = 't' };
static const struct {
	const char *content;
	size_t n;
} foreign[] = { { "a", 1 }, { "SQLite format 3", 16 }, { page_of_text, sizeof(page_of_text) } };
START_TEST(a_foreign_file_is_refused)
{
	ck_assert_int_eq(mkdir("s", 0700), 0);
	file_write("s/store.mdb", slice_of(foreign[_i].content, foreign[_i].n));
	assert_refused("s/store.mdb: not a store of weir's: move it away, or name another folder");
	ck_assert_int_lt(access("s/store.mdb-lock", F_OK), 0);
}
END_TEST

/* An LMDB file that another program wrote, or another version of ours. */
static const struct {
	const char *key;
	size_t key_n;
	const char *value, *why;
} marks[] = {
	{ "theirs", 6, "x",
	    "s/store.mdb: not a store of weir's: move it away, or name another folder" },
	{ "\0mark", 5, "weir store 2",
	    "s/store.mdb: written by another version of weir (format 2, this is format 1)" },
	{ "\0mark", 5, "weir stone 1",
	    "s/store.mdb: not a store of weir's: move it away, or name another folder" },
	{ "\0mark", 5, "weir store one",
	    "s/store.mdb: not a store of weir's: move it away, or name another folder" },
};
START_TEST(another_mark_is_refused)
{
	MDB_val key = { marks[_i].key_n, (void *)marks[_i].key };
	MDB_val value = { strlen(marks[_i].value), (void *)marks[_i].value };
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;

	ck_assert_int_eq(mkdir("s", 0700), 0);
	ck_assert_int_eq(mdb_env_create(&env), 0);
	ck_assert_int_eq(mdb_env_open(env, "s/store.mdb", MDB_NOSUBDIR, 0600), 0);
	ck_assert_int_eq(mdb_txn_begin(env, NULL, 0, &txn), 0);
	ck_assert_int_eq(mdb_dbi_open(txn, NULL, 0, &dbi), 0);
	ck_assert_int_eq(mdb_put(txn, dbi, &key, &value, 0), 0);
	ck_assert_int_eq(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
	assert_refused(marks[_i].why);
}
END_TEST

static const struct {
	const char *spec;
	unsigned flags;
	const char *why;
} unopenable[] = {
	{ "redis:localhost", 0, "store \"redis:localhost\": must be lmdb:FOLDER" },
	{ "lmdb", 0, "store \"lmdb\": must be lmdb:FOLDER" },
	{ "lmdb:", 0, "store \"lmdb:\": must be lmdb:FOLDER" },
	{ "lmdb:s", STORE_READ_ONLY, "s/store.mdb: there is no store yet: weir train makes it" },
	{ "lmdb:/dev/null/x", 0, "/dev/null: File exists" },
};
START_TEST(what_cannot_be_opened)
{
	struct err e = { "" };

	ck_assert_ptr_null(store_open(unopenable[_i].spec, MAX_BYTES, unopenable[_i].flags, &e));
	if (strstr(unopenable[_i].spec, "/dev/null") == NULL)
		ck_assert_str_eq(e.text, unopenable[_i].why);
	else
		ck_assert_ptr_nonnull(strstr(e.text, "/dev/null"));
	ck_assert_int_lt(access("s", F_OK), 0);
}
END_TEST

START_TEST(a_missing_folder_is_made_for_owner_and_group)
{
	struct err e = { "" };
	mode_t was = umask(077);
	struct store *s = store_open("lmdb:a/b", MAX_BYTES, 0, &e);
	struct stat st;

	(void)umask(was);
	ck_assert_msg(s != NULL, "%s", e.text);
	ck_assert_int_eq(stat("a/b/store.mdb", &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0660);
	ck_assert_int_eq(stat("a/b/store.mdb-lock", &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0660);
	store_close(&s);
}
END_TEST

/* Only root can try these two. */
enum { NOBODY = 65534 };

START_TEST(what_root_makes_belongs_to_the_folder)
{
	struct stat st;
	struct store *s;

	if (geteuid() != 0)
		return;
	ck_assert_int_eq(mkdir("s", 0750), 0);
	ck_assert_int_eq(chown("s", NOBODY, NOBODY), 0);
	s = open_it();
	store_close(&s);
	ck_assert_int_eq(stat("s/store.mdb", &st), 0);
	ck_assert_uint_eq(st.st_uid, NOBODY);
	ck_assert_int_eq(stat("s/store.mdb-lock", &st), 0);
	ck_assert_uint_eq(st.st_gid, NOBODY);
}
END_TEST

START_TEST(without_permission)
{
	struct store *s;
	pid_t child;
	int status;

	if (geteuid() != 0)
		return;
	s = open_it();
	store_close(&s);
	ck_assert_int_eq(chmod(folder, 0755), 0);
	ck_assert_int_eq(chmod("s", 0755), 0);
	if ((child = fork()) == 0) {
		struct err e = { "" };

		_exit(setgid(NOBODY) != 0 || setuid(NOBODY) != 0 ||
		    store_open("lmdb:s", MAX_BYTES, 0, &e) != NULL ||
		    strcmp(e.text,
			"s/store.mdb: Permission denied: run as its owner or with its group") != 0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(stats)
{
	struct store *s = open_it();
	struct store_tx *tx;
	struct err e = { "" };
	json_t *j;

	ck_assert_int_eq(store_write_begin(s, &tx, &e), 0);
	put(tx, "s", "a", "1");
	put(tx, "t", "a", "1");
	ck_assert_int_eq(store_commit(&tx, &e), 0);
	ck_assert_ptr_nonnull(j = store_stats(s, &e));
	ck_assert_int_eq(json_integer_value(json_object_get(j, "entries")), 2);
	ck_assert_int_eq(json_integer_value(json_object_get(j, "bytes_max")), MAX_BYTES);
	ck_assert_int_gt(json_integer_value(json_object_get(j, "bytes_used")), 0);
	ck_assert_str_eq(json_string_value(json_object_get(j, "engine")), "lmdb");
	ck_assert_str_eq(json_string_value(json_object_get(j, "path")), "s/store.mdb");
	json_decref(j);
	store_close(&s);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("store");
	TCase *tc = tcase_create("store");

	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, enter, leave);
	tcase_add_test(tc, a_transaction_is_whole_or_not_at_all);
	tcase_add_test(tc, a_reader_sees_one_state);
	tcase_add_loop_test(tc, limit, 0, COUNT(limits));
	tcase_add_loop_test(tc, walk, 0, COUNT(walks));
	tcase_add_test(tc, a_full_store_says_so_and_stays_sound);
	tcase_add_loop_test(tc, a_writer_killed_inside_a_transaction, 0, 3);
	tcase_add_test(tc, a_writer_killed_anywhere);
	tcase_add_test(tc, two_writers_lose_nothing);
	tcase_add_test(tc, dead_readers_are_cleared);
	tcase_add_test(tc, the_map_follows_a_larger_one);
	tcase_add_test(tc, a_reader_moves_between_threads);
	tcase_add_loop_test(tc, a_foreign_file_is_refused, 0, COUNT(foreign));
	tcase_add_loop_test(tc, another_mark_is_refused, 0, COUNT(marks));
	tcase_add_loop_test(tc, what_cannot_be_opened, 0, COUNT(unopenable));
	tcase_add_test(tc, a_missing_folder_is_made_for_owner_and_group);
	tcase_add_test(tc, what_root_makes_belongs_to_the_folder);
	tcase_add_test(tc, without_permission);
	tcase_add_test(tc, stats);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
