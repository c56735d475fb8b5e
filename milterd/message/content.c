#include "config.h"

#include "milterd/message/anomaly.h"
#include "milterd/message/inside.h"

enum { CONTENT_MAX = 65536, TOKEN_MAX = 200 };

/* token of RFC 2045 5.1, and a few octets more: what ends it is what nobody puts into one. */
static struct slice token_take(struct slice *s)
{
	size_t n = 0;
	struct slice token;

	*s = slice_trim(*s);
	while (n < s->n && n < TOKEN_MAX && s->p[n] > 32 && s->p[n] < 127 &&
	    strchr(";,()<>\"/=", s->p[n]) == NULL)
		n++;
	token = slice_sub(*s, 0, n);
	*s = slice_sub(*s, n, s->n);
	return token;
}

static struct slice lower_token(struct message *m, struct slice *s)
{
	if (s->n > 0 && s->p[0] == '"') /* Content-Disposition: "attachment" */
		*s = slice_sub(*s, 1, s->n);
	return lower_copy(m, token_take(s));
}

/* Charset labels are quoted by single quotes or followed by comments in the wild. */
static struct slice charset_of(struct message *m, struct slice value)
{
	while (value.n > 0 && value.p[0] == '\'')
		value = slice_sub(value, 1, value.n);
	for (size_t i = 0; i < value.n; i++)
		if (value.p[i] <= ' ' || value.p[i] > '~' || strchr("'\"(;", value.p[i]) != NULL)
			value.n = i;
	return lower_copy(m, slice_sub(value, 0, TOKEN_MAX));
}

/* "text/html", whatever stands behind it; "text" alone is text/plain. */
static struct slice type_take(struct message *m, struct slice *s)
{
	struct slice main = token_take(s), sub = SLICE("");

	*s = slice_trim(*s);
	if (s->n > 0 && s->p[0] == '/') {
		*s = slice_sub(*s, 1, s->n);
		sub = token_take(s);
	}
	if (main.n > 0 && sub.n > 0) {
		struct slice type = arena_printf(
		    &m->arena, "%.*s/%.*s", SLICE_ARG(main), SLICE_ARG(sub));

		return type.p != NULL ? lower_copy(m, type) : SLICE("text/plain");
	}
	anomaly_add(m, ANOMALY_BAD_TYPE);
	if (slice_ieq(main, SLICE("multipart")))
		return SLICE("multipart/mixed");
	if (main.n == 0 || slice_ieq(main, SLICE("text")))
		return SLICE("text/plain");
	return SLICE("application/octet-stream");
}

static void content_type(struct message *m, struct part *p, struct content *c, struct slice value)
{
	struct params params;
	bool given;

	p->type = type_take(m, &value);
	params_read(m, value, &params);
	c->boundary = params_plain(m, &params, SLICE("boundary"), &c->boundary_given);
	while (c->boundary.n > 0 && ascii_space(c->boundary.p[c->boundary.n - 1]))
		c->boundary.n--; /* RFC 2046 5.1.1: none ends with a blank */
	p->charset = charset_of(m, params_plain(m, &params, SLICE("charset"), &given));
	c->type_name = params_text(m, &params, SLICE("name"));
}

static void content_encoding(
    struct message *m, struct part *p, struct content *c, struct slice value)
{
	(void)c;
	p->encoding = lower_token(m, &value);
}

static void content_disposition(
    struct message *m, struct part *p, struct content *c, struct slice value)
{
	struct params params;

	p->disposition = lower_token(m, &value);
	/* RFC 2183 2.8: what is unknown is handled as an attachment. */
	if (p->disposition.n > 0 && !slice_eq(p->disposition, SLICE("inline")))
		p->disposition = SLICE("attachment");
	params_read(m, value, &params);
	c->disposition_name = params_text(m, &params, SLICE("filename"));
}

static const struct {
	const char *name; /* behind "Content-" */
	size_t seen;
	enum anomaly duplicate;
	void (*read)(struct message *, struct part *, struct content *, struct slice value);
} contents[] = {
	{ "Type", offsetof(struct content, type_seen), ANOMALY_DUPLICATE_TYPE, content_type },
	{ "Transfer-Encoding", offsetof(struct content, encoding_seen), ANOMALY_DUPLICATE_ENCODING,
	    content_encoding },
	{ "Disposition", offsetof(struct content, disposition_seen), ANOMALY_DUPLICATE_DISPOSITION,
	    content_disposition },
};

bool content_field(
    struct message *m, struct part *p, struct content *c, struct slice name, struct slice raw)
{
	if (!slice_istarts(name, SLICE("Content-")))
		return false;
	name = slice_sub(name, 8, name.n);
	for (size_t i = 0; i < COUNT(contents); i++) {
		bool *seen = (bool *)((char *)c + contents[i].seen);

		if (!slice_ieq(name, slice_z(contents[i].name)))
			continue;
		if (*seen) {
			anomaly_add(m, contents[i].duplicate);
			break;
		}
		*seen = true;
		if (raw.n > CONTENT_MAX)
			anomaly_add(m, ANOMALY_TOO_MANY_PARAMETERS);
		contents[i].read(m, p, c, header_unfold(m, slice_sub(raw, 0, CONTENT_MAX)));
	}
	return true;
}

void content_finish(struct message *m, struct part *p, struct content *c)
{
	(void)m;
	if (!c->type_seen)
		p->type = p->parent != NULL && slice_eq(p->parent->type, SLICE("multipart/digest"))
		    ? SLICE("message/rfc822")
		    : /* RFC 2046 5.1.5 */
		    SLICE("text/plain");
	p->name = slice_trim(c->disposition_name.n > 0 ? c->disposition_name : c->type_name);
	c->multipart = slice_starts(p->type, SLICE("multipart/"));
	c->message = slice_eq(p->type, SLICE("message/rfc822")) ||
	    slice_eq(p->type, SLICE("message/global")) || slice_eq(p->type, SLICE("message/news"));
}
