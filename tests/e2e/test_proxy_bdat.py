"""weir-proxy and BDAT (RFC 3030), from clients (W13, W60-W69) and towards backends (W13, W66, W85-W91)."""

import pytest

from proxylib import Proxy, Script
from sinklib import Sink

CONTENT = b"Subject: x\r\n\r\nbody\r\n"


# ---- towards backends ---------------------------------------------------------------------------


def test_upstream_chunk_is_the_content(tmp_path):
    """One chunk right behind the last RCPT, dots as they are."""
    content = b"Subject: x\r\n\r\n.\r\n..\r\n.dot\r\n" + b"line\r\n" * 50000
    with Script(**Script.CHUNKING) as backend, \
            Proxy(tmp_path, backend.address, received=False,
                  spool={"memory_bytes": 1000}).probed() as proxy, proxy.client() as client:
        client.envelope()
        assert client.data(content) == b"250 2.0.0 taken"
        assert client.message(CONTENT) == b"250 2.0.0 taken"
        assert backend.chunked == [content, CONTENT]
        assert backend.contents == []
        assert b"BDAT %d LAST" % len(content) in backend.all_lines()
        assert b"RSET" not in backend.all_lines()


def test_upstream_chunking_off(tmp_path):
    with Script(**Script.CHUNKING) as backend, \
            Proxy(tmp_path, backend.address,
                  backends={"default": {"chunking": "off"}}) as proxy, proxy.client() as client:
        client.envelope()
        assert client.data(CONTENT).startswith(b"250")
        assert len(backend.contents) == 1 and backend.chunked == []


@pytest.mark.parametrize("answer, told", [
    (b"450 4.2.1 later\r\n", b"450 4.2.1 later"), (b"554 no\r\n", b"554 5.0.0 no")])
def test_w85_w90_upstream_chunk_refused(tmp_path, answer, told):
    """The words are the backend's, and the connection is of use after a RSET."""
    with Script(**Script.CHUNKING, DOT=[answer, b"250 ok\r\n"]) as backend, \
            Proxy(tmp_path, backend.address).probed() as proxy, proxy.client() as client:
        client.hello()
        assert client.message() == told
        assert client.message().startswith(b"250")
        assert len(backend.lines) == 2  # the probe's and ours
        assert [line[:4] for line in backend.lines[1]] == [
            b"EHLO", b"MAIL", b"RCPT", b"BDAT", b"RSET", b"MAIL", b"RCPT", b"BDAT"]


@pytest.mark.parametrize("answer", [b"354 go\r\n", b"334 what\r\n"])
def test_w86_upstream_chunk_unexpected(tmp_path, answer):
    with Script(**Script.CHUNKING, DOT=answer) as backend, \
            Proxy(tmp_path, backend.address) as proxy, proxy.client() as client:
        client.envelope()
        assert client.data().startswith(b"451 4.3.0")


def test_w87_upstream_early_reply(tmp_path):
    """The sink says 450 in the middle of the chunk, and closes."""
    content = b"Subject: x\r\n\r\n" + b"0123456789" * 7 + b"\r\n" * 200000
    with Sink(tmp_path / "mail", "--fault", "body=early-450") as sink, \
            Proxy(tmp_path / "p", sink.address) as proxy, proxy.client() as client:
        client.envelope()
        assert client.data(content).startswith(b"450")
        assert sink.names() == []
