/* What the daemon takes from a scanner, octet by octet, and how the message reaches it. */
#include "config.h"

#include "milterd/scanner_job.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "milterd/scanner/channel.h"
#include "milterd/scanner/scratch.h"
#include "milterd/scanner_process.h"
#include "tests/unit/unit.h"
#include "weir/file.h"

enum { ID = 7 };

static const struct {
	const char *what;
	struct scanner_answer a;
	bool good;
	const char *name, *error;
} answers[] = {
	{ "clean", { 1, SCANNER_CLEAN, ID, 0, "" }, true, "", "" },
	{ "virus", { 1, SCANNER_VIRUS, ID, 1, "Eicar" }, true, "Eicar", "" },
	{ "error", { 1, SCANNER_ERROR, ID, 9, "limit: MaxFiles" }, true, "", "limit: MaxFiles" },
	{ "version 0", { 0, SCANNER_CLEAN, ID, 0, "" }, false, "", "" },
	{ "version 2", { 2, SCANNER_CLEAN, ID, 0, "" }, false, "", "" },
	{ "id before", { 1, SCANNER_CLEAN, ID - 1, 0, "" }, false, "", "" },
	{ "id behind", { 1, SCANNER_CLEAN, ID + 1, 0, "" }, false, "", "" },
	{ "status 0", { 1, 0, ID, 0, "" }, false, "", "" },
	{ "status 4", { 1, 4, ID, 0, "" }, false, "", "" },
	{ "clean with a code", { 1, SCANNER_CLEAN, ID, 3, "" }, false, "", "" },
	{ "clean with a name", { 1, SCANNER_CLEAN, ID, 0, "x" }, false, "", "" },
	{ "virus without a name", { 1, SCANNER_VIRUS, ID, 1, "" }, false, "", "" },
	{ "error without a name", { 1, SCANNER_ERROR, ID, 1, "" }, false, "", "" },
	{ "control octet", { 1, SCANNER_VIRUS, ID, 1, "a\nb" }, false, "", "" },
	{ "delete", { 1, SCANNER_VIRUS, ID, 1, "a\x7f" }, false, "", "" },
	{ "8 bit", { 1, SCANNER_VIRUS, ID, 1, "a\xc3\xa4" }, false, "", "" },
};

START_TEST(judges_answers)
{
	struct scan_result r = { .found = false };
	bool good = job_answer(&answers[_i].a, ID, &r);

	ck_assert_msg(good == answers[_i].good, "%s", answers[_i].what);
	ck_assert_str_eq(r.name, answers[_i].name);
	ck_assert_str_eq(r.error, answers[_i].error);
	ck_assert(r.found == (answers[_i].name[0] != '\0'));
}
END_TEST

START_TEST(a_name_needs_its_end)
{
	struct scanner_answer a = { 1, SCANNER_VIRUS, ID, 1, "" };
	struct scan_result r = { .found = false };

	memset(a.name, 'A', sizeof(a.name));
	ck_assert(!job_answer(&a, ID, &r));
	a.name[sizeof(a.name) - 1] = '\0';
	ck_assert(job_answer(&a, ID, &r));
	ck_assert_uint_eq(strlen(r.name), sizeof(r.name) - 1);
	a.status = SCANNER_ERROR; /* longer than a result may hold: cut, not refused */
	ck_assert(job_answer(&a, ID, &r));
	ck_assert_uint_eq(strlen(r.error), sizeof(r.error) - 1);
}
END_TEST

START_TEST(seals_the_message)
{
	uint64_t size;
	int fd = job_message(SLICE("X-A: 1\r\n\r\nhi\r\n"), &size);
	struct bytes b = { 0 };

	ck_assert_int_ge(fd, 0);
	ck_assert_int_lt(write(fd, "x", 1), 0);
	ck_assert_int_lt(ftruncate(fd, 0), 0);
	ck_assert_int_lt(fcntl(fd, F_ADD_SEALS, 0), 0);
	ck_assert(lseek(fd, 0, SEEK_SET) == 0);
	ck_assert_int_eq(file_read_fd(fd, "message", &b, NULL), 0);
	ck_assert_uint_eq(b.n, size);
	ck_assert_str_eq(b.p, "Received: by weir\r\nX-A: 1\r\n\r\nhi\r\n");
	bytes_free(&b);
	close(fd);
}
END_TEST

/* Sends n octets and count descriptors, reads as a notice or an answer would be. */
static const struct {
	size_t sent, wanted;
	int fds;
	bool takes;
	int rc;
} packets[] = {
	{ 20, 20, 0, false, 1 },
	{ 20, 20, 0, true, 1 },
	{ 20, 20, 1, true, 1 },
	{ 20, 20, 1, false, -1 },
	{ 20, 20, 2, true, -1 },
	{ 20, 20, 8, true, -1 },
	{ 20, 20, 40, true, -1 },
	{ 19, 20, 0, true, -1 },
	{ 21, 20, 0, true, -1 },
	{ 21, 20, 1, true, -1 },
	{ 0, 20, 0, true, 0 }, /* cannot be told from an end of file, and is as good as one */
	{ 4000, 20, 0, true, -1 },
};

static void send_packet(int to, size_t n, int fds)
{
	char octets[4096] = "";
	union {
		char octets[CMSG_SPACE(sizeof(int) * 64)];
		struct cmsghdr align;
	} room = { .octets = "" };
	struct iovec v = { octets, n };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };

	if (fds > 0) {
		int list[64] = { 0 };
		struct cmsghdr *c;

		m.msg_control = room.octets;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)fds);
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)fds);
		memcpy(CMSG_DATA(c), list, sizeof(int) * (size_t)fds);
	}
	ck_assert_int_eq(sendmsg(to, &m, 0), (ssize_t)n);
}

static int next_fd(void)
{
	int fd = dup(STDIN_FILENO);

	close(fd);
	return fd;
}

START_TEST(reads_whole_packets_only)
{
	char into[32];
	int pair[2], fd = -1, before, rc;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	before = next_fd();
	send_packet(pair[0], packets[_i].sent, packets[_i].fds);
	rc = channel_receive(pair[1], into, packets[_i].wanted, packets[_i].takes ? &fd : NULL, 0);
	ck_assert_int_eq(rc, packets[_i].rc);
	ck_assert(rc >= 0 || errno == EBADMSG);
	ck_assert((fd >= 0) == (rc == 1 && packets[_i].fds == 1));
	if (fd >= 0) {
		ck_assert((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
		close(fd);
	}
	ck_assert_int_eq(next_fd(), before); /* none leaked */
	close(pair[0]);
	ck_assert_int_eq(channel_receive(pair[1], into, 20, NULL, 0), 0);
	ck_assert_int_eq(channel_send(pair[1], into, 20, -1, 0), -1);
	close(pair[1]);
}
END_TEST

START_TEST(scratch_follows_no_link)
{
	char root[] = "/tmp/check-scratch.XXXXXX", path[128];
	int dir;

	ck_assert_ptr_nonnull(mkdtemp(root));
	dir = open(root, O_RDONLY | O_DIRECTORY);
	(void)snprintf(path, sizeof(path), "%s/in/a/b/c", root);
	ck_assert_int_eq(folder_make(path, NULL), 0);
	(void)snprintf(path, sizeof(path), "%s/kept", root);
	ck_assert_int_eq(folder_make(path, NULL), 0);
	ck_assert_int_eq(symlinkat("../kept", dir, "in/link"), 0);
	close(openat(dir, "kept/file", O_CREAT | O_WRONLY, 0600));
	close(openat(dir, "in/a/file", O_CREAT | O_WRONLY, 0600));
	ck_assert_int_eq(scratch_remove(dir, "in"), 0);
	ck_assert_int_eq(faccessat(dir, "kept/file", F_OK, 0), 0);
	ck_assert_int_eq(symlinkat("kept", dir, "link"), 0);
	ck_assert_int_eq(scratch_remove(dir, "link"), -1);
	ck_assert_int_eq(faccessat(dir, "kept/file", F_OK, 0), 0);
	ck_assert_int_eq(unlinkat(dir, "link", 0), 0);
	ck_assert_int_eq(scratch_remove(AT_FDCWD, root), 0);
	close(dir);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("scanner_answer");
	TCase *tc = tcase_create("answer");

	tcase_add_loop_test(tc, judges_answers, 0, (int)COUNT(answers));
	tcase_add_test(tc, a_name_needs_its_end);
	tcase_add_test(tc, seals_the_message);
	tcase_add_loop_test(tc, reads_whole_packets_only, 0, (int)COUNT(packets));
	tcase_add_test(tc, scratch_follows_no_link);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
