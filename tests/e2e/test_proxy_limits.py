"""What a client may take of weir-proxy: time, memory, descriptors, patience."""

import os
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from filterlib import Filter
from milterdlib import until
from proxylib import Client, Proxy, Script
from sinklib import Sink, program

MANY = {"sessions_per_client": 100000}


@pytest.fixture(scope="module")
def sink(tmp_path_factory):
    with Sink(tmp_path_factory.mktemp("sink") / "mail", "--refuse-rcpt", "nobody@mx.test") as s:
        yield s


def worker(proxy):
    return proxy.control("status")["workers"][0]["pid"]


def client_from(proxy, source, **options):
    """A client with an address of its own."""
    return Client(proxy.host, proxy.port, source=source, **options)


def begin_data(client, octets):
    """An open DATA with so much of its content sent."""
    client.envelope()
    assert client.ask(b"DATA").startswith(b"354")
    client.send(octets)


def ended(client):
    """Nothing more comes."""
    return client.reply() == b""


# ---- counts --------------------------------------------------------------------------------------

def test_w45_overshoot(sink, tmp_path):
    """So many recipients too many are forgiven; each one more is an error."""
    with Proxy(tmp_path, sink.address, limits={"recipients": 100, "recipients_overshoot": 5,
                                               "errors_soft": 2, "errors_hard": 2}) as proxy, \
            proxy.client() as client:
        client.hello()
        client.ask(b"MAIL FROM:<a@x>")
        client.send(b"".join(b"RCPT TO:<r%d@mx.test>\r\n" % i for i in range(107)))
        answers = client.replies(107)
        assert all(a.startswith(b"250") for a in answers[:100])
        assert all(a == b"452 4.5.3 Too many recipients" for a in answers[100:])
        assert client.reply() == b"421 4.7.0 Too many errors"
        assert ended(client)


def test_messages_of_a_session(sink, tmp_path):
    with Proxy(tmp_path, sink.address, limits={"transactions": 3}) as proxy, \
            proxy.client() as client:
        client.hello()
        for _ in range(3):
            assert client.message().startswith(b"250")
        assert client.ask(b"MAIL FROM:<a@x>").startswith(b"421 4.7.0")
        assert ended(client)


def test_old_session(sink, tmp_path):
    """No new transaction in a session that is too old; the one under way goes on."""
    with Proxy(tmp_path, sink.address, timeouts={"session_s": 1}) as proxy, \
            proxy.client() as client:
        client.envelope()
        time.sleep(1.1)
        assert client.data().startswith(b"250")
        assert client.ask(b"MAIL FROM:<a@x>").startswith(b"421 4.3.2")
        assert ended(client)


# ---- mail data that is taken back (W42) ----------------------------------------------------------

def abort(proxy, octets):
    with proxy.client() as client:
        assert client.banner.startswith(b"220"), client.banner
        begin_data(client, b"Subject: x\r\n\r\n" + b"x" * octets)
        # What was sent is there before the end is.
        client.socket.shutdown(socket.SHUT_WR)
        assert ended(client)


def test_w42_aborted_mail_data(sink, tmp_path):
    """Bandwidth for nothing: counted over sessions and workers, by client."""
    with Proxy(tmp_path, sink.address, workers=2, limits={"aborted_bytes": 100000}) as proxy:
        waiting = proxy.client()
        assert waiting.hello().startswith(b"250")
        abort(proxy, 60000)
        abort(proxy, 60000)
        with proxy.client() as client:
            assert client.banner.startswith(b"421 4.7.0 Too much mail data broken off")
            assert ended(client)
        # One who was there before meets it at his next transaction.
        assert waiting.ask(b"MAIL FROM:<a@x>").startswith(b"421 4.7.0 Too much")
        assert ended(waiting)
        waiting.close()
        with client_from(proxy, "127.0.0.2") as other:
            other.hello()
            assert other.message().startswith(b"250")
        assert "why=aborted_bytes" in proxy.log


def test_w42_reset_before_the_last_chunk(sink, tmp_path):
    """By BDAT the same: chunks whose LAST never comes."""
    with Proxy(tmp_path, sink.address, limits={"aborted_bytes": 100000}) as proxy, \
            proxy.client() as client:
        chunk = b"Subject: x\r\n\r\n" + b"x" * 60000
        for end in (b"RSET", b"EHLO client.test"):
            client.envelope()
            client.send(b"BDAT %d\r\n" % len(chunk) + chunk)
            assert client.reply().startswith(b"250")
            assert client.ask(end).startswith(b"250")
        assert client.ask(b"MAIL FROM:<a@x>").startswith(b"421 4.7.0 Too much mail data")
        assert ended(client)


def test_w42_a_limit_below_one_message_is_warned_of(tmp_path):
    config = tmp_path / "weir.json"
    config.write_text('{"proxy": {"limits": {\n  "aborted_bytes": 1000}}}')
    run = subprocess.run([program("weir-proxy"), "-c", config, "-t"], capture_output=True,
                         encoding="utf-8", check=False)
    assert run.returncode == 0
    assert "weir.json:2:20: /proxy/limits/aborted_bytes: is less than" in run.stdout + run.stderr


def test_w42_aborts_are_forgotten(sink, tmp_path):
    with Proxy(tmp_path, sink.address, limits={"aborted_bytes": 100000},
               timeouts={"aborted_forget_s": 1}) as proxy:
        abort(proxy, 300000)

        def welcome():
            with proxy.client() as client:
                return client.banner.startswith(b"220")
        until(welcome)


def test_w42_whole_messages_are_no_aborts(sink, tmp_path):
    """Nor are those that we refuse, nor a RSET without mail data."""
    with Proxy(tmp_path, sink.address,
               limits={"aborted_bytes": 1000, "message_bytes": 40000, "header_bytes": 4096}) \
            as proxy, proxy.client() as client:
        client.hello()
        for size, answer in ((20000, b"250"), (50000, b"552"), (20000, b"250")):
            assert client.message(b"S: x\r\n\r\n" + b"x\r\n" * (size // 3)).startswith(answer)
            client.envelope()
            client.ask(b"RSET")


def test_w42_a_slow_filter_is_not_the_clients_fault(sink, tmp_path):
    with Filter(tmp_path / "f", eom="hang") as slow, \
            Proxy(tmp_path / "p", sink.address, limits={"aborted_bytes": 100},
                  filters=[slow.settings()]) as proxy:
        with proxy.client() as client:
            begin_data(client, b"Subject: x\r\n\r\n" + b"x" * 1000 + b"\r\n.\r\n")
            slow.wait_for("eom")
        proxy.wait_for_log("action=abort")
        with proxy.client() as client:
            assert client.banner.startswith(b"220")


# ---- stress --------------------------------------------------------------------------------------

def test_stress(sink, tmp_path):
    """Nearly full: who is idle goes soon, who errs goes at once; afterwards all is as before."""
    with Proxy(tmp_path, sink.address, workers=2, limits={"sessions": 10},
               stress={"percent": 50, "command_s": 1}) as proxy:
        calm = [proxy.client() for _ in range(4)]
        assert not proxy.control("status")["stress"]
        for line in (b"X", b"NOOP", b"NOOP", b"NOOP"):
            calm[0].ask(line)
        for c in calm[:3]:
            c.close()
        until(lambda: proxy.control("status")["sessions"] == 1)
        idle = [proxy.client() for _ in range(4)]  # one worker may have none of them
        proxy.wait_for_log("stress now=on")
        assert proxy.control("status")["stress"]
        with proxy.client() as hasty:
            assert hasty.ask(b"X").startswith(b"500")
            assert hasty.reply() == b"421 4.7.0 Too many errors"
        assert calm[3].reply() == b"421 4.4.2 Timeout"  # though he came before
        assert ended(calm[3])
        proxy.wait_for_log("stress now=off")
        for c in idle:  # those who were not late by then
            c.close()
        assert not proxy.control("status")["stress"]
        with proxy.client() as client:
            client.hello()
            assert client.ask(b"X").startswith(b"500")
            assert client.message().startswith(b"250")
        assert len(re.findall("stress now=on", proxy.log)) == 1


def test_stress_of_a_dead_worker_ends(sink, tmp_path):
    with Proxy(tmp_path, sink.address, limits={"sessions": 4}) as proxy:
        clients = [proxy.client() for _ in range(4)]
        proxy.wait_for_log("stress now=on")
        os.kill(worker(proxy), signal.SIGKILL)
        until(lambda: not proxy.control("status")["stress"])
        for c in clients:
            c.close()


# ---- time (W55-W57) ------------------------------------------------------------------------------

def default(name):
    """A default as `weir config show` prints it."""
    shown = subprocess.run([program("weir"), "config", "show"], capture_output=True, check=True,
                           encoding="utf-8").stdout
    return int(re.search(rf"^/proxy/{name} = (\d+)", shown, re.M).group(1))


def test_w55_w57_defaults(tmp_path):
    assert default("timeouts/command_s") >= 300
    assert default("timeouts/data_s") >= 180
    assert default("timeouts/backend_reply_s") >= 300
    # Of a client's 600 s after the dot, filters and backend take no more together.
    assert default("timeouts/backend_data_s") + 240 < 600


# What was said before, and what drips then: each octet in time, the whole never.
DRIPS = {
    "a command": (b"", b"N", b""),
    "the second command": (b"NOOP\r\n", b"N", b"250"),
    "a line that is too long": (b"x" * 5000, b"y", b"500"),
    "a command after one that was too long": (b"x" * 5000 + b"\r\n", b"NOOP ", b"500"),
    "mail data": (b"EHLO x\r\n", b"x", b"354"),
    "a header section": (b"EHLO x\r\n", b"X-A: b\r\n", b"354"),
    "a chunk": (b"EHLO x\r\n", b"x", b"250"),
    "nothing": (b"EHLO x\r\n", b"", b"250"),
    "nothing more of mail data": (b"EHLO x\r\n", b"", b"354"),
}


def begin_drip(client, name):
    begin, _, answer = DRIPS[name]
    client.send(begin)
    reply = client.reply() if answer else b""
    if answer == b"354":
        client.envelope()
        reply = client.ask(b"DATA")
    elif name == "a chunk":
        client.envelope()
        client.send(b"BDAT 1000\r\n")
    assert reply.startswith(answer)


def test_w56_what_drips(sink, tmp_path):
    """A command has its time as a whole, and mail data its rate, however they come; so has what
    does not come at all (W51)."""
    with Proxy(tmp_path, sink.address,
               timeouts={"command_s": 1, "data_s": 1, "min_data_rate": 1000}) as proxy:
        proxy.probed()
        clients = {name: proxy.client() for name in DRIPS}
        for name, client in clients.items():
            begin_drip(client, name)
        stop = threading.Event()

        def drip():
            while not stop.wait(0.1):
                for name, client in clients.items():
                    try:
                        client.send(DRIPS[name][1])
                    except OSError:
                        pass
        thread = threading.Thread(target=drip)
        thread.start()
        try:
            for name, client in clients.items():
                assert client.reply() == b"421 4.4.2 Timeout", name
                assert ended(client)
        finally:
            stop.set()
            thread.join()
        for client in clients.values():
            client.close()


def test_w56_slow_but_steady(sink, tmp_path):
    """At the rate that is asked for, a message may take longer than data_s."""
    with Proxy(tmp_path, sink.address,
               timeouts={"data_s": 1, "min_data_rate": 1000}) as proxy, proxy.client() as client:
        begin_data(client, b"Subject: x\r\n\r\n")
        for _ in range(8):
            client.send(b"x" * 900 + b"\r\n")
            time.sleep(0.2)
        client.send(b".\r\n")
        assert client.reply().startswith(b"250")


SLOW_CLIENTS = int(os.environ.get("WEIR_SLOW_CLIENTS", "1000"))  # 5000 passes as well, and takes longer


def test_w56_slowloris(sink, tmp_path):
    """Clients that drip an octet at a time keep no honest one from being served, and all of them
    are sent away when the time for a command is over."""
    with Proxy(tmp_path, sink.address,
               timeouts={"command_s": 2 + SLOW_CLIENTS // 1000}) as proxy:
        proxy.probed()
        slow = []
        for n in range(SLOW_CLIENTS):
            s = socket.socket()
            s.bind((f"127.77.{n // 200}.{n % 200 + 1}", 0))
            s.connect((proxy.host, proxy.port))
            slow.append(s)
        for s in slow:
            s.recv(100)
        until(lambda: proxy.control("status")["sessions"] >= SLOW_CLIENTS)
        stop = threading.Event()

        def drip():
            while not stop.is_set():
                for s in slow:
                    try:
                        s.send(b"x")
                    except OSError:
                        pass
                stop.wait(0.3)
        thread = threading.Thread(target=drip)
        thread.start()
        served = 0
        while proxy.control("status")["sessions"] > SLOW_CLIENTS * 9 // 10 and served < 20:
            with proxy.client() as client:
                client.hello()
                assert client.message().startswith(b"250")
            served += 1
        assert served >= 5
        stop.set()
        thread.join()
        for s in slow:
            s.settimeout(30)
            said = b""
            while octets := s.recv(1000):
                said += octets
            assert said == b"421 4.4.2 Timeout\r\n", said
            s.close()


# ---- descriptors ---------------------------------------------------------------------------------

def limit_descriptors(proxy, number):
    subprocess.run(["prlimit", f"--pid={worker(proxy)}", f"--nofile={number}:4096"], check=True)


def test_w51_descriptors(sink, tmp_path):
    """So many sessions as there are descriptors for, with all that each may need: they are served,
    and the others hear 421 before anything runs out."""
    with Proxy(tmp_path, sink.address, limits=MANY, spool={"memory_bytes": 10},
               stress={"percent": 0}) as proxy:
        limit_descriptors(proxy.probed(), 53 + 3 * 20 + 2)
        clients = [proxy.client() for _ in range(30)]
        banners = [c.banner for c in clients]
        assert all(b.startswith(b"220") for b in banners[:20])
        assert all(b.startswith(b"421 4.3.2") for b in banners[20:])
        for c in clients[:20]:
            begin_data(c, b"Subject: x\r\n\r\n" + b"x" * 100 + b"\r\n")
        for c in clients[:20]:
            c.send(b".\r\n")
        assert all(c.reply().startswith(b"250") for c in clients[:20])
        assert "accept error" not in proxy.log and "why=descriptors" in proxy.log
        for c in clients:
            c.close()
        until(lambda: proxy.control("status")["sessions"] == 0)
        with proxy.client() as client:
            assert client.banner.startswith(b"220")


def test_too_few_descriptors_are_told_of(sink, tmp_path):
    with Proxy(tmp_path, sink.address, limits={"sessions": 100}) as proxy:
        assert "descriptors" not in proxy.log
        subprocess.run(["prlimit", f"--pid={proxy.process.pid}", "--nofile=200:200"], check=True)
        assert proxy.control("reload")["ok"]
        proxy.wait_for_log(r"warn: descriptors .* sessions=49 limit=100")


def test_accepting_pauses_without_descriptors(sink, tmp_path):
    """Who comes meanwhile waits, and is served when there are some again."""
    with Proxy(tmp_path, sink.address, limits=MANY) as proxy:
        proxy.probed()
        limit_descriptors(proxy, len(os.listdir(f"/proc/{worker(proxy)}/fd")))
        sockets = [socket.create_connection((proxy.host, proxy.port)) for _ in range(5)]
        proxy.wait_for_log("accept error")
        limit_descriptors(proxy, 200)
        with proxy.client() as client:
            client.hello()
            assert client.message().startswith(b"250")
        for s in sockets:
            assert s.recv(3) == b"220"
            s.close()


# ---- memory --------------------------------------------------------------------------------------

BUDGET = 262144
NO_STORAGE = b"452 4.3.1 Insufficient system storage, try again later"


def memory(proxy):
    return proxy.control("status")["memory_bytes"]


def header(octets):
    """So much of a header section, without its end."""
    return (b"X-Padding: " + b"x" * 987 + b"\r\n") * (octets // 1000)


def test_memory_bodies_go_to_files(sink, tmp_path):
    """Ten messages at once that would take five times the memory there is."""
    with Proxy(tmp_path, sink.address, limits={"memory_bytes": BUDGET}) as proxy:
        clients = [proxy.client() for _ in range(10)]
        body = b"".join(b"%06d\r\n" % n for n in range(17000))
        before = sink.names()
        middle = len(body) // 2
        for c in clients:
            begin_data(c, b"Subject: x\r\n\r\n" + body[:middle])
        for c in clients:
            c.send(body[middle:])
        until(lambda: memory(proxy) <= BUDGET)
        for c in clients:
            c.send(b".\r\n")
        assert all(c.reply().startswith(b"250") for c in clients)
        until(lambda: memory(proxy) == 0)
        fresh = [m.content for m in sink.messages() if m.name not in before]
        assert len(fresh) == 10 and all(m.endswith(b"\r\n\r\n" + body) for m in fresh)
        for c in clients:
            c.close()


def large_ones(proxy, begin):
    """Two clients in their header sections, who hold twice the memory there is."""
    clients = [proxy.client() for _ in range(2)]
    for c in clients:
        c.envelope()
        c.send(begin)
        if begin.startswith(b"DATA"):
            assert c.reply().startswith(b"354")
    # Neither of them is small when it is out.
    for octets, enough in ((100000, 200000), (60000, BUDGET)):
        for c in clients:
            c.send(header(octets))
        until(lambda: memory(proxy) >= enough)
    return clients


def test_memory_is_out(sink, tmp_path):
    """DATA is refused, and who is in his header section waits, first for memory, then for 452."""
    with Proxy(tmp_path, sink.address, limits={"memory_bytes": BUDGET},
               timeouts={"memory_s": 1}) as proxy:
        large = large_ones(proxy, b"DATA\r\n")
        with proxy.client() as small:
            small.envelope()
            assert small.ask(b"DATA") == NO_STORAGE
            nothing_left(small)
            for c in large:
                c.send(header(10000) + b"\r\nbody\r\n.\r\n")
            answers = [c.reply() for c in large]
            # One that was refused made room for the other.
            assert NO_STORAGE in answers and any(a.startswith(b"250") for a in answers)
            assert len(re.findall("no_memory", proxy.log)) == 1
            until(lambda: memory(proxy) == 0)
            for client in (small, *large):
                nothing_left(client)
                assert client.message().startswith(b"250")
                client.close()


def test_memory_is_out_for_chunks(sink, tmp_path):
    """As with DATA."""
    with Proxy(tmp_path, sink.address, limits={"memory_bytes": BUDGET},
               timeouts={"memory_s": 1}) as proxy:
        large = large_ones(proxy, b"BDAT 180000\r\n")
        with proxy.client() as small:
            small.envelope()
            small.send(b"BDAT 4 LAST\r\nx\r\n\n")
            assert small.reply() == NO_STORAGE
            nothing_left(small)
            for c in large:
                c.send(header(20000))
            answers = [c.reply() for c in large]
            assert NO_STORAGE in answers and any(a.startswith(b"250") for a in answers)
            for c, answer in zip(large, answers):
                c.send(b"BDAT 4 LAST\r\n\r\nx\n")
                assert c.reply().startswith(b"551" if answer == NO_STORAGE else b"250")
            until(lambda: memory(proxy) == 0)
            for client in (small, *large):
                nothing_left(client)
                assert client.message().startswith(b"250")
                client.close()


def test_memory_for_one_message(sink, tmp_path):
    """There is always enough for one."""
    with Proxy(tmp_path, sink.address, limits={"memory_bytes": BUDGET},
               timeouts={"memory_s": 0}) as proxy, proxy.client() as client:
        client.hello()
        assert client.message(header(900000) + b"\r\n" + b"x\r\n" * 300000).startswith(b"250")


def test_memory_comes_back(sink, tmp_path):
    """Who waits goes on when another is done; and is not late for it."""
    with Proxy(tmp_path, sink.address, workers=2, limits={"memory_bytes": 800000},
               timeouts={"data_s": 2, "memory_s": 30}) as proxy:
        with proxy.client() as first, proxy.client() as second:
            begin_data(first, b"Subject: x\r\n\r\n" + b"x" * 300000 + b"\r\n")
            until(lambda: memory(proxy) >= 300000)
            second.envelope()
            assert second.ask(b"DATA").startswith(b"354")
            second.send(header(600000) + b"\r\nbody\r\n.\r\n")
            until(lambda: memory(proxy) >= 800000)
            first.send(b".\r\n")
            assert first.reply().startswith(b"250")
            assert second.reply().startswith(b"250")
        until(lambda: memory(proxy) == 0)


def test_memory_of_a_filter_that_is_behind(sink, tmp_path):
    """What waits for filters counts as well, and is given up with the message."""
    with Filter(tmp_path / "f", body="hang") as slow, \
            Proxy(tmp_path / "p", sink.address, limits={"memory_bytes": BUDGET},
                  timeouts={"memory_s": 0}, filters=[slow.settings()]) as proxy, \
            proxy.client() as one, proxy.client() as other:
        content = b"Subject: x\r\n\r\n" + (b"x" * 998 + b"\r\n") * 250
        for client in (one, other):
            begin_data(client, b"")
        for client in (one, other):
            client.send(content)
        proxy.wait_for_log("no_memory")
        until(lambda: memory(proxy) < 2 * BUDGET)


def test_memory_of_a_dead_worker(sink, tmp_path):
    with Proxy(tmp_path, sink.address) as proxy, proxy.client() as client:
        begin_data(client, header(100000))
        until(lambda: memory(proxy) >= 100000)
        os.kill(worker(proxy), signal.SIGKILL)
        until(lambda: memory(proxy) == 0)


def test_w54_history_takes_no_memory(sink, tmp_path, monkeypatch):
    """Recipients that were refused, and other commands that lead to nothing, leave nothing."""
    # What a sanitizer keeps of freed memory is not what is measured here.
    monkeypatch.setenv("ASAN_OPTIONS", os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1")
    with Proxy(tmp_path, sink.address, limits={"errors_soft": 1000000, "errors_hard": 1000000,
                                               "junk_commands": 1000000},
               log={"level": "info"}) as proxy, proxy.client() as client:
        client.envelope()
        lines = b"RCPT TO:<nobody@mx.test>\r\n" * 100 + b"MAIL FROM:<x@x>\r\nRSET x\r\n" * 50

        def rounds(n):
            for _ in range(n):
                client.send(lines)
                assert set(client.codes(200)) == {503, 550, 501}
            with open(f"/proc/{worker(proxy)}/smaps_rollup", encoding="ascii") as file:
                return sum(int(x.split()[1]) for x in file if x.startswith("Private"))
        before = rounds(60)
        assert rounds(30) < before + 500


# ---- after the final reply (W70) -----------------------------------------------------------------

def nothing_left(client):
    assert client.ask(b"RCPT TO:<b@mx.test>").startswith(b"503")
    assert client.ask(b"DATA").startswith(b"503")


DISCONNECT = None


@pytest.mark.parametrize("dot,answer", [
    (b"250 2.0.0 ok\r\n", b"250"), (b"550 5.7.1 no\r\n", b"550"), (b"451 4.3.0 later\r\n", b"451"),
    (b"421 4.3.2 bye\r\n", b"451"), (DISCONNECT, b"451"), (b"999 what\r\n", b"451")])
def test_w70_after_the_backends_word(tmp_path, dot, answer):
    with Script(DOT=[dot, b"250 2.0.0 ok\r\n"]) as backend, \
            Proxy(tmp_path, backend.address) as proxy, proxy.client() as client:
        client.envelope()
        assert client.data().startswith(answer)
        nothing_left(client)
        assert client.message().startswith(b"250")


@pytest.mark.parametrize("stage,reply,answer", [
    ("eom", "reject", b"550"), ("eom", "tempfail", b"451"), ("eom", "discard", b"250"),
    ("eom", "554 5.7.1 no", b"554"), ("body", "reject", b"550"), ("data", "tempfail", b"451"),
    ("eom", "kill", b"451")])
def test_w70_after_a_filters_word(sink, tmp_path, stage, reply, answer):
    with Filter(tmp_path / "f", **{stage: reply}) as f, \
            Proxy(tmp_path / "p", sink.address, filters=[f.settings()]) as proxy, \
            proxy.client() as client:
        client.envelope()
        assert client.data().startswith(answer)
        nothing_left(client)
        client.envelope()
        assert client.ask(b"RSET").startswith(b"250")
        nothing_left(client)


# ---- refused at the door (W50, W51) --------------------------------------------------------------

def test_w50_never_a_greeting_and_then_the_end(sink, tmp_path):
    with Proxy(tmp_path, sink.address, limits={"sessions_per_client": 1, "sessions": 2}) as proxy:
        with proxy.client(), client_from(proxy, "127.0.0.2"):
            with proxy.client() as client:
                assert client.banner == b"421 4.3.2 Too many connections, try again later"
                assert ended(client)
        until(lambda: proxy.control("status")["sessions"] == 0)
        with proxy.client():
            with proxy.client() as client:
                assert client.banner == b"421 4.7.0 Too many connections from your address"
                assert ended(client)
