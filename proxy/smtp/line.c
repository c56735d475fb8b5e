#include "config.h"

#include "line.h"

/* Throw away up to and with the CR LF. A CR at the end stays: its LF may come. */
static enum line_status discard(struct line_reader *r, struct slice in, size_t *used)
{
	size_t end = slice_find_slice(in, SLICE("\r\n"));

	if (end < in.n) {
		*used = end + 2;
		*r = (struct line_reader){ .lf_ends = r->lf_ends };
		return LINE_MORE;
	}
	*used = in.n > 0 && in.p[in.n - 1] == '\r' ? in.n - 1 : in.n;
	r->discarded += *used;
	return r->discarded > LINE_DISCARD_MAX ? LINE_FLOOD : LINE_MORE;
}

static enum line_status bad(struct line_reader *r, enum line_status why, size_t at, size_t *used)
{
	*used = at;
	r->discarding = true;
	r->looked = 0;
	return why;
}

/* A whole line of n octets and its end. */
static enum line_status good(
    struct line_reader *r, struct slice in, size_t n, size_t end, struct slice *line, size_t *used)
{
	*line = slice_sub(in, 0, n);
	*used = n + end;
	r->looked = 0;
	r->bare = end == 1;
	return LINE_GOOD;
}

/* Where the next octet stands that has to be looked at: NUL, CR, LF, or the first one too many. */
static size_t pass_over(struct slice in, size_t from, size_t max)
{
	struct slice rest = slice_sub(in, from, max > from + 1 ? max - 1 - from : 0);

	rest.n = slice_find(rest, '\n');
	rest.n = slice_find(rest, '\r');
	return from + slice_find(rest, '\0');
}

enum line_status line_read(
    struct line_reader *r, struct slice in, size_t max, struct slice *line, size_t *used)
{
	*used = 0;
	if (r->discarding)
		return discard(r, in, used);
	for (size_t i = pass_over(in, r->looked, max); i < in.n; i++) {
		char c = in.p[i];

		if (i + 2 > max)
			return bad(r, LINE_LONG, i, used);
		if (c == '\0')
			return bad(r, LINE_NUL, i, used);
		if (c == '\n' && r->lf_ends)
			return good(r, in, i, 1, line, used);
		if (c == '\n')
			return bad(r, LINE_BARE, i + 1, used);
		if (c != '\r')
			continue;
		if (i + 1 == in.n) {
			r->looked = i;
			return LINE_MORE;
		}
		if (in.p[i + 1] != '\n')
			return bad(r, LINE_BARE, i + 1, used);
		return good(r, in, i, 2, line, used);
	}
	r->looked = in.n;
	return LINE_MORE;
}
