#include "config.h"

#include "milterd/rules/evaluation.h"

#include <math.h>

#include "weir/smtp_reply.h"

enum { LEVEL_MAX = 50, FOLD_AT = 74, TESTS_MAX = 2000 };

/* ---- facts ---- */

/* What hostile text must not do: end the line, or bring octets that the receiver was not promised
 * (SMTPUTF8 would be needed in a reply and in a field). Control octets are gone already. */
static void add_ascii(struct bytes *out, struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c < 0x80)
			(void)bytes_addc(out, (char)c);
		else if ((c & 0xc0) != 0x80) /* one mark for one character */
			(void)bytes_addc(out, '?');
	}
}

static void add_members(const struct value *list, const char *member, struct buf *b)
{
	for (size_t i = 0; list->kind == VALUE_LIST && i < list->list.n && !b->cut; i++) {
		if (i > 0)
			buf_add(b, SLICE(", "));
		value_text(value_member(&list->list.v[i], member), b);
	}
}

static void add_fact(struct evaluation *ev, const struct piece *p, struct bytes *out)
{
	char text[RENDER_FACT_MAX + 1];
	struct buf b = BUF_ON(text);
	const struct value *v = evaluation_fact(ev, p->fact);

	text[0] = '\0';
	if (p->member != NULL)
		add_members(v, p->member, &b);
	else
		value_text(v, &b);
	add_ascii(out, buf_slice(&b));
}

/* ---- the verdict ---- */

static double required(const struct verdict *v)
{
	return !isinf(v->tag_at)       ? v->tag_at
	    : !isinf(v->quarantine_at) ? v->quarantine_at
				       : v->reject_at;
}

static void add_number(struct bytes *out, double n)
{
	if (isinf(n))
		(void)bytes_addc(out, '-');
	else
		(void)bytes_addf(out, "%.*f", n * 10 == trunc(n * 10) ? 1 : 2, n);
}

/* The octets of the line that is being written, the field's name included. */
static size_t column(const struct bytes *out, struct slice name)
{
	const char *end = out->n > 0 ? memrchr(out->p, '\n', out->n) : NULL;

	return end != NULL ? out->n - (size_t)(end + 1 - out->p) + 8 : name.n + 2 + out->n;
}

/* "A,B,C", folded behind commas where it is a header field; "none" as Sieve scripts know it. */
static void add_tests(
    const struct verdict *v, bool scores, enum render_for use, struct slice name, struct bytes *out)
{
	size_t begun = out->n, listed = 0;

	for (size_t i = 0; i < v->symbol_count; i++) {
		const struct symbol *s = &v->symbols[i];

		if (s->shadow)
			continue;
		if (listed++ > 0)
			(void)bytes_addc(out, ',');
		if (out->n - begun > TESTS_MAX) {
			(void)bytes_add(out, SLICE("..."));
			return;
		}
		if (use == RENDER_FIELD && column(out, name) + strlen(s->name) + 8 > FOLD_AT)
			(void)bytes_add(out, SLICE("\n\t"));
		(void)bytes_add(out, slice_z(s->name));
		if (scores) {
			(void)bytes_addc(out, '=');
			add_number(out, s->score);
		}
	}
	if (listed == 0)
		(void)bytes_add(out, SLICE("none"));
}

static bool is_spam(const struct verdict *v)
{
	return v->action == ACTION_TAG || v->action == ACTION_QUARANTINE ||
	    v->action == ACTION_REJECT;
}

static void add_level(double score, struct bytes *out)
{
	for (int i = 1; i <= LEVEL_MAX && i <= score; i++)
		(void)bytes_addc(out, '*');
}

static void add_pseudo(const struct verdict *v, enum pseudo which, enum render_for use,
    struct slice name, struct bytes *out)
{
	switch (which) {
	case PSEUDO_ACTION:
		(void)bytes_add(out, slice_z(action_names[v->action]));
		return;
	case PSEUDO_SCORE:
		add_number(out, v->score);
		return;
	case PSEUDO_REQUIRED:
		add_number(out, required(v));
		return;
	case PSEUDO_TESTS:
		add_tests(v, false, use, name, out);
		return;
	case PSEUDO_SCORES:
		add_tests(v, true, use, name, out);
		return;
	case PSEUDO_FLAG:
		(void)bytes_add(out, is_spam(v) ? SLICE("YES") : SLICE("NO"));
		return;
	case PSEUDO_YESNO:
		(void)bytes_add(out, is_spam(v) ? SLICE("Yes") : SLICE("No"));
		return;
	case PSEUDO_LEVEL:
		add_level(v->score, out);
		return;
	case PSEUDO_POLICY:
		(void)bytes_add(out, slice_z(v->policy));
		return;
	case PSEUDO_STAGE:
		(void)bytes_add(out, slice_z(stage_names[v->stage]));
		return;
	case PSEUDO_RULE:
		(void)bytes_add(out, slice_z(v->decided_by != NULL ? v->decided_by : "-"));
		return;
	case PSEUDO_COUNT:
		return;
	}
}

struct slice render(
    struct evaluation *ev, const struct template *t, enum render_for use, struct slice name)
{
	struct bytes out = { .max = use == RENDER_REPLY ? SMTP_REPLY_MAX - 1 : RENDER_MAX };
	struct slice text;

	/* What does not fit is cut behind the last piece that does. */
	for (size_t i = 0; i < t->n && !out.failed; i++) {
		const struct piece *p = &t->v[i];

		if (p->kind == PIECE_TEXT)
			(void)bytes_add(&out, p->text);
		else if (p->kind == PIECE_FACT)
			add_fact(ev, p, &out);
		else
			add_pseudo(&ev->verdict, p->pseudo, use, name, &out);
	}
	text = arena_copy(ev->arena, bytes_slice(&out));
	bytes_free(&out);
	return text;
}
