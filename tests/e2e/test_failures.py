"""What else can go wrong around a message: the disk, the client, the daemons' lives."""
import os
import pathlib
import signal
import socket
import subprocess
import time

import pytest

from milterdlib import Milterd, until
from proxylib import Proxy
from sinklib import Sink


def stopped(pid):
    """Do all threads of the process stand still?"""
    return all(task.read_text().rsplit(")", 1)[1].split()[0] == "T" for task in pathlib.Path("/proc/%d/task" % pid).glob("*/stat"))


class Talk:
    """One SMTP connection, a line at a time."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 30)
        self.file = self.socket.makefile("rb")
        self.greeting = self.reply()

    def reply(self):
        while True:
            line = self.file.readline()
            if line[3:4] != b"-":
                return line.decode("utf-8", "replace").rstrip("\r\n")

    def say(self, line):
        self.socket.sendall(line.encode() + b"\r\n")
        return self.reply()

    def to_data(self, sender="a@client.example"):
        self.say("EHLO client.example")
        self.say("MAIL FROM:<%s>" % sender)
        self.say("RCPT TO:<b@example.org>")
        return self.say("DATA")

    def close(self):
        self.file.close()
        self.socket.close()


@pytest.fixture
def sink(tmp_path):
    sink = Sink(tmp_path / "maildir")
    yield sink
    sink.stop()


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "spool"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], capture_output=True).returncode != 0:
        pytest.skip("cannot mount a small tmpfs here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_spool_is_a_452_and_nothing_is_stored(tmp_path, sink, small_disk):
    proxy = Proxy(tmp_path, sink.address, spool={"directory": str(small_disk), "memory_bytes": 4096})
    try:
        talk = Talk(proxy.port)
        assert talk.to_data().startswith("354")
        talk.socket.sendall(b"Subject: large\r\n\r\n" + b"x" * 70 + b"\r\n")
        for _ in range(2000):
            talk.socket.sendall((b"y" * 998 + b"\r\n"))
        assert talk.say(".").startswith("452 4.3.1")
        assert talk.to_data().startswith("354"), "the session goes on"
        assert talk.say("Subject: small\r\n\r\nfits\r\n.").startswith("250")
        assert len(sink.names()) == 1
    finally:
        proxy.stop()


PHASES = ["", "EHLO c.example", "MAIL FROM:<a@c.example>", "RCPT TO:<b@example.org>", "DATA", "Subject: half", "", "body"]


@pytest.mark.parametrize("phase", range(len(PHASES)))
def test_a_client_that_leaves_at_any_phase_leaves_nothing(tmp_path, sink, phase):
    proxy = Proxy(tmp_path, sink.address)
    try:
        talk = Talk(proxy.port)
        for n, line in enumerate(PHASES[1:phase + 1], 1):
            if n <= 4:
                talk.say(line)
            else:
                talk.socket.sendall(line.encode() + b"\r\n")
        talk.close()
        again = Talk(proxy.port)
        again.to_data()
        assert again.say("Subject: whole\r\n\r\nwhole\r\n.").startswith("250")
        assert len(sink.names()) == 1
        assert b"whole" in sink.raw(sink.names()[0])
    finally:
        proxy.stop()


def test_one_byte_at_a_time_is_cut_by_the_deadline(tmp_path, sink):
    """W56: each read comes within the timeout, the command as a whole does not."""
    proxy = Proxy(tmp_path, sink.address, timeouts={"command_s": 2})
    try:
        talk = Talk(proxy.port)
        talk.socket.settimeout(0.2)
        said = b""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and not said:
            try:
                talk.socket.sendall(b"N")
                said = talk.socket.recv(200)
            except socket.timeout:
                continue
        assert said.startswith(b"421 4.4.2")
    finally:
        proxy.stop()


def test_milterd_killed_in_the_middle_of_a_message(tmp_path, sink):
    milterd = Milterd(tmp_path / "m")
    proxy = Proxy(tmp_path / "p", sink.address, filters=[
        {"name": "weir", "socket": milterd.socket, "on_failure": "tempfail"}])
    try:
        talk = Talk(proxy.port)
        assert talk.to_data().startswith("354")
        talk.socket.sendall(b"Subject: cut\r\n\r\nthe filter dies now\r\n")
        milterd.kill()
        assert talk.say(".").startswith("451 4.7.1")
        assert not sink.names()
        milterd.start()
        assert talk.to_data().startswith("354"), "the same session reaches the new daemon"
        assert talk.say("Subject: again\r\n\r\nwhole\r\n.").startswith("250")
        assert len(sink.names()) == 1
    finally:
        proxy.stop()
        milterd.stop()


def test_milterd_that_hangs_is_a_tempfail(tmp_path, sink):
    milterd = Milterd(tmp_path / "m")
    proxy = Proxy(tmp_path / "p", sink.address, filters=[
        {"name": "weir", "socket": milterd.socket, "on_failure": "tempfail", "content_timeout_s": 1, "total_timeout_s": 2}])
    try:
        talk = Talk(proxy.port)
        assert talk.to_data().startswith("354")
        os.kill(milterd.pid, signal.SIGSTOP)
        until(lambda: stopped(milterd.pid))  # the signal is sent; each thread stops in its own time
        assert talk.say("Subject: hung\r\n\r\nbody\r\n.").startswith("451 4.7.1")
        assert not sink.names()
    finally:
        os.kill(milterd.pid, signal.SIGCONT)
        proxy.stop()
        milterd.stop()


def test_a_backend_that_is_down_is_a_451_and_comes_back(tmp_path, sink):
    """W80"""
    proxy = Proxy(tmp_path, sink.address)
    try:
        port = sink.port
        sink.stop()
        talk = Talk(proxy.port)
        talk.say("EHLO client.example")
        talk.say("MAIL FROM:<a@client.example>")
        assert talk.say("RCPT TO:<b@example.org>").startswith("451 4.4.1")
        talk.say("RSET")
        again = Sink(tmp_path / "again", listen="127.0.0.1:%d" % port)
        try:
            assert talk.to_data().startswith("354")
            assert talk.say("Subject: back\r\n\r\nbody\r\n.").startswith("250")
            assert len(again.names()) == 1
        finally:
            again.stop()
    finally:
        proxy.stop()


def test_a_worker_killed_costs_its_own_sessions_only(tmp_path, sink):
    proxy = Proxy(tmp_path, sink.address, workers=1)
    try:
        talk = Talk(proxy.port)
        talk.to_data()
        for worker in proxy.control("status")["workers"]:
            os.kill(worker["pid"], signal.SIGKILL)
        assert talk.reply() == ""

        def served():
            """a new worker greets"""
            try:
                return Talk(proxy.port).greeting.startswith("220")
            except OSError:
                return False
        until(served)
        again = Talk(proxy.port)
        assert again.to_data().startswith("354")
        assert again.say("Subject: new\r\n\r\nbody\r\n.").startswith("250")
        assert len(sink.names()) == 1
    finally:
        proxy.stop()


def test_stop_lets_a_message_finish(tmp_path, sink):
    proxy = Proxy(tmp_path, sink.address)
    talk = Talk(proxy.port)
    assert talk.to_data().startswith("354")
    idle = Talk(proxy.port)
    proxy.process.terminate()
    assert idle.reply().startswith("421 4.3.2")
    assert talk.say("Subject: last\r\n\r\nbody\r\n.").startswith("250")
    assert talk.reply().startswith("421 4.3.2")
    assert proxy.process.wait(30) == 0
    assert len(sink.names()) == 1
