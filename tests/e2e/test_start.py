"""What a newcomer meets: a start that something is missing for names the thing, the place and the remedy."""
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess

import pytest

from milterdlib import BUILD, RULES, until, write_rules

ROOT = os.geteuid() == 0
as_root = pytest.mark.skipif(not ROOT, reason="needs root")
DAEMONS = ["weir-milterd", "weir-proxy"]


class Place:
    """A folder with a configuration of both daemons, and rules."""

    def __init__(self, folder):
        self.folder = folder
        self.sockets = folder / "run"
        self.sockets.mkdir()
        self.processes = []
        write_rules(folder / "rules", RULES)
        self.settings = {
            "proxy": {"listen": [{"address": "127.0.0.1:0"}], "control": "unix:run/p.ctl", "user": "", "workers": 1,
                      "spool": {"directory": "."}},
            "milterd": {"socket": "unix:run/m.sock", "control": "unix:run/m.ctl", "rules": "rules", "store": "lmdb:store",
                        "store_bytes": 16 << 20, "antivirus": {"enabled": False}, "user": ""},
        }
        self.write()

    def write(self, proxy=None, milterd=None, **more):
        self.settings["proxy"].update(proxy or {})
        self.settings["milterd"].update(milterd or {})
        self.settings.update(more)
        (self.folder / "weir.json").write_text(json.dumps(self.settings, indent=1))

    def run(self, name, *arguments, folder=BUILD, **options):
        """A start that fails: it ends by itself."""
        return subprocess.run([folder / name, "-c", "weir.json", *arguments], cwd=self.folder, capture_output=True, text=True,
                              timeout=60, **options)

    def start(self, name, control):
        process = subprocess.Popen([BUILD / name, "-f", "-c", "weir.json"], cwd=self.folder, stderr=subprocess.DEVNULL)
        self.processes.append(process)

        def serves():
            """the daemon answers on its control socket"""
            assert process.poll() is None
            try:
                with socket.socket(socket.AF_UNIX) as s:
                    s.connect(str(self.sockets / control))
                    return True
            except OSError:
                return False
        until(serves)
        return process


@pytest.fixture
def place(tmp_path_factory):
    # The path of a socket is short, and other users may walk to it.
    folder = tmp_path_factory.mktemp("s")
    for above in [folder, *folder.parents]:
        if above.stat().st_uid == os.geteuid() and str(above) not in ("/", "/tmp"):
            above.chmod(above.stat().st_mode | 0o755)
    place = Place(folder)
    yield place
    for process in place.processes:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def refused(done, status, *words):
    assert done.returncode == status, (done.returncode, done.stderr)
    for word in words:
        assert word in done.stderr, done.stderr
    assert "Sanitizer" not in done.stderr


@pytest.mark.parametrize("arguments", [["-t"], ["-f"]])
def test_no_rules_folder(place, arguments):
    place.write(milterd={"rules": "nowhere"})
    refused(place.run("weir-milterd", *arguments), 2, "nowhere", "No such file", "milterd/rules")
    refused(place.run("weir", "rules", "lint"), 65, "nowhere", "milterd/rules")
    refused(place.run("weir", "rules", "test"), 65, "nowhere", "milterd/rules")


@pytest.mark.parametrize("name", DAEMONS)
@pytest.mark.parametrize("arguments", [["-t"], ["-f"]])
def test_no_configuration(place, name, arguments):
    (place.folder / "weir.json").unlink()
    refused(place.run(name, *arguments), 2, "weir.json: No such file")


@pytest.mark.parametrize("name", DAEMONS)
def test_usage(place, name):
    assert place.run(name, "--nonsense").returncode == 64
    assert place.run(name, "superfluous").returncode == 64
    done = place.run(name, "-h")
    assert done.returncode == 0 and "-t" in done.stdout
    done = place.run(name, "-V")
    assert done.returncode == 0 and done.stdout.startswith(name)


@pytest.mark.parametrize("name", DAEMONS)
def test_a_good_file_is_said_to_be_good(place, name):
    done = place.run(name, "-t")
    assert (done.returncode, done.stderr) == (0, "") and "good" in done.stdout


BROKEN = {
    "not JSON": ("{", "weir.json:1:"),
    "unknown section": ('{\n "proxi": {}}', 'weir.json:2:2: /proxi: unknown section (did you mean "proxy"?)'),
    "unknown key": ('{"milterd": {\n  "rule": "rules"}}', "weir.json:2:3: /milterd/rule:"),
    "twice": ('{"proxy": {},\n"proxy": {}}', "weir.json:2:"),
    "wrong type": ('{"proxy": {\n"workers": "two"}}', "weir.json:2:12: /proxy/workers:"),
    "out of range": ('{"milterd": {"antivirus": {\n"time_ms": 0}}}', "weir.json:2:12: /milterd/antivirus/time_ms: must be 10..600000 ms"),
    "no endpoint": ('{"proxy": {"listen": [\n{"address": "25"}]}}', "weir.json:2:13: /proxy/listen/0/address:"),
    "no default": ('{"proxy": {"backends": {\n"other": {"servers": ["127.0.0.1:1"]}}}}', "/proxy/backends:"),
    "bad store": ('{"milterd": {\n"store": "redis:x"}}', "weir.json:2:10: /milterd/store: must be lmdb:FOLDER"),
    "bad level": ('{"log": {\n"level": "loud"}}', "weir.json:2:10: /log/level: must be one of"),
}


@pytest.mark.parametrize("name", DAEMONS)
@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_file_is_refused_with_line_and_column(place, name, how):
    text, words = BROKEN[how]
    (place.folder / "weir.json").write_text(text)
    refused(place.run(name, "-t"), 2, words)
    refused(place.run(name, "-f"), 2, words)


@pytest.mark.parametrize("name", DAEMONS)
def test_every_mistake_is_named_in_one_run(place, name):
    (place.folder / "weir.json").write_text('{"proxy": {"workers": -1},\n "milterd": {"drain_s": -1},\n "log": {"level": 3}}')
    refused(place.run(name, "-t"), 2, "weir.json:1:", "weir.json:2:", "weir.json:3:")


SOCKETS = [("weir-milterd", "milterd", "socket"), ("weir-milterd", "milterd", "control"), ("weir-proxy", "proxy", "control")]


def as_nobody(place, name):
    """A start as a user who may write to the folders that are there, but for closed/."""
    nobody = pwd.getpwnam("nobody")
    (place.folder / "closed").mkdir()
    for path in [place.sockets, place.folder / "store"]:
        path.mkdir(exist_ok=True)
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
    # He may have no way to where we were built.
    shutil.copy(BUILD / name, place.folder / name)
    return place.run(name, "-f", folder=place.folder, user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[])


@as_root
@pytest.mark.parametrize("name, section, setting", SOCKETS)
def test_a_folder_for_a_socket_that_cannot_be_made(place, name, section, setting):
    place.write(**{section: {setting: "unix:closed/gone/x.sock"}})
    refused(as_nobody(place, name), 1, "cannot make the folder", "closed/gone", "Permission denied")


@as_root
@pytest.mark.parametrize("name, section, setting", SOCKETS)
def test_no_permission_on_the_folder_of_a_socket(place, name, section, setting):
    place.write(**{section: {setting: "unix:closed/x.sock"}})
    refused(as_nobody(place, name), 1, "closed", "Permission denied", "uid %d" % pwd.getpwnam("nobody").pw_uid)
    assert not list(place.sockets.iterdir()), "a start that failed leaves no socket"


@as_root
def test_a_low_port_without_root(place):
    place.write(proxy={"listen": [{"address": "127.0.0.1:25"}]})
    if int(open("/proc/sys/net/ipv4/ip_unprivileged_port_start").read()) <= 25:
        pytest.skip("any user may have port 25 here")
    refused(as_nobody(place, "weir-proxy"), 1, "127.0.0.1:25", "root", "CAP_NET_BIND_SERVICE")


def test_address_in_use(place):
    with socket.create_server(("127.0.0.1", 0)) as s:
        where = "127.0.0.1:%d" % s.getsockname()[1]
        place.write(proxy={"listen": [{"address": where}]}, milterd={"socket": "inet:" + where})
        for name in DAEMONS:
            refused(place.run(name, "-f"), 1, where, "in use", "another process listens there", "ss -ltnp")


def test_an_address_of_another_machine(place):
    place.write(proxy={"listen": [{"address": "192.0.2.1:2525"}]}, milterd={"socket": "inet:192.0.2.1:2525"})
    for name in DAEMONS:
        refused(place.run(name, "-f"), 1, "192.0.2.1:2525", "no address of this machine")


@pytest.mark.parametrize("name, control", [("weir-milterd", "m.ctl"), ("weir-proxy", "p.ctl")])
def test_a_second_one_is_refused_and_the_first_goes_on(place, name, control):
    place.start(name, control)
    refused(place.run(name, "-f"), 1, "another")
    assert place.run("weir", "status", "--json").stdout.count('"pid"') >= 1


@as_root
@pytest.mark.parametrize("name, setting", [("weir-milterd", "milterd"), ("weir-proxy", "proxy")])
def test_no_user(place, name, setting):
    place.write(**{setting: {"user": "nobody-like-that"}})
    for log in ("stderr", "log"):
        place.write(log={"to": log})
        refused(place.run(name, "-f"), 1, "nobody-like-that", "adduser", setting + ".user")


@as_root
@pytest.mark.parametrize("name, control", [("weir-milterd", "m.ctl"), ("weir-proxy", "p.ctl")])
def test_folders_that_are_missing_are_made_for_the_user(place, name, control):
    shutil.rmtree(place.sockets)
    place.sockets = place.folder / "var" / "run" / "weir"
    place.write(proxy={"user": "nobody", "control": "unix:var/run/weir/p.ctl"},
                milterd={"user": "nobody", "control": "unix:var/run/weir/m.ctl", "socket": "unix:var/run/weir/m.sock",
                         "store": "lmdb:var/lib/weir"})
    place.start(name, control)
    assert place.sockets.stat().st_uid == pwd.getpwnam("nobody").pw_uid
    assert place.sockets.stat().st_mode & 0o7777 == 0o750
    if name == "weir-milterd":
        assert json.loads(place.run("weir", "status", "--json").stdout)["weir-milterd"]["bayes"] is True


def test_no_signatures_is_said_once_and_loudly(place):
    virus = {"VIRUS": {"when": {"virus.found": True}, "reject": "550 5.7.1 no"}}
    write_rules(place.folder / "rules", {"60-virus.json": {"rules": virus}})
    place.write(milterd={"antivirus": {"database": "signatures"}}, log={"to": "log"})
    place.start("weir-milterd", "m.ctl")
    lines = [line for line in (place.folder / "log").read_text().splitlines() if "antivirus" in line]
    assert len(lines) == 1
    for word in ("signatures", "No such file", "clamav-freshclam", "milterd.antivirus.database", "NOT SCANNED"):
        assert word in lines[0]


def test_nobody_to_ask(place):
    for command in ("reload", "status"):
        refused(place.run("weir", command), 74, "weir-milterd", "m.ctl", "weir-proxy", "p.ctl", "is the daemon running")


def test_the_background_says_whether_it_serves(place):
    place.write(milterd={"rules": "rules"}, log={"to": "log"})
    done = place.run("weir-milterd")
    assert done.returncode == 0, done.stderr
    pid = json.loads(place.run("weir", "status", "--json").stdout)["weir-milterd"]["pid"]
    try:
        refused(place.run("weir-milterd"), 1, "another process listens there")
        assert " start " in (place.folder / "log").read_text()
    finally:
        os.kill(pid, signal.SIGTERM)
    until(lambda: not (place.sockets / "m.ctl").exists())


@pytest.mark.parametrize("name, control", [("weir-milterd", "m.ctl"), ("weir-proxy", "p.ctl")])
def test_reload_opens_the_log_again(place, name, control):
    place.write(log={"to": "log"})
    place.start(name, control)
    (place.folder / "log").rename(place.folder / "log.1")
    place.run("weir", "reload")
    assert "reload" in (place.folder / "log").read_text()


def test_a_stop_that_comes_while_workers_start_is_no_lost_one(place):
    place.write(proxy={"workers": 24, "timeouts": {"drain_s": 60}})
    for _ in range(5):
        process = place.start("weir-proxy", "p.ctl")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
