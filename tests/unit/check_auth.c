#include "config.h"

#include "unit.h"

#include "proxy/auth/base64.h"
#include "proxy/auth/dovecot.h"
#include "proxy/auth/introspect.h"
#include "proxy/auth/mechanism.h"

/* ---- base64 ------------------------------------------------------------------------------- */

static const struct {
	const char *text, *octets; /* octets NULL: it is none */
} base64s[] = {
	{ "", "" },
	{ "Zg==", "f" },
	{ "Zm8=", "fo" },
	{ "Zm9v", "foo" },
	{ "Zm9vYg==", "foob" },
	{ "Zm9vYmE=", "fooba" },
	{ "Zm9vYmFy", "foobar" },
	{ "//+/", "\xff\xff\xbf" },
	{ "Zg", NULL },
	{ "Zg=", NULL },
	{ "Zh==", NULL }, /* bits left over */
	{ "Zm9=", NULL },
	{ "Z===", NULL },
	{ "====", NULL },
	{ "Zg==Zg==", NULL },
	{ "Zm 9", NULL },
	{ "Zm9v\n", NULL },
	{ "Zm9-", NULL },
	{ "*", NULL },
	{ "=", NULL },
};

START_TEST(base64_both_ways)
{
	char octets[16] = "", text[16] = "";
	struct buf b = BUF_ON(octets), back = BUF_ON(text);
	bool good = base64_read(slice_z(base64s[_i].text), &b);

	ck_assert_int_eq(good, base64s[_i].octets != NULL);
	if (!good)
		return;
	ck_assert_slice_eq(buf_slice(&b), base64s[_i].octets);
	base64_write(buf_slice(&b), &back);
	ck_assert_str_eq(text, base64s[_i].text);
}
END_TEST

START_TEST(base64_does_not_overflow)
{
	char octets[3] = "";
	struct buf b = BUF_ON(octets);

	ck_assert(!base64_read(SLICE("Zm9v"), &b));
	ck_assert(b.cut);
}
END_TEST

/* ---- who logs in -------------------------------------------------------------------------- */

static const struct {
	const char *mechanism;
	struct slice response;
	const char *login;
} logins[] = {
	{ "PLAIN", SLICE("\0anna\0secret"), "anna" },
	{ "PLAIN", SLICE("boss\0anna\0secret"), "anna" },
	{ "PLAIN", SLICE("anna"), "" },
	{ "plain", SLICE("\0anna"), "anna" },
	{ "LOGIN", SLICE("anna@example.org"), "anna@example.org" },
	{ "CRAM-MD5", SLICE("anna b913a602c7eda7a495b4e6e7334d3890"), "anna" },
	{ "CRAM-MD5", SLICE("anna lee 00"), "anna lee" },
	{ "CRAM-MD5", SLICE("anna"), "" },
	{ "SCRAM-SHA-256", SLICE("n,,n=anna,r=xyz"), "anna" },
	{ "SCRAM-SHA-1", SLICE("n,a=boss,n=an=2Cna=3D,r=xyz"), "an,na=" },
	{ "SCRAM-SHA-1", SLICE("n,,r=xyz"), "" },
	{ "SCRAM-SHA-1", SLICE("n,,n=a=b,r=xyz"), "" },
	{ "OAUTHBEARER", SLICE("n,a=anna@x,\1host=h\1port=25\1auth=Bearer vF9dft4qmT\1\1"),
	    "anna@x" },
	{ "OAUTHBEARER", SLICE("n,,\1auth=Bearer vF9dft4qmT\1\1"), "" },
	{ "XOAUTH2", SLICE("user=anna@x\1auth=Bearer ya29.v-_~+/==\1\1"), "anna@x" },
	{ "XOAUTH2", SLICE("user=anna@x\1auth=Basic abc\1\1"), "" },
};

START_TEST(tells_who)
{
	const struct mechanism *m = mechanism_find(slice_z(logins[_i].mechanism));
	char text[64] = "";
	struct buf b = BUF_ON(text);

	ck_assert_ptr_nonnull(m);
	m->login(logins[_i].response, &b);
	/* What a refused name left there does not count. */
	if (logins[_i].login[0] != '\0' || logins[_i].response.p[3] != 'n')
		ck_assert_str_eq(text, logins[_i].login);
}
END_TEST

START_TEST(lists)
{
	struct bytes b = { 0 };
	unsigned set = mechanisms_read(
	    SLICE("GSSAPI XOAUTH2 scram-sha-256-plus EXTERNAL plain ANONYMOUS LOGIN"));

	mechanisms_write(set, &b);
	ck_assert_slice_eq(bytes_slice(&b), " PLAIN LOGIN XOAUTH2");
	bytes_free(&b);
	ck_assert_uint_eq(mechanisms_read(SLICE("")), 0);
}
END_TEST

/* ---- bearer ------------------------------------------------------------------------------- */

static const struct {
	struct slice text;
	const char *token; /* NULL: refused */
} bearers[] = {
	{ SLICE("n,,\1auth=Bearer abc\1\1"), "abc" },
	{ SLICE("y,,\1auth=bearer abc==\1\1"), "abc==" },
	{ SLICE("n,,\1host=x\1auth=Bearer abc\1port=1\1\1"), "abc" },
	{ SLICE("n,,\1auth=Bearer abc\1"), NULL }, { SLICE("n,,\1auth=Bearer abc\1\1x"), NULL },
	{ SLICE("n,,\1auth=Bearer \1\1"), NULL }, { SLICE("n,,\1auth=Bearer a=b\1\1"), NULL },
	{ SLICE("n,,\1auth=Bearer a\r\nX: y\1\1"), NULL },
	{ SLICE("n,,\1auth=Bearer a&token=b\1\1"), NULL },
	{ SLICE("n,,\1auth=Bearer a\0b\1\1"), NULL },
	{ SLICE("n,,\1auth=Bearer a\1auth=Bearer b\1\1"), NULL }, { SLICE("n,,\1\1"), NULL },
	{ SLICE("n,,auth=Bearer a\1\1"), NULL }, { SLICE("n,x=y,\1auth=Bearer a\1\1"), NULL },
	{ SLICE("p=tls-unique,,\1auth=Bearer a\1\1"), NULL }, { SLICE(""), NULL },
	{ SLICE("\1"), NULL }, /* the client's answer to an error (RFC 7628 3.2.3) */
};

START_TEST(reads_bearer)
{
	struct bearer b = { .user = "untouched" };
	struct err e;
	int rc = bearer_parse(bearers[_i].text, &b, &e);

	ck_assert_int_eq(rc, bearers[_i].token != NULL ? 0 : -1);
	if (rc == 0)
		ck_assert_slice_eq(b.token, bearers[_i].token);
	else
		ck_assert_str_eq(b.user, "untouched");
}
END_TEST

/* ---- introspection ------------------------------------------------------------------------ */

static const struct {
	const char *json, *claim;
	enum token result;
	const char *login;
} answers[] = {
	{ "{\"active\":true,\"username\":\"anna\"}", "username", TOKEN_GOOD, "anna" },
	{ "{\"active\":true,\"email\":\"anna@x\",\"username\":\"a\"}", "email", TOKEN_GOOD,
	    "anna@x" },
	{ "{\"active\":true,\"username\":\"anna\",\"exp\":1001}", "username", TOKEN_GOOD, "anna" },
	{ "{\"active\":true,\"username\":\"anna\",\"exp\":1000}", "username", TOKEN_BAD, "" },
	{ "{\"active\":true,\"username\":\"anna\",\"exp\":999.5}", "username", TOKEN_BAD, "" },
	{ "{\"active\":false}", "username", TOKEN_BAD, "" },
	{ "{\"active\":\"true\",\"username\":\"anna\"}", "username", TOKEN_TROUBLE, "" },
	{ "{\"username\":\"anna\"}", "username", TOKEN_TROUBLE, "" },
	{ "{\"active\":true}", "username", TOKEN_TROUBLE, "" },
	{ "{\"active\":true,\"username\":5}", "username", TOKEN_TROUBLE, "" },
	{ "{\"active\":true,\"username\":\"\"}", "username", TOKEN_TROUBLE, "" },
	{ "{\"active\":true,\"username\":\"a\\u0000b\"}", "username", TOKEN_TROUBLE, NULL },
	{ "[true]", "username", TOKEN_TROUBLE, "" },
	{ "{\"active\":true", "username", TOKEN_TROUBLE, "" },
	{ "", "username", TOKEN_TROUBLE, "" },
};

START_TEST(reads_introspection)
{
	char text[LOGIN_MAX + 1] = "";
	struct buf b = BUF_ON(text);
	struct err e;

	ck_assert_int_eq(
	    introspection_read(slice_z(answers[_i].json), answers[_i].claim, 1000, &b, &e),
	    answers[_i].result);
	if (answers[_i].login != NULL)
		ck_assert_str_eq(text, answers[_i].login);
}
END_TEST

/* ---- the Dovecot protocol ----------------------------------------------------------------- */

static const struct {
	struct slice line;
	int rc;
	enum dovecot_verb verb;
	uint32_t id;
	const char *name;
} lines[] = {
	{ SLICE("VERSION\t1\t2"), 0, DOVECOT_VERSION, 0, "" },
	{ SLICE("VERSION\tx"), -1, 0, 0, "" },
	{ SLICE("MECH\tPLAIN\tplaintext"), 0, DOVECOT_MECH, 0, "PLAIN" },
	{ SLICE("DONE"), 0, DOVECOT_DONE, 0, "" },
	{ SLICE("OK\t7\tuser=anna"), 0, DOVECOT_OK, 7, "" },
	{ SLICE("OK\t"), -1, 0, 0, "" },
	{ SLICE("OK"), -1, 0, 0, "" },
	{ SLICE("OK\t0\tuser=anna"), -1, 0, 0, "" },
	{ SLICE("OK\t4294967296"), -1, 0, 0, "" },
	{ SLICE("OK\t-1"), -1, 0, 0, "" },
	{ SLICE("FAIL\t4294967295\ttemp"), 0, DOVECOT_FAIL, UINT32_MAX, "" },
	{ SLICE("CONT\t3\tUGFzcw=="), 0, DOVECOT_CONT, 3, "UGFzcw==" },
	{ SLICE("CONT\t3\t"), 0, DOVECOT_CONT, 3, "" },
	{ SLICE("CONT\t3"), 0, DOVECOT_CONT, 3, "" },
	{ SLICE("AUTH\t3\tPLAIN\tservice=smtp\tresp=AA=="), 0, DOVECOT_AUTH, 3, "PLAIN" },
	{ SLICE("CANCEL\t3"), 0, DOVECOT_CANCEL, 3, "" },
	{ SLICE("COOKIE\tabc"), 0, DOVECOT_OTHER, 0, "" },
	{ SLICE(""), 0, DOVECOT_OTHER, 0, "" },
	{ SLICE("OK\0\t1"), 0, DOVECOT_OTHER, 0, "" },
};

START_TEST(reads_line)
{
	struct dovecot_line l = { .id = 99 };
	struct err e;

	ck_assert_int_eq(dovecot_parse(lines[_i].line, &l, &e), lines[_i].rc);
	if (lines[_i].rc < 0) {
		ck_assert_uint_eq(l.id, 99);
		return;
	}
	ck_assert_int_eq(l.verb, lines[_i].verb);
	ck_assert_uint_eq(l.id, lines[_i].id);
	ck_assert_slice_eq(l.name, lines[_i].name);
}
END_TEST

START_TEST(reads_fields)
{
	struct slice fields = SLICE("temp\tuser=an\001tna\001n\001\061\tuserx=y\tresp=\tuser=z");
	char text[16] = "";
	struct buf b = BUF_ON(text);
	struct bytes line = { 0 };

	ck_assert(dovecot_flag(fields, SLICE("temp")));
	ck_assert(!dovecot_flag(fields, SLICE("user")));
	dovecot_unescape(dovecot_value(fields, SLICE("user")), &b);
	ck_assert_str_eq(text, "an\tna\n\001");
	ck_assert_ptr_nonnull(dovecot_value(fields, SLICE("resp")).p);
	ck_assert_uint_eq(dovecot_value(fields, SLICE("resp")).n, 0);
	ck_assert_ptr_null(dovecot_value(fields, SLICE("none")).p);
	dovecot_add(&line, "user", SLICE("a\tb\r\nc\0d\001"));
	ck_assert_slice_eq(bytes_slice(&line),
	    "\tuser=a\001tb\001r\001nc\001"
	    "0d\001"
	    "1");
	bytes_free(&line);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("auth");
	TCase *tc = tcase_create("auth");

	tcase_add_loop_test(tc, base64_both_ways, 0, COUNT(base64s));
	tcase_add_test(tc, base64_does_not_overflow);
	tcase_add_loop_test(tc, tells_who, 0, COUNT(logins));
	tcase_add_test(tc, lists);
	tcase_add_loop_test(tc, reads_bearer, 0, COUNT(bearers));
	tcase_add_loop_test(tc, reads_introspection, 0, COUNT(answers));
	tcase_add_loop_test(tc, reads_line, 0, COUNT(lines));
	tcase_add_test(tc, reads_fields);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
