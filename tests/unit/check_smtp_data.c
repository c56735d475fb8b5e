#include "config.h"

#include "unit.h"

#include "weir/smtp_data.h"

/* Decode wire cut before octet `cut`; the same call twice for what is left where it was cut. */
struct decoded {
	int rc;
	size_t used;
	struct bytes content;
	struct smtp_data_decoder state;
};

static struct decoded decode_cut(struct slice wire, size_t cut)
{
	struct decoded d = { 0 };
	size_t used = 0;

	smtp_data_decode_start(&d.state);
	d.rc = smtp_data_decode(&d.state, slice_sub(wire, 0, cut), &d.used, &d.content);
	if (d.rc == 0) {
		ck_assert_uint_eq(d.used, cut);
		d.rc = smtp_data_decode(&d.state, slice_sub(wire, cut, wire.n), &used, &d.content);
		d.used += used;
	}
	return d;
}

static struct decoded decode_octets(struct slice wire)
{
	struct decoded d = { 0 };

	smtp_data_decode_start(&d.state);
	for (size_t i = 0, used; i < wire.n && d.rc == 0; i++, d.used += used)
		d.rc = smtp_data_decode(&d.state, slice_sub(wire, i, 1), &used, &d.content);
	return d;
}

#define W(lit)                          \
	{                               \
		"" lit, sizeof(lit) - 1 \
	}
/* The sequence stands between two lines; a whole end follows. None of them ends the data. */
static const struct {
	const char *why;
	struct slice sequence;
	const char *content; /* what becomes of "a" sequence "b"; NUL is shown as 0 */
} not_an_end[] = {
	{ "W02 LF . LF", W("\n.\n"), "a\r\nb\r\n" },
	{ "W02 LF . CR", W("\n.\r"), "a\r\n b\r\n" },
	{ "W02 CR . LF", W("\r.\n"), "a .\r\nb\r\n" },
	{ "W02 CR . CR", W("\r.\r"), "a . b\r\n" },
	{ "W02 LF . CR LF", W("\n.\r\n"), "a\r\nb\r\n" },
	{ "W02 CR . CR LF", W("\r.\r\n"), "a .\r\nb\r\n" },
	{ "W02 CR LF NUL . CR LF", W("\r\n\0.\r\n"), "a\r\n0.\r\nb\r\n" },
	{ "W02 CR LF . LF", W("\r\n.\n"), "a\r\nb\r\n" },
	{ "W02 CR LF . CR", W("\r\n.\r"), "a\r\n b\r\n" },
	{ "W02 CR LF . NUL CR LF", W("\r\n.\0\r\n"), "a\r\n0\r\nb\r\n" },
	{ "W02 CR LF . CR CR LF", W("\r\n.\r\r\n"), "a\r\n \r\nb\r\n" },
	{ "W02 CR CR LF . CR CR LF", W("\r\r\n.\r\r\n"), "a \r\n \r\nb\r\n" },
	{ "W04 two dots after a bare LF", W("\n..\r\n"), "a\r\n.\r\nb\r\n" },
	{ "W04 dot and text after a bare LF", W("\n.x\r\n"), "a\r\nx\r\nb\r\n" },
	{ "W04 dot line after a removed one", W("\n.\n.\r\n"), "a\r\nb\r\n" },
	{ "W04 one CR goes with its LF", W("\r\r\r\n"), "a  \r\nb\r\n" },
	{ "W04 LF CR", W("\n\r"), "a\r\n b\r\n" },
	{ "W04 LF . CR CR LF", W("\n.\r\r\n"), "a\r\n \r\nb\r\n" },
	{ "W04 LF . CR text", W("\n.\rx\r\n"), "a\r\n x\r\nb\r\n" },
	{ "W01 dots unstuffed", W("\r\n..\r\n...x\r\n"), "a\r\n.\r\n..x\r\nb\r\n" },
	{ "W01 empty lines", W("\r\n\r\n\r\n"), "a\r\n\r\n\r\nb\r\n" },
	{ "W01 dot in a line", W(" . .\r\n"), "a . .\r\nb\r\n" },
};

static void check_decoded(
    struct decoded d, struct slice wire, struct slice commands, size_t i, size_t cut)
{
	const char *why = not_an_end[i].why;

	ck_assert_msg(d.rc == 1, "%s, cut at %zu: no end found", why, cut);
	ck_assert_msg(d.used == wire.n - commands.n, "%s, cut at %zu: %zu octets taken of %zu", why,
	    cut, d.used, wire.n);
	for (size_t k = 0; k < d.content.n; k++)
		if (d.content.p[k] == '\0')
			d.content.p[k] = '0';
	ck_assert_msg(slice_eq(bytes_slice(&d.content), slice_z(not_an_end[i].content)),
	    "%s, cut at %zu: content is \"%s\"", why, cut, d.content.p);
	ck_assert_uint_eq(d.state.wire_bytes, d.used);
	bytes_free(&d.content);
}

/* W03: the same at every octet. */
START_TEST(takes_no_other_end)
{
	struct slice commands = SLICE("QUIT\r\n");
	struct bytes wire = { 0 };
	struct decoded whole;

	(void)bytes_addc(&wire, 'a');
	(void)bytes_add(&wire, not_an_end[_i].sequence);
	(void)bytes_add(&wire, SLICE("b\r\n.\r\n"));
	(void)bytes_add(&wire, commands);
	for (size_t cut = 0; cut <= wire.n - commands.n; cut++)
		check_decoded(decode_cut(bytes_slice(&wire), cut), bytes_slice(&wire), commands,
		    (size_t)_i, cut);
	whole = decode_octets(bytes_slice(&wire));
	check_decoded(whole, bytes_slice(&wire), commands, (size_t)_i, wire.n);
	bytes_free(&wire);
}
END_TEST

static const struct {
	const char *why;
	struct slice wire;
	const char *content;
	bool bare_cr, bare_lf, nul;
	bool dots;
} messages[] = {
	{ "no content", W(".\r\n"), "", false, false, false, false },
	{ "W04 first line a dot with LF", W(".\n.\r\n.\r\n"), "", false, true, false, false },
	{ "plain", W("a\r\nb\r\n.\r\n"), "a\r\nb\r\n", false, false, false, false },
	{ "bare LF", W("a\nb\r\n.\r\n"), "a\r\nb\r\n", false, true, false, false },
	{ "bare CR", W("a\rb\r\n.\r\n"), "a b\r\n", true, false, false, false },
	{ "bare CR behind a dot", W(".\rb\r\n.\r\n"), " b\r\n", true, false, false, false },
	{ "two CRs", W("a\r\r\n.\r\n"), "a \r\n", true, false, false, false },
	{ "W01 after two CRs and LF the dot ends", W("\r\r\n.\r\n"), " \r\n", true, false, false,
	    false },
	{ "W01 CRLF.CRLF behind a removed dot line", W("a\n.\r\n.\r\n"), "a\r\n", false, true,
	    false, false },
	{ "dots of the content", W("a\r\n..b\r\n.\r\n"), "a\r\n.b\r\n", false, false, false, true },
	{ "first line", W("..\r\n.\r\n"), ".\r\n", false, false, false, true },
	{ "a dot behind LF", W("a\n..\r\n.\r\n"), "a\r\n.\r\n", false, true, false, true },
	{ "a dot too few", W("a\r\n.b\r\n.\r\n"), "a\r\nb\r\n", false, false, false, false },
	{ "8-bit", W("gr\xc3\xbc\xff\r\n.\r\n"), "gr\xc3\xbc\xff\r\n", false, false, false, false },
};
START_TEST(decodes_messages)
{
	struct decoded d = decode_cut(messages[_i].wire, 0);

	ck_assert_msg(d.rc == 1, "%s", messages[_i].why);
	ck_assert_uint_eq(d.used, messages[_i].wire.n);
	ck_assert_slice_eq(bytes_slice(&d.content), messages[_i].content);
	ck_assert_int_eq(d.state.bare_cr, messages[_i].bare_cr);
	ck_assert_int_eq(d.state.bare_lf, messages[_i].bare_lf);
	ck_assert_int_eq(d.state.dots, messages[_i].dots);
	bytes_free(&d.content);
}
END_TEST

START_TEST(sees_nul_of_this_message_only)
{
	struct decoded d = decode_cut((struct slice)W("a\r\n.\r\n\0\0"), 0);

	ck_assert(!d.state.nul);
	bytes_free(&d.content);
	d = decode_cut((struct slice)W("a\0\r\n.\r\n"), 0);
	ck_assert(d.state.nul);
	bytes_free(&d.content);
}
END_TEST

/* A full buffer costs nothing: the same octets go into another one. */
START_TEST(takes_nothing_when_out_fails)
{
	struct slice wire = W("0123456789\r\n.x\n\r\n.\r\nNOOP\r\n");
	struct bytes small = { .max = 14 }, large = { 0 };
	struct smtp_data_decoder d;
	size_t used = 99;

	smtp_data_decode_start(&d);
	(void)bytes_add(&small, SLICE("ab"));
	ck_assert_int_eq(smtp_data_decode(&d, wire, &used, &small), -1);
	ck_assert_uint_eq(used, 0);
	ck_assert_slice_eq(bytes_slice(&small), "ab");
	ck_assert(!d.bare_lf);
	ck_assert_int_eq(smtp_data_decode(&d, wire, &used, &large), 1);
	ck_assert_slice_eq(bytes_slice(&large), "0123456789\r\nx\r\n\r\n");
	bytes_free(&small);
	bytes_free(&large);
}
END_TEST

static const struct {
	const char *why;
	struct slice content;
	const char *wire;
} encodings[] = {
	{ "nothing", W(""), ".\r\n" },
	{ "plain", W("a\r\nb\r\n"), "a\r\nb\r\n.\r\n" },
	{ "W13 open last line", W("a"), "a\r\n.\r\n" },
	{ "W07 lone dot", W(".\r\n"), "..\r\n.\r\n" },
	{ "W07 open lone dot", W("a\r\n."), "a\r\n..\r\n.\r\n" },
	{ "W07 dot after a bare LF", W("a\n.\nb"), "a\r\n..\r\nb\r\n.\r\n" },
	{ "W07 bare CR in a line", W("a\rb\r\n"), "a b\r\n.\r\n" },
	{ "W07 CR . CR LF", W("a\r.\r\n"), "a .\r\n.\r\n" },
	{ "W07 two CRs", W("a\r\r\n"), "a \r\n.\r\n" },
	{ "W07 CR at the very end", W("a\r"), "a \r\n.\r\n" },
	{ "W07 lone CR", W("\r"), " \r\n.\r\n" },
	{ "W07 CR LF . CR CR LF", W("a\r\n.\r\r\n"), "a\r\n.. \r\n.\r\n" },
	{ "W66 dots only at line starts", W("a.\r\n.b.\r\n..\r\n"), "a.\r\n..b.\r\n...\r\n.\r\n" },
	{ "empty lines", W("\r\n\r\n\n"), "\r\n\r\n\r\n.\r\n" },
};
/* W66, W67: the same wherever a chunk ends. */
START_TEST(encodes_one_message)
{
	struct slice content = encodings[_i].content;

	for (size_t cut = 0; cut <= content.n; cut++) {
		struct smtp_data_encoder e = { 0 };
		struct bytes wire = { 0 };

		smtp_data_encode(&e, slice_sub(content, 0, cut), &wire);
		smtp_data_encode(&e, slice_sub(content, cut, content.n), &wire);
		smtp_data_encode_end(&e, &wire);
		ck_assert_msg(slice_eq(bytes_slice(&wire), slice_z(encodings[_i].wire)),
		    "%s, cut at %zu: \"%s\"", encodings[_i].why, cut, wire.p);
		bytes_free(&wire);
	}
}
END_TEST

/* Chunks: content is what it is, but for line ends. */
static const struct {
	const char *why;
	struct slice wire;
	const char *content;
	bool bare_cr, bare_lf;
} chunks[] = {
	{ "nothing", W(""), "", false, false },
	{ "plain", W("a\r\nb\r\n"), "a\r\nb\r\n", false, false },
	{ "W13 no line end", W("a\r\nb"), "a\r\nb", false, false },
	{ "W66 dots", W(".\r\n..\r\n.x\r\n."), ".\r\n..\r\n.x\r\n.", false, false },
	{ "W66 end of DATA", W("a\r\n.\r\nQUIT\r\n"), "a\r\n.\r\nQUIT\r\n", false, false },
	{ "W02 LF . LF", W("a\n.\nb"), "a\r\n.\r\nb", false, true },
	{ "W02 LF . CR LF", W("a\n.\r\nb"), "a\r\n.\r\nb", false, true },
	{ "W02 CR . CR", W("a\r.\rb"), "a . b", true, false },
	{ "W02 CR . LF", W("a\r.\nb"), "a .\r\nb", true, true },
	{ "W02 CR LF . CR CR LF", W("\r\n.\r\r\n"), "\r\n. \r\n", true, false },
	{ "W06 two CRs and LF", W("a\r\r\nb"), "a \r\nb", true, false },
	{ "W06 CR at the very end", W("a\r"), "a ", true, false },
	{ "W06 CRs alone", W("\r\r"), "  ", true, false },
	{ "W06 bare LF first", W("\na"), "\r\na", false, true },
};
/* W67: the same wherever a chunk ends. */
START_TEST(decodes_chunks)
{
	struct slice wire = chunks[_i].wire;

	for (size_t cut = 0; cut <= wire.n; cut++) {
		struct smtp_data_decoder d;
		struct bytes out = { 0 }, whole = { 0 };
		struct slice content;

		smtp_chunk_decode_start(&d);
		for (int part = 0; part < 2; part++) {
			struct slice in = part == 0 ? slice_sub(wire, 0, cut)
						    : slice_sub(wire, cut, wire.n);

			bytes_clear(&out);
			ck_assert_int_eq(smtp_chunk_decode(&d, in, &out, &content), 0);
			(void)bytes_add(&whole, content);
		}
		ck_assert_int_eq(smtp_chunk_decode_end(&d, &whole), 0);
		ck_assert_msg(slice_eq(bytes_slice(&whole), slice_z(chunks[_i].content)),
		    "%s, cut at %zu: \"%s\"", chunks[_i].why, cut, whole.p);
		ck_assert_int_eq(d.bare_cr, chunks[_i].bare_cr);
		ck_assert_int_eq(d.bare_lf, chunks[_i].bare_lf);
		ck_assert_int_eq(d.open, whole.n > 0 && whole.p[whole.n - 1] != '\n');
		/* What has no dot at the start of a line must say so: it is sent as it is. */
		ck_assert(d.dots ||
		    (!slice_starts(bytes_slice(&whole), SLICE(".")) &&
			slice_find_slice(bytes_slice(&whole), SLICE("\n.")) == whole.n));
		ck_assert_uint_eq(d.wire_bytes, wire.n);
		ck_assert(d.dots ||
		    (whole.p[0] != '.' &&
			slice_find_slice(bytes_slice(&whole), SLICE("\n.")) == whole.n));
		bytes_free(&out);
		bytes_free(&whole);
	}
}
END_TEST

/* What needs no change is not copied. */
START_TEST(plain_chunk_stays_where_it_is)
{
	struct slice in = SLICE("a\r\n.\r\nb"), content;
	struct bytes out = { .max = 1 };
	struct smtp_data_decoder d;

	smtp_chunk_decode_start(&d);
	ck_assert_int_eq(smtp_chunk_decode(&d, in, &out, &content), 0);
	ck_assert_ptr_eq(content.p, in.p);
	ck_assert_uint_eq(content.n, in.n);
	ck_assert_int_eq(smtp_chunk_decode(&d, SLICE("a\nb"), &out, &content), -1);
	ck_assert_uint_eq(out.n, 0);
	ck_assert_uint_eq(d.wire_bytes, in.n);
	ck_assert(!d.bare_lf);
	bytes_free(&out);
}
END_TEST

/* Around the borders of the blocks that are passed over at once: whatever stands there, and however
 * the text before it ends, it is seen; and what dots says is enough to send the content as it is.
 */
START_TEST(sees_everything_at_every_place)
{
	static const char *const odd[] = { "\r", "\n", "\r\n.", "\r\n..", "\n.", ".", "\r\r\n",
		"\r\n", "\r\n\r\n", "\r\n.\r", "\n\r" };
	struct slice what = slice_z(odd[_i]);

	for (size_t before = 0; before < 400; before++) {
		struct bytes wire = { 0 }, one = { 0 }, out = { 0 };
		struct smtp_data_decoder d, single;
		struct slice content;
		size_t used;

		for (size_t i = 0; i < before; i++)
			(void)bytes_addc(&wire, "abcde\r\n"[(i + 406 - before) % 7]);
		(void)bytes_add(&wire, what);
		for (size_t i = 0; i < 300; i++)
			(void)bytes_addc(&wire, 'x');
		(void)bytes_add(&wire, SLICE("\r\n.\r\n"));
		smtp_data_decode_start(&d);
		smtp_data_decode_start(&single);
		ck_assert_int_eq(smtp_data_take(&d, bytes_slice(&wire), &used, &out, &content), 1);
		for (size_t i = 0; i < wire.n; i++)
			(void)smtp_data_decode(
			    &single, slice_sub(bytes_slice(&wire), i, 1), &used, &one);
		ck_assert_msg(slice_eq(content, bytes_slice(&one)), "behind %zu", before);
		ck_assert_int_eq(d.bare_cr, single.bare_cr);
		ck_assert_int_eq(d.bare_lf, single.bare_lf);
		ck_assert_uint_eq(d.bare, single.bare);
		ck_assert_int_eq(d.dots, single.dots);
		if (!d.dots) {
			struct smtp_data_encoder e = { 0 };

			bytes_clear(&wire);
			smtp_data_encode(&e, content, &wire);
			ck_assert(slice_eq(content, bytes_slice(&wire)));
		}
		bytes_free(&wire);
		bytes_free(&one);
		bytes_free(&out);
	}
}
END_TEST

/* What needs no change is not copied. */
START_TEST(plain_data_stays_where_it_is)
{
	struct slice in = SLICE("a\r\nb.\r\n.\r\nQUIT\r\n"), content;
	struct bytes out = { .max = 1 };
	struct smtp_data_decoder d;
	size_t used;

	smtp_data_decode_start(&d);
	ck_assert_int_eq(smtp_data_take(&d, in, &used, &out, &content), 1);
	ck_assert_ptr_eq(content.p, in.p);
	ck_assert_slice_eq(content, "a\r\nb.\r\n");
	ck_assert_uint_eq(used, content.n + 3);
	bytes_free(&out);
}
END_TEST

/* Long runs of what the fast path stops at must not cost their square. */
START_TEST(hostile_runs_are_linear)
{
	static const char *const fills[] = { "\r", "\n", ".", "\r\n..", "\n.", "\r\r\n" };
	struct slice fill = slice_z(fills[_i]);
	struct bytes wire = { 0 };
	struct decoded d;

	while (wire.n < 4u << 20)
		(void)bytes_add(&wire, fill);
	d = decode_cut(bytes_slice(&wire), 0);
	ck_assert_int_eq(d.rc, 0);
	ck_assert_uint_eq(d.used, wire.n);
	bytes_free(&d.content);
	bytes_free(&wire);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("smtp_data");
	TCase *tc = tcase_create("smtp_data");

	tcase_add_loop_test(tc, takes_no_other_end, 0, COUNT(not_an_end));
	tcase_add_loop_test(tc, decodes_messages, 0, COUNT(messages));
	tcase_add_test(tc, sees_nul_of_this_message_only);
	tcase_add_test(tc, takes_nothing_when_out_fails);
	tcase_add_loop_test(tc, encodes_one_message, 0, COUNT(encodings));
	tcase_add_loop_test(tc, decodes_chunks, 0, COUNT(chunks));
	tcase_add_test(tc, plain_chunk_stays_where_it_is);
	tcase_add_test(tc, plain_data_stays_where_it_is);
	tcase_add_loop_test(tc, sees_everything_at_every_place, 0, 11);
	tcase_add_loop_test(tc, hostile_runs_are_linear, 0, 6);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
