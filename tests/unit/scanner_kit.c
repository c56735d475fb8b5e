#include "config.h"

#include "tests/unit/scanner_kit.h"

#include <dirent.h>
#include <ftw.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "weir/file.h"

enum { WAIT_MS = 30000, POLL_MS = 2 };

void kit_make(struct kit *k)
{
	const char *scanner = getenv("WEIR_SCANNER");
	static char user[] = "nobody";

	*k = (struct kit){ .scanner = NULL };
	(void)snprintf(k->root, sizeof(k->root), "/tmp/check-scanner.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(k->root));
	(void)snprintf(k->database, sizeof(k->database), "%s/database", k->root);
	(void)snprintf(k->tmp, sizeof(k->tmp), "%s/tmp", k->root);
	ck_assert_int_eq(mkdir(k->database, 0755), 0);
	ck_assert_int_eq(mkdir(k->tmp, 0755), 0);
	ck_assert_int_eq(setenv("TMPDIR", k->tmp, 1), 0);
	k->settings.user = user;
	k->settings.antivirus.enabled = true;
	k->settings.antivirus.database = k->database;
	k->executable = realpath(scanner != NULL ? scanner : "weir-scanner", NULL);
	ck_assert_msg(k->executable != NULL, "set WEIR_SCANNER");
	k->settings.antivirus.scanner = k->executable;
	k->settings.antivirus.workers = 1;
	k->settings.antivirus.time_ms = 20000;
	k->settings.antivirus.scan_bytes = 157286400;
	k->settings.antivirus.file_bytes = 104857600;
	k->settings.antivirus.recursion = 10;
	k->settings.antivirus.files = 2000;
}

void kit_run(struct kit *k)
{
	struct err e = { "" };

	k->scanner = scanner_start(&k->settings, "check_scanner", &e);
	ck_assert_msg(k->scanner != NULL, "%s", e.text);
}

void kit_halt(struct kit *k)
{
	scanner_stop(&k->scanner);
}

void kit_start(struct kit *k, int workers)
{
	kit_make(k);
	kit_write(k, "test.ndb", KIT_EICAR);
	k->settings.antivirus.workers = workers;
	kit_run(k);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

void kit_stop(struct kit *k)
{
	kit_halt(k);
	ck_assert_int_eq(kit_count(k->tmp), 0);
	free(k->executable);
	ck_assert_int_eq(nftw(k->root, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

void kit_write(struct kit *k, const char *name, const char *text)
{
	char path[256];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", k->database, name);
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	ck_assert(fputs(text, f) >= 0);
	ck_assert_int_eq(fclose(f), 0);
}

void kit_wait(bool (*is)(struct kit *), struct kit *k)
{
	for (int ms = 0; !is(k); ms += POLL_MS) {
		ck_assert_int_lt(ms, WAIT_MS);
		(void)poll(NULL, 0, POLL_MS);
	}
}

static bool works(struct kit *k)
{
	static const char eicar[] = "From: a@b\r\n\r\nX5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR"
				    "-STANDARD-ANTIVIRUS-"
				    "TEST-FILE!$H+H*";
	struct scan_result r;

	scanner_scan(k->scanner, slice_z(eicar), &r);
	return r.found && strcmp(r.name, "Eicar-Test-Signature.UNOFFICIAL") == 0 &&
	    r.error[0] == '\0';
}

void kit_expect_works(struct kit *k)
{
	ck_assert(works(k));
}

void kit_wait_works(struct kit *k)
{
	kit_wait(works, k);
}

bool kit_has_memfd(struct kit *k)
{
	char path[64], to[64];

	(void)k;
	for (int fd = 3; fd < 64; fd++) {
		ssize_t n;

		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, to, sizeof(to) - 1);
		if (n > 0 && slice_starts(slice_of(to, (size_t)n), SLICE("/memfd:message")))
			return true;
	}
	return false;
}

/* The field behind the program's name, which may hold anything but ends with the last ')'. */
static bool is_child(pid_t pid, pid_t of)
{
	char stat[1024];
	const char *end;

	kit_read_proc(pid, "stat", stat, sizeof(stat));
	end = strrchr(stat, ')');
	return end != NULL && end[1] == ' ' && end[2] != 'Z' && end[2] != '\0' &&
	    strtol(end + 4, NULL, 10) == of;
}

int kit_children(pid_t of, pid_t *pids, int max)
{
	DIR *d = opendir("/proc");
	struct dirent *entry;
	int n = 0;

	ck_assert_ptr_nonnull(d);
	while ((entry = readdir(d)) != NULL) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (pid <= 0 || !is_child(pid, of))
			continue;
		if (n < max)
			pids[n] = pid;
		n++;
	}
	closedir(d);
	return n;
}

bool kit_one_master(struct kit *k)
{
	(void)k;
	return kit_children(getpid(), NULL, 0) == 1;
}

bool kit_replaced(struct kit *k)
{
	pid_t pid = 0;

	return kit_children(getpid(), &pid, 1) == 1 && pid != k->was && kit_count(k->tmp) == 1;
}

pid_t kit_master(struct kit *k)
{
	pid_t pid = 0;

	kit_wait(kit_one_master, k);
	kit_children(getpid(), &pid, 1);
	return pid;
}

static bool has_worker(struct kit *k)
{
	return kit_children(kit_master(k), NULL, 0) > 0;
}

pid_t kit_worker(struct kit *k)
{
	pid_t pid = 0;

	kit_wait(has_worker, k);
	kit_children(kit_master(k), &pid, 1);
	return pid;
}

int kit_count(const char *folder)
{
	DIR *d = opendir(folder);
	const struct dirent *entry;
	int n = 0;

	ck_assert_ptr_nonnull(d);
	while ((entry = readdir(d)) != NULL)
		n += entry->d_name[0] != '.';
	closedir(d);
	return n;
}

void kit_read_proc(pid_t pid, const char *file, char *into, size_t n)
{
	char path[64];
	struct bytes b = { .max = n - 1 };

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	(void)file_read(path, &b, NULL); /* a process that ended reads as nothing */
	(void)snprintf(into, n, "%s", b.p != NULL ? b.p : "");
	bytes_free(&b);
}

void kit_fake(struct kit *k, const char *lie)
{
	free(k->executable);
	k->executable = realpath("/proc/self/exe", NULL);
	ck_assert_ptr_nonnull(k->executable);
	k->settings.antivirus.scanner = k->executable;
	kit_write(k, "fake", lie);
}
