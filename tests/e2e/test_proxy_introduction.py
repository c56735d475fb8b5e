"""weir-proxy tells its backends who the client is: XCLIENT, XFORWARD, PROXY (W105, W106, W107); and one id follows a message."""

import re
import socket
import struct

import pytest

import postfixlib
from authlib import plain
from proxylib import Proxy, Script
from sinklib import Sink
from test_proxy_pool import Gated, deliver, ours, wait_until

ALL = b"NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT SESSION TTL"
XCLIENT = {"EHLO": b"250-script\r\n250-PIPELINING\r\n250-XCLIENT " + ALL + b"\r\n250 8BITMIME\r\n",
           "XCLIENT": b"220 script ESMTP\r\n"}
XFORWARD = {"EHLO": b"250-script\r\n250-PIPELINING\r\n"
                    b"250-XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE\r\n250 8BITMIME\r\n"}


def proxy_to(folder, backend, method, **settings):
    return Proxy(folder, backend.address, backends={"default": {"identity": method, **settings}}).probed()


def session_id(proxy):
    return proxy.wait_for_log(r"message id=(\w+)\.1 ").group(1)


def test_w105_xclient(tmp_path):
    with Script(**XCLIENT) as backend, proxy_to(tmp_path, backend, "xclient") as proxy:
        assert deliver(proxy).startswith(b"250")
        said = ours(backend)[0]
        assert said[0] == b"EHLO mx.test"
        match = re.fullmatch(rb"XCLIENT NAME=(\S+) ADDR=127\.0\.0\.1 PORT=(\d+) DESTADDR=127\.0\.0\.1 "
                             rb"DESTPORT=(\d+) SESSION=(\w+) TTL=4 PROTO=ESMTP HELO=client\.test "
                             rb"LOGIN=\[UNAVAILABLE\]", said[1])
        assert match, said
        assert int(match[3]) == proxy.port
        assert match[4].decode() == session_id(proxy)
        # The session is the client's from then on, with its greeting too.
        assert said[2] == b"EHLO client.test"
        assert said[3].startswith(b"MAIL FROM:")
        # The probe is nobody's.
        assert not any(line.startswith(b"XCLIENT") for line in backend.lines[0])


def test_w105_only_what_the_backend_names(tmp_path):
    answers = {**XCLIENT, "EHLO": XCLIENT["EHLO"].replace(ALL, b"ADDR X-OTHER helo")}
    with Script(**answers) as backend, proxy_to(tmp_path, backend, "xclient") as proxy:
        assert deliver(proxy).startswith(b"250")
        assert ours(backend)[0][1] == b"XCLIENT ADDR=127.0.0.1 HELO=client.test"


def test_w106_xclient_for_every_client(tmp_path):
    """A kept connection is introduced to each session once, and to a new name of the same."""
    with Script(**XCLIENT) as backend, proxy_to(tmp_path, backend, "xclient") as proxy:
        with proxy.client() as one, proxy.client() as other:
            one.hello()
            assert one.message().startswith(b"250")
            assert one.message().startswith(b"250")
            other.ask(b"EHLO other.test")
            assert other.message().startswith(b"250")
            one.ask(b"HELO one.test")
            assert one.message().startswith(b"250")
        assert len(ours(backend)) == 1
        told = [line for line in ours(backend)[0] if line.startswith((b"XCLIENT", b"MAIL"))]
        names = [re.search(rb"PROTO=(\w+) HELO=(\S+)", line).groups() if line.startswith(b"X") else b"MAIL" for line in told]
        assert names == [(b"ESMTP", b"client.test"), b"MAIL", b"MAIL", (b"ESMTP", b"other.test"), b"MAIL",
                         (b"SMTP", b"one.test"), b"MAIL"]


def test_w106_a_backend_that_takes_one_client_only(tmp_path):
    """As Postfix, which allows XCLIENT by the address that it was told last: the connection stays its session's."""
    answers = {**XCLIENT, "EHLO": [XCLIENT["EHLO"]] + [XCLIENT["EHLO"], Script.DEFAULT["EHLO"]] * 9}
    with Script(**answers) as backend, proxy_to(tmp_path, backend, "xclient") as proxy:
        with proxy.client() as one, proxy.client() as other:
            one.hello()
            assert one.message().startswith(b"250")
            assert one.message().startswith(b"250")
            assert len(ours(backend)) == 1
            other.hello()
            assert other.message().startswith(b"250")
            assert len(ours(backend)) == 2
            one.ask(b"EHLO again.test")
            assert one.message().startswith(b"250")
            assert len(ours(backend)) == 3
        wait_until(lambda: all(c[-1] == b"QUIT" for c in ours(backend)))
        assert [len(re.findall(rb"XCLIENT", b"".join(c))) for c in ours(backend)] == [1, 1, 1]


def test_w82_a_kept_connection_refuses_the_next_client(tmp_path):
    for bad in (b"421 4.3.2 no more\r\n", None, b"550 5.7.0 no\r\n"):
        answers = {**XCLIENT, "XCLIENT": [b"220 ok\r\n", bad, b"220 ok\r\n"]}
        with Script(**answers) as backend, \
                proxy_to(tmp_path / str(bad)[2:5], backend, "xclient", identity_required=True) as proxy:
            assert deliver(proxy).startswith(b"250")
            assert deliver(proxy).startswith(b"250")
            assert len(ours(backend)) == 2


def test_w106_xclient_does_not_mix_with_a_reset(tmp_path):
    """While RSET is unanswered its reply would be taken for that to XCLIENT, and a refusal of XCLIENT for that to EHLO."""
    answers = {**XCLIENT, "XCLIENT": [b"220 ok\r\n", b"550 5.7.0 no\r\n", b"220 ok\r\n"]}
    with Gated("RSET", **answers) as backend, \
            proxy_to(tmp_path, backend, "xclient", identity_required=True) as proxy, proxy.client() as client:
        client.envelope()
        client.ask(b"RSET")
        client.ask(b"EHLO other.test")
        client.ask(b"MAIL FROM:<late@x>")
        client.send(b"RCPT TO:<b@x>\r\n")
        wait_until(lambda: len(ours(backend)) == 2)
        backend.gate.set()
        assert client.reply().startswith(b"451")  # this backend refuses other.test, wherever he is told of
        assert not any(b"late@x" in line for line in backend.all_lines())


def test_w105_a_client_whom_the_backend_does_not_like(tmp_path):
    """What a server says once it was told of a client is about him: it is not down for all others."""
    good = XCLIENT["EHLO"].replace(b"250 ", b"250-DSN\r\n250 ")
    no = b"421 4.7.0 he comes too often\r\n"
    for n, (kind, method, more) in enumerate((
            (Script, "xclient", {"EHLO": [good, good, b"501 5.5.4 a name?\r\n"], "HELO": b"501 5.5.4 a name?\r\n"}),
            (Script, "xclient", {"EHLO": good, "XCLIENT": no}),
            (Proxied, "proxy", {"EHLO": good, "CONNECT": [b"220 script\r\n", no]}))):
        with kind(**{**XCLIENT, **more}) as backend, proxy_to(tmp_path / str(n), backend, method) as proxy:
            with proxy.client() as client:
                assert b"DSN" in client.ask(b"EHLO !")
                client.ask(b"MAIL FROM:<a@x>")
                assert client.ask(b"RCPT TO:<b@x>").startswith(b"451 4.4.1")
            with proxy.client() as client:
                assert b"DSN" in client.hello()


def test_xclient_in_two_commands(tmp_path):
    name = "a" * 60 + "." + "b" * 60 + "." + "c" * 60 + "." + "d" * 60
    with Script(**XCLIENT) as backend, proxy_to(tmp_path, backend, "xclient") as proxy, \
            proxy.client() as client:
        client.ask(b"EHLO " + name.encode())
        client.ask(b"MAIL FROM:<a@x>")
        assert client.ask(b"RCPT TO:<b@x>").startswith(b"250")
        lines = [line for line in ours(backend)[0] if line.startswith(b"XCLIENT")]
        assert all(len(line) + 2 <= 512 for line in lines)
        assert b"HELO=" + name.encode() in b" ".join(lines)


@pytest.mark.parametrize("method, answers", [
    ("xclient", {}), ("xforward", {}), ("xclient", {**XCLIENT, "XCLIENT": b"550 5.7.0 not you\r\n"})])
def test_a_backend_that_cannot_be_told(tmp_path, method, answers):
    with Script(**answers) as backend:
        with proxy_to(tmp_path / "may", backend, method) as proxy:
            assert deliver(proxy).startswith(b"250")
            assert deliver(proxy).startswith(b"250")
            assert proxy.log.count("warn: backend_identity ") == 1
            assert len(ours(backend)) == 1
    with Script(**answers) as backend, Sink(tmp_path / "mail") as sink, Proxy(
            tmp_path / "must", backend.address, sink.address,
            backends={"default": {"identity": method, "identity_required": True}}) as proxy, \
            proxy.client() as client:
        assert client.envelope().startswith(b"451 4.4.1")
        assert backend.contents == []


def test_w106_xforward_for_every_message(tmp_path):
    with Script(**XFORWARD) as backend, proxy_to(tmp_path, backend, "xforward") as proxy:
        for _ in range(2):
            with proxy.client() as client:
                client.hello()
                assert client.message().startswith(b"250")
                assert client.message().startswith(b"250")
        said = ours(backend)[0]
        assert len(ours(backend)) == 1
        told = [line for line in said if line.startswith((b"XFORWARD", b"MAIL"))]
        assert [line[:4] for line in told] == [b"XFOR", b"MAIL"] * 4
        ids = [re.fullmatch(rb"XFORWARD NAME=\S+ ADDR=127\.0\.0\.1 PORT=\d+ PROTO=ESMTP HELO=client\.test "
                            rb"IDENT=(\S+) SOURCE=REMOTE", line)[1].decode() for line in told[::2]]
        assert ids == re.findall(r"message id=(\S+)", proxy.log)


def test_xforward_without_pipelining(tmp_path):
    answers = {"EHLO": XFORWARD["EHLO"].replace(b"250-PIPELINING\r\n", b"")}
    with Script(**answers) as backend, proxy_to(tmp_path, backend, "xforward") as proxy:
        assert deliver(proxy).startswith(b"250")
        assert deliver(proxy).startswith(b"250")


def test_xforward_refused(tmp_path):
    with Script(**XFORWARD, XFORWARD=b"501 5.5.4 no\r\n") as backend:
        with proxy_to(tmp_path / "may", backend, "xforward") as proxy:
            assert deliver(proxy).startswith(b"250")
        with proxy_to(tmp_path / "must", backend, "xforward", identity_required=True) as proxy, \
                proxy.client() as client:
            client.hello()
            client.ask(b"MAIL FROM:<a@x>")
            assert client.ask(b"RCPT TO:<b@x>").startswith(b"451 4.3.5")


class Proxied(Script):
    """Reads a PROXY header before it greets."""

    def __init__(self, **answers):
        self.headers = []
        super().__init__(**answers)

    def _talk(self, connection, file, lines):
        header = file.read(16)
        assert header[:12] == b"\r\n\r\n\0\r\nQUIT\n"
        self.headers.append((header[12:14], file.read(struct.unpack("!H", header[14:])[0])))
        super()._talk(connection, file, lines)


def test_w106_proxy_header(tmp_path):
    """Once for each connection, which is its session's alone."""
    with Proxied() as backend, proxy_to(tmp_path, backend, "proxy") as proxy:
        with proxy.client() as one:
            one.hello()
            for _ in range(2):
                assert one.message().startswith(b"250")
            assert len(ours(backend)) == 1
            assert deliver(proxy).startswith(b"250")
            assert len(ours(backend)) == 2
            address = one.socket.getsockname()
        wait_until(lambda: all(c[-1] == b"QUIT" for c in ours(backend)))
        assert backend.headers[0] == (b"\x20\x00", b"")  # the probe: LOCAL
        kind, rest = backend.headers[1]
        assert kind == b"\x21\x11"
        assert rest[:12] == socket.inet_aton("127.0.0.1") * 2 + struct.pack("!HH", address[1], proxy.port)
        assert rest[12:] == b"\x05" + struct.pack("!H", len(session_id(proxy))) + session_id(proxy).encode()


def test_w105_w106_proxy_header_of_a_new_client(tmp_path):
    """A balancer's XCLIENT makes a new client of the session: a connection that tells of the old one is none of his."""
    with Proxied() as backend, Proxy(
            tmp_path, backend.address, backends={"default": {"identity": "proxy"}},
            listen=[{"address": "127.0.0.1:0", "xclient": {"from": ["127.0.0.1"]}}]).probed() as proxy, \
            proxy.client() as client:
        for address in (b"192.0.2.7", b"192.0.2.8"):
            client.hello()
            assert client.ask(b"XCLIENT ADDR=" + address).startswith(b"220")
            client.hello()
            assert client.message().startswith(b"250")
        assert [rest[:4] for _, rest in backend.headers[1:]] == [b"\xc0\0\2\7", b"\xc0\0\2\x08"]


LOGIN = {"listen": [{"address": "127.0.0.1:0", "auth": "relay", "auth_plaintext": True}]}


def test_w105_w106_the_connection_of_a_login(tmp_path):
    """It is made before the first message, and is the client's as any other."""
    more = b"250-AUTH PLAIN\r\n250 "
    for server, method in ((Script, "xclient"), (Proxied, "proxy")):
        answers = {**XCLIENT, "EHLO": XCLIENT["EHLO"].replace(b"250 ", more), "AUTH": b"235 2.7.0 ok\r\n"}
        with server(**answers) as backend, Proxy(
                tmp_path / method, backend.address, backends={"default": {"identity": method, "identity_required": True}},
                **LOGIN).probed() as proxy, proxy.client() as client:
            client.hello()
            assert client.ask(b"AUTH PLAIN " + plain(b"anna", b"secret")).startswith(b"235")
            assert client.message().startswith(b"250")
            assert len(ours(backend)) == 1
            port = client.socket.getsockname()[1]
            if method == "proxy":
                kind, rest = backend.headers[1]
                assert kind == b"\x21\x11" and rest[8:10] == struct.pack("!H", port)
            else:
                assert b" PORT=%d " % port in ours(backend)[0][1]
                assert ours(backend)[0][2] == b"EHLO client.test"


def test_weir_behind_weir(tmp_path):
    """What one tells, the other understands; and counts the hops (W107)."""
    for method, listen in (("xclient", {"xclient": {"from": ["127.0.0.1"]}}),
                           ("proxy", {"proxy_protocol": {"from": ["127.0.0.1"]}})):
        with Sink(tmp_path / method / "mail") as sink, \
                Proxy(tmp_path / method / "inner", sink.address,
                      listen=[{"address": "127.0.0.1:0", **listen}]) as inner, \
                Proxy(tmp_path / method / "outer", f"127.0.0.1:{inner.port}", hostname="outer.test",
                      backends={"default": {"identity": method}}) as outer, \
                outer.client() as client:
            client.hello()
            assert client.message().startswith(b"250")
            assert client.message().startswith(b"250")
            seen = inner.wait_for_log(r"message id=\S+ .*helo=(\S+)", 2)
            assert seen.group(1) == ("client.test" if method == "xclient" else "outer.test")


@pytest.mark.skipif(not postfixlib.available(), reason="wants root, postfix and swaks")
def test_postfix_knows_the_client_and_one_id_follows_the_message(tmp_path):
    """Clients come from 127.0.0.2 and 127.0.0.3; Postfix logs that, and both logs and the message hold both ids."""
    with Sink(tmp_path / "mail") as sink:
        postfix = postfixlib.Postfix("", sink.address, smtpd_authorized_xforward_hosts="127.0.0.1")
        try:
            for method in ("xclient", "xforward", "none"):
                follow(tmp_path / method, sink, postfix, method)
        finally:
            postfix.stop()


def follow(folder, sink, postfix, method):
    with Proxy(folder, f"127.0.0.1:{postfix.port}", backends={"default": {"identity": method}}) as proxy:
        for n in (2, 3):
            with proxy.client(source="127.0.0.%d" % n) as client:
                client.ask(b"EHLO client%d.test" % n)
                assert client.message(recipients=(b"b@example.org",)).startswith(b"250")
        mine, theirs = re.findall(r" message id=(\S+) .* backend_id=(\w+) ", proxy.log)[1]
        log = postfix.log()
        assert f" {theirs}: client=" in log
        if method == "xforward":
            assert re.search(rf"{theirs}: client=\S+, orig_queue_id={re.escape(mine)}, "
                             r"orig_client=\S*\[127\.0\.0\.3\]", log)
        if method == "xclient":
            assert re.search(rf"{theirs}: client=\S*\[127\.0\.0\.3\]", log)
        content = wait_until(lambda: next((m.content for m in sink.messages() if theirs.encode() in m.content), None))
        fields = re.findall(rb"^Received: .*\r\n(?:[ \t].*\r\n)*", content, re.M)
        assert b"id " + theirs.encode() in fields[0]
        assert b"id " + mine.encode() in fields[1]
        if method == "xclient":
            assert b"from client3.test" in fields[0] and b"127.0.0.3" in fields[0]
