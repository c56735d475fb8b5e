#include "config.h"

#include "unit.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <unistd.h>

#include <event2/dns.h>
#include <event2/dns_struct.h>
#include <event2/event.h>

#include "proxy/listen/client_name.h"
#include "proxy/upstream/upstream.h"

/* The clock is the test's: time passes when it says so. */
static int64_t now_ms = 1000000;

int64_t clock_ms(void)
{
	return now_ms;
}

/* ---- a name server in the same loop -------------------------------------------------------- */

static struct {
	struct event_base *base;
	struct evdns_server_port *port;
	struct names *names;
	char server[32];
	unsigned asked;
	bool silent;
} world;

/* 10.0.x.y is "h-x-y.test", which leads back; 10.1.x.y says so too, but it does not; others have no
 * name. */
static void on_question(struct evdns_server_request *request, void *arg)
{
	const struct evdns_server_question *q = request->questions[0];
	unsigned a, b, c, d;
	char text[64], name[256];
	uint8_t address[4] = { 10, 0 };
	int rc = DNS_ERR_NOTEXIST;

	(void)arg;
	world.asked++;
	if (world.silent) {
		evdns_server_request_drop(request);
		return;
	}
	/* The question's capitals are there for the answer to repeat. */
	for (size_t i = 0; i <= strlen(q->name); i++)
		name[i] = ascii_lower(q->name[i]);
	if (q->type == EVDNS_TYPE_PTR &&
	    sscanf(name, "%u.%u.%u.%u.in-addr.arpa", &d, &c, &b, &a) == 4 && b < 2) {
		(void)snprintf(text, sizeof(text), "h-%u-%u.test", c, d);
		evdns_server_request_add_ptr_reply(request, NULL, q->name, text, 60);
		rc = DNS_ERR_NONE;
	} else if (q->type == EVDNS_TYPE_A && sscanf(name, "h-%u-%u.test", &c, &d) == 2) {
		address[2] = (uint8_t)c;
		address[3] = (uint8_t)d;
		evdns_server_request_add_a_reply(request, q->name, 1, address, 60);
		rc = DNS_ERR_NONE;
	}
	evdns_server_request_respond(request, rc);
}

static void begin(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	socklen_t n = sizeof(in);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	static char *servers[] = { world.server };
	static struct proxy_settings settings;
	struct err e = { "" };

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(bind(fd, (const struct sockaddr *)&in, sizeof(in)), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&in, &n), 0);
	(void)snprintf(world.server, sizeof(world.server), "127.0.0.1:%u", ntohs(in.sin_port));
	settings.dns_servers = (struct conf_strs){ servers, 1 };
	settings.timeouts.client_name_s = 1;
	world.base = event_base_new();
	world.port = evdns_add_server_port_with_base(world.base, fd, 0, on_question, NULL);
	world.names = names_new(world.base, &settings, &e);
	ck_assert_msg(world.names != NULL, "%s", e.text);
	world.asked = 0;
	world.silent = false;
}

static void end(void)
{
	names_free(&world.names);
	evdns_close_server_port(world.port);
	event_base_free(world.base);
}

/* ---- who asks ------------------------------------------------------------------------------ */

struct asker {
	struct name_query *query;
	struct client_name *name;
	unsigned answers;
	const struct address *then; /* looked up from within the answer */
};

static void on_name(struct client_name *name, void *arg)
{
	struct asker *a = arg;

	a->query = NULL;
	a->name = name;
	a->answers++;
	if (a->then != NULL) {
		struct client_name *now;
		static struct asker other;

		other = (struct asker){ 0 };
		other.query = names_find(world.names, a->then, on_name, &other, &now);
		client_name_unref(&now);
		names_cancel(&other.query);
	}
}

static struct address address_at(unsigned b, unsigned c, unsigned d)
{
	return (struct address){ .family = AF_INET,
		.octets = { 10, (uint8_t)b, (uint8_t)c, (uint8_t)d } };
}

static void ask(struct asker *a, struct address address)
{
	*a = (struct asker){ 0 };
	a->query = names_find(world.names, &address, on_name, a, &a->name);
}

static void wait_for(const struct asker *a)
{
	while (a->name == NULL)
		event_base_loop(world.base, EVLOOP_ONCE);
}

static const struct {
	unsigned b;
	enum client_resolve resolve;
	const char *name, *ptr;
} cases[] = {
	{ 0, CLIENT_OK, "h-2-3.test", "h-2-3.test" },
	{ 1, CLIENT_FORGED, NULL, "h-2-3.test" },
	{ 2, CLIENT_FAIL, NULL, NULL },
};
START_TEST(finds)
{
	struct asker a;

	begin();
	for (int round = 0; round < 2; round++) { /* the second is answered at once */
		ask(&a, address_at(cases[_i].b, 2, 3));
		ck_assert(round == 0 || a.name != NULL);
		wait_for(&a);
		ck_assert_int_eq(a.name->resolve, cases[_i].resolve);
		ck_assert_pstr_eq(a.name->name, cases[_i].name);
		ck_assert_pstr_eq(a.name->ptr, cases[_i].ptr);
		client_name_unref(&a.name);
	}
	end();
}
END_TEST

/* Many who ask for one address: one question. One of them goes. */
START_TEST(one_question_for_all)
{
	struct asker a[20];

	begin();
	for (size_t i = 0; i < COUNT(a); i++)
		ask(&a[i], address_at(0, 0, 1));
	names_cancel(&a[7].query);
	wait_for(&a[0]);
	for (size_t i = 0; i < COUNT(a); i++) {
		ck_assert_uint_eq(a[i].answers, i != 7);
		client_name_unref(&a[i].name);
	}
	ck_assert_uint_eq(world.asked, 2);
	end();
}
END_TEST

START_TEST(known_for_a_while)
{
	struct asker a;

	begin();
	for (int64_t later = 0; later < 200000; later += 50000, now_ms += 50000) {
		ask(&a, address_at(0, 0, 1));
		wait_for(&a);
		client_name_unref(&a.name);
	}
	ck_assert_uint_eq(world.asked, 4); /* at 0 and at 100 s; the answers hold for 60 s */
	end();
}
END_TEST

/* Silence: bounded, then nobody waits, and after a rest it is tried again. */
START_TEST(dead_name_server)
{
	struct asker a;

	begin();
	world.silent = true;
	for (unsigned i = 0; i < 3; i++) {
		ask(&a, address_at(0, 0, i));
		ck_assert_ptr_null(a.name);
		wait_for(&a);
		ck_assert_int_eq(a.name->resolve, CLIENT_TEMP);
		client_name_unref(&a.name);
	}
	ask(&a, address_at(0, 0, 9));
	ck_assert_ptr_nonnull(a.name);
	client_name_unref(&a.name);
	now_ms += 31000;
	world.silent = false;
	ask(&a, address_at(0, 0, 9));
	ck_assert_ptr_null(a.name);
	wait_for(&a);
	client_name_unref(&a.name);
	end();
}
END_TEST

/* More addresses than are kept; and those who are told look up others, so that what they are told
 * from could be dropped. */
START_TEST(bounded)
{
	struct asker a[100];
	struct address others[COUNT(a)];

	begin();
	for (unsigned round = 0; round < NAMES_MAX / COUNT(a) + 3; round++) {
		for (unsigned i = 0; i < COUNT(a); i++) {
			others[i] = address_at(0, 200 + i, round);
			ask(&a[i], address_at(0, i, round));
			ck_assert_ptr_null(a[i].name);
			a[i].then = &others[i];
		}
		for (unsigned i = 0; i < COUNT(a); i++) {
			wait_for(&a[i]);
			client_name_unref(&a[i].name);
		}
	}
	end();
}
END_TEST

START_TEST(too_many_questions)
{
	static struct asker a[NAMES_ASKING_MAX + 1];

	begin();
	world.silent = true;
	for (unsigned i = 0; i <= NAMES_ASKING_MAX; i++)
		ask(&a[i], address_at(0, i >> 8, i & 255));
	ck_assert_ptr_nonnull(a[NAMES_ASKING_MAX].name);
	client_name_unref(&a[NAMES_ASKING_MAX].name);
	for (unsigned i = 0; i < NAMES_ASKING_MAX; i++) {
		ck_assert_ptr_null(a[i].name);
		names_cancel(&a[i].query);
	}
	end();
}
END_TEST

START_TEST(no_question)
{
	static const char *const loopback[] = { "127.0.0.1", "127.9.9.9", "::1" };
	struct address address = { .family = AF_UNSPEC };
	struct asker a;

	begin();
	ask(&a, address);
	ck_assert(a.name != NULL && a.name->resolve == CLIENT_TEMP);
	client_name_unref(&a.name);
	for (size_t i = 0; i < COUNT(loopback); i++) {
		ck_assert_int_eq(address_parse(slice_z(loopback[i]), &address, NULL), 0);
		ask(&a, address);
		ck_assert(a.name != NULL && a.name->resolve == CLIENT_OK);
		ck_assert_str_eq(a.name->name, "localhost");
		client_name_unref(&a.name);
	}
	ck_assert_uint_eq(world.asked, 0);
	end();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("client_name");
	TCase *tc = tcase_create("client_name");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, finds, 0, COUNT(cases));
	tcase_add_test(tc, one_question_for_all);
	tcase_add_test(tc, known_for_a_while);
	tcase_add_test(tc, dead_name_server);
	tcase_add_test(tc, bounded);
	tcase_add_test(tc, too_many_questions);
	tcase_add_test(tc, no_question);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
