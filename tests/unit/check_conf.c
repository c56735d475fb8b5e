#include "config.h"

#include "unit.h"

#include <stdio.h>
#include <unistd.h>

#include "lib/settings_tables.h"
#include "weir/settings.h"

/* One mistake a row: the file, and the finding it must give. */
static const struct {
	const char *text, *finding;
} mistakes[] = {
	{ "{\n  \"proxy\": {\n    \"limits\": { \"recipient\": 5 }\n  }\n}",
	    "weir.json:3:17: /proxy/limits/recipient: unknown setting (did you mean "
	    "\"recipients\"?)" },
	{ "{ \"proxy\": { \"limits\": { \"recipients\": 5 } } }",
	    "weir.json:1:40: /proxy/limits/recipients: must be 100..100000, not 5" },
	{ "{ \"proxy\": { \"timeouts\": { \"command_s\": 0 } } }",
	    "weir.json:1:41: /proxy/timeouts/command_s: must be 1..86400 s, not 0" },
	{ "{ \"proxy\": { \"workers\": \"two\" } }",
	    "weir.json:1:25: /proxy/workers: must be a whole number 0..256, not text" },
	{ "{ \"proxy\": { \"filters\": [ { \"name\": \"x\" } ] } }",
	    "weir.json:1:27: /proxy/filters/0: \"socket\" must be given: Where the filter listens: "
	    "unix:PATH or inet:HOST:PORT." },
	{ "{ \"proxy\": { \"filters\": [ { \"name\": \"x\", \"socket\": \"unix:/x\", "
	  "\"on_failure\": \"drop\" } ] } }",
	    "weir.json:1:77: /proxy/filters/0/on_failure: must be one of "
	    "tempfail|accept|reject|quarantine, not \"drop\"" },
	{ "{ \"proxy\": { \"backends\": { \"other\": { \"servers\": [ \"127.0.0.1:25\" ] } } } }",
	    "weir.json:1:26: /proxy/backends: a backend \"default\" must be given" },
	{ "{ \"proxy\": { \"backends\": { \"default\": { \"servers\": [ \"nowhere\" ] } } } }",
	    "weir.json:1:54: /proxy/backends/default/servers/0: \"nowhere\" is no endpoint: write "
	    "unix:PATH, HOST:PORT or [v6]:PORT" },
	{ "{ \"proxy\": { \"listen\": [ { \"address\": \"127.0.0.1:0\", \"xclient\": { \"from\": "
	  "[ \"192.0.2.1/24\" ] } } ] } }",
	    "weir.json:1:77: /proxy/listen/0/xclient/from/0: \"192.0.2.1/24\" has bits set behind "
	    "its prefix" },
	{ "{ \"proxy\": { \"listen\": [ { \"address\": \"unix:/x\", \"proxy_protocol\": { "
	  "\"from\": "
	  "[ \"192.0.2.0/24\" ] } } ] } }",
	    "weir.json:1:39: /proxy/listen/0/address: proxy_protocol and xclient are for TCP: "
	    "clients of a Unix socket have no address to trust them by" },
	{ "{ \"proxy\": { \"bare_newline_exceptions\": [ { \"from\": [ \"::/0\" ] } ] } }",
	    "weir.json:1:43: /proxy/bare_newline_exceptions/0: \"policy\" must be given: What "
	    "holds for them in place of bare_newline." },
	{ "{ \"proxy\": { \"dns\": { \"servers\": [ \"dns.test:53\" ] } } }",
	    "weir.json:1:36: /proxy/dns/servers/0: must be ADDRESS, ADDRESS:PORT or [v6]:PORT, not "
	    "\"dns.test:53\"" },
	{ "{ \"proxy\": { \"timeouts\": { \"command_s\": \"5m\" } } }",
	    "weir.json:1:41: /proxy/timeouts/command_s: must be a whole number 1..86400 s, not "
	    "text" },
	{ "{ \"proxy\": { \"stress\": false } }",
	    "weir.json:1:24: /proxy/stress: must be an object, as { \"percent\": ... }, not true "
	    "or false" },
	{ "{ \"proxy\": { \"backends\": { \"servers\": [ \"127.0.0.1:25\" ] } } }",
	    "weir.json:1:39: /proxy/backends/servers: must be an object, not a list: the keys of "
	    "\"backends\" are names, as \"default\"" },
	{ "{ \"proxy\": { \"listen\": [ { \"address\": \"127.0.0.1:0\", \"tls\": true } ] } }",
	    "weir.json:1:61: /proxy/listen/0/tls: must be one of off|offer|require|implicit, not "
	    "true or false" },
	{ "{ \"proxy\": { \"listen\": [ { \"address\": \"127.0.0.1:0\", \"tls\": \"offer\" } ] } }",
	    "weir.json:1:26: /proxy/listen/0/certificates: TLS needs a certificate: give "
	    "\"certificates\", or \"tls\": \"off\"" },
	{ "{ \"proxy\": { \"listen\": [ { \"address\": \"127.0.0.1:9\" }, { \"address\": "
	  "\"127.0.0.1:9\" } ] } }",
	    "weir.json:1:69: /proxy/listen/1/address: is that of /proxy/listen/0, too" },
	{ "{ \"proxy\": { \"listen\": [ { \"address\": \"127.0.0.1:0\", \"auth\": \"dovecot\" } ] "
	  "} }",
	    "weir.json:1:62: /proxy/listen/0/auth: must be off, relay, sasl or dovecot:PATH (as "
	    "dovecot:/run/dovecot/auth-weir), not \"dovecot\"" },
	{ "{ \"proxy\": { \"listen\": [ { \"address\": \"127.0.0.1:0\", \"auth\": \"sasl\", "
	  "\"auth_plaintext\": true } ], \"sasl\": { \"mechanisms\": [ \"plain\" ] } } }",
	    "weir.json:1:124: /proxy/sasl/mechanisms/0: unknown mechanism \"plain\" (did you mean "
	    "\"PLAIN\"?)" },
	{ "{ \"proxy\": { \"listen\": [ { \"address\": \"127.0.0.1:0\", \"auth\": \"sasl\", "
	  "\"auth_plaintext\": true } ], \"sasl\": { \"mechanisms\": [ \"EXTERNAL\" ] } } }",
	    "weir.json:1:124: /proxy/sasl/mechanisms/0: unknown mechanism \"EXTERNAL\": known are "
	    "PLAIN, LOGIN, CRAM-MD5, SCRAM-SHA-1, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER, "
	    "XOAUTH2" },
	{ "{ \"proxy\": { \"backends\": { \"default\": { \"servers\": [ \"127.0.0.1:25\" ], "
	  "\"identity\": \"XCLIENT\" } } } }",
	    "weir.json:1:84: /proxy/backends/default/identity: must be one of "
	    "none|xclient|xforward|proxy, not \"XCLIENT\"" },
	{ "{ \"proxy\": { \"limits\": { \"errors_soft\": 30 } } }",
	    "weir.json:1:24: /proxy/limits/errors_hard: is 20, and must not be less than "
	    "errors_soft (30)" },
	{ "{ \"proxi\": {} }", "weir.json:1:3: /proxi: unknown section (did you mean \"proxy\"?)" },
	{ "{ \"log\": { \"level\": \"loud\" } }",
	    "weir.json:1:21: /log/level: must be one of debug|info|warn|error, not \"loud\"" },
	{ "{ \"milterd\": { \"store\": \"redis:x\" } }",
	    "weir.json:1:25: /milterd/store: must be lmdb:FOLDER, not \"redis:x\"" },
	{ "{ \"milterd\": { \"store\": \"lmdb:\" } }",
	    "weir.json:1:25: /milterd/store: must be lmdb:FOLDER, not \"lmdb:\"" },
	{ "{ \"milterd\": { \"socket_mode\": 688 } }",
	    "weir.json:1:31: /milterd/socket_mode: must be octal digits, as in 660, not 688" },
	{ "{ \"milterd\": { \"socket\": \"unix:/x\", \"control\": \"unix:/x\" } }",
	    "weir.json:1:48: /milterd/control: must not be that of /milterd/socket" },
	{ "{ \"milterd\": { \"control\": \"unix:/x\" }, \"proxy\": { \"control\": \"unix:/x\" } }",
	    "weir.json:1:62: /proxy/control: must not be that of /milterd/control" },
	{ "{ \"milterd\": { \"sessions\": 1.5 } }",
	    "weir.json:1:28: /milterd/sessions: must be a whole number, not 1.5" },
	{ "{ \"milterd\": { \"socket\": \"tcp:1\", \"socket\": \"unix:/y\" } }",
	    "weir.json:1:42: duplicate object key near '\"socket\"'" },
	{ "[]", "weir.json:1:1: must be an object" },
	{ "{", "weir.json:1:1: string or '}' expected near end of file" },
};
START_TEST(mistake)
{
	struct findings f = { 0 };
	char path[] = "weir.json";
	struct settings s;
	FILE *out = fopen(path, "w");

	ck_assert_ptr_nonnull(out);
	fputs(mistakes[_i].text, out);
	fclose(out);
	ck_assert_int_eq(settings_load(path, &s, &f), -1);
	ck_assert_uint_ge(f.n, 1);
	ck_assert_str_eq(f.v[0].text, mistakes[_i].finding);
	settings_free(&s);
	findings_free(&f);
}
END_TEST

/* Good files that do not do what was meant: the only finding that each must give. */
static const struct {
	const char *text, *finding;
} doubts[] = {
	{ "{ \"proxy\": { \"listen\": [ { \"address\": \"127.0.0.1:0\", \"auth\": \"relay\" } ] } "
	  "}",
	    "weir.json:1:62: /proxy/listen/0/auth: AUTH is never offered: it needs TLS, and "
	    "\"tls\" is off here; give \"tls\" and \"certificates\", or \"auth_plaintext\": true" },
	{ "{ \"proxy\": { \"listen\": [ { \"address\": \"127.0.0.1:0\", \"xclient\": { \"from\": [ "
	  "\"192.0.2.0\" ] } } ] } }",
	    "weir.json:1:77: /proxy/listen/0/xclient/from/0: is a single address: a network has "
	    "its bits behind it, as in /24" },
	{ "{ \"proxy\": { \"sasl\": { \"realm\": \"x\" } } }",
	    "weir.json:1:14: /proxy/sasl: not used: no listener has \"auth\": \"sasl\"" },
	{ "{ \"proxy\": { \"listen\": [ { \"address\": \"127.0.0.1:0\", \"auth\": \"relay\", "
	  "\"auth_plaintext\": true } ], \"backends\": { \"default\": { \"servers\": [ "
	  "\"mail.test:25\" ] } } } }",
	    "weir.json:1:113: /proxy/backends/default: passwords go to mail.test:25 in the clear: "
	    "give \"tls\": \"verify\" or \"require\"" },
	{ "{ \"proxy\": { \"backends\": { \"default\": { \"servers\": [ \"192.0.2.25:25\" ], "
	  "\"tls\": \"verify\" } } } }",
	    "weir.json:1:54: /proxy/backends/default/servers/0: the certificate must be for the "
	    "address 192.0.2.25: write the server's name, or give \"tls_name\"" },
	{ "{ \"proxy\": { \"backends\": { \"default\": { \"servers\": [ \"192.0.2.25:25\" ], "
	  "\"tls_name\": \"mail.test\" } } } }",
	    "weir.json:1:73: /proxy/backends/default/tls_name: not used: \"tls\" is off" },
	{ "{ \"proxy\": { \"backends\": { \"default\": { \"servers\": [ \"192.0.2.25:25\" ], "
	  "\"identity_required\": true } } } }",
	    "weir.json:1:73: /proxy/backends/default/identity_required: not used: \"identity\" is "
	    "none" },
};
START_TEST(doubt)
{
	struct findings f = { 0 };
	struct settings s;
	FILE *out = fopen("weir.json", "w");

	ck_assert_ptr_nonnull(out);
	fputs(doubts[_i].text, out);
	fclose(out);
	ck_assert_int_eq(settings_load("weir.json", &s, &f), 0);
	ck_assert_uint_eq(f.n, 1);
	ck_assert_str_eq(f.v[0].text, doubts[_i].finding);
	settings_free(&s);
	findings_free(&f);
}
END_TEST

START_TEST(trust_in_everybody)
{
	struct findings f = { 0 };
	struct settings s;
	FILE *out = fopen("weir.json", "w");

	ck_assert_ptr_nonnull(out);
	fputs("{ \"proxy\": { \"listen\": [ { \"address\": \"127.0.0.1:0\",\n"
	      "  \"proxy_protocol\": { \"from\": [ \"192.0.2.0/24\", \"::/0\" ] } } ] } }",
	    out);
	fclose(out);
	ck_assert_int_eq(settings_load("weir.json", &s, &f), 0);
	ck_assert_uint_eq(f.n, 1);
	ck_assert_str_eq(f.v[0].text,
	    "weir.json:2:49: /proxy/listen/0/proxy_protocol/from/1: everybody may say who he is: "
	    "name the networks of those you trust");
	settings_free(&s);
	findings_free(&f);
}
END_TEST

START_TEST(backend_that_nothing_leads_to)
{
	struct findings f = { 0 };
	struct settings s;
	FILE *out = fopen("weir.json", "w");

	ck_assert_ptr_nonnull(out);
	fputs("{ \"proxy\": { \"backends\": {\n"
	      "  \"default\": { \"servers\": [ \"127.0.0.1:25\" ] },\n"
	      "  \"x/y\": { \"servers\": [ \"127.0.0.1:25\" ] } } } }",
	    out);
	fclose(out);
	ck_assert_int_eq(settings_load("weir.json", &s, &f), 0);
	ck_assert_uint_eq(f.n, 1);
	ck_assert_str_eq(f.v[0].text,
	    "weir.json:3:3: /proxy/backends/x~1y: no mail goes to this "
	    "backend: only \"default\" is used");
	settings_free(&s);
	findings_free(&f);
}
END_TEST

START_TEST(every_mistake_in_one_run)
{
	struct findings f = { 0 };
	struct settings s;
	FILE *out = fopen("weir.json", "w");

	ck_assert_ptr_nonnull(out);
	fputs("{ \"//\": \"a comment\", \"proxy\": { \"x\": 1, \"workers\": -1 }, \"milterd\": { "
	      "\"y\": 1 } }",
	    out);
	fclose(out);
	ck_assert_int_eq(settings_load("weir.json", &s, &f), -1);
	ck_assert_uint_eq(f.errors, 3);
	settings_free(&s);
	findings_free(&f);
}
END_TEST

START_TEST(defaults)
{
	struct findings f = { 0 };
	struct settings s;
	const struct listen_settings *listen;
	const struct backend_settings *backend;

	ck_assert_int_eq(settings_load(NULL, &s, &f), 0);
	ck_assert_uint_eq(f.n, 0);
	ck_assert_int_eq(s.proxy.limits.recipients, 1000);
	ck_assert_str_ne(s.proxy.hostname, "");
	listen = s.proxy.listen.v;
	ck_assert_uint_eq(s.proxy.listen.n, 1);
	ck_assert_uint_eq(listen[0].address.port, 2525);
	backend = s.proxy.backends.v;
	ck_assert_str_eq(backend[0].name, "default");
	ck_assert_str_eq(backend[0].servers.v[0], "127.0.0.1:2526");
	settings_free(&s);
	findings_free(&f);
}
END_TEST

/* A listener's socket lies beside the file, like every other path. */
START_TEST(relative_listener)
{
	struct findings f = { 0 };
	struct settings s;
	const struct listen_settings *listen;
	FILE *out = fopen("weir.json", "w");

	ck_assert_ptr_nonnull(out);
	fputs("{ \"proxy\": { \"listen\": [ { \"address\": \"unix:smtp.sock\" } ] } }", out);
	fclose(out);
	ck_assert_int_eq(settings_load("./weir.json", &s, &f), 0);
	listen = s.proxy.listen.v;
	ck_assert_str_eq(listen[0].address.path, "./smtp.sock");
	settings_free(&s);
	findings_free(&f);
}
END_TEST

/* Two rows of one name would fill two places, and the manual would say both. */
static void ck_names(const struct conf_table *t)
{
	for (size_t i = 0; i < t->n; i++) {
		for (size_t k = i + 1; k < t->n; k++)
			ck_assert_msg(strcmp(t->fields[i].name, t->fields[k].name) != 0,
			    "%s: \"%s\" stands twice", t->name, t->fields[i].name);
		if (t->fields[i].table != NULL)
			ck_names(t->fields[i].table);
	}
}

START_TEST(each_name_once)
{
	ck_names(&proxy_table);
	ck_names(&milterd_table);
	ck_names(&log_table);
}
END_TEST

/* Each test runs in a folder of its own, so that tests may run side by side. */
static char folder[] = "/tmp/check_conf.XXXXXX";

static void enter(void)
{
	char *made = mkdtemp(folder);

	if (made == NULL || chdir(made) != 0)
		abort();
}

static void leave(void)
{
	(void)unlink("weir.json");
	if (chdir("/") != 0 || rmdir(folder) != 0)
		abort();
}

int main(void)
{
	Suite *s = suite_create("conf");
	TCase *tc = tcase_create("conf");

	tcase_add_unchecked_fixture(tc, enter, leave);
	tcase_add_loop_test(tc, mistake, 0, COUNT(mistakes));
	tcase_add_loop_test(tc, doubt, 0, COUNT(doubts));
	tcase_add_test(tc, backend_that_nothing_leads_to);
	tcase_add_test(tc, trust_in_everybody);
	tcase_add_test(tc, every_mistake_in_one_run);
	tcase_add_test(tc, defaults);
	tcase_add_test(tc, relative_listener);
	tcase_add_test(tc, each_name_once);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
