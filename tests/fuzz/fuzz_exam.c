#include "config.h"

#include <stdlib.h>

#include "milterd/edit_plan.h"
#include "milterd/exam.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* One rule for each provider that reads the message, and every edit. */
static const char rules[] =
    "{\"headers\": {\"remove\": [\"X-*\"], \"add\": {\"X-Out\": \"${verdict.tests} "
    "${header.subject} ${attachments[].name}\"}}, \"rules\": {"
    "\"A\": {\"when\": {\"attachments\": {\"some\": {\"extension\": {\"in\": [\"exe\", "
    "\"docm\"]}}}}, "
    "\"score\": 1},"
    "\"B\": {\"when\": {\"body.text\": {\"regex\": \"(?i)\\\\b(invoice|bitcoin)\\\\b\"}}, "
    "\"score\": 1},"
    "\"C\": {\"when\": {\"urls\": {\"none\": {\"domain\": \"example.org\"}}}, \"score\": 1},"
    "\"D\": {\"when\": {\"header.from.addr\": {\"domain\": \"example\"}, \"header.from.name\": "
    "{\"contains\": \"@\"}}, \"score\": 1},"
    "\"E\": {\"when\": {\"mime.anomalies\": {\"count\": {\"ge\": 1}}}, \"score\": 1, "
    "\"quarantine\": \"${mime.anomalies}\"},"
    "\"F\": {\"when\": {\"header.subject\": {\"exists\": true}}, \"subject_prefix\": \"[P]\", "
    "\"set_header\": {\"Received\": \"${header.received}\"}},"
    "\"G\": {\"when\": {\"message.id\": {\"exists\": true}, \"body.html\": {\"exists\": true}, "
    "\"body.raw\": {\"contains\": \"a\"}, \"message.size\": {\"ge\": 1}}, \"tag\": true}}}";

static struct engine *engine(void)
{
	static const struct services none;
	static struct engine g = { .services = &none,
		.message_bytes = 1 << 20,
		.body_text_bytes = 4096,
		.all_facts = true,
		.references = 1 };
	struct findings f = { 0 };

	if (g.rules == NULL && (g.rules = ruleset_load_text("fuzz", slice_z(rules), &f)) == NULL) {
		findings_print(&f, stderr);
		abort();
	}
	findings_free(&f);
	return &g;
}

static void edits(struct exam *x)
{
	const struct message *m = exam_message(x);
	struct field_names names = { 0 };
	struct edit_plan plan;

	for (size_t i = 0; i < m->field_count; i++)
		(void)field_names_add(&names, m->fields[i].name);
	edit_plan_make(&plan, x, &names, true);
	if (plan.failed)
		abort();
	for (size_t i = 0; i < plan.n; i++)
		if (plan.steps[i].value != NULL && strchr(plan.steps[i].value, '\r') != NULL)
			abort();
	bytes_free(&names.text);
}

/* Whatever the message: a verdict, an object that is JSON, and edits that are clean. */
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct exam *x = exam_new(engine());
	json_t *j;
	char *text;

	if (x == NULL)
		return 0;
	exam_mail(x, SLICE("<a@example.org>"), 0, SLICE(""), SLICE(""));
	exam_raw(x, slice_of(p, n));
	exam_header_end(x);
	exam_end(x);
	if (!exam_final(x) || exam_failed(x) != NULL || (j = exam_json(x)) == NULL ||
	    (text = json_dumps(j, 0)) == NULL)
		abort();
	free(text);
	json_decref(j);
	edits(x);
	exam_free(&x);
	return 0;
}
