#include "config.h"

#include "message_case.h"

#include "milterd/message/inside.h"

static const struct {
	const char *name;
	struct slice html;
	const char *text;
} texts[] = {
	{ "plain", LIT("hello"), "hello" },
	{ "blanks", LIT("  a \n\t b  "), "a b" },
	{ "inline elements", LIT("a<b>b</b>c <i>d</i>"), "abc d" },
	{ "blocks", LIT("a<p>b</p><div>c</div>d<br>e<br/>f"), "a|b|c|d|e|f" },
	{ "cells", LIT("<table><tr><td>a</td><td>b</td></tr><tr><td>c</table>d"), "a b|c|d" },
	{ "list", LIT("<ul><li>a<li>b</ul>"), "a|b" },
	{ "pre", LIT("<pre>a\nb</pre>c\nd"), "a|b|c d" },
	{ "title stays", LIT("<head><title>T &amp; <b></title></head>x"), "T & <b>|x" },
	{ "script and style", LIT("a<script>x<b</script>b<style>y</style>c"), "abc" },
	{ "script that ends oddly", LIT("a<SCRIPT>x</scriptx></ScRiPt >b"), "ab" },
	{ "script that never ends", LIT("a<script>b"), "a" },
	{ "comments", LIT("a<!-- x > -- y -->b<!-->c<!--->d<!-- x --!>e<!--x"), "abcde" },
	{ "declarations", LIT("<!DOCTYPE html>a<![CDATA[x]]>b<?php x ?>c</ x>d"), "abcd" },
	{ "a '<' that is text", LIT("1 < 2 <3 <"), "1 < 2 <3 <" },
	{ "tag without end", LIT("a<b href='x"), "a" },
	{ "'>' in an attribute", LIT("a<b x='>' y=\">\">b"), "ab" },
	{ "NUL", LIT("a\0b"), "ab !body.nul" },
	{ "references", LIT("&lt;&gt;&amp;&quot;&apos;&copy;&eacute;&euro;&hellip;"),
	    "<>&\"'~C2~A9~C3~A9~E2~82~AC~E2~80~A6" },
	{ "numeric references",
	    LIT("&#65;&#x42;&#X43;&#68 &#x80;&#0;&#xD800;&#x110000;&#99999999999;"),
	    "ABCD ~E2~82~AC~EF~BF~BD~EF~BF~BD~EF~BF~BD~EF~BF~BD" },
	{ "references without ';'", LIT("&lt&ampx&copy &nope; &notin; &#; &#x; &; & &lang"),
	    "<&x~C2~A9 &nope; ~E2~88~89 &#; &#x; &; & &lang" },
	{ "no-break space", LIT("a&nbsp;&nbsp;b"), "a b" },

	{ "display:none", LIT("a<span style='display:none'>x</span>b"), "ab" },
	{ "display: none !important",
	    LIT("a<div style=\"color:red; DISPLAY : None !important\">x</div>b"), "a|b" },
	{ "display:none with references", LIT("a<b style='display&colon;none'>x</b>b"), "ab" },
	{ "visibility", LIT("a<b style=visibility:hidden>x<i style=visibility:visible>y</i>z</b>b"),
	    "ayb" },
	{ "font-size:0",
	    LIT("<b style='font-size:0px'>x<i style='font-size:10pt'>y</i><i "
		"style='font-size:2em'>z</i></b>a"),
	    "ya" },
	{ "hidden attribute", LIT("a<b hidden>x</b>b"), "ab" },
	{ "display:none shows nothing inside",
	    LIT("<b style=display:none><i style=display:block>x</i></b>a"), "a" },
	{ "hidden <p> ends with the next", LIT("<p style=display:none>x<p>a<div>b</div>"), "a|b" },
	{ "hidden cell ends with the next",
	    LIT("<table><tr><td style=display:none>x<td>a<tr><td>b</table>"), "a|b" },
	{ "hidden span ends with its parent", LIT("<p><span style=display:none>x</p>a"), "a" },
	{ "an end tag does not reach out of a table",
	    LIT("<div style=display:none><table><tr><td></div>x</table></div>a"), "a" },
	{ "hidden and never closed", LIT("a<div style=display:none>x"), "a" },
	{ "hidden void element", LIT("a<img style=display:none>b"), "ab" },
	{ "not hidden", LIT("<b style='display:inline;font-size:10px;visibility:inherit'>a</b>"),
	    "a" },
	{ "style as a text", LIT("<b title='style=display:none'>a</b>"), "a" },
};

START_TEST(text)
{
	struct message m;
	struct bytes got = { 0 };

	message_start(&m, 1u << 20);
	ck_assert(
	    message_field(&m, SLICE("Content-Type"), SLICE("text/html; charset=utf-8"), false));
	ck_assert(message_body(&m, texts[_i].html));
	message_parse(&m, 10000);
	describe_octets(&got, m.text);
	describe_anomalies(&got, &m);
	ck_assert_msg(slice_eq(bytes_slice(&got), slice_z(texts[_i].text)),
	    "%s: \"%.*s\", not \"%s\"", texts[_i].name, SLICE_ARG(bytes_slice(&got)),
	    texts[_i].text);
	bytes_free(&got);
	message_free(&m);
}
END_TEST

/* ---- URLs -------------------------------------------------------------------------------- */

static const struct {
	const char *type, *body;
	const char *urls; /* "url host domain" of each, by line */
} urls[] = {
	{ "plain", "see http://a.example/x.", "http://a.example/x a.example a.example" },
	{ "plain", "HTTPS://User:pw@WWW.A.Example:8080/P?q#f",
	    "HTTPS://User:pw@WWW.A.Example:8080/P?q#f www.a.example a.example" },
	{ "plain", "(http://a.example/(x)) <http://b.example> \"http://c.example\"",
	    "http://a.example/(x)) a.example a.example|http://b.example b.example b.example|"
	    "http://c.example c.example c.example" },
	{ "plain", "[http://a.example]", "http://a.example a.example a.example" },
	{ "plain",
	    "ftp://a.example www.b.example/x, (www.c.example) x.www.d.example awww.e.example",
	    "ftp://a.example a.example a.example|www.b.example/x www.b.example b.example|"
	    "www.c.example www.c.example c.example" },
	{ "plain", "mailto:a@b.example a@www.b.example http:// http:/x www. www.,", "" },
	{ "plain", "http://a.example http://a.example http://A.example",
	    "http://a.example a.example a.example|http://A.example a.example a.example" },
	{ "plain", "http://192.0.2.1/x http://[2001:db8::1]:80/y http://localhost/z",
	    "http://192.0.2.1/x 192.0.2.1 192.0.2.1|"
	    "http://[2001:db8::1]:80/y [2001:db8::1] [2001:db8::1]|"
	    "http://localhost/z localhost localhost" },
	{ "plain", "http://%65vil.example/ http://a.example./",
	    "http://%65vil.example/ evil.example evil.example|http://a.example./ a.example "
	    "a.example" },
	{ "plain", "http://%ff.example/", "http://%ff.example/ %ff.example %ff.example" },
	{ "plain", "http://good.example@evil.example/",
	    "http://good.example@evil.example/ "
	    "evil.example evil.example" },
	{ "plain", "http://good.example\\@evil.example/",
	    "http://good.example\\@evil.example/ good.example good.example" },
	{ "plain", "http://b\xc3\xbc.example/",
	    "http://b~C3~BC.example/ b~C3~BC.example b~C3~BC.example" },
	{ "plain", "http://a.example\xe8\xaf\xb7 http://b.example/x\xe8\xaf\xb7",
	    "http://a.example a.example a.example|http://b.example/x b.example b.example" },
	{ "plain",
	    "http://a\xe3\x80\x82"
	    "example/",
	    "http://a a a" },
	{ "plain", "http://a.b.c.d.example/", "http://a.b.c.d.example/ a.b.c.d.example d.example" },
	{ "html", "<a href='http://a.example/?x=1&amp;y=2'>x</a>",
	    "http://a.example/?x=1&y=2 a.example a.example" },
	{ "html", "<a href=' &#104;ttp://a.exa\n mple/ '>x</a>",
	    "http://a.exa mple/ a.exa mple a.exa mple" },
	{ "html",
	    "<img src=//a.example/x><form action=https:b.example><base href=http:\\\\c.example>",
	    "//a.example/x a.example a.example|https:b.example b.example b.example|"
	    "http:\\\\c.example c.example c.example" },
	{ "html",
	    "<a href=/rel><a href=rel.html><a href=mailto:a@b><a href=cid:x><a href=javascript:x>",
	    "" },
	{ "html", "<meta http-equiv=refresh content='0; URL=\"http://a.example/\"'>",
	    "http://a.example/ a.example a.example" },
	{ "html",
	    "<meta content='http://b.example' http-equiv=REFRESH><meta "
	    "content='1;url=http://a.example'>",
	    "" },
	{ "html",
	    "<map><area href=http://a.example></map><b style=display:none>http://b.example</b>",
	    "http://a.example a.example a.example" },
	{ "html", "<a href=http://a.example>http://b.example</a> http://a.example",
	    "http://a.example a.example a.example|http://b.example b.example b.example" },
	{ "html", "<a href='http://a.example/&copy=1'>",
	    "http://a.example/&copy=1 a.example a.example" },
	{ "html", "<a href='http://a&#x3002;example/'>",
	    "http://a~E3~80~82example/ a.example a.example" },
};

START_TEST(url)
{
	struct message m;
	struct bytes got = { 0 };

	message_start(&m, 1u << 20);
	ck_assert(message_field(&m, SLICE("Content-Type"),
	    strcmp(urls[_i].type, "html") == 0 ? SLICE("text/html; charset=utf-8")
					       : SLICE("text/plain; charset=utf-8"),
	    false));
	ck_assert(message_body(&m, slice_z(urls[_i].body)));
	message_parse(&m, 10000);
	for (size_t i = 0; i < m.url_count; i++) {
		if (i > 0)
			(void)bytes_addc(&got, '|');
		describe_octets(&got, m.urls[i].url);
		(void)bytes_addc(&got, ' ');
		describe_octets(&got, m.urls[i].host);
		(void)bytes_addc(&got, ' ');
		describe_octets(&got, m.urls[i].domain);
	}
	ck_assert_msg(slice_eq(bytes_slice(&got), slice_z(urls[_i].urls)),
	    "\"%s\": \"%.*s\", not \"%s\"", urls[_i].body, SLICE_ARG(bytes_slice(&got)),
	    urls[_i].urls);
	bytes_free(&got);
	message_free(&m);
}
END_TEST

START_TEST(urls_have_a_limit)
{
	struct message m;
	struct bytes body = { 0 };

	for (size_t i = 0; i < 5000; i++)
		ck_assert(bytes_addf(&body, "http://h%zu.example/ http://again.example/\n", i));
	message_start(&m, 1u << 20);
	ck_assert(message_body(&m, bytes_slice(&body)));
	message_parse(&m, 1u << 20);
	ck_assert_uint_eq(m.url_count, MESSAGE_URLS_MAX);
	ck_assert_slice_eq(m.urls[0].host, "h0.example");
	ck_assert_slice_eq(m.urls[1].host, "again.example");
	ck_assert_slice_eq(m.urls[1999].host, "h1998.example");
	ck_assert_slice_eq(m.anomalies[m.anomaly_count - 1], "url.too_many");
	message_free(&m);
	bytes_free(&body);
}
END_TEST

/* The table's index by letters fits its rows. */
static const char *const elements[] = { "a", "b", "body", "br", "caption", "div", "embed", "form",
	"frame", "h1", "hr", "i", "input", "keygen", "li", "meta", "nav", "ol", "option", "p",
	"pre", "script", "summary", "table", "title", "tr", "ul", "wbr", "xmp" };
START_TEST(element)
{
	ck_assert_slice_eq(html_element(slice_z(elements[_i]))->name, elements[_i]);
}
END_TEST

static const char *const no_elements[] = { "", "aa", "blink", "o-p", "q", "zz", "{", "\xff" };
START_TEST(no_element)
{
	ck_assert_uint_eq(html_element(slice_z(no_elements[_i]))->name.n, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("html");
	TCase *tc = tcase_create("html");

	tcase_add_loop_test(tc, text, 0, COUNT(texts));
	tcase_add_loop_test(tc, url, 0, COUNT(urls));
	tcase_add_loop_test(tc, element, 0, COUNT(elements));
	tcase_add_loop_test(tc, no_element, 0, COUNT(no_elements));
	tcase_add_test(tc, urls_have_a_limit);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
