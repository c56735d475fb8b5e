"""TLS towards clients and backends: W20-W29, W03 under TLS, certificates, tickets, REQUIRETLS."""

import array
import fcntl
import os
import pathlib
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import termios
import threading
import time

import pytest

import postfixlib
from filterlib import Filter
from milterdlib import until
from proxylib import Certificate, Client, Proxy, Script, tls_context
from sinklib import Sink, program
from test_proxy_smtp import SMUGGLE, smuggle, stored


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return Certificate(tmp_path_factory.mktemp("certificate"), "mx.test")


@pytest.fixture(scope="module")
def sink(tmp_path_factory):
    with Sink(tmp_path_factory.mktemp("sink")) as running:
        yield running


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Certificate(tmp_path_factory.mktemp("authority"), "Authority", authority=True)


def listen(*certificates, **more):
    return {"address": "127.0.0.1:0", "tls": "offer", "certificates": [c.settings for c in certificates], **more}


def backends(*scripts, **settings):
    return {"default": {"servers": [s.address for s in scripts], **settings}}


@pytest.fixture(scope="module")
def proxy(tmp_path_factory, certificate, sink):
    """Listeners: offer, require, implicit, off."""
    with Proxy(tmp_path_factory.mktemp("proxy"), sink.address, listen=[
            listen(certificate), listen(certificate, tls="require"), listen(certificate, tls="implicit"),
            {"address": "127.0.0.1:0"}]) as running:
        running.probed()
        running.offer, running.require, running.implicit, running.off = running.ports(4)
        yield running


class Talk:
    """openssl s_client with its commands (R: renegotiate, K: new keys)."""

    def __init__(self, port, *options):
        self.seen = b""
        self.process = subprocess.Popen(["openssl", "s_client", "-crlf", "-connect", f"127.0.0.1:{port}", *options],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def say(self, line):
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def wait_for(self, octets):
        while octets not in self.seen:
            more = os.read(self.process.stdout.fileno(), 65536)
            assert more, self.seen
            self.seen += more


# ---- STARTTLS (RFC 3207)


def test_starttls(proxy, sink):
    with proxy.client() as c:
        assert b"STARTTLS" in c.hello()
        c.starttls()
        before = len(sink.names())
        assert b"STARTTLS" not in c.hello()
        assert c.message().startswith(b"250 2.0.0")
        field = sink.wait_for(before + 1)[-1].content
        assert re.search(rb"\(using TLSv1.3 with cipher TLS_\S+ \(\d+/\d+ bits\) SNI mx.test\)\r\n\tby mx.test \(Weir\) with ESMTPS",
                         field), field


def rest_of(client):
    """All octets until the other side closes."""
    client.socket.settimeout(10)
    got = b""
    try:
        while octets := client.socket.recv(65536):
            got += octets
    except ConnectionResetError:
        pass
    return got


@pytest.mark.parametrize("behind", [b"NOOP\r\n", b"RSET", b"\r\n", b"MAIL FROM:<evil@x>\r\nRCPT TO:<b@mx.test>\r\nDATA\r\n"])
def test_w20_nothing_may_wait_behind(proxy, behind):
    with proxy.client() as c:
        c.hello()
        c.send(b"STARTTLS\r\n" + behind)
        assert c.reply().startswith(b"554 5.5.0")
        assert c.reply() == b""


def test_w20_injection_split_at_every_octet(proxy):
    """Wherever the segments end, what follows STARTTLS in the clear is never run."""
    whole = b"STARTTLS\r\nNOOP\r\nMAIL FROM:<evil@x>\r\n"
    for cut in range(1, len(whole)):
        with proxy.client() as c:
            c.hello()
            c.send(whole[:cut])
            time.sleep(0.001)
            c.send(whole[cut:])
            got = rest_of(c)
            assert got.startswith((b"554 5.5.0", b"220 2.0.0 Ready to start TLS\r\n")), (cut, got)
            assert b"250" not in got and b"503" not in got, (cut, got)


def test_w20_injection_does_not_survive_the_handshake(proxy):
    """A command in the clear in front of a ClientHello: no handshake, not to speak of a command that is run under TLS."""
    with proxy.client() as c:
        c.hello()
        assert c.ask(b"STARTTLS").startswith(b"220")
        c.send(b"RSET\r\n")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            c.secure()


def test_w03_handshake_split_at_every_octet(proxy):
    """The client's octets come one by one."""
    with proxy.client() as c:
        c.hello()
        c.ask(b"STARTTLS")
        into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = tls_context().wrap_bio(into, out, server_hostname="mx.test")

        def push():
            octets = out.read()
            for i in range(len(octets)):
                c.socket.send(octets[i:i + 1])

        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                push()
                into.write(c.socket.recv(65536))
        tls.write(b"EHLO client.test\r\n")
        push()
        while True:
            try:
                assert tls.read(65536).startswith(b"250-mx.test")
                break
            except ssl.SSLWantReadError:
                into.write(c.socket.recv(65536))


def test_w21_all_is_forgotten(proxy):
    with proxy.client() as c:
        c.starttls()
        assert c.ask(b"MAIL FROM:<a@client.test>").startswith(b"503")
        assert c.ask(b"RCPT TO:<b@mx.test>").startswith(b"503")
        c.hello()
        assert c.ask(b"RCPT TO:<b@mx.test>").startswith(b"503")
        assert c.ask(b"MAIL FROM:<a@client.test>").startswith(b"250")


def test_w22_only_once(proxy):
    with proxy.client() as c:
        c.starttls()
        assert b"STARTTLS" not in c.hello()
        assert c.ask(b"STARTTLS").startswith(b"554 5.5.1")
        assert c.message().startswith(b"250")
    with proxy.client(port=proxy.implicit, tls=tls_context()) as c:
        assert b"STARTTLS" not in c.hello()
        assert c.ask(b"STARTTLS").startswith(b"554 5.5.1")


def test_w23_refusals(proxy):
    with proxy.client() as c:
        c.hello()
        assert c.ask(b"STARTTLS now").startswith(b"501 5.5.4")
        c.ask(b"MAIL FROM:<a@client.test>")
        assert c.ask(b"STARTTLS").startswith(b"503 5.5.1")
        assert c.ask(b"RCPT TO:<b@mx.test>").startswith(b"250")  # the transaction is whole
    with proxy.client(port=proxy.off) as c:
        assert b"STARTTLS" not in c.hello()
        assert c.ask(b"STARTTLS").startswith(b"502 5.5.1")


def test_w23_m22_a_refused_client(tmp_path, certificate, sink):
    with Filter(tmp_path / "f", helo="550 5.7.1 not you") as filter_, \
            Proxy(tmp_path, sink.address, listen=[listen(certificate)], filters=[filter_.settings()]) as proxy, \
            proxy.client() as c:
        assert b"STARTTLS" not in c.hello()
        assert c.ask(b"STARTTLS").startswith(b"454 4.7.0")


def test_w24_required(proxy):
    with proxy.client(port=proxy.require) as c:
        for line in (b"MAIL FROM:<a@client.test>", b"RCPT TO:<b@mx.test>", b"DATA", b"RSET", b"VRFY x", b"AUTH PLAIN", b"ETRN x"):
            assert c.ask(line).startswith(b"530 5.7.0"), line
        for line in (b"NOOP", b"HELP", b"HELO client.test", b"EHLO client.test"):
            assert c.ask(line).startswith((b"250", b"214")), line
        c.starttls()
        c.hello()
        assert c.message().startswith(b"250")
    with proxy.client(port=proxy.require) as c:
        assert c.ask(b"QUIT").startswith(b"221")


@pytest.mark.parametrize("early", [True, False])
def test_w27_client_hello_on_a_plain_listener(proxy, early):
    with proxy.client(banner=False) as c:
        if not early:
            c.reply()
        c.send(b"\x16\x03\x01\x02\x00\x01")
        replies = [c.reply(), c.reply()]
        assert any(r.startswith(b"501 5.5.1") for r in replies) or (early and replies[0].startswith(b"220")), replies


def test_w28_no_second_connect(tmp_path, certificate, sink):
    with Filter(tmp_path / "f") as filter_, \
            Proxy(tmp_path, sink.address, listen=[listen(certificate)], filters=[filter_.settings()]) as proxy:
        proxy.probed()
        with proxy.client() as c:
            c.starttls()
            c.hello()
            assert c.message().startswith(b"250")
        filter_.wait_for("close")
        heard = filter_.heard()
        events = [h[0] for h in heard]
        assert events[:4] == ["connect", "helo", "helo", "mail"]
        before, after = heard[1][-1], heard[2][-1]
        assert before["{tls_version}"] is None and before["{cipher}"] is None
        assert after["{tls_version}"] == "TLSv1.3" and after["{cipher}"].startswith("TLS_")
        assert after["{cipher_bits}"] in ("128", "256") and after["{tls_sni}"] == "mx.test" and after["{verify}"] == "NOT"
        assert after["{cert_fp}"] is None and after["{cert_subject}"] is None


# ---- the handshake


def test_implicit(proxy, sink):
    with proxy.client(port=proxy.implicit, tls=tls_context()) as c:
        assert c.banner.startswith(b"220")
        c.hello()
        assert c.message().startswith(b"250")


def test_w33_early_talker_under_tls(proxy):
    """What comes with the handshake's last octets, before the greeting, is an offence there, too."""
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = tls_context().wrap_bio(into, out, server_hostname="mx.test")
    with socket.create_connection(("127.0.0.1", proxy.implicit), 20) as s:
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                s.sendall(out.read())
                into.write(s.recv(65536))
        tls.write(b"EHLO client.test\r\n")
        s.sendall(out.read())
        while True:
            try:
                assert tls.read(65536).startswith(b"554 5.5.0")
                break
            except ssl.SSLWantReadError:
                into.write(s.recv(65536))


def test_w114_health_checks_of_an_implicit_port_are_quiet(tmp_path, certificate):
    with Proxy(tmp_path, listen=[listen(certificate, tls="implicit")], log={"level": "info"}) as proxy:
        for _ in range(3):
            socket.create_connection(("127.0.0.1", proxy.port)).close()
        with proxy.client(banner=False) as c:
            c.send(b"EHLO not.tls\r\n")
            assert b"250" not in rest_of(c)
        line = proxy.wait_for_log("tls_failed .*")
        assert "wrong version number" in line.group(0) or "http" in line.group(0)
        assert proxy.log.count("tls_failed") == 1


def test_handshake_garbage(proxy):
    for octets in (b"\x16\x03\x01\xff\xff" + b"x" * 1000, b"\x00" * 100, b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", os.urandom(5000)):
        with proxy.client() as c:
            c.hello()
            c.ask(b"STARTTLS")
            c.send(octets)
            c.socket.shutdown(socket.SHUT_WR)
            assert b"250" not in rest_of(c)
    with proxy.client() as c:
        c.starttls()


def test_handshake_stalls(tmp_path, certificate):
    with Proxy(tmp_path, listen=[listen(certificate)], timeouts={"tls_handshake_s": 1}) as proxy:
        with proxy.client() as idle, proxy.client() as dripping:
            for c in (idle, dripping):
                c.hello()
                c.ask(b"STARTTLS")
            dripping.send(b"\x16\x03")
            begun = time.monotonic()
            assert rest_of(idle) == b"" and rest_of(dripping) == b""
            assert time.monotonic() - begun < 5
        proxy.wait_for_log("tls_failed.*timed out", 2)


def test_close_notify(proxy):
    with proxy.client() as c:
        c.starttls()
        assert c.ask(b"QUIT").startswith(b"221")
        c.file.close()
        assert c.socket.recv(100) == b""  # the end of TLS, not only of TCP: else ssl.SSLEOFError
        c.socket.unwrap().close()


def test_end_without_close_notify(proxy):
    """The client's end is his end; half a message is none."""
    with proxy.client() as c:
        c.starttls()
        c.envelope()
        c.ask(b"DATA")
        c.send(b"Subject: x\r\n\r\nhalf")
        before = proxy.log.count("session_end")
        with socket.socket(fileno=os.dup(c.socket.fileno())) as beneath:
            beneath.shutdown(socket.SHUT_WR)
        proxy.wait_for_log("session_end", before + 1)
        assert rest_of(c) == b""


def test_renegotiation_is_refused(proxy):
    talk = Talk(proxy.implicit, "-tls1_2")
    with talk:
        talk.wait_for(b"220 mx.test")
        talk.say(b"R")
        talk.wait_for(b"no renegotiation")


# ---- certificates


def peer_names(client):
    der = client.socket.getpeercert(True)
    text = subprocess.run(["openssl", "x509", "-inform", "DER", "-noout", "-text"], input=der, capture_output=True, check=True).stdout
    return text.decode()


@pytest.fixture(scope="module")
def many(tmp_path_factory, sink):
    """A listener with several certificates."""
    folder = tmp_path_factory.mktemp("many")
    own = [Certificate(folder, "mx.test", "alias.test"), Certificate(folder, "mx.test", kind="rsa"),
           Certificate(folder, "*.wild.test"), Certificate(folder, "other.test", kind="rsa")]
    with Proxy(folder / "p", sink.address, listen=[listen(*own)]) as running:
        yield running


@pytest.mark.parametrize("name, subject", [
    (None, "mx.test"), ("mx.test", "mx.test"), ("MX.Test", "mx.test"), ("alias.test", "mx.test"), ("a.wild.test", "*.wild.test"),
    ("a.b.wild.test", "mx.test"), ("wild.test", "mx.test"), ("other.test", "other.test"), ("nobody.test", "mx.test"),
])
def test_certificate_by_sni(many, name, subject):
    with many.client() as c:
        c.starttls(name=name)
        assert f"CN = {subject}\n" in peer_names(c)
        assert c.hello().startswith(b"250")


@pytest.mark.parametrize("cipher, name, kind", [
    ("ECDHE-RSA-AES128-GCM-SHA256", "mx.test", "rsaEncryption"), ("ECDHE-ECDSA-AES128-GCM-SHA256", "mx.test", "id-ecPublicKey"),
    ("ECDHE-RSA-AES128-GCM-SHA256", None, "rsaEncryption"), ("ECDHE-RSA-AES128-GCM-SHA256", "other.test", "rsaEncryption"),
])
def test_rsa_and_ecdsa_side_by_side(many, cipher, name, kind):
    context = tls_context(maximum_version=ssl.TLSVersion.TLSv1_2)
    context.set_ciphers(cipher)
    with many.client() as c:
        c.starttls(context, name=name)
        assert kind in peer_names(c)
        assert c.socket.cipher()[0] == cipher


@pytest.mark.parametrize("settings, versions", [
    ({}, {"TLSv1.2", "TLSv1.3"}), ({"tls_minimum": "1.3"}, {"TLSv1.3"}), ({"tls_policy": "modern"}, {"TLSv1.3"}),
    ({"tls_policy": "intermediate"}, {"TLSv1.2", "TLSv1.3"}),
])
def test_versions(tmp_path, certificate, settings, versions):
    got = set()
    with Proxy(tmp_path, listen=[listen(certificate, tls="implicit", **settings)]) as proxy:
        for version in (ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = tls_context()
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version = context.maximum_version = version
            try:
                with proxy.client(tls=context) as c:
                    got.add(c.socket.version())
            except (ssl.SSLError, ConnectionError):
                pass
    assert got == versions


def resumed(proxy, port, session, context):
    with proxy.client(port=port) as c:
        c.starttls(context, session=session)
        c.hello()  # TLS 1.3 tickets come after the handshake
        return c.socket.session_reused, c.socket.session


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_w29_tickets(tmp_path, certificate, version):
    """Resumed whichever worker takes the connection; never at another listener."""
    context = tls_context(maximum_version=version)
    with Proxy(tmp_path, listen=[listen(certificate), listen(certificate, client_certificates="ask")], workers=3) as proxy:
        one, other = proxy.ports(2)
        reused, session = resumed(proxy, one, None, context)
        assert not reused
        for _ in range(12):
            reused, _ = resumed(proxy, one, session, context)
            assert reused
        for _ in range(3):
            reused, _ = resumed(proxy, other, session, context)
            assert not reused
        workers = [w["pid"] for w in proxy.control("status")["workers"] if w["sessions"] >= 0]
        assert len(workers) == 3


def test_w29_tickets_outlive_a_reload(tmp_path, certificate):
    context = tls_context()
    with Proxy(tmp_path, listen=[listen(certificate)]) as proxy:
        _, session = resumed(proxy, proxy.port, None, context)
        assert proxy.control("reload")["ok"]
        assert resumed(proxy, proxy.port, session, context)[0]


def test_renewed_without_a_restart(tmp_path, sink):
    old = Certificate(tmp_path, "mx.test", name="current")
    fresh = Certificate(tmp_path, "mx.test", "fresh.test", name="fresh")
    with Proxy(tmp_path / "p", sink.address, listen=[listen(old)], workers=2) as proxy:
        def names():
            with proxy.client() as c:
                c.starttls()
                return peer_names(c)

        assert "fresh.test" not in names()
        shutil.copy(fresh.chain, old.chain)  # not the key's
        proxy.wait_for_log("certificate_kept.*current.pem.*not that of the certificate")
        assert "fresh.test" not in names()
        status = proxy.control("status")["certificates"]
        assert status[0]["name"] == "mx.test" and "current.pem" in status[0]["kept_because"] and status[0]["days"] in (29, 30)
        shutil.copy(fresh.key, old.key)
        proxy.wait_for_log("certificate_renewed.*current.pem")
        assert all("fresh.test" in names() for _ in range(6))  # at every worker
        assert proxy.control("status")["certificates"][0]["kept_because"] is None
        assert proxy.log.count("certificate_kept") == 1


def test_reload_with_a_broken_certificate(tmp_path, certificate, sink):
    """Refused whole: the old configuration stays, with its certificates."""
    other = Certificate(tmp_path, "other.test")
    with Proxy(tmp_path / "p", sink.address, listen=[listen(certificate)]) as proxy:
        for bad in ({"listen": [listen(certificate, certificates=[{"chain": certificate.chain, "key": other.key}])]},
                    {"listen": [listen(certificate, client_certificates="ask", client_ca="none.pem")]},
                    {"listen": [listen(certificate)],
                     "backends": {"default": {"servers": [sink.address], "tls": "verify", "ca": "none.pem"}}}):
            proxy.write(**bad)
            answer = proxy.control("reload")
            assert not answer["ok"] and answer["findings"], answer
            with proxy.client() as c:
                c.starttls()
                assert "CN = mx.test" in peer_names(c)
        proxy.write(listen=[listen(other)], backends={"default": {"servers": [sink.address], "tls": "off", "ca": ""}})
        assert proxy.control("reload")["ok"]
        with proxy.client() as c:
            c.starttls()
            assert "CN = other.test" in peer_names(c)


def test_start_with_authorities_that_are_not_there(tmp_path, certificate):
    with pytest.raises(RuntimeError, match="none.pem"):
        Proxy(tmp_path, listen=[listen(certificate, client_certificates="ask", client_ca="none.pem")])
    with pytest.raises(RuntimeError, match="none.pem"):
        Proxy(tmp_path, backends={"default": {"tls": "verify", "ca": "none.pem"}})


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_key_of_root(tmp_path_factory, certificate, sink):
    """Read while the proxy is root; renewed it stays unread, and the log says so; a reload keeps it as well."""
    folder = tmp_path_factory.mktemp("k")
    for above in [folder, *folder.parents]:
        if above.stat().st_uid == 0 and str(above) not in ("/", "/tmp"):
            above.chmod(0o755)
    (folder / "p").mkdir(mode=0o777)
    os.chmod(folder / "p", 0o777)
    own = Certificate(folder, "mx.test")
    with Proxy(folder / "p", sink.address, listen=[listen(own)], user="nobody") as proxy:
        proxy.wait_for_log("certificate_unreadable.*mx.test-ec.key")
        os.utime(own.key)
        proxy.wait_for_log("certificate_kept.*restart as root")
        assert proxy.control("reload")["ok"]
        with proxy.client() as c:
            c.starttls()
        assert "Permission denied" in proxy.log


def test_client_certificates(tmp_path, certificate, authority, sink):
    known = Certificate(tmp_path, "client.test", issuer=authority)
    unknown = Certificate(tmp_path, "stranger.test")
    with Filter(tmp_path / "f") as filter_, \
            Proxy(tmp_path / "p", sink.address, filters=[filter_.settings()],
                  listen=[listen(certificate, client_certificates="ask", client_ca=authority.chain)]) as proxy:
        proxy.probed()
        for own in (known, unknown, None):
            with proxy.client() as c:
                c.starttls(tls_context(certificate=own))
                c.hello()
                assert c.message().startswith(b"250")
        filter_.wait_for("close", 3)
        told = [h[-1] for h in filter_.heard() if h[0] == "helo"][1::2]
        assert [t["{verify}"] for t in told] == ["OK", "FAIL", "NO"]
        assert told[0]["{cert_subject}"] == "CN=client.test,O=Test" and told[0]["{cert_issuer}"] == "CN=Authority,O=Test"
        assert told[1]["{cert_subject}"] is None and told[2]["{cert_fp}"] is None
        for own, t in zip((known, unknown), told):
            finger = subprocess.run(["openssl", "x509", "-in", own.chain, "-noout", "-fingerprint", "-sha256"],
                                    capture_output=True, check=True, text=True).stdout.strip().split("=")[1]
            assert t["{cert_fp}"] == finger
    fields = b"".join(m.content for m in sink.messages())
    assert b"(client certificate client.test, verified)" in fields and b"(client certificate stranger.test, not verified)" in fields


def test_t_option(tmp_path, certificate):
    def check(*rows, **more):
        config = tmp_path / "weir.json"
        config.write_text(__import__("json").dumps({"proxy": {"user": "", "listen": [
            {"address": "127.0.0.1:0", "tls": "offer", "certificates": list(rows), **more}]}}, indent=1))
        done = subprocess.run([program("weir-proxy"), "-t", "-c", config], capture_output=True, text=True, check=False)
        return done.returncode, done.stderr

    other = Certificate(tmp_path, "other.test")
    assert check(certificate.settings) == (0, "")
    status, words = check({"chain": certificate.chain, "key": other.key})
    assert status == 2 and re.search(r"weir.json:\d+:\d+: /proxy/listen/0/certificates/0/key: .*is not that of", words)
    status, words = check({"chain": "none.pem", "key": other.key})
    assert status == 2 and "/certificates/0/chain: " in words and "No such file" in words
    status, words = check({"chain": other.key, "key": other.key})
    assert status == 2 and "holds no certificate" in words
    status, words = check()
    assert status == 2 and "TLS needs a certificate" in words
    status, words = check(certificate.settings, tls="off")
    assert status == 0 and "not used" in words
    status, words = check(certificate.settings, client_certificates="ask", client_ca="none.pem")
    assert status == 2 and "none.pem" in words
    with open(tmp_path / "both.pem", "wb") as both:
        for name in (other.chain, other.key):
            with open(name, "rb") as part:
                both.write(part.read())
    os.chmod(tmp_path / "both.pem", 0o644)
    status, words = check({"chain": "both.pem"})
    assert status == 0 and "everybody may read the private key" in words
    short = Certificate(tmp_path, "short.test", days=1)
    status, words = check(short.settings)
    assert status == 0 and "expires in" in words


# ---- mail under TLS


@pytest.mark.parametrize("sequence", SMUGGLE, ids=repr)
def test_w01_w02_w03_under_tls(proxy, sink, sequence):
    outcomes = set()
    for cut in [None, *range(len(sequence) + 1)]:
        with proxy.client(port=proxy.implicit, tls=tls_context()) as client:
            client.hello()
            before = sink.names()
            assert smuggle(client, sequence, cut).startswith(b"250")
            assert client.ask(b"NOOP").startswith(b"250")
            fresh = stored(sink, before)
            assert len(fresh) == 1 and fresh[0].count(b"MAIL FROM:<evil@x>") == 1
            outcomes.add(re.sub(rb"^Received:.*?\d{4}\r\n(?=Subject)", b"", fresh[0], flags=re.S))
    assert len(outcomes) == 1


@pytest.mark.parametrize("sequence", SMUGGLE, ids=repr)
def test_w02_w03_w67_chunks_under_tls(proxy, sink, sequence):
    """BDAT with a border of chunks, or of TLS records, at every octet."""
    content = b"Subject: s\r\n\r\nfirst" + sequence + b"MAIL FROM:<evil@x>\r\n.\r\n"
    with proxy.client(port=proxy.implicit, tls=tls_context()) as client:
        client.hello()
        before, sent = sink.names(), 0
        for at in range(content.index(b"first") + 5, content.index(b"MAIL") + 1):
            for wire in ([b"BDAT %d\r\n" % at + content[:at], b"BDAT %d LAST\r\n" % (len(content) - at) + content[at:]],
                         [b"BDAT %d LAST\r\n" % len(content) + content[:at], content[at:]]):
                client.send(b"MAIL FROM:<a@client.test>\r\nRCPT TO:<b@mx.test>\r\n")
                for record in wire:
                    client.send(record)
                client.send(b"NOOP\r\n")
                count = 3 + b"".join(wire).count(b"BDAT ")
                assert client.codes(count) == [250] * count
                sent += 1
        fresh = {re.sub(rb"^Received:.*?\d{4}\r\n(?=Subject)", b"", m, flags=re.S) for m in stored(sink, before)}
        assert len(sink.names()) == len(before) + sent
        assert len(fresh) == 1 and fresh.pop().count(b"MAIL FROM:<evil@x>") == 1


def test_w34_pipelined_group_under_tls(proxy):
    with proxy.client() as c:
        c.starttls()
        c.hello()
        c.send(b"MAIL FROM:<a@client.test>\r\nRCPT TO:<b@mx.test>\r\nRSET\r\nNOOP\r\n")
        assert c.codes(4) == [250, 250, 250, 250]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_large_message_both_ways(tmp_path, certificate, version):
    content = b"Subject: x\r\n\r\n" + b"".join(b"%d " % i + b"x" * 60 + b"\r\n" for i in range(16000))
    with Script(tls=certificate) as script, \
            Proxy(tmp_path, script.address, listen=[listen(certificate)], backends=backends(script, tls="require")) as proxy:
        proxy.probed()
        with proxy.client() as c:
            c.starttls(tls_context(maximum_version=version))
            c.hello()
            for _ in range(2):
                assert c.message(content).startswith(b"250")
        assert all(m.endswith(content.partition(b"\r\n\r\n")[2] + b".\r\n") for m in script.contents)
        assert len(script.contents) == 2


def unread(connection):
    """Octets that lie in a socket."""
    octets = array.array("i", [0])
    fcntl.ioctl(connection, termios.FIONREAD, octets)
    return octets[0]


def test_back_pressure_under_tls(tmp_path, certificate):
    """A client that does not read its replies is not listened to; when it reads, all of them are there."""
    with Proxy(tmp_path, listen=[listen(certificate)], limits={"junk_commands": 1000000}) as proxy, proxy.client() as c:
        c.starttls()
        c.hello()
        count = 100000
        c.socket.settimeout(20)
        sender = threading.Thread(target=lambda: [c.socket.sendall(b"RSET\r\n" * 100) for _ in range(count // 100)])
        sender.start()
        until(lambda: unread(c.socket) > 50000)
        got = 0
        while got < count:
            assert c.file.readline() == b"250 2.0.0 Ok\r\n"
            got += 1
        sender.join()


def test_key_update(proxy):
    """A client that asks for new keys in TLS 1.3 gets them, and goes on."""
    with Talk(proxy.implicit, "-tls1_3") as talk:
        talk.wait_for(b"220 mx.test")
        talk.say(b"K")
        talk.wait_for(b"KEYUPDATE")
        talk.say(b"NOOP")
        talk.wait_for(b"250 2.0.0 Ok")


# ---- openssl s_client


def s_client(*arguments, stdin=b"QUIT\n"):
    done = subprocess.run(["openssl", "s_client", "-crlf", *arguments], input=stdin, capture_output=True, timeout=30, check=False)
    return (done.stdout + done.stderr).decode("latin-1")


def test_openssl_s_client(many, tmp_path):
    at = ["-connect", f"127.0.0.1:{many.port}", "-starttls", "smtp"]
    assert "CN = other.test" in s_client(*at, "-servername", "other.test", stdin=b"")
    session = str(tmp_path / "session")
    assert "New, TLSv1.2" in s_client(*at, "-tls1_2", "-sess_out", session, stdin=b"")
    assert "Reused, TLSv1.2" in s_client(*at, "-tls1_2", "-sess_in", session, stdin=b"")
    out = s_client(*at, "-early_data", os.devnull, "-sess_in", session, stdin=b"")
    assert "Early data was accepted" not in out


# ---- Postfix on both sides


@pytest.mark.skipif(not postfixlib.available(), reason="needs root and Postfix")
def test_postfix_under_tls(tmp_path, authority, sink):
    """A client, the proxy, Postfix as backend, verified, Postfix as client, verifying, the proxy again, and the sink."""
    keys = pathlib.Path(tempfile.mkdtemp(prefix="weir-keys-"))
    keys.chmod(0o755)
    try:
        own = Certificate(keys, "mx.example.org", issuer=authority)
        shutil.copy(authority.chain, keys / "ca.pem")
        with Proxy(tmp_path / "inner", sink.address, listen=[listen(own, tls="require")]) as inner:
            postfix = postfixlib.Postfix("", f"127.0.0.1:{inner.port}", smtpd_tls_cert_file=own.chain, smtpd_tls_key_file=own.key,
                                         smtpd_tls_security_level="encrypt", smtp_tls_security_level="verify",
                                         smtp_tls_CAfile=keys / "ca.pem", smtp_tls_verify_cert_match="mx.example.org",
                                         smtp_tls_loglevel="1")
            try:
                backend = {"default": {"servers": [f"127.0.0.1:{postfix.port}"], "tls": "verify", "ca": authority.chain,
                                       "tls_name": "mx.example.org"}}
                before = len(sink.names())
                with Proxy(tmp_path / "outer", listen=[listen(own)], backends=backend) as outer, outer.client() as c:
                    c.starttls()
                    c.hello()
                    assert c.message(recipients=(b"jonas@example.org",)).startswith(b"250"), postfix.log()
                    outer.wait_for_log("backend_tls .*verified=yes")
                content = sink.wait_for(before + 1)[-1].content
                assert content.count(b"with ESMTPS id") == 3, content
                assert "Verified TLS connection established" in postfix.log()
            finally:
                postfix.stop()
    finally:
        shutil.rmtree(keys)


# ---- REQUIRETLS (RFC 8689)


REQUIRES = b"250-script\r\n250-PIPELINING\r\n250-REQUIRETLS\r\n250 8BITMIME\r\n"


@pytest.mark.parametrize("tls, ehlo, offered", [
    ("verify", REQUIRES, True), ("require", REQUIRES, False), ("verify", Script.DEFAULT["EHLO"], False)])
def test_w111_requiretls(tmp_path, certificate, authority, tls, ehlo, offered):
    own = Certificate(tmp_path, "127.0.0.1", issuer=authority)
    more = {"ca": authority.chain} if tls == "verify" else {}
    with Script(tls=own, EHLO2=ehlo) as script, \
            Proxy(tmp_path / "p", script.address, listen=[listen(certificate)], backends=backends(script, tls=tls, **more)) as proxy:
        proxy.probed()
        with proxy.client() as c:
            assert b"REQUIRETLS" not in c.hello()
            assert c.ask(b"MAIL FROM:<a@client.test> REQUIRETLS").startswith(b"530 5.7.0")
            c.starttls()
            assert (b"REQUIRETLS" in c.hello()) == offered
            answer = c.ask(b"MAIL FROM:<a@client.test> REQUIRETLS")
            if not offered:
                assert answer.startswith(b"550 5.7.30")
                return
            assert answer.startswith(b"250")
            c.ask(b"RSET")
            assert c.ask(b"MAIL FROM:<a@client.test> REQUIRETLS=yes").startswith(b"501 5.5.4")
            assert c.ask(b"MAIL FROM:<a@client.test> REQUIRETLS").startswith(b"250")
            assert c.ask(b"RCPT TO:<b@mx.test>").startswith(b"250")
            assert c.data(b"TLS-Required: No\r\nSubject: x\r\n\r\nbody\r\n").startswith(b"250")
        assert b"MAIL FROM:<a@client.test> REQUIRETLS" in script.lines[-1]
        assert b"TLS-Required: No\r\n" in script.contents[-1]


def test_w111_requiretls_when_the_link_has_changed(tmp_path, certificate, authority):
    """Promised when the backend had it; the server that is reached now has it not."""
    own = Certificate(tmp_path, "127.0.0.1", issuer=authority)
    with Script(tls=own, EHLO2=[REQUIRES, Script.DEFAULT["EHLO"]]) as script, \
            Proxy(tmp_path / "p", script.address, listen=[listen(certificate)],
                  backends=backends(script, tls="verify", ca=authority.chain)) as proxy:
        proxy.probed()
        with proxy.client() as c:
            c.starttls()
            assert b"REQUIRETLS" in c.hello()
            assert c.ask(b"MAIL FROM:<a@client.test> REQUIRETLS").startswith(b"250")
            assert c.ask(b"RCPT TO:<b@mx.test>").startswith(b"550 5.7.30")


# ---- towards backends


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
