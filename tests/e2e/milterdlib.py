"""weir-milterd for a test: its own folder, configuration, rules and sockets."""
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

BUILD = pathlib.Path(os.environ.get("WEIR_BUILD", "."))
SOURCE = pathlib.Path(os.environ.get("WEIR_SOURCE", pathlib.Path(__file__).resolve().parents[2]))
EICAR = (rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-"
         rb"ANTIVIRUS-TEST-FILE!$H+H*")

# A small rule set with a rule for each stage and each action; tests add their own.
RULES = {
    "rules": {
        "CLIENT_REFUSED": {"when": {"client.address": "192.0.2.66"}, "reject": "554 5.7.1 go away ${client.address}"},
        "HELO_LATER": {"when": {"helo.name": "later.example"}, "tempfail": "451 4.7.1 100% later"},
        "MAIL_REFUSED": {"when": {"mail.address": "bad@client.example"}, "reject": "550 5.7.1 not from you"},
        "RCPT_REFUSED": {"when": {"rcpt.address": "nobody@example.org"}, "reject": "550 5.1.1 no such user"},
        "SUBJECT_REFUSED": {"when": {"header.subject": {"contains": "refuse me"}}, "reject": "550 5.7.1 subject refused"},
        "BODY_REFUSED": {"when": {"body.text": {"contains": "refuse this body"}}, "reject": "554 5.7.1 100% refused body"},
        "DISCARDED": {"when": {"header.subject": {"contains": "discard me"}}, "discard": True},
        "SPAMMY": {"about": "says so itself", "when": {"body.text": {"contains": "spammy"}}, "score": 5.0},
        "HELD": {"when": {"header.subject": {"contains": "hold me"}}, "quarantine": "held for a look"},
        "PREFIXED": {"when": {"header.subject": {"contains": "prefix me"}}, "subject_prefix": "[SPAM]"},
        "REDIRECTED": {"when": {"header.subject": {"contains": "redirect me"}}, "redirect": "trap@example.org"},
        "IDEA": {"shadow": True, "when": {"body.text": {"contains": "idea"}}, "score": 100},
    },
    "headers": {
        "remove": ["X-Spam-*"],
        "add": {"X-Spam-Status": "${verdict.yesno}, score=${verdict.score} required=${verdict.required} tests=${verdict.tests}",
                "X-Spam-Level": "${verdict.level}"},
        "add_when_tagged": {"X-Spam-Flag": "${verdict.flag}"},
    },
    "policies": {"default": {"at": {"4": "tag", "8": "quarantine", "15": "reject"},
                             "replies": {"reject": "550 5.7.1 refused as spam"}}},
}


def until(condition, seconds=30):
    """Poll for an event; its value, or a failure that names it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError("did not happen within %d s: %s" % (seconds, condition.__doc__ or condition))


def write_rules(folder, rules):
    """rules: one object, or {file name: object or text}."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    files = rules if all(name.endswith(".json") for name in rules) else {"50-test.json": rules}
    for name, content in files.items():
        (folder / name).write_text(content if isinstance(content, str) else json.dumps(content, indent=2))


class Milterd:
    """rules: a rule set (see write_rules), a path to a folder of rules, or None for RULES. settings go to "milterd"."""

    def __init__(self, folder, rules=None, start=True, **settings):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        # A socket's path has at most 107 octets, and pytest's folders have long names.
        self.sockets = pathlib.Path(tempfile.mkdtemp(prefix="weir-"))
        self.socket_path = self.sockets / "m.sock"
        self.socket = "unix:%s" % self.socket_path
        self.control_path = self.sockets / "m.ctl"
        if isinstance(rules, (str, pathlib.Path)):
            self.rules = pathlib.Path(rules)
        else:
            self.rules = self.folder / "rules"
            write_rules(self.rules, RULES if rules is None else rules)
        self.log_path = self.folder / "milterd.log"
        self.config_path = self.folder / "weir.json"
        self.settings = {
            "socket": self.socket, "control": "unix:%s" % self.control_path, "rules": str(self.rules),
            "store": "lmdb:%s" % (self.folder / "store"), "store_bytes": 64 << 20,
            "antivirus": {"enabled": False}, "user": "", "drain_s": 10,
        }
        self.settings.update(settings)
        self.write_config()
        self.process = None
        if start:
            self.start()

    def write_config(self, **more):
        self.config_path.write_text(json.dumps(
            {"milterd": self.settings, "log": {"to": str(self.log_path), "level": "debug"}, **more}, indent=2))

    @property
    def pid(self):
        return self.process.pid

    def start(self):
        self.process = subprocess.Popen([BUILD / "weir-milterd", "-c", self.config_path, "-f"],
                                        stdout=subprocess.DEVNULL, stderr=open(self.folder / "milterd.err", "ab"))

        def serves():
            """weir-milterd answers on its control socket"""
            if self.process.poll() is not None:
                raise AssertionError("weir-milterd ended with %d: %s%s" % (
                    self.process.returncode, (self.folder / "milterd.err").read_text(errors="replace"), self.log()))
            return self.ask("status")
        until(serves, 60)

    def ask(self, command):
        """The daemon's answer, or None where nobody listens."""
        try:
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(60)
                s.connect(str(self.control_path))
                s.sendall(json.dumps({"command": command}).encode() + b"\n")
                return json.loads(s.makefile().readline())
        except OSError:
            return None

    def log(self):
        return self.log_path.read_text() if self.log_path.exists() else ""

    def verdicts(self):
        return [line for line in self.log().splitlines() if " verdict id=" in line]

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def wait(self, seconds=60):
        return self.process.wait(seconds)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """The exit status, which is 0 when nothing went wrong inside (sanitizers included)."""
        if self.process is not None and self.process.poll() is None:
            self.terminate()
            try:
                self.wait()
            except subprocess.TimeoutExpired:
                self.kill()
        shutil.rmtree(self.sockets, ignore_errors=True)
        return self.process.returncode if self.process is not None else None

    def weir(self, *arguments, **options):
        return subprocess.run([BUILD / "weir", "-c", self.config_path, *arguments], capture_output=True, text=True,
                              timeout=120, **options)
