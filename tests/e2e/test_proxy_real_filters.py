"""weir-proxy with filters that others wrote: OpenDKIM, and a pymilter filter whose edits must come
out as they do behind a real Postfix."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import pytest

from proxylib import Client, Proxy
from sinklib import Sink

HERE = os.path.dirname(os.path.abspath(__file__))
OPENDKIM = shutil.which("opendkim", path="/usr/sbin:/usr/bin")

# What breaks a signature where a proxy is careless: folds, blanks at ends of lines, dots, octets
# above 127, empty lines at the end.
MESSAGE = (b"From: Alice <alice@signer.test>\r\nTo: b@mx.test\r\nSubject:  two\r\n\t folds\r\n"
           b"  of it \r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\nMessage-ID: <1@signer.test>\r\n"
           b"X-Odd:no space\r\nX-Dup: one\r\nX-Dup: two\r\n\r\n"
           b".dot\r\n..two\r\nblanks at the end \t \r\n\xc3\xa4 8bit\r\n\r\nlast\r\n\r\n\r\n")


class Program:
    """A filter process that listens on a Unix socket."""

    def __init__(self, path, *argv):
        self.address = "unix:" + path
        self.process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 20
        while True:
            with socket.socket(socket.AF_UNIX) as s:
                try:
                    s.connect(path)
                    return
                except OSError:
                    pass
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.process.kill()
                raise RuntimeError(self.process.communicate()[1].decode())
            time.sleep(0.02)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.process.kill()  # libmilter takes seconds over a SIGTERM
        self.process.wait()
        self.process.stderr.close()


@pytest.fixture(scope="module")
def sink(tmp_path_factory):
    with Sink(tmp_path_factory.mktemp("sink") / "mail") as s:
        yield s


def settings(*filters):
    return [{"name": f"f{i}", "socket": f.address} for i, f in enumerate(filters)]


def send(port, content, sender=b"alice@signer.test", recipients=(b"one@mx.test", b"two@mx.test")):
    with Client("127.0.0.1", port) as client:
        client.hello()
        assert client.ask(b"MAIL FROM:<" + sender + b"> BODY=8BITMIME").startswith(b"250")
        for r in recipients:
            assert client.ask(b"RCPT TO:<" + r + b">").startswith(b"250")
        reply = client.data(content)
        client.ask(b"QUIT")
        return reply


def stored_since(sink, before, count=1):
    deadline = time.monotonic() + 20
    while True:
        new = [m for m in sink.messages() if m.name not in before]
        if len(new) >= count or time.monotonic() > deadline:
            assert len(new) == count
            return new
        time.sleep(0.02)


# ---- OpenDKIM ------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def key(tmp_path_factory):
    """A private key and a file with its public half, as DNS would say it."""
    folder = tmp_path_factory.mktemp("key")
    private = folder / "private"
    subprocess.run(["openssl", "genrsa", "-out", private, "2048"], check=True, capture_output=True)
    public = subprocess.run(["openssl", "rsa", "-in", private, "-pubout"], check=True,
                            capture_output=True).stdout.decode()
    p = "".join(line for line in public.splitlines() if "-" not in line)
    dns = folder / "dns"
    dns.write_text(f"sel._domainkey.signer.test v=DKIM1; k=rsa; p={p}\n")
    private.chmod(0o600)
    return private, dns


@contextlib.contextmanager
def opendkim(folder, name, key, mode, **more):
    private, dns = key
    path = str(folder / (name + ".sock"))
    conf = {"Mode": mode, "Socket": "local:" + path, "Domain": "signer.test", "Selector": "sel",
            "KeyFile": private, "RequireSafeKeys": "false", "TestPublicKeys": dns,
            "AuthservID": "mx.test", "Background": "false", "UMask": "077", "Syslog": "false",
            "AlwaysAddARHeader": "true", **more}
    file = folder / (name + ".conf")
    file.write_text("".join(f"{k} {v}\n" for k, v in conf.items()))
    with Program(path, OPENDKIM, "-f", "-x", str(file)) as p:
        yield p


needs_opendkim = pytest.mark.skipif(OPENDKIM is None, reason="opendkim is not installed")


@needs_opendkim
@pytest.mark.parametrize("canonicalization", ["simple/simple", "relaxed/relaxed"])
def test_signed_by_one_and_verified_by_the_next(tmp_path, sink, key, canonicalization):
    before = set(sink.names())
    with opendkim(tmp_path, "sign", key, "s", Canonicalization=canonicalization) as signer, \
            opendkim(tmp_path, "verify", key, "v", InternalHosts="192.0.2.1") as verifier, \
            Proxy(tmp_path / "p", sink.address, filters=settings(signer, verifier)) as proxy:
        for _ in range(2):
            assert send(proxy.port, MESSAGE).startswith(b"250"), proxy.log
    for m in stored_since(sink, before, 2):
        # Both insert at index 0, above our Received.
        assert re.match(rb"Authentication-Results: mx\.test;\s+dkim=pass", m.content), m.content
        assert m.content.index(b"DKIM-Signature: ") < m.content.index(b"Received: from")
        assert m.content.endswith(MESSAGE)


@needs_opendkim
def test_signature_holds_behind_the_proxy(tmp_path, sink, key):
    """Signed on the way out of one proxy, verified on the way into another."""
    before = set(sink.names())
    with opendkim(tmp_path, "sign", key, "s", Canonicalization="simple/simple") as signer, \
            opendkim(tmp_path, "verify", key, "v", InternalHosts="192.0.2.1") as verifier, \
            Proxy(tmp_path / "in", sink.address, filters=settings(verifier)) as inner, \
            Proxy(tmp_path / "out", f"127.0.0.1:{inner.port}",
                  filters=settings(signer)) as outer:
        assert send(outer.port, MESSAGE).startswith(b"250"), outer.log
    [m] = stored_since(sink, before)
    assert b"dkim=pass" in m.content and m.content.endswith(MESSAGE)


@needs_opendkim
def test_changed_body_is_noticed(tmp_path, sink, key):
    before = set(sink.names())
    with opendkim(tmp_path, "sign", key, "s") as signer, \
            Proxy(tmp_path / "p", sink.address, filters=settings(signer)) as proxy:
        assert send(proxy.port, MESSAGE).startswith(b"250")
    [signed] = stored_since(sink, before)
    before = set(sink.names())
    with opendkim(tmp_path, "verify", key, "v", InternalHosts="192.0.2.1") as verifier, \
            Proxy(tmp_path / "p2", sink.address, filters=settings(verifier)) as proxy:
        assert send(proxy.port, signed.content.replace(b"last", b"lost")).startswith(b"250")
    [m] = stored_since(sink, before)
    assert b"dkim=fail" in m.content


@needs_opendkim
def test_killed_in_the_middle_of_a_message(tmp_path, sink, key):
    before = set(sink.names())
    with opendkim(tmp_path, "verify", key, "v", InternalHosts="192.0.2.1") as verifier, \
            Proxy(tmp_path / "p", sink.address, filters=settings(verifier)) as proxy, \
            proxy.client() as client:
        client.envelope()
        assert client.ask(b"DATA").startswith(b"354")
        client.send(b"Subject: x\r\n\r\n" + b"half of it\r\n" * 20000)
        verifier.process.kill()
        verifier.process.wait()
        client.send(b"the rest\r\n.\r\n")
        assert client.reply().startswith(b"451 4.7.1")
    assert set(sink.names()) == before


# ---- the same edits behind Postfix ---------------------------------------------------------------

SEQUENCES = {
    "none": [],
    "add": [["add", "X-New", "v"], ["add", "X-Dup", "three"]],
    "insert at the top": [["insert", 0, "X-A", "0"], ["insert", 0, "X-B", "0"]],
    "insert below": [["insert", 1, "X-A", "1"], ["insert", 1, "X-B", "1"]],
    "insert inside": [["insert", 3, "X-A", "3"], ["insert", 5, "X-B", "5"],
                      ["insert", 9, "X-C", "9"]],
    "insert past the end": [["insert", 100, "X-A", "v"]],
    "insert mixed": [["insert", 0, "X-A", "a"], ["insert", 2, "X-B", "b"], ["add", "X-C", "c"],
                     ["insert", 1, "X-D", "d"]],
    "change": [["change", 1, "Subject", "changed"], ["change", 2, "x-dup", "second"]],
    "change index 0": [["change", 0, "X-Dup", "zero"]],
    "change what is not there": [["change", 1, "X-None", "v"], ["change", 7, "X-Dup", "seventh"]],
    "delete": [["change", 1, "X-Dup", ""], ["change", 1, "Subject", ""]],
    "delete downwards": [["change", 2, "X-Dup", ""], ["change", 1, "X-Dup", ""]],
    "delete upwards": [["change", 1, "X-Dup", ""], ["change", 2, "X-Dup", ""]],
    "delete what is not there": [["change", 1, "X-None", ""], ["change", 3, "X-Dup", ""]],
    "renumbered": [["change", 2, "X-Dup", "second changed"], ["change", 5, "X-Dup", "far"],
                   ["change", 1, "X-Dup", ""], ["change", 1, "X-Dup", "now-first"]],
    "folded": [["add", "X-Fold", "one\n\ttwo\n three"], ["change", 1, "Subject", "a\n\tb"],
               ["insert", 1, "X-Fold2", "c\n\td"]],
    "empty": [["add", "X-Empty", ""]],
    "add, then change it": [["add", "X-New", "1"], ["change", 1, "X-New", "2"]],
    "add, then delete it": [["insert", 1, "X-New", "1"], ["change", 1, "X-New", ""]],
    "body": [["body", "new\r\nbody\r\n"]],
    "body of bare line ends": [["body", "new\nbody\n\nend\n"]],
    "body in pieces": [["body", "new\r"], ["body", "\nbo"], ["body", "dy\r\n"]],
    "large body": [["body", "0123456789abcde\r\n" * 20000]],
    "dots in the body": [["body", ".\r\n..\r\n.x\r\n"]],
    "reverse-path": [["from", "<other@signer.test>", []]],
    "null reverse-path": [["from", "<>", []]],
    # Not one that is there already: Postfix delivers to it twice, Weir does not.
    "add recipients": [["rcpt", "<three@mx.test>", []], ["rcpt", "<three@mx.test>", []]],
    "delete recipients": [["unrcpt", "<one@mx.test>"], ["unrcpt", "<none@mx.test>"]],
    "exchange recipients": [["unrcpt", "<one@mx.test>"], ["rcpt", "<four@mx.test>", []],
                            ["unrcpt", "<two@mx.test>"]],
    "all at once": [["add", "X-New", "v"], ["insert", 0, "X-Top", "t"],
                    ["change", 1, "Subject", "s"], ["change", 2, "X-Dup", ""],
                    ["from", "<other@signer.test>", []], ["rcpt", "<three@mx.test>", []],
                    ["unrcpt", "<two@mx.test>"], ["body", "short\r\n"]],
}


@pytest.fixture(scope="module")
def both(sink):
    """Weir and Postfix with one and the same filter in front of one sink."""
    pytest.importorskip("Milter")
    postfixlib = pytest.importorskip("postfixlib")
    if not postfixlib.available():
        pytest.skip("needs root, postfix and swaks")
    # Postfix's processes have a user of their own, who may not enter pytest's folders.
    folder = pathlib.Path(tempfile.mkdtemp(prefix="weir-"))
    folder.chmod(0o755)
    script = folder / "script.json"
    script.write_text("[]")
    path = str(folder / "filter.sock")
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        f = stack.enter_context(Program(path, sys.executable,
                                        os.path.join(HERE, "editmilter.py"), path, str(script)))
        os.chmod(path, 0o666)
        proxy = stack.enter_context(Proxy(folder / "p", sink.address, filters=settings(f)))
        postfix = postfixlib.Postfix(f.address, sink.address, relay_domains="mx.test",
                                     local_header_rewrite_clients="")
        stack.callback(postfix.stop)
        yield proxy, postfix, script


def without_traces(content):
    """Content with a mark in the place of each Received field: their texts differ, their places
    must not."""
    return re.sub(rb"(\A|(?<=\r\n))Received: .*?\r\n(?![ \t])", b"Received\r\n", content,
                  flags=re.S)


@pytest.mark.parametrize("name", SEQUENCES)
def test_edits_as_postfix_makes_them(both, sink, name):
    proxy, postfix, script = both
    script.write_text(json.dumps(SEQUENCES[name]))
    results = []
    for port in (proxy.port, postfix.port):
        before = set(sink.names())
        assert send(port, MESSAGE).startswith(b"250"), proxy.log
        [m] = stored_since(sink, before)
        with open(str(script) + ".seen", encoding="utf-8") as file:
            seen = json.load(file)
        results.append((m.reverse_path, sorted(m.recipients), without_traces(m.content), seen))
    weir, postfix_ = results
    assert weir == postfix_
