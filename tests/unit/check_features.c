#include "config.h"

#include "unit.h"

#include <stdio.h>

#include "milterd/learn/bayes.h"

struct looked {
	struct message m;
	struct arena a;
	struct features f;
};

static void look_raw(struct looked *l, struct slice file)
{
	*l = (struct looked){ 0 };
	message_start(&l->m, 8 << 20);
	ck_assert(message_raw(&l->m, file));
	message_parse(&l->m, FEATURES_TEXT_MAX);
	ck_assert(features_of(&l->m, &l->a, &l->f));
}

static void look(struct looked *l, const char *file)
{
	look_raw(l, slice_z(file));
}

static void done(struct looked *l)
{
	arena_free(&l->a);
	message_free(&l->m);
}

/* Is "field:text" among the tokens? */
static bool has(const struct looked *l, const char *wanted)
{
	for (size_t i = 0; i < l->f.n; i++) {
		char shown[300] = "";
		struct buf b = BUF_ON(shown);

		buf_addf(&b, "%s:%.*s", l->f.field[i], SLICE_ARG(l->f.text[i]));
		if (strcmp(shown, wanted) == 0)
			return true;
	}
	return false;
}

static bool same_set(const struct features *a, const struct features *b)
{
	return a->n == b->n && memcmp(a->v, b->v, a->n * sizeof(a->v[0])) == 0;
}

static bool same_id(const char *a, const char *b)
{
	struct looked x, y;
	bool same;

	look(&x, a);
	look(&y, b);
	same = memcmp(x.f.id, y.f.id, sizeof(x.f.id)) == 0;
	done(&x);
	done(&y);
	return same;
}

#define MULTIPART                                                               \
	"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= from Bob\n"                       \
	"From: \"Bob Builder\" <Bob@Mail.Example.ORG>\n"                        \
	"X-Mailer: Mutt 1.0\n"                                                  \
	"Message-ID: <1.2@gen.example.org>\n"                                   \
	"Received: from relay.example.net ([192.0.2.77]) by mx\n"               \
	"MIME-Version: 1.0\n"                                                   \
	"Content-Type: multipart/mixed; boundary=b\n\n"                         \
	"--b\nContent-Type: text/html\n\n"                                      \
	"<p>Can't <b>stop</b> <a "                                              \
	"href=\"http://www.shop.example.com/deals/cheap?x=1\">here</a></p>\n"   \
	"--b\nContent-Type: application/zip\nContent-Disposition: attachment; " \
	"filename=\"Order_4711.pdf.zip\"\n\nPK\n--b--\n"

static const char *const shown[] = {
	"subject:from",
	"subject:Bob",
	"from:Builder",
	"mailer:Mutt 1.0",
	"id:gen.example.org",
	"received:relay.example.net",
	"received:192.0.2.77",
	"received:192.0.2",
	"received:example.net",
	"text:Can't",
	"text:stop",
	"url:www.shop.example.com",
	"url:example.com",
	"url:deals",
	"url:cheap",
	"attachment:application/zip",
	"attachment:zip",
	"header:Subject",
	"header:X-Mailer",
	"part:text/html",
};
START_TEST(token)
{
	struct looked l;

	look(&l, MULTIPART);
	ck_assert_msg(has(&l, shown[_i]), "%s", shown[_i]);
	ck_assert_msg(!has(&l, "header:Received"), "what the way adds is no shape");
	done(&l);
}
END_TEST

START_TEST(ascending_and_each_once)
{
	struct looked l;

	look(&l, "Subject: a a a b b\n\nword word word Word WORD other word\n");
	ck_assert_uint_gt(l.f.n, 4);
	for (size_t i = 1; i < l.f.n; i++)
		ck_assert_uint_gt(l.f.v[i], l.f.v[i - 1]);
	done(&l);
}
END_TEST

/* Two messages with the same tokens, and two with others. */
static const struct {
	const char *a, *b;
	bool same;
} pairs[] = {
	{ "\n\nHello World\n", "\n\nhello world\n", true },
	{ "\n\nGR\xc3\x9c\xc3\x9f"
	  "E\n",
	    "\n\ngr\xc3\xbc\xc3\x9f"
	    "e\n",
	    true },
	{ "\n\n\xd0\x9f\xd0\xa0\xd0\x98\n", "\n\n\xd0\xbf\xd1\x80\xd0\xb8\n", true },
	{ "\n\nhello, world...\n", "\n\n(hello) - world\n", true },
	{ "Subject: cheap\n\n\n", "From: cheap\n\n\n", false },
	{ "\n\none two\n", "\n\none three\n", false },
	{ "Subject: x\nX-Spam-Status: Yes\nStatus: RO\n\nhello\n", "Subject: x\n\nhello\n", true },
	{ "\n\n\xe4\xb8\xad\xe6\x96\x87\n", "\n\n\xe4\xb8\xad\xe5\x9b\xbd\n", false },
};
START_TEST(pair)
{
	struct looked a, b;

	look(&a, pairs[_i].a);
	look(&b, pairs[_i].b);
	ck_assert_int_eq(same_set(&a.f, &b.f), pairs[_i].same);
	done(&a);
	done(&b);
}
END_TEST

START_TEST(the_same_twice)
{
	struct looked a, b;

	look(&a, MULTIPART);
	look(&b, MULTIPART);
	ck_assert(same_set(&a.f, &b.f));
	ck_assert_mem_eq(a.f.id, b.f.id, sizeof(a.f.id));
	done(&a);
	done(&b);
}
END_TEST

#define BASE "Message-ID: <1@x>\nDate: today\nFrom: a@b\nSubject: s\n\nbody\nmore\n"
static const struct {
	const char *other;
	bool same;
} ids[] = {
	{ BASE, true },
	{ "Received: from here\nReceived: from there\nX-Spam-Flag: YES\nX-Spam-Level: ***\n" BASE,
	    true },
	{ "Return-Path: <x@y>\n" BASE "\n\n", true },
	{ "message-id: <1@x>\r\nDate:  today\r\nFrom: a@b\r\nSubject: s\r\n\r\nbody\r\nmore\r\n",
	    true },
	{ "Message-ID: <1@x>\nDate: today\nFrom: a@b\nSubject: s\n\nbody\nmore!\n", false },
	{ "Message-ID: <2@x>\nDate: today\nFrom: a@b\nSubject: s\n\nbody\nmore\n", false },
	{ "Message-ID: <1@x>\nDate: today\nFrom: a@b\nSubject: t\n\nbody\nmore\n", false },
	{ "Message-ID: <1@x>\nDate: today\nFrom: c@b\nSubject: s\n\nbody\nmore\n", false },
	{ "Message-ID: <1@x>\nDate: now\nFrom: a@b\nSubject: s\n\nbody\nmore\n", false },
	{ "Message-ID: <1@x>\nDate: today\nFrom: a@b\n\nbody\nmore\n", false },
};
START_TEST(identity)
{
	ck_assert_int_eq(same_id(BASE, ids[_i].other), ids[_i].same);
}
END_TEST

/* However much comes: bounded, the header seen, the same twice. */
static const char *const fillers[] = { NULL /* numbered words */, "\xe4\xb8\xad", "<a href=x>\n",
	"\xff", "a.b@c!$%'", "http://h.example/p/q/r ", "\n", "<", "x" };
START_TEST(a_flood)
{
	struct bytes file = { 0 };
	struct looked a, b;

	(void)bytes_add(
	    &file, SLICE("Subject: findme\nContent-Type: text/html; charset=utf-8\n\n<html>"));
	for (size_t i = 0; file.n < 2000000; i++)
		(void)(fillers[_i] == NULL ? bytes_addf(&file, "w%zu ", i)
					   : bytes_add(&file, slice_z(fillers[_i])));
	look_raw(&a, bytes_slice(&file));
	look_raw(&b, bytes_slice(&file));
	ck_assert_uint_le(a.f.n, FEATURES_MAX);
	ck_assert(has(&a, "subject:findme"));
	ck_assert(same_set(&a.f, &b.f));
	done(&a);
	done(&b);
	bytes_free(&file);
}
END_TEST

START_TEST(nothing_at_all)
{
	struct looked l;

	look_raw(&l, (struct slice){ 0 });
	ck_assert_uint_le(l.f.n, FEATURES_MAX);
	done(&l);
	look_raw(&l, slice_of("\0\0\0", 3));
	done(&l);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("features");
	TCase *tc = tcase_create("features");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, token, 0, COUNT(shown));
	tcase_add_test(tc, ascending_and_each_once);
	tcase_add_loop_test(tc, pair, 0, COUNT(pairs));
	tcase_add_test(tc, the_same_twice);
	tcase_add_loop_test(tc, identity, 0, COUNT(ids));
	tcase_add_loop_test(tc, a_flood, 0, COUNT(fillers));
	tcase_add_test(tc, nothing_at_all);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
