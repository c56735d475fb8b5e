"""weir-milterd as an MTA sees it: miltertest's scripts for each stage, raw packets for the rest."""
import concurrent.futures
import os
import pathlib
import pwd
import re
import resource
import shutil
import subprocess
import tempfile
import textwrap
import time

import pytest

from milterdlib import BUILD, Milterd, until
from milterwire import NR, Mta

GO = """
    c = mt.connect(sock)
    if c == nil then error("cannot connect") end
    mt.negotiate(c, nil, nil, nil)
    function expect(what, reply)
      local got = mt.getreply(c)
      if got ~= reply then error(what .. ": reply " .. string.char(got)) end
    end
"""


@pytest.fixture(scope="module")
def milterd(tmp_path_factory):
    milterd = Milterd(tmp_path_factory.mktemp("m"))
    yield milterd
    assert milterd.stop() == 0


def run(milterd, script):
    path = milterd.folder / "script.lua"
    path.write_text(textwrap.dedent(GO) + textwrap.dedent(script))
    done = subprocess.run(["miltertest", "-D", "sock=" + milterd.socket, "-s", path], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


SCRIPTS = {
    "connect is refused": """
        mt.conninfo(c, "bad.example", "192.0.2.66")
        expect("connect", SMFIR_REPLYCODE)
        """,
    "helo is told to come later": """
        mt.conninfo(c, "mx.example", "198.51.100.7")
        mt.helo(c, "later.example")
        expect("helo", SMFIR_REPLYCODE)
        """,
    "mail is refused, the next one is not": """
        mt.conninfo(c, "mx.example", "198.51.100.7")
        mt.helo(c, "mx.example")
        mt.mailfrom(c, "<bad@client.example>")
        expect("mail", SMFIR_REPLYCODE)
        mt.mailfrom(c, "<good@client.example>")
        expect("mail", SMFIR_CONTINUE)
        """,
    "one recipient is refused, the other is not": """
        mt.conninfo(c, "mx.example", "198.51.100.7")
        mt.mailfrom(c, "<good@client.example>")
        mt.rcptto(c, "<nobody@example.org>")
        expect("rcpt", SMFIR_REPLYCODE)
        mt.rcptto(c, "<b@example.org>")
        expect("rcpt", SMFIR_CONTINUE)
        """,
    "a header is refused at its end": """
        mt.conninfo(c, "mx.example", "198.51.100.7")
        mt.mailfrom(c, "<good@client.example>")
        mt.rcptto(c, "<b@example.org>")
        mt.header(c, "Subject", "please refuse me")
        mt.eoh(c)
        expect("eoh", SMFIR_REPLYCODE)
        """,
    "a body is refused at its end": """
        mt.conninfo(c, "mx.example", "198.51.100.7")
        mt.mailfrom(c, "<good@client.example>")
        mt.rcptto(c, "<b@example.org>")
        mt.header(c, "Subject", "hello")
        mt.eoh(c)
        mt.bodystring(c, "refuse this body\\r\\n")
        mt.eom(c)
        expect("eom", SMFIR_REPLYCODE)
        """,
    "ham gets its status, forged fields go": """
        mt.conninfo(c, "mx.example", "198.51.100.7")
        mt.mailfrom(c, "<good@client.example>")
        mt.rcptto(c, "<b@example.org>")
        mt.header(c, "X-Spam-Status", "No, honestly")
        mt.header(c, "Subject", "hello")
        mt.header(c, "X-SPAM-status", "No, twice")
        mt.eoh(c)
        mt.bodystring(c, "hello\\r\\n")
        mt.eom(c)
        expect("eom", SMFIR_CONTINUE)
        if not mt.eom_check(c, MT_HDRDELETE, "X-Spam-Status") and not mt.eom_check(c, MT_HDRDELETE, "X-SPAM-status") then
          error("forged field stays")
        end
        if not mt.eom_check(c, MT_HDRADD, "X-Spam-Status") then error("no X-Spam-Status") end
        """,
    "abort, and abort again, and go on": """
        mt.conninfo(c, "mx.example", "198.51.100.7")
        mt.abort(c)
        mt.mailfrom(c, "<good@client.example>")
        mt.rcptto(c, "<b@example.org>")
        mt.abort(c)
        mt.abort(c)
        mt.mailfrom(c, "<good@client.example>")
        mt.rcptto(c, "<b@example.org>")
        mt.header(c, "Subject", "hello")
        mt.eoh(c)
        mt.bodystring(c, "hello\\r\\n")
        mt.eom(c)
        expect("eom", SMFIR_CONTINUE)
        mt.abort(c)
        """,
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_miltertest(milterd, name):
    run(milterd, SCRIPTS[name] + "\nmt.disconnect(c)\n")


def edits_of(edits, code):
    return [payload for kind, payload in edits if kind == code]


def ready(milterd):
    mta = Mta(milterd.socket_path)
    assert mta.connect()[0] == "c"
    assert mta.helo()[0] == "c"
    return mta


def test_reply_texts_keep_their_percent_signs_doubled(milterd):
    mta = ready(milterd)
    _, reply = mta.message([("Subject", " x")], b"refuse this body\r\n")
    assert reply == ("y", b"554 5.7.1 100%% refused body\0")
    mta.quit()


def test_a_reply_is_not_left_for_the_next_message(milterd):
    mta = ready(milterd)
    assert mta.mail("<bad@client.example>") == ("y", b"550 5.7.1 not from you\0")
    _, reply = mta.message([("Subject", " discard me")])
    assert reply == ("d", b"")
    _, reply = mta.message([("Subject", " hello")], b"hello\r\n")
    assert reply[0] == "c"
    mta.quit()


def test_tagged_mail_gets_the_fields_that_sieve_scripts_expect(milterd):
    mta = ready(milterd)
    edits, reply = mta.message([("Subject", " hello")], b"spammy\r\n")
    assert reply[0] == "c"
    added = dict(p.rstrip(b"\0").split(b"\0") for p in edits_of(edits, "h"))
    assert added[b"X-Spam-Status"].startswith(b" Yes, score=5.0 required=4.0 tests=SPAMMY")
    assert added[b"X-Spam-Flag"] == b" YES"
    assert added[b"X-Spam-Level"] == b" *****"
    mta.quit()


def test_ham_is_told_to_be_ham(milterd):
    mta = ready(milterd)
    edits, _ = mta.message([("Subject", " hello")], b"hello\r\n")
    added = dict(p.rstrip(b"\0").split(b"\0") for p in edits_of(edits, "h"))
    assert added[b"X-Spam-Status"].startswith(b" No, score=0.0 required=4.0 tests=")
    assert b"X-Spam-Flag" not in added
    mta.quit()


def test_forged_fields_go_from_the_highest_index_down(milterd):
    mta = ready(milterd)
    fields = [("X-Spam-Flag", " NO"), ("Subject", " a"), ("x-spam-flag", " NO"), ("X-Spam-Other", " 1"), ("X-Spam-Flag", " NO")]
    edits, _ = mta.message(fields, b"hello\r\n")
    gone = [(int.from_bytes(p[:4], "big"), p[4:].split(b"\0")[0].lower()) for p in edits_of(edits, "m")]
    assert gone == [(3, b"x-spam-flag"), (2, b"x-spam-flag"), (1, b"x-spam-flag"), (1, b"x-spam-other")]
    assert all(p.endswith(b"\0\0") for p in edits_of(edits, "m"))
    mta.quit()


def test_forged_fields_behind_the_limits_go_too(milterd):
    mta = ready(milterd)
    fields = [("X-Filler-%d" % n, " x" * 40) for n in range(25000)] + [("X-Spam-Flag", " NO")]
    edits, reply = mta.message(fields, b"hello\r\n")
    assert reply[0] == "c"
    assert [p[4:] for p in edits_of(edits, "m")] == [b"X-Spam-Flag\0\0"]
    mta.quit()


def test_quarantine_subject_and_redirect(milterd):
    mta = ready(milterd)
    edits, reply = mta.message([("Subject", " hold me")], b"x\r\n")
    assert reply[0] == "c" and edits_of(edits, "q") == [b"held for a look\0"]
    edits, reply = mta.message([("Subject", " prefix me")], b"x\r\n")
    assert (0).to_bytes(3, "big") + b"\1Subject\0 [SPAM] prefix me\0" in edits_of(edits, "m")
    edits, reply = mta.message([("Subject", " redirect me")], b"x\r\n", recipients=("<b@example.org>", "<c@example.org>"))
    assert edits_of(edits, "-") == [b"<b@example.org>\0", b"<c@example.org>\0"]
    assert edits_of(edits, "+") == [b"<trap@example.org>\0"]
    mta.quit()


def test_a_shadow_rule_is_logged_and_changes_nothing(milterd):
    mta = ready(milterd)
    _, reply = mta.message([("Subject", " hello")], b"an idea\r\n")
    assert reply[0] == "c"
    mta.quit()
    assert "~IDEA:100.00" in until(lambda: [v for v in milterd.verdicts() if "IDEA" in v])[0]


def test_negotiation_follows_the_rules(tmp_path):
    """Nothing acts before the header's end here: no reply is waited for; leading space and no DATA are asked for."""
    milterd = Milterd(tmp_path, rules={"rules": {"S": {"when": {"header.subject": "x"}, "reject": "550 5.7.1 no"}}})
    try:
        mta = Mta(milterd.socket_path)
        for event in "CHMRLB":
            assert mta.protocol & NR[event] or event == "B", event
        assert not mta.protocol & NR["N"], "the rule acts at the end of the header"
        assert mta.protocol & 0x10, "no rule reads a body"
        assert mta.protocol & 0x200, "no DATA"
        assert mta.protocol & 0x100, "no unknown commands"
        assert mta.protocol & 0x100000, "leading space"
        mta.connect()
        _, reply = mta.message([("Subject", " x")])
        assert reply == ("y", b"550 5.7.1 no\0")
        mta.quit()
    finally:
        assert milterd.stop() == 0


def test_a_body_beyond_need_is_skipped(tmp_path):
    milterd = Milterd(tmp_path, message_bytes=2048)
    try:
        mta = ready(milterd)
        mta.mail()
        mta.rcpt()
        mta.data()
        mta.header("Subject", " x")
        mta.end_of_header()
        assert mta.body(b"x" * 1000 + b"\r\n")[0] == "c"
        assert mta.body(b"x" * 60000)[0] == "s"
        assert mta.end()[1][0] == "c"
        mta.quit()
    finally:
        assert milterd.stop() == 0


STEPS = [lambda m: m.connect(), lambda m: m.helo(), lambda m: m.mail(), lambda m: m.rcpt(), lambda m: m.data(),
         lambda m: m.header("Subject", " x"), lambda m: m.end_of_header(), lambda m: m.body(b"body\r\n"), lambda m: m.send("E")]


def in_hand(milterd):
    status = milterd.ask("status")
    return status["sessions"] + status["in_hand"]


@pytest.mark.parametrize("steps", range(len(STEPS) + 1))
def test_eof_after_each_stage(tmp_path, steps):
    milterd = Milterd(tmp_path)
    try:
        mta = Mta(milterd.socket_path)
        for step in STEPS[:steps]:
            step(mta)
        mta.close()
        until(lambda: in_hand(milterd) == 0)
        verdicts = milterd.ask("status")["verdicts"]
        if steps < 9:
            assert verdicts["abort"] == (1 if steps >= 3 else 0)
        assert sum(verdicts.values()) == (1 if steps >= 3 else 0)
        assert len([v for v in milterd.verdicts() if "action=abort" in v]) == verdicts["abort"]
        again = ready(milterd)
        assert again.message([("Subject", " x")], b"x\r\n")[1][0] == "c"
        again.quit()
    finally:
        assert milterd.stop() == 0


def test_two_hundred_sessions_at_once(tmp_path):
    milterd = Milterd(tmp_path)

    def session(n):
        mta = ready(milterd)
        replies = []
        for k in range(3):
            words = [b"hello", b"refuse this body", b"spammy"][(n + k) % 3]
            replies.append(mta.message([("Subject", " n%d" % n)], words + b" %d\r\n" % n)[1][0])
        mta.quit()
        return replies == [["c", "y", "c"][(n + k) % 3] for k in range(3)]
    try:
        with concurrent.futures.ThreadPoolExecutor(200) as pool:
            assert all(pool.map(session, range(200)))
        until(lambda: in_hand(milterd) == 0)
        verdicts = milterd.ask("status")["verdicts"]
        assert (verdicts["deliver"], verdicts["tag"], verdicts["reject"]) == (200, 200, 200)
        assert len({re.search(r" id=(\S+)", v)[1] for v in milterd.verdicts()}) == 600
    finally:
        assert milterd.stop() == 0


def test_one_session_too_many_is_a_tempfail(tmp_path):
    milterd = Milterd(tmp_path, sessions=2)
    try:
        two = [ready(milterd), ready(milterd)]
        third = Mta(milterd.socket_path)
        assert third.connect()[0] == "t"
        third.quit()
        two[0].quit()
        until(lambda: milterd.ask("status")["sessions"] == 1)
        assert ready(milterd).message([("Subject", " x")], b"x\r\n")[1][0] == "c"
    finally:
        assert milterd.stop() == 0


def test_the_verdict_line(milterd):
    mta = Mta(milterd.socket_path)
    mta.connect(macros={"j": "mx", "{daemon_name}": "smtp"})
    mta.helo("he lo\x07\"=\xe9")
    mta.message([("Subject", " line")], b"spammy\r\n", sender="<line@client.example>")
    mta.quit()
    line = until(lambda: [v for v in milterd.verdicts() if "line@" in v])[0]
    assert re.search(
        r' verdict id=[0-9a-f]{6,}\.1 qid=Q1 client=198\.51\.100\.7 helo="he lo\\x07\\"=\\xc3\\xa9" '
        r'from=<line@client\.example> rcpts=1 bytes=\d+ stage=eom score=5\.00/4\.00 action=tag reply=- '
        r'symbols=SPAMMY:5\.00 av=- ms=\d+$', line), line


def test_an_mta_that_offers_too_little_gets_no_half_verdict(milterd):
    """Without the right to change fields nothing forged can be removed: the message is deferred."""
    mta = Mta(milterd.socket_path, actions=0x21)
    mta.connect()
    mta.helo()
    _, reply = mta.message([("X-Spam-Flag", " NO")], b"x\r\n")
    assert reply[0] == "t"
    mta.quit()




SESSION_RULES = {"rules": {
    "TLS_OLD": {"when": {"tls.version": "TLSv1", "tls.cipher": "RC4-SHA"}, "reject": "550 5.7.1 old TLS"},
    "KNOWN_USER": {"when": {"auth.user": "ann", "auth.mechanism": "PLAIN"}, "accept": True},
    "NO_NAME": {"when": {"client.name": {"exists": False}}, "score": 1},
    "LARGE": {"when": {"mail.size": {"gt": 1000000}}, "reject": "552 5.3.4 ${mail.size} octets are too much"},
    "SUBMISSION": {"when": {"listener.name": "submission", "client.port": 4321}, "score": 2},
    "EARLY": {"when": {"client.findings": "early_talk"}, "reject": "550 5.7.1 wait for your turn"},
    "BARE": {"when": {"message.findings": ["bare_newline", "nul"]}, "score": 2},
    "CLEAN": {"when": {"message.findings": {"count": 0}}, "score": 1},
    "NOBODY_LOOKED": {"when": {"message.findings": {"unknown": True}}, "score": 0.5},
    "SLOW": {"when": {"mail.address": "slow@client.example"}, "delay_ms": 300},
    "MANY_LINES": {"when": {"mail.address": "lines@client.example"}, "reject": "550-5.7.1 first 50%\n550 5.7.1 second"},
    "REFUSED": {"when": {"body.text": {"contains": "refuse this body"}}, "reject": "554 5.7.1 no"},
}, "headers": {"remove": ["X-Spam-*"]}}


@pytest.fixture(scope="module")
def session_rules(tmp_path_factory):
    milterd = Milterd(tmp_path_factory.mktemp("s"), rules=SESSION_RULES)
    yield milterd
    assert milterd.stop() == 0


def test_macros_become_facts(session_rules):
    mta = Mta(session_rules.socket_path)
    mta.connect(name="[198.51.100.7]", macros={"j": "mx", "{daemon_name}": "submission"})
    mta.helo(macros={"{tls_version}": "TLSv1", "{cipher}": "RC4-SHA"})
    assert mta.mail() == ("y", b"550 5.7.1 old TLS\0")
    mta.helo(macros={"{tls_version}": "TLSv1.3", "{cipher}": "TLS_AES"})
    assert mta.mail("<a@client.example>", "BODY=8BITMIME", "SIZE=1000001") == ("y", b"552 5.3.4 1000001 octets are too much\0")
    _, reply = mta.message([("Subject", " x")], b"hello\r\n", sender="<facts@client.example>")
    assert reply[0] == "c"
    mta.quit()
    line = until(lambda: [v for v in session_rules.verdicts() if "facts@" in v])[0]
    assert "NO_NAME:1.00" in line and "SUBMISSION:2.00" in line


@pytest.mark.parametrize("mail, end, symbols", [
    (None, None, "NOBODY_LOOKED"), ("", "", "CLEAN"), ("pipelining", "pipelining,bare_newline", "BARE"),
])
def test_findings_of_the_front_are_facts(session_rules, mail, end, symbols):
    """Those at MAIL in time for a refusal there, those in the mail data at its end; and a list that is empty is known."""
    sender = "<%s@client.example>" % symbols.lower()
    mta = Mta(session_rules.socket_path)
    mta.connect()
    mta.helo()
    assert mta.mail(sender, macros={"i": "Q1", **({"{weir_findings}": mail} if mail is not None else {})})[0] == "c"
    for step in (mta.rcpt, mta.data, lambda: mta.header("Subject", " x"), mta.end_of_header, lambda: mta.body(b"hello\r\n")):
        step()
    _, reply = mta.end(macros={"i": "Q1", **({"{weir_findings}": end} if end is not None else {})})
    assert reply[0] in "ac"
    mta.quit()
    line = until(lambda: [v for v in session_rules.verdicts() if sender in v])[0]
    assert [s for s in ("BARE", "CLEAN", "NOBODY_LOOKED") if s + ":" in line] == [symbols]


def test_a_finding_is_refused_at_mail(session_rules):
    mta = Mta(session_rules.socket_path)
    mta.connect()
    mta.helo()
    assert mta.mail(macros={"{weir_findings}": "early_talk,pipelining"}) == ("y", b"550 5.7.1 wait for your turn\0")
    assert mta.mail(macros={"{weir_findings}": ""})[0] == "c"
    mta.quit()


def test_a_login_is_known_for_its_message_only(session_rules):
    """What accepts early still loses its forged fields; the next message of the session is nobody's."""
    mta = Mta(session_rules.socket_path)
    mta.connect()
    mta.helo()
    assert mta.mail(macros={"i": "Q1", "{auth_authen}": "ann", "{auth_type}": "PLAIN"})[0] == "c"
    for step in (mta.rcpt, mta.data, lambda: mta.header("X-Spam-Flag", " NO"), mta.end_of_header, lambda: mta.body(b"refuse this body\r\n")):
        assert step()[0] in "c-"
    edits, reply = mta.end()
    assert reply[0] == "a" and edits_of(edits, "m") == [(1).to_bytes(4, "big") + b"X-Spam-Flag\0\0"]
    assert mta.message([("Subject", " x")], b"refuse this body\r\n")[1][0] == "y"
    mta.quit()
    line = [v for v in session_rules.verdicts() if "action=accept" in v][0]
    assert "rcpts=1 " in line and "stage=mail" in line


def test_a_reply_of_two_lines(session_rules):
    mta = Mta(session_rules.socket_path)
    mta.connect()
    assert mta.mail("<lines@client.example>") == ("y", b"550-5.7.1 first 50%%\r\n550 5.7.1 second\0")
    mta.quit()


def test_a_delay_holds_the_client_up(session_rules):
    mta = Mta(session_rules.socket_path)
    mta.connect()
    began = time.monotonic()
    assert mta.mail("<slow@client.example>")[0] == "c"
    assert time.monotonic() - began >= 0.3
    mta.quit()


def test_all_recipients_refused_is_the_verdict(milterd):
    mta = ready(milterd)
    mta.mail("<all@client.example>")
    assert mta.rcpt("<nobody@example.org>") == ("y", b"550 5.1.1 no such user\0")
    mta.abort()
    assert mta.mail()[0] == "c"
    mta.quit()
    line = until(lambda: [v for v in milterd.verdicts() if "all@" in v])[0]
    assert "rcpts=0 " in line and "stage=rcpt" in line and "action=reject" in line


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change its user")
def test_root_is_given_up(tmp_path):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="weir-"))
    folder.chmod(0o755)
    milterd = Milterd(folder / "m", start=False, user="nobody", socket_mode=600)
    milterd.sockets.chmod(0o777)
    (folder / "m").chmod(0o777)
    milterd.log_path.touch()
    try:
        milterd.start()
        status = pathlib.Path("/proc/%d/status" % milterd.pid).read_text()
        uid = pwd.getpwnam("nobody").pw_uid
        assert re.search(r"^Uid:\t%d\t%d\t%d\t%d$" % (uid, uid, uid, uid), status, re.M)
        assert (milterd.socket_path.stat().st_uid, milterd.socket_path.stat().st_mode & 0o777) == (uid, 0o600)
        assert (folder / "m" / "store").stat().st_uid == uid
        assert ready(milterd).message([("Subject", " x")], b"x\r\n")[1][0] == "c"
    finally:
        assert milterd.stop() == 0
        shutil.rmtree(folder)


def test_an_unknown_user_is_an_error(tmp_path):
    milterd = Milterd(tmp_path, start=False, user="nobody-of-that-name")
    if os.geteuid() == 0:
        done = subprocess.run([BUILD / "weir-milterd", "-c", milterd.config_path, "-f"], capture_output=True, text=True, timeout=60)
        assert done.returncode == 1 and "adduser" in done.stderr
    milterd.stop()


def part(boundary, n):
    return b"--" + boundary + b"\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n" % n


BAD = {
    "no header, no body": ([], b""),
    "no header": ([], b"body\r\n"),
    "no body": ([("Subject", " x")], b""),
    "8-bit garbage and NULs": ([("Subject", " x")], bytes(range(256)) * 3000),
    "10 000 header fields": ([("X-F%d" % (n % 7), " v") for n in range(10000)], b"x\r\n"),
    "long header lines": ([("X-Long", " " + "y" * 60000)] * 20, b"x\r\n"),
    "2 000 nested parts": ([("Content-Type", " multipart/mixed; boundary=b0")], b"".join(part(b"b%d" % n, n + 1) for n in range(2000))),
    "a boundary that never ends": ([("Content-Type", " multipart/mixed; boundary=never")], b"--never\r\n" * 5000),
    "an unknown charset and encoding": ([("Content-Type", " text/plain; charset=x-none"), ("Content-Transfer-Encoding", " x-none"),
                                         ("Subject", " =?x-none?Q?=41?=")], b"x\r\n"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_messages_get_a_verdict(milterd, name):
    fields, body = BAD[name]
    mta = ready(milterd)
    mta.mail("<bad-message@client.example>")
    mta.rcpt()
    mta.data()
    for field in fields:
        mta.header(*field)
    assert mta.end_of_header()[0] == "c"
    for at in range(0, len(body), 65535):
        assert mta.body(body[at:at + 65535])[0] == "c"
    assert mta.end()[1][0] == "c"
    assert mta.message([("Subject", " x")], b"refuse this body\r\n")[1][0] == "y"
    mta.quit()


def test_memory_that_runs_out_is_a_tempfail_for_its_message(tmp_path):
    """The address space is limited; sanitizers cannot live with that, so it is tried where they are absent."""
    milterd = Milterd(tmp_path, start=False, message_bytes=1 << 30)
    if b"__asan_init" in (BUILD / "weir-milterd").read_bytes() or b"__tsan_init" in (BUILD / "weir-milterd").read_bytes():
        pytest.skip("built with sanitizers")
    milterd.start()
    try:
        resource.prlimit(milterd.pid, resource.RLIMIT_AS, (600 << 20, resource.RLIM_INFINITY))
        mta = ready(milterd)
        mta.mail()
        mta.rcpt()
        mta.data()
        mta.header("Subject", " x")
        mta.end_of_header()
        for _ in range(9000):
            mta.body(b"x" * 65000)
        assert mta.end()[1][0] == "t"
        assert mta.message([("Subject", " x")], b"refuse this body\r\n")[1][0] == "y"
        mta.quit()
        assert 'error="out of memory"' in milterd.log()
    finally:
        assert milterd.stop() == 0


@pytest.mark.parametrize("version,actions,protocol", [(6, 0x1FF, 0x3F), (4, 0x3F, 0x37F), (2, 0x3F, 0x7F)])
def test_older_mtas(milterd, version, actions, protocol):
    """Every event gets its reply, values come without their leading space, and the verdict is the same."""
    mta = Mta(milterd.socket_path, actions, protocol, version)
    assert mta.protocol & ~protocol == 0 and mta.actions & ~actions == 0
    assert mta.connect()[0] == "c" and mta.helo()[0] == "c"
    for words, code in ((b"spammy\r\n", "c"), (b"refuse this body\r\n", "y")):
        assert mta.mail()[0] == "c" and mta.rcpt()[0] == "c"
        if version >= 4:
            assert mta.data()[0] in "c-"
        assert mta.header("Subject", "x")[0] == "c" and mta.end_of_header()[0] == "c" and mta.body(words)[0] == "c"
        edits, reply = mta.end()
        assert reply[0] == code
        if code == "c":
            assert b"X-Spam-Flag\0YES\0" in edits_of(edits, "h")
    mta.quit()


@pytest.mark.parametrize("beyond", range(-2, 3))
def test_a_message_is_not_skipped_before_something_of_it_is_lost(tmp_path, beyond):
    """Else what lies behind the limit would neither be seen nor missed, and the message read as whole."""
    rules = {"rules": {"CUT": {"when": {"mime.anomalies": "message.too_large"}, "reject": "552 5.3.4 too large to look at"}}}
    milterd = Milterd(tmp_path, rules=rules, message_bytes=4096)
    try:
        mta = Mta(milterd.socket_path)
        mta.connect()
        mta.mail()
        mta.rcpt()
        mta.data()
        mta.header("Subject", " x")
        mta.end_of_header()
        reply = mta.body(b"x" * (4096 + beyond - len("Subject: x\r\n\r\n")))
        if reply[0] == "c":
            mta.body(b"more than the limit\r\n")
        assert mta.end()[1][0] == "y"
        mta.quit()
    finally:
        assert milterd.stop() == 0
