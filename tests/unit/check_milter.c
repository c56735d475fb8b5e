#include "config.h"

#include "unit.h"

#include <stdio.h>

#include "weir/milter.h"

/* ---- hexadecimal ------------------------------------------------------------------------------
 */

static void from_hex(const char *hex, struct bytes *out)
{
	unsigned value, digits = 0;

	for (value = 0; *hex != '\0'; hex++) {
		const char *at = strchr("0123456789abcdef", *hex);

		if (at == NULL)
			continue;
		value = value << 4 | (unsigned)(at - "0123456789abcdef");
		if (++digits % 2 == 0)
			ck_assert(bytes_addc(out, (char)(value & 0xff)));
	}
	ck_assert_uint_eq(digits % 2, 0);
}

static void assert_hex(const struct bytes *is, const char *hex)
{
	struct bytes wanted = { 0 }, text = { 0 };

	from_hex(hex, &wanted);
	for (size_t i = 0; i < is->n; i++)
		bytes_addf(&text, "%02x ", (unsigned char)is->p[i]);
	ck_assert_msg(slice_eq(bytes_slice(is), bytes_slice(&wanted)), "is %s\nnot %s",
	    text.p != NULL ? text.p : "", hex);
	bytes_free(&wanted);
	bytes_free(&text);
}

/* ---- a conversation captured between an MTA and OpenDKIM ------------------------------------- */

static void put_offer(struct bytes *b)
{
	const struct milter_options o = { 6, 0x1ff, 0x1fffff };

	ck_assert(milter_put_options(b, &o));
}
static void put_macro(struct bytes *b, enum milter_command c, const char *name, const char *value)
{
	struct milter_macros m = milter_macros_open(b, c);

	milter_macros_add(b, &m, slice_z(name), slice_z(value));
	ck_assert(milter_macros_close(b, &m));
}
static void put_connect(struct bytes *b)
{
	struct address a;

	ck_assert_int_eq(address_parse(SLICE("203.0.113.7"), &a, NULL), 0);
	a.port = 50000;
	put_macro(b, MILTER_CONNECT, "j", "mx.test");
	ck_assert(milter_put_connect(b, SLICE("c.test"), &a));
}
static void put_mail(struct bytes *b)
{
	put_macro(b, MILTER_MAIL, "i", "Q1");
	ck_assert(milter_put_path(b, MILTER_MAIL, SLICE("a@e.test"), SLICE("SIZE=99")));
}
static void put_rcpt(struct bytes *b)
{
	put_macro(b, MILTER_RCPT, "{rcpt_addr}", "b@e.test");
	ck_assert(milter_put_path(b, MILTER_RCPT, SLICE("b@e.test"), SLICE("")));
}
static void put_from(struct bytes *b)
{
	ck_assert(milter_put_header(b, SLICE("From"), SLICE(" a@e.test"), true));
}
static void put_subject(struct bytes *b)
{
	ck_assert(milter_put_header(b, SLICE("Subject"), SLICE(" hi\r\n\tfolded"), true));
}
static void put_eoh(struct bytes *b)
{
	ck_assert(milter_put(b, MILTER_EOH));
}
static void put_body(struct bytes *b)
{
	ck_assert(milter_put_body(b, SLICE("x\r\n.\r\n")));
}
static void put_end(struct bytes *b)
{
	put_macro(b, MILTER_END, "i", "Q1");
	ck_assert(milter_put(b, MILTER_END));
}
static void put_null_mail(struct bytes *b)
{
	put_macro(b, MILTER_MAIL, "i", "Q2");
	ck_assert(milter_put_path(b, MILTER_MAIL, SLICE(""), SLICE("")));
}
static void put_abort_quit(struct bytes *b)
{
	ck_assert(milter_put(b, MILTER_ABORT));
	ck_assert(milter_put(b, MILTER_QUIT));
}

static const struct {
	void (*put)(struct bytes *b);
	const char *hex;
} sent[] = {
	{ put_offer, "0000000d 4f 00000006 000001ff 001fffff" },
	{ put_connect,
	    "0000000c 44 43 6a00 6d782e7465737400 "
	    "00000017 43 632e7465737400 34 c350 3230332e302e3131332e3700" },
	{ put_mail,
	    "00000007 44 4d 6900 513100 00000014 4d 3c6140652e746573743e00 53495a453d393900" },
	{ put_rcpt,
	    "00000017 44 52 7b726370745f616464727d00 6240652e7465737400 "
	    "0000000c 52 3c6240652e746573743e00" },
	{ put_from, "00000010 4c 46726f6d00 206140652e7465737400" },
	{ put_subject, "00000015 4c 5375626a65637400 2068690a09666f6c64656400" },
	{ put_eoh, "00000001 4e" },
	{ put_body, "00000007 42 780d0a2e0d0a" },
	{ put_end, "00000007 44 45 6900 513100 00000001 45" },
	{ put_null_mail, "00000007 44 4d 6900 513200 00000004 4d 3c3e00" },
	{ put_abort_quit, "00000001 41 00000001 51" },
};
START_TEST(captured_sent)
{
	struct bytes b = { 0 };

	sent[_i].put(&b);
	assert_hex(&b, sent[_i].hex);
	bytes_free(&b);
}
END_TEST

static const char captured_replies[] =
    "0000000d 4f 00000006 00000111 00100702 00000001 63 00000001 73 "
    "00000043 69 00000000 41757468656e7469636174696f6e2d526573756c747300 "
    "206d782e746573743b20646b696d3d6e6f6e653b20646b696d2d617470733d6e65757472616c00 00000001 61";

/* The same packets, handed over `step` octets at a time. */
START_TEST(captured_received)
{
	static const struct milter_options offer = { 6, 0x1ff, 0x1fffff };
	static const char codes[] = "Ocsia";
	struct bytes all = { 0 };
	struct milter_reader reader;
	struct milter_options agreed;
	struct milter_symlist lists;
	struct milter_packet p;
	struct milter_reply r = { 0 };
	struct err e;
	size_t at = 0, got = 0, used;

	from_hex(captured_replies, &all);
	milter_reader_start(&reader, 1024, 1024);
	for (size_t end = 0; end <= all.n; end += (size_t)_i) {
		while (milter_read(&reader, slice_of(all.p + at, end - at), &used, &p, &e) == 1) {
			at += used;
			ck_assert_int_eq(p.code, codes[got]);
			if (got++ == 0)
				ck_assert_int_eq(
				    milter_options_parse(p.payload, &offer, &agreed, &lists, &e),
				    0);
			else
				ck_assert_int_eq(milter_reply_parse(&p, &r, &e), 0);
			if (p.code == 'i') {
				ck_assert_uint_eq(r.index, 0);
				ck_assert_slice_eq(r.name, "Authentication-Results");
				ck_assert_slice_eq(
				    r.value, " mx.test; dkim=none; dkim-atps=neutral");
			}
		}
		if (end < all.n && end + (size_t)_i > all.n)
			end = all.n - (size_t)_i;
	}
	ck_assert_uint_eq(got, 5);
	ck_assert_uint_eq(agreed.version, 6);
	ck_assert_uint_eq(agreed.actions, 0x111);
	ck_assert_uint_eq(agreed.protocol, 0x100702);
	bytes_free(&all);
}
END_TEST

/* ---- negotiation
 * --------------------------------------------------------------------------------- */

static const struct {
	const char *hex, *why; /* NULL: fine */
	uint32_t protocol;
	const char *mail, *end; /* lists */
} options[] = {
	{ "00000006 000001ff 000fffff", NULL, 0x0fffff, NULL, NULL },
	{ "00000002 0000003f 0000007f", NULL, 0x37f, NULL, NULL },
	{ "00000003 00000000 00000000", NULL, 0x200, NULL, NULL },
	{ "00000004 00000000 00000000", NULL, 0, NULL, NULL },
	{ "00000006 00000000 30000000", NULL, 0, NULL, NULL },
	{ "00000006 00000100 00000000 00000002 6920 7b617d 00 00000005 00", NULL, 0, "i {a}", "" },
	{ "00000006 00000100 00000000 00000063 6900", NULL, 0, NULL, NULL },
	{ "00000006 00000100 00000000 00000002 69", "the macro list of the negotiation is cut off",
	    0, NULL, NULL },
	{ "00000006 00000100 00000000 000002", "the macro list of the negotiation is cut off", 0,
	    NULL, NULL },
	{ "00000001 00000000 00000000", "version 1, offered was 6", 0, NULL, NULL },
	{ "00000007 00000000 00000000", "version 7, offered was 6", 0, NULL, NULL },
	{ "00000006 00000200 00000000", "actions 0x200 that were not offered", 0, NULL, NULL },
	{ "00000006 00000000 00200000", "protocol bits 0x200000 that were not offered", 0, NULL,
	    NULL },
	{ "00000006 00000000 000000", "the negotiation's answer is shorter than 12 octets", 0, NULL,
	    NULL },
	{ "", "the negotiation's answer is shorter than 12 octets", 0, NULL, NULL },
};
START_TEST(negotiation)
{
	static const struct milter_options offer = { 6, 0x1ff, 0x1fffff };
	struct milter_options o = { .version = 99 };
	struct milter_symlist lists = { 0 };
	struct bytes b = { 0 };
	struct err e;

	from_hex(options[_i].hex, &b);
	if (options[_i].why != NULL) {
		ck_assert_int_eq(milter_options_parse(bytes_slice(&b), &offer, &o, &lists, &e), -1);
		ck_assert_str_eq(e.text, options[_i].why);
		ck_assert_uint_eq(o.version, 99);
	} else {
		ck_assert_int_eq(milter_options_parse(bytes_slice(&b), &offer, &o, &lists, &e), 0);
		ck_assert_uint_eq(o.protocol, options[_i].protocol);
		ck_assert_int_eq(
		    lists.names[MILTER_STAGE_MAIL].p != NULL, options[_i].mail != NULL);
		ck_assert_int_eq(lists.names[MILTER_STAGE_END].p != NULL, options[_i].end != NULL);
		if (options[_i].mail != NULL)
			ck_assert_slice_eq(lists.names[MILTER_STAGE_MAIL], options[_i].mail);
	}
	bytes_free(&b);
}
END_TEST

/* ---- packets
 * ------------------------------------------------------------------------------------- */

static const struct {
	const char *hex, *why;
} packets[] = {
	{ "00000000", NULL },
	{ "00000000 63", "a packet of length 0" },
	{ "ffffffff 63", "a packet of 4294967295 octets is past the limit of 64" },
	{ "00000041 63", "a packet of 65 octets is past the limit of 64" },
	{ "00000040 63", NULL },
	{ "00000102 62", "a REPLBODY of 257 octets is past the limit of 256" },
};
START_TEST(packet_limits)
{
	struct milter_reader reader;
	struct milter_packet p;
	struct bytes b = { 0 };
	struct err e;
	size_t used;

	from_hex(packets[_i].hex, &b);
	milter_reader_start(&reader, 64, 256);
	ck_assert_int_eq(
	    milter_read(&reader, bytes_slice(&b), &used, &p, &e), packets[_i].why != NULL ? -1 : 0);
	ck_assert_uint_eq(used, 0);
	if (packets[_i].why != NULL)
		ck_assert_str_eq(e.text, packets[_i].why);
	bytes_free(&b);
}
END_TEST

START_TEST(body_comes_in_pieces)
{
	struct milter_reader reader;
	struct milter_packet p;
	size_t used;
	struct err e;

	milter_reader_start(&reader, 64, 256);
	ck_assert_int_eq(milter_read(&reader, SLICE("\0\0\0\6bab"), &used, &p, &e), 1);
	ck_assert_uint_eq(used, 7);
	ck_assert_slice_eq(p.payload, "ab");
	ck_assert_int_eq(milter_read(&reader, SLICE(""), &used, &p, &e), 0);
	ck_assert_int_eq(milter_read(&reader, SLICE("cde\0\0\0\1c"), &used, &p, &e), 1);
	ck_assert_uint_eq(used, 3);
	ck_assert_int_eq(p.code, MILTER_REPLBODY);
	ck_assert_slice_eq(p.payload, "cde");
	ck_assert_int_eq(milter_read(&reader, SLICE("\0\0\0\1c"), &used, &p, &e), 1);
	ck_assert_int_eq(p.code, MILTER_CONTINUE);
	ck_assert_int_eq(milter_read(&reader, SLICE("\0\0\0\1b"), &used, &p, &e), 1);
	ck_assert_int_eq(p.code, MILTER_REPLBODY);
	ck_assert_uint_eq(p.payload.n, 0);
	ck_assert_int_eq(milter_read(&reader, SLICE("\0\0\0\1c"), &used, &p, &e), 1);
	ck_assert_int_eq(p.code, MILTER_CONTINUE);
}
END_TEST

/* ---- replies
 * ------------------------------------------------------------------------------------- */

#define P(lit) (sizeof(lit) - 1), (lit)
static const struct {
	int code;
	size_t n;
	const char *payload, *why;
	const char *name, *value, *address, *parameters; /* NULL: not looked at */
	size_t index;
} replies[] = {
	{ 'c', P(""), NULL, NULL, NULL, NULL, NULL, 0 },
	{ 'a', P(""), NULL, NULL, NULL, NULL, NULL, 0 },
	{ 'r', P(""), NULL, NULL, NULL, NULL, NULL, 0 },
	{ 't', P(""), NULL, NULL, NULL, NULL, NULL, 0 },
	{ 'd', P(""), NULL, NULL, NULL, NULL, NULL, 0 },
	{ 's', P(""), NULL, NULL, NULL, NULL, NULL, 0 },
	{ 'p', P(""), NULL, NULL, NULL, NULL, NULL, 0 },
	{ '4', P(""), NULL, NULL, NULL, NULL, NULL, 0 },
	{ 'c', P("x"), "CONTINUE: 1 surplus octets", NULL, NULL, NULL, NULL, 0 },
	{ 'a', P("\0"), "ACCEPT: 1 surplus octets", NULL, NULL, NULL, NULL, 0 },
	{ 'f', P(""), "a reply of the unknown code 0x66", NULL, NULL, NULL, NULL, 0 },
	{ 'l', P(""), "a reply of the unknown code 0x6c", NULL, NULL, NULL, NULL, 0 },
	{ '\377', P(""), "a reply of the unknown code 0xff", NULL, NULL, NULL, NULL, 0 },
	{ 'O', P("\0\0\0\6\0\0\0\0\0\0\0\0"), "a reply of the unknown code 0x4f", NULL, NULL, NULL,
	    NULL, 0 },
	{ 'h', P("X-A\0v\0"), NULL, "X-A", "v", NULL, NULL, 0 },
	{ 'h', P("X-A\0\0"), NULL, "X-A", "", NULL, NULL, 0 },
	{ 'h', P("X-A\0v"), "ADDHEADER: not one name and one value", NULL, NULL, NULL, NULL, 0 },
	{ 'h', P("X-A\0v\0w\0"), "ADDHEADER: not one name and one value", NULL, NULL, NULL, NULL,
	    0 },
	{ 'h', P("X-A"), "ADDHEADER: not one name and one value", NULL, NULL, NULL, NULL, 0 },
	{ 'h', P(""), "ADDHEADER: not one name and one value", NULL, NULL, NULL, NULL, 0 },
	{ 'h', P("\0v\0"), "ADDHEADER: \"\" is no field name", NULL, NULL, NULL, NULL, 0 },
	{ 'h', P("X A\0v\0"), "ADDHEADER: \"X A\" is no field name", NULL, NULL, NULL, NULL, 0 },
	{ 'h', P("X:\0v\0"), "ADDHEADER: \"X:\" is no field name", NULL, NULL, NULL, NULL, 0 },
	{ 'h', P("X\n\0v\0"), "ADDHEADER: \"X\n\" is no field name", NULL, NULL, NULL, NULL, 0 },
	{ 'h', P("X\303\274\0v\0"), "ADDHEADER: \"X\303\274\" is no field name", NULL, NULL, NULL,
	    NULL, 0 },
	{ 'i', P("\0\0\1\2X\0v\0"), NULL, "X", "v", NULL, NULL, 258 },
	{ 'i', P("\0\0\1"), "INSHEADER: no index", NULL, NULL, NULL, NULL, 0 },
	{ 'm', P("\0\0\0\1X\0\0"), NULL, "X", "", NULL, NULL, 1 },
	{ 'm', P("\0\0\0\1"), "CHGHEADER: not one name and one value", NULL, NULL, NULL, NULL, 0 },
	{ '+', P("<a@b>\0"), NULL, NULL, NULL, "a@b", "", 0 },
	{ '+', P("a@b\0"), NULL, NULL, NULL, "a@b", "", 0 },
	{ '+', P("a@b"), "ADDRCPT: no address", NULL, NULL, NULL, NULL, 0 },
	{ '+', P("\0"), "ADDRCPT: an empty address", NULL, NULL, NULL, NULL, 0 },
	{ '+', P("<>\0"), "ADDRCPT: an empty address", NULL, NULL, NULL, NULL, 0 },
	{ '+', P("a@b\0x\0"), "ADDRCPT: surplus octets", NULL, NULL, NULL, NULL, 0 },
	{ '+', P("a@b\r\nDATA\0"), "ADDRCPT: control octets in an address", NULL, NULL, NULL, NULL,
	    0 },
	{ '2', P("<a@b>\0NOTIFY=NEVER\0"), NULL, NULL, NULL, "a@b", "NOTIFY=NEVER", 0 },
	{ '2', P("<a@b>\0"), NULL, NULL, NULL, "a@b", "", 0 },
	{ '2', P("<a@b>\0NOTIFY=NEVER"), "ADDRCPT_PAR: parameters without an end", NULL, NULL, NULL,
	    NULL, 0 },
	{ '-', P("<a@b>\0"), NULL, NULL, NULL, "a@b", "", 0 },
	{ 'e', P("<>\0"), NULL, NULL, NULL, "", "", 0 },
	{ 'e', P("a@b\0RET=HDRS ENVID=x\0"), NULL, NULL, NULL, "a@b", "RET=HDRS ENVID=x", 0 },
	{ 'e', P("a@b\0x\0y\0"), "CHGFROM: surplus octets", NULL, NULL, NULL, NULL, 0 },
	{ 'q', P("a reason\0"), NULL, NULL, "a reason", NULL, NULL, 0 },
	{ 'q', P("a reason"), "QUARANTINE: not one text", NULL, NULL, NULL, NULL, 0 },
	{ 'b', P(""), NULL, NULL, "", NULL, NULL, 0 },
	{ 'b', P("raw"), NULL, NULL, "raw", NULL, NULL, 0 },
};
START_TEST(reply)
{
	struct milter_packet p = { (char)replies[_i].code,
		slice_of(replies[_i].payload, replies[_i].n) };
	struct milter_reply r;
	struct err e = { "" };
	int rc = milter_reply_parse(&p, &r, &e);

	if (replies[_i].why != NULL) {
		ck_assert_int_eq(rc, -1);
		ck_assert_str_eq(e.text, replies[_i].why);
		return;
	}
	ck_assert_msg(rc == 0, "%s", e.text);
	ck_assert_int_eq((int)r.code, replies[_i].code);
	ck_assert_uint_eq(r.index, replies[_i].index);
	if (replies[_i].name != NULL)
		ck_assert_slice_eq(r.name, replies[_i].name);
	if (replies[_i].value != NULL)
		ck_assert_slice_eq(r.value, replies[_i].value);
	if (replies[_i].address != NULL)
		ck_assert_slice_eq(r.address, replies[_i].address);
	if (replies[_i].parameters != NULL)
		ck_assert_slice_eq(r.parameters, replies[_i].parameters);
}
END_TEST

static const struct {
	size_t n;
	const char *payload;
	int code; /* 0: malformed */
	const char *enhanced, *text;
} codes[] = {
	{ P("550 5.7.1 No\0"), 550, "5.7.1", "No" },
	{ P("550 5.7.1 No"), 550, "5.7.1", "No" },
	{ P("451 later\0"), 451, "", "later" },
	{ P("550 5.7.1 100%% sure\0"), 550, "5.7.1", "100% sure" },
	{ P("550 5.7.1 100% sure\0"), 550, "5.7.1", "100% sure" },
	{ P("550 5.7.1 %%%%\0"), 550, "5.7.1", "%%" },
	{ P("550-5.7.1 a\r\n550 5.7.1 b\0"), 550, "5.7.1", "a\nb" },
	{ P("250 2.0.0 Ok\0"), 0, "", "" },
	{ P("4500 x\0"), 0, "", "" },
	{ P("550 4.7.1 no\0"), 0, "", "" },
	{ P("550-5.7.1 a\r\n551 5.7.1 b\0"), 0, "", "" },
	{ P("550 a\0b\0"), 0, "", "" },
	{ P("55\0"), 0, "", "" },
	{ P("\0"), 0, "", "" },
	{ P(""), 0, "", "" },
};
START_TEST(replycode)
{
	struct milter_packet p = { 'y', slice_of(codes[_i].payload, codes[_i].n) };
	struct milter_reply r;
	struct err e;

	if (codes[_i].code == 0) {
		ck_assert_int_eq(milter_reply_parse(&p, &r, &e), -1);
		ck_assert_int_eq(strncmp(e.text, "REPLYCODE: ", 11), 0);
		return;
	}
	ck_assert_msg(milter_reply_parse(&p, &r, &e) == 0, "%s", e.text);
	ck_assert_int_eq(r.smtp.code, codes[_i].code);
	ck_assert_str_eq(r.smtp.enhanced, codes[_i].enhanced);
	ck_assert_str_eq(r.smtp.text, codes[_i].text);
}
END_TEST

/* ---- what must be mended on the way out
 * ----------------------------------------------------------- */

static const struct {
	const char *address;
	uint16_t port;
	const char *hex;
} connects[] = {
	{ "192.0.2.1", 25, "00000014 43 6800 34 0019 3139322e302e322e3100 " },
	{ "::ffff:192.0.2.1", 0, "00000010 43 6800 34 0000 3139322e302e322e3100" },
	{ "2001:db8::1", 25, "00000012 43 6800 36 0019 323030313a6462383a3a3100" },
	{ "unix", 7, "00000007 43 6800 4c 0000 00" },
	{ "", 7, "00000004 43 6800 55" },
};
START_TEST(connect_payload)
{
	struct address a = { .family = AF_UNSPEC };
	struct bytes b = { 0 };
	char hex[256];

	if (strcmp(connects[_i].address, "unix") == 0)
		a.family = AF_UNIX;
	else if (connects[_i].address[0] != '\0')
		ck_assert_int_eq(address_parse(slice_z(connects[_i].address), &a, NULL), 0);
	a.port = connects[_i].port;
	ck_assert(milter_put_connect(&b, SLICE("h"), &a));
	(void)snprintf(hex, sizeof(hex), "%08zx%s", b.n - 4, connects[_i].hex + 8);
	assert_hex(&b, hex);
	bytes_free(&b);
}
END_TEST

static const struct {
	size_t n;
	const char *value;
	bool leading;
	size_t wanted_n;
	const char *wanted;
} values[] = {
	{ P(" v"), false, P("v") },
	{ P("  v"), false, P(" v") },
	{ P("\tv"), false, P("\tv") },
	{ P(" v"), true, P(" v") },
	{ P("v"), false, P("v") },
	{ P(""), false, P("") },
	{ P(" a\r\n  b\r\n\tc"), false, P("a\n  b\n\tc") },
	{ P(" a\r b"), false, P("a\r b") },
	{ P(" a\0b"), false, P("a?b") },
};
START_TEST(header_value)
{
	struct bytes b = { 0 };

	ck_assert(milter_put_header(
	    &b, SLICE("X"), slice_of(values[_i].value, values[_i].n), values[_i].leading));
	ck_assert(slice_eq(slice_sub(bytes_slice(&b), 7, b.n - 8),
	    slice_of(values[_i].wanted, values[_i].wanted_n)));
	ck_assert_int_eq(b.p[b.n - 1], '\0');
	bytes_free(&b);
}
END_TEST

/* A field of n octets, folded every `fold` (0: never), is cut to at most 60000 octets at a fold. */
static const struct {
	size_t n, fold, wanted;
} longs[] = {
	{ 59999, 0, 59999 },
	{ 60001, 0, 59999 },
	{ 100000, 0, 59999 },
	{ 100000, 1000, 59938 }, /* 60 lines of 998 octets with their LF, the last without */
	{ 1048576, 70000, 59999 },
};
START_TEST(header_long)
{
	struct bytes value = { 0 }, b = { 0 };
	struct slice out;

	while (value.n < longs[_i].n) {
		size_t left = longs[_i].fold > 0 ? longs[_i].fold - 3 : longs[_i].n - value.n;

		for (size_t i = 0; i < left && value.n < longs[_i].n; i++)
			(void)bytes_addc(&value, 'a');
		if (longs[_i].fold > 0)
			(void)bytes_add(&value, SLICE("\r\n\t"));
	}
	ck_assert(milter_put_header(&b, SLICE("X"), bytes_slice(&value), true));
	out = slice_sub(bytes_slice(&b), 7, b.n - 8);
	ck_assert_uint_eq(out.n, longs[_i].wanted);
	ck_assert(out.p[out.n - 1] == 'a');
	bytes_free(&value);
	bytes_free(&b);
}
END_TEST

START_TEST(texts_are_mended)
{
	struct bytes b = { 0 };
	struct milter_macros m;

	ck_assert(milter_put_path(&b, MILTER_RCPT, SLICE("a\0b"), SLICE("  A=1   B ")));
	assert_hex(&b, "0000000d 52 3c613f623e00 413d3100 4200");
	bytes_clear(&b);
	ck_assert(milter_put_text(&b, MILTER_HELO, SLICE("a\0")));
	assert_hex(&b, "00000004 48 613f00");
	bytes_clear(&b);
	/* A packet without a pair is ignored by libmilter and leaves old values: none is sent. */
	m = milter_macros_open(&b, MILTER_MAIL);
	ck_assert(milter_macros_close(&b, &m));
	ck_assert_uint_eq(b.n, 0);
	bytes_free(&b);
}
END_TEST

START_TEST(macros_stay_in_one_packet)
{
	struct bytes b = { 0 };
	char value[5000];
	struct milter_macros m = milter_macros_open(&b, MILTER_MAIL);

	memset(value, 'v', sizeof(value));
	for (int i = 0; i < 100; i++)
		milter_macros_add(&b, &m, SLICE("{name}"), slice_of(value, sizeof(value)));
	ck_assert(milter_macros_close(&b, &m));
	ck_assert_uint_le(b.n, 4 + 1 + MILTER_CHUNK_MAX);
	ck_assert_uint_gt(m.pairs, 50);
	ck_assert_int_eq(b.p[b.n - 1], '\0');
	bytes_free(&b);
}
END_TEST

START_TEST(no_half_packet_without_memory)
{
	struct bytes b = { .max = 20 };

	ck_assert(milter_put(&b, MILTER_EOH));
	ck_assert(!milter_put_body(&b, SLICE("more than fits into the bytes")));
	ck_assert_uint_eq(b.n, 5);
	bytes_free(&b);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("milter");
	TCase *tc = tcase_create("milter");

	tcase_add_loop_test(tc, captured_sent, 0, COUNT(sent));
	tcase_add_loop_test(tc, captured_received, 1, 20);
	tcase_add_loop_test(tc, negotiation, 0, COUNT(options));
	tcase_add_loop_test(tc, packet_limits, 0, COUNT(packets));
	tcase_add_test(tc, body_comes_in_pieces);
	tcase_add_loop_test(tc, reply, 0, COUNT(replies));
	tcase_add_loop_test(tc, replycode, 0, COUNT(codes));
	tcase_add_loop_test(tc, connect_payload, 0, COUNT(connects));
	tcase_add_loop_test(tc, header_value, 0, COUNT(values));
	tcase_add_loop_test(tc, header_long, 0, COUNT(longs));
	tcase_add_test(tc, texts_are_mended);
	tcase_add_test(tc, macros_stay_in_one_packet);
	tcase_add_test(tc, no_half_packet_without_memory);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
