#include "config.h"

#include "message_case.h"

#define MIXED "Content-Type: multipart/mixed; boundary=b\n\n"
#define PLAIN "Content-Type: text/plain\n"

/* What a message is made of: parts, then anomalies. */
static const struct {
	const char *name;
	struct slice file;
	const char *parts;
} cases[] = {
	{ "plain", LIT("Subject: x\n\nhello\n"), "text/plain[hello|]" },
	{ "nothing", LIT(""), "text/plain[] !header.none" },
	{ "no header at all", LIT("\nhello\n"), "text/plain[hello|] !header.none" },
	{ "text without header", LIT("hello there\nyou\n"),
	    "text/plain[hello there|you|] !header.none" },
	{ "no body", LIT("Subject: x\n"), "text/plain[]" },
	{ "no body, no line end", LIT("Subject: x"), "text/plain[]" },
	{ "no body but the empty line", LIT("Subject: x\n\n"), "text/plain[]" },
	{ "field without colon", LIT("Subject: x\njunk\nTo: y\n\nbody\n"),
	    "text/plain[junk|To: y||body|]" },
	{ "blank line that folds", LIT("Subject: x\n \n y\n\nbody\n"),
	    "text/plain[body|] !header.blank_fold" },
	{ "mbox line", LIT("From a@b Mon Jan  1 00:00:00 2024\nSubject: x\n\nbody\n"),
	    "text/plain[body|]" },
	{ "garbage", LIT("\xff\xfe\x80\x81\x00\x01: \n\n\xc3\x28\n"),
	    "text/plain[~FF~FE~80~81~00~01: ||~C3(|] !header.none "
	    "!body.nul !charset.invalid" },
	{ "8-bit octets", LIT("Subject: \xe9t\xe9\n\ncaf\xe9\n"),
	    "text/plain[caf~E9|] !header.not_utf8 !charset.invalid" },
	{ "NULs", LIT("Subject: a\0b\n\nc\0d\n"), "text/plain[c~00d|] !body.nul" },
	{ "line ends of all kinds", LIT("A: 1\r\nB: 2\nC: 3\r4\r\n\r\na\r\nb\nc\rd\r\r\ne"),
	    "text/plain[a|b|c~0Dd~0D|e] !header.bare_cr" },

	{ "multipart", LIT(MIXED "preamble\n--b\n\none\n--b\n" PLAIN "\ntwo\n\n--b--\nepilogue\n"),
	    "multipart/mixed(text/plain[one] text/plain[two|])" },
	{ "empty parts", LIT(MIXED "--b\n--b\n\n--b\n" PLAIN "--b\n" PLAIN "\n--b--"),
	    "multipart/mixed(text/plain[] text/plain[] text/plain[] text/plain[])" },
	{ "no part between delimiters", LIT(MIXED "--b--\n"), "multipart/mixed()" },
	{ "boundary never ends", LIT(MIXED "--b\n\none\n--b\n\ntwo\n"),
	    "multipart/mixed(text/plain[one] text/plain[two|]) !mime.boundary_unclosed" },
	{ "boundary never comes", LIT(MIXED "text\n-b\n"),
	    "text/plain[text|-b|] !mime.boundary_unseen" },
	{ "boundary missing",
	    LIT("Content-Type: multipart/mixed\n\n-- \n--guess\n\none\n--guess--\n"),
	    "multipart/mixed(text/plain[one]) !mime.boundary_missing" },
	{ "boundary missing, nothing to guess", LIT("Content-Type: multipart/mixed\n\ntext\n"),
	    "text/plain[text|] !mime.boundary_missing" },
	{ "boundary empty",
	    LIT("Content-Type: multipart/mixed; boundary=\"\"\n\n--\n\n--x\n\none\n"),
	    "multipart/mixed(text/plain[one|]) !mime.boundary_missing !mime.boundary_unclosed" },
	{ "inner boundary missing",
	    LIT(MIXED "--b\nContent-Type: multipart/mixed\n\none\n--b\n\ntwo\n--b--"),
	    "multipart/mixed(text/plain[one] text/plain[two]) !mime.boundary_missing" },
	{ "boundary is the beginning of another",
	    LIT("Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/mixed; "
		"boundary=bb\n\n--bb\n\none\n--bb--\n--bbb\n--b\n\ntwo\n--b--\n"),
	    "multipart/mixed(multipart/mixed(text/plain[one]) text/plain[two])" },
	{ "boundary is another with dashes",
	    LIT("Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/mixed; "
		"boundary=b--\n\n--b--\n\none\n--b----\n--b\n\ntwo\n--b--\n"),
	    "multipart/mixed(multipart/mixed(text/plain[one]) text/plain[two])" },
	{ "boundary of the outer one again",
	    LIT(MIXED "--b\n" MIXED "--b\n\none\n--b--\n--b\n\ntwo\n--b--\n"),
	    "multipart/mixed(multipart/mixed(text/plain[one]) text/plain[two]) "
	    "!mime.boundary_reused" },
	{ "blanks behind delimiters", LIT(MIXED "--b \t\n\none\n--b-- \n"),
	    "multipart/mixed(text/plain[one])" },
	{ "words behind delimiters", LIT(MIXED "--b x\n\none\n--bx\n--b--\n"),
	    "multipart/mixed(text/plain[one|--bx]) !mime.boundary_trailer" },
	{ "boundary declared with a blank at its end",
	    LIT("Content-Type: multipart/mixed; boundary=\"b  \"\n\n--b\n\none\n--b--\n"),
	    "multipart/mixed(text/plain[one])" },
	{ "boundary that holds blanks",
	    LIT("Content-Type: multipart/mixed; boundary=\"a b\"\n\n--a b\n\none\n--a b--\n"),
	    "multipart/mixed(text/plain[one])" },
	{ "boundary quoted within",
	    LIT("Content-Type: multipart/mixed; boundary=\"a\\\"b\"\n\n--a\"b\n\none\n--a\"b--\n"),
	    "multipart/mixed(text/plain[one])" },
	{ "boundary not closed by its quote",
	    LIT("Content-Type: multipart/mixed; boundary=\"b\n\n--b\n\none\n--b--\n"),
	    "multipart/mixed(text/plain[one]) !mime.bad_parameter" },
	{ "boundary with '=' and no quotes",
	    LIT("Content-Type: multipart/mixed; boundary==_b\n\n--=_b\n\none\n--=_b--\n"),
	    "multipart/mixed(text/plain[one])" },
	{ "boundary with a comment",
	    LIT("Content-Type: multipart/mixed; boundary=b (x)\n\n--b\n\n1\n--b--"),
	    "multipart/mixed(text/plain[1])" },
	{ "two boundaries",
	    LIT("Content-Type: multipart/mixed; boundary=b; boundary=c\n\n--b\n\n1\n--b--"),
	    "multipart/mixed(text/plain[1]) !mime.duplicate_parameter" },
	{ "boundary in sections",
	    LIT("Content-Type: multipart/mixed; boundary*0=b; boundary*1=c\n\n--bc\n\n1\n--bc--"),
	    "multipart/mixed(text/plain[1])" },
	{ "no ';' before the boundary",
	    LIT("Content-Type: multipart/mixed boundary=b\n\n--b\n\n1\n--b--"),
	    "multipart/mixed(text/plain[1])" },
	{ "parts behind the close-delimiter",
	    LIT(MIXED "--b\n\none\n--b--\nepilogue\n--b\n\ntwo\n--b--\n"),
	    "multipart/mixed(text/plain[one] text/plain[two]) !mime.after_close" },
	{ "two Content-Type fields",
	    LIT("Content-Type: text/html\nContent-Type: text/plain\n\n<b>x</b>\n"),
	    "text/html[<b>x</b>|] !mime.duplicate_content_type" },
	{ "Content-Type that is none", LIT("Content-Type: text\n\nx"),
	    "text/plain[x] !mime.bad_content_type" },
	{ "Content-Type without subtype", LIT("Content-Type: foo/\n\nx"),
	    "application/octet-stream[x]= !mime.bad_content_type" },
	{ "Content-Type in capitals", LIT("CONTENT-TYPE: TEXT/HTML\n\nx"), "text/html[x]" },

	{ "part header without an end", LIT(MIXED "--b\n" PLAIN "--b--\n"),
	    "multipart/mixed(text/plain[])" },
	{ "part header with a line that is no field",
	    LIT(MIXED "--b\njunk\nContent-Type: text/html\n\none\n--b--\n"),
	    "multipart/mixed(text/html[one]) !header.no_colon" },
	{ "part without header", LIT(MIXED "--b\nsome text\n\nmore\n--b--\n"),
	    "multipart/mixed(text/plain[some text||more]) !header.no_colon" },

	{ "message",
	    LIT(MIXED "--b\nContent-Type: message/rfc822\n\nSubject: in\nContent-Type: "
		      "text/html\n\n<p>in\n--b--\n"),
	    "multipart/mixed(message/rfc822(text/html[<p>in]))" },
	{ "message in message",
	    LIT("Content-Type: message/rfc822\n\nContent-Type: message/rfc822\n\nA: b\n\nin\n"),
	    "message/rfc822(message/rfc822(text/plain[in|]))" },
	{ "empty message", LIT(MIXED "--b\nContent-Type: message/rfc822\n--b--\n"),
	    "multipart/mixed(message/rfc822(text/plain[]))" },
	{ "message with the outer boundary in its header",
	    LIT(MIXED "--b\nContent-Type: message/rfc822\n\nSubject: in\n--b\n\ntwo\n--b--\n"),
	    "multipart/mixed(message/rfc822(text/plain[]) text/plain[two])" },
	{ "encoded message",
	    LIT("Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n"
		"Q29udGVudC1UeXBlOiB0ZXh0L2h0bWwKCjxiPmluPC9iPg==\n"),
	    "message/rfc822(text/html[<b>in</b>]) !mime.encoded_composite" },
	{ "digest", LIT("Content-Type: multipart/digest; boundary=b\n\n--b\n\nA: b\n\nin\n--b--\n"),
	    "multipart/digest(message/rfc822(text/plain[in]))" },

	{ "unknown transfer encoding", LIT("Content-Transfer-Encoding: x-odd\n\nabc=\n"),
	    "text/plain[abc=|] !mime.encoding_unknown" },
	{ "two transfer encodings",
	    LIT("Content-Transfer-Encoding: base64\nContent-Transfer-Encoding: 7bit\n\nYWJj\n"),
	    "text/plain[abc] !mime.duplicate_content_transfer_encoding" },
	{ "base64", LIT("Content-Transfer-Encoding: BASE64 (x)\n\naGVs\nbG8g\n  d29y bGQ=\n"),
	    "text/plain[hello world]" },
	{ "base64 with noise",
	    LIT("Content-Transfer-Encoding: base64\n\na!GVs\x80"
		"bG*8=\n"),
	    "text/plain[hello] !mime.base64_noise" },
	{ "base64 behind its padding",
	    LIT("Content-Transfer-Encoding: base64\n\naGVsbG8=IHdvcmxk\n"),
	    "text/plain[hello world] !mime.base64_padding" },
	{ "base64 without padding", LIT("Content-Transfer-Encoding: base64\n\naGVsbG8\n"),
	    "text/plain[hello] !mime.base64_padding" },
	{ "base64 that is only padding", LIT("Content-Transfer-Encoding: base64\n\n====\n"),
	    "text/plain[]" },
	{ "quoted-printable",
	    LIT("Content-Transfer-Encoding: quoted-printable\n\na=3Db=3d=20 \nc=\nd= \t\ne\n"),
	    "text/plain[a=b= |cde|]" },
	{ "quoted-printable tricks",
	    LIT("Content-Transfer-Encoding: quoted-printable\n\n=\n=\n=4=\n1=41=\r\n=4G==41\n="),
	    "text/plain[=41A=4G=A|] !mime.quoted_printable_bad" },
	{ "uuencode",
	    LIT("Content-Transfer-Encoding: x-uuencode\nContent-Type: a/b\n\n"
		"begin 644 x\n#86)C\n \nend\n"),
	    "a/b[abc]=" },

	{ "named text", LIT(MIXED "--b\nContent-Type: text/plain; name=a.txt\n\none\n--b--\n"),
	    "multipart/mixed(text/plain[one]=a.txt)" },
	{ "text declared an attachment", LIT("Content-Disposition: attachment\n\none\n"),
	    "text/plain[one|]=" },
	{ "file name and name",
	    LIT("Content-Type: a/b; name=x\nContent-Disposition: inline; "
		"filename=\"a;b.exe\"\n\n1"),
	    "a/b[1]=a;b.exe" },
	{ "file name as an encoded word",
	    LIT("Content-Disposition: x; filename=\"=?utf-8?q?a=2Eexe?=\"\n\n1"),
	    "text/plain[1]=a.exe" },
	{ "file name in sections",
	    LIT("Content-Disposition: attachment; filename*0*=utf-8''a%20; filename*1=\"b%20\"; "
		"filename*2*=%2Eexe\n\n1"),
	    "text/plain[1]=a b%20.exe" },
	{ "sections out of order",
	    LIT("Content-Disposition: attachment; filename*1=b; filename*0=a; filename*10=d; "
		"filename*2=c\n\n1"),
	    "text/plain[1]=abcd !mime.parameter_gap" },
	{ "a section that is missing",
	    LIT("Content-Disposition: attachment; filename*0=\"a.txt\"; filename*2=\".exe\"\n\n1"),
	    "text/plain[1]=a.txt.exe !mime.parameter_gap" },
	{ "a section twice",
	    LIT("Content-Disposition: attachment; filename*0=a; filename*0=b; filename*1=c\n\n1"),
	    "text/plain[1]=ac !mime.duplicate_parameter" },
	{ "extended and plain",
	    LIT("Content-Disposition: attachment; filename=x.txt; "
		"filename*=iso-8859-1'en'%E9.exe\n\n1"),
	    "text/plain[1]=~C3~A9.exe" },
	{ "file name of a Windows path",
	    LIT("Content-Disposition: attachment; filename=\"C:\\dir\\a.exe\"\n\n1"),
	    "text/plain[1]=C:\\dir\\a.exe" },
	{ "file name without quotes",
	    LIT("Content-Disposition: attachment; filename=a b.exe \n\n1"),
	    "text/plain[1]=a b.exe" },
};

START_TEST(structure)
{
	struct message m;
	struct bytes got = { 0 };

	case_file(&m, cases[_i].file);
	describe_parts(&got, m.root);
	describe_anomalies(&got, &m);
	ck_assert_msg(slice_eq(bytes_slice(&got), slice_z(cases[_i].parts)),
	    "%s: \"%.*s\", not \"%s\"", cases[_i].name, SLICE_ARG(bytes_slice(&got)),
	    cases[_i].parts);
	bytes_free(&got);
	message_free(&m);
}
END_TEST

START_TEST(same_from_file_and_milter)
{
	static const size_t chunks[] = { 1, 2, 3, 7, 65535 };
	struct bytes file = { 0 };
	struct message m;

	if (slice_starts(cases[_i].file, SLICE("From ")))
		return; /* an MTA takes that line off */
	case_file(&m, cases[_i].file);
	describe_all(&file, &m);
	message_free(&m);
	for (size_t i = 0; i < COUNT(chunks); i++) {
		struct bytes milter = { 0 };

		case_milter(&m, cases[_i].file, chunks[i]);
		describe_all(&milter, &m);
		ck_assert_msg(slice_eq(bytes_slice(&file), bytes_slice(&milter)),
		    "%s, chunks of %zu:\n%.*s\n---\n%.*s", cases[_i].name, chunks[i],
		    SLICE_ARG(bytes_slice(&file)), SLICE_ARG(bytes_slice(&milter)));
		bytes_free(&milter);
		message_free(&m);
	}
	bytes_free(&file);
}
END_TEST

/* What is written and read again is the same message. */
START_TEST(written_and_read_again)
{
	struct bytes first = { 0 }, second = { 0 };
	struct message m;

	case_file(&m, cases[_i].file);
	ck_assert(message_write(&m, &first));
	message_free(&m);
	case_file(&m, bytes_slice(&first));
	ck_assert(message_write(&m, &second));
	message_free(&m);
	ck_assert(slice_eq(bytes_slice(&first), bytes_slice(&second)));
	bytes_free(&first);
	bytes_free(&second);
}
END_TEST

/* ---- charsets ---------------------------------------------------------------------------- */

static const struct {
	const char *name;
	struct slice file;
	const char *text; /* with anomalies */
} charsets[] = {
	{ "utf-8", LIT("Content-Type: text/plain; charset=utf-8\n\ngr\xc3\xbc\xc3\x9f\n"),
	    "gr~C3~BC~C3~9F|" },
	{ "latin 1", LIT("Content-Type: text/plain; charset=ISO-8859-1\n\ngr\xfc\xdf\x80\n"),
	    "gr~C3~BC~C3~9F~E2~82~AC|" },
	{ "koi8-r", LIT("Content-Type: text/plain; charset=\"koi8-r\"\n\n\xf0\xd2\n"),
	    "~D0~9F~D1~80|" },
	{ "utf-16 with mark", LIT("Content-Type: text/plain; charset=utf-16\n\n\xfe\xff\0h\0i"),
	    "hi" },
	{ "utf-16le in base64",
	    LIT("Content-Type: text/plain; charset=utf-16le\nContent-Transfer-Encoding: base64\n\n"
		"aABpAA==\n"),
	    "hi" },
	{ "utf-16 cut", LIT("Content-Type: text/plain; charset=utf-16be\n\n\0h\0"),
	    "h~EF~BF~BD !charset.invalid" },
	{ "utf-7", LIT("Content-Type: text/plain; charset=utf-7\n\n+ADw-b+AD4- 1 +- 1\n"),
	    "<b> 1 + 1|" },
	{ "utf-7 as html",
	    LIT("Content-Type: text/html; charset=utf-7\n\n+ADw-b+AD4-x+ADw-/b+AD4-"), "x" },
	{ "iso-2022-jp", LIT("Content-Type: text/plain; charset=iso-2022-jp\n\n\x1b$B$\"\x1b(B\n"),
	    "~E3~81~82|" },
	{ "ascii that is UTF-8", LIT("A: b\n\ngr\xc3\xbc\n"), "gr~C3~BC|" },
	{ "ascii that is latin 1", LIT("Content-Type: text/plain; charset=us-ascii\n\ngr\xfc\n"),
	    "gr~C3~BC| !charset.invalid" },
	{ "utf-8 that is latin 1", LIT("Content-Type: text/plain; charset=utf-8\n\ngr\xfc\xdf.\n"),
	    "gr~EF~BF~BD~EF~BF~BD.| !charset.invalid" },
	{ "overlong utf-8",
	    LIT("Content-Type: text/plain; charset=utf-8\n\n\xc0\xaf\xe0\x80\xafx\n"),
	    "~EF~BF~BD~EF~BF~BD~EF~BF~BD~EF~BF~BD~EF~BF~BDx| !charset.invalid" },
	{ "surrogates and cut sequences",
	    LIT("Content-Type: text/plain; charset=utf-8\n\n\xed\xa0\x80|\xf0\x9f\x98|\xf4\x90\n"),
	    "~EF~BF~BD~EF~BF~BD~EF~BF~BD|~EF~BF~BD|~EF~BF~BD~EF~BF~BD| !charset.invalid" },
	{ "unknown charset", LIT("Content-Type: text/plain; charset=klingon\n\n\x93x\x94\n"),
	    "~E2~80~9Cx~E2~80~9D| !charset.unknown" },
	{ "charset with a converter's flags",
	    LIT("Content-Type: text/plain; charset=\"utf-8//translit\"\n\nx\n"),
	    "x| !charset.unknown" },
	{ "charset of a path", LIT("Content-Type: text/plain; charset=\"../../x\"\n\nx\n"),
	    "x| !charset.unknown" },
	{ "octets that are none",
	    LIT("Content-Type: text/plain; charset=gb2312\n\n\xff\xff"
		"a\n"),
	    "~EF~BF~BD~EF~BF~BDa| !charset.invalid" },
	{ "charset of a meta element",
	    LIT("Content-Type: text/html\n\n<meta charset=\"koi8-r\">\xf0\xd2"), "~D0~9F~D1~80" },
	{ "charset of an old meta element",
	    LIT("Content-Type: text/html\n\n<META http-equiv=Content-Type content='text/html; "
		"charset=koi8-r'>\xf0\xd2"),
	    "~D0~9F~D1~80" },
	{ "several texts",
	    LIT(MIXED "--b\n\none\n--b\nContent-Type: text/html\n\n<p>two</p>\n--b\n"
		      "Content-Disposition: attachment\n\nthree\n--b\n\nfour\n--b--"),
	    "one|two|four" },
};

START_TEST(charset)
{
	struct message m;
	struct bytes got = { 0 };

	case_file(&m, charsets[_i].file);
	ck_assert(slice_utf8(m.text));
	describe_octets(&got, m.text);
	describe_anomalies(&got, &m);
	ck_assert_msg(slice_eq(bytes_slice(&got), slice_z(charsets[_i].text)),
	    "%s: \"%.*s\", not \"%s\"", charsets[_i].name, SLICE_ARG(bytes_slice(&got)),
	    charsets[_i].text);
	bytes_free(&got);
	message_free(&m);
}
END_TEST

/* ---- limits ------------------------------------------------------------------------------ */

static void repeat(struct bytes *b, struct slice s, size_t times)
{
	while (times-- > 0)
		ck_assert(bytes_add(b, s));
}

static bool has_anomaly(const struct message *m, const char *name)
{
	for (size_t i = 0; i < m->anomaly_count; i++)
		if (slice_eq(m->anomalies[i], slice_z(name)))
			return true;
	return false;
}

static const struct {
	const char *name;
	struct slice before, piece, after;
	size_t times;
	const char *anomaly;
	size_t fields, parts;
	bool failed;
} limits[] = {
	{ "header line of 900 KB", LIT("Subject: "), LIT("0123456789"), LIT("\nTo: a@b\n\nx"),
	    90000, NULL, 2, 1, false },
	{ "header line of 1.2 MB", LIT("Subject: "), LIT("0123456789"), LIT("\nTo: a@b\n\nx"),
	    120000, "header.too_large", 1, 1, true },
	{ "10 000 fields", LIT(""), LIT("X-Field: value\n"), LIT("\nx"), 10000, NULL, 10000, 1,
	    false },
	{ "30 000 fields", LIT(""), LIT("X: v\n"), LIT("\nx"), 30000, "header.too_many",
	    MESSAGE_FIELDS_MAX, 1, true },
	{ "2 000 parts in each other", LIT(""),
	    LIT("Content-Type: multipart/mixed; boundary=b\n\n--b\n"), LIT("\nx"), 2000,
	    "mime.too_deep", 1, MESSAGE_PARTS_MAX, true },
	{ "2 000 messages in each other", LIT(""), LIT("Content-Type: message/rfc822\n\n"),
	    LIT("x"), 2000, "mime.too_deep", 1, MESSAGE_DEPTH_MAX, true },
	{ "2 000 parts beside each other", LIT(MIXED), LIT("--b\n\nx\n"), LIT("--b--\n"), 2000,
	    "mime.too_many_parts", 1, MESSAGE_PARTS_MAX, true },
	{ "fields of parts", LIT(MIXED "--b\n"), LIT("x:\n"),
	    LIT("Content-Type: text/html\n\nx\n--b--"), 50000, "header.too_many", 1, 2, true },
	{ "parameters", LIT("Content-Type: text/plain"), LIT("; a=b"), LIT("; name=x\n\nx"), 300,
	    "mime.too_many_parameters", 1, 1, false },
	{ "text", LIT("A: b\n\n"), LIT("0123456789 \xc3\xbc\n"), LIT(""), 1000, "text.cut", 1, 1,
	    false },
	{ "html", LIT("Content-Type: text/html\n\n"), LIT("<b>0123456789 \xc3\xbc</b>\n"), LIT(""),
	    1000, "text.cut", 1, 1, false },
	{ "html parts", LIT(MIXED), LIT("--b\nContent-Type: text/html\n\n<p>0123456789 \xc3\xbc\n"),
	    LIT("--b--\n"), 900, "text.cut", 1, 901, false },
	{ "koi8-r", LIT("Content-Type: text/plain; charset=koi8-r\n\n"), LIT("\xf0\xd2\n"), LIT(""),
	    5000, "text.cut", 1, 1, false },
	{ "nested HTML", LIT("Content-Type: text/html\n\n"), LIT("<b>"), LIT("x"), 1000,
	    "html.too_deep", 1, 1, false },
};

START_TEST(limit)
{
	struct bytes file = { 0 }, again = { 0 };
	struct message m;

	(void)bytes_add(&file, limits[_i].before);
	repeat(&file, limits[_i].piece, limits[_i].times);
	(void)bytes_add(&file, limits[_i].after);
	case_file(&m, bytes_slice(&file));
	ck_assert_uint_eq(m.field_count, limits[_i].fields);
	ck_assert_uint_eq(m.part_count, limits[_i].parts);
	ck_assert_msg(m.failed == limits[_i].failed, "%s: failed", limits[_i].name);
	if (limits[_i].anomaly != NULL)
		ck_assert_msg(has_anomaly(&m, limits[_i].anomaly), "%s: %s", limits[_i].name,
		    limits[_i].anomaly);
	else
		ck_assert_uint_eq(m.anomaly_count, 0);
	ck_assert_uint_le(m.text.n, MESSAGE_CASE_TEXT);
	ck_assert_uint_le(m.html.n, MESSAGE_CASE_TEXT);
	ck_assert(slice_utf8(m.text));
	ck_assert(slice_utf8(m.html));
	ck_assert_uint_le(m.header.n, MESSAGE_HEADER_MAX);
	ck_assert(message_write(&m, &again));
	message_free(&m);
	bytes_free(&file);
	bytes_free(&again);
}
END_TEST

START_TEST(nested_with_a_boundary_each)
{
	struct bytes file = { 0 };
	struct message m;

	for (size_t i = 0; i < 2000; i++)
		ck_assert(bytes_addf(
		    &file, "Content-Type: multipart/mixed; boundary=b%zu\n\n--b%zu\n", i, i));
	case_file(&m, bytes_slice(&file));
	ck_assert_uint_eq(m.part_count, MESSAGE_DEPTH_MAX);
	ck_assert(has_anomaly(&m, "mime.too_deep"));
	message_free(&m);
	bytes_free(&file);
}
END_TEST

START_TEST(larger_than_what_is_kept)
{
	struct message m;

	message_start(&m, 100);
	ck_assert(message_field(&m, SLICE("Subject"), SLICE("x"), false));
	for (size_t i = 0; i < 100; i++)
		ck_assert(message_body(&m, SLICE("0123456789")));
	ck_assert_uint_eq(m.header.n + m.body.n, 100);
	ck_assert_uint_eq(m.size, 12 + 2 + 1000);
	message_parse(&m, 1000);
	ck_assert(m.failed);
	ck_assert(has_anomaly(&m, "message.too_large"));
	message_free(&m);
	message_free(&m);
	ck_assert_uint_eq(m.max, 100);
}
END_TEST

/* Each way to attach a page: its source is seen, its text is not what the message says. */
static const char *const attached_pages[] = {
	"Content-Type: text/html\nContent-Disposition: attachment; filename=a.html\n\n",
	"Content-Type: application/octet-stream; name=\"scan.HTM\"\n\n",
	"Content-Type: application/xhtml+xml\n\n",
};
START_TEST(attached_page)
{
	struct bytes file = { 0 };
	struct message m;

	(void)bytes_addf(&file,
	    "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nhello\n--b\n%s"
	    "<form action=\"https://collect.example/p\">sign in</form>\n--b--\n",
	    attached_pages[_i]);
	case_file(&m, bytes_slice(&file));
	ck_assert_uint_lt(slice_find_slice(m.html, SLICE("<form")), m.html.n);
	ck_assert_uint_eq(slice_find_slice(m.text, SLICE("sign in")), m.text.n);
	ck_assert_uint_eq(m.attachment_count, 1);
	ck_assert_uint_eq(m.url_count, 1);
	ck_assert_slice_eq(m.urls[0].host, "collect.example");
	message_free(&m);
	bytes_free(&file);
}
END_TEST

START_TEST(anomalies_are_documented)
{
	size_t n;
	const struct anomaly_row *rows = message_anomalies(&n);

	for (size_t i = 0; i < n; i++) {
		ck_assert_msg(strchr(rows[i].name, '.') != NULL, "%s", rows[i].name);
		ck_assert_uint_gt(strlen(rows[i].about), 20);
		for (size_t k = 0; k < i; k++)
			ck_assert_str_ne(rows[i].name, rows[k].name);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("mime");
	TCase *tc = tcase_create("mime");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, structure, 0, COUNT(cases));
	tcase_add_loop_test(tc, same_from_file_and_milter, 0, COUNT(cases));
	tcase_add_loop_test(tc, written_and_read_again, 0, COUNT(cases));
	tcase_add_loop_test(tc, charset, 0, COUNT(charsets));
	tcase_add_loop_test(tc, limit, 0, COUNT(limits));
	tcase_add_test(tc, nested_with_a_boundary_each);
	tcase_add_test(tc, larger_than_what_is_kept);
	tcase_add_loop_test(tc, attached_page, 0, COUNT(attached_pages));
	tcase_add_test(tc, anomalies_are_documented);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
