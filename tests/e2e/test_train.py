"""weir train, forget and stats: exit codes, counts, and what is left when a trainer dies."""
import json
import mailbox
import os
import pathlib
import pty
import random
import signal
import subprocess
import time

import pytest

WEIR = pathlib.Path(os.environ["WEIR_BUILD"]) / "weir"
WORDS = {
    "spam": "pills lottery winner million transfer cheap offer click bonus casino debt urgent".split(),
    "ham": "meeting patch review kernel thanks tomorrow lunch report build release agenda notes".split(),
}


def message(kind, number, extra=""):
    """A message of its class; the same number gives the same message."""
    chance = random.Random(f"{kind}{number}")
    words = " ".join(chance.choices(WORDS[kind], k=40))
    return (f"Received: from a.example ([192.0.2.{number % 250}]) by mx.example\n{extra}"
            f"From: {kind} writer <{kind}{number}@{kind}.example>\nTo: you@example.org\n"
            f"Subject: {' '.join(chance.choices(WORDS[kind], k=4))}\n"
            f"Message-ID: <{number}@{kind}.example>\n"
            f"Date: Thu, 1 Jan 2026 10:{number % 60:02d}:00 +0000\n\n{words}\n")


class Weir:
    def __init__(self, folder):
        self.folder = folder
        self.config = folder / "weir.json"
        self.settings(store_bytes=64 << 20)

    def settings(self, **milterd):
        self.config.write_text(json.dumps({"milterd": {"store": "lmdb:store", "user": "", **milterd}}))

    def argv(self, *args):
        return [WEIR, "-c", self.config, *map(str, args)]

    def run(self, *args, stdin=None):
        return subprocess.run(self.argv(*args), input=stdin, capture_output=True, text=True,
                              timeout=120, check=False)

    def ok(self, *args, stdin=None):
        done = self.run(*args, stdin=stdin)
        assert done.returncode == 0, done
        return done.stdout

    def stats(self):
        return json.loads(self.ok("stats", "--json"))

    def folder_of(self, kind, numbers, name=None):
        folder = self.folder / (name or kind)
        folder.mkdir(exist_ok=True)
        for number in numbers:
            (folder / f"{number:05}.eml").write_text(message(kind, number))
        return folder


@pytest.fixture(name="weir")
def weir_fixture(tmp_path):
    return Weir(tmp_path)


def counts(output):
    """'learnt 1, sure already 0, ...' as a dictionary."""
    return {name: int(n) for name, n in
            (part.rsplit(" ", 1) for part in output.strip().splitlines()[-1].split(", "))}


def expect(output, **wanted):
    wanted = {name.replace("_", " "): n for name, n in wanted.items()}
    all_names = ["learnt", "sure already", "known", "moved", "failed"]
    assert counts(output) == {name: wanted.get(name, 0) for name in all_names}


def test_new_then_known(weir):
    folder = weir.folder_of("spam", range(5))
    expect(weir.ok("train", "spam", folder), learnt=5)
    again = weir.run("train", "spam", folder)
    assert again.returncode == 1
    expect(again.stdout, known=5)
    assert weir.stats()["learned"] == {"spam": 5, "ham": 0}


def test_the_same_mail_however_it_travelled(weir):
    one, two = weir.folder / "one", weir.folder / "two"
    one.write_text(message("spam", 1))
    two.write_text("Return-Path: <x@y.example>\n" + message(
        "spam", 1, "Received: from elsewhere\nX-Spam-Status: Yes, score=9\nX-Spam-Flag: YES\n") + "\n\n")
    expect(weir.ok("train", "spam", one), learnt=1)
    assert weir.run("train", "spam", two).returncode == 1
    crlf = message("spam", 1).replace("\n", "\r\n")
    assert weir.run("train", "spam", "-", stdin=crlf).returncode == 1


def test_moved_and_forgotten(weir):
    path = weir.folder / "m.eml"
    path.write_text(message("spam", 1))
    expect(weir.ok("train", "ham", path), learnt=1)
    expect(weir.ok("train", "spam", path), moved=1)
    assert weir.stats()["learned"] == {"spam": 1, "ham": 0}
    assert weir.ok("forget", path) == "forgotten 1, not known 0, failed 0\n"
    stats = weir.stats()
    assert stats["learned"] == {"spam": 0, "ham": 0}
    assert stats["model"]["tokens"] == 0 and stats["store"]["entries"] == 0
    done = weir.run("forget", path)
    assert (done.returncode, done.stdout) == (1, "forgotten 0, not known 1, failed 0\n")


def test_sure_already_and_all(weir):
    weir.ok("train", "--all", "spam", weir.folder_of("spam", range(40)))
    weir.ok("train", "--all", "ham", weir.folder_of("ham", range(40)))
    more = weir.folder_of("spam", range(100, 110), "more")
    expect(weir.ok("train", "spam", more), sure_already=10)
    assert weir.stats()["learned"]["spam"] == 40
    assert weir.stats()["model"]["known"]["spam"] == 50
    assert weir.run("train", "spam", more).returncode == 1
    expect(weir.ok("train", "spam", "--all", "--teacher", "user:eve", "--quiet", more), learnt=10)
    assert weir.stats()["learned"]["spam"] == 50


def test_mbox(weir):
    path = weir.folder / "box"
    box = mailbox.mbox(path)
    for number in range(7):
        box.add(message("ham", number) + "From here on it is quoted\n")
    box.close()
    expect(weir.ok("train", "ham", path), learnt=7)
    expect(weir.ok("train", "spam", "-", stdin=path.read_text()), moved=7)
    # What a box quotes is the same message as the file that is not quoted.
    single = weir.folder / "single"
    single.write_text(message("ham", 3) + "From here on it is quoted\n")
    assert weir.run("train", "spam", single).returncode == 1


def test_maildir(weir):
    path = weir.folder / "Maildir"
    box = mailbox.Maildir(path)
    for number in range(6):
        new = mailbox.MaildirMessage(message("ham", number))
        new.set_subdir("cur" if number % 2 else "new")
        box.add(new)
    (path / "tmp" / "half").write_text(message("ham", 99))
    (path / "dovecot.index").write_text("no message")
    expect(weir.ok("train", "ham", path), learnt=6)


def test_standard_input(weir):
    expect(weir.ok("train", "spam", "-", stdin=message("spam", 1)), learnt=1)
    done = weir.run("train", "spam", "-", stdin="")
    assert done.returncode == 65
    assert done.stderr == "weir: standard input: no message in it\n"


def test_failures_are_named_and_work_goes_on(weir):
    folder = weir.folder_of("spam", range(3))
    (folder / "00000a").symlink_to("nowhere")
    (folder / "empty").write_text("")
    done = weir.run("train", "spam", folder, weir.folder / "missing")
    assert done.returncode == 0
    expect(done.stdout, learnt=3, failed=3)
    assert done.stderr.splitlines() == [
        f"weir: {folder}/00000a: No such file or directory",
        f"weir: {folder}/empty: no message in it",
        f"weir: {weir.folder}/missing: No such file or directory",
    ]


def test_messages_of_all_kinds(weir):
    folder = weir.folder / "odd"
    folder.mkdir()
    odd = {"nul": b"\0" * 5000, "no-header": b"\n\nbody", "no-body": b"Subject: x\n",
           "high": bytes(range(128, 256)) * 50, "line": b"Subject: " + b"x" * 1_000_000,
           "fields": b"X: y\n" * 10_000 + b"\n", "one": b"x"}
    for name, content in odd.items():
        (folder / name).write_bytes(content)
    expect(weir.ok("train", "spam", folder), learnt=len(odd))
    assert weir.run("train", "spam", folder).returncode == 1
    weir.ok("forget", folder)
    assert weir.stats()["store"]["entries"] == 0


@pytest.mark.parametrize("args", [
    ["train"], ["train", "spam"], ["train", "eggs", "x"], ["train", "spam", "--nonsense", "x"],
    ["train", "spam", "x", "--teacher"], ["forget"], ["stats", "--yaml"], ["stats", "x", "y"]])
def test_usage(weir, args):
    done = weir.run(*args)
    assert done.returncode == 64
    assert "usage: weir" in done.stderr and done.stdout == ""


def test_io_and_data_errors(weir):
    assert weir.run("train", "spam", weir.folder / "missing").returncode == 74
    (weir.folder / "empty").write_text("")
    assert weir.run("train", "spam", weir.folder / "empty").returncode == 65
    assert weir.run("forget", weir.folder / "missing").returncode == 74
    (weir.folder / "none").mkdir()
    assert weir.run("train", "spam", weir.folder / "none").returncode == 1
    weir.config.write_text("{")
    assert weir.run("train", "spam", weir.folder / "empty").returncode == 65


def test_a_foreign_store_is_refused(weir):
    store = weir.folder / "store"
    store.mkdir()
    (store / "store.mdb").write_text("what somebody else keeps here\n" * 300)
    before = (store / "store.mdb").read_bytes()
    done = weir.run("train", "spam", "-", stdin=message("spam", 1))
    assert done.returncode == 74
    assert "not a store of weir's" in done.stderr
    assert (store / "store.mdb").read_bytes() == before
    assert sorted(p.name for p in store.iterdir()) == ["store.mdb"]


def test_a_full_store_says_which_setting(weir):
    weir.settings(store_bytes=1 << 20)
    folder = weir.folder / "many"
    folder.mkdir()
    chance = random.Random(7)
    for number in range(200):
        words = " ".join(f"w{chance.randrange(10 ** 9)}" for _ in range(100))
        (folder / f"{number}").write_text(f"Subject: {number}\n\n{words}\n")
    done = weir.run("train", "--all", "spam", folder)
    assert done.returncode == 74
    assert "full at 1048576 octets: raise milterd/store_bytes" in done.stderr
    weir.settings(store_bytes=64 << 20)
    expect(weir.ok("train", "--all", "spam", folder), learnt=200)


def test_stats_as_text(weir):
    weir.ok("train", "ham", weir.folder_of("ham", range(2)))
    text = weir.ok("stats")
    assert "ham   2 learnt, 2 known\n" in text and "spam  0 learnt, 0 known\n" in text
    stats = weir.stats()
    assert set(stats) == {"learned", "model", "store"}
    assert stats["store"]["bytes_used"] > 0


def test_the_bar_is_for_terminals(weir):
    folder = weir.folder_of("spam", range(2000))
    assert weir.run("train", "spam", folder).stderr == ""

    def on_terminal(*args):
        main, side = pty.openpty()
        with subprocess.Popen(weir.argv(*args), stdout=subprocess.PIPE, stderr=side) as train:
            os.close(side)
            shown = b""
            while True:
                try:
                    some = os.read(main, 65536)
                except OSError:  # the other side is closed
                    break
                if not some:
                    break
                shown += some
            train.communicate(timeout=60)
        os.close(main)
        return shown.decode()

    shown = on_terminal("train", "ham", folder)
    assert "messages, " in shown and "/s" in shown and " left" in shown and "%" in shown
    assert on_terminal("train", "ham", "--quiet", folder) == ""


def test_two_trainers_at_once(weir):
    spam, ham = weir.folder_of("spam", range(600)), weir.folder_of("ham", range(600))
    trainers = [subprocess.Popen(weir.argv("train", "--all", kind, folder), stdout=subprocess.PIPE,
                                 text=True) for kind, folder in (("spam", spam), ("ham", ham))]
    for trainer in trainers:
        out, _ = trainer.communicate(timeout=120)
        assert trainer.returncode == 0
        expect(out, learnt=600)
    assert weir.stats()["learned"] == {"spam": 600, "ham": 600}


@pytest.mark.parametrize("octets", [1, 20_000, 60_000, 120_000, 200_000])
def test_a_killed_trainer_leaves_a_sound_store(weir, octets):
    """Killed when the store has grown so far, whatever it is doing then."""
    messages = range(1500)
    folder = weir.folder_of("spam", messages)
    store = weir.folder / "store" / "store.mdb"
    with subprocess.Popen(weir.argv("train", "--all", "spam", folder),
                          stdout=subprocess.DEVNULL) as trainer:
        deadline = time.monotonic() + 60
        while trainer.poll() is None and time.monotonic() < deadline:
            if store.exists() and store.stat().st_size >= octets:
                trainer.send_signal(signal.SIGKILL)
                break
        trainer.wait(timeout=60)
    learnt = weir.stats()["learned"]["spam"]
    again = weir.run("train", "--all", "spam", folder)
    expect(again.stdout, known=learnt, learnt=len(messages) - learnt)
    weir.ok("forget", folder)
    stats = weir.stats()
    assert stats["model"]["tokens"] == 0 and stats["store"]["entries"] == 0
