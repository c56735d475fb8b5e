"""TLS towards clients and backends: W20-W29, W03 under TLS, certificates, tickets, REQUIRETLS."""

import pytest

from proxylib import Certificate, Client, Proxy, Script, tls_context
from sinklib import Sink


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return Certificate(tmp_path_factory.mktemp("certificate"), "mx.test")


@pytest.fixture(scope="module")
def sink(tmp_path_factory):
    with Sink(tmp_path_factory.mktemp("sink")) as running:
        yield running


def listen(*certificates, **more):
    return {"address": "127.0.0.1:0", "tls": "offer", "certificates": [c.settings for c in certificates], **more}


@pytest.fixture(scope="module")
def proxy(tmp_path_factory, certificate, sink):
    """Listeners: offer, require, implicit, off."""
    with Proxy(tmp_path_factory.mktemp("proxy"), sink.address, listen=[
            listen(certificate), listen(certificate, tls="require"), listen(certificate, tls="implicit"),
            {"address": "127.0.0.1:0"}]) as running:
        running.probed()
        running.offer, running.require, running.implicit, running.off = running.ports(4)
        yield running


def test_starttls(proxy, sink):
    with proxy.client() as c:
        assert b"STARTTLS" in c.hello()
        c.starttls()
        assert b"STARTTLS" not in c.hello()
        assert c.message().startswith(b"250 2.0.0")
