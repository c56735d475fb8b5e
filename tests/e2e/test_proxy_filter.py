"""weir-proxy with filters: foreign ones, on pymilter and libmilter."""

import re
import time

import pytest

from filterlib import Filter
from proxylib import Proxy, Script
from sinklib import Sink

pytest.importorskip("Milter")
CONTENT = b"Subject: x\r\nTo: y\r\n\r\nbody\r\n"


def field(content, name):
    """Values of a field in the header section of content."""
    header = content.partition(b"\r\n\r\n")[0] + b"\r\n"
    return re.findall(rb"^" + name + rb":[ \t]?(.*)\r\n", header, flags=re.M | re.I)


@pytest.fixture(scope="module")
def sink(tmp_path_factory):
    with Sink(tmp_path_factory.mktemp("sink") / "mail", "--refuse-rcpt", "nobody@mx.test") as s:
        yield s


def fresh(sink, before):
    return [m for m in sink.messages() if m.name not in before]


def test_all_events_and_macros(sink, tmp_path):
    with Filter(tmp_path) as f, Proxy(tmp_path, sink.address, filters=[f.settings()]) as proxy:
        with proxy.client() as client:
            client.hello()
            assert client.ask(b"XYZZY").startswith(b"500 5.5.2")
            client.ask(b"MAIL FROM:<a@client.test> SIZE=100")
            client.ask(b"RCPT TO:<b@mx.test>")
            client.ask(b"RCPT TO:<nobody@mx.test>")
            assert client.data(CONTENT).startswith(b"250")
            client.ask(b"QUIT")
        f.wait_for("close")
        heard = f.heard()
        assert [h[0] for h in heard] == ["connect", "helo", "unknown", "mail", "rcpt", "rcpt",
                                         "data", "header", "header", "eoh", "body", "eom", "close"]
        assert heard[0][1:3] == ["[127.0.0.1]", ["127.0.0.1", heard[0][2][1]]]
        assert heard[0][-1]["j"] == "mx.test" and heard[0][-1]["{client_addr}"] == "127.0.0.1"
        assert heard[1][1] == "client.test"
        assert heard[3][1:3] == ["<a@client.test>", "SIZE=100"]
        assert heard[3][-1]["{mail_addr}"] == "a@client.test" and heard[3][-1]["i"]
        assert heard[4][1] == "<b@mx.test>" and heard[4][-1]["{rcpt_addr}"] == "b@mx.test"
        assert [h[1:3] for h in heard[7:9]] == [["Subject", "x"], ["To", "y"]]
        assert heard[10][1] == "body\r\n"
        assert heard[11][-1]["i"] == heard[3][-1]["i"] and heard[11][-1]["i"] in proxy.log


def test_w114_no_filter_session_for_a_health_check(sink, tmp_path):
    with Filter(tmp_path) as f, Proxy(tmp_path, sink.address, filters=[f.settings()]) as proxy:
        with proxy.client() as client:
            client.ask(b"QUIT")
        proxy.wait_for_log("session_end")
        assert f.events() == []


@pytest.mark.parametrize("answer, told", [
    ("reject", b"550 5.7.1"), ("tempfail", b"451 4."), ("550 5.7.9 by name", b"550 5.7.9 by name"),
    ("451 4.7.9 later", b"451 4.7.9 later"), ("421 4.7.9 gone", b"421 4.7.9 gone")])
@pytest.mark.parametrize("event, stage", [
    ("connect", "mail"), ("helo", "mail"), ("mail", "mail"), ("rcpt", "rcpt"), ("data", "data"),
    ("header", "dot"), ("eoh", "dot"), ("body", "dot"), ("eom", "dot")])
def test_refusals(sink, tmp_path, event, stage, answer, told):
    with Filter(tmp_path, **{event: answer}) as f, \
            Proxy(tmp_path, sink.address, filters=[f.settings()]) as proxy, \
            proxy.client() as client:
        before = sink.names()
        steps = [("helo", b"EHLO client.test"), ("mail", b"MAIL FROM:<a@x>"),
                 ("rcpt", b"RCPT TO:<b@mx.test>"), ("data", b"DATA")]
        if told.startswith(b"421") and stage == "mail" and event != "mail":
            stage = "helo"
        for at, line in steps:
            said = client.ask(line)
            if at == stage:
                break
            assert said[:1] in b"23", (at, said)
        else:
            client.send(CONTENT + b".\r\n")
            said = client.reply()
        assert said.startswith(told), said
        if told.startswith(b"421"):
            assert client.reply() == b""
        else:
            assert client.ask(b"RSET").startswith(b"250")
        assert sink.names() == before


@pytest.mark.parametrize("event", ["mail", "rcpt", "data", "header", "body", "eom"])
def test_discard(sink, tmp_path, event):
    with Filter(tmp_path, **{event: "discard"}) as f, \
            Proxy(tmp_path, sink.address, filters=[f.settings()]) as proxy, \
            proxy.client() as client:
        before = sink.names()
        client.hello()
        assert client.message(CONTENT).startswith(b"250")
        assert client.message(CONTENT).startswith(b"250")
        assert sink.names() == before
        assert proxy.log.count("action=discard") == 2


def test_refused_recipient_never_reaches_the_backend(tmp_path):
    with Script() as backend, Filter(tmp_path, rcpt={"<evil@mx.test>": "reject"}) as f, \
            Proxy(tmp_path, backend.address, filters=[f.settings()]) as proxy, \
            proxy.client() as client:
        client.hello()
        client.send(b"MAIL FROM:<a@x>\r\nRCPT TO:<b@mx.test>\r\nRCPT TO:<evil@mx.test>\r\n"
                    b"RCPT TO:<c@mx.test>\r\nDATA\r\n")
        assert client.codes(5) == [250, 250, 550, 250, 354]
        client.send(CONTENT + b".\r\n")
        assert client.reply().startswith(b"250")
        assert b"RCPT TO:<evil@mx.test>" not in backend.all_lines()


def test_edits(sink, tmp_path):
    edits = [["addheader", "X-Last", "1"], ["addheader", "X-First", "2", 0],
             ["chgheader", "Subject", 1, "[tag] x"], ["chgheader", "To", 1, ""],
             ["replacebody", "new\r\n.\r\nbody\r\n"], ["delrcpt", "<b@mx.test>"],
             ["addrcpt", "<c@mx.test>"], ["chgfrom", "<z@mx.test>"]]
    with Filter(tmp_path, edits=edits) as f, \
            Proxy(tmp_path, sink.address, filters=[f.settings()]) as proxy, \
            proxy.client() as client:
        before = sink.names()
        client.envelope(b"b@mx.test", b"d@mx.test")
        assert client.data(CONTENT).startswith(b"250")
        stored = fresh(sink, before)
        assert len(stored) == 1
        assert stored[0].reverse_path == "z@mx.test"
        assert sorted(stored[0].recipients) == ["c@mx.test", "d@mx.test"]
        content = stored[0].content
        assert content.endswith(b"\r\n\r\nnew\r\n.\r\nbody\r\n")
        assert field(content, b"Subject") == [b"[tag] x"] and field(content, b"To") == []
        assert field(content, b"X-Last") == [b"1"] and field(content, b"X-First") == [b"2"]
        assert client.message(CONTENT).startswith(b"250")


def test_edited_envelope_refused_by_the_backend(sink, tmp_path):
    """Nobody may lose the message silently: refused for all."""
    with Filter(tmp_path, edits=[["addrcpt", "<nobody@mx.test>"]]) as f, \
            Proxy(tmp_path, sink.address, filters=[f.settings()]) as proxy, \
            proxy.client() as client:
        before = sink.names()
        client.hello()
        assert client.message(CONTENT).startswith(b"550 5.1.1")
        assert sink.names() == before


def test_all_recipients_taken_away(sink, tmp_path):
    with Filter(tmp_path, edits=[["delrcpt", "<b@mx.test>"]]) as f, \
            Proxy(tmp_path, sink.address, filters=[f.settings()]) as proxy, \
            proxy.client() as client:
        before = sink.names()
        client.hello()
        assert client.message(CONTENT).startswith(b"250")
        assert sink.names() == before and "action=discard" in proxy.log


def test_two_filters_in_order(sink, tmp_path):
    with Filter(tmp_path, "one", edits=[["addheader", "X-One", "1"]]) as one, \
            Filter(tmp_path, "two", edits=[["replacebody", "by two\r\n"]]) as two, \
            Proxy(tmp_path, sink.address, filters=[one.settings(), two.settings()]) as proxy, \
            proxy.client() as client:
        before = sink.names()
        client.hello()
        assert client.message(CONTENT).startswith(b"250")
        assert ["X-One", "1"] in [h[1:3] for h in two.heard() if h[0] == "header"]
        assert fresh(sink, before)[0].content.endswith(b"by two\r\n")


FAILURES = {"tempfail": b"451", "reject": b"550", "accept": b"250", "quarantine": b"250"}


@pytest.mark.parametrize("policy", FAILURES)
@pytest.mark.parametrize("event", ["down", "helo", "mail", "rcpt", "data", "body", "eom"])
@pytest.mark.parametrize("action", ["kill", "hang"])
def test_failures(sink, tmp_path, policy, event, action):
    """A filter that dies or hangs gives what on_failure says, and never half of its edits."""
    if event == "down" and action == "hang":
        pytest.skip("down is down")
    with Filter(tmp_path, edits=[["addheader", "X-Half", "1"]], **{event: action}) as f, \
            Proxy(tmp_path, sink.address,
                  filters=[f.settings(on_failure=policy, command_timeout_s=1, content_timeout_s=1,
                                      total_timeout_s=1, connect_timeout_s=1)]) as proxy, \
            proxy.client() as client:
        if event == "down":
            f.stop()
        before = sink.names()
        said = client.ask(b"EHLO client.test")
        for line in (b"MAIL FROM:<a@x>", b"RCPT TO:<b@mx.test>"):
            if said[:1] in b"23":
                said = client.ask(line)
        if said[:1] in b"23":
            said = client.data(CONTENT)
        assert said.startswith(FAILURES[policy]), said
        stored = fresh(sink, before)
        assert len(stored) == (1 if said.startswith(b"250") else 0)
        for m in stored:
            assert field(m.content, b"X-Half") == []


def test_filter_comes_back(sink, tmp_path):
    """One dead filter costs the transaction in hand, not the session."""
    with Filter(tmp_path) as f, Proxy(tmp_path, sink.address, filters=[f.settings()]) as proxy, \
            proxy.client() as client:
        client.hello()
        assert client.message(CONTENT).startswith(b"250")
        f.stop()
        assert client.ask(b"MAIL FROM:<a@x>").startswith(b"451")
        f.start()
        deadline = time.monotonic() + 20
        while not client.message(CONTENT).startswith(b"250"):
            assert time.monotonic() < deadline
            client.ask(b"RSET")
            time.sleep(0.05)


@pytest.mark.parametrize("reset", [b"RSET", b"EHLO again"])
def test_w72_abort_reaches_the_filter(sink, tmp_path, reset):
    with Filter(tmp_path) as f, Proxy(tmp_path, sink.address, filters=[f.settings()]) as proxy, \
            proxy.client() as client:
        client.envelope()
        client.ask(reset)
        f.wait_for("abort")
        assert client.message(CONTENT).startswith(b"250")
        assert f.events().count("abort") == 1


def test_large_message_through_a_slow_filter(sink, tmp_path):
    """Back-pressure from the filter to the client: 10 MB, whole."""
    with Filter(tmp_path) as f, \
            Proxy(tmp_path, sink.address, filters=[f.settings()],
                  spool={"memory_bytes": 100000}) as proxy, proxy.client() as client:
        content = CONTENT + (b"0123456789" * 7 + b"\r\n") * 140000
        before = sink.names()
        client.envelope()
        assert client.data(content).startswith(b"250")
        assert fresh(sink, before)[0].content.endswith(content)
        body = "".join(h[1] for h in f.heard() if h[0] == "body")
        assert body.encode() == content.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("script", [
    [b"EHLO x"], [b"EHLO x", b"MAIL FROM:<a@x>"],
    [b"EHLO x", b"MAIL FROM:<a@x>", b"RCPT TO:<b@mx.test>"],
    [b"EHLO x", b"MAIL FROM:<a@x>", b"RCPT TO:<b@mx.test>", b"DATA"]])
def test_client_leaves_while_the_filter_thinks(sink, tmp_path, script):
    events = ["helo", "mail", "rcpt", "eom"]
    with Filter(tmp_path, **{events[len(script) - 1]: "hang"}) as f, \
            Proxy(tmp_path, sink.address, filters=[f.settings()]) as proxy:
        before = sink.names()
        with proxy.client() as client:
            for line in script[:-1]:
                client.ask(line)
            client.send(script[-1] + b"\r\n")
            if script[-1] == b"DATA":
                client.reply()
                client.send(CONTENT + b".\r\n")
            f.wait_for(events[len(script) - 1])
        proxy.wait_for_log("session_end")
        assert sink.names() == before
