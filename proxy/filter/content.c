#include "config.h"

#include "proxy/filter/content.h"

void content_begin(struct content *c, const struct mail *m, size_t hidden, bool spooled)
{
	content_free(c);
	c->mail = m;
	c->hidden = hidden;
	c->spooled = c->ended = spooled;
}

void content_free(struct content *c)
{
	bytes_free(&c->waiting);
	*c = (struct content){ 0 };
}

size_t content_waiting(const struct content *c)
{
	return c->waiting.n - c->waiting_at;
}

bool content_add(struct content *c, struct slice octets)
{
	if (c->body_over || c->mail == NULL)
		return true;
	if (c->waiting_at > content_waiting(c)) {
		memmove(c->waiting.p, c->waiting.p + c->waiting_at, content_waiting(c));
		c->waiting.n -= c->waiting_at;
		c->waiting_at = 0;
	}
	return bytes_add(&c->waiting, octets);
}

void content_skip(struct content *c, enum milter_command what)
{
	if (what == MILTER_HEADER)
		c->header_over = true;
	if (what == MILTER_BODY) {
		c->body_over = true;
		bytes_free(&c->waiting);
		c->waiting_at = 0;
	}
}

static uint64_t body_left(const struct content *c)
{
	if (c->spooled)
		return c->mail->body != NULL ? spool_size(c->mail->body) - c->offset : 0;
	return content_waiting(c);
}

int content_next(struct content *c, const struct milter_options *o)
{
	c->field += c->field == c->hidden;
	if ((o->protocol & MILTER_NO_HEADERS) != 0 || c->field >= c->mail->field_count)
		c->header_over = true;
	if ((o->protocol & MILTER_NO_BODY) != 0)
		content_skip(c, MILTER_BODY);
	if (!c->header_over)
		return MILTER_HEADER;
	if (!c->eoh_over)
		return MILTER_EOH;
	if (!c->body_over && body_left(c) >= (c->ended ? 1 : MILTER_CHUNK_MAX))
		return MILTER_BODY;
	return c->ended ? MILTER_END : 0;
}

static int put_field(struct content *c, const struct milter_options *o, struct bytes *out)
{
	const struct mail_field *f = &c->mail->fields[c->field++];
	struct slice line = slice_of(f->line, f->n);
	struct slice value = slice_sub(line, f->value, line.n);

	if (value.n > 0 && value.p[value.n - 1] == '\n')
		value.n--;
	if (value.n > 0 && value.p[value.n - 1] == '\r')
		value.n--;
	return milter_put_header(out, slice_sub(line, 0, f->name_n), value,
		   (o->protocol & MILTER_LEADING_SPACE) != 0)
	    ? 0
	    : -1;
}

static int put_body(struct content *c, struct bytes *out, struct err *e)
{
	char chunk[MILTER_CHUNK_MAX];
	struct slice octets;

	if (c->spooled) {
		if (spool_read(c->mail->body, c->offset, chunk, sizeof(chunk), &octets, e) < 0)
			return -1;
		if (octets.n == 0)
			return err_set(e, "the spool ends early");
		c->offset += octets.n;
	} else {
		octets = slice_sub(
		    slice_of(c->waiting.p, c->waiting.n), c->waiting_at, MILTER_CHUNK_MAX);
		c->waiting_at += octets.n;
	}
	return milter_put_body(out, octets) ? 0 : -1;
}

int content_put(
    struct content *c, int what, const struct milter_options *o, struct bytes *out, struct err *e)
{
	int rc = 0;

	err_set(e, "no memory");
	if (what == MILTER_HEADER)
		rc = put_field(c, o, out);
	else if (what == MILTER_BODY)
		rc = put_body(c, out, e);
	else
		c->eoh_over = true;
	return rc;
}
