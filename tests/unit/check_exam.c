#include "config.h"

#include "milterd/exam.h"

#include <stdio.h>

#include "milterd/edit_plan.h"
#include "unit.h"

static const struct services nothing;

/* An engine over one rule set in memory. */
static struct engine *engine_of(const char *rules)
{
	struct engine *g = calloc(1, sizeof(*g));
	struct findings f = { 0 };

	ck_assert_ptr_nonnull(g);
	*g = (struct engine){ .services = &nothing,
		.message_bytes = 1 << 20,
		.body_text_bytes = 65536,
		.references = 1 };
	g->rules = ruleset_load_text("test.json", slice_z(rules), &f);
	if (g->rules == NULL)
		findings_print(&f, stderr);
	ck_assert_msg(g->rules != NULL, "%s", rules);
	findings_free(&f);
	return g;
}

static struct exam *exam_of(const char *rules)
{
	struct engine *g = engine_of(rules);
	struct exam *x = exam_new(g);

	ck_assert_ptr_nonnull(x);
	engine_unref(&g);
	return x;
}

static const char content[] = "From: Ann Example <ann@Client.Example>\r\n"
			      "To: b@example.org, \"C\" <c@example.org>\r\n"
			      "Subject: =?utf-8?Q?h=C3=A9llo?=\r\n"
			      " there\r\n"
			      "Message-ID: <1@client.example>\r\n"
			      "Received: one\r\n"
			      "Received: two\r\n"
			      "MIME-Version: 1.0\r\n"
			      "Content-Type: multipart/mixed; boundary=b\r\n"
			      "\r\n"
			      "--b\r\n"
			      "Content-Type: text/html\r\n"
			      "\r\n"
			      "<p>see <a href=\"https://www.Example.NET/x\">this</a></p>\r\n"
			      "--b\r\n"
			      "Content-Type: application/pdf; name=\"Invoice.PDF.EXE . \"\r\n"
			      "Content-Disposition: attachment\r\n"
			      "\r\n"
			      "hello\r\n"
			      "--b--\r\n";

static struct client client_of(const char *address)
{
	struct client c = { .name = SLICE("mx.client.example"), .listener = SLICE("smtp") };

	if (address != NULL)
		ck_assert_int_eq(address_parse(slice_z(address), &c.address, NULL), 0);
	c.address.port = 4321;
	return c;
}

static bool rcpt(struct exam *x, const char *path)
{
	struct slice reply;
	bool tempfail;

	return exam_rcpt(x, slice_z(path), &reply, &tempfail);
}

/* A whole session up to the verdict. */
static const struct verdict *examine(struct exam *x, const char *address)
{
	struct client c = client_of(address);

	exam_connect(x, &c);
	exam_helo(x, SLICE("helo.example"));
	exam_tls(x, SLICE("TLSv1.3"), SLICE("TLS_AES"));
	exam_mail(x, SLICE("<@relay:A@Client.EXAMPLE>"), 999, SLICE("ann"), SLICE("PLAIN"));
	rcpt(x, "<b@example.org>");
	rcpt(x, "<C@EXAMPLE.org>");
	exam_data(x);
	exam_raw(x, slice_of(content, sizeof(content) - 1));
	exam_header_end(x);
	exam_end(x);
	return exam_verdict(x);
}

static bool fired(const struct verdict *v, const char *name)
{
	for (size_t i = 0; i < v->symbol_count; i++)
		if (strcmp(v->symbols[i].name, name) == 0)
			return true;
	return false;
}

/* What each fact says of the session above. */
static const char *const true_conditions[] = {
	"\"client.address\": \"192.0.2.7\"",
	"\"client.name\": \"mx.client.example\"",
	"\"client.port\": 4321",
	"\"listener.name\": \"smtp\"",
	"\"tls.version\": \"TLSv1.3\"",
	"\"tls.cipher\": \"TLS_AES\"",
	"\"auth.user\": \"ann\"",
	"\"auth.mechanism\": \"PLAIN\"",
	"\"helo.name\": \"helo.example\"",
	"\"mail.address\": \"A@Client.EXAMPLE\"",
	"\"mail.domain\": \"client.example\"",
	"\"mail.null\": false",
	"\"mail.size\": 999",
	"\"rcpt.address\": \"b@example.org\"",
	"\"rcpt.domain\": \"example.org\"",
	"\"rcpt.count\": {\"ge\": 2}",
	"\"header.subject\": \"h\\u00e9llo there\"",
	"\"header.subject.raw\": {\"contains\": \"=?utf-8?\"}",
	"\"header.from.addr\": \"ann@client.example\"",
	"\"header.from.name\": \"Ann Example\"",
	"\"header.to.addr\": {\"count\": {\"ge\": 2}}",
	"\"header.received.count\": 2",
	"\"header.received\": \"two\"",
	"\"header.x-none.count\": 0",
	"\"header.x-none\": {\"exists\": false}",
	"\"message.id\": \"1@client.example\"",
	"\"message.size\": {\"ge\": 400, \"le\": 800}",
	"\"body.html\": {\"contains\": \"<p>see\"}",
	"\"body.text\": {\"contains\": \"this\"}",
	"\"body.raw\": {\"contains\": \"--b--\"}",
	"\"urls\": {\"some\": {\"host\": \"www.example.net\", \"domain\": \"example.net\"}}",
	"\"attachments\": {\"some\": {\"extension\": \"exe\"}}",
	"\"attachments\": {\"some\": {\"type\": \"application/pdf\", \"size\": {\"lt\": 10}}}",
	"\"attachments\": {\"count\": 1}",
	"\"mime.anomalies\": {\"count\": {\"ge\": 0}}",
	"\"bayes.spam\": {\"unknown\": true}",
	"\"virus.found\": {\"unknown\": true}",
};

START_TEST(facts_are_known)
{
	char rules[512];
	struct exam *x;

	(void)snprintf(rules, sizeof(rules), "{\"rules\": {\"R\": {\"when\": {%s}, \"score\": 1}}}",
	    true_conditions[_i]);
	x = exam_of(rules);
	ck_assert_msg(fired(examine(x, "192.0.2.7"), "R"), "%s", true_conditions[_i]);
	exam_free(&x);
}
END_TEST

/* Of a message without a session nothing of the client is known; of a client without a name, that
 * it has none. */
static const struct {
	const char *address, *condition;
	bool true_or_not;
} absent[] = {
	{ NULL, "\"client.address\": {\"unknown\": true}", true },
	{ NULL, "\"tls.version\": {\"unknown\": true}", true },
	{ "192.0.2.7", "\"tls.version\": {\"unknown\": true}", false },
	{ "192.0.2.7", "\"tls.version\": {\"exists\": false}", true },
	{ "192.0.2.7", "\"client.name\": {\"exists\": false}", true },
	{ "192.0.2.7", "\"auth.user\": {\"exists\": false}", true },
	{ "192.0.2.7", "\"message.id\": {\"exists\": false}", true },
	{ "192.0.2.7", "\"mail.null\": true", true },
	{ "192.0.2.7", "\"mail.size\": {\"unknown\": true}", true },
	{ "192.0.2.7", "\"attachments\": {\"exists\": false}", true },
};

START_TEST(what_is_not_there)
{
	char rules[512];
	struct client c = { .address = client_of(absent[_i].address).address };
	struct exam *x;

	(void)snprintf(rules, sizeof(rules), "{\"rules\": {\"R\": {\"when\": {%s}, \"score\": 1}}}",
	    absent[_i].condition);
	x = exam_of(rules);
	exam_connect(x, &c);
	exam_mail(x, SLICE("<>"), 0, SLICE(""), SLICE(""));
	exam_raw(x, SLICE("Subject: x\n\nx\n"));
	exam_end(x);
	ck_assert_msg(
	    fired(exam_verdict(x), "R") == absent[_i].true_or_not, "%s", absent[_i].condition);
	exam_free(&x);
}
END_TEST

/* A verdict falls at the first stage at which it can. */
static const struct {
	const char *when;
	enum stage stage;
} stages[] = {
	{ "\"client.address\": \"192.0.2.7\"", STAGE_CONNECT },
	{ "\"helo.name\": \"helo.example\"", STAGE_HELO },
	{ "\"mail.domain\": \"client.example\"", STAGE_MAIL },
	{ "\"header.subject\": {\"contains\": \"there\"}", STAGE_HEADER },
	{ "\"message.size\": {\"gt\": 1}", STAGE_EOM },
};

START_TEST(decides_as_early_as_can_be)
{
	char rules[512];
	struct exam *x;
	const struct verdict *v;

	(void)snprintf(rules, sizeof(rules),
	    "{\"rules\": {\"R\": {\"when\": {%s}, \"reject\": \"550 5.7.1 no\"}}}",
	    stages[_i].when);
	x = exam_of(rules);
	v = examine(x, "192.0.2.7");
	ck_assert_int_eq(v->action, ACTION_REJECT);
	ck_assert_int_eq(v->stage, stages[_i].stage);
	ck_assert_slice_eq(v->reply, "550 5.7.1 no");
	exam_free(&x);
}
END_TEST

START_TEST(a_refused_recipient_is_not_of_the_envelope)
{
	struct exam *x = exam_of(
	    "{\"rules\": {\"N\": {\"when\": {\"rcpt.address\": \"no@example.org\"}, "
	    "\"reject\": \"550 5.1.1 no\"}, \"TWO\": {\"when\": {\"rcpt.count\": 2, "
	    "\"header.subject\": \"x\"}, \"score\": 1}}}");
	struct client c = client_of("192.0.2.7");
	struct slice reply;
	bool tempfail;
	size_t n;

	exam_connect(x, &c);
	exam_mail(x, SLICE("<a@b>"), 0, SLICE(""), SLICE(""));
	ck_assert(!rcpt(x, "<b@example.org>"));
	ck_assert(exam_rcpt(x, SLICE("<no@example.org>"), &reply, &tempfail));
	ck_assert_slice_eq(reply, "550 5.1.1 no");
	ck_assert(!tempfail);
	ck_assert(!exam_final(x));
	ck_assert(!rcpt(x, "<c@example.org>"));
	ck_assert(rcpt(x, "<no@example.org>"));
	ck_assert_slice_eq(exam_recipients(x, &n)[1].address, "c@example.org");
	ck_assert_uint_eq(n, 2);
	ck_assert(!exam_data(x));
	exam_raw(x, SLICE("Subject: x\n\nx\n"));
	exam_end(x);
	ck_assert_int_eq(exam_verdict(x)->action, ACTION_DELIVER);
	ck_assert(fired(exam_verdict(x), "TWO"));
	ck_assert(!fired(exam_verdict(x), "N"));
	exam_free(&x);
}
END_TEST

START_TEST(another_policy_comes_again)
{
	struct exam *x = exam_of(
	    "{\"settings\": {\"split_reply\": \"452 4.5.3 apart\"}, \"policies\": {\"default\": "
	    "{\"at\": {\"5\": \"reject\"}}, \"boss\": "
	    "{\"for\": {\"rcpt.address\": \"boss@example.org\"}, \"at\": {\"3\": "
	    "\"reject\"}}}, \"rules\": {\"S\": {\"when\": {\"header.subject\": "
	    "\"x\"}, \"score\": 4}}}");
	struct client c = client_of("192.0.2.7");
	struct slice reply;
	bool tempfail;

	exam_connect(x, &c);
	exam_mail(x, SLICE("<a@b>"), 0, SLICE(""), SLICE(""));
	ck_assert(!rcpt(x, "<boss@example.org>"));
	ck_assert(exam_rcpt(x, SLICE("<b@example.org>"), &reply, &tempfail));
	ck_assert(tempfail);
	ck_assert(slice_starts(reply, SLICE("452 4.5.3")));
	exam_data(x);
	exam_raw(x, SLICE("Subject: x\n\nx\n"));
	exam_end(x);
	ck_assert_str_eq(exam_verdict(x)->policy, "boss");
	ck_assert_int_eq(exam_verdict(x)->action, ACTION_REJECT);
	exam_free(&x);
}
END_TEST

/* A session's messages know nothing of each other; the session's own verdict stays. */
START_TEST(messages_are_apart)
{
	struct exam *x = exam_of(
	    "{\"rules\": {\"S\": {\"when\": {\"header.subject\": \"x\"}, \"score\": 1}, \"M\": "
	    "{\"when\": {\"mail.address\": \"bad@b\"}, \"reject\": \"550 5.7.1 no\"}}}");
	struct client c = client_of("192.0.2.7");

	exam_connect(x, &c);
	for (int i = 0; i < 3; i++) {
		ck_assert(exam_mail(x, SLICE("<bad@b>"), 0, SLICE("u"), SLICE("")));
		ck_assert(!exam_mail(x, SLICE("<a@b>"), 0, SLICE(""), SLICE("")));
		ck_assert_uint_eq(exam_client(x)->auth_user.n, 0);
		ck_assert(!rcpt(x, "<b@example.org>"));
		exam_raw(x, SLICE("Subject: x\n\nx\n"));
		exam_end(x);
		ck_assert_uint_eq(exam_verdict(x)->symbol_count, 1);
		exam_reset(x);
	}
	ck_assert(!exam_helo(x, SLICE("again")));
	ck_assert_slice_eq(exam_client(x)->helo, "again");
	exam_free(&x);
	exam_free(&x);
}
END_TEST

START_TEST(what_fails_is_a_tempfail)
{
	struct exam *x = exam_of("{\"rules\": {\"S\": {\"when\": {\"header.subject\": \"x\"}, "
				 "\"score\": 1}}}");

	examine(x, "192.0.2.7");
	ck_assert_int_eq(exam_verdict(x)->action, ACTION_DELIVER);
	exam_give_up(x, "the edit failed");
	ck_assert_int_eq(exam_verdict(x)->action, ACTION_TEMPFAIL);
	ck_assert_uint_eq(exam_verdict(x)->edit_count, 0);
	ck_assert_str_eq(exam_failed(x), "the edit failed");
	exam_reset(x);
	ck_assert_ptr_null(exam_failed(x));
	exam_free(&x);
}
END_TEST

/* ---- edits as steps ------------------------------------------------------------------------ */

static const struct {
	const char *actions; /* of a rule that always fires */
	const char *steps;   /* what is to be done, one line each */
} plans[] = {
	{ "\"remove_header\": [\"X-Spam-*\"]",
	    "m 2 X-Spam-Flag=\nm 1 X-Spam-Flag=\nm 1 x-spam-other=\n" },
	{ "\"remove_header\": [\"x-one\", \"X-Absent\"]", "m 1 X-One=\n" },
	{ "\"set_header\": {\"X-New\": \"a\"}", "h X-New= a\n" },
	{ "\"set_header\": {\"x-one\": \"a\"}", "m 1 x-one= a\n" },
	{ "\"set_header\": {\"X-Spam-Flag\": \"a\"}", "m 2 X-Spam-Flag=\nm 1 X-Spam-Flag= a\n" },
	{ "\"add_header\": {\"X-One\": \"a\"}", "h X-One= a\n" },
	{ "\"subject_prefix\": \"[SPAM]\"", "m 1 Subject= [SPAM] hello\n" },
	{ "\"subject_prefix\": \"hello\"", "" },
	{ "\"add_rcpt\": \"x@example.org\"", "+ <x@example.org>\n" },
	{ "\"remove_rcpt\": \"c@example.org\"", "- <c@example.org>\n" },
	{ "\"redirect\": \"x@example.org\"",
	    "- <b@example.org>\n- <c@example.org>\n+ <x@example.org>\n" },
	{ "\"quarantine\": \"why\"", "q why\n" },
};

static void print_steps(const struct edit_plan *p, struct buf *b)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct step *s = &p->steps[i];

		if (s->kind == STEP_ADD_HEADER)
			buf_addf(b, "h %s=%s\n", s->name, s->value);
		else if (s->kind == STEP_CHANGE_HEADER)
			buf_addf(b, "m %d %s=%s\n", s->index, s->name, s->value);
		else
			buf_addf(b, "%c %s\n",
			    s->kind == STEP_HOLD           ? 'q'
				: s->kind == STEP_ADD_RCPT ? '+'
							   : '-',
			    s->value);
	}
}

START_TEST(edits_become_steps)
{
	static const char *const fields[] = { "X-Spam-Flag", "Subject", "X-One", "x-spam-other",
		"x-spam-flag" };
	char rules[512], text[1024] = "";
	struct buf b = BUF_ON(text);
	struct field_names names = { 0 };
	struct edit_plan plan;
	struct exam *x;
	struct client c = client_of("192.0.2.7");

	(void)snprintf(rules, sizeof(rules),
	    "{\"policies\": {\"default\": {\"headers\": null}}, \"rules\": {\"R\": {\"when\": "
	    "{\"mail.null\": false}, %s}}}",
	    plans[_i].actions);
	x = exam_of(rules);
	exam_connect(x, &c);
	exam_mail(x, SLICE("<a@b>"), 0, SLICE(""), SLICE(""));
	rcpt(x, "<b@example.org>");
	rcpt(x, "<c@example.org>");
	for (size_t i = 0; i < COUNT(fields); i++) {
		ck_assert(field_names_add(&names, slice_z(fields[i])));
		exam_field(x, slice_z(fields[i]), SLICE(" hello"), true);
	}
	exam_end(x);
	edit_plan_make(&plan, x, &names, true);
	ck_assert(!plan.failed);
	print_steps(&plan, &b);
	ck_assert_str_eq(text, plans[_i].steps);
	bytes_free(&names.text);
	exam_free(&x);
}
END_TEST

/* ---- the object that weir check prints ----------------------------------------------------- */

START_TEST(json_says_it_all)
{
	struct engine *g = engine_of(
	    "{\"rules\": {\"S\": {\"about\": \"why\", \"when\": {\"header.subject\": "
	    "{\"contains\": "
	    "\"there\"}}, \"score\": 7}, \"SH\": {\"shadow\": true, \"when\": {\"mail.null\": "
	    "false}, \"score\": 9}}, \"policies\": {\"default\": {\"at\": {\"4\": \"tag\"}}}}");
	struct exam *x;
	json_t *j, *facts;

	g->all_facts = true;
	x = exam_new(g);
	examine(x, "192.0.2.7");
	j = exam_json(x);
	facts = json_object_get(j, "facts");
	ck_assert_str_eq(json_string_value(json_object_get(j, "action")), "tag");
	ck_assert(json_is_null(json_object_get(j, "reply")));
	ck_assert(json_real_value(json_object_get(j, "score")) == 7);
	ck_assert_uint_eq(json_object_size(json_object_get(j, "thresholds")), 1);
	ck_assert_str_eq(json_string_value(json_object_get(j, "stage")), "eom");
	ck_assert_uint_eq(json_array_size(json_object_get(j, "symbols")), 2);
	ck_assert_ptr_nonnull(json_object_get(facts, "header.subject"));
	ck_assert_ptr_nonnull(json_object_get(facts, "attachments"));
	ck_assert_ptr_null(json_object_get(facts, "virus.found"));
	json_decref(j);
	ck_assert_ptr_nonnull(j = exam_explain(x, "S"));
	json_decref(j);
	ck_assert_ptr_null(exam_explain(x, "NONE"));
	exam_free(&x);
	engine_unref(&g);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("exam");
	TCase *tc = tcase_create("exam");

	tcase_add_loop_test(tc, facts_are_known, 0, COUNT(true_conditions));
	tcase_add_loop_test(tc, what_is_not_there, 0, COUNT(absent));
	tcase_add_loop_test(tc, decides_as_early_as_can_be, 0, COUNT(stages));
	tcase_add_test(tc, a_refused_recipient_is_not_of_the_envelope);
	tcase_add_test(tc, another_policy_comes_again);
	tcase_add_test(tc, messages_are_apart);
	tcase_add_test(tc, what_fails_is_a_tempfail);
	tcase_add_loop_test(tc, edits_become_steps, 0, COUNT(plans));
	tcase_add_test(tc, json_says_it_all);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
