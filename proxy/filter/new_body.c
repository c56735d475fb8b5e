#include "config.h"

#include "proxy/filter/new_body.h"

/* Every line end becomes CR LF, wherever the pieces are cut. */
static void lines_mended(struct new_body *b, struct slice in, struct bytes *out)
{
	for (size_t i = 0; i < in.n;) {
		size_t run = i;

		if (b->cr) {
			(void)bytes_add(out, SLICE("\r\n"));
			b->cr = b->in_line = false;
			i += in.p[i] == '\n';
			continue;
		}
		while (run < in.n && in.p[run] != '\r' && in.p[run] != '\n')
			run++;
		(void)bytes_add(out, slice_sub(in, i, run - i));
		b->in_line |= run > i;
		if (run < in.n && in.p[run] == '\r') {
			b->cr = true;
		} else if (run < in.n) {
			(void)bytes_add(out, SLICE("\r\n"));
			b->in_line = false;
		}
		i = run + 1;
	}
}

static int no_memory(struct new_body *b)
{
	b->failed = true;
	err_set(&b->why, "no memory for a new body");
	return 0;
}

static void add_mended(struct new_body *b, struct slice piece)
{
	struct bytes out = { 0 };

	lines_mended(b, piece, &out);
	if (out.failed)
		(void)no_memory(b);
	else if (spool_add(b->spool, bytes_slice(&out), &b->why) < 0)
		b->failed = true;
	bytes_free(&out);
}

int new_body_add(
    struct new_body *b, const struct proxy_settings *settings, struct slice piece, struct err *e)
{
	const struct proxy_settings *s = settings;

	if (b->failed)
		return 0;
	if (b->spool == NULL &&
	    (b->spool = spool_new(s->spool.directory, (size_t)s->spool.memory_bytes)) == NULL)
		return no_memory(b);
	if (spool_size(b->spool) + piece.n > (uint64_t)s->limits.message_bytes)
		return err_set(e, "REPLBODY past the limit of %lld octets",
		    (long long)s->limits.message_bytes);
	add_mended(b, piece);
	return 0;
}

int new_body_end(struct new_body *b, struct err *e)
{
	if (!b->failed && (b->cr || b->in_line) && spool_add(b->spool, SLICE("\r\n"), &b->why) < 0)
		b->failed = true;
	b->cr = b->in_line = false;
	if (b->failed)
		*e = b->why;
	return b->failed ? -1 : 0;
}

void new_body_free(struct new_body *b)
{
	spool_free(&b->spool);
	*b = (struct new_body){ 0 };
}
