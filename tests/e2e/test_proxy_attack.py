"""weir-proxy under attack: clients, backends and filters that mean harm, and signals in the middle of it.
Raw sockets throughout; where memory is the question, the worker's own is measured."""

import concurrent.futures
import os
import signal
import socket
import subprocess
import threading
import time

import pytest

from fakemilter import ACCEPT, CONTINUE, PROGRESS, Filter, add, change, insert
from milterdlib import until
from proxylib import Proxy, Script
from sinklib import Sink

LINGER_RESET = b"\x01\0\0\0\0\0\0\0"
PATIENT = {"errors_soft": 1000000, "errors_hard": 1000000, "junk_commands": 1000000,
           "sessions_per_client": 10000}


@pytest.fixture(scope="module")
def sink(tmp_path_factory):
    with Sink(tmp_path_factory.mktemp("sink") / "mail") as s:
        yield s


@pytest.fixture(scope="module")
def proxy(sink, tmp_path_factory):
    with Proxy(tmp_path_factory.mktemp("proxy"), sink.address,
               limits={**PATIENT, "message_bytes": 200000}) as p:
        yield p.probed()


def worker(proxy):
    return proxy.control("status")["workers"][0]["pid"]


def memory_kb(pid):
    """Memory that is the process's alone."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith("Private"))


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def alive(proxy):
    """The worker serves others, and is the one it was."""
    with proxy.client() as client:
        client.hello()
        assert client.message().startswith(b"250")
    assert proxy.control("status")["restarts"] == 0


def send_what_goes(s, octets, seconds=5):
    """Send until the peer takes no more; how much went."""
    s.settimeout(seconds)
    sent = 0
    try:
        while sent < len(octets):
            sent += s.send(octets[sent:sent + 65536])
    except (TimeoutError, ConnectionError):
        pass
    return sent


# ---- clients: commands ---------------------------------------------------------------------------

def test_ten_thousand_pipelined_commands(proxy, sink):
    """W30, W34: one write, replies in order, each for its own command."""
    with proxy.client() as client:
        client.hello()
        before = sink.names()
        group = (b"MAIL FROM:<a@x>\r\nRCPT TO:<b@mx.test>\r\nRCPT TO:<>\r\nRCPT TO:<c@mx.test>\r\n"
                 b"RSET\r\n")
        threading.Thread(target=client.send, args=(group * 2000,), daemon=True).start()
        assert client.codes(10000) == [250, 250, 501, 250, 250] * 2000
        assert client.message().startswith(b"250")
        assert len(sink.names()) == len(before) + 1


@pytest.mark.parametrize("octets", [
    b"x" * 10_000_000, b"\r" * 1_000_000, b"\n" * 1_000_000, b"\0" * 1_000_000, b"a\r" * 1_000_000,
    b"NOOP\n" * 1_000_000, b"RSET\r\r\n" * 1_000_000, b"\xff" * 1_000_000, b" \r\n" * 100_000,
], ids=["long line", "CR", "LF", "NUL", "a CR", "bare LF commands", "CR CR LF", "no UTF-8", "blanks"])
def test_octets_that_are_no_commands(proxy, octets):
    """W42: bounded memory, an end, and no harm to others."""
    pid = worker(proxy)
    before = memory_kb(pid)
    with proxy.client() as client:
        send_what_goes(client.socket, octets)
        assert memory_kb(pid) < before + 20000
    alive(proxy)


def test_replies_read_slowly_do_not_pile_up(sink, tmp_path, monkeypatch):
    """A client that always leaves a little of our output unread makes none of it stay in memory."""
    # What a sanitizer keeps of freed memory is not what is measured here.
    monkeypatch.setenv("ASAN_OPTIONS", os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1")
    with Proxy(tmp_path, sink.address, limits=PATIENT) as proxy:
        pid = worker(proxy)
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 30000)
        s.connect((proxy.host, proxy.port))
        assert s.recv(1000).startswith(b"220")
        stop = threading.Event()

        def talk():
            try:
                while not stop.is_set():
                    s.sendall(b"HELP\r\n" * 500)
            except OSError:
                pass
        writer = threading.Thread(target=talk)
        writer.start()
        read = 0
        start = None
        while read < 30_000_000:
            read += len(s.recv(30000))
            if start is None and read > 2_000_000:
                start = memory_kb(pid)
        grown = memory_kb(pid) - start
        stop.set()
        s.shutdown(socket.SHUT_RDWR)
        writer.join()
        s.close()
        assert grown < 20000, grown


def test_w48_ehlo_is_junk_too(sink, tmp_path):
    """A session cannot be kept for ever by saying EHLO again and again."""
    with Proxy(tmp_path, sink.address,
               limits={"junk_commands": 5, "errors_hard": 8, "errors_soft": 8}) as proxy, \
            proxy.client() as client:
        answers = [client.hello() for _ in range(15)]
        assert answers[-1].startswith(b"421 4.7.0"), answers


def test_w34_no_reply_is_held_for_long(tmp_path):
    """Many questions, each of them quick: replies leave while the group is worked on."""
    class Slow(Script):
        def _answer(self, verb):
            if verb == "RCPT":
                time.sleep(0.5)
            return super()._answer(verb)

    with Slow() as backend, Proxy(tmp_path, backend.address) as proxy, proxy.client() as client:
        client.hello()
        begun = time.monotonic()
        client.send(b"MAIL FROM:<a@x>\r\n" + b"RCPT TO:<b@x>\r\n" * 12)
        assert client.reply().startswith(b"250")
        assert time.monotonic() - begun < 4
        assert client.codes(12) == [250] * 12


# ---- clients: half-closed, reset -----------------------------------------------------------------

def test_half_closed_client_gets_all_replies(proxy):
    """One that sends no more but reads slowly: no reply is lost, no command forgotten."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    s.connect((proxy.host, proxy.port))
    assert s.recv(1000).startswith(b"220")


    def talk():
        s.sendall(b"HELP\r\n" * 300000)
        s.shutdown(socket.SHUT_WR)
    threading.Thread(target=talk, daemon=True).start()
    s.settimeout(20)
    with s:
        answers = bytearray()
        while part := s.recv(2000):
            answers += part
            if len(answers) % 50 == 0:
                time.sleep(0.0005)
        assert answers.count(b"214 2.0.0") == 300000


def test_half_closed_client_hears_of_his_last_command(proxy):
    with proxy.client() as client:
        client.hello()
        client.send(b"RSET\r\n")
        client.socket.shutdown(socket.SHUT_WR)
        assert client.reply().startswith(b"250") and client.reply() == b""


PHASES = [b"", b"EHLO x\r\n", b"MAIL FROM:<a@x>\r\n", b"RCPT TO:<b@mx.test>\r\n", b"DATA\r\n",
          b"S: x\r\n\r\nbody\r\n", b".\r\n"]


@pytest.mark.parametrize("phase", range(len(PHASES)))
def test_reset_at_each_phase_leaves_no_descriptor(sink, tmp_path, phase):
    """Fifty of them at once, the last command unanswered as often as not."""
    with Filter(tmp_path) as f, Proxy(
            tmp_path / "p", sink.address, limits=PATIENT,
            filters=[{"name": "f", "socket": f.address}]) as proxy:
        pid = worker(proxy.probed())
        until(lambda: proxy.control("status")["sessions"] == 0)
        alive(proxy)
        until(lambda: proxy.control("status")["sessions"] == 0)
        before = descriptors(pid)
        for n in range(50):
            with proxy.client() as client:
                for line in PHASES[:phase]:
                    client.send(line)
                    if line.startswith(b"S:"):
                        continue
                    if line:
                        client.reply()
                client.send(PHASES[phase][:n % (len(PHASES[phase]) + 1)])
                client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
        until(lambda: proxy.control("status")["sessions"] == 0)
        until(lambda: descriptors(pid) <= before)
        alive(proxy)


# ---- clients: mail data --------------------------------------------------------------------------

def own_field_bytes(proxy, sink):
    with proxy.client() as client:
        client.hello()
        before = sink.names()
        client.message(b"S: x\r\n\r\n")
        content = [m for m in sink.messages() if m.name not in before][0].content
    return len(content) - len(b"S: x\r\n\r\n")


def test_w75_message_of_exactly_the_limit(proxy, sink):
    """Every octet counts that reaches the backend, our own field's too: one more is too many."""
    own = own_field_bytes(proxy, sink)
    with proxy.client() as client:
        client.hello()
        head = b"S: x\r\n\r\n"
        most = 200000 - own - len(head)
        for more, answer in ((0, b"250"), (1, b"552 5.3.4"), (2, b"552 5.3.4")):
            before = sink.names()
            body = b"x" * (most + more - 2) + b"\r\n"
            assert client.message(head + body).startswith(answer)
            assert len(sink.names()) == len(before) + (answer == b"250")


def test_w75_header_without_body_of_more_than_the_limit(sink, tmp_path):
    """Our field is added when the dot has come; it counts there as well."""
    with Proxy(tmp_path, sink.address, limits={"message_bytes": 5000, "header_bytes": 100000}) \
            as proxy, proxy.client() as client:
        client.hello()
        before = sink.names()
        assert client.message(b"S: " + b"x" * 4990 + b"\r\n").startswith(b"552 5.3.4")
        assert sink.names() == before


@pytest.mark.parametrize("line", [b"x" * 10_000_000, b"\r" * 1_000_000, b"\n" * 1_000_000,
                                  b".\r" * 1_000_000, b"\r\n.x" * 100_000],
                         ids=["10 MB", "CR", "LF", "dot CR", "dots"])
@pytest.mark.parametrize("where", ["header", "body"])
def test_mail_data_of_a_strange_kind(sink, tmp_path, line, where):
    """W02, W07: taken or refused, in bounded memory, and the next transaction is a new one."""
    with Proxy(tmp_path, sink.address, spool={"memory_bytes": 100000}) as proxy:
        pid = worker(proxy.probed())
        before = memory_kb(pid)
        with proxy.client() as client:
            client.envelope()
            assert client.ask(b"DATA").startswith(b"354")
            client.send((b"S: x\r\n" + (b"\r\n" if where == "body" else b"X: ")) + line
                        + b"\r\n.\r\n")
            assert client.reply()[:3] in (b"250", b"552")
            assert memory_kb(pid) < before + 60000
            assert client.message().startswith(b"250")


def test_header_of_very_many_fields(sink, tmp_path):
    """Fields of four octets cost us many times their size: their number is bounded, too."""
    with Proxy(tmp_path, sink.address) as proxy, proxy.client() as client:
        pid = worker(proxy.probed())
        client.envelope()
        before = memory_kb(pid)
        client.ask(b"DATA")
        client.send(b"a:\r\n" * 262000)
        time.sleep(0.5)
        assert memory_kb(pid) < before + 20000
        client.send(b"\r\nx\r\n.\r\n")
        assert client.reply().startswith(b"552 5.3.4")
        assert client.message(b"a:\r\n" * 10000 + b"\r\nx\r\n").startswith(b"250")


# ---- backends ------------------------------------------------------------------------------------

class Flood(Script):
    """A backend that floods with `octets` in place of one answer."""

    def __init__(self, verb, octets):
        super().__init__()
        self.verb, self.octets, self.sent = verb, octets, 0

    def _answer(self, verb):
        return super()._answer(verb) if verb != self.verb else self.octets

    def _talk(self, connection, file, lines):
        try:
            super()._talk(connection, file, lines)
        finally:
            connection.close()


LINES = {"one reply": b"250-x\r\n" * 1_500_000, "replies": b"250 x\r\n" * 1_500_000,
         "no end": b"250-" + b"x" * 10_000_000, "no code": b"x" * 10_000_000,
         "LF": b"\n" * 1_000_000}


@pytest.mark.parametrize("kind", LINES)
@pytest.mark.parametrize("verb", ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "DOT", "RSET"])
def test_w100_backend_floods(tmp_path, verb, kind):
    """Megabytes of replies: bounded memory, and no 250 for what was not accepted."""
    with Flood(verb, LINES[kind]) as backend, Proxy(tmp_path, backend.address) as proxy:
        pid = worker(proxy)
        before = memory_kb(pid)
        with proxy.client() as client:
            client.hello()
            answers = [client.ask(line) for line in (
                b"MAIL FROM:<a@x>", b"RCPT TO:<b@x>", b"RSET", b"MAIL FROM:<a@x>",
                b"RCPT TO:<b@x>")]
            assert all(a[:3] in (b"250", b"451") for a in answers)
            answer = client.data()
            if verb not in ("CONNECT", "EHLO", "DOT", "RSET", "RCPT") or kind in (
                    "no end", "no code", "LF", "one reply"):
                assert answer[:3] in (b"451", b"554") or verb == "RSET", answer
            assert memory_kb(pid) < before + 20000
            assert client.ask(b"RSET").startswith(b"250")
        assert proxy.control("status")["restarts"] == 0


def test_backend_that_answers_before_it_reads(tmp_path):
    """W87: it says 250 to a message it has not read, and takes no more of it: not our 250. What
    is said to it next must not be mixed with the old message."""
    large = b"S: x\r\n\r\n" + b"y" * 998 + b"\r\n"
    with Proxy(tmp_path, "127.0.0.1:1") as proxy:
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        proxy.write(backends={"default": {"servers": ["127.0.0.1:%d" % listener.getsockname()[1]]}})
        assert proxy.control("reload")["ok"]

        def serve(connection):
            with connection, connection.makefile("rb") as file:
                connection.sendall(b"220 x\r\n")
                try:
                    for line in file:
                        connection.sendall(b"354 go\r\n250 taken\r\n" if line[:4] == b"DATA"
                                           else b"250 ok\r\n")
                        if line[:4] == b"DATA":
                            time.sleep(1)
                            return
                except OSError:
                    pass

        def accept():
            try:
                while True:
                    threading.Thread(target=serve, args=(listener.accept()[0],),
                                     daemon=True).start()
            except OSError:
                pass
        threading.Thread(target=accept, daemon=True).start()
        with proxy.client() as client:
            client.envelope()
            assert client.data(large * 20000).startswith(b"451")
            assert client.ask(b"RSET").startswith(b"250")
        listener.close()


def test_both_sides_full(tmp_path):
    """A backend that stops reading while the client pushes: nobody's buffer grows, others are
    served, and the backend's limit ends it."""
    gate = threading.Event()

    class Stuck(Script):
        def _talk(self, connection, file, lines):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(b"220 x\r\n")
            for line in file:
                lines.append(line)
                connection.sendall(self._answer(line[:4].decode()))
                if line[:4] == b"DATA":
                    gate.wait(30)
                    return

    with Stuck() as backend, Proxy(tmp_path, backend.address, timeouts={"backend_reply_s": 2},
                                   spool={"memory_bytes": 100000}) as proxy:
        pid = worker(proxy.probed())
        before = memory_kb(pid)
        with proxy.client() as client, proxy.client() as other:
            client.envelope()
            client.ask(b"DATA")
            client.send(b"S: x\r\n\r\n" + (b"y" * 998 + b"\r\n") * 20000 + b".\r\n")
            other.hello()
            assert other.ask(b"NOOP").startswith(b"250")
            assert client.reply().startswith(b"451 4.4.2")
            assert memory_kb(pid) < before + 20000
        gate.set()


# ---- filters -------------------------------------------------------------------------------------

@pytest.mark.parametrize("edit", [add("X", "v"), insert(0, "X", "v"), change(1, "S", "v"),
                                  change(9999, "S", "v"), PROGRESS],
                         ids=["add", "insert", "change", "append", "progress"])
def test_filter_sends_a_million_edits(sink, tmp_path, edit):
    """More than can be meant is a failure of the filter, and the message is not half edited."""
    with Filter(tmp_path, E=(edit * 1_000_000, CONTINUE)) as f, Proxy(
            tmp_path / "p", sink.address,
            filters=[{"name": "f", "socket": f.address, "on_failure": "tempfail"}]) as proxy:
        pid = worker(proxy)
        before = memory_kb(pid)
        with proxy.client() as client:
            client.envelope()
            names = sink.names()
            answer = client.data()
            assert memory_kb(pid) < before + 40000
            assert answer.startswith(b"250" if edit == PROGRESS else b"451 4.7.1")
            assert len(sink.names()) == len(names) + (edit == PROGRESS)


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("edit", [insert(0, "X", "v"), change(1, "a", ""), change(11000, "a", "w")],
                         ids=["insert", "delete", "change"])
def test_edits_of_every_field_have_their_price(sink, tmp_path, edit):
    """A client chooses how many fields a filter takes away: that is no failure of the filter, and
    costs no more than a second or so (some more with sanitizers)."""
    with Filter(tmp_path, E=edit * 11990 + CONTINUE, protocol=0x80) as f, Proxy(
            tmp_path / "p", sink.address,
            filters=[{"name": "f", "socket": f.address, "on_failure": "tempfail"}]) as proxy, \
            proxy.client() as client:
        pid = worker(proxy)
        client.envelope()
        before = cpu_seconds(pid)
        assert client.data(b"a:\r\n" * 11990 + b"\r\nx\r\n").startswith(b"250")
        assert cpu_seconds(pid) - before < 6


def test_filter_that_accepts_while_the_header_floods(sink, tmp_path):
    with Filter(tmp_path, L=ACCEPT) as f, Proxy(
            tmp_path / "p", sink.address, filters=[{"name": "f", "socket": f.address}]) as proxy, \
            proxy.client() as client:
        client.envelope()
        assert client.data(b"a:\r\n" * 10000 + b"\r\nx\r\n").startswith(b"250")


# ---- sessions and descriptors --------------------------------------------------------------------

def test_out_of_descriptors_is_a_tempfail(sink, tmp_path):
    """W51: a session that finds no descriptor for backend or spool hears 4yz, and goes on later."""
    with Proxy(tmp_path, sink.address, limits={"sessions_per_client": 1000},
               spool={"memory_bytes": 10}) as proxy:
        pid = worker(proxy.probed())
        with proxy.client() as client:
            client.hello()
            client.ask(b"MAIL FROM:<a@x>")
            subprocess.run(["prlimit", f"--pid={pid}", f"--nofile={descriptors(pid)}:256"],
                           check=True)
            assert client.ask(b"RCPT TO:<b@mx.test>").startswith(b"451 4.4.1")
            subprocess.run(["prlimit", f"--pid={pid}", "--nofile=256:256"], check=True)
            client.ask(b"RSET")
            client.envelope()
            subprocess.run(["prlimit", f"--pid={pid}", f"--nofile={descriptors(pid)}:256"],
                           check=True)
            assert client.data(b"S: x\r\n\r\n" + b"y" * 1000 + b"\r\n").startswith(b"452 4.3.1")
            subprocess.run(["prlimit", f"--pid={pid}", "--nofile=256:256"], check=True)
            assert client.message().startswith(b"250")


# ---- signals -------------------------------------------------------------------------------------

class Load:
    """Clients that send numbered messages, and remember what they were told of each."""

    def __init__(self, proxy, clients=6):
        self.proxy, self.stop_it = proxy, threading.Event()
        self.told, self.lock = {}, threading.Lock()
        self.pool = concurrent.futures.ThreadPoolExecutor(clients)
        self.jobs = [self.pool.submit(self._run, n) for n in range(clients)]

    def _run(self, client):
        n = 0
        while not self.stop_it.is_set():
            try:
                with self.proxy.client(seconds=30) as c:
                    if not c.banner.startswith(b"220") or not c.hello().startswith(b"250"):
                        continue
                    for _ in range(5):
                        n += 1
                        token = f"t{client}x{n}t"
                        answer = c.message(b"S: %s\r\n\r\n%s\r\n" % (token.encode(), b"y" * 3000))
                        with self.lock:
                            self.told[token] = answer[:3]
                        if not answer.startswith(b"250"):
                            break
            except OSError:
                time.sleep(0.01)

    def stop(self):
        self.stop_it.set()
        for job in self.jobs:
            job.result(60)
        self.pool.shutdown()
        return self.told

    def check(self, sink):
        """A 250 is exactly one stored message; nothing is there twice."""
        stored = [m.content.split(b"S: ")[1].split(b"\r\n")[0].decode() for m in sink.messages()]
        told = self.stop()
        stored = [m.content.split(b"S: ")[1].split(b"\r\n")[0].decode() for m in sink.messages()]
        assert len(stored) == len(set(stored))
        accepted = {t for t, code in told.items() if code == b"250"}
        assert accepted and accepted <= set(stored), accepted - set(stored)
        return set(stored) - accepted


def test_reload_storm_under_load(tmp_path):
    """Fifty reloads, by signal and by socket, lose nothing and refuse nobody."""
    with Sink(tmp_path / "mail") as sink, Proxy(
            tmp_path / "p", sink.address, workers=2,
            limits={"sessions_per_client": 1000}) as proxy:
        load = Load(proxy)
        for n in range(50):
            if n % 5 == 0:
                assert proxy.control("reload")["ok"]
            proxy.process.send_signal(signal.SIGHUP)
            time.sleep(0.02)
        assert load.check(sink) == set()
        until(lambda: len(proxy.control("status")["workers"]) == 2)
        assert "worker_died" not in proxy.log
        assert set(load.told.values()) == {b"250"}


def test_hup_to_workers_is_harmless(sink, tmp_path):
    """killall -HUP reaches them all; only the master reloads."""
    with Proxy(tmp_path, sink.address, workers=2) as proxy, proxy.client() as client:
        client.envelope()
        for w in proxy.control("status")["workers"]:
            os.kill(w["pid"], signal.SIGHUP)
        assert client.data().startswith(b"250")
        assert "worker_died" not in proxy.log


def test_workers_killed_under_load(tmp_path):
    """The invariant, while workers die: what was told 250 is there, once."""
    with Sink(tmp_path / "mail") as sink, Proxy(
            tmp_path / "p", sink.address, workers=2, limits={"sessions_per_client": 1000}) as proxy:
        load = Load(proxy)
        for _ in range(8):
            for w in proxy.control("status")["workers"]:
                if w["pid"] > 0:
                    os.kill(w["pid"], signal.SIGKILL)
                    time.sleep(0.15)
        load.check(sink)
        until(lambda: proxy.control("status")["sessions"] == 0)
        assert proxy.control("status")["restarts"] > 0


def test_stop_right_after_start_or_reload(sink, tmp_path):
    """A signal for a worker that has only just been forked is not lost."""
    for n in range(15):
        with Proxy(tmp_path / str(n), sink.address, workers=4, timeouts={"drain_s": 20}) as proxy:
            for _ in range(n % 3):
                proxy.control("reload")
            begun = time.monotonic()
            assert proxy.stop() == 0
            assert time.monotonic() - begun < 10
            assert "worker_died" not in proxy.log


def test_nobody_connects_to_a_proxy_that_stops(sink, tmp_path):
    """While the last sessions drain, who comes is refused at once and goes elsewhere."""
    with Proxy(tmp_path, sink.address, workers=2) as proxy, proxy.client() as client:
        client.envelope()
        proxy.process.send_signal(signal.SIGTERM)
        proxy.wait_for_log("stopping")

        def refused():
            """a new connection is refused"""
            try:
                proxy.client(banner=False).close()
            except ConnectionRefusedError:
                return True
            return False
        until(refused, 3)
        assert client.data().startswith(b"250")


def test_an_address_that_is_no_more_is_refused(sink, tmp_path):
    """After a reload without it, although an old session goes on."""
    with Proxy(tmp_path, sink.address, workers=2) as proxy, proxy.client() as client:
        client.envelope()
        proxy.write(listen=[{"address": "127.0.0.2:0"}])
        assert proxy.control("reload")["ok"]

        def refused():
            """a new connection to the old address is refused"""
            try:
                proxy.client(banner=False).close()
            except ConnectionRefusedError:
                return True
            return False
        until(refused, 3)
        assert client.data().startswith(b"250")


def test_after_a_reload_everybody_meets_the_new_settings(sink, tmp_path):
    with Proxy(tmp_path, sink.address, workers=2) as proxy:
        for n in range(20):
            proxy.write(hostname=f"n{n}.test")
            assert proxy.control("reload")["ok"]
            with proxy.client() as client:
                assert client.banner.startswith(b"220 n%d.test" % n)


def test_a_reload_that_no_worker_could_work_with_is_refused(sink, tmp_path):
    with Proxy(tmp_path, sink.address) as proxy:
        proxy.write(filters=[{"name": "f", "socket": "inet:no-such-host.invalid:1"}])
        answer = proxy.control("reload")
        assert answer["ok"] is False and "no-such-host.invalid" in answer["findings"][0]
        proxy.write(filters=[])
        alive(proxy)
