#include "config.h"

#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/mail_source.h"
#include "cli/mbox.h"
#include "weir/file.h"

/* ---- mbox ------------------------------------------------------------------------------------ */

#define SEP "From a@example.org Thu Jan  1 00:00:00 2026\n"

static const struct {
	const char *file, *messages; /* each message in brackets */
} boxes[] = {
	{ SEP "A: 1\n\nbody\n\n" SEP "A: 2\n\nbody\n", "[A: 1\n\nbody\n][A: 2\n\nbody\n]" },
	{ SEP "A: 1\n\nbody", "[A: 1\n\nbody]" },
	{ SEP "A: 1\n\nbody\n\n", "[A: 1\n\nbody\n]" },
	{ "From a@b\r\nA: 1\r\n\r\nx\r\n\r\nFrom c@d\r\nA: 2\r\n",
	    "[A: 1\r\n\r\nx\r\n][A: 2\r\n]" },
	{ SEP "A: 1\n\n>From here\n>>From there\n> From\n",
	    "[A: 1\n\nFrom here\n>From there\n> From\n]" },
	{ SEP "A: 1\n\none\nFrom a@b Thu Jan  1 00:00:00 2026\ntwo\n",
	    "[A: 1\n\none\nFrom a@b Thu Jan  1 00:00:00 2026\ntwo\n]" },
	{ SEP "A: 1\n\none\n\nFrom the very beginning\ntwo\n",
	    "[A: 1\n\none\n\nFrom the very beginning\ntwo\n]" },
	{ SEP, "[]" },
	{ SEP "\n" SEP "\n", "[][]" },
	{ "", "" },
	{ "A: 1\n\nno box\n", "" },
};

static int on_box_message(struct slice message, void *arg)
{
	struct bytes *all = arg;

	(void)bytes_addf(all, "[%.*s]", SLICE_ARG(message));
	return 0;
}

/* Whole, and octet by octet. */
START_TEST(box)
{
	for (size_t step = 1; step < 10000; step += 9998) {
		struct slice file = slice_z(boxes[_i].file);
		struct bytes all = { 0 };
		struct mbox b;

		mbox_start(&b, 1000, on_box_message, &all);
		for (size_t at = 0; at < file.n; at += step)
			ck_assert_int_eq(mbox_feed(&b, slice_sub(file, at, step)), 0);
		ck_assert_int_eq(mbox_end(&b), 0);
		ck_assert_slice_eq(bytes_slice(&all), boxes[_i].messages);
		mbox_free(&b);
		bytes_free(&all);
	}
}
END_TEST

struct measured {
	size_t messages, octets, most;
};
static int on_measured(struct slice message, void *arg)
{
	struct measured *m = arg;

	m->messages++;
	m->octets += message.n;
	m->most = message.n > m->most ? message.n : m->most;
	return 0;
}

/* A box whose separators are gone is one message, and of that only the begin is kept. */
START_TEST(a_box_without_separators_is_bounded)
{
	enum { MESSAGE_MAX = 100000 };
	struct measured got = { 0 };
	struct mbox b;

	mbox_start(&b, MESSAGE_MAX, on_measured, &got);
	ck_assert_int_eq(mbox_feed(&b, SLICE(SEP "Subject: x\n\n")), 0);
	for (int i = 0; i < 20000; i++) /* 4 MB of lines, then 4 MB of one line */
		ck_assert_int_eq(
		    mbox_feed(&b, i < 10000 ? SLICE("0123456789\nFrom x\n") : SLICE("abcdefgh")),
		    0);
	ck_assert_uint_le(b.message.cap, 2UL * MESSAGE_MAX);
	ck_assert_uint_le(b.line.cap, 2UL * MBOX_LINE_MAX);
	ck_assert_int_eq(mbox_end(&b), 0);
	ck_assert_uint_eq(got.messages, 1);
	ck_assert_uint_eq(got.octets, MESSAGE_MAX);
	mbox_free(&b);
}
END_TEST

/* ---- paths ----------------------------------------------------------------------------------- */

static char folder[64];

static void enter(void)
{
	(void)snprintf(folder, sizeof(folder), "/tmp/check_source.XXXXXX");
	if (mkdtemp(folder) == NULL || chdir(folder) != 0)
		abort();
}

static void leave(void)
{
	char command[100];

	(void)snprintf(command, sizeof(command), "rm -rf %s", folder);
	if (chdir("/") != 0 || system(command) != 0)
		abort();
}

static void file_write(const char *path, const char *content)
{
	int fd = open(path, O_WRONLY | O_CREAT, 0600);

	ck_assert_msg(fd >= 0, "%s: %s", path, strerror(errno));
	ck_assert_int_eq(file_write_all(fd, content, strlen(content)), 0);
	close(fd);
}

struct heard {
	struct bytes mails, failures;
	int last_code;
};
static int on_mail(const char *name, struct slice octets, void *arg)
{
	struct heard *h = arg;

	(void)bytes_addf(&h->mails, "%s=%.*s ", name, SLICE_ARG(slice_trim(octets)));
	return 0;
}
static void on_failure(int code, const char *text, void *arg)
{
	struct heard *h = arg;

	h->last_code = code;
	(void)bytes_addf(&h->failures, "%s;", text);
}

static void make_tree(void)
{
	static const char *const folders[] = { "box", "box/deep", "box/deep/er", "box/.hidden",
		"Mail", "Mail/cur", "Mail/new", "Mail/tmp", "Mail/other", "none" };

	for (size_t i = 0; i < COUNT(folders); i++)
		ck_assert_int_eq(mkdir(folders[i], 0700), 0);
	file_write("one.eml", "one");
	file_write("box/b.eml", "b");
	file_write("box/a.eml", "a");
	file_write("box/.x.eml", "hidden");
	file_write("box/.hidden/y.eml", "hidden");
	file_write("box/deep/er/c.eml", "c");
	file_write("box/deep/m.mbox", SEP "m1\n\n" SEP "m2\n");
	file_write("Mail/cur/1:2,S", "cur");
	file_write("Mail/new/2", "new");
	file_write("Mail/tmp/3", "tmp");
	file_write("Mail/other/4", "other");
	file_write("Mail/index", "index");
	file_write("empty", "");
	ck_assert_int_eq(symlink("nowhere", "dangling"), 0);
	ck_assert_int_eq(symlink("..", "box/deep/loop"), 0);
}

static const struct {
	const char *path, *mails, *failures;
	int code;
} paths[] = {
	{ "one.eml", "one.eml=one ", "", 0 },
	{ "box/deep/m.mbox", "box/deep/m.mbox:1=m1 box/deep/m.mbox:2=m2 ", "", 0 },
	{ "box",
	    "box/a.eml=a box/b.eml=b box/deep/er/c.eml=c box/deep/m.mbox:1=m1 "
	    "box/deep/m.mbox:2=m2 ",
	    "box/deep/loop: leads back to a folder above it;", CLI_IO },
	{ "box/.hidden", "box/.hidden/y.eml=hidden ", "", 0 },
	{ "Mail", "Mail/cur/1:2,S=cur Mail/new/2=new ", "", 0 },
	{ "Mail/", "Mail/cur/1:2,S=cur Mail/new/2=new ", "", 0 },
	{ "Mail/tmp", "Mail/tmp/3=tmp ", "", 0 },
	{ "none", "", "", 0 },
	{ "empty", "", "empty: no message in it;", CLI_DATA },
	{ "missing", "", "missing: No such file or directory;", CLI_IO },
	{ "dangling", "", "dangling: No such file or directory;", CLI_IO },
};
START_TEST(path)
{
	struct heard h = { 0 };
	struct mail_source s = {
		.message_max = 1000, .on_mail = on_mail, .on_failure = on_failure, .arg = &h
	};

	make_tree();
	ck_assert_int_eq(mail_source_run(&s, paths[_i].path), 0);
	ck_assert_slice_eq(bytes_slice(&h.mails), paths[_i].mails);
	ck_assert_slice_eq(bytes_slice(&h.failures), paths[_i].failures);
	ck_assert_int_eq(h.last_code, paths[_i].code);
	ck_assert_uint_eq(s.octets, mail_source_measure(paths[_i].path));
	bytes_free(&h.mails);
	bytes_free(&h.failures);
}
END_TEST

static const struct {
	const char *pieces[4], *mails;
} inputs[] = {
	{ { "A: 1\n", "\nbody\n" }, "standard input=A: 1\n\nbody " },
	{ { "F", "ro", "m a@b\nm1\n", "\nFrom c@d\nm2\n" },
	    "standard input:1=m1 standard input:2=m2 " },
	{ { "Fro" }, "standard input=Fro " },
};
START_TEST(standard_input)
{
	struct heard h = { 0 };
	struct mail_source s = {
		.message_max = 1000, .on_mail = on_mail, .on_failure = on_failure, .arg = &h
	};
	int pipes[2];

	ck_assert_int_eq(pipe2(pipes, O_DIRECT), 0); /* every piece is read alone */
	for (size_t i = 0; i < COUNT(inputs[_i].pieces) && inputs[_i].pieces[i] != NULL; i++)
		ck_assert_int_eq(
		    file_write_all(pipes[1], inputs[_i].pieces[i], strlen(inputs[_i].pieces[i])),
		    0);
	close(pipes[1]);
	ck_assert_int_ge(dup2(pipes[0], STDIN_FILENO), 0);
	ck_assert_int_eq(mail_source_run(&s, "-"), 0);
	ck_assert_slice_eq(bytes_slice(&h.mails), inputs[_i].mails);
	bytes_free(&h.mails);
	bytes_free(&h.failures);
}
END_TEST

START_TEST(a_long_message_is_cut)
{
	struct heard h = { 0 };
	struct mail_source s = {
		.message_max = 5, .on_mail = on_mail, .on_failure = on_failure, .arg = &h
	};

	file_write("long", "0123456789");
	ck_assert_int_eq(mail_source_run(&s, "long"), 0);
	ck_assert_slice_eq(bytes_slice(&h.mails), "long=01234 ");
	bytes_free(&h.mails);
}
END_TEST

static int on_mail_stop(const char *name, struct slice octets, void *arg)
{
	(void)on_mail(name, octets, arg);
	return 42;
}
START_TEST(the_caller_may_stop)
{
	struct heard h = { 0 };
	struct mail_source s = {
		.message_max = 1000, .on_mail = on_mail_stop, .on_failure = on_failure, .arg = &h
	};

	make_tree();
	ck_assert_int_eq(mail_source_run(&s, "box/deep/m.mbox"), 42);
	ck_assert_int_eq(mail_source_run(&s, "box"), 42);
	ck_assert_slice_eq(bytes_slice(&h.mails), "box/deep/m.mbox:1=m1 box/a.eml=a ");
	bytes_free(&h.mails);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("mail_source");
	TCase *boxes_case = tcase_create("mbox"), *paths_case = tcase_create("paths");

	tcase_add_loop_test(boxes_case, box, 0, COUNT(boxes));
	tcase_add_test(boxes_case, a_box_without_separators_is_bounded);
	suite_add_tcase(s, boxes_case);
	tcase_add_checked_fixture(paths_case, enter, leave);
	tcase_add_loop_test(paths_case, path, 0, COUNT(paths));
	tcase_add_loop_test(paths_case, standard_input, 0, COUNT(inputs));
	tcase_add_test(paths_case, a_long_message_is_cut);
	tcase_add_test(paths_case, the_caller_may_stop);
	suite_add_tcase(s, paths_case);
	return unit_run(s);
}
