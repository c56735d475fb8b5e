"""weir-proxy's server side on the wire. Names carry the numbers of the behaviours they cover."""

import json
import os
import re
import signal
import socket
import subprocess
import time

import pytest

from proxylib import Proxy, Script
from sinklib import Sink, program


@pytest.fixture(scope="module")
def sink(tmp_path_factory):
    with Sink(tmp_path_factory.mktemp("sink") / "mail", "--refuse-rcpt", "nobody@mx.test") as s:
        yield s


@pytest.fixture(scope="module")
def proxy(sink, tmp_path_factory):
    with Proxy(tmp_path_factory.mktemp("proxy"), sink.address,
               limits={"recipients": 100, "message_bytes": 200000, "header_bytes": 100000,
                       "errors_soft": 100000, "errors_hard": 100000}) as p:
        yield p.probed()


@pytest.fixture
def client(proxy):
    with proxy.client() as c:
        yield c


def stored(sink, before):
    """Contents stored since, without our own Received field."""
    return [re.sub(rb"\AReceived: .*?\r\n(?![ \t])", b"", m.content, flags=re.S)
            for m in sink.messages() if m.name not in before]


# ---- end of data (W01-W13) ---------------------------------------------------------------------

SMUGGLE = [b"\n.\n", b"\n.\r", b"\r.\n", b"\r.\r", b"\n.\r\n", b"\r.\r\n", b"\r\n\x00.\r\n",
           b"\r\n.\n", b"\r\n.\r", b"\r\n.\x00\r\n", b"\r\n.\r\r\n", b"\r\r\n.\r\r\n"]


def smuggle(client, sequence, cut=None):
    """A message with sequence in its body and commands behind it; the reply after the true end."""
    client.ask(b"MAIL FROM:<a@client.test>")
    client.ask(b"RCPT TO:<b@mx.test>")
    assert client.ask(b"DATA").startswith(b"354")
    body = (b"Subject: s\r\n\r\nfirst" + sequence
            + b"MAIL FROM:<evil@x>\r\nRCPT TO:<b@mx.test>\r\nDATA\r\nsecond\r\n.\r\n")
    if cut is None:
        client.send(body)
    else:
        at = body.index(b"first") + 5 + cut
        client.send(body[:at])
        time.sleep(0.002)
        client.send(body[at:])
    return client.reply()


@pytest.mark.parametrize("sequence", SMUGGLE, ids=repr)
def test_w01_w02_w03_no_other_end(proxy, sink, sequence):
    outcomes = set()
    for cut in [None, *range(len(sequence) + 1)]:
        with proxy.client() as client:
            client.hello()
            before = sink.names()
            assert smuggle(client, sequence, cut).startswith(b"250")
            assert client.ask(b"NOOP").startswith(b"250")  # nothing more was run
            fresh = stored(sink, before)
            assert len(fresh) == 1
            assert fresh[0].count(b"MAIL FROM:<evil@x>") == 1  # content it was, and it stayed
            outcomes.add(fresh[0])
    assert len(outcomes) == 1


def test_w01_end_split_everywhere(proxy, sink):
    for cut in range(1, 6):
        with proxy.client() as client:
            client.envelope()
            client.ask(b"DATA")
            whole = b"A: b\r\n\r\nx\r\n.\r\n"
            at = len(whole) - cut
            client.send(whole[:at])
            time.sleep(0.002)
            client.send(whole[at:])
            assert client.reply().startswith(b"250")


@pytest.mark.parametrize("sequence", SMUGGLE, ids=repr)
def test_w05_w07_backend_sees_clean_lines(tmp_path, sequence):
    """What reaches the backend's socket has no bare CR or LF, and one end."""
    with Script() as backend, Proxy(tmp_path / "p", backend.address) as proxy:
        with proxy.client() as client:
            client.hello()
            assert smuggle(client, sequence).startswith(b"250")
        assert len(backend.contents) == 1
        content = backend.contents[0]
        assert not re.search(rb"(?<!\r)\n|\r(?!\n)", content)
        assert content.count(b"\r\n.\r\n") == 1


def test_w05_reject_policy(sink, tmp_path):
    with Proxy(tmp_path, sink.address, bare_newline="reject") as proxy:
        with proxy.client() as client:
            client.envelope()
            client.ask(b"DATA")
            before = sink.names()
            client.send(b"Subject: s\r\n\r\nbare\nlf\r\n.\r\n")
            assert client.reply().startswith(b"550 5.5.2")
            assert client.ask(b"NOOP").startswith(b"250")
            client.send(b"NOOP\nQUIT\r\n")
            assert client.reply().startswith(b"550 5.5.2")
            assert client.reply() == b""
            assert sink.names() == before


def test_w04_commands_with_bare_newlines(client):
    client.hello()
    for line in (b"NOOP\nNOOP\r\n", b"NOOP\rNOOP\r\n", b"NO\0OP\r\n"):
        client.send(line)
        assert client.reply().startswith(b"500 5.5.2")
    assert client.ask(b"NOOP").startswith(b"250")


def test_w08_prepended_field_and_first_dot(client, sink):
    client.envelope()
    before = sink.names()
    assert client.data(b".dot: first\r\n\r\n.\r\n..\r\n").startswith(b"250")
    assert stored(sink, before) == [b".dot: first\r\n\r\n.\r\n..\r\n"]


def test_w12_second_message_in_the_same_segment(client, sink):
    client.envelope()
    client.ask(b"DATA")
    before = sink.names()
    client.send(b"S: 1\r\n\r\n1\r\n.\r\nMAIL FROM:<a@client.test>\r\nRCPT TO:<b@mx.test>\r\nDATA\r\n")
    assert client.codes(4) == [250, 250, 250, 354]
    client.send(b"S: 2\r\n\r\n2\r\n.\r\nQUIT\r\n")
    assert client.codes(2) == [250, 221]
    assert stored(sink, before) == [b"S: 1\r\n\r\n1\r\n", b"S: 2\r\n\r\n2\r\n"]


# ---- TLS, pipelining (W23-W38) -----------------------------------------------------------------

def test_w23_w24_starttls_is_off(client):
    assert b"STARTTLS" not in client.hello()
    assert client.ask(b"STARTTLS").startswith(b"502 5.5.1")


@pytest.mark.parametrize("early", [True, False])
def test_w27_client_hello(proxy, early):
    with proxy.client(banner=not early) as client:
        client.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc")
        answers = client.reply(), client.reply()
        assert b"501" in answers[0][:3] + answers[1][:3]
        assert client.reply() == b""


@pytest.mark.parametrize("early, answers", [(b"EHLO x\r\n", [b"554 5.5.0", b""]),
                                            (b"x", [b"554 5.5.0", b""])])
def test_w33_input_before_the_greeting(proxy, early, answers):
    """The worker is held until the client has spoken, so that it surely spoke first."""
    pid = proxy.control("status")["workers"][0]["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        client = proxy.client(banner=False)
        client.send(early)
    finally:
        os.kill(pid, signal.SIGCONT)
    with client:
        assert [client.reply()[:9] for _ in answers] == answers


def test_w36_no_354_without_a_recipient(client, sink):
    """The lone dot that a pipelining client may have to send ends nothing here."""
    client.hello()
    before = sink.names()
    client.send(b"MAIL FROM:<a@x>\r\nRCPT TO:<nobody@mx.test>\r\nDATA\r\n")
    assert client.codes(3) == [250, 550, 554]
    assert not client.ask(b".").startswith(b"250")
    assert sink.names() == before


def test_w49_421_and_521_close(tmp_path):
    """Whoever said it, but a backend's 421 is a 451 (W76) and closes nothing."""
    with Script(MAIL=b"421 4.3.2 going\r\n") as backend, Proxy(tmp_path, backend.address) as proxy:
        with proxy.client() as client:
            assert client.ask(b"BDAT 3").startswith(b"521") and client.reply() == b""
        with proxy.client() as client:
            assert client.envelope().startswith(b"451 4.3.2")
            assert client.ask(b"NOOP").startswith(b"250")


@pytest.mark.parametrize("verb", [b"EHLO x", b"HELO x", b"DATA", b"NOOP", b"VRFY a"])
def test_w31_unauthorised_pipelining(client, verb):
    client.envelope()
    client.send(verb + b"\r\nNOOP\r\n")
    assert client.reply().startswith(b"554 5.5.0")
    assert client.reply() == b""


def test_w31_input_after_quit_is_dropped(client):
    client.hello()
    client.send(b"QUIT\r\nMAIL FROM:<a@b>\r\n")
    assert client.reply().startswith(b"221 2.0.0")
    assert client.reply() == b""


def test_w32_helo_may_not_pipeline(client):
    client.ask(b"HELO x")
    client.send(b"MAIL FROM:<a@x>\r\nRCPT TO:<b@mx.test>\r\n")
    assert client.reply().startswith(b"554 5.5.0")
    assert client.reply() == b""


def test_w34_group_is_answered_in_one_write(client):
    client.hello()
    client.send(b"MAIL FROM:<a@x>\r\nRCPT TO:<b@mx.test>\r\nRCPT TO:<nobody@mx.test>\r\n"
                b"RCPT TO:<c@mx.test>\r\nDATA\r\n")
    octets = client.socket.recv(65536)
    assert [line[:3] for line in octets.split(b"\r\n")[:-1]] == [b"250", b"250", b"550", b"250",
                                                                b"354"]


def test_w34_replies_do_not_wait_for_a_slow_backend(tmp_path):
    with Sink(tmp_path / "mail", "--slow", "1500") as slow, \
            Proxy(tmp_path / "p", slow.address) as proxy, proxy.client() as client:
        client.hello()
        begun = time.monotonic()
        client.send(b"MAIL FROM:<a@x>\r\nRCPT TO:<b@mx.test>\r\n")
        assert client.reply().startswith(b"250")
        assert time.monotonic() - begun < 3.5
        assert client.reply().startswith(b"250")


def test_w35_data_without_recipients(client):
    client.hello()
    assert client.ask(b"DATA").startswith(b"503 5.5.1")
    client.ask(b"MAIL FROM:<a@x>")
    assert client.ask(b"DATA").startswith(b"554 5.5.1")
    assert client.ask(b"RCPT TO:<nobody@mx.test>").startswith(b"550 5.1.1")
    assert client.ask(b"DATA").startswith(b"554 5.5.1")


# ---- limits and replies (W40-W59) --------------------------------------------------------------

@pytest.mark.parametrize("line, answer", [
    (b"XYZZY", b"500 5.5.2"),
    (b"", b"500 5.5.2"),
    (b"NOOP \xff", b"500 5.5.2"),
    (b"MAIL FROM:<a@x>", b"250 2.1.0"),
    (b"mail from:<a@x>", b"250 2.1.0"),
    (b"MAIL FROM:<>", b"250 2.1.0"),
    (b"MAIL FROM:<a@x> SIZE=100 BODY=8BITMIME", b"250 2.1.0"),
    (b"MAIL FROM:<a@x> SIZE=200001", b"552 5.3.4"),
    (b"MAIL FROM:<a@x> SIZE=1e3", b"501 5.5.4"),
    (b"MAIL FROM:<a@x> SIZE", b"501 5.5.4"),
    (b"MAIL FROM:<a@x> SIZE=", b"501 5.5.4"),
    (b"MAIL FROM:<a@x> SIZE=0", b"250 2.1.0"),
    (b"MAIL FROM:<a@x> SIZE=99999999999999999999", b"552 5.3.4"),
    (b"MAIL FROM:<a@x> SIZE=000000000000000000001", b"501 5.5.4"),
    (b"MAIL FROM:<a@x> SIZE=1 size=1", b"501 5.5.4"),
    (b"MAIL FROM:<a@x> BODY", b"501 5.5.4"),
    (b"MAIL FROM:<a@x> body=7bit", b"250 2.1.0"),
    (b"MAIL FROM:<a@x> BODY=BINARYMIME", b"501 5.5.4"),
    (b"MAIL FROM:<a@x> BODY=7BIT BODY=8BITMIME", b"501 5.5.4"),
    (b"MAIL FROM:<a@x> SMTPUTF8=1", b"501 5.5.4"),
    (b"MAIL FROM:<a@x> SMTPUTF8 SMTPUTF8", b"501 5.5.4"),
    (b"MAIL FROM:<a@x> ORCPT=rfc822;b@x", b"555 5.5.4"),
    (b"MAIL FROM:<a@x> RET", b"501 5.5.4"),
    (b"MAIL FROM:<a@x> RET=FULL RET=FULL", b"501 5.5.4"),
    (b"MAIL FROM:<a@x> ENVID=" + b"x" * 100, b"250 2.1.0"),
    (b"MAIL FROM:<a@x> ENVID=" + b"x" * 101, b"501 5.5.4"),
    (b"MAIL FROM:<a@x> =x", b"501 5.5.4"),
    (b"MAIL FROM:<a@x>SIZE=5", b"501 5."),
    (b"MAIL FROM:<a@x> BODY=9BIT", b"501 5.5.4"),
    (b"MAIL FROM:<a@x> FOO=bar", b"555 5.5.4"),
    (b"MAIL FROM:<a@x> AUTH=<>", b"555 5.5.4"),
    (b"MAIL FROM:<a@x> NOTIFY=NEVER", b"555 5.5.4"),
    (b"MAIL FROM:<a@x> RET=HDRS ENVID=a+2Bb", b"250 2.1.0"),
    (b"MAIL FROM:<a@x> ENVID=a+00b", b"501 5.5.4"),
    (b"MAIL FROM:<a@x> RET=ALL", b"501 5.5.4"),
    (b"MAIL FROM:<\xc3\xbc@x>", b"553 5.6.7"),
    (b"MAIL FROM:<\xc3\xbc@x> SMTPUTF8", b"250 2.1.0"),
    (b"MAIL FROM:<@r1,@r2:a@x>", b"250 2.1.0"),
    (b"MAIL FROM:<a@x", b"501 5.1.7"),
    (b"MAIL FROM: <a@x>", b"501 5."),
    (b"MAIL", b"501 5.5.4"),
    (b"MAIL FROM:<" + b"a" * 300 + b"@x>", b"501 5.1.7"),
    (b"MAIL FROM:<" + b"a" * 100 + b"@x>", b"250 2.1.0"),
    (b"RCPT TO:<a@x>", b"503 5.5.1"),
    (b"DATA", b"503 5.5.1"),
    (b"DATA x", b"501 5.5.4"),
    (b"RSET x", b"501 5.5.4"),
    (b"QUIT x", b"501 5.5.4"),
    (b"RSET", b"250 2.0.0"),
    (b"NOOP x", b"250 2.0.0"),
    (b"HELP x", b"214 2.0.0"),
    (b"VRFY a", b"252 2."),
    (b"VRFY", b"501 5.5.4"),
    (b"VRFY \xc3\xbc", b"553 5.6.7"),
    (b"VRFY \xc3\xbc SMTPUTF8", b"252 2."),
    (b"VRFY a SMTPUTF8", b"252 2."),
    (b"VRFY SMTPUTF8", b"252 2."),
    (b"EXPN a", b"502 5.5.1"),
    (b"EHLO", b"501 5.5.4"),
    (b"EHLO a b", b"501 5.5.4"),
])
def test_w09_w40_w43_w44_w46_w58_w59_replies(client, line, answer):
    client.hello()
    assert client.ask(line).startswith(answer)


@pytest.mark.parametrize("line, answer", [
    (b"RCPT TO:<postmaster>", b"250 2."),
    (b"RCPT TO:<b@mx.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b@mx.test", b"250 2."),
    (b"RCPT TO:<b@mx.test> NOTIFY=NEVER,DELAY", b"501 5.5.4"),
    (b"RCPT TO:<b@mx.test> NOTIFY=", b"501 5.5.4"),
    (b"RCPT TO:<b@mx.test> NOTIFY", b"501 5.5.4"),
    (b"RCPT TO:<b@mx.test> NOTIFY=DELAY,DELAY", b"501 5.5.4"),
    (b"RCPT TO:<b@mx.test> NOTIFY=NEVER NOTIFY=NEVER", b"501 5.5.4"),
    (b"RCPT TO:<b@mx.test> ORCPT=rfc822;" + b"x" * 493, b"250 2."),
    (b"RCPT TO:<b@mx.test> ORCPT=rfc822;" + b"x" * 494, b"501 5.5.4"),
    (b"RCPT TO:<b@mx.test> ORCPT=rfc822;a+0D+0Ab", b"501 5.5.4"),
    (b"RCPT TO:<b@mx.test> ORCPT=utf-8;\xc3\xbc@x", b"501 5.5.4"),
    (b"RCPT TO:<b@mx.test> RET=FULL", b"555 5.5.4"),
    (b"RCPT TO:<b@mx.test> BODY=7BIT", b"555 5.5.4"),
    (b"RCPT TO:<b@mx.test> SMTPUTF8", b"555 5.5.4"),
    (b"RCPT TO:<b@mx.test> SIZE=5", b"555 5.5.4"),
    (b"RCPT TO:<>", b"501 5.1.3"),
    (b"RCPT TO:<b@@mx.test>", b"501 5.1.3"),
    (b"RCPT TO:<nobody@mx.test>", b"550 5.1.1"),
    (b"MAIL FROM:<c@x>", b"503 5.5.1"),
])
def test_w44_w59_recipients(client, line, answer):
    client.hello()
    client.ask(b"MAIL FROM:<a@x>")
    assert client.ask(line).startswith(answer)


@pytest.mark.parametrize("line", [b"GET / HTTP/1.1", b"POST / HTTP/1.1", b"CONNECT x:25 HTTP/1.1",
                                  b"Subject: hello", b"Received: from x", b"\x01\x02", b"5 x"])
def test_w41_no_smtp(client, line):
    client.hello()
    assert client.ask(line).startswith(b"221 2.7.0")
    assert client.reply() == b""


def test_w42_long_command(client):
    client.hello()
    client.send(b"NOOP " + b"x" * 10000 + b"\r\nNOOP\r\n")
    assert client.reply().startswith(b"500 5.5.2")
    assert client.reply().startswith(b"250")
    longest = b"VRFY " + b"x" * (2048 - 7)
    assert client.ask(longest).startswith(b"252")
    assert client.ask(longest + b"x").startswith(b"500 5.5.2")


def test_w42_endless_command(client):
    client.hello()
    client.send(b"NOOP " + b"x" * 200000)
    assert client.reply().startswith(b"500 5.5.2")
    assert client.reply().startswith(b"421 4.7.0")
    assert client.reply() == b""


def test_w45_too_many_recipients(client, sink):
    client.hello()
    client.ask(b"MAIL FROM:<a@x>")
    client.send(b"".join(b"RCPT TO:<r%d@mx.test>\r\n" % i for i in range(105)))
    answers = client.replies(105)
    assert all(a.startswith(b"250") for a in answers[:100])
    assert all(a.startswith(b"452 4.5.3") for a in answers[100:])
    before = sink.names()
    assert client.data().startswith(b"250")
    fresh = [m for m in sink.messages() if m.name not in before]
    assert len(fresh) == 1 and len(fresh[0].recipients) == 100


def test_w47_errors(sink, tmp_path):
    with Proxy(tmp_path, sink.address, limits={"errors_soft": 2, "errors_hard": 4},
               timeouts={"soft_error_ms": 200}) as proxy, proxy.client() as client:
        client.hello()
        client.ask(b"X1")
        begun = time.monotonic()
        client.ask(b"X2")
        client.ask(b"X3")
        assert time.monotonic() - begun > 0.35
        assert client.ask(b"X4").startswith(b"500")
        assert client.reply().startswith(b"421 4.7.0")
        assert client.reply() == b""


def test_w47_few_errors_delay_nothing(sink, tmp_path):
    """A delay would be longer than this client waits."""
    with Proxy(tmp_path, sink.address, limits={"errors_soft": 2, "errors_hard": 4},
               timeouts={"soft_error_ms": 60000}) as proxy, proxy.client() as client:
        client.hello()
        assert client.ask(b"X1").startswith(b"500")


def test_w47_delivery_forgives(sink, tmp_path):
    with Proxy(tmp_path, sink.address, limits={"errors_soft": 3, "errors_hard": 3}) as proxy, \
            proxy.client() as client:
        client.hello()
        for _ in range(3):
            client.ask(b"X1")
            client.ask(b"X2")
            assert client.message().startswith(b"250")


def test_w48_junk(sink, tmp_path):
    with Proxy(tmp_path, sink.address,
               limits={"errors_soft": 3, "errors_hard": 3, "junk_commands": 5}) as proxy, \
            proxy.client() as client:
        client.hello()
        for _ in range(8):
            assert client.ask(b"NOOP").startswith(b"250")
        assert client.reply().startswith(b"421 4.7.0")


def test_w51_too_many_sessions(sink, tmp_path):
    with Proxy(tmp_path, sink.address, limits={"sessions": 3, "sessions_per_client": 2}) as proxy:
        with proxy.client() as a, proxy.client() as b:
            assert a.banner.startswith(b"220") and b.banner.startswith(b"220")
            with proxy.client() as c:
                assert c.banner.startswith(b"421 4.7.0")
        proxy.wait_for_log("session_end", 2)
        with proxy.client() as d:
            assert d.banner.startswith(b"220")


def test_w51_timeout(sink, tmp_path):
    with Proxy(tmp_path, sink.address, timeouts={"command_s": 1}) as proxy, \
            proxy.client() as client:
        assert client.reply().startswith(b"421 4.4.2")
        assert client.reply() == b""


def test_w52_w53_enhanced_codes(client):
    assert re.fullmatch(rb"220 mx\.test .*", client.banner)
    assert all(re.fullmatch(rb"250[- ][A-Z0-9a-z.= ]+", line) and b"2.0.0" not in line
               for line in client.hello().split(b"\r\n"))
    for line in (b"NOOP", b"MAIL FROM:<a@x>", b"RCPT TO:<b@mx.test>", b"X", b"RSET"):
        answer = client.ask(line)
        assert re.match(rb"([245])\d\d \1\.\d\.\d ", answer), answer


def test_w56_slow_drip(sink, tmp_path):
    """Each octet is within the timeout, the whole is not."""
    with Proxy(tmp_path, sink.address,
               timeouts={"command_s": 2, "data_s": 2, "min_data_rate": 1000}) as proxy:
        with proxy.client() as client:
            begun = time.monotonic()
            with pytest.raises((BrokenPipeError, ConnectionResetError)):
                for _ in range(100):
                    client.send(b"N")
                    time.sleep(0.2)
            assert time.monotonic() - begun < 8
        with proxy.client() as client:
            client.envelope()
            client.ask(b"DATA")
            begun = time.monotonic()
            with pytest.raises((BrokenPipeError, ConnectionResetError)):
                for _ in range(100):
                    client.send(b"x")
                    time.sleep(0.2)
            assert time.monotonic() - begun < 8


def test_w58_no_helo(client):
    assert client.ask(b"MAIL FROM:<a@x>").startswith(b"503 5.5.1")
    assert client.ask(b"NOOP").startswith(b"250")


# ---- transaction state (W70-W75) ---------------------------------------------------------------

def nothing_left(client):
    assert client.ask(b"RCPT TO:<b@mx.test>").startswith(b"503 5.5.1")
    assert client.ask(b"DATA").startswith(b"503 5.5.1")


@pytest.mark.parametrize("content, answer", [
    (b"S: x\r\n\r\nx\r\n", b"250"),
    (b"S: x\r\n\r\n" + b"x" * 500 + b"\r\n" * 100000, b"552 5.3.4"),
    (b"Received: x\r\n" * 51 + b"\r\n", b"554 5.4.6"),
    (b"S: " + b"x" * 150000 + b"\r\n\r\nx\r\n", b"552 5.3.4"),
])
def test_w70_nothing_is_left(client, sink, content, answer):
    client.envelope()
    before = sink.names()
    assert client.data(content).startswith(answer)
    assert len(sink.names()) - len(before) == (1 if answer == b"250" else 0)
    nothing_left(client)
    assert client.message().startswith(b"250")


def test_w71_errors_leave_the_transaction_whole(client):
    client.envelope()
    for line in (b"VRFY", b"X", b"RCPT TO:<>", b"MAIL FROM:<z@x>", b"DATA x", b"NOOP"):
        client.ask(line)
    assert client.data().startswith(b"250")


def test_w72_ehlo_resets(client):
    client.envelope()
    client.hello()
    nothing_left(client)
    assert client.message().startswith(b"250")


def test_w72_rset(client):
    client.envelope()
    assert client.ask(b"RSET").startswith(b"250")
    nothing_left(client)
    assert client.message().startswith(b"250")


def test_w75_size_counts_our_field(client):
    """200000 octets of content and our own Received are more than the limit."""
    client.envelope()
    assert client.data(b"S: x\r\n\r\n" + b"x" * 199988 + b"\r\n").startswith(b"552 5.3.4")


# ---- content -----------------------------------------------------------------------------------

@pytest.mark.parametrize("content", [
    b"",
    b"\r\n",
    b"Subject: only\r\n",
    b"Subject: x\r\n\r\n",
    b"Subject : obsolete\r\n folded\r\n\tmore\r\n\r\nb\r\n",
    b"Subject: x\r\n \r\n\r\nb\r\n",
    b"Subject: x\r\n\r\n" + bytes(c for c in range(256) if c not in b"\r\n") + b"\r\n",
    b"".join(b"F%d: %d\r\n" % (i, i) for i in range(5000)) + b"\r\nb\r\n",
    b"Subject: " + b"x" * 90000 + b"\r\n\r\nb\r\n",
    b"S: x\r\n\r\n" + b"x" * 150000 + b"\r\n",
    b"S: x\r\n\r\n" + b".\r\n" * 30000,
], ids=range(11))
def test_content_is_kept(client, sink, content):
    client.envelope()
    before = sink.names()
    assert client.data(content).startswith(b"250")
    assert stored(sink, before) == [content]


@pytest.mark.parametrize("header, rest", [
    (b"", b" blank\r\nSubject: x\r\n\r\nb\r\n"),
    (b"", b"body without header\r\n"),
    (b"", b"From x Mon\r\nX-Spam-Flag: NO\r\n\r\nb\r\n"),
    (b"Subject: x\r\n", b"no field\r\nX-Spam-Flag: NO\r\n\r\nb\r\n"),
    (b"Subject: x\r\n", b": no name\r\nX-Spam-Flag: NO\r\n\r\nb\r\n"),
], ids=range(5))
def test_a_line_that_is_no_field_ends_the_header_for_all_readers(client, sink, header, rest):
    """What filters took for body must not be header fields to the next hop; nor may it join our own field."""
    client.envelope()
    before = sink.names()
    assert client.data(header + rest).startswith(b"250")
    assert stored(sink, before) == [header + b"\r\n" + rest]


def test_content_split_at_every_octet(proxy, sink):
    content = b"Subject: x\r\n y\r\nTo: z\r\n\r\n..b\r\n.\r\n"
    for cut in range(len(content)):
        with proxy.client() as client:
            client.envelope()
            client.ask(b"DATA")
            before = sink.names()
            client.send(content[:cut])
            time.sleep(0.001)
            client.send(content[cut:])
            assert client.reply().startswith(b"250")
            assert stored(sink, before) == [b"Subject: x\r\n y\r\nTo: z\r\n\r\n.b\r\n"]


def test_spool_goes_to_a_file(sink, tmp_path):
    with Proxy(tmp_path, sink.address, spool={"memory_bytes": 1000}) as proxy, \
            proxy.client() as client:
        content = b"S: x\r\n\r\n" + b"".join(b"%d\r\n" % i for i in range(300000))
        client.envelope()
        before = sink.names()
        assert client.data(content).startswith(b"250")
        assert stored(sink, before) == [content]
        assert set(os.listdir(tmp_path)) <= {"weir.json", "proxy.log", "proxy.ctl"}


def test_spool_cannot_be_written(sink, tmp_path):
    with Proxy(tmp_path, sink.address,
               spool={"memory_bytes": 1000, "directory": "/proc/nowhere"}) as proxy, \
            proxy.client() as client:
        client.envelope()
        before = sink.names()
        assert client.data(b"S: x\r\n\r\n" + b"x\r\n" * 10000).startswith(b"452 4.3.1")
        assert sink.names() == before
        nothing_left(client)
        assert client.message().startswith(b"250")


def test_spool_disk_full(sink, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "weir", disk],
                      capture_output=True, check=False).returncode != 0:
        pytest.skip("may not mount")
    try:
        with Proxy(tmp_path / "p", sink.address,
                   spool={"memory_bytes": 1000, "directory": str(disk)}) as proxy, \
                proxy.client() as client:
            client.envelope()
            before = sink.names()
            assert client.data(b"S: x\r\n\r\n" + b"x\r\n" * 100000).startswith(b"452 4.3.1")
            assert sink.names() == before
            nothing_left(client)
            assert client.message().startswith(b"250")
    finally:
        subprocess.run(["umount", disk], check=True)


def test_client_that_never_reads(sink, tmp_path):
    """Replies that nobody reads do not pile up: the client is not read either."""
    with Proxy(tmp_path, sink.address, limits={"junk_commands": 1000000}) as proxy, \
            proxy.client() as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.hello()
        client.socket.settimeout(1)
        with pytest.raises(TimeoutError):
            for _ in range(8000):
                client.send(b"HELP\r\n" * 1000)
        with proxy.client() as other:
            assert other.ask(b"NOOP").startswith(b"250")


def test_w102_received(proxy, sink):
    with proxy.client() as client:
        client.ask(b"EHLO we(ird)\\name")
        before = sink.names()
        client.message()
        content = [m for m in sink.messages() if m.name not in before][0].content
        assert content.startswith(b"Received: from we?ird??name ([127.0.0.1])\r\n\tby mx.test "
                                  b"(Weir) with ESMTP id ")
        assert b"\r\n\tfor <b@mx.test>; " in content
    with proxy.client() as client:
        client.ask(b"HELO x")
        before = sink.names()
        client.message(recipients=(b"b@mx.test", b"c@mx.test"))
        content = [m for m in sink.messages() if m.name not in before][0].content
        assert b" with SMTP id " in content and b"\tfor <" not in content


def test_w103_loop(client, sink):
    client.hello()
    before = sink.names()
    field = b"Received: from a by b; Wed, 1 Jan 2025 00:00:00 +0000\r\n"
    assert client.message(field * 51 + b"\r\nx\r\n").startswith(b"554 5.4.6")
    assert client.message(field * 50 + b"\r\nx\r\n").startswith(b"250")
    assert len(sink.names()) == len(before) + 1


def test_w102_received_off(sink, tmp_path):
    with Proxy(tmp_path, sink.address, received=False) as proxy, proxy.client() as client:
        client.envelope()
        before = sink.names()
        client.data(b"S: x\r\n\r\nb\r\n")
        assert [m.content for m in sink.messages() if m.name not in before] == [
            b"S: x\r\n\r\nb\r\n"]


# ---- clients that go away ----------------------------------------------------------------------

@pytest.mark.parametrize("script", [
    [], [b"EHLO x"], [b"EHLO x", b"MAIL FROM:<a@x>"],
    [b"EHLO x", b"MAIL FROM:<a@x>", b"RCPT TO:<b@mx.test>"],
    [b"EHLO x", b"MAIL FROM:<a@x>", b"RCPT TO:<b@mx.test>", b"DATA"],
])
@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("tail", [b"", b"MAI", b"S: x\r\n\r\nhalf"])
def test_w88_client_vanishes(proxy, sink, script, reset, tail):
    before = sink.names()
    ended = len(re.findall("session_end", proxy.log))
    with proxy.client() as client:
        for line in script:
            client.ask(line)
        client.send(tail)
        if reset:
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                     b"\x01\0\0\0\0\0\0\0")
    proxy.wait_for_log("session_end", ended + 1)
    assert sink.names() == before


def test_half_closed_after_quit_is_orderly(proxy, sink):
    with proxy.client() as client:
        client.envelope()
        client.ask(b"DATA")
        before = sink.names()
        client.send(b"S: x\r\n\r\nb\r\n.\r\nQUIT\r\n")
        client.socket.shutdown(socket.SHUT_WR)
        assert client.codes(2) == [250, 221]
        assert len(sink.names()) == len(before) + 1


def test_w114_health_check_is_quiet(sink, tmp_path):
    with Proxy(tmp_path, sink.address, log={"level": "info"}, limits={"sessions": 100}) as proxy:
        for _ in range(3):
            with proxy.client():
                pass
            with proxy.client() as client:
                client.ask(b"QUIT")
        proxy.stop()
        assert [line for line in proxy.log.splitlines()
                if not re.search("listening|stopping|stopped", line)] == []


# ---- the daemon --------------------------------------------------------------------------------

def test_check_option(tmp_path):
    good = tmp_path / "good.json"
    good.write_text(json.dumps({"proxy": {"hostname": "x"}}))
    bad = tmp_path / "bad.json"
    bad.write_text('{"proxy": {"hostnam": "x"},\n "milterd": {"sessions": "many"}}')
    run = subprocess.run([program("weir-proxy"), "-c", good, "-t"], capture_output=True, check=False)
    assert run.returncode == 0 and run.stdout.count(b"\n") == 1
    run = subprocess.run([program("weir-proxy"), "-c", bad, "-t"], capture_output=True, check=False)
    assert run.returncode == 2
    assert b"hostname" in run.stderr and b"bad.json:2:" in run.stderr


def test_port_in_use(sink, tmp_path):
    (tmp_path / "w.json").write_text(json.dumps({"proxy": {
        "listen": [{"address": sink.address}], "user": "", "control": "unix:c"}}))
    run = subprocess.run([program("weir-proxy"), "-c", tmp_path / "w.json", "-f"],
                         capture_output=True, check=False, timeout=20)
    assert run.returncode == 1 and b"in use" in run.stderr


def test_status(proxy):
    with proxy.client() as client:
        client.hello()
        client.message()
        status = proxy.control("status")
        assert status["ok"] and status["program"] == "weir-proxy" and len(status["workers"]) == 1
        assert status["sessions"] >= 1 and status["messages"] >= 1
        assert proxy.control("nonsense")["ok"] is False


def test_w51_stop_is_graceful(sink, tmp_path):
    """Idle sessions get 421; one in a transaction may finish it first."""
    with Proxy(tmp_path, sink.address) as proxy, proxy.client() as idle, proxy.client() as busy:
        idle.hello()
        busy.envelope()
        busy.ask(b"DATA")
        proxy.process.send_signal(signal.SIGTERM)
        assert idle.reply().startswith(b"421 4.3.2")
        assert idle.reply() == b""
        before = sink.names()
        busy.send(b"S: x\r\n\r\nb\r\n.\r\n")
        assert busy.reply().startswith(b"250")
        assert busy.reply().startswith(b"421 4.3.2")
        assert len(sink.names()) == len(before) + 1
        assert proxy.stop() == 0


def test_stop_has_a_deadline(sink, tmp_path):
    with Proxy(tmp_path, sink.address, timeouts={"drain_s": 1}) as proxy, \
            proxy.client() as client:
        client.envelope()
        begun = time.monotonic()
        assert proxy.stop() == 0
        assert time.monotonic() - begun < 5
        assert client.reply().startswith(b"421 4.3.2")


def test_reload(sink, tmp_path):
    with Proxy(tmp_path, sink.address) as proxy, proxy.client() as old:
        old.envelope()
        proxy.write(hostname="new.test")
        assert proxy.control("reload") == {"ok": True, "workers": 1}
        with proxy.client() as new:
            assert new.banner.startswith(b"220 new.test")
        assert old.data().startswith(b"250")
        assert old.ask(b"QUIT").startswith(b"221")
        deadline = time.monotonic() + 20
        while len(proxy.control("status")["workers"]) != 1:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        proxy.write(hostname="x" * 300)
        answer = proxy.control("reload")
        assert answer["ok"] is False and "hostname" in answer["findings"][0]
        with proxy.client() as new:
            assert new.banner.startswith(b"220 new.test")


def test_reload_by_signal_and_log_rotation(sink, tmp_path):
    with Proxy(tmp_path, sink.address) as proxy:
        os.rename(proxy.log_path, proxy.log_path + ".1")
        proxy.write(hostname="new.test")
        proxy.process.send_signal(signal.SIGHUP)
        proxy.wait_for_log("reload result=done")
        with proxy.client() as client:
            assert client.banner.startswith(b"220 new.test")


def test_reload_with_more_and_fewer_workers_and_another_port(sink, tmp_path):
    with Proxy(tmp_path, sink.address) as proxy:
        for workers in (3, 1, 2):
            proxy.write(workers=workers)
            assert proxy.control("reload") == {"ok": True, "workers": workers}
            for _ in range(10):
                with proxy.client() as client:
                    client.hello()
                    assert client.message().startswith(b"250")
        proxy.write(listen=[{"address": "127.0.0.1:0"}, {"address": "127.0.0.2:0"}])
        assert proxy.control("reload")["ok"]
        second = proxy.wait_for_log(r"listening address=127.0.0.2:(\d+)").group(1)
        with socket.create_connection(("127.0.0.2", int(second)), 10) as s:
            assert s.recv(1000).startswith(b"220")


def test_no_connection_is_lost_in_a_reload(sink, tmp_path):
    with Proxy(tmp_path, sink.address, workers=2,
               limits={"sessions_per_client": 1000}) as proxy:
        for _ in range(5):
            clients = [proxy.client(banner=False) for _ in range(20)]
            assert proxy.control("reload")["ok"]
            clients += [proxy.client(banner=False) for _ in range(20)]
            for client in clients:
                assert client.reply().startswith(b"220")
                client.close()


def test_goes_into_the_background(sink, tmp_path):
    with Proxy(tmp_path, sink.address) as proxy:
        proxy.stop()
        run = subprocess.run([program("weir-proxy"), "-c", proxy.config], cwd="/", timeout=20,
                             capture_output=True, check=False)
        assert run.returncode == 0 and run.stderr == b""
        pid = None
        deadline = time.monotonic() + 20
        while pid is None:
            try:
                pid = proxy.control("status")["pid"]
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.01)
        os.kill(pid, signal.SIGTERM)
        while os.path.exists(os.path.join(proxy.folder, "proxy.ctl")):
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another")
def test_privileges_are_dropped(sink, tmp_path):
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == 0 and folder != folder.parent and "pytest" in str(folder):
            folder.chmod(0o755)
    home = tmp_path / "home"
    home.mkdir()
    os.chmod(home, 0o777)
    with Proxy(home, sink.address, user="nobody") as proxy:
        pids = [proxy.process.pid, proxy.control("status")["workers"][0]["pid"]]
        for pid in pids:
            with open(f"/proc/{pid}/status", encoding="ascii") as file:
                uids = re.search(r"Uid:\s+(\d+)\s+(\d+)\s+(\d+)", file.read()).groups()
            assert "0" not in uids
        assert proxy.control("reload")["ok"]
        with proxy.client() as client:
            client.hello()
            assert client.message().startswith(b"250")


def test_worker_death_costs_its_sessions_only(sink, tmp_path):
    with Proxy(tmp_path, sink.address, workers=2, limits={"sessions_per_client": 4}) as proxy:
        clients = [proxy.client() for _ in range(4)]
        for worker in proxy.control("status")["workers"]:
            os.kill(worker["pid"], signal.SIGKILL)
        proxy.wait_for_log("worker_died", 2)
        deadline = time.monotonic() + 20
        while len(proxy.control("status")["workers"]) != 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        status = proxy.control("status")
        assert status["sessions"] == 0 and status["restarts"] == 2
        for client in clients:
            assert client.reply() == b""
            client.close()
        with proxy.client() as client:
            client.hello()
            assert client.message().startswith(b"250")


def test_killed_master_takes_its_workers_along(sink, tmp_path):
    proxy = Proxy(tmp_path, sink.address, workers=2)
    pids = [w["pid"] for w in proxy.control("status")["workers"]]
    proxy.process.kill()
    proxy.process.wait()
    proxy.process.stderr.close()
    deadline = time.monotonic() + 20
    while any(os.path.exists(f"/proc/{pid}/fd/0") for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_several_workers_share_the_port(sink, tmp_path):
    with Proxy(tmp_path, sink.address, workers=4) as proxy:
        for _ in range(20):
            with proxy.client() as client:
                client.hello()
                assert client.message().startswith(b"250")
        assert proxy.control("status")["messages"] == 20
