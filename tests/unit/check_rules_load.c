#include "config.h"

#include "facts_fixture.h"
#include "unit.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* Rules are written with ' for ", for the reader's sake. */
static char *json_text(const char *text)
{
	char *copy = slice_dup(slice_z(text));

	for (char *p = copy; *p != '\0'; p++)
		if (*p == '\'')
			*p = '"';
	return copy;
}

/* One a line, as findings_print() writes them; what is told of a loaded set too. */
static char *findings_text(const struct findings *f)
{
	struct bytes text = { 0 };

	(void)bytes_add(&text, SLICE(""));
	for (size_t i = 0; i < f->n; i++)
		(void)bytes_addf(&text, "%s%s\n", f->v[i].text,
		    f->v[i].level == FINDING_WARNING ? " (warning)" : "");
	return bytes_take(&text);
}

/* ---- one file: each mistake has its finding, with its position ---- */

static const struct {
	const char *rules, *findings;
} broken[] = {
	{ "hello", "t.json:1:5: '[' or '{' expected near 'hello'\n" },
	{ "", "t.json:1:1: '[' or '{' expected near end of file\n" },
	{ "{'rules': {}", "t.json:1:12: '}' expected near end of file\n" },
	{ "[]", "t.json:1:1: a rules file must be an object\n" },
	{ "'text'", "t.json:1:6: '[' or '{' expected near '\"text\"'\n" },
	{ "{'rules': {'A': {}, 'A': {}}}", "t.json:1:23: duplicate object key near '\"A\"'\n" },
	{ "{'rules': []}", "t.json:1:11: /rules: must be an object, not a list\n" },
	{ "{'lists': 5, 'policies': 'x'}",
	    "t.json:1:11: /lists: must be an object, not a number\n"
	    "t.json:1:26: /policies: must be an object, not text\n" },
	{ "{'rulez': {}}",
	    "t.json:1:2: /rulez: unknown part of a rule set \"rulez\" (did you mean "
	    "\"rules\"?)\n" },
	{ "{'zzz': 1}",
	    "t.json:1:2: /zzz: unknown part of a rule set \"zzz\", known are lists, rules, "
	    "policies, headers, settings\n" },
	{ "{'rules': {'A': 5}}", "t.json:1:17: /rules/A: must be an object, not a number\n" },
	{ "{'rules': {'A B': {'when': {'spf.result': 'x'}}}}",
	    "t.json:1:12: /rules/A B: a rule's name is made of letters, digits and \"_\", at most "
	    "64\n" },
	{ "{'rules': {'7A': {'when': {'spf.result': 'x'}}}}",
	    "t.json:1:12: /rules/7A: a rule's name is made of letters, digits and \"_\", at most "
	    "64\n" },
	{ "{'rules': {\n 'A': {}}}",
	    "t.json:2:2: /rules/A: a rule needs \"when\", its condition\n" },
	{ "{'rules': {\n 'A': {'score': 1}}}",
	    "t.json:2:2: /rules/A: a rule needs \"when\", its condition\n" },
	{ "{'rules': {\n 'A': {'when': {'spf.result': 'x'}, 'scores': 1}}}",
	    "t.json:2:37: /rules/A/scores: unknown key of a rule \"scores\" (did you mean "
	    "\"score\"?)\n" },
	{ "{'rules': {\n 'A': {'when': {'spf.result': 'x'}, 'score': '1'}}}",
	    "t.json:2:46: /rules/A/score: must be a number, not text\n" },
	{ "{'rules': {\n 'A': {'when': {'spf.result': 'x'}, 'score': 1e9}}}",
	    "t.json:2:46: /rules/A/score: must be -1000..1000\n" },
	{ "{'rules': {\n 'A': {'when': {'spf.result': 'x'}, 'about': 1, 'group': '', 'shadow': "
	  "1}}}",
	    "t.json:2:46: /rules/A/about: must be text, not a number\n"
	    "t.json:2:58: /rules/A/group: must not be empty\n"
	    "t.json:2:72: /rules/A/shadow: must be true or false, not a number\n" },
	{ "{'rules': {\n 'A': {'when': []}}}",
	    "t.json:2:16: /rules/A/when: must be a condition (an object), not a list\n" },
	{ "{'rules': {\n 'A': {'when': {}}}}",
	    "t.json:2:16: /rules/A/when: a condition must ask something\n" },
	{ "{'rules': {\n 'A': {'when': 'spf.result'}}}",
	    "t.json:2:16: /rules/A/when: must be a condition (an object), not text\n" },
	{ "{'rules': {\n 'A': {'when': {'spf.reslt': 'x'}}}}",
	    "t.json:2:17: /rules/A/when/spf.reslt: unknown fact \"spf.reslt\" (did you mean "
	    "\"spf.result\"?)\n" },
	{ "{'rules': {\n 'A': {'when': {'quantum.flux': 'x'}}}}",
	    "t.json:2:17: /rules/A/when/quantum.flux: unknown fact \"quantum.flux\"\n" },
	{ "{'rules': {\n 'A': {'when': {'spf.result': 5}}}}",
	    "t.json:2:31: /rules/A/when/spf.result: must be text, not a number\n" },
	{ "{'rules': {\n 'A': {'when': {'spf.result': ['x', 5]}}}}",
	    "t.json:2:37: /rules/A/when/spf.result/1: must be text, not a number\n" },
	{ "{'rules': {\n 'A': {'when': {'spf.result': []}}}}",
	    "t.json:2:31: /rules/A/when/spf.result: nothing is in an empty list: it can never "
	    "match\n" },
	{ "{'rules': {\n 'A': {'when': {'spf.result': {}}}}}",
	    "t.json:2:31: /rules/A/when/spf.result: needs a matcher, as in {\"contains\": "
	    "\"text\"}\n" },
	{ "{'rules': {\n 'A': {'when': {'spf.result': {'ge': 3}}}}}",
	    "t.json:2:32: /rules/A/when/spf.result/ge: \"ge\" cannot be asked of spf.result, which "
	    "is of type text\n" },
	{ "{'rules': {\n 'A': {'when': {'spf.result': {'regexp': 'x'}}}}}",
	    "t.json:2:32: /rules/A/when/spf.result/regexp: unknown matcher \"regexp\" (did you "
	    "mean \"regex\"?)\n" },
	{ "{'rules': {\n 'A': {'when': {'spf.result': {'cidr': '10.0.0.0/8'}}}}}",
	    "t.json:2:32: /rules/A/when/spf.result/cidr: \"cidr\" cannot be asked of spf.result, "
	    "which is of type text\n" },
	{ "{'rules': {\n 'A': {'when': {'client.address': '10.0.0'}}}}",
	    "t.json:2:35: /rules/A/when/client.address: \"10.0.0\" is no IPv4 or IPv6 address\n" },
	{ "{'rules': {\n 'A': {'when': {'client.address': {'cidr': '10.0.0.1/8'}}}}}",
	    "t.json:2:44: /rules/A/when/client.address/cidr: \"10.0.0.1/8\" has bits set behind "
	    "its prefix\n" },
	{ "{'rules': {\n 'A': {'when': {'client.address': {'regex': '^10'}}}}}",
	    "t.json:2:36: /rules/A/when/client.address/regex: \"regex\" cannot be asked of "
	    "client.address, which is of type IP address\n" },
	{ "{'rules': {\n 'A': {'when': {'bayes.spam': 'high'}}}}",
	    "t.json:2:31: /rules/A/when/bayes.spam: must be a number, not text\n" },
	{ "{'rules': {\n 'A': {'when': {'bayes.spam': {'ge': 'high'}}}}}",
	    "t.json:2:38: /rules/A/when/bayes.spam/ge: must be a number, not text\n" },
	{ "{'rules': {\n 'A': {'when': {'bayes.spam': {'ge': 1, 'lt': 0.5}}}}}",
	    "t.json:2:31: /rules/A/when/bayes.spam: no number is in this range: it can never "
	    "match\n" },
	{ "{'rules': {\n 'A': {'when': {'bayes.spam': {'gt': 1, 'le': 1}}}}}",
	    "t.json:2:31: /rules/A/when/bayes.spam: no number is in this range: it can never "
	    "match\n" },
	{ "{'rules': {\n 'A': {'when': {'bayes.spam': {'contains': 'x'}}}}}",
	    "t.json:2:32: /rules/A/when/bayes.spam/contains: \"contains\" cannot be asked of "
	    "bayes.spam, which is of type number\n" },
	{ "{'rules': {\n 'A': {'when': {'virus.found': 'yes'}}}}",
	    "t.json:2:32: /rules/A/when/virus.found: must be true or false, not text\n" },
	{ "{'rules': {\n 'A': {'when': {'virus.found': {'in': 'x'}}}}}",
	    "t.json:2:33: /rules/A/when/virus.found/in: \"in\" cannot be asked of virus.found, "
	    "which is of type true or false\n" },
	{ "{'rules': {\n 'A': {'when': {'virus.name': {'exists': 'yes'}}}}}",
	    "t.json:2:42: /rules/A/when/virus.name/exists: must be true or false, not text\n" },
	{ "{'rules': {\n 'A': {'when': {'virus.name': {'unknown': 1}}}}}",
	    "t.json:2:43: /rules/A/when/virus.name/unknown: must be true or false, not a "
	    "number\n" },
	{ "{'rules': {\n 'A': {'when': {'header.subject': {'regex': '(foo'}}}}}",
	    "t.json:2:45: /rules/A/when/header.subject/regex: bad regex at octet 4: missing "
	    "closing parenthesis\n" },
	{ "{'rules': {\n 'A': {'when': {'header.subject': {'regex': ['ok', 'a{2,1}']}}}}}",
	    "t.json:2:52: /rules/A/when/header.subject/regex/1: bad regex at octet 5: numbers out "
	    "of order in {} quantifier\n" },
	{ "{'rules': {\n 'A': {'when': {'header.subject': {'regex': 5}}}}}",
	    "t.json:2:45: /rules/A/when/header.subject/regex: must be text, not a number\n" },
	{ "{'rules': {\n 'A': {'when': {'header.subject': {'count': 'x'}}}}}",
	    "t.json:2:45: /rules/A/when/header.subject/count: must be a number, or an object of "
	    "lt, le, gt, ge, not text\n" },
	{ "{'rules': {\n 'A': {'when': {'header.subject': {'count': {'eq': 5}}}}}}",
	    "t.json:2:46: /rules/A/when/header.subject/count/eq: unknown comparison \"eq\", known "
	    "are lt, le, gt, ge\n" },
	{ "{'rules': {\n 'A': {'when': {'header.subject': {'count': {}}}}}}",
	    "t.json:2:45: /rules/A/when/header.subject/count: needs a comparison: lt, le, gt or "
	    "ge\n" },
	{ "{'rules': {\n 'A': {'when': {'spf.result': {'count': 1}}}}}",
	    "t.json:2:32: /rules/A/when/spf.result/count: \"count\" cannot be asked of spf.result, "
	    "which is of type text\n" },
	{ "{'rules': {\n 'A': {'when': {'header.': 'x'}}}}",
	    "t.json:2:17: /rules/A/when/header.: unknown fact \"header.\" (did you mean "
	    "\"header.*\"?)\n" },
	{ "{'rules': {\n 'A': {'when': {'header.a b': 'x'}}}}",
	    "t.json:2:17: /rules/A/when/header.a b: unknown fact \"header.a b\" (did you mean "
	    "\"header.*\"?)\n" },
	{ "{'rules': {\n 'A': {'when': {'header.to.adr.count': 'x'}}}}",
	    "t.json:2:17: /rules/A/when/header.to.adr.count: unknown fact \"header.to.adr.count\" "
	    "(did you mean \"header.*.count\"?)\n" },
	{ "{'rules': {\n 'A': {'when': {'helo.name': {'domain': 'exa mple.org'}}}}}",
	    "t.json:2:41: /rules/A/when/helo.name/domain: \"exa mple.org\" is no domain\n" },
	{ "{'rules': {\n 'A': {'when': {'helo.name': {'domain': ''}}}}}",
	    "t.json:2:41: /rules/A/when/helo.name/domain: \"\" is no domain\n" },
	{ "{'rules': {\n 'A': {'when': {'attachments': 'x.js'}}}}",
	    "t.json:2:32: /rules/A/when/attachments: attachments is a list of objects: ask with "
	    "\"some\", \"every\", \"none\" or \"count\"\n" },
	{ "{'rules': {\n 'A': {'when': {'attachments': {'some': {'extention': 'js'}}}}}}",
	    "t.json:2:42: /rules/A/when/attachments/some/extention: unknown member \"extention\" "
	    "(did you mean \"extension\"?)\n" },
	{ "{'rules': {\n 'A': {'when': {'attachments': {'some': {'spf.result': 'js'}}}}}}",
	    "t.json:2:42: /rules/A/when/attachments/some/spf.result: unknown member "
	    "\"spf.result\", known are name, extension, size\n" },
	{ "{'rules': {\n 'A': {'when': {'attachments': {'some': 'js'}}}}}",
	    "t.json:2:41: /rules/A/when/attachments/some: must be a condition (an object), not "
	    "text\n" },
	{ "{'rules': {\n 'A': {'when': {'attachments': {'contains': 'js'}}}}}",
	    "t.json:2:33: /rules/A/when/attachments/contains: \"contains\" cannot be asked of "
	    "attachments, which is of type list of objects\n" },
	{ "{'rules': {\n 'A': {'when': {'attachments[].nam': 'x'}}}}",
	    "t.json:2:17: /rules/A/when/attachments[].nam: unknown fact \"attachments[].nam\" (did "
	    "you mean \"attachments[].name\"?)\n" },
	{ "{'rules': {\n 'A': {'when': {'spf.result': {'some': {'x': 1}}}}}}",
	    "t.json:2:32: /rules/A/when/spf.result/some: \"some\" cannot be asked of spf.result, "
	    "which is of type text\n" },
	{ "{'rules': {\n 'A': {'when': {'mail.address': {'same_domain_as': 'helo.nam'}}}}}",
	    "t.json:2:52: /rules/A/when/mail.address/same_domain_as: unknown fact \"helo.nam\" "
	    "(did you mean \"helo.name\"?)\n" },
	{ "{'rules': {\n 'A': {'when': {'mail.address': {'same_domain_as': 'rcpt.count'}}}}}",
	    "t.json:2:52: /rules/A/when/mail.address/same_domain_as: rcpt.count is of type number "
	    "and has no domain\n" },
	{ "{'rules': {\n 'A': {'when': {'mail.address': {'same_domain_as': 5}}}}}",
	    "t.json:2:52: /rules/A/when/mail.address/same_domain_as: must be the name of a fact, "
	    "not a number\n" },
	{ "{'rules': {\n 'A': {'when': {'all': {}}}}}",
	    "t.json:2:24: /rules/A/when/all: must be a list of conditions, not an object\n" },
	{ "{'rules': {\n 'A': {'when': {'any': []}}}}",
	    "t.json:2:24: /rules/A/when/any: must hold at least one condition\n" },
	{ "{'rules': {\n 'A': {'when': {'all': [{'spf.result': 'x'}, 5]}}}}",
	    "t.json:2:46: /rules/A/when/all/1: must be a condition (an object), not a number\n" },
	{ "{'rules': {\n 'A': {'when': {'not': [1]}}}}",
	    "t.json:2:24: /rules/A/when/not: must be a condition (an object), not a list\n" },
	{ "{'rules': {\n 'A': {'when': {'at_least': 3, 'of': [{'spf.result': 'x'}]}}}}",
	    "t.json:2:29: /rules/A/when/at_least: there are only 1 conditions in \"of\"\n" },
	{ "{'rules': {\n 'A': {'when': {'at_least': 1}}}}",
	    "t.json:2:17: /rules/A/when/at_least: \"at_least\" needs \"of\", the list of "
	    "conditions\n" },
	{ "{'rules': {\n 'A': {'when': {'at_least': 0, 'of': [{'spf.result': 'x'}]}}}}",
	    "t.json:2:29: /rules/A/when/at_least: must be a whole number from 1 on\n" },
	{ "{'rules': {\n 'A': {'when': {'of': [{'spf.result': 'x'}]}}}}",
	    "t.json:2:17: /rules/A/when/of: \"of\" needs \"at_least\", the number of "
	    "conditions\n" },
	{ "{'rules': {\n 'A': {'when': {'ge': 3}}}}",
	    "t.json:2:17: /rules/A/when/ge: \"ge\" compares a fact or a group, and none is named "
	    "here\n" },
	{ "{'rules': {\n 'A': {'when': {'rule': 'B'}}}}",
	    "t.json:2:25: /rules/A/when/rule: unknown rule \"B\" (did you mean \"A\"?)\n" },
	{ "{'rules': {\n 'A': {'when': {'rule': 5}}}}",
	    "t.json:2:25: /rules/A/when/rule: must be the name of a rule, not a number\n" },
	{ "{'rules': {\n 'A': {'when': {'rule': 'A'}}}}",
	    "t.json:2:8: /rules/A/when: rules ask each other in a circle: A -> A\n" },
	{ "{'rules': {\n 'A': {'when': {'group': 'g'}}}}",
	    "t.json:2:26: /rules/A/when/group: unknown group \"g\"\n" },
	{ "{'rules': {\n 'A': {'when': {'group': 1}}}}",
	    "t.json:2:26: /rules/A/when/group: must be the name of a group, not a number\n" },
	{ "{'rules': {\n 'A1': {'when': {'rule': 'B1'}},\n 'B1': {'when': {'not': {'rule': "
	  "'C1'}}},\n 'C1': {'when': {'any': [{'rule': 'A1'}]}}}}",
	    "t.json:2:9: /rules/A1/when: rules ask each other in a circle: A1 -> B1 -> C1 -> "
	    "A1\n" },
	{ "{'rules': {\n 'A1': {'group': 'g', 'when': {'group': 'g', 'ge': 1}}}}",
	    "t.json:2:23: /rules/A1/when: rules ask each other in a circle: A1 -> A1\n" },
	{ "{'rules': {\n 'A1': {'group': 'auth', 'when': {'mail.null': true}}, 'B': {'when': "
	  "{'group': 'aut', 'ge': 1}}, 'C': {'when': {'group': 'auth', 'ge': 2, 'lt': 2}}, 'D': "
	  "{'when': {'group': 'auth', 'ge': 'x'}}}}",
	    "t.json:2:80: /rules/B/when/group: unknown group \"aut\" (did you mean \"auth\"?)\n"
	    "t.json:2:122: /rules/C/when/group: no number is in this range: it can never match\n"
	    "t.json:2:174: /rules/D/when/group: must be a number, not text\n" },
	{ "{'rules': {\n 'A': {'when': {'helo.name': {'in': 'parters'}}}}}",
	    "t.json:2:37: /rules/A/when/helo.name/in: unknown list \"parters\"\n" },
	{ "{'lists': {'partners': {'domains': ['a.example']}, 'nets': {'networks': "
	  "['10.0.0.0/8']}},\n'rules': {'A': {'when': {'helo.name': {'in': 'partner'}}}, 'B': "
	  "{'when': {'helo.name': {'in': 'nets'}}}, 'C': {'when': {'client.address': {'in': "
	  "'partners'}}}, 'D': {'when': {'bayes.spam': {'in': 'partners'}}}, 'E': {'when': "
	  "{'helo.name': {'in': 5}}}}}",
	    "t.json:2:46: /rules/A/when/helo.name/in: unknown list \"partner\" (did you mean "
	    "\"partners\"?)\n"
	    "t.json:2:95: /rules/B/when/helo.name/in: the list \"nets\" holds networks, but "
	    "helo.name is of type text: it can never match\n"
	    "t.json:2:146: /rules/C/when/client.address/in: the list \"partners\" holds texts, but "
	    "client.address is of type IP address: it can never match\n"
	    "t.json:2:197: /rules/D/when/bayes.spam/in: the list \"partners\" holds texts, but "
	    "bayes.spam is of type number: it can never match\n"
	    "t.json:2:247: /rules/E/when/helo.name/in: must be the name of a list, or a list of "
	    "values, not a number\n" },
	{ "{'rules': {\n 'A': {'when': {'mail.null': true}, 'reject': '250 ok'}}}",
	    "t.json:2:47: /rules/A/reject: must begin with a reply code 4yz or 5yz\n" },
	{ "{'rules': {\n 'A': {'when': {'mail.null': true}, 'reject': '451 4.7.1 x'}}}",
	    "t.json:2:47: /rules/A/reject: reject needs a 5yz reply, as in \"550 5.7.1 text\"\n" },
	{ "{'rules': {\n 'A': {'when': {'mail.null': true}, 'tempfail': '550 5.7.1 x'}}}",
	    "t.json:2:49: /rules/A/tempfail: tempfail needs a 4yz reply, as in \"451 4.7.1 "
	    "text\"\n" },
	{ "{'rules': {\n 'A': {'when': {'mail.null': true}, 'reject': 'No'}}}",
	    "t.json:2:47: /rules/A/reject: must begin with a reply code 4yz or 5yz\n" },
	{ "{'rules': {\n 'A': {'when': {'mail.null': true}, 'reject': true}}}",
	    "t.json:2:47: /rules/A/reject: must be text, not true or false\n" },
	{ "{'rules': {\n 'A': {'when': {'mail.null': true}, 'reject': '550 4.7.1 x'}}}",
	    "t.json:2:47: /rules/A/reject: enhanced status code 4.7.1 is of another class than "
	    "550\n" },
	{ "{'rules': {\n 'A': {'when': {'mail.null': true}, 'reject': '550 5.7.1 x', 'accept': "
	  "true}}}",
	    "t.json:2:62: /rules/A/accept: a rule ends the matter in one way: it has \"reject\" "
	    "already\n" },
	{ "{'rules': {\n 'A': {'when': {'mail.null': true}, 'accept': false}}}",
	    "t.json:2:47: /rules/A/accept: must be true, or left out\n" },
	{ "{'rules': {\n 'A': {'when': {'mail.null': true}, 'quarantine': true, 'tag': 'x'}}}",
	    "t.json:2:51: /rules/A/quarantine: must be text, not true or false\n"
	    "t.json:2:64: /rules/A/tag: must be true, or left out\n" },
	{ "{'rules': {\n 'A': {'when': {'mail.null': true}, 'quarantine': ''}}}",
	    "t.json:2:51: /rules/A/quarantine: must be the reason that the queue shows\n" },
	{ "{'rules': {\n 'A': {'when': {'mail.null': true}, 'reject': '550 5.7.1 ${virus.nam}'}}}",
	    "t.json:2:47: /rules/A/reject: unknown fact \"virus.nam\" (did you mean "
	    "\"virus.name\"?)\n" },
	{ "{'rules': {\n 'A': {'when': {'mail.null': true}, 'reject': '550 5.7.1 ${virus.name'}}}",
	    "t.json:2:47: /rules/A/reject: \"${\" without \"}\"\n" },
	{ "{'rules': {\n 'A': {'when': {'mail.null': true}, 'add_header': {'X': "
	  "'${verdict.scor}'}}}}",
	    "t.json:2:57: /rules/A/add_header/X: unknown name \"verdict.scor\" (did you mean "
	    "\"verdict.score\"?)\n" },
	{ "{'rules': {\n 'A': {'when': {'mail.null': true}, 'add_header': {'X': "
	  "'${attachments}'}}}}",
	    "t.json:2:57: /rules/A/add_header/X: ${attachments} is a list of objects: name a "
	    "member, as ${attachments[].NAME}\n" },
	{ "{'rules': {\n 'A': {'when': {'mail.null': true}, 'add_header': {'X Y': 'z'}}}}",
	    "t.json:2:52: /rules/A/add_header/X Y: \"X Y\" is no name of a header field\n" },
	{ "{'rules': {\n 'A': {'when': {'mail.null': true}, 'add_header': {'X-Y:': 'z', 'X-Z': "
	  "5}}}}",
	    "t.json:2:52: /rules/A/add_header/X-Y:: \"X-Y:\" is no name of a header field\n"
	    "t.json:2:72: /rules/A/add_header/X-Z: must be text, not a number\n" },
	{ "{'rules': {\n 'A': {'when': {'mail.null': true}, 'add_header': ['X']}}}",
	    "t.json:2:51: /rules/A/add_header: must be an object, not a list\n" },
	{ "{'rules': {\n 'A': {'when': {'mail.null': true}, 'add_header': {'X': 'a\\nY: b'}}}}",
	    "t.json:2:57: /rules/A/add_header/X: must not hold control characters or line ends\n" },
	{ "{'rules': {\n 'A': {'when': {'mail.null': true}, 'remove_header': 'X'}}}",
	    "t.json:2:54: /rules/A/remove_header: must be a list of texts, not text\n" },
	{ "{'rules': {\n 'A': {'when': {'mail.null': true}, 'remove_header': ['X-*-Y', '*']}}}",
	    "t.json:2:55: /rules/A/remove_header/0: \"X-*-Y\" is no name of a header field\n"
	    "t.json:2:64: /rules/A/remove_header/1: \"*\" is no name of a header field\n" },
	{ "{'rules': {\n 'A': {'when': {'mail.null': true}, 'add_rcpt': 'nobody'}}}",
	    "t.json:2:49: /rules/A/add_rcpt: \"nobody\" is no address (local@domain)\n" },
	{ "{'rules': {\n 'A': {'when': {'mail.null': true}, 'add_rcpt': ['a@b', 'c d@e']}}}",
	    "t.json:2:57: /rules/A/add_rcpt/1: \"c d@e\" is no address (local@domain)\n" },
	{ "{'rules': {\n 'A': {'when': {'mail.null': true}, 'redirect': '<a@b>'}}}",
	    "t.json:2:49: /rules/A/redirect: \"<a@b>\" is no address (local@domain)\n" },
	{ "{'rules': {\n 'A': {'when': {'mail.null': true}, 'delay_ms': -1}}}",
	    "t.json:2:49: /rules/A/delay_ms: must be a whole number, 0..300000 ms\n" },
	{ "{'rules': {\n 'A': {'when': {'mail.null': true}, 'delay_ms': 1.5}}}",
	    "t.json:2:49: /rules/A/delay_ms: must be a whole number, 0..300000 ms\n" },
	{ "{'rules': {\n 'A': {'when': {'mail.null': true}, 'examples': {'mach': []}}}}",
	    "t.json:2:50: /rules/A/examples/mach: unknown key of examples \"mach\" (did you mean "
	    "\"match\"?)\n" },
	{ "{'rules': {\n 'A': {'when': {'mail.null': true}, 'examples': {'match': 'x.eml'}}}}",
	    "t.json:2:59: /rules/A/examples/match: must be a list of texts, not text\n" },
	{ "{'rules': {\n 'A': {'when': {'mail.null': true}, 'examples': []}}}",
	    "t.json:2:49: /rules/A/examples: must be an object, not a list\n" },
	{ "{'lists': {'a': {}}}",
	    "t.json:1:12: /lists/a: a list needs items (\"strings\", \"domains\", ...) or a "
	    "\"file\"\n" },
	{ "{'lists': {'a': ['x']}}", "t.json:1:17: /lists/a: must be an object, not a list\n" },
	{ "{'lists': {'a': {'domain': ['x']}}}",
	    "t.json:1:18: /lists/a/domain: unknown key of a list \"domain\" (did you mean "
	    "\"domains\"?)\n" },
	{ "{'lists': {'a': {'domains': 'x'}}}",
	    "t.json:1:29: /lists/a/domains: must be a list of texts, not text\n" },
	{ "{'lists': {'a': {'domains': ['x'], 'strings': ['y']}}}",
	    "t.json:1:36: /lists/a/strings: a list has one kind of items: \"domains\" is there "
	    "already\n" },
	{ "{'lists': {'a': {'networks': ['10.0.0.0/8',\n '10.0.0.0/33']}}}",
	    "t.json:2:2: /lists/a/networks/1: \"10.0.0.0/33\": the prefix length must be 0..32\n" },
	{ "{'lists': {'a': {'addresses': ['ceo@example.org']}}}",
	    "t.json:1:32: /lists/a/addresses/0: \"ceo@example.org\" is no IPv4 or IPv6 address\n" },
	{ "{'lists': {'a': {'regexes': ['[']}}}",
	    "t.json:1:30: /lists/a/regexes/0: bad regex at octet 1: missing terminating ] for "
	    "character class\n" },
	{ "{'lists': {'a': {'strings': ['']}}}",
	    "t.json:1:30: /lists/a/strings/0: must not be empty\n" },
	{ "{'lists': {'a': {'file': 'x.txt'}}}",
	    "t.json:1:26: /lists/a/file: there is no rules folder to read a file from\n" },
	{ "{'lists': {'a': {'strings': ['x'], 'type': 'domains'}}}",
	    "t.json:1:12: /lists/a: \"type\" says what a \"file\" holds, and there is none\n" },
	{ "{'lists': {'a': {'file': 'x', 'type': 'domain'}}}",
	    "t.json:1:26: /lists/a/file: there is no rules folder to read a file from\n"
	    "t.json:1:39: /lists/a/type: unknown type of list \"domain\" (did you mean "
	    "\"domains\"?)\n" },
	{ "{'policies': {'default': {'for': {'rcpt.address': 'x'}}}}",
	    "t.json:1:27: /policies/default/for: the default policy is for all whom no other one "
	    "is for\n" },
	{ "{'policies': {'a': {'at': {'1': 'tag'}}}}",
	    "t.json:1:15: /policies/a: a policy other than \"default\" needs \"for\"\n" },
	{ "{'policies': {'default': {'at': {'x': 'tag'}}}}",
	    "t.json:1:34: /policies/default/at/x: must be a sum of scores, as in \"4.5\"\n" },
	{ "{'policies': {'default': {'at': {'1': 'tagg', '2': 5, '1e3': 'tag', 'inf': 'tag'}}}}",
	    "t.json:1:39: /policies/default/at/1: unknown action \"tagg\" (did you mean \"tag\"?)\n"
	    "t.json:1:52: /policies/default/at/2: must be the name of an action, not a number\n"
	    "t.json:1:55: /policies/default/at/1e3: must be a sum of scores, as in \"4.5\"\n"
	    "t.json:1:69: /policies/default/at/inf: must be a sum of scores, as in \"4.5\"\n" },
	{ "{'policies': {'default': {'at': {'1': 'accept'}}}}",
	    "t.json:1:39: /policies/default/at/1: unknown action \"accept\", known are tag, "
	    "quarantine, tempfail, discard, reject\n" },
	{ "{'policies': {'default': {'at': {'1': 'tag', '2': 'tag', '1.0': 'quarantine'}}}}",
	    "t.json:1:46: /policies/default/at/2: the policy has \"tag\" already\n"
	    "t.json:1:58: /policies/default/at/1.0: the policy has an action at this sum "
	    "already\n" },
	{ "{'policies': {'default': {'at': ['tag']}}}",
	    "t.json:1:33: /policies/default/at: must be an object, not a list\n" },
	{ "{'policies': {'default': {'replies': {'reject': '451 4.7.1 x', 'accept': 'x'}}}}",
	    "t.json:1:49: /policies/default/replies/reject: reject needs a 5yz reply, as in \"550 "
	    "5.7.1 text\"\n"
	    "t.json:1:64: /policies/default/replies/accept: unknown reply \"accept\", known are "
	    "reject, tempfail\n" },
	{ "{'policies': {'default': {'thresholds': {}}}}",
	    "t.json:1:27: /policies/default/thresholds: unknown key of a policy \"thresholds\", "
	    "known are about, for, at, replies, quarantine, headers\n" },
	{ "{'policies': {'a': {'for': {'header.from': 'x'}}}}",
	    "t.json:1:28: /policies/a/for: a policy is chosen when the recipient is given: facts "
	    "of the stage \"header\" are not known by then\n" },
	{ "{'policies': {'a': {'for': {'rule': 'A'}}}, 'rules': {'A': {'when': {'mail.null': "
	  "true}}}}",
	    "t.json:1:29: /policies/a/for/rule: a policy is chosen before rules run: ask facts "
	    "only\n" },
	{ "{'policies': {'a': {'for': {'rcpt.address': 'x'}}}}",
	    "t.json:1:2: /policies: recipients of different policies are split: give "
	    "/settings/split_reply, as in \"452 4.5.3 Send this recipient's copy separately\"\n" },
	{ "{'policies': {'default': 5}}",
	    "t.json:1:26: /policies/default: must be an object, not a number\n" },
	{ "{'headers': {'add': {'X': '${spf}'}, 'delete': []}}",
	    "t.json:1:27: /headers/add/X: unknown fact \"spf\"\n"
	    "t.json:1:38: /headers/delete: unknown key of headers \"delete\", known are remove, "
	    "add, add_when_tagged, subject_prefix_when_tagged\n" },
	{ "{'headers': {'remove': ['X Y'], 'subject_prefix_when_tagged': 5}}",
	    "t.json:1:25: /headers/remove/0: \"X Y\" is no name of a header field\n"
	    "t.json:1:63: /headers/subject_prefix_when_tagged: must be text, not a number\n" },
	{ "{'settings': {'split_reply': '550 5.7.1 x'}}",
	    "t.json:1:30: /settings/split_reply: the recipient is to come again: a 4yz reply is "
	    "needed\n" },
	{ "{'settings': {'split_reply': 'x'}}",
	    "t.json:1:30: /settings/split_reply: must begin with a reply code 4yz or 5yz\n" },
	{ "{'settings': {'split': 'x'}}",
	    "t.json:1:15: /settings/split: unknown setting \"split\", known are split_reply\n" },
	{ "{'rules': {\n 'A': {'when': {'spf.reslt': 'x'}, 'scor': 1},\n 'B': {'when': {'rule': "
	  "'AA'}},\n 'C': {'when': {'rule': 'D'}}, 'D': {'when': {'rule': 'C'}}}, 'x': 1}",
	    "t.json:2:17: /rules/A/when/spf.reslt: unknown fact \"spf.reslt\" (did you mean "
	    "\"spf.result\"?)\n"
	    "t.json:2:36: /rules/A/scor: unknown key of a rule \"scor\" (did you mean \"score\"?)\n"
	    "t.json:3:25: /rules/B/when/rule: unknown rule \"AA\" (did you mean \"A\"?)\n"
	    "t.json:4:63: /x: unknown part of a rule set \"x\", known are lists, rules, policies, "
	    "headers, settings\n"
	    "t.json:4:8: /rules/C/when: rules ask each other in a circle: C -> D -> C\n" },
	{ "{'policies': {'default': {'at': {'1': 'reject', '2': 'tag'}}}}",
	    "t.json:1:27: /policies/default/at: \"tag\" at 2 comes after \"reject\" at 1, which is "
	    "stronger (warning)\n"
	    "t.json:1:15: /policies/default: rejects without a text in \"replies\": the MTA's own "
	    "will be sent (warning)\n" },
	{ "{'rules': {\n 'A': {'when': {'rcpt.address': 'a@b', 'header.subject': 'x'},\n 'accept': "
	  "true}}}",
	    "t.json:3:2: /rules/A/accept: goes for all recipients when one of them fits: use a "
	    "policy (warning)\n" },
	{ "{'rules': {\n 'A': {'when': {'rcpt.address': 'a@b'}, 'accept': true}}}", "" },
	{ "{'rules': {'A': {'when': {'rule': 'B', 'virus.found': false}, 'discard': true}, 'B': "
	  "{'when': {'rcpt.address': 'a@b'}}}}",
	    "t.json:1:63: /rules/A/discard: goes for all recipients when one of them fits: use a "
	    "policy (warning)\n" },
	{ "{'rules': {\n 'A': {'when': {'rcpt.count': 1, 'header.subject': 'x'}, 'accept': true}}}",
	    "" },
	{ "{'headers': {'subject_prefix_when_tagged': 'a\\nb'}, 'policies': {'default': "
	  "{'quarantine': 'a\\nb'}}}",
	    "t.json:1:44: /headers/subject_prefix_when_tagged: must not hold control characters or "
	    "line ends\n"
	    "t.json:1:92: /policies/default/quarantine: must not hold control characters or line "
	    "ends\n" },
	{ "{'rules': {'A': null}}",
	    "t.json:1:12: /rules/A: removes what no earlier file gives (warning)\n" },
	{ "{'rules': {\n 'A': {'when': {'not': {'not': {'not': {'not': {'not': {'not': {'not': "
	  "{'not': {'not': {'not': {'not': {'not': {'not': {'not': {'not': {'not': {'not': {'not': "
	  "{'not': {'not': {'not': {'not': {'not': {'not': {'not': {'not': {'not': {'not': {'not': "
	  "{'not': {'not': {'not': {'not': {'not': {'not': {'not': {'not': {'not': {'not': {'not': "
	  "{'mail.null': true}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}",
	    "t.json:2:272: "
	    "/rules/A/when/not/not/not/not/not/not/not/not/not/not/not/not/not/not/not/not/not/not/"
	    "not/not/not/not/not/not/not/not/not/not/not/not/not/not: conditions are nested deeper "
	    "than 32\n" },
};

START_TEST(refuses)
{
	char *rules = json_text(broken[_i].rules), *text;
	struct findings f = { 0 };
	struct ruleset *rs = ruleset_load_text("t.json", slice_z(rules), &f);

	text = findings_text(&f);
	ck_assert_str_eq(text, broken[_i].findings);
	ck_assert_int_eq(rs == NULL, f.errors > 0);
	free(text);
	free(rules);
	ruleset_free(&rs);
	findings_free(&f);
}
END_TEST

/* ---- folders ---- */

struct folder {
	char path[64];
};

static void folder_open(struct folder *d)
{
	(void)snprintf(d->path, sizeof(d->path), "%s", "/tmp/weir-rules-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(d->path));
}

static void folder_put(struct folder *d, const char *name, const char *text)
{
	char path[200];
	char *json = json_text(text);
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", d->path, name);
	ck_assert_ptr_nonnull(f = fopen(path, "w"));
	fputs(json, f);
	fclose(f);
	free(json);
}

static void folder_close(struct folder *d)
{
	DIR *dir = opendir(d->path);
	struct dirent *entry;

	while ((entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.' || entry->d_name[1] == 'h')
			(void)unlinkat(dirfd(dir), entry->d_name, 0);
	closedir(dir);
	ck_assert_int_eq(rmdir(d->path), 0);
}

/* Load the folder and compare the findings, in which "DIR" stands for its path. */
static struct ruleset *folder_load(struct folder *d, const char *expected)
{
	struct findings f = { 0 };
	struct ruleset *rs = ruleset_load(d->path, &f);
	struct bytes plain = { 0 };
	char *text = findings_text(&f);
	struct slice rest = slice_z(text);

	(void)bytes_add(&plain, SLICE(""));
	while (rest.n > 0) {
		size_t at = slice_find_slice(rest, slice_z(d->path));

		(void)bytes_add(&plain, slice_sub(rest, 0, at));
		if (at < rest.n)
			(void)bytes_add(&plain, SLICE("DIR"));
		rest = slice_sub(rest, at < rest.n ? at + strlen(d->path) : at, rest.n);
	}
	ck_assert_str_eq(plain.p, expected);
	ck_assert_int_eq(rs == NULL, f.errors > 0);
	bytes_free(&plain);
	free(text);
	findings_free(&f);
	return rs;
}

START_TEST(no_folder)
{
	struct findings f = { 0 };

	ck_assert_ptr_null(ruleset_load("/nonexistent/rules", &f));
	ck_assert_str_eq(f.v[0].text,
	    "/nonexistent/rules: the rules folder (milterd/rules) cannot be read: No such file or "
	    "directory");
	findings_free(&f);
}
END_TEST

START_TEST(empty_folder)
{
	struct folder d;

	folder_open(&d);
	ck_assert_ptr_null(
	    folder_load(&d, "DIR: no *.json file in the rules folder (milterd/rules)\n"));
	folder_put(&d, ".hidden.json", "x");
	folder_put(&d, "readme.txt", "x");
	folder_put(&d, "weir-rules.schema.json", "{}");
	ck_assert_ptr_null(
	    folder_load(&d, "DIR: no *.json file in the rules folder (milterd/rules)\n"));
	folder_put(&d, "a.json", "{}");
	{
		struct ruleset *rs = folder_load(&d, "");

		ck_assert_uint_eq(ruleset_rule_count(rs), 0);
		ruleset_free(&rs);
	}
	folder_close(&d);
}
END_TEST

/* A file that is no JSON is told, the others are checked, and nothing is blamed for what may stand
 * in the broken one. */
START_TEST(one_file_is_broken)
{
	struct folder d;

	folder_open(&d);
	folder_put(
	    &d, "10-a.json", "{'lists': {'l': {'strings': ['x']}},\n 'rules': {'A': {'when': {}}");
	folder_put(&d, "20-b.json",
	    "{'rules': {'B': {'when': {'helo.name': {'in': 'l'}}}, 'A': {'score': 2},\n"
	    " 'C': {'when': {'rule': 'A', 'spf.reslt': 'x'}}}}");
	folder_put(&d, "30-c.json", "{'rules': {'A': 1, 'A': 2}}");
	ck_assert_ptr_null(folder_load(&d,
	    "DIR/10-a.json:2:28: '}' expected near end of file\n"
	    "DIR/30-c.json:1:22: duplicate object key near '\"A\"'\n"
	    "DIR/20-b.json:2:30: /rules/C/when/spf.reslt: unknown fact \"spf.reslt\" (did you mean "
	    "\"spf.result\"?)\n"));
	folder_close(&d);
}
END_TEST

START_TEST(layers)
{
	struct folder d;
	struct ruleset *rs;
	struct rule_info r;
	json_t *json;

	folder_open(&d);
	folder_put(&d, "10-a.json",
	    "{'rules': {\n 'A': {'score': 1, 'group': 'g', 'when': {'mail.null': true}},\n"
	    " 'B': {'when': {'mail.null': true}}}}");
	folder_put(&d, "20-b.json",
	    "{'rules': {\n'C': {'when': {'mail.null': true}},\n\n 'D': {'when': {'mail.null': "
	    "true}, 'examples': {'match': ['m/x.eml', '/abs.eml'], 'miss': ['y.eml']}}}}");
	folder_put(&d, "30-local.json",
	    "{'rules': {'// local': 'changes', 'A': {'score': 7}, 'B': null,\n 'C': {'when': "
	    "{'mail.null': false}}}}");
	rs = folder_load(&d, "");
	ck_assert_uint_eq(ruleset_rule_count(rs), 3);
	ck_assert_uint_eq(ruleset_find(rs, SLICE("B"), NULL), SIZE_MAX);
	r = ruleset_rule(rs, 0);
	ck_assert_str_eq(r.name, "A"); /* by file, then by name */
	ck_assert_double_eq(r.score, 7);
	ck_assert_str_eq(r.group, "g");
	ck_assert_str_eq(strrchr(r.file, '/'), "/10-a.json"); /* where its condition stands */
	ck_assert_uint_eq(r.line, 2);
	r = ruleset_rule(rs, 1);
	ck_assert_str_eq(r.name, "D");
	ck_assert_uint_eq(r.line, 4);
	ck_assert_uint_eq(r.match_count, 2);
	ck_assert_int_eq(strncmp(r.match[0], d.path, strlen(d.path)), 0);
	ck_assert_str_eq(r.match[0] + strlen(d.path), "/m/x.eml");
	ck_assert_str_eq(r.match[1], "/abs.eml");
	ck_assert_uint_eq(r.miss_count, 1);
	r = ruleset_rule(rs, 2);
	ck_assert_str_eq(r.name, "C");
	ck_assert_str_eq(strrchr(r.file, '/'), "/30-local.json");
	ck_assert_uint_eq(r.line, 2);
	json = ruleset_rule_json(rs, 0);
	ck_assert_double_eq(json_number_value(json_object_get(json, "score")), 7);
	json_decref(json);
	ruleset_free(&rs);
	folder_close(&d);
}
END_TEST

/* Each finding names the file that the wrong value came from, whichever file the rest is in. */
START_TEST(findings_name_the_layer)
{
	struct folder d;

	folder_open(&d);
	folder_put(&d, "10-a.json",
	    "{'rules': {\n 'A': {'score': 'x', 'when': {'all': [{'mail.null': 1}]}},\n"
	    " 'B': {'when': {'mail.null': true, 'spf.result': 1}}}}");
	folder_put(&d, "20-b.json",
	    "{'rules': {'A': {\n 'tag': 1},\n 'B': {'when': {'mail.null': 'x'}},\n 'C': "
	    "{'score': 1}}}");
	ck_assert_ptr_null(folder_load(&d,
	    "DIR/10-a.json:2:17: /rules/A/score: must be a number, not text\n"
	    "DIR/10-a.json:2:53: /rules/A/when/all/0/mail.null: must be true or false, not a "
	    "number\n"
	    "DIR/20-b.json:2:9: /rules/A/tag: must be true, or left out\n"
	    "DIR/20-b.json:3:30: /rules/B/when/mail.null: must be true or false, not text\n"
	    "DIR/10-a.json:3:50: /rules/B/when/spf.result: must be text, not a number\n"
	    "DIR/20-b.json:4:2: /rules/C: a rule needs \"when\", its condition\n"));
	folder_close(&d);
}
END_TEST

START_TEST(removal_of_nothing)
{
	struct folder d;
	struct ruleset *rs;

	folder_open(&d);
	folder_put(&d, "10-a.json", "{'rules': {'AB': {'when': {'mail.null': true}}}}");
	folder_put(&d, "20-b.json", "{'rules': {\n'AC': null, '//': null}}");
	rs = folder_load(
	    &d, "DIR/20-b.json:2:1: /rules/AC: removes what no earlier file gives (warning)\n");
	ck_assert_uint_eq(ruleset_rule_count(rs), 1);
	ruleset_free(&rs);
	folder_close(&d);
}
END_TEST

START_TEST(list_files)
{
	struct folder d;
	struct ruleset *rs;

	folder_open(&d);
	folder_put(
	    &d, "partners.txt", "# our partners\nexample.org\r\n  example.net   # since 2020\n\n");
	folder_put(&d, "nets.txt", "192.0.2.0/24\n192.0.2.1/24\n\nfoo\n");
	folder_put(&d, "a.json",
	    "{'lists': {'partners': {'file': 'partners.txt', 'type': 'domains', 'domains': "
	    "['x.example']}},"
	    "'rules': {'A': {'when': {'helo.name': {'in': 'partners'}}}}}");
	rs = folder_load(&d, "");
	ruleset_free(&rs);
	folder_put(&d, "b.json",
	    "{'lists': {'nets': {'file': 'nets.txt', 'type': 'networks'},\n 'gone': {'file': "
	    "'gone.txt'}, 'mixed': {'file': 'partners.txt', 'domains': ['x'], 'type': 'strings'}},"
	    "'rules': {'B': {'when': {'client.address': {'in': 'nets'}}}}}");
	ck_assert_ptr_null(folder_load(&d,
	    "DIR/nets.txt:2:1: \"192.0.2.1/24\" has bits set behind its prefix\n"
	    "DIR/nets.txt:4:1: \"foo\" is no IPv4 or IPv6 address\n"
	    "DIR/b.json:2:19: /lists/gone/file: DIR/gone.txt: No such file or directory\n"
	    "DIR/b.json:2:32: /lists/mixed: the file's items are strings, the others domains\n"));
	folder_close(&d);
}
END_TEST

START_TEST(many_mistakes)
{
	struct bytes text = { 0 };
	struct findings f = { 0 };

	(void)bytes_add(&text, SLICE("{\"rules\": {"));
	for (int i = 0; i < 3000; i++)
		(void)bytes_addf(&text, "%s\"R%d\": {\"x\": 1}", i > 0 ? ",\n" : "", i);
	(void)bytes_add(&text, SLICE("}}"));
	ck_assert_ptr_null(ruleset_load_text("t.json", bytes_slice(&text), &f));
	ck_assert_uint_ge(f.errors, 3000);
	ck_assert_uint_lt(f.n, (size_t)2 * FINDINGS_MAX);
	bytes_free(&text);
	findings_free(&f);
}
END_TEST

/* A chain of rules as long as a set may be costs no stack, and no time that hurts. */
START_TEST(long_chain)
{
	struct bytes text = { 0 };
	struct findings f = { 0 };
	struct ruleset *rs;

	(void)bytes_add(&text, SLICE("{\"rules\": {\"R0\": {\"when\": {\"mail.null\": true}}"));
	for (int i = 1; i < 10000; i++)
		(void)bytes_addf(&text, ",\n\"R%d\": {\"when\": {\"rule\": \"R%d\"}}", i, i - 1);
	(void)bytes_add(&text, SLICE("}}"));
	ck_assert_ptr_nonnull(rs = ruleset_load_text("t.json", bytes_slice(&text), &f));
	ck_assert_str_eq(ruleset_rule(rs, 9999).name, "R9999");
	ck_assert_uint_eq(ruleset_rule(rs, 9999).line, 10000);
	ck_assert_int_eq(ruleset_rule(rs, 9999).stage, STAGE_MAIL);
	ruleset_free(&rs);
	bytes_free(&text);
	findings_free(&f);
}
END_TEST

START_TEST(suggests)
{
	struct findings f = { 0 };
	struct ruleset *rs = ruleset_load_text("t.json",
	    SLICE("{\"rules\": {\"SPF_FAIL\": {\"when\": {\"spf.result\": \"fail\"}}}}"), &f);
	const char *like;
	const struct fact_ref *facts;
	size_t n;

	ck_assert_uint_eq(ruleset_find(rs, SLICE("SPF_FIAL"), &like), SIZE_MAX);
	ck_assert_str_eq(like, "SPF_FAIL");
	ck_assert_uint_eq(ruleset_find(rs, SLICE("SPF_FAIL"), &like), 0);
	ck_assert_ptr_null(like);
	facts = ruleset_facts(rs, &n);
	ck_assert_uint_eq(n, 1);
	ck_assert_str_eq(facts[0].name, "spf.result");
	ruleset_free(&rs);
	findings_free(&f);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("rules_load");
	TCase *tc = tcase_create("rules_load");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, refuses, 0, COUNT(broken));
	tcase_add_test(tc, no_folder);
	tcase_add_test(tc, empty_folder);
	tcase_add_test(tc, one_file_is_broken);
	tcase_add_test(tc, layers);
	tcase_add_test(tc, findings_name_the_layer);
	tcase_add_test(tc, removal_of_nothing);
	tcase_add_test(tc, list_files);
	tcase_add_test(tc, many_mistakes);
	tcase_add_test(tc, long_chain);
	tcase_add_test(tc, suggests);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
