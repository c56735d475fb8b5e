"""Who the client is: PROXY protocol (W108), XCLIENT (W105), the name of his address, health checks
(W114). The trusted peer comes from 127.0.0.2, everybody else from 127.0.0.1."""

import contextlib
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import time

import pytest

from authlib import AuthScript, plain
from dnslib import SERVFAIL, NameServer, reverse
from fakemilter import Filter
from milterdlib import Milterd
from proxylib import Certificate, Proxy, tls_context
from sinklib import Sink

BALANCER = "127.0.0.2"
V1 = b"PROXY TCP4 192.0.2.7 198.51.100.1 56288 25\r\n"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def v2(*tlvs, command=0x21, family=0x11, block=None):
    if block is None:
        block = socket.inet_aton("192.0.2.7") + socket.inet_aton("198.51.100.1") \
            + struct.pack(">HH", 56288, 25)
    body = block + b"".join(tlvs)
    return SIGNATURE + bytes([command, family]) + struct.pack(">H", len(body)) + body


def tlv(kind, value):
    return bytes([kind]) + struct.pack(">H", len(value)) + value


def crc32c(octets):
    crc = 0xffffffff
    for octet in octets:
        crc ^= octet
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def checked(*tlvs):
    """A header with its checksum in the last TLV."""
    head = v2(*tlvs, tlv(3, b"\0\0\0\0"))
    return head[:-4] + struct.pack(">I", crc32c(head))


V6 = v2(family=0x21, block=socket.inet_pton(socket.AF_INET6, "2001:db8::7")
        + socket.inet_pton(socket.AF_INET6, "2001:db8::1") + struct.pack(">HH", 1, 25))
TLS = tlv(0x20, b"\x07\0\0\0\0" + tlv(0x21, b"TLSv1.3") + tlv(0x22, b"Alice A")
          + tlv(0x23, b"TLS_AES_256_GCM_SHA384"))


def listen(**more):
    return [{"address": "127.0.0.1:0", **more}]


def behind(*networks):
    return listen(proxy_protocol={"from": list(networks or ["127.0.0.2"])})


@pytest.fixture(scope="module")
def sink(tmp_path_factory):
    with Sink(tmp_path_factory.mktemp("sink") / "mail") as s:
        yield s


@pytest.fixture(scope="module")
def filter_(tmp_path_factory):
    with Filter(tmp_path_factory.mktemp("filter")) as f:
        yield f


@pytest.fixture(scope="module")
def proxy(sink, filter_, tmp_path_factory):
    with Proxy(tmp_path_factory.mktemp("proxy"), sink.address, listen=behind(),
               timeouts={"proxy_header_s": 1}, limits={"sessions_per_client": 1000},
               filters=[{"name": "f", "socket": filter_.address}]) as p:
        yield p.probed()


def balanced(proxy, header, **options):
    """A session through the balancer, or b"" as its banner."""
    client = proxy.client(source=BALANCER, banner=False, **options)
    client.send(header)
    client.banner = client.reply()
    return client


def connect_of(filter_):
    """Address text and port that the filter was told last."""
    host, rest = filter_.payloads("C")[-1].split(b"\0", 1)
    return host.decode(), rest[:1].decode(), rest[3:-1].decode(), struct.unpack(">H", rest[1:3])[0]


# ---- PROXY protocol ----------------------------------------------------------------------------

@pytest.mark.parametrize("header, host, family, address, port", [
    (V1, "[192.0.2.7]", "4", "192.0.2.7", 56288),
    (b"PROXY TCP6 2001:db8::7 2001:db8::1 1 25\r\n", "[2001:db8::7]", "6", "2001:db8::7", 1),
    (b"PROXY UNKNOWN\r\n", "[127.0.0.2]", "4", "127.0.0.2", None),
    (b"PROXY UNKNOWN what ever 1 2\r\n", "[127.0.0.2]", "4", "127.0.0.2", None),
    (v2(), "[192.0.2.7]", "4", "192.0.2.7", 56288),
    (V6, "[2001:db8::7]", "6", "2001:db8::7", 1),
    (v2(command=0x20), "[127.0.0.2]", "4", "127.0.0.2", None),
    (v2(command=0x20, family=0, block=b""), "[127.0.0.2]", "4", "127.0.0.2", None),
    (v2(tlv(0xee, b"who knows"), tlv(0x30, b"")), "[192.0.2.7]", "4", "192.0.2.7", 56288),
    (checked(), "[192.0.2.7]", "4", "192.0.2.7", 56288),
    (checked(tlv(4, b"\0" * 100), TLS), "[192.0.2.7]", "4", "192.0.2.7", 56288),
], ids=["v1", "v1 v6", "unknown", "unknown and more", "v2", "v2 v6", "local", "local bare",
        "foreign TLVs", "checksum", "checksum and TLVs"])
def test_w108_client_of_the_header(proxy, filter_, sink, header, host, family, address, port):
    before = sink.names()
    with balanced(proxy, header) as client:
        assert client.banner.startswith(b"220")
        client.hello()
        assert client.message().startswith(b"250")
        told = connect_of(filter_)
        assert told[:3] == (host, family, address)
        assert port is None or told[3] == port
    stored, = [m for m in sink.messages() if m.name not in before]
    literal = f"[IPv6:{address}]" if family == "6" else f"[{address}]"
    assert f"from client.test ({literal})".encode() in stored.content


def test_w108_macros_of_the_header(proxy, filter_):
    header = v2(tlv(5, b"id-17"), tlv(2, b"mx2.test"), TLS)
    with balanced(proxy, header) as client:
        client.hello()
        client.ask(b"MAIL FROM:<a@x>")
        of_connect, of_mail = filter_.macros("C"), filter_.macros("M")
        assert of_connect["{daemon_addr}"] == "198.51.100.1"
        assert of_connect["{client_addr}"] == "192.0.2.7"
        assert of_connect["{client_port}"] == "56288"
        assert of_mail["{weir_unique_id}"] == "id-17"
        of_helo = filter_.macros("H")
        assert of_helo["{tls_version}"] == "TLSv1.3"
        assert of_helo["{cipher}"] == "TLS_AES_256_GCM_SHA384"
        assert of_helo["{cert_subject}"] == "/CN=Alice?A" and of_helo["{verify}"] == "OK"
        assert of_helo["{tls_sni}"] == "mx2.test"
        client.ask(b"RCPT TO:<b@mx.test>")
        client.data()
        proxy.wait_for_log("message id=.* front_id=id-17")


def test_w108_unique_id_that_is_no_text(proxy, filter_):
    with balanced(proxy, v2(tlv(5, b"\0\x01\xff"))) as client:
        client.hello()
        client.ask(b"MAIL FROM:<a@x>")
        assert filter_.macros("M")["{weir_unique_id}"] == "0001ff"


@pytest.mark.parametrize("header", [V1, v2(tlv(5, b"x")), checked()], ids=["v1", "v2", "checksum"])
def test_w108_split_at_every_octet(proxy, header):
    """Nothing is said before the last octet, and it is the same header."""
    for cut in range(1, len(header)):
        with proxy.client(source=BALANCER, banner=False) as client:
            client.send(header[:cut])
            time.sleep(0.002)
            client.socket.setblocking(False)
            with pytest.raises(BlockingIOError):
                client.socket.recv(1)
            client.socket.settimeout(20)
            client.send(header[cut:])
            assert client.reply().startswith(b"220")


def test_w108_one_octet_at_a_time(proxy):
    with proxy.client(source=BALANCER, banner=False) as client:
        for octet in v2(TLS):
            client.send(bytes([octet]))
            time.sleep(0.0005)
        assert client.reply().startswith(b"220")


@pytest.mark.parametrize("octets", [
    b"EHLO x\r\n", b"PROXY TCP9 1.2.3.4 1.2.3.4 1 2\r\n", b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
    b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n", b"PROXY " + b"x" * 200, b"\x16\x03\x01\x02\0",
    v2()[:12] + b"\x31" + v2()[13:], v2(family=0x12), v2(block=b"abc"), v2(b"\x05\xff\xff"),
    checked()[:-1] + b"\0", SIGNATURE + b"\x21\x11\xff\xff",
], ids=["SMTP", "protocol", "words", "bare LF", "endless", "TLS", "version", "UDP", "short", "TLV",
        "checksum", "huge"])
def test_w108_bad_header_is_dropped_without_a_word(proxy, octets):
    with balanced(proxy, octets) as client:
        assert client.banner == b""


def test_w108_absent_header_times_out(proxy):
    begun = time.monotonic()
    with proxy.client(source=BALANCER, banner=False) as client:
        for octet in V1[:-2]:
            try:
                client.send(bytes([octet]))
            except OSError:
                break
            time.sleep(0.05)
        assert client.reply() == b""
    assert time.monotonic() - begun > 0.9
    proxy.wait_for_log("proxy_header peer=127.0.0.2 error=\"no header in time")


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize("header", [V1, v2()], ids=["v1", "v2"])
def test_w108_header_of_somebody_else(proxy, header, early):
    """An ordinary client is greeted without one, and is no client of SMTP with one."""
    with proxy.client() as client:
        assert client.banner.startswith(b"220")
        client.hello()
    with proxy.client(banner=not early) as client:
        client.send(header)
        answers = [client.reply(), client.reply(), client.reply()]
        assert answers[-1] == b"" and not any(a.startswith(b"250") for a in answers)


def test_w108_early_talk_is_what_follows_the_header(proxy):
    """W33 begins behind the header, whether or not it comes in the same segment."""
    with balanced(proxy, V1 + b"EHLO x\r\n") as client:
        assert client.banner.startswith(b"554 5.5.0") and client.reply() == b""
    with balanced(proxy, V1) as client:
        assert client.hello().startswith(b"250")


def test_w108_counted_for_the_client(sink, tmp_path):
    """A limit for each client is none for the balancer, and holds over both ways in."""
    def header(last):
        return b"PROXY TCP4 192.0.2.%d 198.51.100.1 1 25\r\n" % last

    with Proxy(tmp_path, sink.address, listen=behind(), limits={"sessions_per_client": 2}) as proxy:
        clients = [balanced(proxy, header(n)) for n in (1, 1, 2, 2, 3)]
        assert all(c.banner.startswith(b"220") for c in clients)
        with balanced(proxy, header(1)) as one_more:
            assert one_more.banner.startswith(b"421 4.7.0") and one_more.reply() == b""
        clients[0].close()
        proxy.wait_for_log("session_end")
        with balanced(proxy, header(1)) as again:
            assert again.banner.startswith(b"220")
        for c in clients:
            c.close()


def test_w108_waiting_connections_end_with_the_worker(sink, tmp_path):
    """A stop and a reload while a header is awaited; the waiting ones count as sessions."""
    with Proxy(tmp_path, sink.address, listen=behind()) as proxy:
        with proxy.client(source=BALANCER, banner=False) as waiting:
            waiting.send(V1[:9])
            deadline = time.monotonic() + 10
            while proxy.control("status")["sessions"] != 1:
                assert time.monotonic() < deadline
            assert proxy.control("reload")["ok"]
            waiting.send(V1[9:])
            assert waiting.reply().startswith(b"220")
        with proxy.client(source=BALANCER, banner=False) as waiting:
            waiting.send(V1[:9])
            while proxy.control("status")["sessions"] != 1:
                assert time.monotonic() < deadline
            assert proxy.stop() == 0
            assert waiting.reply() == b""


# ---- and TLS -------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def secure(sink, filter_, tmp_path_factory):
    """Listeners: implicit, require; both behind the balancer."""
    folder = tmp_path_factory.mktemp("secure")
    certificate = Certificate(folder, "mx.test")
    from_balancer = {"proxy_protocol": {"from": ["127.0.0.2"]}, "certificates": [certificate.settings]}
    with Proxy(folder, sink.address,
               listen=listen(tls="implicit", **from_balancer) + listen(tls="require", **from_balancer),
               filters=[{"name": "f", "socket": filter_.address}]) as p:
        p.probed()
        p.implicit, p.require = p.ports(2)
        yield p


@pytest.mark.parametrize("header", [V1, v2(TLS)], ids=["v1", "v2"])
def test_w108_header_stands_before_the_handshake(secure, filter_, header):
    raw = socket.create_connection((secure.host, secure.implicit), 20, source_address=(BALANCER, 0))
    raw.sendall(header)
    with tls_context().wrap_socket(raw, server_hostname="mx.test") as s:
        file = s.makefile("rwb", buffering=0)
        assert file.readline().startswith(b"220")
        file.write(b"EHLO client.test\r\n")
        assert file.readline().startswith(b"250")
        assert filter_.macros("C")["{client_addr}"] == "192.0.2.7"
        file.close()


def test_w24_w108_tls_that_was_ended_in_front_counts(secure, sink):
    """A listener that requires TLS has it: the balancer says so. The link itself is in the clear."""
    with balanced(secure, v2(TLS), port=secure.require) as client:
        assert b"STARTTLS" not in client.hello() and client.message().startswith(b"250")
    assert b" with ESMTPS id " in sink.messages()[-1].content
    with balanced(secure, V1, port=secure.require) as client:
        assert b"STARTTLS" in client.hello()
        assert client.ask(b"MAIL FROM:<a@x>").startswith(b"530 5.7.0")


def test_w20_w31_nothing_behind_starttls_is_noted_away(sink, tmp_path):
    """Whatever protocol_violations says."""
    certificate = Certificate(tmp_path, "mx.test")
    with Proxy(tmp_path, sink.address, listen=listen(
            tls="offer", certificates=[certificate.settings], protocol_violations="note")) as proxy, \
            proxy.client() as client:
        client.hello()
        client.send(b"STARTTLS\r\nNOOP\r\n")
        assert client.reply().startswith(b"554 5.5.0") and client.reply() == b""


# ---- health checks -----------------------------------------------------------------------------

@pytest.fixture(scope="module")
def quiet(sink, filter_, tmp_path_factory):
    with Proxy(tmp_path_factory.mktemp("quiet"), sink.address, listen=behind(), log={"level": "info"},
               filters=[{"name": "f", "socket": filter_.address}]) as p:
        yield p


def settled(proxy):
    deadline = time.monotonic() + 10
    while proxy.control("status")["sessions"] > 0:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("header", [None, b"PROXY UNKNOWN\r\n", v2(command=0x20)],
                         ids=["direct", "v1 UNKNOWN", "v2 LOCAL"])
@pytest.mark.parametrize("way", ["quit", "reset", "close", "quit at once"])
def test_w114_health_check_is_quiet(quiet, filter_, header, way):
    """Nothing in the log that an admin would be shown, and nothing to the filters."""
    log, told = quiet.log, len(filter_.connections)
    client = quiet.client() if header is None else balanced(quiet, header)
    with client:
        assert client.banner.startswith(b"220")
        if way == "quit":
            assert client.ask(b"QUIT").startswith(b"221")
        elif way == "quit at once":
            client.send(b"QUIT\r\n")
        elif way == "reset":
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    settled(quiet)
    assert quiet.log == log and len(filter_.connections) == told


@pytest.mark.parametrize("reset", [True, False])
def test_w114_check_of_the_port_alone(quiet, reset):
    """Connect and close, without a header."""
    log = quiet.log
    client = quiet.client(source=BALANCER, banner=False)
    if reset:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    settled(quiet)
    assert quiet.log == log


# ---- XCLIENT -----------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def trusting(sink, filter_, tmp_path_factory):
    with Proxy(tmp_path_factory.mktemp("trusting"), sink.address,
               listen=listen(xclient={"from": ["127.0.0.2"]}), limits={"sessions_per_client": 3},
               filters=[{"name": "f", "socket": filter_.address}]) as p:
        yield p.probed()


@pytest.fixture
def front(trusting):
    with trusting.client(source=BALANCER) as c:
        yield c


def test_w105_offered_to_the_trusted_only(trusting, front):
    assert b"XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT REVERSE_NAME" in front.hello()
    assert b"XCLIENT" not in front.ask(b"HELO x")
    with trusting.client() as other:
        assert b"XCLIENT" not in other.hello()
        assert other.ask(b"XCLIENT ADDR=192.0.2.7").startswith(b"550 5.7.0")


@pytest.mark.parametrize("attributes, host, family, address", [
    (b"ADDR=192.0.2.7 PORT=1234", "[192.0.2.7]", "4", "192.0.2.7"),
    (b"ADDR=IPV6:2001:db8::7 PORT=1234", "[2001:db8::7]", "6", "2001:db8::7"),
    (b"addr=192.0.2.7 port=1234 Name=mail.example.test", "mail.example.test", "4", "192.0.2.7"),
    (b"NAME=[UNAVAILABLE] ADDR=192.0.2.7", "[192.0.2.7]", "4", "192.0.2.7"),
    (b"NAME=[TEMPUNAVAIL] ADDR=192.0.2.7", "[192.0.2.7]", "4", "192.0.2.7"),
    (b"NAME=a+2Db.test ADDR=192.0.2.7", "a-b.test", "4", "192.0.2.7"),
    (b"ADDR=[UNAVAILABLE]", "unknown", "U", ""),
])
def test_w105_new_identity(front, filter_, attributes, host, family, address):
    front.hello()
    assert front.ask(b"XCLIENT " + attributes).startswith(b"220 mx.test")
    assert front.ask(b"MAIL FROM:<a@x>").startswith(b"503 5.5.1")
    assert front.ask(b"EHLO other.test").startswith(b"250")
    payload = filter_.payloads("C")[-1]
    assert payload.split(b"\0")[0].decode() == host
    assert payload.split(b"\0", 1)[1][:1].decode() == family
    assert address.encode() in payload
    assert filter_.payloads("H")[-1] == b"other.test\0"
    assert front.message().startswith(b"250")


def test_w105_old_filter_session_ends(front, filter_):
    """The filters get QUIT, and meet the new client as a new connection."""
    front.hello()
    old = len(filter_.connections)
    assert filter_.trace().endswith("H")
    front.ask(b"XCLIENT ADDR=192.0.2.7")
    filter_.wait_for("Q", old - 1)
    assert len(filter_.connections) == old
    front.hello()
    assert filter_.trace().endswith("CH") and len(filter_.connections) == old + 1


def test_w105_macros(front, filter_):
    front.ask(b"XCLIENT ADDR=192.0.2.7 PORT=77 NAME=mail.example.test LOGIN=alice "
              b"DESTADDR=198.51.100.1 DESTPORT=25")
    front.hello()
    front.ask(b"MAIL FROM:<a@x>")
    connect, mail = filter_.macros("C"), filter_.macros("M")
    assert connect["{client_addr}"] == "192.0.2.7" and connect["{client_port}"] == "77"
    assert connect["{client_name}"] == "mail.example.test"
    assert connect["_"] == "mail.example.test [192.0.2.7]"
    assert connect["{client_resolve}"] == "OK" and connect["{daemon_addr}"] == "198.51.100.1"
    assert mail["{auth_authen}"] == "alice"


@pytest.mark.parametrize("attributes, resolve, ptr", [
    (b"NAME=[UNAVAILABLE]", "FAIL", "unknown"),
    (b"NAME=[TEMPUNAVAIL]", "TEMP", "unknown"),
    (b"NAME=[UNAVAILABLE] REVERSE_NAME=forged.test", "FORGED", "forged.test"),
    (b"NAME=a.test REVERSE_NAME=a.test", "OK", "a.test"),
])
def test_w105_names(front, filter_, attributes, resolve, ptr):
    front.ask(b"XCLIENT ADDR=192.0.2.7 " + attributes)
    front.hello()
    connect = filter_.macros("C")
    assert connect["{client_resolve}"] == resolve and connect["{client_ptr}"] == ptr


def test_w105_a_login_is_not_inherited(front, filter_):
    """A kept connection speaks for one after the other."""
    front.ask(b"XCLIENT ADDR=192.0.2.7 LOGIN=alice NAME=a.test")
    front.ask(b"XCLIENT ADDR=192.0.2.8")
    front.hello()
    front.ask(b"MAIL FROM:<a@x>")
    assert filter_.macros("C")["{client_name}"] == "[192.0.2.8]"
    assert "{auth_authen}" not in filter_.macros("M")


def test_w105_the_proxys_own_login_is_not_the_clients(sink, filter_, tmp_path):
    with AuthScript(tmp_path / "a") as checker, Proxy(
            tmp_path / "p", sink.address, filters=[{"name": "f", "socket": filter_.address}],
            listen=listen(auth="dovecot:" + checker.path, auth_plaintext=True, auth_required=True,
                          xclient={"from": ["127.0.0.2"]})) as proxy:
        with proxy.client(source=BALANCER) as front:
            front.hello()
            assert front.ask(b"AUTH PLAIN " + plain(b"anna", b"secret")).startswith(b"235")
            assert front.ask(b"MAIL FROM:<a@x>").startswith(b"250")
            assert filter_.macros("M")["{auth_authen}"] == "anna"
            assert front.ask(b"RSET", b"XCLIENT ADDR=192.0.2.7").startswith(b"220")
            front.hello()
            assert front.ask(b"MAIL FROM:<a@x>").startswith(b"530 5.7.0")


def test_w105_attributes_over_several_commands(front, filter_):
    front.ask(b"XCLIENT ADDR=192.0.2.7")
    front.ask(b"XCLIENT NAME=a.test LOGIN=alice")
    front.hello()
    front.ask(b"MAIL FROM:<a@x>")
    assert filter_.macros("C")["{client_name}"] == "a.test"
    assert filter_.macros("C")["{client_addr}"] == "192.0.2.7"
    assert filter_.macros("M")["{auth_authen}"] == "alice"


@pytest.mark.parametrize("line, answer", [
    (b"XCLIENT", b"501 5.5.4"), (b"XCLIENT FOO=bar", b"501 5.5.4"), (b"XCLIENT ADDR", b"501 5.5.4"),
    (b"XCLIENT ADDR=", b"501 5.5.4"), (b"XCLIENT ADDR=1.2.3", b"501 5.5.4"),
    (b"XCLIENT ADDR=2001:db8::7", b"501 5.5.4"), (b"XCLIENT ADDR=IPV6:192.0.2.7", b"501 5.5.4"),
    (b"XCLIENT ADDR=192.0.2.7+00", b"501 5.5.4"), (b"XCLIENT ADDR=192.0.2.7+0", b"501 5.5.4"),
    (b"XCLIENT PORT=65536", b"501 5.5.4"), (b"XCLIENT PROTO=LMTP", b"501 5.5.4"),
    (b"XCLIENT NAME=a+0D+0Ab", b"501 5.5.4"), (b"XCLIENT NAME=a+20b", b"501 5.5.4"),
    (b"XCLIENT HELO=a+20b", b"220"), (b"XCLIENT HELO=a+0Ab", b"501 5.5.4"), (b"XCLIENT LOGIN=", b"501 5.5.4"),
    (b"XCLIENT NAME=" + b"a" * 300, b"501 5.5.4"), (b"XCLIENT ADDR=192.0.2.7 FOO=1", b"501 5.5.4"),
    (b"XCLIENT PROTO=ESMTP HELO=x.test", b"220"), (b"XCLIENT TTL=5", b"220"),
    (b"XCLIENT TTL=0", b"550 5.4.6"),
])
def test_w105_w107_attributes(front, filter_, line, answer):
    front.hello()
    assert front.ask(line).startswith(answer)


def test_w105_not_in_a_transaction(front, filter_):
    front.hello()
    front.ask(b"MAIL FROM:<a@x>")
    assert front.ask(b"XCLIENT ADDR=192.0.2.7").startswith(b"503 5.5.1")
    assert front.ask(b"RCPT TO:<b@mx.test>").startswith(b"250")


def test_w105_counted_for_the_client(trusting):
    """Not for the proxy that speaks for him."""
    sessions = [trusting.client(source=BALANCER) for _ in range(3)]
    try:
        for s in sessions:
            assert s.ask(b"XCLIENT ADDR=203.0.113.9").startswith(b"220")
        deadline = time.monotonic() + 10
        while True:  # a session of the test before may be about to end
            with trusting.client(source=BALANCER) as one_more:
                if one_more.banner.startswith(b"220"):
                    assert one_more.ask(b"XCLIENT ADDR=203.0.113.9").startswith(b"421 4.7.0")
                    assert one_more.reply() == b""
                    break
            assert time.monotonic() < deadline
    finally:
        for s in sessions:
            s.close()


def test_w105_w108_trust_is_of_the_client_behind_the_balancer(sink, tmp_path):
    """A client does not become trusted by coming through the balancer, nor lose it."""
    both = listen(proxy_protocol={"from": ["127.0.0.2"]}, xclient={"from": ["127.0.0.2", "192.0.2.7"]})
    with Proxy(tmp_path, sink.address, listen=both) as proxy:
        with balanced(proxy, V1) as client:
            assert b"XCLIENT" in client.hello()
        with balanced(proxy, V1.replace(b"192.0.2.7", b"192.0.2.8")) as client:
            assert b"XCLIENT" not in client.hello()
            assert client.ask(b"XCLIENT ADDR=192.0.2.7").startswith(b"550")


# ---- real peers ----------------------------------------------------------------------------------

HAPROXY, NGINX, SWAKS = (shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin")
                         for name in ("haproxy", "nginx", "swaks"))


def free_port():
    """A port that nobody had a moment ago, for peers that cannot tell theirs."""
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


@contextlib.contextmanager
def peer(argv, port):
    """A foreign program that listens on port."""
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 20
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    assert process.poll() is None and time.monotonic() < deadline, argv
                    time.sleep(0.02)
            yield
        finally:
            process.terminate()


def haproxy(folder, port, server, certificate=None):
    tls = f" ssl crt {certificate}" if certificate else ""
    config = folder / "haproxy.cfg"
    config.write_text(f"""
defaults
    mode tcp
    timeout connect 5s
    timeout client 20s
    timeout server 20s
frontend f
    bind 127.0.0.1:{port}{tls}
    unique-id-format "id-%pid-%rt"
    default_backend b
backend b
    source 127.0.0.2
    server s {server}
""")
    return [HAPROXY, "-f", str(config), "-db"]


@pytest.mark.skipif(not HAPROXY, reason="needs haproxy")
@pytest.mark.parametrize("how", ["send-proxy", "send-proxy-v2 proxy-v2-options unique-id,crc32c"])
def test_w108_behind_haproxy(proxy, filter_, tmp_path, how):
    port = free_port()
    with peer(haproxy(tmp_path, port, f"127.0.0.1:{proxy.port} {how}"), port):
        with proxy.client(port=port, source="127.0.0.9") as client:
            client.hello()
            assert client.message().startswith(b"250")
            assert connect_of(filter_)[2] == "127.0.0.9"
            assert connect_of(filter_)[3] == client.socket.getsockname()[1]
            if "unique-id" in how:
                assert filter_.macros("M")["{weir_unique_id}"].startswith("id-")


@pytest.mark.skipif(not HAPROXY, reason="needs haproxy")
def test_w108_tls_ended_by_haproxy(proxy, filter_, tmp_path):
    port, certificate = free_port(), Certificate(tmp_path, "mx.test")
    both = tmp_path / "both.pem"
    both.write_bytes(b"".join(open(p, "rb").read() for p in (certificate.chain, certificate.key)))
    how = f"127.0.0.1:{proxy.port} send-proxy-v2-ssl-cn proxy-v2-options ssl,cert-cn,ssl-cipher,authority"
    with peer(haproxy(tmp_path, port, how, both), port):
        with proxy.client(port=port, tls=tls_context(), name="mx.test") as client:
            client.hello()
            helo = filter_.macros("H")
            assert helo["{tls_version}"] == "TLSv1.3" and helo["{cipher}"].startswith("TLS_")
            assert helo["{tls_sni}"] == "mx.test" and helo["{verify}"] == "NO"


@pytest.mark.skipif(not HAPROXY, reason="needs haproxy")
@pytest.mark.parametrize("check, option", [
    ("check check-send-proxy", ""), ("check send-proxy-v2 check-send-proxy", ""),
    ("check send-proxy-v2 check-send-proxy", "option smtpchk HELO lb"),
])
def test_w114_checked_by_haproxy(quiet, filter_, tmp_path, check, option):
    """Its checks of the port, with a LOCAL header, and of SMTP. One that says HELO is asked about."""
    log, told, port = quiet.log, len(filter_.connections), free_port()
    before = quiet.control("status")["sessions_total"]
    with peer(haproxy(tmp_path, port, f"127.0.0.1:{quiet.port} {check} inter 50ms\n    {option}"), port):
        deadline = time.monotonic() + 10
        while quiet.control("status")["sessions_total"] < before + 4:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    settled(quiet)
    assert quiet.log == log and (option or len(filter_.connections) == told)


@pytest.mark.skipif(not SWAKS, reason="needs swaks")
def test_w105_swaks(trusting, filter_):
    """In two commands, as it likes."""
    done = subprocess.run(
        [SWAKS, "--server", "127.0.0.1", "--port", str(trusting.port), "--local-interface", BALANCER,
         "--helo", "swaks.test", "--from", "a@client.test", "--to", "b@mx.test",
         "--xclient-addr", "192.0.2.7", "--xclient-name", "mail.example.test", "--xclient-port", "99",
         "--xclient-delim", "--xclient-login", "alice", "--xclient-helo", "an odd one"],
        capture_output=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout
    assert connect_of(filter_) == ("mail.example.test", "4", "192.0.2.7", 99)
    assert filter_.payloads("H")[-1] == b"swaks.test\0"


@pytest.mark.skipif(not SWAKS, reason="needs swaks")
@pytest.mark.parametrize("version", [1, 2])
def test_w108_swaks(proxy, filter_, version):
    done = subprocess.run(
        [SWAKS, "--server", "127.0.0.1", "--port", str(proxy.port), "--local-interface", BALANCER,
         "--from", "a@client.test", "--to", "b@mx.test", "--proxy-version", str(version),
         "--proxy-family", "TCP4" if version == 1 else "AF_INET",
         "--proxy-source", "192.0.2.7", "--proxy-source-port", "99",
         "--proxy-dest", "198.51.100.1", "--proxy-dest-port", "25",
         *(["--proxy-protocol", "STREAM", "--proxy-command", "PROXY"] if version == 2 else [])],
        capture_output=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert connect_of(filter_)[2:] == ("192.0.2.7", 99)


# ---- the client's name -------------------------------------------------------------------------

NAMES = {
    "192.0.2.1": "good.test", "good.test": ["192.0.2.99", "192.0.2.1"],
    "192.0.2.2": "forged.test", "forged.test": ["192.0.2.1"],
    "192.0.2.3": "nowhere.test",
    "192.0.2.4": SERVFAIL,
    "192.0.2.6": "half.test", "half.test": SERVFAIL,
    "192.0.2.8": "10.0.0.1",
    "192.0.2.9": "bad name.test",
    "192.0.2.10": None,
    "2001:db8::1": "six.test", "six.test": ["2001:db8::1"],
}


def named(folder, sink, server, *filters, seconds=2, **timeouts):
    return Proxy(folder, sink.address, listen=behind(), dns={"servers": [server]},
                 timeouts={"client_name_s": seconds, **timeouts},
                 filters=[{"name": "f", "socket": f.address} for f in filters])


@pytest.fixture(scope="module")
def name_server():
    with NameServer(NAMES) as n:
        yield n


@pytest.fixture(scope="module")
def naming(sink, filter_, name_server, tmp_path_factory):
    with named(tmp_path_factory.mktemp("naming"), sink, name_server.address, filter_) as p:
        yield p.probed()


def header_for(address):
    six = ":" in address
    return f"PROXY TCP{6 if six else 4} {address} {'::1' if six else '198.51.100.1'} 1 25\r\n".encode()


@pytest.mark.parametrize("address, name, ptr, resolve", [
    ("192.0.2.1", "good.test", "good.test", "OK"),
    ("2001:db8::1", "six.test", "six.test", "OK"),
    ("192.0.2.2", None, "forged.test", "FORGED"),
    ("192.0.2.3", None, "nowhere.test", "FORGED"),
    ("192.0.2.4", None, "unknown", "TEMP"),
    ("192.0.2.5", None, "unknown", "FAIL"),
    ("192.0.2.6", None, "half.test", "TEMP"),
    ("192.0.2.8", None, "unknown", "FAIL"),
    ("192.0.2.9", None, "unknown", "FAIL"),
    ("127.0.0.1", "localhost", "localhost", "OK"),
])
def test_name_of_the_client(naming, filter_, sink, address, name, ptr, resolve):
    before = sink.names()
    with balanced(naming, header_for(address)) as client:
        client.hello()
        assert client.message().startswith(b"250")
        connect = filter_.macros("C")
        assert filter_.payloads("C")[-1].split(b"\0")[0].decode() == (name or f"[{address}]")
        assert connect["{client_name}"] == (name or f"[{address}]")
        assert connect["{client_ptr}"] == ptr and connect["{client_resolve}"] == resolve
    stored, = [m for m in sink.messages() if m.name not in before]
    literal = f"[IPv6:{address}]" if ":" in address else f"[{address}]"
    assert f"from client.test ({name + ' ' if name else ''}{literal})".encode() in stored.content


def test_name_is_asked_for_once(naming, name_server):
    address = "192.0.2.77"
    for _ in range(5):
        with balanced(naming, header_for(address)) as client:
            client.hello()
    assert name_server.asked.count("77.2.0.192.in-addr.arpa") == 1


def test_name_is_not_awaited_for_the_greeting(sink, filter_, tmp_path):
    """It comes although the name would be waited for longer than this client waits."""
    with NameServer({}, held=True) as silent, \
            named(tmp_path, sink, silent.address, filter_, seconds=60) as proxy, \
            balanced(proxy, header_for("192.0.2.1")) as client:
        assert client.banner.startswith(b"220")


def test_name_server_that_is_silent(sink, filter_, tmp_path):
    """The wait is bounded, and after three failures nobody is asked, or waited for."""
    clients = [f"192.0.2.{n}" for n in range(6)]
    with NameServer({address: None for address in clients}) as silent, \
            named(tmp_path, sink, silent.address, filter_, seconds=1) as proxy:
        for address in clients:
            with balanced(proxy, header_for(address)) as client:
                assert client.hello().startswith(b"250")
            assert filter_.macros("C")["{client_resolve}"] == "TEMP"
    assert set(silent.asked) == {reverse(address) for address in clients[:3]}


def test_name_is_awaited_for_the_received_field(sink, tmp_path):
    """Without filters HELO does not wait, DATA does."""
    table = {"192.0.2.1": "good.test", "good.test": ["192.0.2.1"]}
    with NameServer(table, held=True) as server, \
            named(tmp_path, sink, server.address, seconds=60) as proxy, \
            balanced(proxy, header_for("192.0.2.1")) as client:
        client.envelope()
        client.send(b"DATA\r\n")
        assert select.select([client.socket], [], [], 0.2)[0] == []
        server.release()
        assert client.reply().startswith(b"354")
        client.send(b".\r\n")
        assert client.reply().startswith(b"250")
        assert b"(good.test [192.0.2.1])" in sink.messages()[-1].content


def test_client_leaves_while_his_name_is_looked_up(sink, filter_, tmp_path):
    with NameServer({f"192.0.2.{n}": None for n in range(9)}) as silent, \
            named(tmp_path, sink, silent.address, filter_, seconds=5, drain_s=1) as proxy:
        for n in range(3):
            with balanced(proxy, header_for(f"192.0.2.{n}")) as client:
                client.send(b"EHLO x\r\n")
        with balanced(proxy, header_for("192.0.2.8")) as client:
            client.send(b"EHLO x\r\n")
            proxy.wait_for_log("session_end", 3)
            assert proxy.stop() == 0  # draining ends it


def test_w105_while_the_name_is_looked_up(sink, filter_, tmp_path):
    """Attributes that come later change nothing of the question; another address makes another one."""
    with NameServer({f"192.0.2.{n}": None for n in range(9)} | NAMES) as server, Proxy(
            tmp_path, sink.address, listen=listen(xclient={"from": ["127.0.0.2"]}),
            dns={"servers": [server.address]}, timeouts={"client_name_s": 1},
            filters=[{"name": "f", "socket": filter_.address}]) as proxy:
        with proxy.client(source=BALANCER) as front:
            for line in (b"ADDR=192.0.2.10", b"LOGIN=alice", b"PORT=7", b"ADDR=192.0.2.10", b"LOGIN=bob"):
                assert front.ask(b"XCLIENT " + line).startswith(b"220")
            front.hello()
            assert filter_.macros("C")["{client_resolve}"] == "TEMP"
            assert front.ask(b"XCLIENT ADDR=192.0.2.1").startswith(b"220")
            front.hello()
            assert filter_.macros("C")["{client_name}"] == "good.test"
            assert front.ask(b"XCLIENT ADDR=192.0.2.10 PORT=1").startswith(b"220")


# ---- findings ----------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def noting(sink, filter_, tmp_path_factory):
    with Proxy(tmp_path_factory.mktemp("noting"), sink.address, bare_newline="note",
               listen=listen(protocol_violations="note"),
               filters=[{"name": "f", "socket": filter_.address}]) as p:
        yield p.probed()


@pytest.mark.parametrize("octets, replies, word", [
    (b"NOOP\r\nNOOP\r\n", 2, "pipelining"),
    (b"NOOP\n", 1, "bare_newline"),
    (b"NO\0OP\r\n", 1, "nul"),
    (b"NOOP \xff\r\n", 1, "no_utf8"),
    (b"NOOP " + b"x" * 3000 + b"\r\n", 1, "long_command"),
    (b"GET / HTTP/1.1\r\n", 1, "foreign_protocol"),
    (b"Subject: x\r\n", 1, "header_field"),
    (b"<xml>\r\n", 1, "no_command"),
    (b"EHLO a b\r\n", 1, "helo_syntax"),
    (b"EHLO 127.0.0.1\r\n", 1, "helo_address,helo_changed"),
    (b"EHLO mx.test\r\n", 1, "helo_self,helo_changed"),
    (b"EHLO [192.0.2.1]\r\n", 1, "helo_literal,helo_changed"),
    (b"EHLO pc\r\n", 1, "helo_unqualified,helo_changed"),
    (b"EHLO [127.0.0.1]\r\n", 1, "helo_changed"),
    (b"NOOP\r\n", 1, ""),
], ids=lambda v: v[:12] if isinstance(v, bytes) else None)
def test_w30_w41_finding_is_told_and_the_session_goes_on(noting, filter_, octets, replies, word):
    with noting.client() as client:
        client.hello()
        client.send(octets)
        client.replies(replies)
        assert client.message().startswith(b"250")
        assert filter_.macros("M")["{weir_findings}"] == word
        assert filter_.macros("E")["{weir_findings}"] == word
    if word:
        noting.wait_for_log(f"message id=.*findings={word}|message id=.*findings=\"{word}\"")


def test_w32_noted_after_helo(noting, filter_):
    with noting.client() as client:
        client.ask(b"HELO client.test")
        client.send(b"MAIL FROM:<a@x>\r\nRCPT TO:<b@mx.test>\r\n")
        assert client.codes(2) == [250, 250]
        assert filter_.macros("M")["{weir_findings}"] == "pipelining"


def test_w33_noted(noting, filter_):
    pid = noting.control("status")["workers"][0]["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        client = noting.client(banner=False)
        client.send(b"EHLO client.test\r\n")
    finally:
        os.kill(pid, signal.SIGCONT)
    with client:
        assert client.codes(2) == [220, 250]
        assert client.message().startswith(b"250")
        assert filter_.macros("M")["{weir_findings}"] == "early_talk"


def test_finding_in_the_data_comes_with_the_end(noting, filter_):
    with noting.client() as client:
        client.hello()
        client.ask(b"MAIL FROM:<a@client.test>", b"RCPT TO:<b@mx.test>", b"DATA")
        client.send(b"Subject: x\n\nbare\0\r\n.\r\n")
        assert client.reply().startswith(b"250")
        assert filter_.macros("M")["{weir_findings}"] == ""
        assert filter_.macros("E")["{weir_findings}"] == "bare_newline,nul"
        noting.wait_for_log("bare_newline id=.* what=lf count=2 session_count=2 policy=note")


def test_findings_reach_our_own_rules(sink, tmp_path):
    """weir-milterd is told without asking: a rule refuses for what only the front can see."""
    rules = {"rules": {
        "EARLY": {"when": {"client.findings": "pipelining"}, "reject": "550 5.7.1 wait for your turn"},
        "BARE": {"when": {"message.findings": "bare_newline"}, "reject": "550 5.7.1 lines end with CR LF"}}}
    milterd = Milterd(tmp_path / "m", rules=rules)
    try:
        with Proxy(tmp_path / "p", sink.address, listen=listen(protocol_violations="note"),
                   filters=[{"name": "weir", "socket": milterd.socket}]) as proxy:
            with proxy.client() as client:
                client.hello()
                assert client.message().startswith(b"250")
                client.ask(b"MAIL FROM:<a@client.test>", b"RCPT TO:<b@mx.test>", b"DATA")
                client.send(b"Subject: x\nbare\r\n.\r\n")
                assert client.reply() == b"550 5.7.1 lines end with CR LF"
                client.send(b"NOOP\r\nNOOP\r\n")
                client.replies(2)
                assert client.ask(b"MAIL FROM:<a@client.test>") == b"550 5.7.1 wait for your turn"
    finally:
        assert milterd.stop() == 0


def test_findings_are_of_one_session(noting, filter_):
    with noting.client() as client:
        client.hello()
        assert client.message().startswith(b"250")
        assert filter_.macros("E")["{weir_findings}"] == ""
