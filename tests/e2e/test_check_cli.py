"""weir check and weir rules: the contract that scripts rely on."""
import json
import os
import subprocess

import pytest

from milterdlib import BUILD, RULES, Milterd, write_rules
from milterwire import Mta


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A configuration whose daemon is not started."""
    return Milterd(tmp_path_factory.mktemp("check"), start=False)


def message(folder, text, name="m.eml"):
    path = folder.folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def check(folder, text, *arguments):
    done = folder.weir("check", "--json", *arguments, message(folder, text))
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


HAM = "From: Ann <ann@client.example>\nTo: b@example.org\nSubject: hello\nMessage-ID: <1@client.example>\n\nhello\n"
SPAM = HAM.replace("\n\nhello", "\n\nspammy idea")

CASES = [
    # message, arguments, exit status, action, stage, reply
    (HAM, [], 0, "deliver", "eom", None),
    (HAM.replace("hello\n", "spammy\n"), [], 10, "tag", "eom", None),
    (HAM.replace("Subject: hello", "Subject: hold me"), [], 20, "quarantine", "eom", None),
    (HAM, ["--ip", "192.0.2.66"], 30, "reject", "connect", "554 5.7.1 go away 192.0.2.66"),
    (HAM, ["--helo", "later.example"], 31, "tempfail", "helo", "451 4.7.1 100% later"),
    (HAM, ["--from", "bad@client.example"], 30, "reject", "mail", "550 5.7.1 not from you"),
    (HAM, ["--from", "<bad@client.example>"], 30, "reject", "mail", "550 5.7.1 not from you"),
    (HAM, ["--rcpt", "nobody@example.org"], 30, "reject", "rcpt", "550 5.1.1 no such user"),
    (HAM, ["--rcpt", "nobody@example.org", "--rcpt", "b@example.org"], 0, "deliver", "eom", None),
    (HAM.replace("hello\nMessage", "refuse me\nMessage"), [], 30, "reject", "header", "550 5.7.1 subject refused"),
    (HAM.replace("hello\nMessage", "discard me\nMessage"), [], 32, "discard", "header", None),
    (HAM + "refuse this body\n", [], 30, "reject", "eom", "554 5.7.1 100% refused body"),
]


@pytest.mark.parametrize("case", range(len(CASES)))
def test_exit_status_and_verdict(folder, case):
    text, arguments, status, action, stage, reply = CASES[case]
    code, verdict, errors = check(folder, text, *arguments)
    assert (code, verdict["action"], verdict["stage"], verdict["reply"]) == (status, action, stage, reply), errors


def test_the_object_that_json_prints(folder):
    _, verdict, _ = check(folder, SPAM, "--ip", "198.51.100.7", "--helo", "h.example",
                          "--from", "a@client.example", "--rcpt", "b@example.org")
    assert verdict["policy"] == "default"
    assert verdict["thresholds"] == {"tag": 4, "quarantine": 8, "reject": 15}
    assert verdict["score"] == 5
    symbols = {s["name"]: s for s in verdict["symbols"]}
    assert symbols["SPAMMY"]["score"] == 5 and symbols["SPAMMY"]["shadow"] is False
    assert symbols["IDEA"]["shadow"] is True
    assert symbols["SPAMMY"]["file"].endswith("50-test.json") and symbols["SPAMMY"]["line"] > 1
    assert symbols["SPAMMY"]["because"][0]["fact"] == "body.text"
    assert "spammy" in symbols["SPAMMY"]["because"][0]["value"]
    facts = verdict["facts"]
    assert facts["client.address"] == "198.51.100.7"
    assert facts["helo.name"] == "h.example"
    assert facts["mail.address"] == "a@client.example" and facts["mail.domain"] == "client.example"
    assert facts["mail.null"] is False
    assert facts["rcpt.address"] == ["b@example.org"] and facts["rcpt.count"] == 1
    assert facts["header.subject"] == ["hello"]
    assert facts["header.from.addr"] == ["ann@client.example"] and facts["header.from.name"] == ["Ann"]
    assert facts["message.id"] == "1@client.example"
    assert facts["attachments"] == [] and facts["urls"] == []
    assert facts["message.size"] == len(SPAM) + SPAM.count("\n")
    assert verdict["elapsed_ms"]["total"] > 0


def test_what_is_not_known_is_absent(folder):
    _, verdict, _ = check(folder, HAM)
    for name in ("client.address", "client.name", "helo.name", "tls.version", "auth.user", "bayes.spam", "virus.found"):
        assert name not in verdict["facts"]


MULTIPART = """From: a@client.example
Subject: files
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=b

--b
Content-Type: text/html

<a href="https://www.Example.ORG/x">see</a>
--b
Content-Type: application/pdf; name="Invoice.PDF.exe . "
Content-Disposition: attachment; filename="Invoice.PDF.exe . "
Content-Transfer-Encoding: base64

aGVsbG8=
--b--
"""


def test_attachments_and_urls(folder):
    _, verdict, _ = check(folder, MULTIPART)
    attachment = verdict["facts"]["attachments"][0]
    assert (attachment["extension"], attachment["type"], attachment["size"]) == ("exe", "application/pdf", 5)
    assert attachment["sha256"] == "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    url = verdict["facts"]["urls"][0]
    assert (url["url"], url["host"], url["domain"]) == ("https://www.Example.ORG/x", "www.example.org", "example.org")


def test_the_report_is_bounded_whatever_the_message(folder):
    text = "".join("X-%d: %s\n" % (n, "v" * 3000) for n in range(300)) + "\n" + "word " * 500000
    _, verdict, _ = check(folder, text)
    assert len(json.dumps(verdict)) < 400000


BAD = [b"", b"\n", b"\0" * 5000, b"\xff" * 5000, b": no name\n\n", b"Subject", b"a: b\n" * 10000, b"X: " + b"y" * (1 << 20) + b"\n\nx\n",
       b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n" * 2000, b"Content-Type: multipart/mixed; boundary=never\n\nx\n",
       b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(2000))]


@pytest.mark.parametrize("case", range(len(BAD)))
def test_bad_messages_get_a_verdict(folder, case):
    code, verdict, errors = check(folder, BAD[case])
    assert code in (0, 10, 20, 30, 31), errors
    assert verdict["action"] and "Sanitizer" not in errors


def test_the_text_for_people(folder):
    done = folder.weir("check", message(folder, HAM.replace("hello\n", "spammy \x1b[2J\n")))
    assert done.returncode == 10
    assert "SPAMMY" in done.stdout and "says so itself" in done.stdout and "score 5.00" in done.stdout
    done = folder.weir("check", "--explain", message(folder, HAM.replace("hello\n", "spammy \x1b[2J\n")))
    assert "50-test.json:" in done.stdout and "body.text" in done.stdout
    assert "\x1b" not in done.stdout, "a message must not reach the terminal's controls"


def test_explain_in_json(folder):
    _, verdict, _ = check(folder, HAM.replace("hello\n", "spammy\n"), "--explain")
    assert any("explanation" in s for s in verdict["symbols"])


def test_standard_input(folder):
    done = folder.weir("check", "-", input=HAM + "refuse this body\n")
    assert done.returncode == 30


ERRORS = [
    (["check"], 64), (["check", "--ip", "nonsense", "x"], 64), (["check", "--without", "everything", "x"], 64),
    (["check", "/nonexistent.eml"], 74), (["check", "a", "b"], 64), (["rules"], 64), (["rules", "dance"], 64),
    (["rules", "show"], 64), (["rules", "show", "SPAMY"], 1), (["reload", "x"], 64), (["chekc"], 64),
]


@pytest.mark.parametrize("case", range(len(ERRORS)))
def test_errors(folder, case):
    arguments, status = ERRORS[case]
    done = folder.weir(*arguments)
    assert done.returncode == status, done.stderr
    assert done.stderr


def test_no_daemon_is_74(folder):
    assert folder.weir("reload").returncode == 74
    assert folder.weir("status").returncode == 74


def test_unreadable_rules_are_65(tmp_path):
    broken = Milterd(tmp_path, rules=tmp_path / "nothing", start=False)
    done = broken.weir("check", message(broken, HAM))
    assert done.returncode == 65 and "nothing" in done.stderr
    assert broken.weir("rules", "lint").returncode == 65


def test_rules_lint_show_test(tmp_path):
    rules = {"rules": {"SPAMMY": {**RULES["rules"]["SPAMMY"], "examples": {"match": ["spam.eml"], "miss": ["ham.eml"]}}}}
    folder = Milterd(tmp_path, rules=rules, start=False)
    (folder.rules / "spam.eml").write_text(HAM + "spammy\n")
    (folder.rules / "ham.eml").write_text(HAM)
    assert folder.weir("rules", "lint").returncode == 0
    done = folder.weir("rules", "test")
    assert done.returncode == 0 and "2 passed, 0 failed" in done.stdout
    done = folder.weir("rules", "show", "SPAMMY")
    assert done.returncode == 0 and json.loads(done.stdout)["score"] == 5
    (folder.rules / "ham.eml").write_text(HAM + "spammy\n")
    done = folder.weir("rules", "test")
    assert done.returncode == 1 and "ham.eml: fires, and should not" in done.stdout
    write_rules(folder.rules, {"60-bad.json": '{"rules": {"X": {"when": {"body.txt": "a"}, "score": 1}}}'})
    done = folder.weir("rules", "lint")
    assert done.returncode == 1 and "60-bad.json:1:" in done.stderr and 'did you mean "body.text"' in done.stderr
    assert folder.weir("rules", "test").returncode == 65


def test_schema_and_catalogue_need_no_configuration():
    for word in ("schema", "facts"):
        done = subprocess.run([BUILD / "weir", "rules", word], capture_output=True, text=True)
        assert done.returncode == 0 and "attachments" in done.stdout
    assert os.path.exists(BUILD / "weir")


def test_daemon_and_command_line_agree(tmp_path):
    milterd = Milterd(tmp_path)
    try:
        for words in ("hello", "spammy", "refuse this body"):
            mta = Mta(milterd.socket_path)
            mta.connect("198.51.100.7")
            mta.helo("h.example")
            _, reply = mta.message([("From", " a@client.example"), ("Subject", " x")], words.encode() + b"\r\n")
            mta.quit()
            code, verdict, _ = check(milterd, "From: a@client.example\nSubject: x\n\n%s\n" % words, "--ip", "198.51.100.7",
                                     "--helo", "h.example", "--from", "a@client.example", "--rcpt", "b@example.org")
            assert (reply[0] == "y") == (code == 30)
            line = milterd.verdicts()[-1]
            assert "action=%s " % verdict["action"] in line and "bytes=%d " % verdict["facts"]["message.size"] in line
            assert "score=%.2f/" % verdict["score"] in line
    finally:
        assert milterd.stop() == 0


def test_without_leaves_a_provider_out(tmp_path):
    rules = {"rules": {"V": {"when": {"virus.found": {"unknown": True}}, "score": 1}, "B": {"when": {"bayes.spam": {"unknown": True}}, "score": 1}}}
    folder = Milterd(tmp_path, rules=rules, start=False, antivirus={"enabled": True, "database": str(tmp_path / "nothing")})
    _, verdict, errors = check(folder, HAM)
    assert verdict["score"] == 2 and "not scanned for viruses" in errors and "bayes is unknown" in errors
    _, verdict, errors = check(folder, HAM, "--without", "virus,bayes,dns")
    assert verdict["score"] == 2 and not errors


def test_standard_error_is_for_what_is_wrong(tmp_path):
    """That the signatures were loaded is the daemon's news, not an answer to check."""
    database = tmp_path / "signatures"
    database.mkdir()
    (database / "test.hdb").write_text("44d88612fea8a8f36de82e1278abb02f:68:Eicar-Test-Signature\n")
    rules = {"rules": {"V": {"when": {"virus.found": False}, "score": 1}}}
    folder = Milterd(tmp_path, rules=rules, start=False, antivirus={"enabled": True, "database": str(database), "workers": 1})
    code, verdict, errors = check(folder, HAM)
    assert code == 0 and verdict["score"] == 1 and errors == ""
