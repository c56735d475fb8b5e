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


# ---- towards backends


def backends(*scripts, **settings):
    return {"default": {"servers": [s.address for s in scripts], **settings}}


def relay(proxy):
    with proxy.client() as c:
        c.hello()
        return c.message()


@pytest.mark.parametrize("tls", ["may", "require"])
def test_w26_ehlo_is_repeated(tmp_path, certificate, tls):
    with Script(tls=certificate) as script, Proxy(tmp_path, script.address, backends=backends(script, tls=tls)) as proxy:
        proxy.probed()
        assert relay(proxy).startswith(b"250")
        lines = script.lines[-1]
        assert lines[:4] == [b"EHLO mx.test", b"STARTTLS", b"(TLS)", b"EHLO mx.test"]
        with proxy.client() as c:  # only the second answer counts: SIZE and DSN stand in that alone
            assert b"DSN" in c.hello()


def test_w26_first_ehlo_does_not_count(tmp_path, certificate):
    with Script(tls=certificate, EHLO=b"250-script\r\n250-STARTTLS\r\n250 SMTPUTF8\r\n",
                EHLO2=b"250-script\r\n250 8BITMIME\r\n") as script, \
            Proxy(tmp_path, script.address, backends=backends(script, tls="require")) as proxy:
        proxy.probed()
        with proxy.client() as c:
            assert b"SMTPUTF8" not in c.hello()


@pytest.mark.parametrize("behind", [b"2", b"250 ok\r\n", b"220 again\r\n250 ok\r\n"])
def test_w25_octets_behind_220(tmp_path, certificate, behind):
    with Script(tls=certificate, STARTTLS=b"220 go\r\n" + behind) as bad, Script(tls=certificate) as good, \
            Proxy(tmp_path, bad.address, backends=backends(bad, good, tls="require")) as proxy:
        assert relay(proxy).startswith(b"250")
        assert good.contents and not bad.contents
        assert all(b"(TLS)" not in lines[3:] for lines in bad.lines)
        proxy.wait_for_log("backend_down.*STARTTLS")


@pytest.mark.parametrize("answer", [b"454 4.7.0 no\r\n", b"502 5.5.1 no\r\n"])
def test_w80_starttls_refused(tmp_path, certificate, answer):
    with Script(tls=certificate, STARTTLS=answer) as bad, Script(tls=certificate) as good, \
            Proxy(tmp_path, bad.address, backends=backends(bad, good, tls="require")) as proxy:
        assert relay(proxy).startswith(b"250")
        assert good.contents and not bad.contents


@pytest.mark.parametrize("answers", [{"STARTTLS": b"454 4.7.0 no\r\n"}, {"EHLO": b"250 script\r\n"}])
def test_may_goes_on_in_the_clear(tmp_path, certificate, answers):
    with Script(tls=certificate, **answers) as script, Proxy(tmp_path, script.address, backends=backends(script, tls="may")) as proxy:
        assert relay(proxy).startswith(b"250")


def test_may_comes_again_after_a_failed_handshake(tmp_path):
    with Script(EHLO=b"250-script\r\n250 STARTTLS\r\n", STARTTLS=b"220 go\r\n") as script, \
            Proxy(tmp_path, script.address, backends=backends(script, tls="may")) as proxy:
        assert relay(proxy).startswith(b"250")
        proxy.wait_for_log("backend_tls_failed")


def test_require_without_starttls(tmp_path):
    with Script() as script, Proxy(tmp_path, script.address, backends=backends(script, tls="require")) as proxy:
        with proxy.client() as c:
            assert c.envelope().startswith(b"451 4.4.1")
        proxy.wait_for_log('backend_down.*"STARTTLS is not offered"')
        assert not script.contents


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Certificate(tmp_path_factory.mktemp("authority"), "Authority", authority=True)


@pytest.mark.parametrize("names, setting, good", [
    (("backend.test",), {"tls_name": "backend.test"}, True),
    (("*.x.test",), {"tls_name": "backend.x.test"}, True),
    (("127.0.0.1",), {}, True),
    (("other.test",), {"tls_name": "backend.test"}, False),
    (("backend.test",), {}, False),
])
def test_verify(tmp_path, authority, names, setting, good):
    certificate = Certificate(tmp_path, *names, issuer=authority)
    with Script(tls=certificate) as script, \
            Proxy(tmp_path, script.address, backends=backends(script, tls="verify", ca=authority.chain, **setting)) as proxy:
        if good:
            assert relay(proxy).startswith(b"250")
            proxy.wait_for_log("backend_tls .*verified=yes")
        else:
            proxy.wait_for_log("backend_down.*mismatch")
            assert not script.contents


def test_verify_unknown_authority(tmp_path, certificate):
    with Script(tls=certificate) as script, \
            Proxy(tmp_path, script.address, backends=backends(script, tls="verify", tls_name="mx.test")) as proxy:
        proxy.wait_for_log("backend_down.*self-signed")
        assert b"(TLS)" not in relay(proxy)
        assert not script.contents


def test_implicit_backend_and_resumption(tmp_path, certificate):
    with Script(tls=certificate, implicit=True) as script, \
            Proxy(tmp_path, script.address, backends=backends(script, tls="require", tls_implicit=True)) as proxy:
        proxy.probed()
        assert relay(proxy).startswith(b"250")
        assert script.lines[-1][0] == b"(TLS)"
        assert script.sessions[0] is False and script.sessions[-1] is True
