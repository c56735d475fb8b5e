#include "config.h"

#include "milterd/rules/loader.h"
#include "weir/smtp_reply.h"

const char *const pseudo_names[PSEUDO_COUNT] = { "verdict.action", "verdict.score",
	"verdict.required", "verdict.tests", "verdict.scores", "verdict.flag", "verdict.yesno",
	"verdict.level", "verdict.policy", "verdict.stage", "verdict.rule" };

enum { PIECES_MAX = 64 };

static bool pseudo_find(struct slice name, enum pseudo *out)
{
	for (size_t i = 0; i < PSEUDO_COUNT; i++)
		if (slice_eq(name, slice_z(pseudo_names[i]))) {
			*out = (enum pseudo)i;
			return true;
		}
	return false;
}

/* What stands between "${" and "}". */
static int load_variable(struct loader *l, struct slice name, struct piece *out)
{
	enum fact_type type;
	struct err e;

	if (pseudo_find(name, &out->pseudo)) {
		out->kind = PIECE_PSEUDO;
		return 0;
	}
	if (slice_starts(name, SLICE("verdict.")))
		return complain_unknown(l, false, "name", name, pseudo_names, PSEUDO_COUNT);
	if (loader_fact(l, name, &out->fact, &out->member, &type, &e) < 0)
		return complain(l, false, "%s", e.text);
	if (type == FACT_OBJECTS)
		return complain(l, false,
		    "${%.*s} is a list of objects: name a member, as ${%.*s[].NAME}",
		    SLICE_ARG(name), SLICE_ARG(name));
	out->kind = PIECE_FACT;
	return 0;
}

/* Take the next piece off *rest: text up to "${", or a variable. "$${" is "${" itself. */
static int next_piece(struct loader *l, struct slice *rest, struct piece *out)
{
	size_t at = slice_find_slice(*rest, SLICE("${"));
	size_t end;

	*out = (struct piece){ .kind = PIECE_TEXT };
	if (at > 0 && at < rest->n && rest->p[at - 1] == '$') {
		/* The first "$" and what is before it are text, "${" too. */
		out->text = slice_sub(*rest, 0, at - 1);
		if (out->text.n == 0) {
			out->text = slice_sub(*rest, at, 2);
			at += 2;
		} else {
			at--;
		}
		*rest = slice_sub(*rest, at, rest->n);
		return 0;
	}
	if (at > 0) {
		out->text = slice_sub(*rest, 0, at);
		*rest = slice_sub(*rest, at, rest->n);
		return 0;
	}
	if ((end = slice_find(*rest, '}')) == rest->n)
		return complain(l, false, "\"${\" without \"}\"");
	if (load_variable(l, slice_sub(*rest, 2, end - 2), out) < 0)
		return -1;
	*rest = slice_sub(*rest, end + 1, rest->n);
	return 0;
}

static int keep_text(struct loader *l, struct piece *p)
{
	size_t n = p->text.n;
	const char *copy;

	if (p->kind != PIECE_TEXT)
		return 0;
	if ((copy = loader_text(l, p->text)) == NULL)
		return -1;
	p->text = slice_of(copy, n);
	return 0;
}

int load_template(struct loader *l, struct slice text, const struct template **out)
{
	struct piece pieces[PIECES_MAX];
	struct template *t;
	size_t n = 0;

	while (text.n > 0) {
		if (n == PIECES_MAX)
			return complain(l, false, "more than %d pieces", PIECES_MAX);
		if (next_piece(l, &text, &pieces[n]) < 0 || keep_text(l, &pieces[n]) < 0)
			return -1;
		n++;
	}
	if ((t = loader_take(l, sizeof(*t))) == NULL ||
	    (t->v = loader_take(l, (n + 1) * sizeof(*t->v))) == NULL)
		return -1;
	if (n > 0)
		memcpy(t->v, pieces, n * sizeof(*t->v));
	t->n = n;
	*out = t;
	return 0;
}

/* The reply with a letter for each variable: what smtp_reply_from_text() must take. */
static void reply_sample(const struct template *t, struct buf *b)
{
	for (size_t i = 0; i < t->n; i++)
		buf_add(b, t->v[i].kind == PIECE_TEXT ? t->v[i].text : SLICE("x"));
}

int load_reply(struct loader *l, json_t *v, enum action action, const struct template **out)
{
	char sample[SMTP_REPLY_MAX];
	struct buf b = BUF_ON(sample);
	struct smtp_reply reply;
	int class = action == ACTION_REJECT ? 5 : 4;
	struct err e;

	sample[0] = '\0';
	if (load_template(l, text_of(v), out) < 0)
		return -1;
	reply_sample(*out, &b);
	if (b.cut)
		return complain(l, false, "longer than %d octets", SMTP_REPLY_MAX - 1);
	if (smtp_reply_from_text(buf_slice(&b), &reply, &e) < 0)
		return complain(l, false, "%s", e.text);
	if (smtp_reply_class(&reply) != class)
		return complain(l, false, "%s needs a %dyz reply, as in \"%s\"",
		    action_names[action], class, class == 5 ? "550 5.7.1 text" : "451 4.7.1 text");
	return 0;
}
