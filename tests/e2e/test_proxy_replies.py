"""weir-proxy's replies: their form, lengths and paths, who may say what, and what a refused client hears."""

import re

import pytest

import fakemilter as fm
from proxylib import Proxy, Script
from sequences import Step, check_reply
from sinklib import Sink


@pytest.fixture(scope="module")
def backend():
    with Script() as b:
        yield b


@pytest.fixture(scope="module")
def proxy(backend, tmp_path_factory):
    limits = {"errors_soft": 100000, "errors_hard": 100000, "junk_commands": 100000, "message_bytes": 300000}
    with Proxy(tmp_path_factory.mktemp("proxy"), backend.address, limits=limits) as p:
        yield p.probed()


@pytest.fixture
def client(proxy):
    with proxy.client() as c:
        yield c


def filtered(folder, backend, filter_, **more):
    return Proxy(folder / "p", backend.address, filters=[{"name": "f", "socket": filter_.address}], **more)


# ---- towards the backend ---------------------------------------------------------------------------

def test_w37_w38_data_is_asked_for_last(tmp_path):
    """What the client sends in one group, the backend gets step by step: no DATA before a recipient was taken, by the
    filters first and by the backend then."""
    with Script(RCPT=[b"550 5.1.1 no\r\n", b"550 5.1.1 no\r\n", b"250 ok\r\n"]) as backend, \
            fm.Filter(tmp_path, R=[fm.REJECT, fm.CONTINUE]) as f, \
            filtered(tmp_path, backend, f).probed() as proxy, proxy.client() as client:
        client.hello()
        group = b"MAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nRCPT TO:<c@x>\r\nDATA\r\n"
        client.send(group)
        assert client.codes(4) == [250, 550, 550, 554]
        assert not [line for line in backend.all_lines() if line.startswith(b"DATA") or b"b@x" in line]
        client.ask(b"RSET")
        client.send(group)
        assert client.codes(4) == [250, 550, 250, 354]
        assert b"DATA" not in backend.all_lines()  # not even now: the filters may still refuse it
        client.send(b"S: x\r\n\r\nx\r\n.\r\n")
        assert client.reply().startswith(b"250")
        assert backend.all_lines().count(b"DATA") == 1


# ---- form -----------------------------------------------------------------------------------------

ODD = [b"", b" ", b"  NOOP", b"NOOP ", b"NOOP\t", b"\tNOOP", b"NOOPx", b"no", b"N", b"EHLO", b"EHLO ", b"EHLO  x", b"EHLO x ",
       b"EHLO x y", b"EHLO [127.0.0.1]", b"EHLO [IPv6:::1]", b"EHLO [x", b"EHLO -", b"EHLO x_y", b"EHLO " + b"x" * 300,
       "EHLO bücher.test".encode(), b"EHLO \x7f", b"HELO", b"HELO x", b"MAIL", b"MAIL ", b"MAIL FROM", b"MAIL FROM:",
       b"MAIL FROM: ", b"MAIL FROM:a@x", b"MAIL FROM:<a@x", b"MAIL FROM:a@x>", b"MAIL FROM:<a@x>x", b"MAIL FROM:<a@x>  SIZE=1",
       b"MAIL FROM:<a@x> SIZE", b"MAIL FROM:<a@x> SIZE=", b"MAIL FROM:<a@x> SIZE=-1", b"MAIL FROM:<a@x> =1",
       b"MAIL FROM:<a@x> BODY=8BITMIME BODY=7BIT", b"MAIL FROM:<a b@x>", b'MAIL FROM:<"a b"@x>', b'MAIL FROM:<"a@x>', b"MAIL FROM:<a@>",
       b"MAIL FROM:<@x>", b"MAIL FROM:<a@x..y>", b"MAIL FROM:<a@-x>", b"MAIL FROM:<a@[1.2.3.4]>", b"MAIL FROM:<a@[1.2.3]>",
       b"MAIL FROM:<<a@x>>", b"MAIL FROM:<a@x>,<b@x>", b"MAIL FROM:<a@x> FOO", b"MAIL TO:<a@x>", b"MAILFROM:<a@x>", b"SEND FROM:<a@x>",
       b"SAML FROM:<a@x>", b"SOML FROM:<a@x>", b"RCPT", b"RCPT TO", b"RCPT TO:", b"RCPT TO:<>", b"RCPT TO:<b>", b"RCPT TO:b@x",
       b"RCPT TO:<Postmaster>", b"RCPT TO:<b@x> SIZE=1", b"RCPT TO:<b@x> NOTIFY=NEVER", b"RCPT TO:<b@x> NOTIFY=X", b"RCPT FROM:<b@x>",
       b"DATA x", b"BDAT", b"BDAT x", b"RSET x", b"QUIT x", b"VRFY", b"VRFY x", b"VRFY <x@y>", b"EXPN", b"EXPN x", b"HELP",
       b"HELP MAIL", b"ETRN", b"ETRN x", b"TURN", b"ATRN", b"STARTTLS", b"STARTTLS x", b"AUTH", b"AUTH PLAIN", b"AUTH PLAIN AAAA",
       b"XCLIENT", b"XCLIENT ADDR=1.2.3.4", b"XFORWARD NAME=x", b"XEXCH50 1 2", b"BURL imap://x", b"NOOP \x80", b"NOOP \xc3\xbc",
       b"NOOP \0", b"NOOP " + b"x" * 600, b"NOOP " + b"x" * 3000, b"FOO", b"FOO BAR", b"FOO \x01\x02", b"2 x", b"\xff", b"<html>",
       b"GET / HTTP/1.1", b"Subject: x", b".", b"-", b"\x1b[A"]


@pytest.mark.parametrize("before", [[], [b"EHLO client.test"], [b"EHLO client.test", b"MAIL FROM:<a@x>"],
                                    [b"EHLO client.test", b"MAIL FROM:<a@x>", b"RCPT TO:<b@x>"], [b"HELO client.test"]],
                         ids=["start", "ready", "mail", "rcpt", "helo"])
def test_w40_w43_w44_w52_w53_every_reply_is_well_formed(proxy, before):
    """Whatever is said, in whatever state: one reply, of lines that RFC 5321 and 2034 would have; and where the session
    goes on, the next command is answered."""
    for line in ODD:
        with proxy.client() as client:
            for command in before:
                client.ask(command)
            client.send(line + b"\r\n")
            answer = client.reply() + b"\r\n"
            kind = "hello" if line[:4].upper() in (b"EHLO", b"HELO") else "fixed"
            check_reply(answer, Step(kind, line))
            assert answer[:1] in b"245", (line, answer)
            if answer[:3] in (b"221", b"421", b"521"):
                assert client.reply() == b"", line
            else:
                assert client.ask(b"RSET") == b"250 2.0.0 Ok", line


def test_w49_421_closes_whoever_says_it(tmp_path, backend):
    bye = fm.reply("421 4.7.0 bye")
    for number, stage in enumerate("HMRTEU"):
        with fm.Filter(tmp_path, **{stage: bye}) as f, filtered(tmp_path / str(number), backend, f) as proxy, \
                proxy.client() as client:
            answer = b""
            for line in [b"EHLO x", *([b"FOO"] if stage == "U" else []), b"MAIL FROM:<a@x>", b"RCPT TO:<b@x>", b"DATA",
                         b"S: x\r\n\r\nx\r\n."]:
                answer = client.ask(line)
                if answer[:1] not in b"23":
                    break
            assert answer == b"421 4.7.0 bye" and client.reply() == b""


@pytest.mark.parametrize("said, told", [("550 5.7.1 not you", b"550 5.7.1 not you"), ("450 4.7.1 later", b"450 4.7.1 later"),
                                        ("421 4.7.0 go", b"421 4.7.0 go")])
def test_w50_refused_at_connect(tmp_path, backend, said, told):
    """The filters hear of a client with his HELO: there he is told to go, or at every MAIL that he is not wanted; never is
    the connection cut without a word."""
    with fm.Filter(tmp_path, C=fm.reply(said)) as f, filtered(tmp_path, backend, f) as proxy, proxy.client() as client:
        assert client.banner.startswith(b"220 ")
        answer = client.hello()
        if told.startswith(b"421"):
            assert answer == told and client.reply() == b""
            return
        for _ in range(2):
            assert client.ask(b"MAIL FROM:<a@x>") == told
            assert client.ask(b"RCPT TO:<b@x>").startswith(b"503")
            assert client.ask(b"DATA").startswith(b"503")
        assert client.ask(b"QUIT").startswith(b"221")


def test_w40_a_filter_cannot_make_an_unknown_command_good(tmp_path, backend):
    """W73: a reply of the class 2 is none that a filter may give."""
    with fm.Filter(tmp_path, U=[fm.reply("250 2.0.0 fine"), fm.reply("502 5.5.1 mine")]) as f, \
            filtered(tmp_path, backend, f) as proxy, proxy.client() as client:
        client.hello()
        assert client.ask(b"FOO").startswith(b"500 5.5.2")
        client.hello()
        assert client.ask(b"MAIL FROM:<a@x>").startswith(b"250")


def test_w53_long_replies_of_a_backend(tmp_path):
    """As many lines as are needed, none longer than 512 octets."""
    words = b"word " * 150
    with Script(RCPT=b"550-5.1.1 " + words + b"\r\n550 5.1.1 end\r\n") as backend, \
            Proxy(tmp_path, backend.address) as proxy, proxy.client() as client:
        answer = client.envelope()
        check_reply(answer + b"\r\n", Step("rcpt", b""))
        assert b"word word" in answer


# ---- lengths, paths, arguments ----------------------------------------------------------------------

DOMAIN = b".".join([b"d" * 60] * 4)  # 243 octets

@pytest.mark.parametrize("path, code", [
    (b"a" * 64 + b"@x", 250), (b"a" * 65 + b"@x", 250),   # senders with VERP or SRS exceed 64
    (b"a" * 252 + b"@x", 250), (b"a" * 253 + b"@x", 501),  # 256 with the brackets
    (b"abcdefghij@" + DOMAIN, 250), (b"abcdefghijkl@" + DOMAIN, 501),
    (b"a@" + b"d" * 64, 501),
])
def test_w46_lengths(client, path, code):
    client.hello()
    assert client.ask(b"MAIL FROM:<" + path + b">")[:3] == b"%d" % code
    client.ask(b"RSET")
    client.ask(b"MAIL FROM:<a@x>")
    assert client.ask(b"RCPT TO:<" + path + b">")[:3] == b"%d" % code


def test_w46_long_text_lines_are_not_folded(client, backend):
    """RFC 5321 has 1000 octets with CR LF; what is longer goes on as it is: folding breaks signatures."""
    content = b"S: x\r\n\r\n" + b"".join(b"x" * n + b"\r\n" for n in (998, 999, 5000, 100000))
    client.envelope()
    assert client.data(content).startswith(b"250")
    assert backend.contents[-1].endswith(content + b".\r\n")


def test_w43_utf8_in_commands(client):
    client.hello()
    for line in (b"NOOP \xff", b"NOOP \xc3", b"MAIL FROM:<\xfc@x>", b"MAIL FROM:<\xc0\x80@x> SMTPUTF8",
                 b"MAIL FROM:<\xed\xa0\x80@x> SMTPUTF8", b"FOO \xf4\x90\x80\x80"):
        assert client.ask(line).startswith(b"500 5.5.2"), line
    for address in ("ü@x", "a@bücher.test"):
        assert client.ask(b"MAIL FROM:<%b>" % address.encode()).startswith(b"553 5.6.7")
    assert client.ask("MAIL FROM:<ü@x> SMTPUTF8".encode()).startswith(b"250")
    assert client.ask("RCPT TO:<ö@bücher.test>".encode()).startswith(b"250")
    client.ask(b"RSET")
    client.ask(b"MAIL FROM:<a@x>")  # the parameter was of the transaction before
    assert client.ask("RCPT TO:<ö@bücher.test>".encode()).startswith(b"553 5.6.7")


def test_w71_a_nested_mail_changes_nothing(client):
    """Not even that the transaction has SMTPUTF8."""
    client.hello()
    assert client.ask(b"MAIL FROM:<a@x> SMTPUTF8").startswith(b"250")
    assert client.ask(b"MAIL FROM:<z@x>").startswith(b"503")
    assert client.ask("RCPT TO:<ö@x>".encode()).startswith(b"250")


@pytest.mark.parametrize("verb, arguments", [(b"NOOP", True), (b"HELP", True), (b"VRFY", True), (b"RSET", False),
                                             (b"DATA", False), (b"QUIT", False)])
def test_w58_arguments_and_case(client, verb, arguments):
    client.envelope()
    for form in (verb, verb.lower(), verb.capitalize()):
        answer = client.ask(form + b" x")
        assert answer[:1] == b"2" if arguments else answer.startswith(b"501 5.5.4"), answer
    if verb != b"VRFY":
        assert client.ask(verb.lower() + b"  ")[:1] in b"23"  # blanks are no argument


# What comes behind the colon, and what the backend gets where it is taken.
LENIENT = [(b" <c@x>", b"<c@x>"), (b"   <c@x>", b"<c@x>"), (b"c@x", b"<c@x>"), (b" c@x", b"<c@x>"), (b"@a,@b:c@x", b"<c@x>"),
           (b"", None), (b" ", None), (b" <c@x", None), (b"c@x>", None), (b"c d@x", None), (b"<c@x>d", None), (b"c", None)]


@pytest.mark.parametrize("behind, sent", LENIENT)
def test_w58_blanks_and_brackets_are_meant(client, behind, sent):
    client.hello()
    assert client.ask(b"MAIL FROM:" + behind).startswith(b"501 5.1.7")
    assert client.ask(b"mail from:<a@x>").startswith(b"250")
    assert client.ask(b"RCPT TO:" + behind).startswith(b"501 5.1.3")
    assert client.ask(b"rCpT tO:<b@x>").startswith(b"250")


@pytest.mark.parametrize("behind, sent", LENIENT)
def test_w58_lenient_paths(lenient, behind, sent):
    """Old devices write them so, and Postfix takes them. The backend gets what RFC 5321 has."""
    proxy, backend = lenient
    with proxy.client() as client:
        client.hello()
        answer = client.ask(b"MAIL FROM:" + behind + b" SIZE=100")
        if sent is None:
            assert answer.startswith(b"501 5.")
            client.ask(b"MAIL FROM:<>")
            assert client.ask(b"RCPT TO:" + behind).startswith(b"501 5.")
            return
        assert answer.startswith(b"250"), answer
        assert client.ask(b"RCPT TO:" + behind + b" NOTIFY=NEVER").startswith(b"250")
        assert b"MAIL FROM:" + sent + b" SIZE=100" in backend.all_lines()
        assert b"RCPT TO:" + sent + b" NOTIFY=NEVER" in backend.all_lines()


@pytest.fixture(scope="module")
def lenient(tmp_path_factory):
    with Script() as backend, Proxy(tmp_path_factory.mktemp("lenient"), backend.address, lenient_paths=True) as proxy:
        yield proxy.probed(), backend


@pytest.mark.parametrize("path, sent", [
    (b"<postmaster>", b"<postmaster>"), (b"<PostMaster>", b"<PostMaster>"), (b"<@a,@b:c@d>", b"<c@d>"), (b"<@a:e@d>", b"<e@d>"),
    (b"<@a,@b:c>", None), (b"<@a,b:c@d>", None), (b"<@a:@b:c@d>", None), (b"<@:c@d>", None), (b"<@a,@b:>", None), (b"<>", None),
    (b'<"a b"@d>', b'<"a b"@d>'), (b'<"a\\"@b"@d>', b'<"a\\"@b"@d>'), (b"<a@[IPv6:::1]>", b"<a@[IPv6:::1]>"), (b"<a%b@c>", b"<a%b@c>"),
    (b"<a!b@c>", b"<a!b@c>"), (b"<a@b@c>", None), (b"<a@b>@c", None),
])
def test_w59_forward_paths(client, backend, path, sent):
    """Whole, or not at all: what the backend gets is what was checked."""
    client.hello()
    client.ask(b"MAIL FROM:<>")
    answer = client.ask(b"RCPT TO:" + path)
    if sent is None:
        assert answer.startswith(b"501 5."), answer
    else:
        assert answer.startswith(b"250"), answer
        assert b"RCPT TO:" + sent in backend.all_lines()


# ---- the message ------------------------------------------------------------------------------------

def test_w104_nothing_is_added_but_received(tmp_path):
    """Neither Message-ID nor Date nor Return-Path; and a Return-Path that is there stays."""
    with Sink(tmp_path / "mail") as sink, Proxy(tmp_path / "p", sink.address) as proxy, proxy.client() as client:
        client.hello()
        for content in (b"Subject: x\r\n\r\nx\r\n", b"\r\nx\r\n", b"Return-Path: <z@x>\r\nX: y\r\n\r\nx\r\n"):
            before = sink.names()
            assert client.message(content).startswith(b"250")
            [stored] = [m for m in sink.messages() if m.name not in before]
            field = re.match(rb"Received: .*?\r\n(?![ \t])", stored.content, flags=re.S)
            assert stored.content[field.end():] == content
