#include "config.h"

#include "weir/control.h"

#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit.h"
#include "weir/file.h"

static char folder[64];
static struct endpoint at;

static void setup(void)
{
	char text[128];

	(void)snprintf(folder, sizeof(folder), "/tmp/check_control.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	(void)snprintf(text, sizeof(text), "unix:%s/ctl", folder);
	ck_assert_int_eq(endpoint_parse(slice_z(text), &at, NULL), 0);
}

static void teardown(void)
{
	(void)unlink(at.path);
	ck_assert_int_eq(rmdir(folder), 0);
}

static json_t *handler(const char *command, json_t *request, void *arg)
{
	unsigned *calls = arg;

	(*calls)++;
	if (strcmp(command, "ping") == 0)
		return control_ok();
	if (strcmp(command, "echo") == 0)
		return json_pack("{s:b,s:O}", "ok", 1, "request", request);
	return control_error("unknown command \"%s\"", command);
}

static bool says(json_t *answer, const char *error)
{
	const char *text = json_string_value(json_object_get(answer, "error"));
	bool ok = json_is_true(json_object_get(answer, "ok"));

	return error == NULL ? ok && text == NULL : !ok && strcmp(text, error) == 0;
}

/* Every request is answered, in order, over the socket of a thread. */
START_TEST(asks_and_is_answered)
{
	static const struct {
		const char *command, *error;
	} cases[] = {
		{ "ping", NULL },
		{ "echo", NULL },
		{ "boil", "unknown command \"boil\"" },
	};
	unsigned calls = 0;
	struct control_thread *t = control_thread_start(&at, handler, &calls, NULL);
	struct stat st;

	ck_assert_ptr_nonnull(t);
	ck_assert_int_eq(stat(at.path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct err e = { 0 };
		json_t *answer = control_ask(&at, cases[i].command, 10000, &e);

		ck_assert_msg(answer != NULL, "%s: %s", cases[i].command, e.text);
		ck_assert_msg(says(answer, cases[i].error), "%s", cases[i].command);
		json_decref(answer);
	}
	ck_assert_uint_eq(calls, COUNT(cases));
	control_thread_stop(&t);
	ck_assert_ptr_null(t);
	control_thread_stop(&t);
	ck_assert_int_eq(stat(at.path, &st), -1);
}
END_TEST

/* What a foreigner may send to the socket instead of a request. */
static const struct {
	const char *wire, *error;
} foreign[] = {
	{ "\n", "not JSON: '[' or '{' expected near end of file" },
	{ "", "closed the connection" },
	{ "GET / HTTP/1.1\r\n", "not JSON: '[' or '{' expected near 'GET'" },
	{ "[]\n", "must be an object with a \"command\"" },
	{ "{}\n", "must be an object with a \"command\"" },
	{ "{\"command\": 1}\n", "must be an object with a \"command\"" },
	{ "{\"command\": \"\\u0007\"}\n", "unknown command \"\a\"" },
	{ "{\"command\": \"ping\"}", NULL },
};

/* Play the foreigner on a pair of sockets. */
static json_t *serve(struct slice wire)
{
	unsigned calls = 0;
	struct bytes b = { 0 };
	int pair[2];
	json_t *answer;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	ck_assert_int_eq(file_write_all(pair[0], wire.p, wire.n), 0);
	ck_assert_int_eq(shutdown(pair[0], SHUT_WR), 0);
	control_serve(pair[1], handler, &calls);
	ck_assert_int_eq(file_read_fd(pair[0], "pair", &b, NULL), 0);
	close(pair[0]);
	answer = json_loadb(b.p, b.n, 0, NULL);
	bytes_free(&b);
	return answer;
}

START_TEST(answers_foreigners)
{
	json_t *answer = serve(slice_z(foreign[_i].wire));

	ck_assert_ptr_nonnull(answer);
	ck_assert_msg(says(answer, foreign[_i].error), "%s: %s", foreign[_i].wire,
	    json_string_value(json_object_get(answer, "error")));
	json_decref(answer);
}
END_TEST

START_TEST(refuses_a_long_request)
{
	struct bytes b = { 0 };
	json_t *answer;

	ck_assert(bytes_reserve(&b, 65537));
	memset(b.p, ' ', 65537);
	answer = serve(slice_of(b.p, 65537));
	ck_assert(says(answer, "more than 65536 octets"));
	json_decref(answer);
	bytes_free(&b);
}
END_TEST

START_TEST(nobody_there)
{
	struct err e = { 0 };

	ck_assert_ptr_null(control_ask(&at, "ping", 1000, &e));
	ck_assert_ptr_nonnull(strstr(e.text, "No such file"));
}
END_TEST

/* A daemon that accepts and says nothing costs the caller his time limit, not more. */
START_TEST(silent_daemon)
{
	struct err e = { 0 };
	int fd = endpoint_listen(&at, 1, 0600, false, &e);

	ck_assert_int_ge(fd, 0);
	ck_assert_ptr_null(control_ask(&at, "ping", 50, &e));
	ck_assert_ptr_nonnull(strstr(e.text, "no answer within 50 ms"));
	close(fd);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("control");
	TCase *tc = tcase_create("control");

	(void)signal(SIGPIPE, SIG_IGN);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, asks_and_is_answered);
	tcase_add_loop_test(tc, answers_foreigners, 0, COUNT(foreign));
	tcase_add_test(tc, refuses_a_long_request);
	tcase_add_test(tc, nobody_there);
	tcase_add_test(tc, silent_daemon);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
