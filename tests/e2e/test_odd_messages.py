"""Messages that nobody sends by accident, through the whole chain: proxy, milterd with the shipped rules, backend.

Each gets the right reply; what was accepted is stored whole, octet for octet behind the fields that we add; the daemons
live, and their memory stays within bounds.
"""
import pathlib
import re

import pytest

from milterdlib import SOURCE, Milterd
from proxylib import Proxy
from sinklib import Sink

MEMORY_MAX_KB = 300 * 1024


def nested(levels, boundary=lambda n: "b%d" % n):
    head = "".join("Content-Type: multipart/mixed; boundary=%s\r\n\r\n--%s\r\n" % (boundary(n), boundary(n)) for n in range(levels))
    return head.encode() + b"Content-Type: text/plain\r\n\r\ndeep\r\n"


MESSAGES = {
    "no header": (b"\r\njust a body\r\n", b"250"),
    "no header and no empty line": (b"just a body, and this: is no field\r\n", b"250"),
    "no body": (b"Subject: nothing\r\n\r\n", b"250"),
    "header without an end": (b"Subject: nothing more\r\n", b"250"),
    "nothing at all": (b"", b"250"),
    "8-bit garbage": (b"Subject: \xff\xfe\x80\r\nFrom: \xc3\x28\r\n\r\n" + bytes(range(128, 256)) * 40 + b"\r\n", b"250"),
    "NULs": (b"Subject: a\x00b\r\n\r\nc\x00d\r\n", b"250"),
    "a header line of 1 MB": (b"Subject: " + b"x" * (1 << 20) + b"\r\n\r\nbody\r\n", b"552"),
    "a header line of 900 KB": (b"Subject: " + b"x" * 900000 + b"\r\n\r\nbody\r\n", b"250"),
    "10 000 header fields": (b"".join(b"X-%d: y\r\n" % n for n in range(10000)) + b"\r\nbody\r\n", b"250"),
    "2 000 nested parts": (nested(2000), b"250"),
    "2 000 nested parts with one boundary": (nested(2000, lambda n: "b"), b"250"),
    "a boundary that never ends": (b'Content-Type: multipart/mixed; boundary="' + b"b" * 100000 + b"\r\n\r\n--b\r\n\r\nbody\r\n", b"250"),
    "parts without an end": (b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\npart\r\n" * 3000, b"250"),
    "base64 that is none": (b"Content-Transfer-Encoding: base64\r\n\r\n" + b"=?!\x80" * 5000 + b"\r\n", b"250"),
    "60 Received fields": (b"Received: from a by b; Tue, 17 Nov 2026 09:12:44 +0100\r\n" * 60 + b"\r\nloop\r\n", b"554"),
    "lines of dots": (b"Subject: dots\r\n\r\n.\r\n..\r\n...\r\n.x\r\n", b"250"),
    "a line of 3 MB": (b"Subject: long\r\n\r\n" + b"z" * 3000000 + b"\r\n", b"250"),
}


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("odd")
    milterd = Milterd(folder / "m", rules=SOURCE / "rules")
    filters = [{"name": "weir", "socket": milterd.socket, "on_failure": "tempfail"}]
    with Sink(folder / "mail") as sink, Proxy(folder / "p", sink.address, filters=filters) as proxy:
        yield proxy, milterd, sink
    assert milterd.stop() == 0


def added(fields):
    """Without the fields that the proxy and the filter add."""
    fields = re.sub(rb"(\A|(?<=\r\n))Received: from client\.test .*?\r\n(?![ \t])", b"", fields, count=1, flags=re.S)
    return re.sub(rb"(\A|(?<=\r\n))X-Spam-[A-Za-z]+: .*?\r\n(?![ \t])", b"", fields, flags=re.S)


def memory_kb(pid):
    return int(re.search(r"VmHWM:\s*(\d+)", pathlib.Path("/proc/%d/status" % pid).read_text())[1])


@pytest.mark.parametrize("name", MESSAGES)
def test_an_odd_message_is_answered_and_kept_whole(chain, name):
    proxy, milterd, sink = chain
    content, reply = MESSAGES[name]
    before = set(sink.names())
    with proxy.client() as client:
        client.hello()
        assert client.message(content).startswith(reply)
        assert client.message(b"Subject: after\r\n\r\nthe session goes on\r\n").startswith(b"250")
    new = [sink.raw(n) for n in sink.names() if n not in before]
    odd = [m for m in new if b"the session goes on" not in m]
    assert len(new) - len(odd) == 1
    assert len(odd) == (1 if reply == b"250" else 0)
    if odd:
        stored = odd[0].split(b"\r\n", 2)[2]  # behind Return-Path and Delivered-To
        kept = added(stored)
        # Where a message has no empty line of its own behind its fields, one stands there now.
        assert kept == content or kept.replace(b"\r\n", b"", 1) == content or kept.removesuffix(b"\r\n") == content, kept[:300]


def test_the_daemon_lives_within_its_memory(chain):
    _, milterd, _ = chain
    assert milterd.ask("status")["ok"]
    if "sanitized" not in milterd.ask("status"):
        assert memory_kb(milterd.pid) < MEMORY_MAX_KB * 3  # a sanitizer takes its multiple
