"""The store on a full disk, with a full map, and made by root: the message still gets its verdict, and who has to act is told
what to do."""
import json
import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile

import pytest

from milterdlib import Milterd
from milterwire import Mta

RULES = {"rules": {"KNOWN": {"when": {"bayes.spam": {"exists": True}}, "score": 0.1},
                   "REFUSED": {"when": {"body.text": {"contains": "refuse me"}}, "reject": "550 5.7.1 refused"}}}
WORDS = "pills lottery winner million transfer cheap offer click bonus casino debt urgent".split()


def words(kind, start, n=40):
    return " ".join("%s%s%d" % (kind, WORDS[k % 12], k) for k in range(start, start + n))


def letters(folder, n, length=40):
    """n letters of a kind that the folder's name tells."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(n):
        (folder / ("%d.eml" % i)).write_text("From: a@x.example\nMessage-ID: <%d@%s.example>\nSubject: %s\n\n%s\n" % (
            i, folder.name, WORDS[i % 12], words(folder.name, i * length, length)))
    return folder


KNOWN = words("spam", 0)


def verdict(milterd, text):
    mta = Mta(milterd.socket_path)
    mta.connect()
    mta.helo()
    reply = mta.message([("From", " a@x.example"), ("Subject", " x")], text.encode() + b"\r\n")[1]
    mta.quit()
    return reply[0]


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)], capture_output=True).returncode != 0:
        pytest.skip("cannot mount a small tmpfs here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_costs_the_training_not_the_verdict(tmp_path, small_disk):
    milterd = Milterd(tmp_path / "m", rules=RULES, store="lmdb:%s" % (small_disk / "store"))
    try:
        for kind in ("spam", "ham"):
            assert milterd.weir("train", kind, "--all", letters(tmp_path / kind, 5)).returncode == 0
        done = milterd.weir("train", "spam", "--all", letters(tmp_path / "much", 400, length=200))
        assert done.returncode == 74
        assert "No space left on device: make room on that disk" in done.stderr, done.stderr
        assert json.loads(milterd.weir("stats", "--json").stdout)["learned"]["spam"] == 5, "all of a batch, or nothing"
        assert verdict(milterd, KNOWN) == "c" and "KNOWN" in milterd.verdicts()[-1]
        assert verdict(milterd, "refuse me") == "y"
    finally:
        assert milterd.stop() == 0


def test_a_daemon_starts_on_a_full_disk(tmp_path, small_disk):
    (small_disk / "other").write_bytes(b"")
    other = os.open(small_disk / "other", os.O_WRONLY)
    with pytest.raises(OSError):
        while True:
            os.write(other, b"x" * 4096)
    os.close(other)
    milterd = Milterd(tmp_path / "m", rules=RULES, store="lmdb:%s" % (small_disk / "store"))
    try:
        assert milterd.log().count("error: store ") == 1 and "No space left on device" in milterd.log()
        assert verdict(milterd, KNOWN) == "c"
        assert verdict(milterd, "refuse me") == "y"
    finally:
        assert milterd.stop() == 0


def test_a_full_store_costs_the_training_not_the_verdict(tmp_path):
    milterd = Milterd(tmp_path / "m", rules=RULES, store_bytes=1 << 20)
    try:
        for kind in ("spam", "ham"):
            assert milterd.weir("train", kind, "--all", letters(tmp_path / kind, 5)).returncode == 0
        done = milterd.weir("train", "spam", "--all", letters(tmp_path / "much", 400, length=200))
        assert done.returncode == 74 and "raise milterd/store_bytes" in done.stderr, done.stderr
        assert verdict(milterd, KNOWN) == "c" and "KNOWN" in milterd.verdicts()[-1]
        assert verdict(milterd, "refuse me") == "y"
    finally:
        assert milterd.stop() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for others")
@pytest.mark.parametrize("command", ["train", "stats"])
def test_what_roots_command_line_makes_the_daemons_user_can_use(tmp_path, command):
    """Also where folders above the store are missing, and whatever root's umask is."""
    house = pathlib.Path(tempfile.mkdtemp(prefix="weir-"))
    house.chmod(0o755)
    nobody = pwd.getpwnam("nobody")
    store = house / "state" / "weir" / "store"
    milterd = Milterd(tmp_path / "m", rules=RULES, start=False, store="lmdb:%s" % store, user="nobody")
    try:
        arguments = ["train", "spam", letters(tmp_path / "spam", 3)] if command == "train" else ["stats"]
        assert milterd.weir(*arguments, preexec_fn=lambda: os.umask(0o077)).returncode == 0
        for name in ("store.mdb", "store.mdb-lock"):
            done = subprocess.run(["dd", "if=/dev/null", "of=%s" % (store / name), "conv=notrunc"], capture_output=True, text=True,
                                  user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[])
            assert done.returncode == 0, done.stderr
    finally:
        shutil.rmtree(house)
        milterd.stop()
