#include "config.h"

#include "mbox.h"

void mbox_start(struct mbox *b, size_t message_max, mbox_message_fn *on_message, void *arg)
{
	*b = (struct mbox){ .on_message = on_message,
		.arg = arg,
		.message = { .max = message_max },
		.line = { .max = MBOX_LINE_MAX },
		.blank = true };
}

void mbox_free(struct mbox *b)
{
	bytes_free(&b->message);
	bytes_free(&b->line);
}

static bool has_time_of_day(struct slice s)
{
	for (size_t i = 0; i + 5 <= s.n; i++)
		if (ascii_digit(s.p[i]) && ascii_digit(s.p[i + 1]) && s.p[i + 2] == ':' &&
		    ascii_digit(s.p[i + 3]) && ascii_digit(s.p[i + 4]))
			return true;
	return false;
}

static bool is_separator(struct slice line)
{
	struct slice rest;

	if (!slice_starts(line, SLICE("From ")))
		return false;
	rest = slice_trim(slice_sub(line, 5, line.n));
	return slice_find(rest, ' ') == rest.n || has_time_of_day(rest);
}

static bool is_blank(struct slice line)
{
	return slice_eq(line, SLICE("\n")) || slice_eq(line, SLICE("\r\n"));
}

/* mboxrd: one '>' was put in front of ">>From " and the like. */
static struct slice unescape(struct slice line)
{
	size_t n = 0;

	while (n < line.n && line.p[n] == '>')
		n++;
	if (n > 0 && slice_starts(slice_sub(line, n, line.n), SLICE("From ")))
		return slice_sub(line, 1, line.n);
	return line;
}

/* The first octets count, as in the daemon. */
static void keep(struct mbox *b, struct slice octets)
{
	size_t room = b->message.max - b->message.n;

	if (b->message.max > 0)
		octets = slice_sub(octets, 0, room);
	if (octets.n > 0 && !bytes_add(&b->message, octets))
		b->failed = true;
}

/* The empty line in front of a separator is the mailbox's. */
static int give(struct mbox *b)
{
	struct slice m = bytes_slice(&b->message);
	int rc;

	if (b->blank && m.n > 0 && m.p[m.n - 1] == '\n') {
		m.n--;
		if (m.n > 0 && m.p[m.n - 1] == '\r')
			m.n--;
	}
	rc = b->begun ? b->on_message(m, b->arg) : 0;
	bytes_clear(&b->message);
	return rc;
}

/* A line with its end, or MBOX_LINE_MAX octets of a longer one. */
static int on_piece(struct mbox *b, struct slice piece)
{
	bool begins = !b->inside;
	int rc = 0;

	b->inside = piece.p[piece.n - 1] != '\n';
	if (begins && b->blank && is_separator(piece)) {
		rc = give(b);
		b->begun = true;
		b->blank = false;
		return rc;
	}
	if (begins && !is_blank(piece))
		piece = unescape(piece);
	b->blank = begins && is_blank(piece);
	keep(b, piece);
	return 0;
}

/* Hold octets back until their line is whole or long enough. Returns how many were taken. */
static size_t hold(struct mbox *b, struct slice octets, bool *whole)
{
	size_t n = slice_find(octets, '\n');

	n = n < octets.n ? n + 1 : n;
	if (n > MBOX_LINE_MAX - b->line.n)
		n = MBOX_LINE_MAX - b->line.n;
	if (!bytes_add(&b->line, slice_sub(octets, 0, n)))
		b->failed = true;
	*whole = b->line.n == MBOX_LINE_MAX || (n > 0 && octets.p[n - 1] == '\n');
	return n;
}

static int on_line_held(struct mbox *b)
{
	int rc = b->line.n > 0 ? on_piece(b, bytes_slice(&b->line)) : 0;

	bytes_clear(&b->line);
	return rc;
}

int mbox_feed(struct mbox *b, struct slice octets)
{
	int rc = 0;

	while (rc == 0 && octets.n > 0) {
		size_t n = slice_find(octets, '\n');
		bool whole;

		if (b->line.n == 0 && n < octets.n && n < MBOX_LINE_MAX) {
			rc = on_piece(b, slice_sub(octets, 0, ++n));
		} else {
			n = hold(b, octets, &whole);
			rc = whole ? on_line_held(b) : 0;
		}
		octets = slice_sub(octets, n, octets.n);
	}
	return rc;
}

int mbox_end(struct mbox *b)
{
	int rc = on_line_held(b);

	return rc == 0 ? give(b) : rc;
}
