/* weir-scanner and the daemon's side of it, through the real executable. */
#include "config.h"

#include "milterd/scanner_client.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/scanner_kit.h"
#include "tests/unit/unit.h"
#include "weir/file.h"

/* ---- what is found, and where -----------------------------------------------------------------*/

#define EICAR_A "X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD"
#define EICAR_B "-ANTIVIRUS-TEST-FILE!$H+H*"
#define EICAR64                                                            \
	"WDVPIVAlQEFQWzRcUFpYNTQoUF4pN0NDKTd9JEVJQ0FSLVNUQU5EQVJELUFO\r\n" \
	"VElWSVJVUy1URVNULUZJTEUhJEgrSCo=\r\n"
/* A zip of one deflated file: EICAR and 400 line ends. */
#define ZIP64                                                                      \
	"UEsDBBQAAAAIAAAAIQCRvQw+SwAAANQBAAAFAAAAYS50eHSLMPVXDFB1cAyINokJiIow\r\n" \
	"NdEIiNM0d3bWNK9VcfV0dgzSDQ5x9HNxDHLRdfQL8QzzDAoN1g1xDQ7RdfP0cVVU8dD2\r\n" \
	"0OIaBYMKAABQSwECFAMUAAAACAAAACEAkb0MPksAAADUAQAABQAAAAAAAAAAAAAAgAEA\r\n" \
	"AAAAYS50eHRQSwUGAAAAAAEAAQAzAAAAbgAAAAAA\r\n"
#define MIME(encoding, name)                                                              \
	"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"                        \
	"Content-Type: text/plain\r\n\r\nhello\r\n--b\r\nContent-Type: application/zip; " \
	"name=" name "\r\nContent-Transfer-Encoding: " encoding "\r\n\r\n"

static const struct {
	const char *what;
	const char *text[4];
	bool found;
} messages[] = {
	{ "clean", { "From: a@example.org\r\nSubject: hi\r\n\r\nhello\r\n" }, false },
	{ "empty", { "" }, false },
	{ "no header", { "\r\nhello\r\n" }, false },
	{ "clean attachment", { "From: a@b\r\n" MIME("base64", "a"), "aGVsbG8=\r\n--b--\r\n" },
	    false },
	{ "plain", { "From: a@b\r\n\r\n", EICAR_A, EICAR_B }, true },
	{ "no header, plain", { "\r\n", EICAR_A, EICAR_B }, true },
	{ "base64", { "From: a@b\r\n" MIME("base64", "e.com"), EICAR64 "--b--\r\n" }, true },
	{ "base64, no end", { "From: a@b\r\n" MIME("base64", "e.com"), EICAR64 }, true },
	{ "zip", { "From: a@b\r\n" MIME("base64", "a.zip"), ZIP64 "--b--\r\n" }, true },
	/* libclamav alone takes this for text, and decodes nothing. */
	{ "unknown first field", { "X-A: 1\r\n" MIME("base64", "e.com"), EICAR64 "--b--\r\n" },
	    true },
	{ "nested",
	    { "From: a@b\r\nContent-Type: message/rfc822\r\n\r\nX-A: 1\r\n" MIME("base64", "a"),
		ZIP64 "--b--\r\n" },
	    true },
	/* An mbox would end here, a message does not. */
	{ "From_ line",
	    { "X-A: 1\r\n" MIME("base64", "e.com"), EICAR64 "--b\r\n\r\n",
		"From a Thu Jan  1 00:00:00 1970\r\n\r\n--b--\r\n" },
	    true },
};

START_TEST(finds)
{
	struct kit k;
	struct scan_result r;
	struct bytes m = { 0 };

	kit_start(&k, 1);
	for (size_t i = 0; i < COUNT(messages[_i].text) && messages[_i].text[i] != NULL; i++)
		bytes_add(&m, slice_z(messages[_i].text[i]));
	scanner_scan(k.scanner, bytes_slice(&m), &r);
	ck_assert_msg(r.error[0] == '\0', "%s: error %s", messages[_i].what, r.error);
	ck_assert_msg(r.found == messages[_i].found, "%s: found %d", messages[_i].what, r.found);
	ck_assert_str_eq(r.name, r.found ? "Eicar-Test-Signature.UNOFFICIAL" : "");
	ck_assert(r.elapsed_ms > 0);
	bytes_free(&m);
	kit_stop(&k);
}
END_TEST

/* A zip of one deflated file: 200 000 NUL octets. */
#define A76 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\r\n"
#define BOMB64                                                                                     \
	"UEsDBBQAAAAIAAAAIQB7WOBc0wAAAEANAwABAAAAYe3BMQEAAADCoPVPbQZ/oAAAAAAAAAAAAAAA\r\n" A76 A76 \
	    A76 "AAAAAAAAAAAAAACA1wBQSwECFAMUAAAACAAAACEAe1jgXNMAAABADQMAAQAAAAAAAAAAAAAAgAEA\r\n" \
	"AAAAYVBLBQYAAAAAAQABAC8AAADyAAAAAAA=\r\n"
#define PART \
	"--b\r\nContent-Type: application/octet-stream; name=p\r\n\r\na part of some length\r\n"
#define PLAIN "From: a@b\r\n\r\nhello, this is a message of a few lines\r\n"

static const struct {
	const char *text;
	int64_t scan_bytes, file_bytes, recursion, files;
	const char *error;
} over[] = {
	{ PLAIN, 1 << 20, 1 << 20, 10, 100, "" },
	{ PLAIN, 1 << 20, 20, 10, 100, "limit: MaxFileSize" },
	{ "From: a@b\r\n" MIME("base64", "a.zip") BOMB64 "--b--\r\n", 1 << 20, 1 << 20, 10, 100,
	    "" },
	/* libclamav cuts it at the limit without a word */
	{ "From: a@b\r\n" MIME("base64", "a.zip") BOMB64 "--b--\r\n", 1 << 20, 65536, 10, 100,
	    "limit: MaxFileSize" },
	{ "From: a@b\r\n" MIME("base64", "a.zip") BOMB64 "--b--\r\n", 65536, 1 << 20, 10, 100,
	    "limit: MaxScanSize" },
	{ "From: a@b\r\n" MIME("base64", "a.zip") ZIP64 "--b--\r\n", 1 << 20, 1 << 20, 2, 100,
	    "limit: MaxRecursion" },
	{ "From: a@b\r\n" MIME("7bit", "a") PART PART PART PART PART "--b--\r\n", 1 << 20, 1 << 20,
	    10, 3, "limit: MaxFiles" },
};

START_TEST(over_a_limit_is_never_clean)
{
	struct kit k;
	struct scan_result r;

	kit_make(&k);
	kit_write(&k, "test.ndb", KIT_EICAR);
	k.settings.antivirus.scan_bytes = over[_i].scan_bytes;
	k.settings.antivirus.file_bytes = over[_i].file_bytes;
	k.settings.antivirus.recursion = over[_i].recursion;
	k.settings.antivirus.files = over[_i].files;
	kit_run(&k);
	scanner_scan(k.scanner, slice_z(over[_i].text), &r);
	ck_assert_str_eq(r.error, over[_i].error);
	ck_assert(!r.found);
	kit_stop(&k);
}
END_TEST

/* ---- many at once -----------------------------------------------------------------------------*/

enum { THREADS = 8, SCANS = 200 };

struct load {
	struct kit *kit;
	int first, wrong;
	_Atomic bool *go_on; /* NULL: once through the numbers */
	int done;
};

static void scan_number(struct load *l, int number)
{
	char text[128], want[64];
	struct scan_result r;

	(void)snprintf(text, sizeof(text), "From: a@b\r\n\r\nmarker-%03d-of-weir\r\n", number);
	(void)snprintf(want, sizeof(want), "Weir-Test-%03d.UNOFFICIAL", number);
	scanner_scan(l->kit->scanner, slice_z(text), &r);
	l->done++;
	if (!r.found || strcmp(r.name, want) != 0 || r.error[0] != '\0') {
		l->wrong++;
		fprintf(stderr, "%s: found \"%s\" error \"%s\"\n", want, r.name, r.error);
	}
}

static void *scan_many(void *arg)
{
	struct load *l = arg;

	do
		for (int i = l->first; i < SCANS; i += THREADS)
			scan_number(l, i);
	while (l->go_on != NULL && *l->go_on);
	return NULL;
}

static void write_numbered(struct kit *k)
{
	struct bytes b = { 0 };

	for (int i = 0; i < SCANS; i++) {
		char marker[32];

		(void)snprintf(marker, sizeof(marker), "marker-%03d-of-weir", i);
		bytes_addf(&b, "Weir-Test-%03d:0:*:", i);
		for (const char *c = marker; *c != '\0'; c++)
			bytes_addf(&b, "%02x", (unsigned)*c);
		bytes_addc(&b, '\n');
	}
	kit_write(k, "numbered.ndb", b.p);
	bytes_free(&b);
}

START_TEST(never_mixes_answers)
{
	struct kit k;
	pthread_t threads[THREADS];
	struct load loads[THREADS];

	kit_make(&k);
	write_numbered(&k);
	k.settings.antivirus.workers = 3;
	kit_run(&k);
	ck_assert_uint_eq(scanner_signatures(k.scanner), SCANS);
	for (int i = 0; i < THREADS; i++) {
		loads[i] = (struct load){ .kit = &k, .first = i };
		ck_assert_int_eq(pthread_create(&threads[i], NULL, scan_many, &loads[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		ck_assert_int_eq(loads[i].wrong, 0);
	}
	kit_stop(&k);
}
END_TEST

START_TEST(reloads_unnoticed_under_load)
{
	struct kit k;
	pthread_t threads[THREADS];
	struct load loads[THREADS];
	_Atomic bool go_on = true;
	struct err e;

	kit_make(&k);
	write_numbered(&k);
	k.settings.antivirus.workers = 2;
	kit_run(&k);
	for (int i = 0; i < THREADS; i++) {
		loads[i] = (struct load){ .kit = &k, .first = i, .go_on = &go_on };
		ck_assert_int_eq(pthread_create(&threads[i], NULL, scan_many, &loads[i]), 0);
	}
	for (int i = 0; i < 10; i++) {
		kit_write(&k, "more.ndb", i % 2 ? KIT_EICAR : KIT_EICAR KIT_OTHER);
		ck_assert_msg(scanner_reload(k.scanner, &e) == 0, "%s", e.text);
		ck_assert_uint_eq(scanner_signatures(k.scanner), SCANS + 2u - (unsigned)i % 2);
	}
	go_on = false;
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		ck_assert_int_eq(loads[i].wrong, 0);
	}
	kit_stop(&k);
}
END_TEST

/* ---- processes that die or hang ---------------------------------------------------------------*/

/* A scan in a thread of its own, on a worker that was stopped. */
struct hung {
	struct scanner *scanner;
	struct scan_result result;
	pthread_t thread;
};

static void *hung_scan(void *arg)
{
	struct hung *h = arg;

	scanner_scan(h->scanner, slice_z("From: a@b\r\n\r\nhello\r\n"), &h->result);
	return NULL;
}

static void hung_start(struct hung *h, struct kit *k)
{
	*h = (struct hung){ .scanner = k->scanner };
	ck_assert_int_eq(pthread_create(&h->thread, NULL, hung_scan, h), 0);
	kit_wait(kit_has_memfd, k); /* a worker was taken for it */
}

START_TEST(a_killed_worker_costs_one_message)
{
	struct kit k;
	int crashes = 0;

	kit_start(&k, 1);
	/* The kill may come before the job was sent: then the next worker gets the message. */
	for (int i = 0; i < 100 && crashes == 0; i++) {
		pid_t worker = kit_worker(&k);
		struct hung h;

		ck_assert_int_eq(kill(worker, SIGSTOP), 0);
		hung_start(&h, &k);
		ck_assert_int_eq(kill(worker, SIGKILL), 0);
		pthread_join(h.thread, NULL);
		ck_assert(!h.result.found);
		crashes += strcmp(h.result.error, "crashed") == 0;
		ck_assert_msg(crashes > 0 || h.result.error[0] == '\0', "%s", h.result.error);
		kit_expect_works(&k);
		ck_assert_int_ne(kit_worker(&k), worker);
	}
	ck_assert_int_eq(crashes, 1);
	kit_stop(&k);
}
END_TEST

START_TEST(a_stopped_worker_times_out)
{
	struct kit k;
	struct scan_result r;
	pid_t worker;

	kit_make(&k);
	kit_write(&k, "test.ndb", KIT_EICAR);
	k.settings.antivirus.time_ms = 200;
	k.settings.antivirus.workers = 1;
	kit_run(&k);
	worker = kit_worker(&k);
	ck_assert_int_eq(kill(worker, SIGSTOP), 0);
	scanner_scan(k.scanner, slice_z("From: a@b\r\n\r\nhello\r\n"), &r);
	ck_assert_str_eq(r.error, "timeout");
	ck_assert(!r.found && r.elapsed_ms >= 200 && r.elapsed_ms < 5000);
	kit_expect_works(&k);
	ck_assert_int_ne(kit_worker(&k), worker);
	ck_assert_int_eq(kit_children(kit_master(&k), NULL, 0), 1); /* the stopped one is dead */
	kit_stop(&k);
}
END_TEST

START_TEST(all_workers_busy_is_said)
{
	struct kit k;
	struct scan_result r;
	struct hung h;

	kit_make(&k);
	kit_write(&k, "test.ndb", KIT_EICAR);
	k.settings.antivirus.time_ms = 200;
	k.settings.antivirus.workers = 1;
	kit_run(&k);
	ck_assert_int_eq(kill(kit_worker(&k), SIGSTOP), 0);
	hung_start(&h, &k);
	scanner_scan(k.scanner, slice_z("From: a@b\r\n\r\nhello\r\n"), &r);
	ck_assert_str_eq(r.error, "busy");
	ck_assert(!r.found && r.elapsed_ms < 2000);
	pthread_join(h.thread, NULL);
	ck_assert_str_eq(h.result.error, "timeout");
	kit_expect_works(&k);
	kit_stop(&k);
}
END_TEST

START_TEST(a_killed_idle_worker_costs_nothing)
{
	struct kit k;
	struct scan_result r;

	kit_start(&k, 1);
	for (int i = 0; i < 10; i++) {
		pid_t worker = kit_worker(&k);

		ck_assert_int_eq(kill(worker, SIGKILL), 0);
		while (kit_worker(&k) == worker)
			continue;
		scanner_scan(k.scanner, slice_z("From: a@b\r\n\r\nhello\r\n"), &r);
		ck_assert_str_eq(r.error, "");
	}
	kit_stop(&k);
}
END_TEST

START_TEST(a_killed_master_is_restarted)
{
	struct kit k;

	kit_start(&k, 2);
	for (int i = 0; i < 2; i++) {
		k.was = kit_master(&k);
		ck_assert_int_eq(kill(k.was, SIGKILL), 0);
		kit_wait(kit_replaced, &k); /* and the old scratch folder is gone */
		kit_wait_works(&k);
	}
	kit_stop(&k);
}
END_TEST

START_TEST(a_killed_master_with_a_scan_in_hand)
{
	struct kit k;
	struct hung h;

	kit_start(&k, 1);
	ck_assert_int_eq(kill(kit_worker(&k), SIGSTOP), 0);
	hung_start(&h, &k);
	ck_assert_int_eq(kill(kit_master(&k), SIGKILL), 0);
	pthread_join(h.thread, NULL);
	/* or the job was not sent yet, and the next master's worker had it */
	ck_assert_msg(h.result.error[0] == '\0' || strcmp(h.result.error, "crashed") == 0, "%s",
	    h.result.error);
	kit_wait_works(&k);
	kit_stop(&k);
}
END_TEST

START_TEST(a_master_without_database_goes_down_and_comes_back)
{
	struct kit k;
	struct scan_result r;

	kit_start(&k, 1);
	kit_write(&k, "test.ndb", "broken\n");
	ck_assert_int_eq(kill(kit_master(&k), SIGKILL), 0);
	do
		scanner_scan(k.scanner, slice_z("From: a@b\r\n\r\nhello\r\n"), &r);
	while (strncmp(r.error, "down: ", 6) != 0);
	ck_assert(r.elapsed_ms < 2000);
	kit_write(&k, "test.ndb", KIT_EICAR);
	kit_wait_works(&k);
	kit_stop(&k);
}
END_TEST

/* ---- the database -----------------------------------------------------------------------------*/

START_TEST(no_database_is_said)
{
	struct kit k;
	struct err e = { "" };

	kit_make(&k);
	ck_assert_ptr_null(scanner_start(&k.settings, "check_scanner", &e));
	ck_assert_msg(strstr(e.text, "is empty: install freshclam") != NULL, "%s", e.text);
	ck_assert_int_eq(rmdir(k.database), 0);
	ck_assert_ptr_null(scanner_start(&k.settings, "check_scanner", &e));
	ck_assert_msg(strstr(e.text, "milterd.antivirus.database") != NULL, "%s", e.text);
	ck_assert_msg(strstr(e.text, k.database) != NULL, "%s", e.text);
	kit_stop(&k);
}
END_TEST

static const struct {
	const char *name, *text, *says;
} broken[] = {
	{ "broken.ndb", "no signature\n", "broken.ndb" },
	{ "broken.ndb", "Name:0:*:zz\n", "broken.ndb" },
	{ "broken.hdb", "x", "broken.hdb" },
	{ "README.txt", "nothing of ClamAV's\n", "no " },
	{ "daily.cvd", "ClamAV-VDB:truncated", "daily.cvd" },
};

START_TEST(a_broken_database_is_refused)
{
	struct kit k;
	struct err e = { "" };

	kit_make(&k);
	kit_write(&k, broken[_i].name, broken[_i].text);
	ck_assert_ptr_null(scanner_start(&k.settings, "check_scanner", &e));
	ck_assert_msg(strstr(e.text, k.database) != NULL, "%s", e.text);
	ck_assert_msg(strcasestr(e.text, broken[_i].says) != NULL, "%s", e.text);
	kit_stop(&k);
}
END_TEST

START_TEST(no_executable_is_said)
{
	struct kit k;
	struct err e = { "" };

	kit_make(&k);
	kit_write(&k, "test.ndb", KIT_EICAR);
	k.settings.antivirus.scanner = (char[]){ "/nonexistent/weir-scanner" };
	ck_assert_ptr_null(scanner_start(&k.settings, "check_scanner", &e));
	ck_assert_msg(strstr(e.text, "milterd.antivirus.scanner") != NULL, "%s", e.text);
	kit_stop(&k);
}
END_TEST

START_TEST(the_build_trees_scanner_is_found)
{
	struct kit k;
	struct err e = { "" };
	struct bytes program = { 0 };

	kit_make(&k);
	kit_write(&k, "test.ndb", KIT_EICAR);
	bytes_addf(&program, "%.*s/weir-milterd", (int)(strrchr(k.executable, '/') - k.executable),
	    k.executable);
	k.settings.antivirus.scanner = (char[]){ "" };
	k.scanner = scanner_start(&k.settings, program.p, &e);
	ck_assert_msg(k.scanner != NULL, "%s", e.text);
	kit_expect_works(&k);
	bytes_free(&program);
	kit_stop(&k);
}
END_TEST

START_TEST(a_reload_swaps_or_keeps)
{
	struct kit k;
	struct err e = { "" };
	struct scan_result r;
	const struct slice other = SLICE("From: a@b\r\n\r\nother-marker\r\n");

	kit_start(&k, 2);
	scanner_scan(k.scanner, other, &r);
	ck_assert(!r.found && r.error[0] == '\0');
	kit_write(&k, "other.ndb", KIT_OTHER);
	ck_assert_msg(scanner_reload(k.scanner, &e) == 0, "%s", e.text);
	ck_assert_uint_eq(scanner_signatures(k.scanner), 2);
	scanner_scan(k.scanner, other, &r);
	ck_assert(r.found);
	kit_write(&k, "other.ndb", "broken\n");
	ck_assert_int_eq(scanner_reload(k.scanner, &e), -1);
	ck_assert_msg(strstr(e.text, "other.ndb") != NULL, "%s", e.text);
	ck_assert_uint_eq(scanner_signatures(k.scanner), 2);
	scanner_scan(k.scanner, other, &r);
	ck_assert(r.found);
	kit_wait(kit_one_master, &k);
	kit_stop(&k);
}
END_TEST

/* ---- the walls --------------------------------------------------------------------------------*/

START_TEST(a_worker_holds_little)
{
	struct kit k;
	char status[8192], path[64];
	pid_t worker;
	bool inherited = false;

	kit_start(&k, 1);
	kit_expect_works(&k);
	worker = kit_worker(&k);
	kit_read_proc(worker, "status", status, sizeof(status));
	ck_assert_ptr_nonnull(strstr(status, "NoNewPrivs:\t1"));
	ck_assert_ptr_null(strstr(status, "\nUid:\t0\t"));
	ck_assert_ptr_nonnull(strstr(status, "CapEff:\t0000000000000000"));
#if defined(__x86_64__) || defined(__aarch64__)
	ck_assert_ptr_nonnull(strstr(status, "Seccomp:\t2"));
#endif
	kit_read_proc(worker, "limits", status, sizeof(status));
	ck_assert_ptr_nonnull(strstr(status, "Max core file size        0  "));
	ck_assert_ptr_nonnull(strstr(status, "Max processes             0  "));
	ck_assert_ptr_nonnull(strstr(status, "Max open files            104  "));
	(void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)worker);
	for (int fd = SCANNER_FD + 1; fd < 256; fd++) {
		char name[96];
		struct stat st;

		(void)snprintf(name, sizeof(name), "%s/%d", path, fd);
		inherited |= lstat(name, &st) == 0;
	}
	ck_assert(!inherited);
	kit_stop(&k);
}
END_TEST

START_TEST(nothing_is_left)
{
	struct kit k;
	pid_t master, worker;

	kit_start(&k, 2);
	kit_expect_works(&k);
	master = kit_master(&k);
	worker = kit_worker(&k);
	scanner_stop(&k.scanner);
	ck_assert_ptr_null(k.scanner);
	ck_assert(kill(master, 0) < 0 && errno == ESRCH);
	ck_assert(kill(worker, 0) < 0 && errno == ESRCH);
	ck_assert_int_eq(kit_count(k.tmp), 0);
	scanner_stop(&k.scanner);
	kit_stop(&k);
}
END_TEST

START_TEST(a_stop_ends_scans_in_hand)
{
	struct kit k;
	struct hung h;

	kit_start(&k, 1);
	ck_assert_int_eq(kill(kit_worker(&k), SIGSTOP), 0);
	hung_start(&h, &k);
	scanner_stop(&k.scanner);
	pthread_join(h.thread, NULL);
	ck_assert_msg(
	    strcmp(h.result.error, "crashed") == 0 || strcmp(h.result.error, "down: stopped") == 0,
	    "%s", h.result.error);
	ck_assert(!h.result.found && h.result.elapsed_ms < 5000);
	kit_stop(&k);
}
END_TEST

/* ---- a scanner that lies ----------------------------------------------------------------------*/

START_TEST(a_lying_worker_is_caught)
{
	struct kit k;
	struct scan_result r;

	kit_make(&k);
	k.settings.antivirus.workers = 2;
	k.settings.antivirus.time_ms = 300;
	kit_fake(&k, fake_workers[_i].name);
	kit_run(&k);
	for (int i = 0; i < 3; i++) {
		const struct fake *f = &fake_workers[_i];

		scanner_scan(k.scanner, slice_z("From: a@b\r\n\r\nhello\r\n"), &r);
		ck_assert_msg(
		    f->error != NULL ? strcmp(r.error, f->error) == 0 : r.error[0] != '\0',
		    "%s: \"%s\"", f->name, r.error);
		ck_assert_msg(!r.found && r.name[0] == '\0', "%s", fake_workers[_i].name);
		ck_assert_msg(r.elapsed_ms < 5000, "%s", fake_workers[_i].name);
	}
	kit_stop(&k);
}
END_TEST

START_TEST(a_lying_master_is_refused)
{
	struct kit k;
	struct err e = { "" };

	kit_make(&k);
	kit_fake(&k, fake_masters[_i].name);
	k.scanner = scanner_start(&k.settings, "check_scanner", &e);
	ck_assert_msg(k.scanner == NULL, "%s", fake_masters[_i].name);
	ck_assert_msg(e.text[0] != '\0', "%s", fake_masters[_i].name);
	kit_stop(&k);
}
END_TEST

START_TEST(a_master_that_hands_over_too_much_is_ended)
{
	struct kit k;
	struct scan_result r;

	kit_make(&k);
	k.settings.antivirus.time_ms = 300;
	kit_fake(&k, "endless-workers");
	kit_run(&k);
	for (int i = 0; i < 8; i++)
		scanner_scan(k.scanner, slice_z("From: a@b\r\n\r\nhello\r\n"), &r);
	kit_stop(&k);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("scanner");
	TCase *tc = tcase_create("scan");

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, finds, 0, (int)COUNT(messages));
	tcase_add_loop_test(tc, over_a_limit_is_never_clean, 0, (int)COUNT(over));
	tcase_add_test(tc, never_mixes_answers);
	tcase_add_test(tc, reloads_unnoticed_under_load);
	suite_add_tcase(s, tc);

	tc = tcase_create("faults");
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, a_killed_worker_costs_one_message);
	tcase_add_test(tc, a_stopped_worker_times_out);
	tcase_add_test(tc, all_workers_busy_is_said);
	tcase_add_test(tc, a_killed_idle_worker_costs_nothing);
	tcase_add_test(tc, a_killed_master_is_restarted);
	tcase_add_test(tc, a_killed_master_with_a_scan_in_hand);
	tcase_add_test(tc, a_master_without_database_goes_down_and_comes_back);
	suite_add_tcase(s, tc);

	tc = tcase_create("database");
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, no_database_is_said);
	tcase_add_loop_test(tc, a_broken_database_is_refused, 0, (int)COUNT(broken));
	tcase_add_test(tc, no_executable_is_said);
	tcase_add_test(tc, the_build_trees_scanner_is_found);
	tcase_add_test(tc, a_reload_swaps_or_keeps);
	suite_add_tcase(s, tc);

	tc = tcase_create("walls");
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, a_worker_holds_little);
	tcase_add_test(tc, nothing_is_left);
	tcase_add_test(tc, a_stop_ends_scans_in_hand);
	tcase_add_loop_test(tc, a_lying_worker_is_caught, 0, (int)fake_worker_count);
	tcase_add_loop_test(tc, a_lying_master_is_refused, 0, (int)fake_master_count);
	tcase_add_test(tc, a_master_that_hands_over_too_much_is_ended);
	suite_add_tcase(s, tc);
	return s;
}

int main(int argc, char **argv)
{
	if (argc == SCANNER_ARGS)
		return fake_scanner(argv); /* started as a scanner by one of the tests above */
	return unit_run(suite());
}
