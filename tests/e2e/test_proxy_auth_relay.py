""""auth": "relay": the backend checks logins; its connection is then the session's own."""

import pathlib
import shutil
import socket
import tempfile

import pytest

import postfixlib
from authlib import Dovecot, b64, challenge, log_in, plain
from proxylib import Proxy, Script
from sinklib import Sink

GOOD, BAD = plain(b"anna", b"secret"), plain(b"anna", b"wrong")
EHLO = b"250-script\r\n250-AUTH PLAIN LOGIN GSSAPI EXTERNAL SCRAM-SHA-256-PLUS\r\n250 8BITMIME\r\n"
YES = b"235 2.7.0 welcome\r\n"


def start(folder, *backends, listener=None, **settings):
    settings = {"timeouts": {"auth_delay_ms": 0, "soft_error_ms": 0, "drain_s": 5},
                "limits": {"auth_failures": 0, "errors_soft": 1000, "errors_hard": 1000}, **settings}
    return Proxy(folder, *backends, listen=[{"address": "127.0.0.1:0", "auth": "relay", "auth_plaintext": True,
                                             **(listener or {})}], **settings)


def commands(script):
    """What each connection was asked, probes left out."""
    return [[line for line in lines if line != b"QUIT"] for lines in script.lines
            if any(not line.startswith((b"EHLO", b"QUIT")) for line in lines)]


def verb(line):
    """As the script knows it."""
    return line.split()[0].decode().upper()


def test_a_reply_too_many_is_no_login(tmp_path):
    """What waits behind 235 would be taken for the reply to MAIL, and so on."""
    with Script(EHLO=EHLO, AUTH=YES + b"250 2.0.0 ok\r\n") as b, start(tmp_path, b.address) as p, p.probed().client() as c:
        c.hello()
        assert c.ask(b"AUTH PLAIN " + GOOD).startswith(b"454 4.7.0")


def test_relay_log_in_and_mail(tmp_path):
    with Script(EHLO=EHLO, AUTH=YES) as b, start(tmp_path, b.address) as p, p.probed().client() as c:
        assert b"AUTH PLAIN LOGIN\r\n" in c.hello() + b"\r\n"
        assert c.ask(b"AUTH PLAIN " + GOOD) == b"235 2.7.0 You are logged in"
        assert c.message().startswith(b"250 2.0.0 taken")
        assert c.ask(b"AUTH PLAIN " + GOOD).startswith(b"503")
        c.hello()
        assert c.message().startswith(b"250 2.0.0 taken")
        mine, = commands(b)
        assert [line[:4] for line in mine] == [b"EHLO", b"AUTH", b"MAIL", b"RCPT", b"DATA", b"MAIL", b"RCPT", b"DATA"]
        assert mine[1] == b"AUTH PLAIN " + GOOD
        p.wait_for_log(r" login id=\S+ client=127.0.0.1 login=anna mechanism=PLAIN")


@pytest.mark.parametrize("answer, reply", [
    (b"535 5.7.8 so not\r\n", b"535 5.7.8 so not"),
    (b"535 no code\r\n", b"535 5.7.8 no code"),
    (b"535-5.7.8 two\r\n535 5.7.8 lines\r\n", b"535-5.7.8 two\r\n535 5.7.8 lines"),
    (b"454 4.7.0 later\r\n", b"454 4.7.0 later"),
    (b"504 5.5.4 what?\r\n", b"504 5.5.4 what?"),
    (b"500 5.5.6 too long\r\n", b"500 5.5.6 too long"),
    (b"432 4.7.12 change your password\r\n", b"432 4.7.12 change your password"),
    (b"421 4.3.2 going\r\n", b"454 4.7.0"),  # W76
    (b"530 5.7.0 STARTTLS first\r\n", b"454 4.7.0"),  # W93: that is between us and the backend
    (b"354 go on\r\n", b"454 4.7.0"),
    (b"250 2.0.0 ok\r\n", b"454 4.7.0"),  # 235 is yes, and nothing else
    (b"nonsense\r\n", b"454 4.7.0"),
    (None, b"454 4.7.0"),
])
def test_relay_answers(tmp_path, answer, reply):
    with Script(EHLO=EHLO, AUTH=[answer, YES]) as b, start(tmp_path, b.address) as p, p.probed().client() as c:
        c.hello()
        assert c.ask(b"AUTH PLAIN " + GOOD).startswith(reply)
        assert c.ask(b"NOOP").startswith(b"250")
        assert c.ask(b"AUTH PLAIN " + GOOD).startswith(b"235")
        assert c.message().startswith(b"250 2.0.0 taken")


def test_relay_counts_guesses_only(tmp_path):
    with Script(EHLO=EHLO, AUTH=[b"454 4.7.0 later\r\n"] * 5 + [b"504 5.5.4 no\r\n"] * 5 + [b"535 5.7.8 no\r\n"]) as b, \
         start(tmp_path, b.address, limits={"auth_failures": 3}) as p, p.probed().client() as c:
        c.hello()
        for _ in range(10):
            assert c.ask(b"AUTH PLAIN " + BAD)[:3] in (b"454", b"504")
        for _ in range(3):
            assert c.ask(b"AUTH PLAIN " + BAD).startswith(b"535")
        assert c.ask(b"AUTH PLAIN " + BAD).startswith(b"421 4.7.0")


@pytest.mark.parametrize("lines", [
    [b"AUTH LOGIN", b64(b"anna"), b64(b"secret")],
    [b"AUTH PLAIN", GOOD],
    [b"AUTH PLAIN ="],
])
def test_relay_dialogue(tmp_path, lines):
    asked = {verb(line): b"334 " + b64(b"go on") + b"\r\n" for line in lines}
    asked[verb(lines[-1])] = YES
    with Script(EHLO=EHLO, **asked) as b, start(tmp_path, b.address) as p, p.probed().client() as c:
        c.hello()
        for line in lines[:-1]:
            assert challenge(c.ask(line)) == b"go on"
        assert c.ask(lines[-1]).startswith(b"235")
        assert commands(b)[0][1:] == lines


def test_relay_given_up(tmp_path):
    with Script(EHLO=EHLO, AUTH=b"334 \r\n") as b, start(tmp_path, b.address) as p, p.probed().client() as c:
        c.hello()
        assert c.ask(b"AUTH PLAIN") == b"334 "
        assert c.ask(b"*").startswith(b"501 5.7.0")
        assert c.message().startswith(b"250")
        assert len(commands(b)) == 2  # the one that was given up, and another for the message


def test_relay_challenge_too_long(tmp_path):
    with Script(EHLO=EHLO, AUTH=b"334 " + b"A" * 4000 + b"\r\n") as b, start(tmp_path, b.address) as p, \
         p.probed().client() as c:
        c.hello()
        assert c.ask(b"AUTH PLAIN").startswith(b"454 4.7.0")


def test_relay_lost_while_the_client_thinks(tmp_path):
    with Script(EHLO=EHLO, AUTH=[b"334 \r\n", YES], **{verb(GOOD): None}) as b, \
         start(tmp_path, b.address) as p, p.probed().client() as c:
        c.hello()
        assert c.ask(b"AUTH PLAIN") == b"334 "
        assert c.ask(GOOD).startswith(b"454 4.7.0")
        assert c.ask(b"AUTH PLAIN " + GOOD).startswith(b"235")


def test_relay_connection_is_nobody_elses(tmp_path):
    """Not in the pool while the session lives, nor after it."""
    with Script(EHLO=EHLO, AUTH=YES) as b, start(tmp_path, b.address) as p:
        p.probed()
        with p.client() as mine, p.client() as other:
            mine.hello()
            other.hello()
            assert mine.ask(b"AUTH PLAIN " + GOOD).startswith(b"235")
            assert mine.message().startswith(b"250")
            assert other.message().startswith(b"250")
            assert mine.message().startswith(b"250")
            assert len(commands(b)) == 2
        p.wait_for_log("session_end", 2)
        with p.client() as third:
            third.hello()
            assert third.message().startswith(b"250")
    verbs = sorted([line[:4] for line in lines] for lines in commands(b))
    assert [v.count(b"AUTH") for v in verbs] == [1, 0]
    assert [v.count(b"MAIL") for v in verbs] == [2, 2]


def test_relay_connection_lost_later(tmp_path):
    """The login cannot be repeated: the client is asked to come again."""
    with Script(EHLO=EHLO, AUTH=YES, RCPT=[b"250 2.1.5 ok\r\n", None]) as b, start(tmp_path, b.address) as p, \
         p.probed().client() as c:
        c.hello()
        assert c.ask(b"AUTH PLAIN " + GOOD).startswith(b"235")
        assert c.message().startswith(b"250")
        assert c.ask(b"MAIL FROM:<a@x>").startswith(b"250")
        assert c.ask(b"RCPT TO:<b@x>").startswith(b"451 4.4.2")  # this one may be tried again ...
        assert c.ask(b"RSET").startswith(b"250")
        assert c.ask(b"MAIL FROM:<a@x>").startswith(b"250")
        assert c.ask(b"RCPT TO:<b@x>").startswith(b"421 4.4.2")  # ... after another login
        assert c.reply() == b""
        assert len(commands(b)) == 1  # and never over a connection that is not his


@pytest.mark.parametrize("code", [b"530", b"535"])
def test_w93_login_trouble_is_the_clients(tmp_path, code):
    with Script(EHLO=EHLO, AUTH=YES, RCPT=code + b" 5.7.1 not with this login\r\n") as b, \
         start(tmp_path, b.address) as p, p.probed().client() as c:
        assert c.envelope().startswith(b"451 4.3.5")
        c.hello()
        assert c.ask(b"AUTH PLAIN " + GOOD).startswith(b"235")
        assert c.envelope().startswith(code + b" 5.7.1 not with this login")


def test_relay_rset_between(tmp_path):
    with Script(EHLO=EHLO, AUTH=YES) as b, start(tmp_path, b.address) as p, p.probed().client() as c:
        c.hello()
        c.ask(b"AUTH PLAIN " + GOOD)
        for _ in range(3):
            assert c.envelope().startswith(b"250")
            assert c.ask(b"RSET").startswith(b"250")
        assert c.message().startswith(b"250")
        assert [line[:4] for line in commands(b)[0][2:]] == [b"MAIL", b"RCPT", b"RSET"] * 3 + [b"MAIL", b"RCPT", b"DATA"]


def test_relay_no_backend(tmp_path):
    with Script(EHLO=EHLO) as b, start(tmp_path, b.address) as p, p.probed().client() as c:
        assert b"AUTH" in c.hello()
        b.listener.shutdown(socket.SHUT_RDWR)
        assert c.ask(b"AUTH PLAIN " + GOOD).startswith(b"454 4.7.0")


def test_relay_backend_without_auth(tmp_path):
    with Script() as b, start(tmp_path, b.address) as p, p.probed().client() as c:
        assert b"AUTH" not in c.hello()
        assert c.ask(b"AUTH PLAIN " + GOOD).startswith(b"454 4.7.0")


@pytest.fixture
def open_folder():
    """One that Postfix's user can enter."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="weir-dovecot-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.skipif(not postfixlib.available(), reason="needs root and Postfix")
def test_relay_to_postfix_with_dovecot(open_folder, tmp_path):
    """A real submission server behind us: its logins, its refusals, mail through it."""
    with Dovecot(open_folder / "d", {"anna": "secret"}) as d, Sink(tmp_path / "mail") as sink:
        postfix = postfixlib.Postfix("", sink.address, smtpd_sasl_auth_enable="yes", smtpd_sasl_type="dovecot",
                                     smtpd_sasl_path=d.socket, mynetworks="127.9.9.9",
                                     smtpd_relay_restrictions="permit_sasl_authenticated, reject")
        try:
            with start(tmp_path / "p", f"127.0.0.1:{postfix.port}") as p:
                p.probed()
                for mechanism in ("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256"):
                    with p.client() as c:
                        c.hello()
                        assert log_in(c, mechanism, b"anna", b"wrong").startswith(b"535 5.7.8")
                        assert c.envelope(b"b@example.org").startswith(b"554 5.7.1")
                        c.ask(b"RSET")
                        assert log_in(c, mechanism, b"anna", b"secret").startswith(b"235")
                        assert c.message(recipients=(b"b@example.org",)).startswith(b"250 2.0.0")
                assert "sasl_username=anna" in postfix.log()
        finally:
            postfix.stop()
