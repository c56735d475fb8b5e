"""weir-proxy and BDAT (RFC 3030), from clients (W13, W60-W69) and towards backends (W13, W66, W85-W91)."""

import contextlib
import os
import re
import time

import pytest

import fakemilter as fm
import postfixlib
from proxylib import Proxy, Script
from sinklib import Sink

CONTENT = b"Subject: x\r\n\r\nbody\r\n"
SMUGGLE = [b"\n.\n", b"\n.\r", b"\r.\n", b"\r.\r", b"\n.\r\n", b"\r.\r\n", b"\r\n\x00.\r\n",
           b"\r\n.\n", b"\r\n.\r", b"\r\n.\x00\r\n", b"\r\n.\r\r\n", b"\r\r\n.\r\r\n", b"\r\n.\r\n"]


def bdat(octets, last=False):
    return b"BDAT %d%s\r\n" % (len(octets), b" LAST" if last else b"") + octets


def chunks(*pieces):
    """The pieces as chunks, the last of them LAST."""
    return b"".join(bdat(p) for p in pieces[:-1]) + bdat(pieces[-1], True)


MAIL = b"MAIL FROM:<a@client.test>\r\nRCPT TO:<b@mx.test>\r\n"


def split_everywhere(octets):
    return [(octets[:cut], octets[cut:]) for cut in range(len(octets) + 1)]


@pytest.fixture(scope="module")
def script():
    """A backend without CHUNKING, and one with it."""
    with Script() as by_data, Script(**Script.CHUNKING) as by_bdat:
        yield {"DATA": by_data, "BDAT": by_bdat}


@pytest.fixture(scope="module")
def relays(tmp_path_factory, script):
    """A proxy in front of each."""
    folder = tmp_path_factory.mktemp("relays")
    with Proxy(folder / "DATA", script["DATA"].address, received=False).probed() as by_data, \
            Proxy(folder / "BDAT", script["BDAT"].address, received=False).probed() as by_bdat:
        yield {"DATA": by_data, "BDAT": by_bdat}


@pytest.fixture
def client(relays):
    with relays["BDAT"].client() as c:
        c.hello()
        yield c


@pytest.fixture
def arrived(script):
    """What the backend with CHUNKING got since the test began."""
    before = len(script["BDAT"].chunked)
    return lambda: script["BDAT"].chunked[before:]


# ---- from clients -------------------------------------------------------------------------------


def test_w60_offered(client):
    assert b"\r\n250-CHUNKING\r\n" in client.hello()
    assert b"BINARYMIME" not in client.hello()
    assert client.ask(b"MAIL FROM:<a@b> BODY=BINARYMIME").startswith(b"501 5.5.4")


def test_pipelined_chunks(client, arrived):
    client.send(MAIL + chunks(b"Subject: x\r", b"\n\r\nbo", b"dy\r\n") + b"NOOP\r\n")
    assert client.replies(6) == [
        b"250 2.1.0 Ok", b"250 2.0.0 ok", b"250 2.0.0 11 octets received",
        b"250 2.0.0 5 octets received", b"250 2.0.0 taken", b"250 2.0.0 Ok"]
    assert arrived() == [CONTENT]


def test_w66_w67_borders_mean_nothing(relays, script):
    """Every border of a chunk, and of a segment, gives the same message: DATA stuffs its dots."""
    content = b"A: b\r\n\r\n.\r\n..x\r\n.\r\n"
    for verb, sent, got in (("DATA", b"A: b\r\n\r\n..\r\n...x\r\n..\r\n.\r\n", "contents"),
                            ("BDAT", content, "chunked")):
        before = len(getattr(script[verb], got))
        with relays[verb].client() as client:
            client.hello()
            for first, second in split_everywhere(content):
                client.send(MAIL + chunks(first, second) if first else MAIL + chunks(content))
                assert client.codes(4 if first else 3) == [250] * (4 if first else 3)
                client.send(MAIL + b"BDAT %d LAST\r\n" % len(content) + first)
                time.sleep(0.001)
                client.send(second)
                assert client.codes(3) == [250] * 3
            client.send(MAIL + chunks(*(content[i:i + 1] for i in range(len(content)))))
            assert client.codes(2 + len(content)) == [250] * (2 + len(content))
        assert set(getattr(script[verb], got)[before:]) == {sent}


@pytest.mark.parametrize("verb", ["DATA", "BDAT"])
@pytest.mark.parametrize("sequence", SMUGGLE, ids=repr)
def test_w02_w03_w06_smuggling(relays, script, verb, sequence):
    """Nothing in a chunk ends it, however it is cut; line ends are mended, and dots stay."""
    body = sequence + b"MAIL FROM:<evil@x>\r\nRCPT TO:<b@mx.test>\r\nDATA\r\nx\r\n.\r\n"
    head = b"S: s\r\n\r\nfirst"
    plain = re.sub(rb"\r(?!\n)", b" ", re.sub(rb"(?<!\r)\n", b"\r\n", head + body))
    got = script[verb].contents if verb == "DATA" else script[verb].chunked
    before = len(got)
    with relays[verb].client() as client:
        client.hello()
        for cut in range(len(sequence) + 1):
            at = len(head) + cut
            client.send(MAIL + chunks((head + body)[:at], (head + body)[at:]) + b"NOOP\r\n")
            assert client.codes(5) == [250] * 5
            client.send(MAIL + b"BDAT %d LAST\r\n" % len(head + body) + (head + body)[:at])
            time.sleep(0.001)
            client.send((head + body)[at:] + b"NOOP\r\n")
            assert client.codes(4) == [250] * 4
    if verb == "DATA":
        plain = plain.replace(b"\r\n.", b"\r\n..") + b".\r\n"
    assert set(got[before:]) == {plain}


def test_w05_w06_reject_policy(tmp_path, script):
    with Proxy(tmp_path, script["BDAT"].address, bare_newline="reject") as proxy, \
            proxy.client() as client:
        client.hello()
        for pieces in ((b"S: s\r\n\r\na\nb",), (b"S: s\r\n\r\na\r", b"b"), (b"a\r\n\r",)):
            client.send(MAIL + chunks(*pieces))
            assert client.replies(2 + len(pieces))[-1].startswith(b"550 5.5.2")
        client.send(MAIL + chunks(b"S: s\r\n\r\na\r", b"\nb") + b"BDAT 1\nx\r\n")
        assert client.codes(5) == [250, 250, 250, 250, 550]


@pytest.mark.parametrize("content, by_bdat, by_data", [
    (b"S: s\r\n\r\nx", b"S: s\r\n\r\nx", b"S: s\r\n\r\nx\r\n.\r\n"),
    (b"S: s\r\n\r\n.", b"S: s\r\n\r\n.", b"S: s\r\n\r\n..\r\n.\r\n"),
    (b"S: s\r\n\r\nx\r", b"S: s\r\n\r\nx ", b"S: s\r\n\r\nx \r\n.\r\n"),
    (b"S: s", b"S: s\r\n", b"S: s\r\n.\r\n"),
    (b"S: s\r\n t", b"S: s\r\n t\r\n", b"S: s\r\n t\r\n.\r\n"),
    (b"no field", b"\r\nno field\r\n", b"\r\nno field\r\n.\r\n"),
    (b"", b"", b".\r\n"),
])
def test_w13_no_line_end_at_the_end(relays, script, content, by_bdat, by_data):
    for verb, wanted in (("BDAT", by_bdat), ("DATA", by_data)):
        got = script[verb].chunked if verb == "BDAT" else script[verb].contents
        with relays[verb].client() as client:
            client.hello()
            client.send(MAIL + chunks(content) + MAIL + chunks(content, b""))
            assert client.codes(7 if content else 6)[:4] == [250] * 3 + [250]
        assert got[-1] == wanted


def test_w62_nothing(client, arrived):
    client.send(MAIL + b"BDAT 0\r\n")
    assert client.replies(3)[2].startswith(b"551 5.7.1")
    assert client.ask(b"BDAT 0 LAST").startswith(b"551 5.5.0")
    client.send(MAIL + bdat(CONTENT) + b"bdat 0 last\r\n")
    assert client.codes(4) == [250] * 4
    assert arrived() == [CONTENT]


@pytest.mark.parametrize("line", [
    b"BDAT", b"BDAT ", b"BDAT x", b"BDAT -1", b"BDAT +1", b"BDAT 1x", b"BDAT 0x10", b"BDAT 5 FIRST",
    b"BDAT 5 LAST x", b"BDAT LAST", b"BDAT 18446744073709551616", b"BDAT 99999999999999999999999"])
def test_w60_malformed(relays, line):
    """What follows might be content: the connection is closed."""
    with relays["BDAT"].client() as client:
        client.hello()
        client.send(MAIL + line + b"\r\nMAIL FROM:<evil@x>\r\n")
        assert client.codes(2) == [250, 250]
        assert client.reply().startswith(b"521 5.5.4")
        assert client.reply() == b""


def test_w60_not_offered(tmp_path, script):
    with Proxy(tmp_path, script["BDAT"].address, chunking=False) as proxy:
        with proxy.client() as client:
            assert b"CHUNKING" not in client.hello()
            client.send(bdat(b"QUIT\r\n"))
            assert client.reply().startswith(b"521 5.5.1")
            assert client.reply() == b""
    with Proxy(tmp_path / "on", script["BDAT"].address) as proxy:
        for hello in (b"HELO client.test", b"NOOP"):  # to those it is not
            with proxy.client() as client:
                client.ask(hello)
                assert client.ask(b"BDAT 5").startswith(b"521 5.5.1")
                assert client.reply() == b""


def test_w61_after_an_error(client, arrived):
    """Octets of chunks are never commands; each chunk is answered, and the last ends it."""
    client.send(bdat(b"MAIL FROM:<evil@x>\r\n") + bdat(b"QUIT\r\n") + bdat(b"DATA\r\n", True) +
                MAIL + chunks(CONTENT))
    assert [r[:9] for r in client.replies(6)] == [
        b"503 5.5.1", b"551 5.5.0", b"551 5.5.0", b"250 2.1.0", b"250 2.0.0", b"250 2.0.0"]
    assert arrived() == [CONTENT]


@pytest.mark.parametrize("end, answer", [(b"RSET", b"250 2.0.0"), (b"EHLO x", b"250-mx.te")])
def test_w61_w64_rset_and_ehlo_end_it(client, arrived, end, answer):
    client.send(MAIL + bdat(b"QUIT\r\n") + b"BDAT 0\r\n" + bdat(b"QUIT\r\n"))
    assert [r[:9] for r in client.replies(5)][2:] == [b"250 2.0.0", b"551 5.7.1", b"551 5.5.0"]
    assert client.ask(b"MAIL FROM:<a@b>").startswith(b"503 5.5.1")
    assert client.ask(end)[:9] == answer
    assert client.ask(b"RCPT TO:<b@mx.test>").startswith(b"503 5.5.1")
    client.send(MAIL + bdat(b"Subject: "))
    assert client.codes(3) == [250] * 3
    assert client.ask(end)[:9] == answer
    assert client.ask(b"RCPT TO:<b@mx.test>").startswith(b"503 5.5.1")
    client.send(MAIL + chunks(CONTENT))
    assert client.codes(3) == [250] * 3
    assert arrived() == [CONTENT]


def test_w64_inside(client, arrived):
    client.send(MAIL + bdat(CONTENT[:5]))
    assert client.codes(3) == [250] * 3
    for line in (b"MAIL FROM:<a@b>", b"RCPT TO:<c@d>", b"DATA"):
        assert client.ask(line).startswith(b"503 5.5.1")
    assert client.ask(b"NOOP").startswith(b"250")
    assert client.ask(b"VRFY x").startswith(b"252")
    client.send(chunks(CONTENT[5:]))
    assert client.reply() == b"250 2.0.0 taken"
    assert arrived() == [CONTENT]


def test_w64_quit_between(relays, script):
    before = len(script["BDAT"].chunked)
    with relays["BDAT"].client() as client:
        client.hello()
        client.send(MAIL + bdat(CONTENT) + b"QUIT\r\n")
        assert client.codes(4) == [250, 250, 250, 221]
        assert client.reply() == b""
    relays["BDAT"].wait_for_log("action=abort")
    assert len(script["BDAT"].chunked) == before


def test_w69_w70_an_error_resets_all(client, arrived):
    for wrong in (bdat(b"") + b"RSET\r\n", chunks(b"x" * 30, b"")):
        client.send(b"MAIL FROM:<a@b>\r\n" + wrong)  # no recipient
        assert client.codes(3)[1] in (551, 554)
        assert client.ask(b"RCPT TO:<c@d>").startswith(b"503 5.5.1")
        assert client.ask(b"DATA").startswith(b"503 5.5.1")
    client.send(b"MAIL FROM:<a@b>\r\n" + chunks(b"x"))
    assert client.replies(2)[1].startswith(b"554 5.5.1")
    client.send(MAIL + chunks(CONTENT) + b"DATA\r\n")
    assert client.codes(4) == [250, 250, 250, 503]
    assert client.ask(b"BDAT 0 LAST").startswith(b"503 5.5.1")  # behind the last there is none
    assert arrived() == [CONTENT]


def test_w63_size(tmp_path, script):
    """Refused by what is announced, before it is read; much more is not read at all."""
    with Proxy(tmp_path, script["BDAT"].address, limits={"message_bytes": 2000},
               received=False) as proxy, proxy.client() as client:
        client.hello()
        client.send(MAIL + bdat(b"x" * 2001, True))
        assert client.replies(3)[2].startswith(b"552 5.3.4")
        client.send(MAIL + bdat(b"S: x\r\n\r\n") + bdat(b"x" * 1993) + bdat(b"y" * 10, True))
        assert [r[:9] for r in client.replies(5)][2:] == [b"250 2.0.0", b"552 5.3.4", b"551 5.5.0"]
        client.send(MAIL + bdat(b"S: x\r\n\r\n") + bdat(b"x" * 1992, True))
        assert client.codes(4) == [250] * 4
        client.send(MAIL + b"BDAT 3001\r\nQUIT\r\n")
        assert [r[:9] for r in client.replies(4)][2:] == [b"552 5.3.4", b""]
    with Proxy(tmp_path / "2", script["BDAT"].address, limits={"message_bytes": 2000}) as proxy, \
            proxy.client() as client:
        client.hello()
        client.send(MAIL + chunks(*[b"x" * 300] * 20))
        got = [r[:3] for r in client.replies(13)]
        assert got == [b"250"] * 8 + [b"552"] + [b"551"] * 3 + [b"552"]
        assert client.reply() == b""


def test_w75_our_own_field_counts(tmp_path, script):
    with Proxy(tmp_path, script["BDAT"].address, limits={"message_bytes": 2000}) as proxy, \
            proxy.client() as client:
        client.hello()
        client.send(MAIL + bdat(b"S: x\r\n\r\n" + b"x" * 1991, True))
        assert client.replies(3)[2].startswith(b"552 5.3.4")


def test_intake_refuses_at_its_chunk(tmp_path, script):
    """Too many hops: why should the client send the rest?"""
    with Proxy(tmp_path, script["BDAT"].address, limits={"received_fields": 2}) as proxy, \
            proxy.client() as client:
        client.hello()
        client.send(MAIL + chunks(b"Received: x\r\n" * 3, b"\r\n", b"x", b"y"))
        assert [r[:9] for r in client.replies(6)][2:] == [
            b"250 2.0.0", b"554 5.4.6", b"551 5.5.0", b"551 5.5.0"]
        assert client.ask(b"DATA").startswith(b"503")


def resident(process):
    """Octets of memory that the worker of a proxy holds."""
    with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="ascii") as file:
        worker = file.read().split()[0]
    with open(f"/proc/{worker}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_w54_many_small_chunks(tmp_path, script, monkeypatch):
    """Tens of thousands of them: replies, but no memory."""
    monkeypatch.setenv("ASAN_OPTIONS", "quarantine_size_mb=0:thread_local_quarantine_size_kb=0")
    before = len(script["BDAT"].chunked)
    with Proxy(tmp_path, script["BDAT"].address, received=False) as proxy, \
            proxy.client() as client:
        client.hello()
        client.send(MAIL + bdat(b"S: x\r\n\r\n"))
        client.codes(3)
        sizes = []
        for _ in range(30):
            client.send(b"BDAT 1\r\nx" * 1000)
            assert set(client.replies(1000)) == {b"250 2.0.0 1 octets received"}
            sizes.append(resident(proxy.process))
        client.send(chunks(b""))
        assert client.reply() == b"250 2.0.0 taken"
    assert script["BDAT"].chunked[before:] == [b"S: x\r\n\r\n" + b"x" * 30000]
    assert sizes[-1] - sizes[9] < 500000, sizes


def test_w42_junk_after_an_error_is_bounded(tmp_path, script):
    with Proxy(tmp_path, script["BDAT"].address,
               limits={"junk_commands": 50, "errors_hard": 20}) as proxy, proxy.client() as client:
        client.hello()
        client.send(bdat(b"x") * 200)
        got = [r[:3] for r in client.replies(72)]
        assert got[0] == b"503" and 60 < got.count(b"551") < 70 and got[-1] == b"", got


def test_w68_only_the_last_waits_for_the_backend(tmp_path):
    with Script(**Script.CHUNKING, DOT=b"452 4.3.1 full\r\n") as backend, \
            Proxy(tmp_path, backend.address) as proxy, proxy.client() as client:
        client.hello()
        client.send(MAIL + bdat(CONTENT))
        assert client.codes(3) == [250] * 3
        assert not any(line.startswith(b"BDAT") for line in backend.all_lines())
        client.send(b"BDAT 0 LAST\r\n")
        assert client.reply() == b"452 4.3.1 full"


def test_w56_slow_chunks(tmp_path, script):
    """Silence in a chunk, between two, and while one is thrown away; and drops."""
    with Proxy(tmp_path, script["BDAT"].address,
               timeouts={"data_s": 1, "command_s": 20}) as proxy, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(proxy.client()) for _ in range(4)]
        for client, begin, count in zip(
                clients, (MAIL + b"BDAT 10\r\nx", MAIL + bdat(b"x"), b"BDAT 10\r\nx",
                          MAIL + b"BDAT 1000\r\n"), (2, 3, 0, 2)):
            client.hello()
            client.send(begin)
            client.codes(count)
        begun = time.monotonic()
        clients[3].socket.settimeout(0.3)
        while True:
            assert time.monotonic() - begun < 4
            clients[3].send(b"x")
            try:
                assert clients[3].socket.recv(9) == b"421 4.4.2"
                break
            except TimeoutError:
                pass
        for client in clients[:3]:
            assert client.reply().startswith(b"421 4.4.2")
        assert time.monotonic() - begun < 4


# ---- with filters -------------------------------------------------------------------------------


@pytest.fixture
def filtered(tmp_path, script):
    """Make a proxy with one scripted filter in front of the backend with CHUNKING, and a client."""
    opened = []

    def make(**answers):
        opened.append(fm.Filter(tmp_path, **answers))
        opened.append(Proxy(tmp_path, script["BDAT"].address, received=False,
                            filters=[{"name": "f", "socket": opened[0].address}]))
        opened.append(opened[1].client())
        opened[2].hello()
        return opened[0], opened[2]

    yield make
    for thing in reversed(opened):
        thing.__exit__(None, None, None)


def test_w65_filters_see_one_message(filtered, arrived):
    f, client = filtered()
    client.send(MAIL + chunks(CONTENT[:5], CONTENT[5:20], CONTENT[20:]))
    assert client.codes(5) == [250] * 5
    assert f.trace() == "OCHMRTLNBE"
    assert b"".join(f.payloads("B")) == b"body\r\n"
    assert arrived() == [CONTENT]


@pytest.mark.parametrize("answer, told", [
    (fm.REJECT, b"550 5.7.1"), (fm.TEMPFAIL, b"451 4.7.1"),
    (fm.reply("554 5.7.9 not this"), b"554 5.7.9")])
def test_w65_refusal_at_data(filtered, arrived, answer, told):
    """It is the answer to the first chunk, once that was read."""
    f, client = filtered(T=[answer, fm.CONTINUE])
    client.send(MAIL + b"BDAT 10\r\nQUIT\r\n")
    assert client.codes(2) == [250, 250]
    client.socket.settimeout(0.2)
    with pytest.raises(TimeoutError):
        client.socket.recv(1)
    client.socket.settimeout(20)
    client.file = client.socket.makefile("rb")
    client.send(b"QUIT" + bdat(b"QUIT\r\n", True) + MAIL + chunks(CONTENT))
    answers = [r[:9] for r in client.replies(5)]
    assert answers == [told, b"551 5.5.0", b"250 2.1.0", b"250 2.0.0", b"250 2.0.0"]
    assert f.trace() == "OCHMRTMRTLNBE"
    assert arrived() == [CONTENT]


def test_w65_shutdown_at_data(filtered):
    _, client = filtered(T=fm.SHUTDOWN)
    client.send(MAIL + bdat(b"x" * 100000))
    assert client.replies(3)[2].startswith(b"421 4.7.0")
    assert client.reply() == b""


@pytest.mark.parametrize("stage", "TNE")
def test_w68_discard(filtered, arrived, stage):
    _, client = filtered(**{stage: fm.DISCARD})
    client.send(MAIL + chunks(CONTENT, b"more\r\n"))
    assert client.codes(4) == [250] * 4
    assert arrived() == []


@pytest.mark.parametrize("stage", "LNBE")
def test_w89_w70_late_refusal(filtered, arrived, script, stage):
    """The filter's words after the last chunk; the backend connection and the session go on."""
    connections = len(script["BDAT"].lines)
    _, client = filtered(**{stage: [fm.reply("550 5.7.1 no thanks"), fm.CONTINUE]})
    client.send(MAIL + chunks(CONTENT[:8], CONTENT[8:]))
    assert client.replies(4)[3] == b"550 5.7.1 no thanks"
    assert client.ask(b"DATA").startswith(b"503")
    client.send(MAIL + chunks(CONTENT))
    assert client.codes(3) == [250] * 3
    assert arrived() == [CONTENT]
    assert len(script["BDAT"].lines) == connections + 2  # the probe's and ours
    assert b"RSET" in script["BDAT"].lines[-1]


@pytest.mark.parametrize("fault, answer", [
    ("mail=450", b"450"), ("rcpt=550", b"550"), ("data=450", b"450"), ("body=close", b"451 4.4.2"),
    ("dot=554", b"554"), ("dot=421", b"451 4.3.2"), ("dot=close", b"451 4.4.2")])
@pytest.mark.parametrize("without", ["CHUNKING", ""])
def test_w70_backend_trouble_with_chunks_and_a_filter(tmp_path, without, fault, answer):
    """Whatever the backend does to one message, the next one of the session is whole."""
    with Sink(tmp_path / "mail", "--without", without, "--fault", fault + ":1") as sink, \
            fm.Filter(tmp_path) as f, \
            Proxy(tmp_path / "p", sink.address,
                  filters=[{"name": "f", "socket": f.address}]) as proxy, proxy.client() as client:
        client.hello()
        client.send(MAIL + chunks(CONTENT[:5], CONTENT[5:]))
        replies = client.replies(4)
        if fault[:4] in ("mail", "rcpt"):  # then there is no valid recipient
            assert replies[1].startswith(answer)
            assert [r[:9] for r in replies[2:]] == [b"554 5.5.1", b"551 5.5.0"]
        else:
            assert [r[:3] for r in replies[:3]] == [b"250"] * 3
            assert replies[3].startswith(answer)
        for line in (b"DATA", b"RCPT TO:<x@y>"):
            assert client.ask(line).startswith(b"503 5.5.1")
        client.send(MAIL + chunks(CONTENT))
        assert client.codes(3) == [250] * 3
        assert len(sink.names()) == 1
        assert f.trace().endswith("MRTLNBE")


@pytest.mark.parametrize("sent", [b"BDAT 100\r\nSubject: x\r\n", bdat(CONTENT), bdat(b"")])
def test_w88_client_vanishes(filtered, arrived, sent):
    """In a chunk, between two, after a refused one: nothing is left, and nothing goes on."""
    f, client = filtered()
    client.send(MAIL + sent)
    client.codes(2)
    client.close()
    f.wait_for_end()  # with an abort, or in the middle of its answer
    assert f.trace()[-1:] != "E"
    assert arrived() == []


def test_large_message_both_ways(tmp_path):
    """Through the file of the spool, in chunks of every kind."""
    content = b"S: x\r\n\r\n" + (b"0123456789" * 7 + b"\r\n.\r\n") * 100000
    with Script(**Script.CHUNKING) as backend, \
            Proxy(tmp_path, backend.address, received=False,
                  spool={"memory_bytes": 100000}) as proxy, proxy.client() as client:
        client.hello()
        edges = [0, 3, 70000, 70001, 4000000, len(content)]
        client.send(MAIL + chunks(*(content[a:b] for a, b in zip(edges, edges[1:]))))
        assert client.codes(7) == [250] * 7
        assert backend.chunked == [content]


def test_edits_and_an_open_last_line(filtered, arrived):
    _, client = filtered(E=fm.add("X-A", "v") + fm.body("new\n.\nbody") + fm.CONTINUE)
    client.send(MAIL + chunks(b"S: s\r\n\r\nx"))
    assert client.codes(3) == [250] * 3
    assert arrived() == [b"S: s\r\nX-A: v\r\n\r\nnew\r\n.\r\nbody\r\n"]


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


# ---- a backend that we have not written ----------------------------------------------------------


@pytest.mark.skipif(not postfixlib.available(), reason="needs root and Postfix")
def test_postfix_takes_our_chunks(tmp_path):
    with Sink(tmp_path / "mail") as sink:
        postfix = postfixlib.Postfix("", sink.address,
                                     header_checks="regexp:{{/^Subject: no/ REJECT not this one}}")
        try:
            with Proxy(tmp_path / "p", f"127.0.0.1:{postfix.port}").probed() as proxy, \
                    proxy.client() as client:
                client.hello()
                # Its words behind BDAT, and only there, tell the octets.
                for subject, answer in ((b"no", rb"550 5\.7\.1 not this one"),
                                        (b"yes", rb"250 2\.0\.0 Ok: \d+ bytes queued as \w+")):
                    client.ask(b"MAIL FROM:<a@example.org>")
                    assert client.ask(b"RCPT TO:<b@example.org>").startswith(b"250")
                    client.send(chunks(b"Subject: " + subject + b"\r\n\r\n.\r\n..\r\n.x\r", b"\nlast"))
                    answers = client.replies(2)
                    assert re.match(answer, answers[1]), answers
            stored = sink.wait_for(1)
            assert len(stored) == 1
            assert b"\r\n\r\n.\r\n..\r\n.x\r\nlast\r\n" in stored[0].content
        finally:
            postfix.stop()
