"""Real clients through weir-proxy into weir sink: what arrives is, octet for octet, what was sent, under
our Received field."""

import email.message
import os
import re
import shutil
import smtplib
import subprocess

import pytest

from proxylib import Proxy
from sinklib import Sink

HEADER = b"From: <a@client.test>\r\nTo: <b@mx.test>\r\nSubject: interop\r\nMessage-ID: <1@client.test>\r\n" \
         b"Date: Wed, 25 Nov 2026 07:00:00 +0000\r\nX-Folded: one\r\n\ttwo\r\n"
EIGHT_BIT = "Grüße, 你好, ¡Adiós!\r\n".encode()
LARGE = b"".join(b"%07d " % n + b"0123456789" * 6 + b"\r\n" for n in range(20000))
MESSAGES = {
    "plain": HEADER + b"\r\nHello.\r\n",
    "no body": HEADER + b"\r\n",
    "dots": HEADER + b"\r\n.\r\n..\r\n.x\r\n...\r\n \r\n.\r\n",
    "8-bit": HEADER + b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
             b"Content-Transfer-Encoding: 8bit\r\n\r\n" + EIGHT_BIT * 3 + bytes(range(128, 256)) + b"\r\n",
    "long lines": HEADER + b"\r\n" + b"x" * 998 + b"\r\n" + b"." * 998 + b"\r\n",
    "large": HEADER + b"\r\n" + LARGE,
}
RECIPIENTS = ["b@mx.test", "c@mx.test", "postmaster@mx.test"]


def need(name):
    path = shutil.which(name, path="/usr/bin:/usr/sbin:/usr/local/bin:/bin")
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


@pytest.fixture(scope="module")
def sink(tmp_path_factory):
    with Sink(tmp_path_factory.mktemp("sink") / "mail", "--refuse-rcpt", "nobody@mx.test") as s:
        yield s


@pytest.fixture(scope="module")
def proxy(sink, tmp_path_factory):
    with Proxy(tmp_path_factory.mktemp("proxy"), sink.address,
               limits={"sessions_per_client": 1000}) as p:
        yield p.probed()


class Box:
    """What came into the sink since this was made."""

    def __init__(self, sink):
        self.sink, self.before = sink, set(sink.names())

    def new(self):
        return [m for m in self.sink.messages() if m.name not in self.before]

    def holds(self, content, recipients, count=1):
        """Exactly so many messages, each with these recipients and, under our field, this content."""
        new = self.new()
        assert len(new) == count
        for m in new:
            assert m.reverse_path == "a@client.test" and m.recipients == list(recipients)
            field = re.match(rb"Received: from .*?\r\n(?![ \t])", m.content, flags=re.S)
            assert field and (b"\tfor <" in field.group()) == (len(recipients) == 1)
            assert m.content[field.end():] == content


@pytest.fixture
def box(sink):
    return Box(sink)


def run(*argv, octets=b"", good=True):
    """The output of a client."""
    done = subprocess.run([str(a) for a in argv], input=octets, capture_output=True, timeout=20, check=False)
    assert (done.returncode == 0) == good, (done.returncode, done.stdout, done.stderr)
    return done.stdout + done.stderr


@pytest.fixture(params=MESSAGES)
def content(request):
    return MESSAGES[request.param]


@pytest.fixture
def file(tmp_path, content):
    path = tmp_path / "message"
    path.write_bytes(content)
    return path


def recipients(content):
    """One for some messages, several for the others."""
    return RECIPIENTS if content in (MESSAGES["plain"], MESSAGES["8-bit"], MESSAGES["large"]) \
        else RECIPIENTS[:1]


# ---- one message ---------------------------------------------------------------------------------

@pytest.mark.parametrize("pipelining", [True, False])
def test_swaks(proxy, box, content, file, pipelining):
    """With --no-data-fixup it leaves even the dots to us."""
    to = recipients(content)
    file.write_bytes(content.replace(b"\r\n.", b"\r\n..") + b".")
    run(need("swaks"), "--server", proxy.host, "--port", proxy.port, "--helo", "client.test",
        "--from", "a@client.test", "--to", ",".join(to), "--data", f"@{file}", "--no-data-fixup",
        "--suppress-data", *(["--pipeline"] if pipelining else []))
    box.holds(content, to)


def test_curl(proxy, box, content, file):
    to = recipients(content)
    run(need("curl"), "--silent", "--show-error", f"smtp://{proxy.host}:{proxy.port}/client.test",
        "--mail-from", "a@client.test", *[o for r in to for o in ("--mail-rcpt", r)], "--upload-file", file)
    box.holds(content, to)


def test_smtp_source(proxy, box, content, file):
    """Postfix's test client, four sessions at once, three messages on each; it adds an empty line."""
    to = ["b@mx.test"] if len(recipients(content)) == 1 else ["3b@mx.test", "2b@mx.test", "b@mx.test"]
    file.write_bytes(content.replace(b"\r\n", b"\n"))
    run(need("smtp-source"), "-d", "-s", 4, "-m", 12, "-r", len(to), "-f", "a@client.test", "-t", "b@mx.test",
        "-F", file, f"{proxy.host}:{proxy.port}")
    box.holds(content + b"\r\n", to, 12)


@pytest.mark.parametrize("esmtp", [True, False])
def test_smtplib(proxy, box, content, esmtp):
    to = recipients(content)
    with smtplib.SMTP(proxy.host, proxy.port, "client.test", timeout=20) as s:
        (s.ehlo if esmtp else s.helo)()
        assert s.sendmail("a@client.test", to, content) == {}
    box.holds(content, to)


def test_msmtp(proxy, box, content):
    to = recipients(content)
    run(need("msmtp"), "-C", "/dev/null", f"--host={proxy.host}", f"--port={proxy.port}", "--domain=client.test",
        "--from=a@client.test", "--tls=off", "--auth=off", "--", *to, octets=content.replace(b"\r\n", b"\n"))
    box.holds(content, to)


# ---- more than one message, and refusals ---------------------------------------------------------
