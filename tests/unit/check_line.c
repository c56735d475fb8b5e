#include "config.h"

#include "unit.h"

#include <stdio.h>

#include "proxy/smtp/line.h"

#define MAX 12

/* What the reader makes of the octets, one word for each line: "g:TEXT" or a letter for what is
 * bad. */
static const struct {
	const char *octets;
	size_t n;
	const char *made,
	    *lenient; /* lenient: where a bare LF ends a line too; "g" becomes "f" then */
} lines[] = {
#define LINES(text, ...)                            \
	{                                           \
		text, sizeof(text) - 1, __VA_ARGS__ \
	}
	LINES("NOOP\r\n", "g:NOOP ", "g:NOOP "),
	LINES("\r\n", "g: ", "g: "),
	LINES("A\r\nB\r\nC", "g:A g:B ", "g:A g:B "),
	LINES("A\nB\r\nC\r\n", "b g:C ", "f:A g:B g:C "),
	LINES("A\rB\r\nC\r\n", "b g:C ", "b g:C "),
	LINES("A\r\r\nC\r\n", "b g:C ", "b g:C "),
	LINES("A\n\r\nC\r\n", "b g:C ", "f:A g: g:C "),
	LINES("\nA\n\nC\r\nD\r\n", "b g:D ", "f: f:A f: g:C g:D "),
	LINES("A\0B\r\nC\r\n", "n g:C ", "n g:C "),
	LINES("A\0B\nD\rE\r\nC\r\n", "n g:C ", "n g:C "),
	LINES("0123456789\r\nC\r\n", "g:0123456789 g:C ", "g:0123456789 g:C "),
	LINES("0123456789a\r\nC\r\n", "l g:C ", "l g:C "),
	LINES("0123456789abcdefghijklmnopqrst\n\0\r\nC\r\n", "l g:C ", "l g:C "),
	LINES("A\r", "", ""),
#undef LINES
};

/* Feed octets, the first `cut` of them alone. */
static void feed(const char *octets, size_t n, size_t cut, bool lenient, struct buf *made)
{
	struct line_reader r = { .lf_ends = lenient };
	size_t from = 0, to = cut;

	for (;;) {
		struct slice line = { 0 };
		size_t used;
		enum line_status s = line_read(
		    &r, slice_of(octets + from, to - from), MAX, &line, &used);

		from += used;
		ck_assert_uint_le(from, to);
		if (s == LINE_GOOD)
			buf_addf(made, "%c:%.*s ", r.bare ? 'f' : 'g', SLICE_ARG(line));
		else if (s != LINE_MORE)
			buf_addf(made, "%c ", s == LINE_LONG ? 'l' : s == LINE_BARE ? 'b' : 'n');
		else if (used == 0 && to == n)
			return;
		else if (used == 0)
			to = n;
	}
}

START_TEST(same_however_cut)
{
	for (size_t cut = 0; cut <= lines[_i].n; cut++) {
		for (int lenient = 0; lenient < 2; lenient++) {
			const char *want = lenient ? lines[_i].lenient : lines[_i].made;
			char text[200] = "";
			struct buf made = BUF_ON(text);

			feed(lines[_i].octets, lines[_i].n, cut, lenient, &made);
			ck_assert_msg(strcmp(text, want) == 0, "cut at %zu: \"%s\", not \"%s\"",
			    cut, text, want);
		}
	}
}
END_TEST

START_TEST(flood_is_bounded)
{
	static char octets[4096];
	struct line_reader r = { 0 };
	struct slice line;
	size_t used, total = 0;
	enum line_status s;

	memset(octets, 'x', sizeof(octets));
	ck_assert_int_eq(line_read(&r, slice_of(octets, 100), MAX, &line, &used), LINE_LONG);
	do {
		s = line_read(&r, slice_of(octets, sizeof(octets)), MAX, &line, &used);
		ck_assert_uint_eq(used, sizeof(octets));
		total += used;
	} while (s == LINE_MORE);
	ck_assert_int_eq(s, LINE_FLOOD);
	ck_assert_uint_le(total, LINE_DISCARD_MAX + sizeof(octets));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("line");
	TCase *tc = tcase_create("line");

	tcase_add_loop_test(tc, same_however_cut, 0, COUNT(lines));
	tcase_add_test(tc, flood_is_bounded);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
