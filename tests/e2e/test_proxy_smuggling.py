"""SMTP smuggling (W01-W12): a backend that takes nothing on trust sees one message with clean lines,
whatever the policy, however the octets are cut, and also where the smuggler is a filter."""

import re
import time

import pytest

from fakemilter import CONTINUE, Filter, add, body
from proxylib import Certificate, Proxy, Script, tls_context

# W02: "\n.\n" and its kin, those of hannob's smtpsmug, and the outbound set.
VECTORS = [b"\n.\n", b"\n.\r", b"\r.\n", b"\r.\r", b"\n.\r\n", b"\r.\r\n", b"\r\n\x00.\r\n",
           b"\r\n.\n", b"\r\n.\r", b"\r\n.\x00\r\n", b"\r\n.\r\r\n", b"\r\r\n.\r\r\n"]
INNER = (b"MAIL FROM:<evil@x>\r\nRCPT TO:<victim@mx.test>\r\nDATA\r\nSubject: smuggled\r\n\r\nx")


class Strict(Script):
    """A backend that keeps every octet it was sent, as it came."""

    def __init__(self, **answers):
        self.raw = []
        super().__init__(**answers)

    def _serve(self, connection, lines):
        octets = bytearray()
        self.raw.append(octets)
        try:
            with connection:
                self._read(connection, octets)
        except OSError:
            pass

    def _read(self, connection, octets):
        connection.sendall(self._answer("CONNECT"))
        done, in_data = 0, False
        while True:
            end = bytes(octets).find(b"\r\n.\r\n" if in_data else b"\r\n", done)
            if end < 0:
                part = connection.recv(65536)
                if not part:
                    return
                octets += part
                continue
            verb = "DOT" if in_data else bytes(octets[done:done + 4]).decode("latin-1").upper()
            # The CR LF before the dot may be that of the last line: look from there again.
            done = end + (5 if in_data else 2)
            answer = self._answer(verb)
            in_data = verb == "DATA" and answer.startswith(b"354")
            if in_data:
                done -= 2
            connection.sendall(answer)
            if answer.startswith(b"221"):
                return

    def transactions(self):
        """Sender and content of each message of all connections, the probe left out."""
        found = []
        for octets in self.raw:
            octets = bytes(octets)
            assert not re.search(rb"(?<!\r)\n|\r(?!\n)", octets), octets
            for sender, data in re.findall(
                    rb"MAIL FROM:<([^>]*)>.*?\r\nDATA\r\n(.*?\r\n)\.\r\n", octets, re.S):
                found.append((sender, data))
        return found


@pytest.fixture(scope="module")
def backend():
    with Strict() as b:
        yield b


@pytest.fixture(scope="module", params=["normalize", "note"])
def lenient(request, backend, tmp_path_factory):
    with Proxy(tmp_path_factory.mktemp(request.param), backend.address,
               bare_newline=request.param) as p:
        yield p.probed()


@pytest.fixture(scope="module")
def strict(backend, tmp_path_factory):
    with Proxy(tmp_path_factory.mktemp("reject"), backend.address, bare_newline="reject") as p:
        yield p.probed()


def send_cut(client, octets, at):
    """In two segments."""
    client.send(octets[:at])
    if at:
        time.sleep(0.0015)
    client.send(octets[at:])


def smuggle(client, vector, cut=0):
    """The reply to a message that holds a second one behind the vector. cut: where the second
    segment begins, counted from the vector's first octet, 0 for one segment."""
    client.envelope()
    client.ask(b"DATA")
    head = b"Subject: outer\r\n\r\nbody"
    send_cut(client, head + vector + INNER + b"\r\n.\r\n", len(head) + cut if cut else 0)
    return client.reply()


# ---- towards the backend -------------------------------------------------------------------------

@pytest.mark.parametrize("vector", VECTORS, ids=repr)
def test_w01_w02_w03_w04_w07_one_message_in_clean_lines(lenient, backend, vector):
    for cut in range(len(vector) + 1):
        before = len(backend.transactions())
        with lenient.client() as client:
            assert smuggle(client, vector, cut).startswith(b"250")
            assert client.ask(b"NOOP").startswith(b"250")  # W12: nothing of it was a command
        fresh = backend.transactions()[before:]
        assert [sender for sender, _ in fresh] == [b"a@client.test"]
        content = fresh[0][1]
        assert b"MAIL FROM:<evil@x>" in content and b"\r\n.\r\n" not in b"\r\n" + content
        assert not re.search(rb"(^|\r\n)\.(?!\.)", content), content


@pytest.fixture(scope="module")
def secure(backend, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    certificate = Certificate(folder, "mx.test")
    with Proxy(folder, backend.address, listen=[{"address": "127.0.0.1:0", "tls": "implicit",
                                                 "certificates": [certificate.settings]}]) as p:
        yield p.probed()


@pytest.mark.parametrize("vector", VECTORS, ids=repr)
def test_w02_w03_under_tls(secure, backend, vector):
    """Cut into two records; no pause is needed, records keep their borders."""
    for cut in range(len(vector) + 1):
        before = len(backend.transactions())
        with secure.client(tls=tls_context()) as client:
            assert smuggle(client, vector, cut).startswith(b"250")
            assert client.ask(b"NOOP").startswith(b"250")
        assert [s for s, _ in backend.transactions()[before:]] == [b"a@client.test"]


@pytest.mark.parametrize("vector", VECTORS, ids=repr)
def test_w05_reject_reads_to_the_true_end(strict, backend, vector):
    """No vector ends the data, and whatever holds a bare CR or LF never reaches the backend."""
    for cut in range(len(vector) + 1):
        before = len(backend.transactions())
        with strict.client() as client:
            answer = smuggle(client, vector, cut)
            assert client.ask(b"NOOP").startswith(b"250")
        bare = re.search(rb"(?<!\r)\n|\r(?!\n)", b"x" + vector + b"x")
        assert answer.startswith(b"550 5.5.2" if bare else b"250")
        assert len(backend.transactions()) == before + (not bare)


@pytest.mark.parametrize("content, got", [
    (b"a\n.\nb\r\n", b"a\r\nb\r\n"),          # W04: the lone dot is taken away
    (b"a\n.\r\nb\r\n", b"a\r\nb\r\n"),
    (b"a\r\n.\nb\r\n", b"a\r\nb\r\n"),
    (b"a\n..b\r\n", b"a\r\n..b\r\n"),         # a dot is unstuffed there, too, and stuffed again
    (b"a\nb\r\n", b"a\r\nb\r\n"),
    (b"a\r\r\nb\r\n", b"a \r\nb\r\n"),         # exactly one CR belongs to the LF
    (b"a\r\r\r\nb\r\n", b"a  \r\nb\r\n"),
    (b"a\rb\r\n", b"a b\r\n"),                # W07: a CR inside a line becomes a space
    (b"\rSubject: x\r\n", b" Subject: x\r\n"),
    (b"a\n\n.\n.\nb\r\n", b"a\r\n\r\nb\r\n"),
    (b"..\r\n...\r\n", b"..\r\n...\r\n"),
    (b"a\r\n.\r\r\nb\r\n", b"a\r\n.. \r\nb\r\n".replace(b"..", b"")),
])
def test_w04_w07_what_becomes_of_lines(lenient, backend, content, got):
    """As Postfix has it: see smtp_get and smtpd_proxy_rec_put there."""
    before = len(backend.transactions())
    with lenient.client() as client:
        client.envelope()
        client.ask(b"DATA")
        client.send(b"Subject: s\r\n\r\n" + content + b".\r\n")
        assert client.reply().startswith(b"250")
    (_, data), = backend.transactions()[before:]
    assert data.partition(b"\r\n\r\n")[2] == got


def test_w08_own_field_and_stuffing(lenient, backend):
    """The field that we put in front changes nothing for the first line."""
    before = len(backend.transactions())
    with lenient.client() as client:
        client.envelope()
        client.ask(b"DATA")
        client.send(b"..first: x\r\n\r\n..\r\n.\r\n")
        assert client.reply().startswith(b"250")
    (_, data), = backend.transactions()[before:]
    assert data.startswith(b"Received: ") and data.endswith(b"..first: x\r\n\r\n..\r\n")


@pytest.mark.parametrize("content", [b"a\0b\r\n", b"\0\r\n", b"\r\n\0.\r\n", b".\0\r\n"])
def test_w09_nul_goes_on_as_content(lenient, backend, content):
    """NUL is an octet like others in mail data: it ends nothing, and is noted."""
    before = len(backend.transactions())
    with lenient.client() as client:
        client.envelope()
        client.ask(b"DATA")
        client.send(b"Subject: s\r\n\r\n" + content + b".\r\n")
        assert client.reply().startswith(b"250")
    assert len(backend.transactions()) == before + 1
    lenient.wait_for_log("message id=.*findings=.*nul")


def test_w12_true_end_and_what_follows(lenient, backend):
    """The second message of one segment is one, and comes after the first was decided."""
    before = len(backend.transactions())
    whole = (b"Subject: 1\r\n\r\n1\r\n.\r\nMAIL FROM:<second@x>\r\nRCPT TO:<b@mx.test>\r\nDATA\r\n")
    for cut in range(0, len(whole), 7):
        with lenient.client() as client:
            client.envelope()
            client.ask(b"DATA")
            send_cut(client, whole, cut)
            assert client.codes(4) == [250, 250, 250, 354]
            client.send(b"Subject: 2\r\n\r\n2\r\n.\r\n")
            assert client.reply().startswith(b"250")
    senders = [sender for sender, _ in backend.transactions()[before:]]
    assert senders == [b"a@client.test", b"second@x"] * (len(senders) // 2) and senders


# ---- the filters see what the backend gets (W10), and cannot smuggle -----------------------------

@pytest.mark.parametrize("vector", VECTORS, ids=repr)
def test_w10_filters_see_what_the_backend_gets(backend, tmp_path, vector):
    with Filter(tmp_path) as f, Proxy(tmp_path, backend.address, filters=[
            {"name": "f", "socket": f.address}]) as proxy:
        before = len(backend.transactions())
        with proxy.client() as client:
            assert smuggle(client, vector).startswith(b"250")
        (_, data), = backend.transactions()[before:]
        seen = b"".join(f.payloads("B"))
        assert re.sub(rb"(?m)^\.", b"", data.partition(b"\r\n\r\n")[2]) == seen


@pytest.mark.parametrize("vector", VECTORS, ids=repr)
def test_w07_a_filter_cannot_smuggle(backend, tmp_path, vector):
    """What a filter puts in is made harmless like what a client sends."""
    evil = b"new" + vector + INNER
    with Filter(tmp_path, E=body(evil) + add("X-Evil", "a" + (vector + INNER).replace(
            b"\0", b"").decode()) + CONTINUE) as f, Proxy(tmp_path, backend.address, filters=[
                {"name": "f", "socket": f.address}]) as proxy:
        before = len(backend.transactions())
        with proxy.client() as client:
            client.hello()
            client.message()
        assert [s for s, _ in backend.transactions()[before:]] in ([b"a@client.test"], [])


# ---- policies by network -------------------------------------------------------------------------

@pytest.fixture(scope="module")
def mixed(backend, tmp_path_factory):
    with Proxy(tmp_path_factory.mktemp("mixed"), backend.address, bare_newline="reject",
               bare_newline_exceptions=[
                   {"from": ["127.0.0.3"], "policy": "normalize"},
                   {"from": ["127.0.0.2/31", "2001:db8::/32"], "policy": "note"}]) as p:
        yield p.probed()


@pytest.mark.parametrize("source, command, data", [
    ("127.0.0.1", b"550 5.5.2", b"550 5.5.2"),
    ("127.0.0.2", b"250 2.0.0", b"250 2.0.0"),
    ("127.0.0.3", b"500 5.5.2", b"250 2.0.0"),
])
def test_w05_w06_policy_by_network(mixed, source, command, data):
    with mixed.client(source=source) as client:
        client.envelope()
        client.ask(b"DATA")
        client.send(b"Subject: s\r\n\r\nbare\nlf\r\n.\r\n")
        assert client.reply().startswith(data)
        client.send(b"NOOP\n" if command.startswith(b"250") else b"NOOP\nNOOP\r\n")
        assert client.reply().startswith(command)
        if command.startswith(b"550"):
            assert client.reply() == b""


@pytest.mark.parametrize("source, answer", [
    ("127.0.0.1", b"550 5.5.2"), ("127.0.0.2", b"250 2.0.0"), ("127.0.0.3", b"250 2.0.0")])
def test_w06_policy_by_network_for_bdat(mixed, source, answer):
    """Lines of chunks obey the same policy."""
    content = b"Subject: s\r\n\r\nbare\nlf\r\n"
    with mixed.client(source=source) as client:
        client.envelope()
        for cut in (0, content.index(b"\nlf")):
            client.send(b"BDAT %d\r\n%sBDAT %d LAST\r\n%s" % (
                cut or 1, content[:cut or 1], len(content) - (cut or 1), content[cut or 1:]))
            assert client.reply().startswith(b"250") and client.reply().startswith(answer)
            client.ask(b"MAIL FROM:<a@x>", b"RCPT TO:<b@mx.test>")


def test_w06_note_is_logged(mixed):
    with mixed.client(source="127.0.0.2") as client:
        client.envelope()
        client.ask(b"DATA")
        client.send(b"Subject: s\r\n\r\nbare\rcr\r\n.\r\n")
        assert client.reply().startswith(b"250")
    mixed.wait_for_log("bare_newline id=.* client=127.0.0.2 what=cr count=1 session_count=1 policy=note")


def test_w06_a_dialogue_in_bare_newlines(mixed, backend):
    """A client that knows no CR is understood, but no lone LF ends his data."""
    before = len(backend.transactions())
    with mixed.client(source="127.0.0.2") as client:
        for line in (b"EHLO x\n", b"MAIL FROM:<a@x>\n", b"RCPT TO:<b@mx.test>\n"):
            client.send(line)
            assert client.reply().startswith(b"250")
        client.send(b"DATA\n")
        assert client.reply().startswith(b"354")
        client.send(b"Subject: s\n\nbody\n.\nQUIT\n\r\n.\r\n")
        assert client.reply().startswith(b"250")
    (_, data), = backend.transactions()[before:]
    assert data.endswith(b"\r\n\r\nbody\r\nQUIT\r\n\r\n")


def test_w03_commands_split_at_every_octet(mixed):
    """Under "note" a bare LF ends the command wherever the segments end."""
    octets = b"NOOP\nRSET\r\nHELP\nNO\rOP\r\nVRFY\n"
    for cut in range(len(octets)):
        with mixed.client(source="127.0.0.2") as client:
            client.hello()
            send_cut(client, octets.replace(b"NOOP\n", b"RSET\n", 1), cut)
            assert client.codes(5) == [250, 250, 214, 500, 501]


# ---- the other direction: what a backend says ------------------------------------------------------

@pytest.mark.parametrize("reply", [
    b"250 ok\n.\n250 smuggled\r\n", b"250 ok\r.\r250 smuggled\r\n", b"250 ok\0\r\n",
    b"250 o\nk\r\n", b"250 ok\r\r\n",
], ids=repr)
def test_w07_replies_of_a_backend_are_one_line_for_the_client(tmp_path, reply):
    """A reply with a bare CR or LF in it cannot become two for the client."""
    with Script(DOT=reply) as backend, Proxy(tmp_path, backend.address) as proxy, \
            proxy.client() as client:
        client.hello()
        client.ask(b"MAIL FROM:<a@x>", b"RCPT TO:<b@mx.test>", b"DATA")
        client.send(b".\r\nRSET\r\nHELP\r\n")
        octets = b"".join(line + b"\r\n" for line in client.replies(3))
        assert not re.search(rb"(?<!\r)\n|\r(?!\n)|\0", octets), octets
        assert [line[:3] for line in octets.split(b"\r\n")[1:3]] == [b"250", b"214"]
