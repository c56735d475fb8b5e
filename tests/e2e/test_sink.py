"""`weir sink` itself: what it stores is what was sent, and its faults are what they say."""

import concurrent.futures
import os
import signal
import smtplib
import socket
import subprocess
import time

import pytest

from sinklib import Sink, program

ODD = (b"Subject: odd\r\n\r\n.\r\n..\r\n.x\r\n\x00\x01\xff\xfe gr\xfc\xdfe\r\n"
       + b"x" * 5000 + b"\r\n\r\n \r\n.\r\n")


class Wire:
    """Octets to a server and back, with a deadline."""

    def __init__(self, sink):
        self.socket = socket.create_connection((sink.host, sink.port), 20)
        self.file = self.socket.makefile("rb")

    def send(self, octets):
        self.socket.sendall(octets)

    def reply(self):
        """One whole reply, or b"" at the end of the connection."""
        lines = []
        while True:
            lines.append(self.file.readline())
            if lines[-1][3:4] != b"-":
                return b"".join(lines)

    def ask(self, octets):
        self.send(octets)
        return self.reply()

    def transaction(self, rcpt=b"b@example.org"):
        assert self.reply().startswith(b"220 ")
        assert self.ask(b"EHLO client.example\r\n").startswith(b"250-")
        assert self.ask(b"MAIL FROM:<a@example.org>\r\n").startswith(b"250 2.1.0 ")
        return self.ask(b"RCPT TO:<" + rcpt + b">\r\n")

    def close(self):
        self.file.close()
        self.socket.close()


@pytest.fixture
def wire():
    opened = []

    def connect(sink):
        opened.append(Wire(sink))
        return opened[-1]

    yield connect
    for each in opened:
        each.close()


def stuffed(content):
    return b"".join(b"." + line if line.startswith(b".") else line
                    for line in content.splitlines(True)) + b".\r\n"


def send_odd(port, host="127.0.0.1", rcpts=("b@example.org",)):
    with smtplib.SMTP(host, port, timeout=20) as client:
        client.ehlo("client.example")
        client.mail("a@example.org", ["BODY=8BITMIME"])
        for rcpt in rcpts:
            assert client.rcpt(rcpt)[0] == 250
        assert client.docmd("DATA")[0] == 354
        client.send(stuffed(ODD))
        return client.getreply()


def test_stores_as_received(tmp_path):
    with Sink(tmp_path / "mail") as sink:
        code, text = send_odd(sink.port, rcpts=("b@example.org", "c@example.org"))
        assert code == 250
        message, = sink.messages()
        assert text.decode() == f"2.0.0 Stored as {message.name}"
        assert message.content == ODD
        assert message.reverse_path == "a@example.org"
        assert message.recipients == ["b@example.org", "c@example.org"]
        assert message.raw.startswith(b"Return-Path: <a@example.org>\r\nDelivered-To: b@example.org\r\n")
        assert sink.unfinished() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ends_cleanly(tmp_path, wire, number):
    with Sink(tmp_path / "mail") as sink:
        client = wire(sink)
        assert client.transaction().startswith(b"250 ")
        assert client.ask(b"DATA\r\n").startswith(b"354 ")
        client.send(b"x" * 400000)  # enough to make it open a file
        deadline = time.monotonic() + 20
        while not sink.unfinished() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(sink.unfinished()) == 1
        assert sink.stop(number) == 0
        assert sink.names() == [] and sink.unfinished() == []


def test_ends_with_sessions_that_have_something_to_say(tmp_path, wire):
    """Stopped while more clients talk than one turn of the loop looks at: nothing is left behind (a sanitizer looks)."""
    with Sink(tmp_path / "mail") as sink:
        clients = [wire(sink) for _ in range(80)]
        for client in clients:
            assert client.reply().startswith(b"220 ")
        sink.process.send_signal(signal.SIGSTOP)
        for client in clients:
            client.send(b"NOOP\r\n" * 8000)
        sink.process.send_signal(signal.SIGTERM)
        sink.process.send_signal(signal.SIGCONT)
        assert sink.stop() == 0


def test_octet_by_octet(tmp_path, wire):
    """W03: the same at any split."""
    with Sink(tmp_path / "mail") as sink:
        client = wire(sink)
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        dialogue = (b"EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<b@c>\r\nDATA\r\n"
                    b"a\r\n..\r\n\r\n.\r\nQUIT\r\n")
        for octet in dialogue:
            client.send(bytes([octet]))
        replies = client.file.read().decode()
        assert [line[:4] for line in replies.splitlines() if line[3] == " "] == [
            "220 ", "250 ", "250 ", "250 ", "354 ", "250 ", "221 "]
        message, = sink.messages()
        assert message.content == b"a\r\n.\r\n\r\n" and message.reverse_path == ""


def test_bdat(tmp_path, wire):
    """What BDAT brings is stored as it is; what cannot be stored is read and thrown away."""
    with Sink(tmp_path / "mail") as sink:
        client = wire(sink)
        client.transaction()
        client.send(b"BDAT 3\r\n.\r\nBDAT 0 LAST\r\nMAIL FROM:<a@b>\r\nRCPT TO:<b@c>\r\n"
                    b"BDAT 4 LAST\r\nx\ny\nRSET\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n")
        assert [client.reply()[:9] for _ in range(8)] == [
            b"250 2.0.0", b"250 2.0.0", b"250 2.1.0", b"250 2.1.5", b"550 5.6.0", b"250 2.0.0",
            b"503 5.5.1", b"250 2.0.0"]
        client.send(b"BDAT 6\r\nQUIT\r\nMAIL FROM:<a@b>\r\nBDAT 6 LAST\r\nQUIT\r\n"
                    b"MAIL FROM:<a@b>\r\nBDAT x\r\n")
        assert [client.reply()[:9] for _ in range(6)] == [
            b"503 5.5.1", b"503 5.5.1", b"551 5.5.0", b"250 2.1.0", b"521 5.5.4", b""]
        assert [m.content for m in sink.messages()] == [b".\r\n"]


def test_without(tmp_path, wire):
    with Sink(tmp_path / "mail", "--without", "CHUNKING,DSN") as sink:
        client = wire(sink)
        client.transaction()
        offered = client.ask(b"EHLO c\r\n")
        assert b"CHUNKING" not in offered and b"DSN" not in offered and b"SMTPUTF8" in offered
        assert client.ask(b"MAIL FROM:<a@b> RET=FULL\r\n").startswith(b"555 5.5.4")
        assert client.ask(b"BDAT 1 LAST\r\nx").startswith(b"521 5.5.4")
    assert subprocess.run([program("weir"), "sink", "--listen", "127.0.0.1:0", "--maildir",
                           str(tmp_path), "--without", "FOO"], stderr=subprocess.PIPE,
                          check=False).returncode == 64


def test_pipelining(tmp_path, wire):
    with Sink(tmp_path / "mail", "--refuse-rcpt", "no@c") as sink:
        client = wire(sink)
        assert client.reply().startswith(b"220 ")
        lines = client.ask(b"EHLO c\r\n").split(b"\r\n")
        assert {line[4:].split(b" ")[0] for line in lines[1:-1]} == {
            b"PIPELINING", b"SIZE", b"8BITMIME", b"ENHANCEDSTATUSCODES", b"SMTPUTF8", b"DSN", b"CHUNKING"}
        client.send(b"MAIL FROM:<a@b> SIZE=100 BODY=8BITMIME RET=HDRS ENVID=x\r\nRCPT TO:<No@c>\r\n"
                    b"RCPT TO:<yes@c> NOTIFY=NEVER ORCPT=rfc822;yes@c\r\nDATA\r\n")
        assert client.reply().startswith(b"250 2.1.0 ")
        assert client.reply() == b"550 5.1.1 <No@c>: no such mailbox here\r\n"
        assert client.reply().startswith(b"250 2.1.5 ")
        assert client.reply().startswith(b"354 ")
        # W12: what follows the end is commands.
        client.send(b"x\r\n.\r\nMAIL FROM:<second@b>\r\nRCPT TO:<no@c>\r\nDATA\r\nRSET\r\nQUIT\r\n")
        assert [client.reply()[:9] for _ in range(7)] == [
            b"250 2.0.0", b"250 2.1.0", b"550 5.1.1", b"554 5.5.1", b"250 2.0.0", b"221 2.0.0", b""]
        assert len(sink.messages()) == 1


def test_client_that_only_reads_on(tmp_path, wire):
    """printf ... | nc: the client shuts its side down at once and still gets every reply."""
    with Sink(tmp_path / "mail", "--slow", "5") as sink:
        client = wire(sink)
        client.send(b"EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<b@c>\r\nDATA\r\nx\r\n.\r\n")
        client.socket.shutdown(socket.SHUT_WR)
        assert [client.reply()[:4] for _ in range(7)] == [
            b"220 ", b"250-", b"250 ", b"250 ", b"354 ", b"250 ", b""]
        assert len(sink.messages()) == 1


def test_fault_in_a_group(tmp_path, wire):
    """What came before the fault is still answered."""
    with Sink(tmp_path / "mail", "--fault", "rcpt=close") as sink:
        client = wire(sink)
        client.reply()
        client.ask(b"EHLO c\r\n")
        client.send(b"MAIL FROM:<a@b>\r\nRCPT TO:<b@c>\r\nDATA\r\n")
        assert client.reply().startswith(b"250 2.1.0 ") and client.reply() == b""


@pytest.mark.parametrize("line, code", [
    (b"MAIL FROM:<a@b> SIZE=99999999999", b"552 5.3.4"),  # W44
    (b"MAIL FROM:<a@b> FOO=1", b"555 5.5.4"),
    (b"MAIL FROM:<a@b", b"501 5.1.7"),
    (b"MAIL FROM:<a@b> SIZE=x", b"501 5.5.4"),
    (b"MAIL FROM:<a@b> SIZE=1 SIZE=2", b"501 5.5.4"),
    (b"MAIL TO:<a@b>", b"501 5.5.4"),
    (b"MAIL FROM:<\xc3\xbc@b>", b"553 5.6.7"),  # W43
    (b"MAIL FROM:<\xc3\xbc@b> SMTPUTF8", b"250 2.1.0"),
    (b"RCPT TO:<a@b>", b"503 5.5.1"),
    (b"DATA", b"503 5.5.1"),
    (b"NOOP x", b"250 2.0.0"),  # W58
    (b"RSET x", b"501 5.5.4"),
    (b"rset", b"250 2.0.0"),
    (b"XYZZY", b"500 5.5.2"),  # W40
    (b"x" * 3000, b"500 5.5.2"),  # W42
    (b"NOOP\rx", b"500 5.5.2"),
    (b"NOOP\nNOOP", b"500 5.5.2"),
    (b"NOOP \x00", b"500 5.5.2"),
])
def test_commands(tmp_path, wire, line, code):
    with Sink(tmp_path / "mail") as sink:
        client = wire(sink)
        client.reply()
        client.ask(b"EHLO c\r\n")
        assert client.ask(line + b"\r\n")[:9] == code


def test_refuses_bare_line_ends(tmp_path, wire):
    """Content that would have to be changed is not stored: a proxy that leaks one is found (W07)."""
    with Sink(tmp_path / "mail") as sink:
        client = wire(sink)
        client.transaction()
        client.ask(b"DATA\r\n")
        assert client.ask(b"a\nb\r\n.\r\n").startswith(b"550 5.6.0 ")
        assert client.ask(b"RCPT TO:<b@c>\r\n").startswith(b"503 ")  # W70
        assert sink.names() == [] and sink.unfinished() == []


def test_large_message(tmp_path):
    body = b"".join(b"%070d\r\n" % n for n in range(100000))
    with Sink(tmp_path / "mail") as sink:
        with smtplib.SMTP(sink.host, sink.port, timeout=20) as client:
            client.sendmail("a@b.example", ["c@d.example"], body)
        message, = sink.messages()
        assert message.content == body


def test_many_sessions(tmp_path):
    with Sink(tmp_path / "mail") as sink:
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            replies = list(pool.map(lambda _: send_odd(sink.port)[0], range(60)))
        assert replies == [250] * 60
        assert [m.content for m in sink.messages()] == [ODD] * 60


def test_slow(tmp_path):
    with Sink(tmp_path / "mail", "--slow", "50") as sink:
        start = time.monotonic()
        assert send_odd(sink.port)[0] == 250
        assert time.monotonic() - start >= 7 * 0.050  # banner EHLO MAIL RCPT DATA dot QUIT


def test_full_maildir_is_a_tempfail(tmp_path, wire):
    with Sink(tmp_path / "mail") as sink:
        os.rmdir(tmp_path / "mail" / "new")
        assert send_odd(sink.port)[0] == 451
        assert sink.unfinished() == []


def dialogue(client):
    """Every phase's reply until something goes wrong: [(phase, reply)]."""
    body = b"Subject: x\r\n\r\n" + b"x\r\n" * 50
    steps = [("connect", b""), ("ehlo", b"EHLO c\r\n"), ("mail", b"MAIL FROM:<a@b>\r\n"),
             ("rcpt", b"RCPT TO:<b@c>\r\n"), ("data", b"DATA\r\n"), ("dot", body + b".\r\n"),
             ("quit", b"QUIT\r\n")]
    for phase, octets in steps:
        if phase == "dot":
            client.send(octets[:50])
            octets = octets[50:]
        try:
            client.send(octets)
            reply = client.reply()
        except ConnectionError:
            reply = b""
        yield phase, reply
        if not reply[:1] in (b"2", b"3"):
            return


FAULTS = [(phase, action) for phase in ("connect", "ehlo", "mail", "rcpt", "data", "dot", "quit")
          for action in ("450", "554", "421", "close", "garbage")]
FAULTS += [("body", "close"), ("body", "early-451"), ("body", "early-552"),
           ("dot", "store-then-close")]


@pytest.mark.parametrize("phase, action", FAULTS)
def test_faults(tmp_path, wire, phase, action):
    with Sink(tmp_path / "mail", "--fault", f"{phase}={action}") as sink:
        client = wire(sink)
        last, reply = list(dialogue(client))[-1]
        assert last == ("dot" if phase == "body" else phase)
        if action.endswith("close"):
            assert reply == b""
        elif action == "garbage":
            assert reply.startswith(b"\x80garbage")
        else:
            assert reply[:3].decode() == action[-3:]
        if action == "421" or action.startswith("early"):
            assert client.reply() == b""
        stored = phase == "quit" or action == "store-then-close"
        assert len(sink.names()) == stored and sink.unfinished() == []


@pytest.mark.parametrize("phase, stored", [("mail=stall", 0), ("dot=stall", 0),
                                           ("dot=store-then-stall", 1), ("body=stall", 0)])
def test_stalls(tmp_path, wire, phase, stored):
    with Sink(tmp_path / "mail", "--fault", phase) as sink:
        client = wire(sink)
        client.socket.settimeout(0.3)
        with pytest.raises(TimeoutError):
            list(dialogue(client))
        assert len(sink.names()) == stored


def test_fault_by_count(tmp_path):
    """The first two connections only: a failover test's second try."""
    with Sink(tmp_path / "mail", "--fault", "mail=451:2") as sink:
        for expected in (451, 451, 250):
            with smtplib.SMTP(sink.host, sink.port, timeout=20) as client:
                client.ehlo("c")
                assert client.mail("a@b")[0] == expected


def test_refused_banner(tmp_path, wire):
    """W50: after a 554 banner 503 to everything but QUIT."""
    with Sink(tmp_path / "mail", "--fault", "connect=554") as sink:
        client = wire(sink)
        assert client.reply().startswith(b"554 ")
        assert client.ask(b"EHLO c\r\n").startswith(b"503 ")
        assert client.ask(b"QUIT\r\n").startswith(b"221 ")


@pytest.mark.parametrize("arguments, text", [
    ([], "--listen and --maildir are needed"),
    (["--listen", "127.0.0.1:0"], "--listen and --maildir are needed"),
    (["--listen", "127.0.0.1:0", "--maildir", "m", "x"], 'what is "x"?'),
    (["--listen", "nowhere", "--maildir", "m"], "--listen"),
    (["--fault", "lunch=close"], "phase"),
    (["--fault", "mail=store-then-close"], "knows no action"),
    (["--fault", "body=450"], "knows no action"),
    (["--fault", "mail=250"], "knows no action"),
    (["--fault", "mail=450:x"], "no number of times"),
    (["--slow", "fast"], "milliseconds"),
])
def test_usage(tmp_path, arguments, text):
    done = subprocess.run([os.path.abspath(program("weir")), "sink", *arguments], cwd=tmp_path,
                          capture_output=True, text=True, timeout=20)
    assert done.returncode == 64 and text in done.stderr


def test_help():
    done = subprocess.run([program("weir"), "sink", "--help"], capture_output=True, text=True,
                          timeout=20)
    assert done.returncode == 0 and "store-then-close" in done.stdout


def test_cannot_listen(tmp_path):
    with Sink(tmp_path / "mail") as sink:
        done = subprocess.run([program("weir"), "sink", "--listen", sink.address, "--maildir",
                               tmp_path / "other"], capture_output=True, text=True, timeout=20)
        assert done.returncode == 74 and "Address already in use" in done.stderr
