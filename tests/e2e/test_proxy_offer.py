"""What EHLO promises: our abilities and those of the live backends (W60, W111, W112, W116), and that it is kept."""

import contextlib
import re
import time

import pytest

from proxylib import Proxy, Script
from sinklib import Sink

FULL = Script.DEFAULT["EHLO"]


def ehlo(*keywords):
    lines = [b"script", *keywords]
    return b"".join(b"250%s%s\r\n" % (b" " if i == len(lines) - 1 else b"-", line)
                    for i, line in enumerate(lines))


def offered(client, line=b"EHLO client.test"):
    """Keyword -> value of an EHLO reply."""
    lines = [text[4:].partition(b" ") for text in client.ask(line).split(b"\r\n")[1:]]
    return {keyword.decode(): value.decode() for keyword, _, value in lines}


def offer_of(proxy):
    with proxy.client() as client:
        return offered(client)


def wait_for_offer(proxy, wanted, seconds=10):
    """Until EHLO of a new session passes."""
    deadline = time.monotonic() + seconds
    while True:
        got = offer_of(proxy)
        if wanted(got):
            return got
        assert time.monotonic() < deadline, got
        time.sleep(0.05)


def change(script, **answers):
    with script.lock:
        script.answers.update({k: [v] for k, v in answers.items()})


@pytest.fixture
def start(tmp_path):
    """Make a proxy in front of scripts, which know nothing of each other, and wait for its probes."""
    with contextlib.ExitStack() as stack:
        def make(*answers, probed=True, **settings):
            scripts = [stack.enter_context(Script(**a)) for a in answers]
            proxy = stack.enter_context(Proxy(tmp_path, *(s.address for s in scripts), **settings))
            for script in scripts if probed else ():
                proxy.wait_for_log("backend_probed .*" + script.address)
            return proxy, *scripts
        yield make


def test_w111_intersection_of_the_servers(start):
    proxy, *_ = start({"EHLO": ehlo(b"SIZE 900000", b"8BITMIME", b"SMTPUTF8", b"DSN")},
                      {"EHLO": ehlo(b"8BITMIME", b"SIZE 700000", b"dsn", b"X-OTHER")},
                      {"EHLO": ehlo(b"DSN", b"SIZE", b"8BITMIME x", b"SMTPUTF8")})
    got = offer_of(proxy)
    assert got["SIZE"] == "700000"
    assert {"PIPELINING", "ENHANCEDSTATUSCODES", "CHUNKING", "LIMITS", "DSN", "8BITMIME"} <= set(got)
    assert "SMTPUTF8" not in got and "X-OTHER" not in got


def test_smtputf8_wants_8bitmime(start):
    """RFC 6531 3.1: no SMTPUTF8 without it."""
    proxy, _ = start({"EHLO": ehlo(b"SMTPUTF8", b"DSN")})
    got = offer_of(proxy)
    assert "SMTPUTF8" not in got and "DSN" in got
    with proxy.client() as client:
        client.hello()
        assert client.ask(b"VRFY a SMTPUTF8").startswith(b"555 5.5.4")
        assert client.ask(b"MAIL FROM:<a@b> SMTPUTF8").startswith(b"553 5.6.7")


def test_w42_all_that_the_extensions_add_is_taken(start):
    proxy, backend = start({}, limits={"command_bytes": 1536})
    local, domain = b"l" * 124, b"d" * 63 + b"." + b"e" * 63
    path = b"<" + local + b"@" + domain + b">"  # 256 octets would be too long only with a route
    route = b"<@" + b".".join([b"r" * 60] * 3) + b":" + path[1:]
    mail = b"MAIL FROM:" + path + b" SIZE=00000000000000000100 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=" \
        + b"+20" * 100
    rcpt = b"RCPT TO:" + path + b" NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;" + b"o" * 493
    with proxy.client() as client:
        client.hello()
        assert client.ask(mail).startswith(b"250")
        assert client.ask(rcpt).startswith(b"250")
        assert client.ask(b"RCPT TO:" + route).startswith(b"501")  # read whole, but no path
        assert client.ask(b"NOOP " + b"x" * 1529).startswith(b"250")
        assert client.ask(b"NOOP " + b"x" * 1530).startswith(b"500 5.5.2")
        assert client.data().startswith(b"250")
    assert mail in backend.all_lines() and rcpt in backend.all_lines()


def test_w111_every_backend_counts(tmp_path):
    with Script() as one, Script(EHLO=ehlo(b"8BITMIME", b"SIZE 5000")) as other, \
            Proxy(tmp_path, one.address,
                  backends={"other": {"servers": [other.address]}}) as proxy:
        proxy.wait_for_log("backend_probed", 2)
        got = offer_of(proxy)
        assert got["SIZE"] == "5000" and "8BITMIME" in got and "DSN" not in got


def test_w111_down_servers_do_not_count(start):
    proxy, _, second = start({}, {"EHLO": ehlo(b"PIPELINING")}, timeouts={"probe_s": 1})
    assert "DSN" not in offer_of(proxy)
    change(second, CONNECT=b"421 4.3.2 closed\r\n")
    wait_for_offer(proxy, lambda got: "DSN" in got and got["SIZE"] == "52428800")
    change(second, CONNECT=b"220 again\r\n")
    wait_for_offer(proxy, lambda got: "DSN" not in got)


def test_w111_nothing_known(start):
    """What every server of today can; and what a server that greets later says is heard."""
    proxy, backend = start({"CONNECT": b"554 not yet\r\n"}, probed=False)
    proxy.wait_for_log("backend_down")
    got = offer_of(proxy)
    assert "8BITMIME" in got and "DSN" not in got and "SMTPUTF8" not in got
    assert got["SIZE"] == "52428800"
    change(backend, CONNECT=b"220 script\r\n")
    wait_for_offer(proxy, lambda got: "DSN" in got)


def test_w111_a_change_is_seen_without_traffic(start):
    proxy, backend = start({}, timeouts={"probe_s": 1})
    assert "SMTPUTF8" in offer_of(proxy)
    change(backend, EHLO=ehlo(b"SIZE 4000"))
    assert wait_for_offer(proxy, lambda got: "SMTPUTF8" not in got)["SIZE"] == "4000"
    change(backend, EHLO=FULL)
    assert wait_for_offer(proxy, lambda got: "SMTPUTF8" in got)["SIZE"] == "52428800"
    assert all(lines == [b"EHLO mx.test", b"QUIT"] for lines in backend.lines[:-1])


def test_probes_can_be_off(start):
    proxy, backend = start({}, timeouts={"probe_s": 0})
    change(backend, EHLO=ehlo(b"DSN"))
    assert "8BITMIME" in offer_of(proxy)
    with proxy.client() as client:
        client.envelope()
        client.ask(b"QUIT")
    assert "8BITMIME" not in offer_of(proxy)  # a session was told
    assert proxy.log.count("backend_probed") == 1


def test_w111_a_sessions_ehlo_counts_as_a_probe(start):
    proxy, backend = start({}, timeouts={"probe_s": 1},
                           backends={"default": {"keep": {"connections": 0}}})
    begun = time.monotonic()
    while time.monotonic() - begun < 1.6:
        with proxy.client() as client:
            client.envelope()
            client.ask(b"QUIT")
        time.sleep(0.1)
    assert proxy.log.count("backend_probed") == 1


def test_offer_is_frozen_for_the_session(start):
    proxy, backend = start({}, timeouts={"probe_s": 1})
    with proxy.client() as client, proxy.client() as other:
        other.ask(b"HELO x")
        first = client.hello()
        change(backend, EHLO=ehlo(b"SIZE 4000"))
        wait_for_offer(proxy, lambda got: "DSN" not in got)
        assert client.hello() == first
        assert other.hello() == first
        assert client.ask(b"MAIL FROM:<a@b> SIZE=5000 RET=FULL").startswith(b"250")
        # Nothing is lost, and nothing invented: the backend gets what it lists.
        assert client.ask(b"RCPT TO:<b@c> NOTIFY=NEVER").startswith(b"250")
        assert client.data().startswith(b"250")
    assert b"MAIL FROM:<a@b> SIZE=5000" in backend.all_lines()
    assert b"RCPT TO:<b@c>" in backend.all_lines()


# ---- what was promised and can be kept no more (W112) -------------------------------------------

LACKING = ehlo(b"PIPELINING", b"SIZE 100000000")
PROMISED = [(b"BODY=8BITMIME", b"554 5.6.3"), (b"SMTPUTF8", b"553 5.6.7"),
            (b"SMTPUTF8 BODY=8BITMIME", b"553 5.6.7")]


@pytest.mark.parametrize("parameter, refusal", PROMISED)
def test_w112_another_server_is_asked(start, parameter, refusal):
    """The first server lost the ability in the meantime, the second has it."""
    proxy, first, second = start({"EHLO": [FULL, LACKING]}, {}, timeouts={"probe_s": 0})
    with proxy.client() as client:
        client.hello()
        for _ in range(2):
            assert client.ask(b"MAIL FROM:<a@b> " + parameter).startswith(b"250")
            assert client.ask(b"RCPT TO:<b@c>").startswith(b"250")
            assert client.data().startswith(b"250")
        assert len(second.contents) == 2 and first.contents == []
        assert first.lines[1:] in ([[b"EHLO mx.test", b"QUIT"]], [[b"EHLO mx.test"]])
        # Mail that does not need it goes where it belongs.
        change(first, MAIL=b"250 ok\r\n")
    with proxy.client() as client:
        client.hello()
        assert client.ask(b"MAIL FROM:<a@b> " + parameter).startswith(refusal)
        assert client.message().startswith(b"250")
        assert len(first.contents) == 1


@pytest.mark.parametrize("parameter, refusal", PROMISED)
def test_w112_no_server_is_able(start, parameter, refusal):
    proxy, first, second = start({"EHLO": [FULL, LACKING]}, {"EHLO": [FULL, LACKING]},
                                 timeouts={"probe_s": 0})
    with proxy.client() as client:
        client.hello()
        client.ask(b"MAIL FROM:<a@b> " + parameter)
        assert client.ask(b"RCPT TO:<b@c>").startswith(refusal)
        assert client.ask(b"RCPT TO:<d@e>").startswith(refusal)
        assert client.ask(b"DATA").startswith(b"554 5.5.1")
        assert client.ask(b"RSET").startswith(b"250")
        assert client.message().startswith(b"250")
    assert not any(b"8BITMIME" in line or b"SMTPUTF8" in line
                   for line in first.all_lines() + second.all_lines())


def test_w112_a_kept_connection_knows_no_new_ability(start):
    proxy, backend = start({"EHLO": LACKING}, timeouts={"probe_s": 1},
                           backends={"default": {"keep": {"idle_s": 60}}})
    with proxy.client() as client:
        client.hello()
        assert client.message().startswith(b"250")
    change(backend, EHLO=FULL)
    wait_for_offer(proxy, lambda got: "8BITMIME" in got)
    with proxy.client() as client:
        client.hello()
        assert client.ask(b"MAIL FROM:<a@b> BODY=8BITMIME").startswith(b"250")
        assert client.ask(b"RCPT TO:<b@c>").startswith(b"250")
        assert client.data().startswith(b"250")


# ---- SIZE and LIMITS are the truth --------------------------------------------------------------

def test_w111_the_backends_size_is_enforced(start):
    proxy, backend = start({"EHLO": ehlo(b"SIZE 5000", b"PIPELINING")}, received=False)
    with proxy.client() as client:
        assert offered(client)["SIZE"] == "5000"
        assert client.ask(b"MAIL FROM:<a@b> SIZE=5001").startswith(b"552 5.3.4")
        assert client.ask(b"MAIL FROM:<a@b> SIZE=5000").startswith(b"250")
        client.ask(b"RCPT TO:<b@c>")
        assert client.data(b"S: x\r\n\r\n" + b"x" * 4992 + b"\r\n").startswith(b"552 5.3.4")
        client.ask(b"MAIL FROM:<a@b>")
        client.ask(b"RCPT TO:<b@c>")
        client.send(b"BDAT 5001 LAST\r\n" + b"x" * 5001)
        assert client.reply().startswith(b"552 5.3.4")
        assert client.message(b"S: x\r\n\r\n" + b"x" * 4990 + b"\r\n").startswith(b"250")
        assert len(backend.contents) == 1


def test_w116_limits(tmp_path):
    with Sink(tmp_path / "mail") as sink, \
            Proxy(tmp_path / "p", sink.address,
                  limits={"recipients": 100, "transactions": 2, "errors_soft": 3, "errors_hard": 3}) as proxy, \
            proxy.client() as client:
        got = offered(client)
        assert got["LIMITS"] == "MAILMAX=2 RCPTMAX=100"
        # RFC 9422 3: names and values without what has a meaning of its own.
        assert re.fullmatch(r"([!-<>-~]+=[1-9][0-9]{0,5} ?)+", got["LIMITS"])
        client.ask(b"MAIL FROM:<a@b>")
        client.send(b"".join(b"RCPT TO:<r%d@x>\r\n" % i for i in range(120)))
        assert client.codes(120) == [250] * 100 + [452] * 20
        assert client.data().startswith(b"250")
        assert client.message().startswith(b"250")
        assert client.ask(b"MAIL FROM:<a@b>").startswith(b"421 4.7.0")
        assert client.reply() == b""
        assert [len(m.recipients) for m in sink.messages()] == [100, 1]
