#include "config.h"

#include "milterd/verdict_line.h"

#include <math.h>

#include "weir/log.h"

static void add_client(struct log_line *l, struct exam *x)
{
	const struct client *c = exam_client(x);
	const struct envelope_path *from = exam_reverse_path(x);
	char text[512];
	struct buf b = BUF_ON(text);
	char address[ADDRESS_TEXT_MAX];

	text[0] = '\0';
	buf_addc(&b, '<');
	buf_add(&b, slice_sub(from->address, 0, sizeof(text) - 3));
	buf_addc(&b, '>');
	log_z(l, "client",
	    c->address.family == AF_UNSPEC ? NULL : address_text(&c->address, address));
	log_str(l, "helo", c->helo.n > 0 ? c->helo : slice_z(NULL));
	log_str(l, "from", from->address.p != NULL ? buf_slice(&b) : slice_z(NULL));
}

/* The threshold that the action came from, or the next one above. */
static double threshold(const struct verdict *v)
{
	switch (v->action) {
	case ACTION_QUARANTINE:
		return v->quarantine_at;
	case ACTION_REJECT:
		return v->reject_at;
	default:
		return v->tag_at;
	}
}

static void add_score(struct log_line *l, const struct verdict *v)
{
	char text[64] = "";
	struct buf b = BUF_ON(text);
	double at = threshold(v);

	buf_addf(&b, "%.2f/", v->score);
	if (isfinite(at) && at > 0)
		buf_addf(&b, "%.2f", at);
	else
		buf_addc(&b, '-');
	log_str(l, "score", buf_slice(&b));
}

/* "SPF_FAIL:3.00,BAYES_SPAM:2.50,~NEW_IDEA:4.00": what has a tilde is a shadow and counted nothing.
 */
static void add_symbols(struct log_line *l, const struct verdict *v)
{
	char text[2048] = "";
	struct buf b = BUF_ON(text);

	for (size_t i = 0; i < v->symbol_count && !b.cut; i++)
		buf_addf(&b, "%s%s%s:%.2f", i > 0 ? "," : "", v->symbols[i].shadow ? "~" : "",
		    v->symbols[i].name, v->symbols[i].score);
	log_str(l, "symbols", b.n > 0 ? buf_slice(&b) : slice_z(NULL));
}

static void add_antivirus(struct log_line *l, struct exam *x)
{
	struct value found = exam_told(x, "virus.found"), name = exam_told(x, "virus.name"),
		     error = exam_told(x, "virus.error");

	if (name.kind == VALUE_STRING && name.string.n > 0)
		log_str(l, "av", name.string);
	else if (found.kind == VALUE_BOOL && found.boolean)
		log_z(l, "av", "found");
	else if (error.kind == VALUE_STRING && error.string.n > 0)
		log_z(l, "av", "error");
	else
		log_z(l, "av", found.kind == VALUE_BOOL ? "clean" : NULL);
}

static void begin(struct log_line *l, enum log_level level, const char *event, const char *id,
    const char *queue_id)
{
	log_begin(l, level, event);
	log_z(l, "id", id);
	log_z(l, "qid", queue_id[0] != '\0' ? queue_id : NULL);
}

void verdict_line(struct exam *x, const char *id, const char *queue_id, bool aborted)
{
	const struct verdict *v = exam_verdict(x);
	struct log_line l;
	size_t n;

	begin(
	    &l, exam_failed(x) != NULL ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, "verdict", id, queue_id);
	add_client(&l, x);
	(void)exam_recipients(x, &n);
	log_int(&l, "rcpts", (int64_t)n);
	log_int(&l, "bytes", (int64_t)exam_message(x)->size);
	log_z(&l, "stage", stage_names[aborted ? exam_stage(x) : v->stage]);
	add_score(&l, v);
	log_z(&l, "action", aborted ? "abort" : action_names[v->action]);
	log_str(&l, "reply", aborted ? slice_z(NULL) : v->reply);
	add_symbols(&l, v);
	add_antivirus(&l, x);
	log_int(&l, "ms", llround(exam_elapsed_ms(x)));
	if (exam_failed(x) != NULL)
		log_z(&l, "error", exam_failed(x));
	log_end(&l);
}

void refusal_line(struct exam *x, const char *id, const char *queue_id, struct slice recipient,
    struct slice reply, bool tempfail)
{
	struct log_line l;

	begin(&l, LOG_LEVEL_INFO, "refused", id, queue_id);
	add_client(&l, x);
	log_str(&l, "rcpt", recipient);
	log_z(&l, "action", tempfail ? "tempfail" : "reject");
	log_str(&l, "reply", reply);
	log_end(&l);
}
