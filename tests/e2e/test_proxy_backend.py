"""weir-proxy towards its backends: the failure map (W76, W80-W94), abilities, and what is relayed."""

import re
import socket

import pytest

from proxylib import Proxy, Script
from sinklib import Sink

CONTENT = b"Subject: x\r\n\r\nbody\r\n"


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return "127.0.0.1:%d" % s.getsockname()[1]


def attempt(proxy):
    """One transaction: the first reply that is no 2yz or 354, and the stage it came at; else the
    last."""
    with proxy.client() as client:
        client.hello()
        answer = client.ask(b"MAIL FROM:<a@client.test>")
        if not answer.startswith(b"250"):
            return "mail", answer
        answer = client.ask(b"RCPT TO:<b@mx.test>")
        if not answer.startswith(b"250"):
            return "rcpt", answer
        return "dot", client.data(CONTENT)


GRID = [
    # phase=action of the sink, stage the client hears of it, its words, copies stored
    ("connect=421", "rcpt", b"451 4.4.1", 0),
    ("connect=554", "rcpt", b"451 4.4.1", 0),
    ("connect=close", "rcpt", b"451 4.4.1", 0),
    ("connect=stall", "rcpt", b"451 4.4.1", 0),
    ("connect=garbage", "rcpt", b"451 4.4.1", 0),
    ("ehlo=450", "rcpt", b"451 4.4.1", 0),
    ("ehlo=close", "rcpt", b"451 4.4.1", 0),
    ("ehlo=stall", "rcpt", b"451 4.4.1", 0),
    ("ehlo=garbage", "rcpt", b"451 4.4.1", 0),
    ("mail=450", "rcpt", b"450 ", 0),
    ("mail=550", "rcpt", b"550 ", 0),
    ("mail=421", "rcpt", b"451 4.3.2", 0),
    ("mail=530", "rcpt", b"451 4.3.5", 0),
    ("mail=close", "rcpt", b"451 4.4.2", 0),
    ("mail=stall", "rcpt", b"451 4.4.2", 0),
    ("mail=garbage", "rcpt", b"451 4.4.2", 0),
    ("rcpt=450", "rcpt", b"450 ", 0),
    ("rcpt=550", "rcpt", b"550 ", 0),
    ("rcpt=421", "rcpt", b"451 4.3.2", 0),
    ("rcpt=535", "rcpt", b"451 4.3.5", 0),
    ("rcpt=close", "rcpt", b"451 4.4.2", 0),
    ("rcpt=stall", "rcpt", b"451 4.4.2", 0),
    ("rcpt=garbage", "rcpt", b"451 4.4.2", 0),
    ("rcpt=close:1", "dot", b"250 ", 1),
    ("data=450", "dot", b"450 ", 0),
    ("data=554", "dot", b"554 ", 0),
    ("data=421", "dot", b"451 4.3.2", 0),
    ("data=close", "dot", b"451 4.4.2", 0),
    ("data=close:1", "dot", b"250 ", 1),
    ("data=stall", "dot", b"451 4.4.2", 0),
    ("data=garbage", "dot", b"451 4.4.2", 0),
    ("body=close", "dot", b"451 4.4.2", 0),
    ("body=early-450", "dot", b"450 ", 0),
    ("body=early-554", "dot", b"554 ", 0),
    ("dot=450", "dot", b"450 ", 0),
    ("dot=554", "dot", b"554 ", 0),
    ("dot=421", "dot", b"451 4.3.2", 0),
    ("dot=close", "dot", b"451 4.4.2", 0),
    ("dot=garbage", "dot", b"451 4.4.2", 0),
    ("dot=stall", "dot", b"451 4.4.2", 0),
    ("dot=store-then-close", "dot", b"451 4.4.2", 1),
    ("dot=store-then-stall", "dot", b"451 4.4.2", 1),
    ("quit=close", "dot", b"250 ", 1),
    ("quit=stall", "dot", b"250 ", 1),
]


# By BDAT the whole message may have left when the connection is lost: no second try.
BY_BDAT = [g for g in GRID if g[0][:4] in ("data", "body", "dot=") and g[0] != "data=close:1"] + [
    ("data=close:1", "dot", b"451 4.4.2", 0),
]
CASES = [("DATA", *g) for g in GRID] + [("BDAT", *g) for g in BY_BDAT]


@pytest.mark.parametrize("verb, fault, stage, words, copies", CASES,
                         ids=[c[0] + "-" + c[1] for c in CASES])
def test_w76_w80_to_w85_w87_w90_w91_w93_w94_grid(tmp_path, verb, fault, stage, words, copies):
    """W80 connect and EHLO, W81 MAIL, W83 RCPT, W85 DATA, W87 the body, W90 and W91 the dot, W76
    every 421, W93 every 530 and 535."""
    without = "CHUNKING" if verb == "DATA" else ""
    with Sink(tmp_path / "mail", "--without", without, "--fault", fault) as sink, \
            Proxy(tmp_path / "p", sink.address,
                  timeouts={"connect_s": 1, "backend_reply_s": 1, "backend_data_s": 1}) as proxy:
        at, answer = attempt(proxy)
        assert (at, answer[:len(words)]) == (stage, words), (answer, proxy.log)
        assert re.match(rb"([245])\d\d \1\.\d\.\d ", answer), answer  # W101
        assert len(sink.names()) == copies
        if "store-then" in fault:
            assert "in_doubt" in proxy.log


def test_w83_a_refusal_is_for_its_recipient_only(tmp_path):
    with Sink(tmp_path / "mail", "--refuse-rcpt", "nobody@mx.test") as sink, \
            Proxy(tmp_path / "p", sink.address) as proxy, proxy.client() as client:
        client.envelope(b"a@mx.test")
        assert client.ask(b"RCPT TO:<nobody@mx.test>") == \
            b"550 5.1.1 <nobody@mx.test>: no such mailbox here"
        assert client.ask(b"RCPT TO:<b@mx.test>").startswith(b"250")
        assert client.data().startswith(b"250")
        assert [m.recipients for m in sink.messages()] == [["a@mx.test", "b@mx.test"]]


def test_w80_next_server(tmp_path):
    with Sink(tmp_path / "mail") as sink, \
            Proxy(tmp_path / "p", closed_port(), closed_port(), sink.address) as proxy:
        assert attempt(proxy)[1].startswith(b"250")
        assert len(sink.names()) == 1


def test_w80_server_comes_back(tmp_path):
    address = closed_port()
    with Proxy(tmp_path / "p", address) as proxy:
        assert attempt(proxy)[1].startswith(b"451 4.4.1")
        with Sink(tmp_path / "mail", listen=address):
            assert attempt(proxy)[1].startswith(b"250")


def test_names_are_resolved(tmp_path):
    with Sink(tmp_path / "mail") as sink, \
            Proxy(tmp_path / "p", f"localhost:{sink.port}") as proxy:
        assert attempt(proxy)[1].startswith(b"250")


def test_w81_mail_refused_answers_every_recipient(tmp_path):
    with Script(MAIL=b"550 5.7.1 not you\r\n") as backend, \
            Proxy(tmp_path, backend.address) as proxy, proxy.client() as client:
        client.hello()
        assert client.ask(b"MAIL FROM:<a@x>").startswith(b"250")
        assert client.ask(b"RCPT TO:<b@x>") == b"550 5.7.1 not you"
        assert client.ask(b"RCPT TO:<c@x>") == b"550 5.7.1 not you"
        assert client.ask(b"DATA").startswith(b"554 5.5.1")
        assert client.ask(b"RSET").startswith(b"250")


def test_w82_stale_connection_is_invisible(tmp_path):
    """The second transaction finds 421, or the end, on the connection of the first."""
    for stale in (b"421 4.4.2 too late\r\n", None):
        with Script(MAIL=[b"250 ok\r\n", stale, b"250 ok\r\n"]) as backend, \
                Proxy(tmp_path / ("421" if stale else "end"), backend.address).probed() as proxy, \
                proxy.client() as client:
            client.hello()
            assert client.message().startswith(b"250")
            assert client.message().startswith(b"250")
            assert len(backend.contents) == 2
            assert len(backend.lines) == 3  # the probe's and ours


def test_connection_is_reused(tmp_path):
    with Script() as backend, Proxy(tmp_path, backend.address).probed() as proxy, \
            proxy.client() as client:
        client.hello()
        for _ in range(3):
            assert client.message().startswith(b"250")
        assert client.envelope().startswith(b"250")  # EHLO in between
        assert client.ask(b"RSET").startswith(b"250")
        assert client.message().startswith(b"250")
        assert len(backend.lines) == 2
        assert backend.all_lines().count(b"RSET") == 1


def test_w84_lost_after_recipients_is_replayed(tmp_path):
    with Script(RCPT=[b"250 ok\r\n", b"250 ok\r\n", None, b"250 ok\r\n"]) as backend, \
            Proxy(tmp_path, backend.address).probed() as proxy, proxy.client() as client:
        client.hello()
        client.ask(b"MAIL FROM:<a@x>")
        for r in (b"b", b"c", b"d", b"e"):
            assert client.ask(b"RCPT TO:<" + r + b"@x>").startswith(b"250")
        assert client.data().startswith(b"250")
        assert [line for line in backend.lines[-1] if line.startswith(b"RCPT")] == [
            b"RCPT TO:<b@x>", b"RCPT TO:<c@x>", b"RCPT TO:<d@x>", b"RCPT TO:<e@x>"]


def test_w84_lost_for_good(tmp_path):
    with Script(RCPT=[b"250 ok\r\n", None]) as backend, \
            Proxy(tmp_path, backend.address).probed() as proxy, proxy.client() as client:
        client.hello()
        client.ask(b"MAIL FROM:<a@x>")
        assert client.ask(b"RCPT TO:<b@x>").startswith(b"250")
        assert client.ask(b"RCPT TO:<c@x>").startswith(b"451 4.4.2")
        assert client.ask(b"RCPT TO:<d@x>").startswith(b"451 4.4.2")
        assert client.data().startswith(b"451 4.4.2")
        assert backend.contents == []


@pytest.mark.parametrize("answer, told", [
    (b"250 ok\r\n", b"451 4.3.0"), (b"220 ok\r\n", b"451 4.3.0"), (b"334 what\r\n", b"451 4.3.0")])
def test_w86_data_unexpected(tmp_path, answer, told):
    with Script(DATA=answer) as backend, Proxy(tmp_path, backend.address) as proxy:
        assert attempt(proxy)[1].startswith(told)


@pytest.mark.parametrize("said, told", [
    (b"250 queued as 42\r\n", b"250 2.0.0 queued as 42"),
    (b"250-2.6.0 one\r\n250 2.6.0 two\r\n", b"250-2.6.0 one\r\n250 2.6.0 two"),
    (b"554 no\x01\x7fway\r\n", b"554 5.0.0 no??way"),
    (b"452 full\r\n", b"452 4.0.0 full"),
    (b"333 what\r\n", b"451 4.3.0"),
])
def test_w100_w101_words(tmp_path, said, told):
    with Script(DOT=said) as backend, Proxy(tmp_path, backend.address) as proxy:
        assert attempt(proxy)[1].startswith(told)


BARE = b"250-script\r\n250 PIPELINING\r\n"


def test_w111_w115_parameters(tmp_path):
    with Script() as backend, Proxy(tmp_path / "1", backend.address).probed() as proxy, \
            proxy.client() as client:
        client.hello()
        client.ask(b"MAIL FROM:<a@x> SIZE=100 BODY=8BITMIME RET=HDRS ENVID=e1")
        client.ask(b"RCPT TO:<b@x> NOTIFY=NEVER ORCPT=rfc822;b@x")
        client.ask(b"RCPT TO:<c@x>")
        assert b"MAIL FROM:<a@x> SIZE=100 BODY=8BITMIME RET=HDRS ENVID=e1" in backend.all_lines()
        assert b"RCPT TO:<b@x> NOTIFY=NEVER ORCPT=rfc822;b@x" in backend.all_lines()
        assert b"RCPT TO:<c@x>" in backend.all_lines()
    with Script(EHLO=BARE) as backend, Proxy(tmp_path / "2", backend.address).probed() as proxy, \
            proxy.client() as client:
        offered = client.hello()
        assert not re.search(rb"8BITMIME|DSN|SMTPUTF8", offered)
        assert client.ask(b"MAIL FROM:<a@x> SIZE=100 BODY=8BITMIME").startswith(b"554 5.6.3")
        assert client.ask(b"MAIL FROM:<a@x> SMTPUTF8").startswith(b"553 5.6.7")
        assert client.ask(b"MAIL FROM:<a@x> RET=HDRS").startswith(b"555 5.5.4")
        assert client.ask(b"MAIL FROM:<a@x> SIZE=100 BODY=7BIT").startswith(b"250")
        client.ask(b"RCPT TO:<b@x>")
        assert b"MAIL FROM:<a@x>" in backend.all_lines()


def test_w111_size_is_the_smaller(tmp_path):
    with Script(EHLO=b"250-x\r\n250 SIZE 5000\r\n") as backend, \
            Proxy(tmp_path, backend.address).probed() as proxy, proxy.client() as client:
        assert b"SIZE 5000\r\n" in client.hello()


def test_w112_ability_lost_meanwhile(tmp_path):
    with Script(EHLO=[Script.DEFAULT["EHLO"], BARE]) as backend, \
            Proxy(tmp_path, backend.address).probed() as proxy, proxy.client() as client:
        client.hello()
        client.ask(b"MAIL FROM:<a@x> BODY=8BITMIME")
        assert client.ask(b"RCPT TO:<b@x>").startswith(b"554 5.6.3")


def test_helo_only_backend(tmp_path):
    with Script(EHLO=b"502 what\r\n", HELO=b"250 hi\r\n") as backend, \
            Proxy(tmp_path, backend.address) as proxy:
        assert attempt(proxy)[1].startswith(b"250")


def test_no_pipelining_without_the_backends_word(tmp_path):
    with Script(EHLO=b"250 x\r\n") as backend, Proxy(tmp_path, backend.address) as proxy:
        assert attempt(proxy)[1].startswith(b"250")


def test_w94_quit_does_not_wait(tmp_path):
    with Sink(tmp_path / "mail", "--fault", "quit=stall") as sink, \
            Proxy(tmp_path / "p", sink.address) as proxy, proxy.client() as client:
        client.hello()
        client.message()
        assert client.ask(b"QUIT").startswith(b"221")


def test_large_message_to_a_slow_reader(tmp_path):
    """Back-pressure towards the backend: 20 MB, whole."""
    with Script() as backend, Proxy(tmp_path, backend.address,
                                    spool={"memory_bytes": 100000}) as proxy, \
            proxy.client() as client:
        content = b"S: x\r\n\r\n" + (b"0123456789" * 7 + b"\r\n") * 280000
        client.envelope()
        assert client.data(content).startswith(b"250")
        assert backend.contents[0].endswith(content + b".\r\n")
