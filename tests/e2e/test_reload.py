"""New rules while mail flows, broken ones that change nothing, and a stop that loses nothing."""
import concurrent.futures
import json
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from milterdlib import BUILD, RULES, Milterd, until, write_rules
from milterwire import Mta


def say(milterd, words):
    mta = Mta(milterd.socket_path)
    mta.connect()
    mta.helo()
    reply = mta.message([("Subject", " x")], words.encode() + b"\r\n")[1]
    mta.quit()
    return reply[0]


RULE = '{"rules": {"NEW": {"when": {"body.text": {"contains": "novelty"}}, "reject": "550 5.7.1 new"}}}'
BROKEN = {
    "not JSON": ('{"rules": {', "60-more.json:1:"),
    "a duplicate key": ('{"rules": {"A": {"score": 1, "score": 2, "when": {"mail.null": true}}}}', "60-more.json:1:"),
    "an unknown fact": ('{\n "rules": {\n  "A": {"when": {"boddy.text": "x"}, "score": 1}}}', "60-more.json:3:"),
    "a bad regex": ('{\n "rules": {\n  "A": {"when": {"body.text": {"regex": "("}}, "score": 1}}}', "60-more.json:3:"),
    "an unknown key": ('{"rules": {"A": {"when": {"mail.null": true}, "scor": 1}}}', "60-more.json:1:"),
    "no object": ("[]", "60-more.json:1:"),
    "an empty file": ("", "60-more.json"),
}


@pytest.fixture(scope="module")
def milterd(tmp_path_factory):
    milterd = Milterd(tmp_path_factory.mktemp("m"))
    yield milterd
    assert milterd.stop() == 0


def test_a_new_rule_works_after_reload(milterd):
    assert say(milterd, "novelty") == "c"
    write_rules(milterd.rules, {"60-more.json": RULE})
    assert say(milterd, "novelty") == "c", "not before"
    done = milterd.weir("reload")
    assert done.returncode == 0, done.stderr
    assert say(milterd, "novelty") == "y"
    (milterd.rules / "60-more.json").unlink()
    assert milterd.weir("reload").returncode == 0
    assert say(milterd, "novelty") == "c"


@pytest.mark.parametrize("name", BROKEN)
def test_broken_rules_are_refused_and_the_old_ones_stay(milterd, name):
    content, place = BROKEN[name]
    write_rules(milterd.rules, {"60-more.json": content})
    try:
        before = milterd.ask("status")["rules"]
        done = milterd.weir("reload")
        assert done.returncode == 1 and place in done.stderr, done.stderr
        assert milterd.ask("status")["rules"] == before
        assert say(milterd, "refuse this body") == "y"
        assert place in milterd.log()
        started = subprocess.run([BUILD / "weir-milterd", "-c", milterd.config_path, "-t"], capture_output=True, text=True)
        assert started.returncode == 2 and place in started.stderr
    finally:
        (milterd.rules / "60-more.json").unlink()


@pytest.mark.parametrize("how", ["missing", "empty"])
def test_a_rules_folder_that_is_missing_or_empty(tmp_path, how):
    milterd = Milterd(tmp_path)
    try:
        shutil.rmtree(milterd.rules)
        if how == "empty":
            milterd.rules.mkdir()
        answer = milterd.ask("reload")
        assert not answer["ok"] and str(milterd.rules) in " ".join(answer["findings"])
        assert say(milterd, "refuse this body") == "y"
    finally:
        assert milterd.stop() == 0
    started = subprocess.run([BUILD / "weir-milterd", "-c", milterd.config_path, "-f"], capture_output=True, text=True)
    assert started.returncode == 2 and str(milterd.rules) in started.stderr


def test_a_broken_configuration_is_refused(tmp_path):
    milterd = Milterd(tmp_path)
    try:
        good = milterd.config_path.read_text()
        milterd.config_path.write_text('{"milterd": {"sokcet": "unix:/x"}}')
        answer = milterd.ask("reload")
        assert not answer["ok"] and 'did you mean "socket"' in answer["findings"][0]
        milterd.config_path.write_text(good)
        assert milterd.ask("reload")["ok"]
    finally:
        assert milterd.stop() == 0


def test_hup_reloads(milterd):
    write_rules(milterd.rules, {"60-more.json": RULE})
    milterd.process.send_signal(signal.SIGHUP)
    until(lambda: say(milterd, "novelty") == "y")
    (milterd.rules / "60-more.json").unlink()
    milterd.process.send_signal(signal.SIGHUP)
    until(lambda: say(milterd, "novelty") == "c")


def test_a_message_in_hand_keeps_its_rules(milterd):
    mta = Mta(milterd.socket_path)
    mta.connect()
    mta.helo()
    mta.mail()
    mta.rcpt()
    write_rules(milterd.rules, {"60-more.json": RULE})
    assert milterd.ask("reload")["ok"]
    mta.data()
    mta.header("Subject", " x")
    mta.end_of_header()
    mta.body(b"novelty\r\n")
    assert mta.end()[1][0] == "c"
    mta.quit()
    assert say(milterd, "novelty") == "y"
    (milterd.rules / "60-more.json").unlink()
    assert milterd.ask("reload")["ok"]


def test_reload_under_load(milterd):
    stop = threading.Event()
    replies = []

    def load():
        while not stop.is_set():
            replies.append(say(milterd, "refuse this body"))
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(load) for _ in range(8)]
        for _ in range(20):
            assert milterd.ask("reload")["ok"]
        stop.set()
        for job in jobs:
            job.result()
    assert set(replies) == {"y"}


def test_status(milterd):
    done = milterd.weir("status", "--json")
    assert done.returncode == 0
    status = json.loads(done.stdout)["weir-milterd"]
    assert status["program"] == "weir-milterd" and status["pid"] == milterd.pid and status["rules"] == len(RULES["rules"])
    assert status["antivirus"] == {"running": False} and status["uptime_s"] >= 0
    assert "weir-milterd" in milterd.weir("status").stdout


def test_the_control_socket_survives_nonsense(milterd):
    for wire in (b"", b"\n", b"{}\n", b"x" * 100000, b'{"command": "dance"}\n'):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(milterd.control_path))
            try:
                s.sendall(wire)
                s.shutdown(socket.SHUT_WR)
                assert json.loads(s.makefile().readline())["ok"] is False
            except (BrokenPipeError, ConnectionResetError):
                pass
    assert milterd.ask("status")["ok"]


def test_term_under_load_drains(tmp_path):
    """Messages that began before TERM get their verdict, what comes later a tempfail, and the end comes at once then."""
    milterd = Milterd(tmp_path)
    inside = []
    for _ in range(20):
        mta = Mta(milterd.socket_path)
        mta.connect()
        mta.helo()
        mta.mail()
        mta.rcpt()
        mta.data()
        mta.header("Subject", " x")
        inside.append(mta)
    idle = Mta(milterd.socket_path)
    idle.connect()
    until(lambda: milterd.ask("status")["in_hand"] == 20)
    milterd.terminate()
    until(lambda: milterd.ask("status")["state"] == "drains")
    late = Mta(milterd.socket_path)
    assert late.connect()[0] == "t"
    assert idle.mail()[0] == "t"
    milterd.terminate()
    for n, mta in enumerate(inside):
        assert milterd.process.poll() is None
        mta.end_of_header()
        mta.body([b"hello\r\n", b"refuse this body\r\n"][n % 2])
        assert mta.end()[1][0] == "cy"[n % 2]
    began = time.monotonic()
    assert milterd.wait() == 0
    assert time.monotonic() - began < 5
    assert milterd.log().count(" verdict id=") == 20
    assert not milterd.socket_path.exists() and not milterd.control_path.exists()
    milterd.stop()


def test_a_drain_has_an_end(tmp_path):
    milterd = Milterd(tmp_path, drain_s=1)
    mta = Mta(milterd.socket_path)
    mta.connect()
    mta.mail()
    until(lambda: milterd.ask("status")["in_hand"] == 1)
    milterd.terminate()
    assert milterd.wait(20) == 0
    assert "left=1" in milterd.log()
    milterd.stop()


def test_int_drains_too(tmp_path):
    milterd = Milterd(tmp_path)
    mta = Mta(milterd.socket_path)
    mta.connect()
    mta.mail()
    mta.rcpt()
    until(lambda: milterd.ask("status")["in_hand"] == 1)
    milterd.process.send_signal(signal.SIGINT)
    until(lambda: milterd.ask("status")["state"] == "drains")
    mta.data()
    mta.header("Subject", " x")
    mta.end_of_header()
    mta.body(b"refuse this body\r\n")
    assert mta.end()[1][0] == "y"
    assert milterd.wait() == 0
    milterd.stop()


@pytest.mark.parametrize("turn", range(5))
def test_signals_that_come_all_at_once_reload_and_drain(tmp_path, turn):
    """None of them may reach libmilter, which would stop at once and leave the message hanging."""
    milterd = Milterd(tmp_path)
    mta = Mta(milterd.socket_path)
    mta.connect()
    mta.mail()
    mta.rcpt()
    until(lambda: milterd.ask("status")["in_hand"] == 1)
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        milterd.process.send_signal(number)
    mta.data()
    mta.header("Subject", " x")
    mta.end_of_header()
    mta.body(b"refuse this body\r\n")
    assert mta.end()[1][0] == "y"
    assert milterd.wait() == 0
    milterd.stop()


def test_without_f_it_detaches_and_says_whether_it_serves(tmp_path):
    milterd = Milterd(tmp_path, start=False)
    assert subprocess.run([BUILD / "weir-milterd", "-c", milterd.config_path], timeout=60).returncode == 0
    pid = milterd.ask("status")["pid"]
    again = subprocess.run([BUILD / "weir-milterd", "-c", milterd.config_path], capture_output=True, text=True, timeout=60)
    assert again.returncode == 1 and "another process listens" in again.stderr
    assert say(milterd, "refuse this body") == "y"
    subprocess.run(["kill", str(pid)], check=True)
    until(lambda: milterd.ask("status") is None)
    milterd.stop()


@pytest.mark.parametrize("how", ["corrupt", "no folder"])
def test_a_store_that_cannot_be_opened_costs_the_bayes_facts_only(tmp_path, how):
    rules = {"rules": {**RULES["rules"], "B": {"when": {"bayes.spam": {"ge": 0.9}}, "score": 5},
                       "U": {"when": {"bayes.spam": {"unknown": True}}, "score": 1}}}
    milterd = Milterd(tmp_path, rules=rules, start=False)
    store = tmp_path / "store"
    if how == "corrupt":
        store.mkdir()
        for name in ("store.mdb", "store.mdb-lock"):
            (store / name).write_bytes(b"this is no database" * 4096)
    else:
        store.write_text("a file")
    milterd.start()
    try:
        assert "error: store " in milterd.log()
        assert say(milterd, "refuse this body") == "y"
        assert say(milterd, "hello") == "c"
        assert "U:1.00" in milterd.verdicts()[-1]
        assert milterd.ask("status")["bayes"] is False
    finally:
        assert milterd.stop() == 0


def test_no_signatures_are_said_once_and_loudly(tmp_path):
    rules = {"rules": {**RULES["rules"], "V": {"when": {"virus.found": True}, "reject": "550 5.7.1 virus"}}}
    milterd = Milterd(tmp_path, rules=rules, antivirus={"enabled": True, "database": str(tmp_path / "nothing")})
    try:
        say(milterd, "hello")
        say(milterd, "hello")
        assert milterd.log().count("error: antivirus ") == 1
        assert "av=-" in milterd.verdicts()[-1]
    finally:
        assert milterd.stop() == 0
