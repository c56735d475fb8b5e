#include "config.h"

#include "facts_fixture.h"
#include "unit.h"

#include <math.h>
#include <stdio.h>

/* Rules and facts are written with ' for ", for the reader's sake. */
static char *json_text(const char *text)
{
	char *copy = slice_dup(slice_z(text));

	for (char *p = copy; *p != '\0'; p++)
		if (*p == '\'')
			*p = '"';
	return copy;
}

static json_t *json_of(const char *text)
{
	char *copy = json_text(text);
	json_error_t e;
	json_t *v = json_loads(copy, 0, &e);

	ck_assert_msg(v != NULL, "%s in %s", e.text, text);
	free(copy);
	return v;
}

static struct ruleset *set_of(const char *text)
{
	char *copy = json_text(text);
	struct findings f = { 0 };
	struct ruleset *rs = ruleset_load_text("test.json", slice_z(copy), &f);

	findings_print(&f, stderr);
	ck_assert_msg(rs != NULL, "does not load: %s", text);
	findings_free(&f);
	free(copy);
	return rs;
}

/* A set, facts, and an evaluation of them. */
struct bench {
	struct facts_fixture x;
	struct arena arena;
	struct ruleset *rs;
	struct evaluation *ev;
};

static void bench_open(struct bench *b, const char *rules, const char *facts)
{
	*b = (struct bench){ .rs = set_of(rules) };
	b->x.facts = json_of(facts);
	b->ev = evaluation_new(b->rs, &b->arena, fixture_source(&b->x));
	ck_assert_ptr_nonnull(b->ev);
}

static void bench_facts(struct bench *b, const char *facts)
{
	json_decref(b->x.facts);
	b->x.facts = json_of(facts);
}

static void bench_close(struct bench *b)
{
	evaluation_free(&b->ev);
	ruleset_free(&b->rs);
	json_decref(b->x.facts);
	arena_free(&b->x.arena);
	arena_free(&b->arena);
}

/* "NAME,NAME" of what fired, shadow rules in brackets. */
static const char *symbols_of(const struct verdict *v)
{
	static char text[1000];
	struct buf b = BUF_ON(text);

	text[0] = '\0';
	for (size_t i = 0; i < v->symbol_count; i++)
		buf_addf(&b, v->symbols[i].shadow ? "%s[%s]" : "%s%s", i > 0 ? "," : "",
		    v->symbols[i].name);
	return text;
}

/* ---- single conditions: true, false or unknown ---- */

#define LISTS                                                                              \
	"'lists': {'names': {'strings': ['Alpha', 'beta']}, 'nets': {'networks': "         \
	"['192.0.2.0/24', '10.0.0.0/8', '10.1.0.0/16', '2001:db8::/32', '198.51.100.7']}," \
	"'doms': {'domains': ['example.org', '.Sub.Example.NET.']},"                       \
	"'res': {'regexes': ['^ab+$', 'xyz']}, 'globs': {'globs': ['*.exe', 'a?c']}}, "

static const struct {
	const char *when, *facts;
	char is; /* y, n, or ? */
} conditions[] = {
	{ "{'spf.result': 'fail'}", "{'spf.result': 'FAIL'}", 'y' },
	{ "{'spf.result': 'fail'}", "{'spf.result': 'failx'}", 'n' },
	{ "{'spf.result': 'fail'}", "{}", '?' },
	{ "{'spf.result': ['fail', 'softfail']}", "{'spf.result': 'softfail'}", 'y' },
	{ "{'spf.result': ['fail', 'softfail']}", "{'spf.result': 'pass'}", 'n' },
	{ "{'spf.result': {'in': ['fail']}}", "{'spf.result': 'Fail'}", 'y' },
	{ "{'helo.name': {'in': 'names'}}", "{'helo.name': 'ALPHA'}", 'y' },
	{ "{'helo.name': {'in': 'names'}}", "{'helo.name': 'gamma'}", 'n' },
	{ "{'helo.name': {'in': 'names'}}", "{}", '?' },
	{ "{'helo.name': {'in': 'doms'}}", "{'helo.name': 'mx.EXAMPLE.org.'}", 'y' },
	{ "{'helo.name': {'in': 'doms'}}", "{'helo.name': 'badexample.org'}", 'n' },
	{ "{'helo.name': {'in': 'doms'}}", "{'helo.name': 'sub.example.net'}", 'y' },
	{ "{'helo.name': {'in': 'doms'}}", "{'helo.name': 'example.net'}", 'n' },
	{ "{'mail.address': {'in': 'doms'}}", "{'mail.address': 'a@b@mx.example.org'}", 'y' },
	{ "{'mail.address': {'in': 'doms'}}", "{'mail.address': ''}", 'n' },
	{ "{'helo.name': {'in': 'res'}}", "{'helo.name': 'abbb'}", 'y' },
	{ "{'helo.name': {'in': 'res'}}", "{'helo.name': 'ABBB'}", 'n' },
	{ "{'helo.name': {'in': 'globs'}}", "{'helo.name': 'a.EXE'}", 'y' },
	{ "{'helo.name': {'in': 'globs'}}", "{'helo.name': 'abbc'}", 'n' },
	{ "{'client.address': {'in': 'nets'}}", "{'client.address': '192.0.2.255'}", 'y' },
	{ "{'client.address': {'in': 'nets'}}", "{'client.address': '10.255.0.1'}", 'y' },
	{ "{'client.address': {'in': 'nets'}}", "{'client.address': '10.1.2.3'}", 'y' },
	{ "{'client.address': {'in': 'nets'}}", "{'client.address': '11.0.0.0'}", 'n' },
	{ "{'client.address': {'in': 'nets'}}", "{'client.address': '198.51.100.7'}", 'y' },
	{ "{'client.address': {'in': 'nets'}}", "{'client.address': '198.51.100.8'}", 'n' },
	{ "{'client.address': {'in': 'nets'}}", "{'client.address': '2001:db8:1::1'}", 'y' },
	{ "{'client.address': {'in': 'nets'}}", "{'client.address': '2001:db9::1'}", 'n' },
	{ "{'client.address': {'in': 'nets'}}", "{}", '?' },
	{ "{'client.address': '192.0.2.1'}", "{'client.address': '::ffff:192.0.2.1'}", 'y' },
	{ "{'client.address': ['192.0.2.1', '2001:db8::1']}",
	    "{'client.address': '2001:0db8:0::1'}", 'y' },
	{ "{'client.address': {'cidr': ['192.0.2.0/25', '10.0.0.0/8']}}",
	    "{'client.address': '192.0.2.127'}", 'y' },
	{ "{'client.address': {'cidr': '192.0.2.0/25'}}", "{'client.address': '192.0.2.128'}",
	    'n' },
	{ "{'client.address': {'cidr': '0.0.0.0/0'}}", "{'client.address': '255.255.255.255'}",
	    'y' },
	{ "{'client.address': {'cidr': '0.0.0.0/0'}}", "{'client.address': '::1'}", 'n' },
	{ "{'header.subject': {'regex': '(?i)\\\\binvoice\\\\b'}}",
	    "{'header.subject': ['Hello', 'Your Invoice']}", 'y' },
	{ "{'header.subject': {'regex': '(?i)\\\\binvoice\\\\b'}}",
	    "{'header.subject': ['Hello', 'Invoices']}", 'n' },
	{ "{'header.Subject': {'regex': '(?i)\\\\bÜBER\\\\b'}}",
	    "{'header.subject': ['geht über alles']}", 'y' },
	{ "{'header.subject': {'regex': 'x'}}", "{'header.subject': []}", 'n' },
	{ "{'header.subject': {'regex': 'x'}}", "{}", '?' },
	{ "{'header.subject': {'regex': ['x', 'y']}}", "{'header.subject': ['y']}", 'y' },
	{ "{'header.subject': {'regex': '^a', 'contains': 'b'}}", "{'header.subject': ['a', 'b']}",
	    'n' },
	{ "{'header.subject': {'regex': '^a', 'contains': 'b'}}", "{'header.subject': ['a', 'ab']}",
	    'y' },
	{ "{'helo.name': {'glob': 'mx*.exa?ple.?r?*'}}", "{'helo.name': 'MX01.example.org'}", 'y' },
	{ "{'helo.name': {'glob': 'mx*.exa?ple.?r?*'}}", "{'helo.name': 'mx01.example.info'}",
	    'n' },
	{ "{'helo.name': {'glob': '*'}}", "{'helo.name': ''}", 'y' },
	{ "{'helo.name': {'glob': '*a*a*a*'}}", "{'helo.name': 'baab'}", 'n' },
	{ "{'helo.name': {'contains': 'DYN'}}", "{'helo.name': 'x.dyn.example'}", 'y' },
	{ "{'helo.name': {'contains': ['foo', 'dyn']}}", "{'helo.name': 'x.dyn.example'}", 'y' },
	{ "{'helo.name': {'contains': 'foo'}}", "{'helo.name': 'fo'}", 'n' },
	{ "{'helo.name': {'domain': 'example.org'}}", "{'helo.name': 'a.b.example.org'}", 'y' },
	{ "{'helo.name': {'domain': 'example.org'}}", "{'helo.name': 'example.org.evil.example'}",
	    'n' },
	{ "{'rcpt.address': {'domain': ['a.example', 'example.org']}}",
	    "{'rcpt.address': ['x@b.example', 'y@EXAMPLE.org']}", 'y' },
	{ "{'bayes.spam': {'ge': 0.5, 'lt': 0.9}}", "{'bayes.spam': 0.5}", 'y' },
	{ "{'bayes.spam': {'ge': 0.5, 'lt': 0.9}}", "{'bayes.spam': 0.9}", 'n' },
	{ "{'bayes.spam': {'ge': 0.5, 'lt': 0.9}}", "{}", '?' },
	{ "{'bayes.spam': {'gt': 0.5}}", "{'bayes.spam': 0.5}", 'n' },
	{ "{'bayes.spam': {'le': 0.5}}", "{'bayes.spam': 0.5}", 'y' },
	{ "{'rcpt.count': 2}", "{'rcpt.count': 2}", 'y' },
	{ "{'rcpt.count': [1, 3]}", "{'rcpt.count': 2}", 'n' },
	{ "{'rcpt.count': {'in': [1, 2]}}", "{'rcpt.count': 2}", 'y' },
	{ "{'virus.found': true}", "{'virus.found': true}", 'y' },
	{ "{'virus.found': false}", "{'virus.found': true}", 'n' },
	{ "{'virus.found': false}", "{}", '?' },
	{ "{'virus.name': {'exists': true}}", "{}", 'n' },
	{ "{'virus.name': {'exists': false}}", "{}", 'y' },
	{ "{'virus.name': {'exists': true}}", "{'virus.name': ''}", 'n' },
	{ "{'virus.name': {'exists': true}}", "{'virus.name': 'x'}", 'y' },
	{ "{'virus.found': {'exists': true}}", "{'virus.found': false}", 'y' },
	{ "{'header.date': {'exists': false}}", "{'header.date': []}", 'y' },
	{ "{'header.date': {'exists': true}}", "{'header.date': ['']}", 'y' },
	{ "{'virus.name': {'unknown': true}}", "{}", 'y' },
	{ "{'virus.name': {'unknown': true}}", "{'virus.name': ''}", 'n' },
	{ "{'virus.name': {'unknown': false}}", "{}", 'n' },
	{ "{'header.received': {'count': 2}}", "{'header.received': ['a', 'b']}", 'y' },
	{ "{'header.received': {'count': {'ge': 3}}}", "{'header.received': ['a', 'b']}", 'n' },
	{ "{'header.received': {'count': {'ge': 1, 'lt': 3}}}", "{'header.received': ['a', 'b']}",
	    'y' },
	{ "{'header.received': {'count': 0}}", "{'header.received': []}", 'y' },
	{ "{'header.received': {'count': 0}}", "{}", '?' },
	{ "{'attachments': {'count': {'gt': 0}}}", "{'attachments': [{'name': 'x'}]}", 'y' },
	{ "{'attachments': {'some': {'extension': 'js'}}}",
	    "{'attachments': [{'extension': 'pdf'}, {'extension': 'js'}]}", 'y' },
	{ "{'attachments': {'some': {'extension': 'js'}}}",
	    "{'attachments': [{'extension': 'pdf'}]}", 'n' },
	{ "{'attachments': {'some': {'extension': 'js'}}}", "{'attachments': []}", 'n' },
	{ "{'attachments': {'some': {'extension': 'js'}}}",
	    "{'attachments': [{'extension': 'pdf'}, {'name': 'x'}]}", '?' },
	{ "{'attachments': {'some': {'extension': 'js', 'size': {'gt': 10}}}}",
	    "{'attachments': [{'extension': 'js', 'size': 5}, {'extension': 'pdf', 'size': 50}]}",
	    'n' },
	{ "{'attachments': {'some': {'any': [{'extension': 'js'}, {'not': {'size': {'gt': "
	  "10}}}]}}}",
	    "{'attachments': [{'extension': 'pdf', 'size': 5}]}", 'y' },
	{ "{'attachments': {'every': {'extension': 'pdf'}}}",
	    "{'attachments': [{'extension': 'pdf'}, {'extension': 'js'}]}", 'n' },
	{ "{'attachments': {'every': {'extension': 'pdf'}}}", "{'attachments': []}", 'y' },
	{ "{'attachments': {'every': {'extension': 'pdf'}}}", "{}", '?' },
	{ "{'attachments': {'every': {'extension': 'pdf'}}}",
	    "{'attachments': [{'extension': 'pdf'}, {}]}", '?' },
	{ "{'attachments': {'none': {'extension': 'js'}}}",
	    "{'attachments': [{'extension': 'pdf'}]}", 'y' },
	{ "{'attachments': {'none': {'extension': 'js'}}}",
	    "{'attachments': [{'extension': 'js'}]}", 'n' },
	{ "{'attachments': {'exists': true}}", "{'attachments': []}", 'n' },
	{ "{'attachments[].name': {'regex': '\\\\.js$'}}",
	    "{'attachments': [{'name': 'a.pdf'}, {'name': 'b.js'}]}", 'y' },
	{ "{'attachments[].name': 'a.pdf'}", "{'attachments': []}", 'n' },
	{ "{'attachments[].name': 'a.pdf'}", "{}", '?' },
	{ "{'attachments[].size': {'gt': 5}}", "{'attachments': [{'size': 6}]}", 'y' },
	{ "{'attachments[].name': {'exists': true}}", "{'attachments': [{'size': 6}]}", 'n' },
	{ "{'attachments[].name': {'exists': true}}", "{'attachments': [{'name': 'x'}]}", 'y' },
	{ "{'header.from.addr': {'same_domain_as': 'mail.address'}}",
	    "{'header.from.addr': ['a@mail.example.org'], 'mail.address': 'b@Example.org'}", 'y' },
	{ "{'header.from.addr': {'same_domain_as': 'mail.address'}}",
	    "{'header.from.addr': ['a@example.org'], 'mail.address': 'b@x.example.org'}", 'y' },
	{ "{'header.from.addr': {'same_domain_as': 'mail.address'}}",
	    "{'header.from.addr': ['a@example.org'], 'mail.address': 'b@example.com'}", 'n' },
	{ "{'header.from.addr': {'same_domain_as': 'mail.address'}}",
	    "{'header.from.addr': ['a@example.org'], 'mail.address': ''}", 'n' },
	{ "{'header.from.addr': {'same_domain_as': 'mail.address'}}",
	    "{'header.from.addr': ['a@example.org']}", '?' },
	{ "{'urls[].host': {'same_domain_as': 'rcpt.address'}}",
	    "{'urls': [{'host': 'x.example'}, {'host': 'www.b.example'}], 'rcpt.address': "
	    "['q@c.example', 'q@b.example']}",
	    'y' },
	{ "{'urls': {'some': {'host': {'same_domain_as': 'mail.address'}}}}",
	    "{'urls': [{'host': 'www.b.example'}], 'mail.address': 'q@b.example'}", 'y' },
	{ "{'mail.address': {'same_domain_as': 'urls[].host'}}",
	    "{'urls': [{'host': 'b.example'}], 'mail.address': 'q@b.example'}", 'y' },
	{ "{'all': [{'spf.result': 'fail'}, {'bayes.spam': 1}]}",
	    "{'spf.result': 'fail', 'bayes.spam': 1}", 'y' },
	{ "{'all': [{'spf.result': 'fail'}, {'bayes.spam': 1}]}", "{'spf.result': 'fail'}", '?' },
	{ "{'all': [{'spf.result': 'fail'}, {'bayes.spam': 1}]}", "{'bayes.spam': 2}", 'n' },
	{ "{'any': [{'spf.result': 'fail'}, {'bayes.spam': 1}]}", "{'bayes.spam': 1}", 'y' },
	{ "{'any': [{'spf.result': 'fail'}, {'bayes.spam': 1}]}", "{'bayes.spam': 2}", '?' },
	{ "{'any': [{'spf.result': 'fail'}, {'bayes.spam': 1}]}",
	    "{'bayes.spam': 2, 'spf.result': 'x'}", 'n' },
	{ "{'spf.result': 'fail', 'bayes.spam': 1}", "{'spf.result': 'fail', 'bayes.spam': 2}",
	    'n' },
	{ "{'not': {'not': {'spf.result': 'fail'}}}", "{'spf.result': 'fail'}", 'y' },
	{ "{'not': {'spf.result': 'fail'}}", "{}", '?' },
	{ "{'at_least': 2, 'of': [{'spf.result': 'fail'}, {'bayes.spam': 1}, {'helo.name': 'x'}]}",
	    "{'spf.result': 'fail', 'helo.name': 'x'}", 'y' },
	{ "{'at_least': 2, 'of': [{'spf.result': 'fail'}, {'bayes.spam': 1}, {'helo.name': 'x'}]}",
	    "{'spf.result': 'fail', 'helo.name': 'y'}", '?' },
	{ "{'at_least': 2, 'of': [{'spf.result': 'fail'}, {'bayes.spam': 1}, {'helo.name': 'x'}]}",
	    "{'spf.result': 'fail', 'helo.name': 'y', 'bayes.spam': 0}", 'n' },
	{ "{'at_least': 1, 'of': [{'spf.result': 'fail'}], 'helo.name': 'x'}",
	    "{'spf.result': 'fail', 'helo.name': 'y'}", 'n' },
	{ "{'rule': 'YES'}", "{}", 'y' },
	{ "{'rule': 'NO'}", "{}", 'n' },
	{ "{'rule': 'MAYBE'}", "{}", '?' },
	{ "{'group': 'g', 'ge': 5.5}", "{}", 'y' },
	{ "{'group': 'g', 'gt': 5.5}", "{}", 'n' },
	{ "{'group': 'g', 'lt': 6, 'gt': 5}", "{}", 'y' },
	{ "{'group': 'g'}", "{}", 'y' },
	{ "{'group': 'e'}", "{}", 'n' },
	{ "{'// why': 'a comment', 'spf.result': 'fail'}", "{'spf.result': 'fail'}", 'y' },
	{ "{'all': [{'//': 'because', 'spf.result': 'fail'}]}", "{'spf.result': 'fail'}", 'y' },
};

static bool fires(const char *format, size_t i)
{
	struct bytes text = { 0 };
	struct bench b;
	bool fired;

	(void)bytes_addf(&text, "{%s'rules': {'R': {'when': ", LISTS);
	(void)bytes_addf(&text, "%s%s%s", format[0] == 'n' ? "{'not': " : "", conditions[i].when,
	    format[0] == 'n' ? "}" : "");
	(void)bytes_add(&text,
	    SLICE("}, 'YES': {'when': {'mail.null': true}}, "
		  "'NO': {'when': {'mail.null': false}}, "
		  "'MAYBE': {'when': {'client.name': 'x'}}, "
		  "'G1': {'group': 'g', 'score': 2.5, 'when': {'mail.null': true}}, "
		  "'G2': {'group': 'g', 'score': 3, 'when': {'mail.null': true}}, "
		  "'G3': {'group': 'g', 'score': 9, 'when': {'mail.null': false}}, "
		  "'G4': {'group': 'g', 'score': 7, 'shadow': true, 'when': "
		  "{'mail.null': true}}, "
		  "'E1': {'group': 'e', 'when': {'mail.null': false}}}}"));
	bench_open(&b, text.p, conditions[i].facts);
	if (json_object_get(b.x.facts, "mail.null") == NULL)
		json_object_set_new(b.x.facts, "mail.null", json_true());
	ck_assert(evaluation_run(b.ev, STAGE_EOM));
	fired = false;
	for (size_t s = 0; s < evaluation_verdict(b.ev)->symbol_count; s++)
		fired |= strcmp(evaluation_verdict(b.ev)->symbols[s].name, "R") == 0;
	bench_close(&b);
	bytes_free(&text);
	return fired;
}

START_TEST(condition)
{
	char is = fires("", (size_t)_i) ? 'y' : fires("not", (size_t)_i) ? 'n' : '?';

	ck_assert_msg(is == conditions[_i].is, "%s over %s is %c", conditions[_i].when,
	    conditions[_i].facts, is);
}
END_TEST

/* ---- whole sets ---- */

static const struct {
	const char *rules, *facts, *action;
	double score;
	const char *symbols, *reply, *stage;
} sets[] = {
	{ "{}", "{'message.size': 1}", "deliver", 0, "", NULL, "eom" },
	{ "{'policies': {'default': {'at': {'4': 'tag', '8': 'quarantine', '15': 'reject'}, "
	  "'replies': {'reject': '550 5.7.1 Refused, ${verdict.score} points'}, 'quarantine': "
	  "'spam'}}, 'rules': {'A': {'when': {'message.size': 1}, 'score': 3.9}}}",
	    "{'message.size': 1}", "deliver", 3.9, "A", NULL, "eom" },
	{ "{'policies': {'default': {'at': {'4': 'tag', '8': 'quarantine', '15': 'reject'}, "
	  "'replies': {'reject': '550 5.7.1 Refused, ${verdict.score} points'}, 'quarantine': "
	  "'spam'}}, 'rules': {'A': {'when': {'message.size': 1}, 'score': 4}}}",
	    "{'message.size': 1}", "tag", 4, "A", NULL, "eom" },
	{ "{'policies': {'default': {'at': {'4': 'tag', '8': 'quarantine', '15': 'reject'}, "
	  "'replies': {'reject': '550 5.7.1 Refused, ${verdict.score} points'}, 'quarantine': "
	  "'spam'}}, 'rules': {'A': {'when': {'message.size': 1}, 'score': 5}, 'B': {'when': "
	  "{'message.size': 1}, 'score': -1.5}}}",
	    "{'message.size': 1}", "deliver", 3.5, "A,B", NULL, NULL },
	{ "{'policies': {'default': {'at': {'4': 'tag', '8': 'quarantine', '15': 'reject'}, "
	  "'replies': {'reject': '550 5.7.1 Refused, ${verdict.score} points'}, 'quarantine': "
	  "'spam'}}, 'rules': {'A': {'when': {'message.size': 1}, 'score': 5}, 'B': {'when': "
	  "{'message.size': 1}, 'score': 3}}}",
	    "{'message.size': 1}", "quarantine", 8, "A,B", NULL, NULL },
	{ "{'policies': {'default': {'at': {'4': 'tag', '8': 'quarantine', '15': 'reject'}, "
	  "'replies': {'reject': '550 5.7.1 Refused, ${verdict.score} points'}, 'quarantine': "
	  "'spam'}}, 'rules': {'A': {'when': {'message.size': 1}, 'score': 5}, 'B': {'when': "
	  "{'message.size': 1}, 'score': 10}}}",
	    "{'message.size': 1}", "reject", 15, "A,B", "550 5.7.1 Refused, 15.0 points", "eom" },
	{ "{'policies': {'default': {'at': {'4': 'tag', '8': 'quarantine', '15': 'reject'}, "
	  "'replies': {'reject': '550 5.7.1 Refused, ${verdict.score} points'}, 'quarantine': "
	  "'spam'}}, 'rules': {'A0': {'when': {'message.size': 1}, 'score': 0.1}, 'A1': {'when': "
	  "{'message.size': 1}, 'score': 0.1}, 'A2': {'when': {'message.size': 1}, 'score': 0.1}, "
	  "'A3': {'when': {'message.size': 1}, 'score': 0.1}, 'A4': {'when': {'message.size': 1}, "
	  "'score': 0.1}, 'A5': {'when': {'message.size': 1}, 'score': 0.1}, 'A6': {'when': "
	  "{'message.size': 1}, 'score': 0.1}, 'A7': {'when': {'message.size': 1}, 'score': 0.1}, "
	  "'A8': {'when': {'message.size': 1}, 'score': 0.1}, 'A9': {'when': {'message.size': 1}, "
	  "'score': 0.1}, 'B': {'when': {'message.size': 1}, 'score': 3}}}",
	    "{'message.size': 1}", "tag", 4, "A0,A1,A2,A3,A4,A5,A6,A7,A8,A9,B", NULL, NULL },
	{ "{'policies': {'default': {'at': {'4': 'tag', '8': 'quarantine', '15': 'reject'}, "
	  "'replies': {'reject': '550 5.7.1 Refused, ${verdict.score} points'}, 'quarantine': "
	  "'spam'}}, 'rules': {'S': {'shadow': true, 'when': {'message.size': 1}, 'score': 50, "
	  "'reject': '550 5.7.1 x'}, 'A': {'when': {'message.size': 1}, 'score': 1}}}",
	    "{'message.size': 1}", "deliver", 1, "A,[S]", NULL, NULL },
	{ "{'policies': {'default': {'at': {'4': 'tag', '8': 'quarantine', '15': 'reject'}, "
	  "'replies': {'reject': '550 5.7.1 Refused, ${verdict.score} points'}, 'quarantine': "
	  "'spam'}}, 'rules': {'W': {'when': {'message.size': 1}, 'accept': true}, 'A': {'when': "
	  "{'message.size': 1}, 'score': 50}}}",
	    "{'message.size': 1}", "accept", 50, "A,W", NULL, "eom" },
	{ "{'rules': {'A': {'when': {'client.address': '192.0.2.1'}, 'reject': '554 5.7.1 Go away, "
	  "${client.address}'}, 'B': {'when': {'message.size': 1}}}}",
	    "{'client.address': '192.0.2.1', 'message.size': 1}", "reject", 0, "A",
	    "554 5.7.1 Go away, 192.0.2.1", "connect" },
	{ "{'rules': {'A': {'when': {'client.address': '192.0.2.1'}, 'reject': '554 5.7.1 "
	  "${mail.address}'}}}",
	    "{'client.address': '192.0.2.1', 'mail.address': 'a@b'}", "reject", 0, "A",
	    "554 5.7.1 a@b", "mail" },
	{ "{'rules': {'ACC': {'when': {'virus.found': true}, 'accept': true}, 'DIS': {'when': "
	  "{'virus.found': true}, 'discard': true}, 'REJ': {'when': {'virus.found': true}, "
	  "'reject': '550 5.7.1 x'}, 'TMP': {'when': {'virus.found': true}, 'tempfail': '451 4.7.1 "
	  "x'}}}",
	    "{'virus.found': true}", "reject", 0, "ACC,DIS,REJ,TMP", "550 5.7.1 x", NULL },
	{ "{'rules': {'ACC': {'when': {'virus.found': true}, 'accept': true}, 'TMP': {'when': "
	  "{'virus.found': true}, 'tempfail': '451 4.7.1 x'}}}",
	    "{'virus.found': true}", "tempfail", 0, "ACC,TMP", "451 4.7.1 x", NULL },
	{ "{'rules': {'EARLY': {'when': {'helo.name': 'x'}, 'accept': true}, 'REJ': {'when': "
	  "{'virus.found': true}, 'reject': '550 5.7.1 x'}}}",
	    "{'virus.found': true, 'helo.name': 'x'}", "accept", 0, "EARLY", NULL, "helo" },
	{ "{'rules': {'D': {'when': {'helo.name': 'x'}, 'discard': true}}}", "{'helo.name': 'x'}",
	    "discard", 0, "D", NULL, "helo" },
	{ "{'policies': {'default': {'at': {'4': 'tag', '8': 'quarantine', '15': 'reject'}, "
	  "'replies': {'reject': '550 5.7.1 Refused, ${verdict.score} points'}, 'quarantine': "
	  "'spam'}}, 'rules': {'Q': {'when': {'message.size': 1}, 'quarantine': 'look at it', "
	  "'score': 1}}}",
	    "{'message.size': 1}", "quarantine", 1, "Q", NULL, NULL },
	{ "{'policies': {'default': {'at': {'4': 'tag', '8': 'quarantine', '15': 'reject'}, "
	  "'replies': {'reject': '550 5.7.1 Refused, ${verdict.score} points'}, 'quarantine': "
	  "'spam'}}, 'rules': {'Q': {'when': {'message.size': 1}, 'quarantine': 'look at it', "
	  "'score': 20}}}",
	    "{'message.size': 1}", "reject", 20, "Q", "550 5.7.1 Refused, 20.0 points", NULL },
	{ "{'policies': {'default': {'at': {'4': 'tag', '8': 'quarantine', '15': 'reject'}, "
	  "'replies': {'reject': '550 5.7.1 Refused, ${verdict.score} points'}, 'quarantine': "
	  "'spam'}}, 'rules': {'T': {'when': {'message.size': 1}, 'tag': true}}}",
	    "{'message.size': 1}", "tag", 0, "T", NULL, NULL },
	{ "{'policies': {'default': {'at': {'4': 'tag', '8': 'quarantine', '15': 'reject'}, "
	  "'replies': {'reject': '550 5.7.1 Refused, ${verdict.score} points'}, 'quarantine': "
	  "'spam'}}, 'rules': {'T': {'when': {'message.size': 1}, 'tag': true, 'score': 9}}}",
	    "{'message.size': 1}", "quarantine", 9, "T", NULL, NULL },
	{ "{'policies': {'default': {'at': {'2': 'tempfail', '5': 'discard'}, 'replies': "
	  "{'tempfail': '451 4.7.1 Later'}}}, 'rules': {'A': {'when': {'message.size': 1}, "
	  "'score': 3}}}",
	    "{'message.size': 1}", "tempfail", 3, "A", "451 4.7.1 Later", NULL },
	{ "{'policies': {'default': {'at': {'2': 'tempfail', '5': 'discard'}}}, 'rules': {'A': "
	  "{'when': {'message.size': 1}, 'score': 6}}}",
	    "{'message.size': 1}", "discard", 6, "A", NULL, NULL },
	{ "{'policies': {'default': {'at': {'-1': 'tag'}}}, 'rules': {'A': {'when': "
	  "{'message.size': 1}, 'score': -1}}}",
	    "{'message.size': 1}", "tag", -1, "A", NULL, NULL },
	{ "{'settings': {'split_reply': '452 4.5.3 x'}, 'policies': {'b': {'for': {'rcpt.address': "
	  "{'domain': 'b.example'}}, 'at': {'1': 'tag'}}, 'a': {'for': {'rcpt.address': "
	  "'x@b.example'}, 'at': {'9': 'tag'}}}, 'rules': {'A': {'when': {'message.size': 1}, "
	  "'score': 2}}}",
	    "{'message.size': 1, 'rcpt.address': ['y@b.example']}", "tag", 2, "A", NULL, NULL },
	{ "{'settings': {'split_reply': '452 4.5.3 x'}, 'policies': {'b': {'for': {'rcpt.address': "
	  "{'domain': 'b.example'}}, 'at': {'1': 'tag'}}, 'a': {'for': {'rcpt.address': "
	  "'x@b.example'}, 'at': {'9': 'tag'}}}, 'rules': {'A': {'when': {'message.size': 1}, "
	  "'score': 2}}}",
	    "{'message.size': 1, 'rcpt.address': ['x@b.example']}", "deliver", 2, "A", NULL, NULL },
	{ "{'rules': {'B': {'when': {'rule': 'A'}, 'score': 1}, 'A': {'when': {'rule': 'C'}, "
	  "'score': 1}, 'C': {'when': {'message.size': 1}, 'score': 1}}}",
	    "{'message.size': 1}", "deliver", 3, "C,A,B", NULL, NULL },
	{ "{'rules': {'G1': {'group': 'g', 'when': {'message.size': 1}, 'score': 1}, 'G2': "
	  "{'group': 'g', 'when': {'helo.name': 'x'}, 'score': 2}, 'A_SUM': {'when': {'group': "
	  "'g', 'ge': 3}, 'score': 4}}}",
	    "{'message.size': 1, 'helo.name': 'x'}", "deliver", 7, "G2,G1,A_SUM", NULL, NULL },
	{ "{'rules': {'REJ': {'when': {'message.size': 1}, 'reject': '550-5.7.1 one\\n550 5.7.1 "
	  "two ${helo.name}'}}}",
	    "{'message.size': 1, 'helo.name': 'a\\r\\nb\\tü'}", "reject", 0, "REJ",
	    "550-5.7.1 one\n550 5.7.1 two ab?", NULL },
	{ "{'rules': {'N': {'when': {'not': {'rcpt.address': 'a@b'}}, 'score': 1}}}", "{}",
	    "deliver", 0, "", NULL, NULL },
};

START_TEST(whole)
{
	struct bench b;
	const struct verdict *v;

	bench_open(&b, sets[_i].rules, sets[_i].facts);
	for (int stage = 0; stage < STAGE_COUNT; stage++)
		if (evaluation_run(b.ev, (enum stage)stage))
			break;
	v = evaluation_verdict(b.ev);
	ck_assert_str_eq(action_names[v->action], sets[_i].action);
	ck_assert_double_eq_tol(v->score, sets[_i].score, 1e-9);
	ck_assert_str_eq(symbols_of(v), sets[_i].symbols);
	if (sets[_i].reply == NULL)
		ck_assert_ptr_null(v->reply.p);
	else
		ck_assert_slice_eq(v->reply, sets[_i].reply);
	if (sets[_i].stage != NULL)
		ck_assert_str_eq(stage_names[v->stage], sets[_i].stage);
	bench_close(&b);
}
END_TEST

/* ---- edits ---- */

static const char *const edit_names[] = { "add", "set", "remove", "add_rcpt", "remove_rcpt",
	"quarantine", "prefix" };

static const struct {
	const char *rules, *facts, *edits; /* one a line: "add X-Foo: text" */
} edited[] = {
	{ "{'headers': {'remove': ['X-Spam-*'], 'add': {'X-Spam-Status': '${verdict.yesno}, "
	  "score=${verdict.score} required=${verdict.required} tests=${verdict.tests}', "
	  "'X-Spam-Score': '${verdict.score}'}, 'add_when_tagged': {'X-Spam-Flag': "
	  "'${verdict.flag}', 'X-Spam-Level': '${verdict.level}'}, 'subject_prefix_when_tagged': "
	  "'[Spam] '}, 'policies': {'default': {'at': {'4': 'tag', '8': 'quarantine', '15': "
	  "'reject'}, 'replies': {'reject': '550 5.7.1 Refused, ${verdict.score} points'}, "
	  "'quarantine': 'spam'}}}",
	    "{'message.size': 1}",
	    "remove X-Spam-*\nadd X-Spam-Status: No, score=0.0 required=4.0 tests=none\nadd "
	    "X-Spam-Score: 0.0\n" },
	{ "{'headers': {'remove': ['X-Spam-*'], 'add': {'X-Spam-Status': '${verdict.yesno}, "
	  "score=${verdict.score} required=${verdict.required} tests=${verdict.tests}', "
	  "'X-Spam-Score': '${verdict.score}'}, 'add_when_tagged': {'X-Spam-Flag': "
	  "'${verdict.flag}', 'X-Spam-Level': '${verdict.level}'}, 'subject_prefix_when_tagged': "
	  "'[Spam] '}, 'policies': {'default': {'at': {'4': 'tag', '8': 'quarantine', '15': "
	  "'reject'}, 'replies': {'reject': '550 5.7.1 Refused, ${verdict.score} points'}, "
	  "'quarantine': 'spam'}}, 'rules': {'A': {'when': {'message.size': 1}, 'score': 5.25}}}",
	    "{'message.size': 1}",
	    "remove X-Spam-*\nadd X-Spam-Status: Yes, score=5.25 required=4.0 tests=A\nadd "
	    "X-Spam-Score: 5.25\nadd X-Spam-Flag: YES\nadd X-Spam-Level: *****\nprefix: [Spam] "
	    "\n" },
	{ "{'headers': {'remove': ['X-Spam-*'], 'add': {'X-Spam-Status': '${verdict.yesno}, "
	  "score=${verdict.score} required=${verdict.required} tests=${verdict.tests}', "
	  "'X-Spam-Score': '${verdict.score}'}, 'add_when_tagged': {'X-Spam-Flag': "
	  "'${verdict.flag}', 'X-Spam-Level': '${verdict.level}'}, 'subject_prefix_when_tagged': "
	  "'[Spam] '}, 'policies': {'default': {'at': {'4': 'tag', '8': 'quarantine', '15': "
	  "'reject'}, 'replies': {'reject': '550 5.7.1 Refused, ${verdict.score} points'}, "
	  "'quarantine': 'spam'}}, 'rules': {'A': {'when': {'message.size': 1}, 'score': 9}}}",
	    "{'message.size': 1}",
	    "remove X-Spam-*\nquarantine: spam\nadd X-Spam-Status: Yes, score=9.0 required=4.0 "
	    "tests=A\nadd X-Spam-Score: 9.0\nadd X-Spam-Flag: YES\nadd X-Spam-Level: "
	    "*********\nprefix: [Spam] \n" },
	{ "{'headers': {'remove': ['X-Spam-*'], 'add': {'X-Spam-Status': '${verdict.yesno}, "
	  "score=${verdict.score} required=${verdict.required} tests=${verdict.tests}', "
	  "'X-Spam-Score': '${verdict.score}'}, 'add_when_tagged': {'X-Spam-Flag': "
	  "'${verdict.flag}', 'X-Spam-Level': '${verdict.level}'}, 'subject_prefix_when_tagged': "
	  "'[Spam] '}, 'policies': {'default': {'at': {'4': 'tag', '8': 'quarantine', '15': "
	  "'reject'}, 'replies': {'reject': '550 5.7.1 Refused, ${verdict.score} points'}, "
	  "'quarantine': 'spam'}}, 'rules': {'A': {'when': {'message.size': 1}, 'score': 20}}}",
	    "{'message.size': 1}", "" },
	{ "{'headers': {'remove': ['X-Spam-*'], 'add': {'X-Spam-Status': '${verdict.yesno}, "
	  "score=${verdict.score} required=${verdict.required} tests=${verdict.tests}', "
	  "'X-Spam-Score': '${verdict.score}'}, 'add_when_tagged': {'X-Spam-Flag': "
	  "'${verdict.flag}', 'X-Spam-Level': '${verdict.level}'}, 'subject_prefix_when_tagged': "
	  "'[Spam] '}, 'rules': {'A': {'when': {'message.size': 1}, 'score': 1}, 'B': {'when': "
	  "{'message.size': 1}, 'score': -3}}}",
	    "{'message.size': 1}",
	    "remove X-Spam-*\nadd X-Spam-Status: No, score=-2.0 required=- tests=A,B\nadd "
	    "X-Spam-Score: -2.0\n" },
	{ "{'rules': {'A': {'when': {'message.size': 1}, 'add_header': {'X-A': '${header.subject} "
	  "${virus.name}'}, 'set_header': {'X-B': '${attachments[].name}'}, 'remove_header': "
	  "['X-C'], 'subject_prefix': '[${spf.result}] ', 'add_rcpt': ['c@d', 'e@f'], "
	  "'remove_rcpt': 'g@h'}}}",
	    "{'message.size': 1, 'header.subject': ['evil\\r\\nX-Inject: 1', 'b'], 'attachments': "
	    "[{'name': 'x'}, {'name': 'y'}], 'spf.result': 'fail'}",
	    "add X-A: evilX-Inject: 1, b \nset X-B: x, y\nremove X-C\nprefix: [fail] \nadd_rcpt: "
	    "c@d\nadd_rcpt: e@f\nremove_rcpt: g@h\n" },
	{ "{'rules': {'A': {'when': {'message.size': 1}, 'redirect': 'abuse@example.org'}}}",
	    "{'message.size': 1}", "remove_rcpt: *\nadd_rcpt: abuse@example.org\n" },
	{ "{'rules': {'A': {'shadow': true, 'when': {'message.size': 1}, 'add_header': {'X': 'y'}, "
	  "'quarantine': 'x'}}}",
	    "{'message.size': 1}", "" },
	{ "{'rules': {'A': {'when': {'message.size': 1}, 'quarantine': 'found by "
	  "${verdict.rule}'}}}",
	    "{'message.size': 1}", "quarantine: found by A\n" },
	{ "{'policies': {'default': {'at': {'1': 'quarantine'}}}, 'rules': {'A': {'when': "
	  "{'message.size': 1}, 'score': 1}}}",
	    "{'message.size': 1}", "quarantine: default\n" },
	{ "{'rules': {'A': {'when': {'message.size': 1}, 'add_header': {'X-A': '$${x} $$ $ "
	  "${message.size} $'}}}}",
	    "{'message.size': 1}", "add X-A: ${x} $$ $ 1 $\n" },
	{ "{'rules': {'A': {'when': {'helo.name': 'x'}, 'accept': true, 'add_header': {'X-A': "
	  "'${verdict.action} at ${verdict.stage} by ${verdict.rule}, ${verdict.policy}: "
	  "${verdict.scores}'}}}}",
	    "{'helo.name': 'x'}", "add X-A: accept at helo by A, default: A=0.0\n" },
	{ "{'headers': {'add': {'X-Top': '1'}}, 'settings': {'split_reply': '452 4.5.3 x'}, "
	  "'policies': {'own': {'for': {'rcpt.address': 'a@b'}, 'headers': {'add': {'X-Own': "
	  "'1'}}}}}",
	    "{'rcpt.address': ['a@b']}", "add X-Own: 1\n" },
	{ "{'headers': {'add': {'X-Top': '1'}}, 'settings': {'split_reply': '452 4.5.3 x'}, "
	  "'policies': {'own': {'for': {'rcpt.address': 'a@b'}}}}",
	    "{'rcpt.address': ['a@b']}", "add X-Top: 1\n" },
	{ "{'headers': {'add': {'X-Spam-Status': 'tests=${verdict.tests}'}}, 'rules': "
	  "{'LONG_RULE_NAME_00': {'when': {'message.size': 1}, 'score': 0}, 'LONG_RULE_NAME_01': "
	  "{'when': {'message.size': 1}, 'score': 0}, 'LONG_RULE_NAME_02': {'when': "
	  "{'message.size': 1}, 'score': 0}, 'LONG_RULE_NAME_03': {'when': {'message.size': 1}, "
	  "'score': 0}, 'LONG_RULE_NAME_04': {'when': {'message.size': 1}, 'score': 0}, "
	  "'LONG_RULE_NAME_05': {'when': {'message.size': 1}, 'score': 0}, 'LONG_RULE_NAME_06': "
	  "{'when': {'message.size': 1}, 'score': 0}, 'LONG_RULE_NAME_07': {'when': "
	  "{'message.size': 1}, 'score': 0}, 'LONG_RULE_NAME_08': {'when': {'message.size': 1}, "
	  "'score': 0}, 'LONG_RULE_NAME_09': {'when': {'message.size': 1}, 'score': 0}}}",
	    "{'message.size': 1}",
	    "add X-Spam-Status: "
	    "tests=LONG_RULE_NAME_00,LONG_RULE_NAME_01,\n\tLONG_RULE_NAME_02,LONG_RULE_NAME_03,"
	    "LONG_RULE_NAME_04,\n\tLONG_RULE_NAME_05,LONG_RULE_NAME_06,LONG_RULE_NAME_07,\n\tLONG_"
	    "RULE_NAME_08,LONG_RULE_NAME_09\n" },
	{ "{'headers': {'add': {'X-Text': '${body.text}'}}}",
	    "{'body.text': "
	    "'ääääääääääääääääääääääääääääääääääääääääääääääääääbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	    "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	    "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb'}",
	    "add X-Text: "
	    "??????????????????????????????????????????????????"
	    "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	    "bbbbbbbbbbbbbb\n" },
};

START_TEST(edits)
{
	struct bytes text = { 0 };
	const struct verdict *v;
	struct bench b;

	bench_open(&b, edited[_i].rules, edited[_i].facts);
	(void)evaluation_run(b.ev, STAGE_EOM);
	v = evaluation_verdict(b.ev);
	(void)bytes_add(&text, SLICE(""));
	for (size_t i = 0; i < v->edit_count; i++) {
		const struct edit *e = &v->edits[i];

		(void)bytes_addf(&text, "%s%s%.*s%s%.*s\n", edit_names[e->kind],
		    e->name.n > 0 ? " " : "", SLICE_ARG(e->name), e->value.n > 0 ? ": " : "",
		    SLICE_ARG(e->value));
	}
	ck_assert_str_eq(text.p, edited[_i].edits);
	bytes_free(&text);
	bench_close(&b);
}
END_TEST

/* ---- recipients ---- */

#define RCPT_RULES                                                                          \
	"{'rules': {"                                                                       \
	"'CLIENT': {'when': {'client.address': '192.0.2.1'}, 'score': 1},"                  \
	"'TRAP': {'when': {'rcpt.address': 'trap@x.example'}, 'score': 5},"                 \
	"'GONE': {'when': {'rcpt.address': 'gone@x.example'}, 'score': 2,"                  \
	"  'reject': '550 5.1.1 ${rcpt.address} is gone'},"                                 \
	"'GONE_TOO': {'when': {'rule': 'GONE'}, 'score': 2},"                               \
	"'FRIEND': {'when': {'rcpt.address': {'glob': 'friend*'}}, 'accept': true},"        \
	"'LATE': {'when': {'rule': 'TRAP', 'body.text': {'contains': 'x'}}, 'score': 0.5}," \
	"'MANY': {'when': {'rcpt.address': {'count': {'ge': 2}}, 'message.size': 1}}"       \
	"}, 'settings': {'split_reply': '452 4.5.3 One at a time'},"                        \
	"'policies': {'default': {'at': {'100': 'tag'}},"                                   \
	"  'strict': {'for': {'rcpt.address': {'domain': 'strict.example'}}, 'at': {'1': "  \
	"'tag'}}}}"

/* For each recipient what becomes of him: + accepted, - refused by a rule, / sent away. */
static const struct {
	const char *rcpts[4], *fates;
	const char *action, *symbols, *policy, *stage;
} envelopes[] = {
	{ { "a@x.example" }, "+", "deliver", "CLIENT", "default", "eom" },
	{ { "a@x.example", "gone@x.example" }, "+-", "deliver", "CLIENT", "default", "eom" },
	{ { "gone@x.example", "a@x.example" }, "-+", "deliver", "CLIENT", "default", "eom" },
	{ { "trap@x.example", "gone@x.example", "trap@x.example" }, "+-+", "deliver",
	    "CLIENT,TRAP,LATE,MANY", "default", "eom" },
	{ { "gone@x.example", "trap@x.example", "a@x.example" }, "-++", "deliver",
	    "CLIENT,TRAP,LATE,MANY", "default", "eom" },
	{ { "trap@x.example", "b@strict.example" }, "+/", "deliver", "CLIENT,TRAP,LATE", "default",
	    "eom" },
	{ { "b@strict.example", "trap@x.example", "c@strict.example" }, "+/+", "tag", "CLIENT,MANY",
	    "strict", "eom" },
	{ { "gone@x.example", "b@strict.example", "trap@x.example" }, "-+/", "tag", "CLIENT",
	    "strict", "eom" },
	{ { "friend1@x.example", "friend2@x.example" }, "++", "accept", "CLIENT,FRIEND", "default",
	    "data" },
	{ { "friend1@x.example", "other@x.example" }, "++", "deliver", "CLIENT,FRIEND,MANY",
	    "default", "eom" },
	{ { "friend1@x.example", "gone@x.example" }, "+-", "accept", "CLIENT,FRIEND", "default",
	    "data" },
	{ { "friend1@x.example", "b@strict.example" }, "+/", "accept", "CLIENT,FRIEND", "default",
	    "data" },
};

static void set_rcpts(struct bench *b, const char *const *rcpts, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_string(rcpts[i]));
	json_object_set_new(b->x.facts, "rcpt.address", list);
}

static char give_recipient(struct bench *b, const char *const *rcpt)
{
	struct slice reply;

	set_rcpts(b, rcpt, 1);
	evaluation_forget(b->ev, STAGE_RCPT);
	if (evaluation_recipient(b->ev, &reply) != 0) {
		ck_assert_slice_eq(reply, "452 4.5.3 One at a time");
		return '/';
	}
	if (!evaluation_run(b->ev, STAGE_RCPT))
		return '+';
	ck_assert_int_eq(evaluation_verdict(b->ev)->action, ACTION_REJECT);
	ck_assert_int_eq(evaluation_verdict(b->ev)->stage, STAGE_RCPT);
	return '-';
}

START_TEST(recipients)
{
	const char *accepted[4];
	size_t n = 0;
	struct bench b;
	const struct verdict *v;

	bench_open(&b, RCPT_RULES,
	    "{'client.address': '192.0.2.1', 'body.text': 'xx', 'message.size': 1}");
	ck_assert(!evaluation_run(b.ev, STAGE_MAIL));
	for (size_t i = 0; envelopes[_i].fates[i] != '\0'; i++) {
		ck_assert_int_eq(
		    give_recipient(&b, &envelopes[_i].rcpts[i]), envelopes[_i].fates[i]);
		if (envelopes[_i].fates[i] == '+')
			accepted[n++] = envelopes[_i].rcpts[i];
	}
	set_rcpts(&b, accepted, n);
	if (!evaluation_run(b.ev, STAGE_DATA))
		(void)evaluation_run(b.ev, STAGE_EOM);
	v = evaluation_verdict(b.ev);
	ck_assert_str_eq(action_names[v->action], envelopes[_i].action);
	ck_assert_str_eq(symbols_of(v), envelopes[_i].symbols);
	ck_assert_str_eq(v->policy, envelopes[_i].policy);
	ck_assert_str_eq(stage_names[v->stage], envelopes[_i].stage);
	bench_close(&b);
}
END_TEST

/* ---- what else a verdict tells ---- */

START_TEST(because)
{
	struct bench b;
	const struct verdict *v;
	const struct because *why;

	bench_open(&b,
	    "{'rules': {'A': {'score': 1, 'when': {'any': [{'spf.result': 'none'}, {'all': ["
	    "{'header.subject': {'regex': '(?i)inv[a-z]+'}}, {'not': {'spf.result': 'pass'}},"
	    "{'attachments': {'some': {'extension': ['js', 'vbs']}}},"
	    "{'attachments[].name': {'contains': '.PDF'}}]}]}}}}",
	    "{'spf.result': 'fail', 'header.subject': ['Hello', 'Your INVOICE 7'],"
	    "'attachments': [{'extension': 'txt', 'name': 'x'}, {'extension': 'JS', 'name': "
	    "'invoice.pdf.js'}]}");
	(void)evaluation_run(b.ev, STAGE_EOM);
	v = evaluation_verdict(b.ev);
	ck_assert_uint_eq(v->symbol_count, 1);
	ck_assert_uint_eq(v->symbols[0].because_count, 4);
	why = v->symbols[0].because;
	ck_assert_slice_eq(why[0].fact, "header.subject");
	ck_assert_slice_eq(why[0].value.string, "Your INVOICE 7");
	ck_assert_slice_eq(why[0].matched, "INVOICE");
	ck_assert_slice_eq(why[1].fact, "spf.result");
	ck_assert_slice_eq(why[1].value.string, "fail");
	ck_assert_ptr_null(why[1].matched.p);
	ck_assert_slice_eq(why[2].fact, "attachments[].extension");
	ck_assert_slice_eq(why[2].value.string, "JS");
	ck_assert_slice_eq(why[3].fact, "attachments[].name");
	ck_assert_slice_eq(why[3].matched, ".pdf");
	ck_assert_str_eq(v->symbols[0].file, "test.json");
	ck_assert_uint_eq(v->symbols[0].line, 1);
	bench_close(&b);
}
END_TEST

START_TEST(because_is_bounded)
{
	struct bytes facts = { 0 };
	const struct because *why;
	struct bench b;

	(void)bytes_add(&facts, SLICE("{'body.text': '"));
	for (int i = 0; i < 5000; i++)
		(void)bytes_add(&facts, SLICE("\xc3\xa4"));
	(void)bytes_add(&facts,
	    SLICE("', 'header.received': ['1','2','3','4','5','6','7','8','9','10','11','12']}"));
	bench_open(&b,
	    "{'rules': {'A': {'when': {'body.text': {'regex': '.+'}, 'header.received': {'count': "
	    "12}}}}}",
	    facts.p);
	(void)evaluation_run(b.ev, STAGE_EOM);
	ck_assert_uint_eq(evaluation_verdict(b.ev)->symbol_count, 1);
	why = evaluation_verdict(b.ev)->symbols[0].because;
	ck_assert_uint_eq(why[0].value.string.n, 100);
	ck_assert_uint_eq(why[0].matched.n, 100);
	ck_assert_uint_eq(why[1].value.list.n, 10);
	bench_close(&b);
	bytes_free(&facts);
}
END_TEST

START_TEST(asks_once_and_not_too_early)
{
	struct bench b;

	bench_open(&b,
	    "{'rules': {'A': {'when': {'spf.result': 'fail', 'virus.found': true}}, 'B': {'when': "
	    "{'any': [{'spf.result': ['fail', 'softfail']}, {'spf.result': 'none'}]}}, 'C': "
	    "{'when': {'virus.found': false}}}}",
	    "{'spf.result': 'pass', 'virus.found': false}");
	(void)evaluation_run(b.ev, STAGE_HELO);
	ck_assert_uint_eq(b.x.asked, 0);
	(void)evaluation_run(b.ev, STAGE_MAIL);
	ck_assert_uint_eq(b.x.asked, 1);
	(void)evaluation_run(b.ev, STAGE_EOM);
	ck_assert_uint_eq(b.x.asked, 2);
	bench_close(&b);
}
END_TEST

START_TEST(only_what_is_asked)
{
	struct bench b;

	bench_open(&b, "{'rules': {'A': {'when': {'spf.result': 'fail', 'virus.found': true}}}}",
	    "{'spf.result': 'pass', 'virus.found': true}");
	(void)evaluation_run(b.ev, STAGE_EOM);
	ck_assert_uint_eq(b.x.asked, 1); /* spf.result says no: nobody asks the scanner */
	bench_close(&b);
}
END_TEST

START_TEST(stage_again)
{
	struct bench b;

	bench_open(&b,
	    "{'rules': {'H': {'when': {'helo.name': 'bad'}, 'score': 1}, 'M': {'when': "
	    "{'mail.address': "
	    "'a@b'}, 'reject': '550 5.7.1 No'}}}",
	    "{'helo.name': 'bad', 'mail.address': 'a@b'}");
	ck_assert(evaluation_run(b.ev, STAGE_MAIL));
	ck_assert_str_eq(symbols_of(evaluation_verdict(b.ev)), "H,M");
	evaluation_forget(b.ev, STAGE_MAIL);
	bench_facts(&b, "{'helo.name': 'good', 'mail.address': 'c@d'}");
	ck_assert(!evaluation_run(b.ev, STAGE_MAIL));
	ck_assert_str_eq(symbols_of(evaluation_verdict(b.ev)), "H");
	evaluation_forget(b.ev, STAGE_HELO);
	ck_assert(!evaluation_run(b.ev, STAGE_MAIL));
	ck_assert_str_eq(symbols_of(evaluation_verdict(b.ev)), "");
	bench_close(&b);
}
END_TEST

/* A reply is never longer than one may be, whatever the facts hold; nor does it end in the middle
 * of one. */
START_TEST(long_reply)
{
	struct bytes rules = { 0 }, facts = { 0 };
	struct bench b;

	(void)bytes_add(
	    &rules, SLICE("{'rules': {'A': {'when': {'message.size': 1}, 'reject': '550 5.7.1 "));
	for (int i = 0; i < 20; i++)
		(void)bytes_add(&rules, SLICE("${body.text},"));
	(void)bytes_add(&rules, SLICE("'}}}"));
	(void)bytes_add(&facts, SLICE("{'message.size': 1, 'body.text': '"));
	for (int i = 0; i < 1000; i++)
		(void)bytes_addc(&facts, 'x');
	(void)bytes_add(&facts, SLICE("'}"));
	bench_open(&b, rules.p, facts.p);
	(void)evaluation_run(b.ev, STAGE_EOM);
	ck_assert_uint_le(evaluation_verdict(b.ev)->reply.n, 2047);
	ck_assert_uint_ge(evaluation_verdict(b.ev)->reply.n, 1800);
	bench_close(&b);
	bytes_free(&rules);
	bytes_free(&facts);
}
END_TEST

/* Without memory the score and the action are still right, and the arena tells. */
START_TEST(no_memory)
{
	struct bench b;

	bench_open(&b,
	    "{'rules': {'A': {'when': {'message.size': 1}, 'score': 5}}, 'policies': {'default': "
	    "{'at': "
	    "{'5': 'reject'}, 'replies': {'reject': '550 5.7.1 No'}}}}",
	    "{'message.size': 1}");
	b.arena.max = 1;
	ck_assert(evaluation_run(b.ev, STAGE_EOM));
	ck_assert(b.arena.failed);
	ck_assert_double_eq(evaluation_verdict(b.ev)->score, 5);
	ck_assert_int_eq(evaluation_verdict(b.ev)->action, ACTION_REJECT);
	ck_assert_uint_eq(evaluation_verdict(b.ev)->symbol_count, 0);
	ck_assert_ptr_null(evaluation_verdict(b.ev)->reply.p);
	bench_close(&b);
}
END_TEST

START_TEST(delay)
{
	struct bench b;

	bench_open(&b,
	    "{'rules': {'A': {'when': {'client.name': 'x'}, 'delay_ms': 500}, 'B': {'when': "
	    "{'client.name': 'x'}, 'delay_ms': 700}, 'S': {'when': {'client.name': 'x'}, "
	    "'delay_ms': "
	    "900, 'shadow': true}}}",
	    "{'client.name': 'x'}");
	(void)evaluation_run(b.ev, STAGE_CONNECT);
	ck_assert_int_eq(evaluation_verdict(b.ev)->delay_ms, 700);
	(void)evaluation_run(b.ev, STAGE_HELO);
	ck_assert_int_eq(evaluation_verdict(b.ev)->delay_ms, 0);
	ck_assert(ruleset_acts_at(b.rs, STAGE_CONNECT));
	ck_assert(!ruleset_acts_at(b.rs, STAGE_HELO));
	bench_close(&b);
}
END_TEST

static const struct {
	const char *rules;
	const char *rule, *stage, *acts; /* stages at which the set can act, besides eom */
} staged[] = {
	{ "{'rules': {'A': {'when': {'client.address': '1.2.3.4'}}}}", "A", "connect", "" },
	{ "{'rules': {'A': {'when': {'client.address': '1.2.3.4'}, 'reject': '550 5.7.1 x'}}}", "A",
	    "connect", "connect " },
	{ "{'rules': {'A': {'shadow': true, 'when': {'client.address': '1.2.3.4'}, 'reject': '550 "
	  "5.7.1 x'}}}",
	    "A", "connect", "" },
	{ "{'rules': {'A': {'when': {'any': [{'helo.name': 'x'}, {'not': {'header.x': 'y'}}]}}}}",
	    "A", "header", "" },
	{ "{'rules': {'A': {'when': {'rule': 'B'}, 'reject': '550 5.7.1 x'}, 'B': {'when': "
	  "{'rule': 'C'}}, 'C': {'when': {'mail.null': true}}}}",
	    "A", "mail", "mail " },
	{ "{'rules': {'A': {'when': {'group': 'g', 'ge': 1}}, 'B': {'group': 'g', 'when': "
	  "{'helo.name': 'x'}}, 'C': {'group': 'g', 'when': {'rcpt.count': 3}}}}",
	    "A", "rcpt", "" },
	{ "{'rules': {'A': {'when': {'helo.name': 'x'}, 'reject': '550 5.7.1 ${header.from}'}}}",
	    "A", "header", "header " },
	{ "{'rules': {'A': {'when': {'helo.name': 'x'}, 'add_header': {'X': '${virus.name}'}}}}",
	    "A", "helo", "" },
	{ "{'rules': {'A': {'when': {'rcpt.address': 'x'}, 'accept': true}}}", "A", "rcpt",
	    "data " },
	{ "{'rules': {'A': {'when': {'rcpt.address': 'x'}, 'reject': '550 5.1.1 x'}}}", "A", "rcpt",
	    "rcpt " },
	{ "{'rules': {'A': {'when': {'header.from.addr': {'same_domain_as': 'mail.address'}}}}}",
	    "A", "header", "" },
	{ "{'rules': {'A': {'when': {'mail.address': {'same_domain_as': 'urls[].host'}}}}}", "A",
	    "eom", "" },
	{ "{'rules': {'A': {'when': {'helo.name': 'x'}}}, 'settings': {'split_reply': '452 4.5.3 "
	  "x'}, 'policies': {'p': {'for': {'rcpt.count': 1}}}}",
	    "A", "helo", "rcpt " },
};

START_TEST(stages)
{
	struct ruleset *rs = set_of(staged[_i].rules);
	size_t i = ruleset_find(rs, slice_z(staged[_i].rule), NULL);
	char acts[200];
	struct buf b = BUF_ON(acts);

	ck_assert(i != SIZE_MAX);
	ck_assert_str_eq(stage_names[ruleset_rule(rs, i).stage], staged[_i].stage);
	acts[0] = '\0';
	for (int s = 0; s < STAGE_EOM; s++)
		if (ruleset_acts_at(rs, (enum stage)s))
			buf_addf(&b, "%s ", stage_names[s]);
	ck_assert_str_eq(acts, staged[_i].acts);
	ck_assert(ruleset_acts_at(rs, STAGE_EOM));
	ruleset_free(&rs);
}
END_TEST

START_TEST(reads)
{
	struct ruleset *rs = set_of("{'rules': {'A': {'when': {'helo.name': 'x', 'virus.found': "
				    "true}, 'reject': '550 5.7.1 ${mail.address}'}},"
				    "'headers': {'add': {'X-S': '${header.Subject}'}}}");
	static const char want[] = ".hm..r.e"; /* connect helo mail rcpt data header body eom */

	for (int s = 0; s < STAGE_COUNT; s++)
		ck_assert_int_eq(ruleset_reads(rs, (enum stage)s), want[s] != '.');
	ruleset_free(&rs);
}
END_TEST

START_TEST(explains)
{
	struct bench b;
	json_t *tree;
	char *text;

	bench_open(&b,
	    "{'rules': {'A': {'score': 1.5, 'when': {'any': [{'spf.result': 'pass'}, {'not': "
	    "{'client.name': {'exists': true}}}, {'virus.found': true}]}}, 'B': {'when': "
	    "{'attachments': {'some': {'name': 'x'}}}}}}",
	    "{'spf.result': 'fail', 'attachments': [{'name': 'y'}]}");
	(void)evaluation_run(b.ev, STAGE_EOM);
	ck_assert_ptr_null(evaluation_explain(b.ev, "NOPE"));
	tree = evaluation_explain(b.ev, "A");
	text = json_dumps(tree, JSON_COMPACT);
	ck_assert_str_eq(text,
	    "{\"rule\":\"A\",\"stage\":\"eom\",\"fired\":true,\"run\":true,\"score\":1.5,\"file\":"
	    "\"test.json\",\"line\":1,\"when\":{\"is\":\"true\",\"any\":[{\"is\":\"false\","
	    "\"fact\":"
	    "\"spf.result\",\"test\":\"pass\",\"value\":\"fail\"},{\"is\":\"true\",\"not\":{\"is\":"
	    "\"false\",\"fact\":\"client.name\",\"test\":{\"exists\":true}}},{\"is\":\"unknown\","
	    "\"fact\":\"virus.found\",\"test\":true,\"asked\":false}]}}");
	free(text);
	json_decref(tree);
	tree = evaluation_explain(b.ev, "B");
	text = json_dumps(json_object_get(tree, "when"), JSON_COMPACT);
	ck_assert_str_eq(text,
	    "{\"is\":\"false\",\"fact\":\"attachments\",\"test\":{\"some\":{\"name\":\"x\"}},"
	    "\"value\":{\"elements\":1},\"elements\":[{\"is\":\"false\",\"fact\":\"attachments[]."
	    "name\",\"test\":\"x\",\"value\":\"y\"}]}");
	free(text);
	json_decref(tree);
	bench_close(&b);
}
END_TEST

/* A message whose text is built against a rule: the evaluation ends, and the rule does not fire,
 * nor does one that asks for its contrary. */
START_TEST(regex_bomb)
{
	struct bytes facts = { 0 };
	struct bench b;

	(void)bytes_add(&facts, SLICE("{'body.text': '"));
	for (int i = 0; i < 3000; i++)
		(void)bytes_addc(&facts, 'a');
	(void)bytes_add(&facts, SLICE("!'}"));
	bench_open(&b,
	    "{'rules': {'BOMB': {'when': {'body.text': {'regex': '^(a+)+$'}}}, 'NOT_BOMB': "
	    "{'when': "
	    "{'not': {'body.text': {'regex': '^(a+)+$'}}}}, 'PLAIN': {'when': {'body.text': "
	    "{'regex': 'a!$'}}}}}",
	    facts.p);
	(void)evaluation_run(b.ev, STAGE_EOM);
	ck_assert_str_eq(symbols_of(evaluation_verdict(b.ev)), "PLAIN");
	bench_close(&b);
	bytes_free(&facts);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("rules_eval");
	TCase *tc = tcase_create("rules_eval");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, condition, 0, COUNT(conditions));
	tcase_add_loop_test(tc, whole, 0, COUNT(sets));
	tcase_add_loop_test(tc, edits, 0, COUNT(edited));
	tcase_add_loop_test(tc, recipients, 0, COUNT(envelopes));
	tcase_add_loop_test(tc, stages, 0, COUNT(staged));
	tcase_add_test(tc, because);
	tcase_add_test(tc, because_is_bounded);
	tcase_add_test(tc, asks_once_and_not_too_early);
	tcase_add_test(tc, only_what_is_asked);
	tcase_add_test(tc, stage_again);
	tcase_add_test(tc, delay);
	tcase_add_test(tc, long_reply);
	tcase_add_test(tc, no_memory);
	tcase_add_test(tc, reads);
	tcase_add_test(tc, explains);
	tcase_add_test(tc, regex_bomb);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
