"""The same message, the same verdict: weir check on the file, and weir-milterd behind weir-proxy on the wire. The examples of
the shipped rules, odd messages written by hand, and mutations of both."""
import json
import os
import random
import re
import shutil
import subprocess

import pytest

from milterdlib import EICAR, SOURCE, Milterd
from proxylib import Proxy
from sinklib import Sink

ENVELOPE = ["--ip", "127.0.0.1", "--helo", "client.example", "--from", "a@client.example", "--rcpt", "b@example.org"]
HEAD = b"From: Ann <ann@client.example>\nTo: b@example.org\nSubject: hello\nMessage-ID: <1@client.example>\n"
ODD = {
    "empty": b"\n",
    "two empty lines": b"\n\n",
    "header only": HEAD,
    "header and empty line": HEAD + b"\n",
    "no header": b"\nhello\n",
    "no header, no empty line": b"hello world\nmore\n",
    "a line that is no field": HEAD + b"no colon here\nSubject: second\n\nbody\n",
    "first line folds": b" folded\n" + HEAD + b"\nbody\n",
    "blank before the colon": b"Subject : odd\nX-Spam-Flag\t: YES\n" + HEAD + b"\nbody\n",
    "no blank after the colon": HEAD.replace(b": ", b":") + b"\nbody\n",
    "many blanks": HEAD.replace(b": ", b":  \t ") + b"\nbody\n",
    "blanks at the end": HEAD.replace(b"\n", b"  \t\n") + b"\nbody\n",
    "empty fields": b"Subject:\nFrom:\nTo: \nDate:\t\n\nbody\n",
    "folds": b"Subject: a\n b\n\tc\n   d\nFrom: a@client.example\n\nbody\n",
    "fold in front": b"Subject:\n hello\nFrom:\n\ta@client.example\n\nbody\n",
    "a fold of blanks": HEAD + b"X-Odd: a\n \n b\n\nbody\n",
    "a fold of blanks at the end": HEAD + b"X-Odd: a\n \t\n\nbody\n",
    "colon first": b": nothing\n" + HEAD + b"\nbody\n",
    "only colons": b"Subject:::\n" + HEAD + b"\nbody\n",
    "name of eight bits": b"S\xc3\xbcbject: x\n" + HEAD + b"\nbody\n",
    "value of eight bits": HEAD + b"X-Odd: \xff\xfe \xc3\xa4\n\n\xff\xfe\n",
    "From_ line further down": HEAD + b"From a@client.example Thu Jan  1 00:00:00 2026\n\nbody\n",
    "NUL in a value": HEAD + b"X-Odd: a\0b\n\nbody\n",
    "NUL in a subject": b"Subject: cheap \0pills\nFrom: a@client.example\n\nbody\n",
    "NUL in a name": HEAD + b"X-O\0dd: a\n\nbody\n",
    "NUL in the body": HEAD + b"\nb\0ody\n",
    "control octets": HEAD + b"X-Odd: \x01\x02\x1b[31m\x7f\n\n\x01\x1b\n",
    "dots": HEAD + b"\n.\n..\n.x\n",
    "long line": HEAD + b"\n" + b"x" * 900 + b"\n",
    "long folded field": HEAD + b"X-Long: " + b"y" * 500 + (b"\n " + b"z" * 500) * 60 + b"\n\nbody\n",
    "many fields": HEAD + b"".join(b"X-%d: v\n" % n for n in range(500)) + b"\nbody\n",
    "the same field often": HEAD + b"Subject: again\n" * 50 + b"\nbody\n",
    "forged": b"X-Spam-Status: No\nX-SPAM-FLAG: NO\nx-spam-score:-100\n" + HEAD + b"\nbody\n",
    "multipart without end": HEAD + b"MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n--x\n\nhello\n",
    "multipart without boundary": HEAD + b"Content-Type: multipart/mixed\n\n--x\n\nhello\n--x--\n",
    "deep": HEAD + b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(200)) + b"\nx\n",
    "attachment": HEAD + b"Content-Type: multipart/mixed; boundary=x\n\n--x\n\nhi\n--x\nContent-Type: application/x; name=a.exe\n"
                         b"Content-Transfer-Encoding: base64\n\nTVqQAAMAAAA=\n--x--\n",
    "bad base64": HEAD + b"Content-Transfer-Encoding: base64\n\n!!!!====aGVsbG8\n",
    "quoted-printable": HEAD + b"Content-Transfer-Encoding: quoted-printable\n\n=\n=ZZ=3D=\n  \n=0A=0D\n",
    "unknown charset": HEAD + b"Content-Type: text/plain; charset=klingon-1\n\nbody\n",
    "encoded words": b"Subject: =?utf-8?B?w6TDtg==?= =?x?Q?=?= =?utf-8?Q?=zz?=\nFrom: =?utf-8?Q?A?= <a@client.example>\n\nbody\n",
    "EICAR": HEAD + b"Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: application/octet-stream\n"
                    b"Content-Disposition: attachment; filename=e.com\n\n" + EICAR + b"\n--x--\n",
}
MUTATIONS = int(os.environ.get("WEIR_MUTATIONS", "60"))


def examples():
    return {path.name: path.read_bytes().replace(b"\r\n", b"\n") for path in sorted((SOURCE / "rules" / "examples").glob("*.eml"))}


def mutations(seeds):
    """Messages with lines doubled, dropped, swapped, cut and sprinkled with odd octets; the same ones each time."""
    dice = random.Random(4711)
    names = sorted(seeds)
    for n in range(MUTATIONS):
        name = dice.choice(names)
        lines = seeds[name].split(b"\n")
        for _ in range(dice.randint(1, 4)):
            at, other = dice.randrange(len(lines)), dice.randrange(len(lines))
            kind = dice.randrange(7)
            if kind == 0:
                lines.insert(at, lines[other])
            elif kind == 1 and len(lines) > 1:
                del lines[at]
            elif kind == 2:
                lines[at], lines[other] = lines[other], lines[at]
            elif kind == 3:
                lines[at] = lines[at][:dice.randint(0, len(lines[at]))]
            elif kind == 4:
                place = dice.randint(0, len(lines[at]))
                lines[at] = lines[at][:place] + dice.choice([b"\0", b"\xff", b":", b" ", b"\t", b"=", b"\x1b", b"\""]) + lines[at][place:]
            elif kind == 5:
                lines.insert(at, b"")
            else:
                lines[at] = b" " + lines[at]
        yield "mutation %d of %s" % (n, name), b"\n".join(lines).rstrip(b"\n") + b"\n"


def messages():
    """None begins with "From ": there a file holds an mbox's line, which is no part of the message."""
    seeds = {**examples(), **ODD}
    every = {**seeds, **dict(mutations(seeds))}
    return {name: octets for name, octets in every.items() if not re.match(rb">*From ", octets)}


class House:
    """The shipped rules, a rule for each anomaly, a virus scanner, a trained store, and both ways to a verdict."""

    def __init__(self, folder):
        database, rules = folder / "signatures", folder / "rules"
        database.mkdir()
        (database / "test.hdb").write_text("44d88612fea8a8f36de82e1278abb02f:68:Eicar-Test-Signature\n")
        shutil.copytree(SOURCE / "rules", rules)
        listed = subprocess.run(["grep", "-ho", '"[a-z0-9_]*\\.[a-z0-9_]*", ', SOURCE / "milterd" / "message" / "anomaly.h"],
                                capture_output=True, text=True, check=True).stdout
        self.anomalies = sorted(set(re.findall(r'"(.*?)"', listed)))
        assert len(self.anomalies) > 20
        probes = {"ANOMALY_" + re.sub(r"\W", "_", name).upper(): {"when": {"mime.anomalies": name}, "score": 0.01} for name in self.anomalies}
        probes["SUBJECT_TWICE"] = {"when": {"header.subject.count": {"ge": 2}}, "score": 0.01}
        probes["NO_FROM"] = {"when": {"header.from": {"exists": False}}, "score": 0.01}
        (rules / "70-probe.json").write_text(json.dumps({"rules": probes}))
        self.milterd = Milterd(folder / "m", rules=rules, start=False, antivirus={"enabled": True, "database": str(database), "workers": 1})
        for kind, prefix in (("spam", "spam-"), ("ham", "ham-")):
            paths = sorted((rules / "examples").glob(prefix + "*.eml"))
            assert self.milterd.weir("train", kind, "--quiet", *paths).returncode == 0
        self.milterd.start()
        self.sink = Sink(folder / "maildir")
        self.proxy = Proxy(folder / "p", self.sink.address,
                           filters=[{"name": "weir", "socket": self.milterd.socket, "on_failure": "tempfail"}])
        self.file = folder / "message.eml"

    def stop(self):
        self.proxy.stop()
        self.sink.stop()
        return self.milterd.stop()

    def by_check(self, octets):
        self.file.write_bytes(octets)
        done = self.milterd.weir("check", "--json", *ENVELOPE, self.file)
        verdict = json.loads(done.stdout)
        symbols = sorted("%s:%.2f" % (s["name"], s["score"]) for s in verdict["symbols"])
        return verdict["action"], "%.2f" % verdict["score"], symbols, verdict["facts"]["message.size"], verdict["reply"]

    def by_daemon(self, octets):
        """None where the proxy lets no such message in."""
        before = len(self.milterd.verdicts())
        with self.proxy.client() as client:
            client.hello()
            client.ask(b"MAIL FROM:<a@client.example>")
            client.ask(b"RCPT TO:<b@example.org>")
            reply = client.data(re.sub(rb"\r*\n", b"\r\n", octets))
        lines = self.milterd.verdicts()[before:]
        if not lines or "action=abort" in lines[-1]:
            return None, reply
        field = dict(re.findall(r' (\w+)=("[^"]*"|\S+)', lines[-1]))
        symbols = [] if field["symbols"] == "-" else sorted(s.strip('"') for s in field["symbols"].strip('"').split(","))
        told = None if field["reply"] == "-" else field["reply"].strip('"')
        return (field["action"], field["score"].split("/")[0], symbols, int(field["bytes"]), told), reply


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    house = House(tmp_path_factory.mktemp("same"))
    yield house
    assert house.stop() == 0


def test_check_and_daemon_agree(house):
    different, compared = [], 0
    for name, octets in messages().items():
        daemon, reply = house.by_daemon(octets)
        if daemon is None:
            assert reply[:1] in b"45", (name, reply)
            continue
        compared += 1
        check = house.by_check(octets)
        if check != daemon:
            different.append("%s:\n  check  %s\n  daemon %s" % (name, check, daemon))
    assert not different, "\n".join(different)
    assert compared > len(messages()) * 3 // 4, compared
