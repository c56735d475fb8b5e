"""A real Postfix with weir-milterd as its filter: what clients are told, and what reaches the next hop."""
import re
import subprocess

import pytest

import postfixlib
from milterdlib import EICAR, RULES, Milterd, until
from sinklib import Sink

pytestmark = pytest.mark.skipif(not postfixlib.available(), reason="needs root, Postfix and swaks")

VIRUS = {
    "V": {"when": {"virus.found": True}, "reject": "550 5.7.1 Malware found: ${virus.name}"},
    "E": {"when": {"virus.error": {"exists": True}}, "tempfail": "451 4.7.1 scanner: ${virus.error}"},
}


class House:
    def __init__(self, folder):
        database = folder / "signatures"
        database.mkdir()
        # The signature of the EICAR file, made here: its MD5, its size, its name.
        (database / "test.hdb").write_text("44d88612fea8a8f36de82e1278abb02f:68:Eicar-Test-Signature\n")
        self.sink = Sink(folder / "maildir")
        self.milterd = Milterd(folder / "m", rules={**RULES, "rules": {**RULES["rules"], **VIRUS}}, socket_mode=666,
                               antivirus={"enabled": True, "database": str(database), "workers": 1})
        self.milterd.sockets.chmod(0o755)
        self.postfix = postfixlib.Postfix(self.milterd.socket, "127.0.0.1:%d" % self.sink.port)

    def stop(self):
        self.postfix.stop()
        self.sink.stop()
        return self.milterd.stop()

    def swaks(self, *arguments, to="b@example.org", sender="a@client.example", body="hello"):
        done = subprocess.run(["swaks", "--server", "127.0.0.1", "--port", str(self.postfix.port), "--from", sender, "--to", to,
                               "--helo", "client.example", "--body", body, *arguments], capture_output=True, text=True, timeout=60)
        return done.stdout

    def delivered(self, subject):
        """The message with that subject at the next hop."""
        def there():
            """the message arrives at the next hop"""
            return [m for m in self.sink.messages() if re.search(rb"(?mi)^Subject:.*" + re.escape(subject.encode()), m.content)]
        return until(there)[0]


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    house = House(tmp_path_factory.mktemp("postfix"))
    yield house
    assert house.stop() == 0


def header(message, name):
    return re.findall(rb"(?mi)^" + name.encode() + rb": ?(.*?)\r?$", message.content.split(b"\r\n\r\n")[0])


def test_ham_is_delivered_and_says_so(house):
    out = house.swaks("--header", "Subject: ham goes through")
    assert "250 2.0.0 Ok" in out
    message = house.delivered("ham goes through")
    assert header(message, "X-Spam-Status")[0].startswith(b"No, score=0.0 required=4.0")
    assert not header(message, "X-Spam-Flag")


def test_spam_is_tagged_and_forged_fields_are_gone(house):
    out = house.swaks("--header", "Subject: spam is tagged", "--add-header", "X-Spam-Flag: NO", "--add-header", "X-Spam-Status: No, forged",
                      "--add-header", "x-spam-flag: NO", "--add-header", "X-Spam-Checker-Version: forged", body="spammy")
    assert "250 2.0.0 Ok" in out
    message = house.delivered("spam is tagged")
    assert header(message, "X-Spam-Flag") == [b"YES"]
    assert len(header(message, "X-Spam-Status")) == 1 and header(message, "X-Spam-Status")[0].startswith(b"Yes, score=5.0")
    assert b"forged" not in message.content


@pytest.mark.parametrize("arguments,reply", [
    (dict(sender="bad@client.example"), "550 5.7.1 not from you"),
    (dict(to="nobody@example.org"), "550 5.1.1 no such user"),
    (dict(body="refuse this body"), "554 5.7.1 100% refused body"),
])
def test_refused_in_our_words(house, arguments, reply):
    before = len(house.sink.messages())
    assert reply in house.swaks(**arguments)
    assert len(house.sink.messages()) == before


def test_refused_by_helo_and_header(house):
    assert "451 4.7.1 100% later" in house.swaks("--helo", "later.example")
    assert "550 5.7.1 subject refused" in house.swaks("--header", "Subject: refuse me")


def test_one_recipient_refused_the_other_served(house):
    out = house.swaks("--header", "Subject: one of two", to="nobody@example.org,b@example.org")
    assert "550 5.1.1 no such user" in out and "250 2.0.0 Ok" in out
    assert house.delivered("one of two").recipients == ["b@example.org"]


def test_discard_is_a_250_and_no_message(house):
    before = len(house.sink.messages())
    assert "250 2.0.0 Ok" in house.swaks("--header", "Subject: discard me")
    assert "250 2.0.0 Ok" in house.swaks("--header", "Subject: after the discard")
    house.delivered("after the discard")
    assert len(house.sink.messages()) == before + 1


def test_quarantine_is_the_hold_queue(house):
    assert "250 2.0.0 Ok" in house.swaks("--header", "Subject: hold me")
    until(lambda: len(house.postfix.queued()["hold"]) == 1)
    assert "milter triggers HOLD action" in house.postfix.log()


def test_subject_prefix_and_redirect(house):
    house.swaks("--header", "Subject: prefix me now")
    assert header(house.delivered("prefix me now"), "Subject") == [b"[SPAM] prefix me now"]
    house.swaks("--header", "Subject: redirect me now", to="b@example.org,c@example.org")
    message = house.delivered("redirect me now")
    assert message.recipients == ["trap@example.org"]


def test_eicar_is_refused_by_name(house, tmp_path):
    (tmp_path / "eicar.com").write_bytes(EICAR)
    out = house.swaks("--header", "Subject: virus", "--attach-type", "application/octet-stream", "--attach-name", "eicar.com",
                      "--attach", "@%s" % (tmp_path / "eicar.com"))
    assert "550 5.7.1 Malware found: Eicar-Test-Signature" in out
    assert "av=Eicar-Test-Signature" in house.milterd.verdicts()[-1]


def test_the_queue_id_stands_in_the_verdict_line(house):
    out = house.swaks("--header", "Subject: queue id")
    queue_id = re.search(r"queued as (\w+)", out)[1]
    until(lambda: "qid=%s " % queue_id in house.milterd.log())


def test_many_by_smtp_source(house):
    before = len(house.sink.messages())
    done = subprocess.run(["/usr/sbin/smtp-source", "-s", "20", "-m", "100", "-l", "4000", "-f", "a@client.example", "-t", "many@example.org",
                           "127.0.0.1:%d" % house.postfix.port], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    house.sink.wait_for(before + 100, 60)
    assert len([v for v in house.milterd.verdicts() if "from=<a@client.example>" in v]) >= 100


def test_the_filter_down_is_a_tempfail_and_up_again_is_not(house):
    house.milterd.kill()
    assert "451 4.7.1" in house.swaks("--header", "Subject: filter down")
    house.milterd.start()
    assert "250 2.0.0 Ok" in house.swaks("--header", "Subject: filter up")
    house.delivered("filter up")

