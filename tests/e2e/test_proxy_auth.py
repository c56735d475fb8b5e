"""AUTH of weir-proxy on the wire. Names carry the numbers of the behaviours they cover."""

import json
import re
import shutil
import smtplib
import subprocess
import time

import pytest

import fakemilter
from authlib import AuthScript, Dovecot, b64, challenge, log_in, plain
from proxylib import Certificate, Proxy, Script, tls_context
from sinklib import program

USERS = {"anna": "secret", "bert@example.org": "pass word"}
MECHANISMS = ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"]
GOOD = plain(b"anna", b"secret")
BAD = plain(b"anna", b"wrong")


def listen(auth, **more):
    return [{"address": "127.0.0.1:0", "auth": auth, "auth_plaintext": True, **more}]


def start(folder, auth, *backends, listener=None, **settings):
    """A proxy whose failures cost no time and no ban, unless the test wants that."""
    settings = {"timeouts": {"auth_delay_ms": 0, "soft_error_ms": 0, "drain_s": 5},
                "limits": {"auth_failures": 0, "errors_soft": 1000, "errors_hard": 1000}, **settings}
    return Proxy(folder, *backends, listen=listen(auth, **(listener or {})), **settings)


@pytest.fixture(scope="module")
def backend():
    with Script(EHLO=b"250-script\r\n250-8BITMIME\r\n250 SIZE 1000000\r\n") as s:
        yield s


@pytest.fixture(scope="module")
def checker(tmp_path_factory):
    with AuthScript(tmp_path_factory.mktemp("auth") / "a") as a:
        yield a


@pytest.fixture(scope="module")
def proxy(checker, backend, tmp_path_factory):
    with start(tmp_path_factory.mktemp("p"), "dovecot:" + checker.path, backend.address) as p:
        yield p.probed()


@pytest.fixture(scope="module")
def dovecot(tmp_path_factory):
    with Dovecot(tmp_path_factory.mktemp("d"), USERS) as d:
        yield d


@pytest.fixture(scope="module")
def real(dovecot, backend, tmp_path_factory):
    with start(tmp_path_factory.mktemp("r"), "dovecot:" + dovecot.socket, backend.address) as p:
        yield p.probed()


# ---- with a real Dovecot -------------------------------------------------------------------------

@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_w109_dovecot_mechanisms(real, mechanism):
    with real.client() as c:
        assert b"AUTH PLAIN LOGIN CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256" in c.hello()
        assert log_in(c, mechanism, b"bert@example.org", b"wrong").startswith(b"535 5.7.8")
        assert log_in(c, mechanism, b"bert@example.org", b"pass word").startswith(b"235 2.7.0")
        assert c.message().startswith(b"250")
    real.wait_for_log(rf"auth_failed id=\S+ client=127.0.0.1 login=bert@example.org mechanism={mechanism}\n")
    real.wait_for_log(rf" login id=\S+ client=127.0.0.1 login=bert@example.org mechanism={mechanism}\n")
    assert "pass word" not in real.log and "wrong" not in real.log


def test_smtplib_logs_in(real):
    for method in ("auth_cram_md5", "auth_plain", "auth_login"):
        with smtplib.SMTP(real.host, real.port, timeout=20) as s:
            s.ehlo()
            s.user, s.password = "anna", "secret"
            name = method.removeprefix("auth_").replace("_", "-").upper()
            assert s.auth(name, getattr(s, method))[0] == 235
            s.sendmail("a@client.test", ["b@mx.test"], b"Subject: x\r\n\r\nbody\r\n")
    with smtplib.SMTP(real.host, real.port, timeout=20) as s:
        with pytest.raises(smtplib.SMTPAuthenticationError):
            s.login("anna", "wrong")


@pytest.mark.skipif(shutil.which("swaks") is None, reason="needs swaks")
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
def test_swaks_logs_in(real, mechanism):
    def run(password):
        return subprocess.run(["swaks", "--server", f"{real.host}:{real.port}", "--from", "a@client.test", "--to", "b@mx.test",
                               "--auth", mechanism, "--auth-user", "anna", "--auth-password", password],
                              capture_output=True, text=True, timeout=60, check=False)
    done = run("secret")
    assert done.returncode == 0 and "235 2.7.0" in done.stdout, done.stdout + done.stderr
    assert run("wrong").returncode == 28


def test_w109_dovecot_too_long(real):
    """Dovecot hangs up on lines above 8192 octets, and with it on all who share the connection."""
    with real.client() as waiting, real.client() as c:
        waiting.hello()
        assert waiting.ask(b"AUTH LOGIN").startswith(b"334")
        c.hello()
        assert c.ask(b"AUTH PLAIN " + b64(b"\0anna\0" + b"x" * 6500)).startswith(b"500 5.5.6")
        assert c.ask(b"AUTH PLAIN").startswith(b"334")
        assert c.ask(b64(b"\0anna\0" + b"x" * 6500)).startswith(b"500 5.5.6")
        assert c.ask(b"AUTH PLAIN " + GOOD).startswith(b"235")
        assert waiting.ask(b64(b"anna")).startswith(b"334")
        assert waiting.ask(b64(b"secret")).startswith(b"235")


def test_w109_dovecot_goes_and_comes(backend, tmp_path):
    with Dovecot(tmp_path / "d", USERS) as d, start(tmp_path / "p", "dovecot:" + d.socket, backend.address) as p:
        with p.client() as c:
            c.hello()
            assert c.ask(b"AUTH LOGIN").startswith(b"334")
            d.stop()
            p.wait_for_log("auth_server .*error=")
            assert c.ask(b64(b"anna")).startswith(b"454 4.7.0")  # not before he spoke
            assert b"AUTH PLAIN" in c.hello()  # what was known stays known
            assert c.ask(b"AUTH PLAIN " + GOOD).startswith(b"454 4.7.0")
            d.start()
            p.wait_for_log("state=ready", 2)
            assert c.ask(b"AUTH PLAIN " + GOOD).startswith(b"235")


def test_dovecot_many_at_once(dovecot, backend, tmp_path):
    """One connection a worker carries many dialogues, whatever their order."""
    with start(tmp_path, "dovecot:" + dovecot.socket, backend.address, workers=2,
               limits={"sessions_per_client": 100, "auth_failures": 0}) as p:
        clients = [p.client() for _ in range(40)]
        for c in clients:
            c.hello()
            c.send(b"AUTH LOGIN\r\n")
        for c in clients:
            assert challenge(c.reply()) == b"Username:"
        for c in reversed(clients):
            c.send(b64(b"anna") + b"\r\n")
        for c in clients:
            assert challenge(c.reply()) == b"Password:"
        for i, c in enumerate(clients):
            c.send(b64(b"secret" if i % 2 else b"wrong") + b"\r\n")
        for i, c in enumerate(clients):
            assert c.reply().startswith(b"235" if i % 2 else b"535"), i
            c.close()


# ---- every row of W109 ---------------------------------------------------------------------------

ROWS = [
    # what was said before, the command, the reply
    ([], b"AUTH PLAIN " + GOOD, b"503 5.5.1"),
    ([b"HELO x"], b"AUTH PLAIN " + GOOD, b"503 5.5.1"),
    ([b"EHLO x", b"MAIL FROM:<a@x>"], b"AUTH PLAIN " + GOOD, b"503 5.5.1"),
    ([b"EHLO x", b"MAIL FROM:<a@x>", b"RCPT TO:<b@x>"], b"AUTH PLAIN " + GOOD, b"503 5.5.1"),
    ([b"EHLO x", b"AUTH PLAIN " + GOOD], b"AUTH PLAIN " + GOOD, b"503 5.5.1"),
    ([b"EHLO x", b"AUTH PLAIN " + GOOD, b"EHLO x"], b"AUTH PLAIN " + GOOD, b"503 5.5.1"),
    ([b"EHLO x"], b"AUTH", b"501 5.5.4"),
    ([b"EHLO x"], b"AUTH PLAIN a b", b"501 5.5.4"),
    ([b"EHLO x"], b"AUTH NONSENSE", b"504 5.5.4"),
    ([b"EHLO x"], b"AUTH GSSAPI", b"504 5.5.4"),
    ([b"EHLO x"], b"AUTH XOAUTH2", b"504 5.5.4"),
    ([b"EHLO x"], b"AUTH PLAIN !!!!", b"501 5.5.2"),
    ([b"EHLO x"], b"AUTH PLAIN AGE", b"501 5.5.2"),
    ([b"EHLO x"], b"AUTH PLAIN *", b"501 5.5.2"),
    ([b"EHLO x"], b"AUTH PLAIN " + GOOD, b"235 2.7.0"),
    ([b"EHLO x"], b"auth plain " + GOOD, b"235 2.7.0"),
    ([b"EHLO x"], b"AUTH PLAIN " + BAD, b"535 5.7.8"),
    ([b"EHLO x"], b"AUTH PLAIN =", b"535 5.7.8"),
    ([b"EHLO x"], b"AUTH PLAIN", b"334 "),
    ([b"EHLO x", b"AUTH PLAIN"], GOOD, b"235 2.7.0"),
    ([b"EHLO x", b"AUTH PLAIN"], BAD, b"535 5.7.8"),
    ([b"EHLO x", b"AUTH PLAIN"], b"*", b"501 5.7.0"),
    ([b"EHLO x", b"AUTH PLAIN"], b"", b"535 5.7.8"),
    ([b"EHLO x", b"AUTH PLAIN"], b"=", b"501 5.5.2"),
    ([b"EHLO x", b"AUTH PLAIN"], b"NOOP!", b"501 5.5.2"),
    ([b"EHLO x", b"AUTH PLAIN"], b"QUIT", b"535 5.7.8"),  # four letters are base64
    ([b"EHLO x", b"AUTH PLAIN"], b"A" * 12288, b"500 5.5.6"),  # longer than Dovecot takes
    ([b"EHLO x", b"AUTH PLAIN"], b"A" * 12292, b"500 5.5.6"),  # longer than anybody takes
    ([b"EHLO x"], b"AUTH PLAIN " + b"A" * 12292, b"500 5.5.6"),
    ([b"EHLO x"], b"AUTH PLAIN " + b"A" * 30000, b"500 5.5.6"),
    ([b"EHLO x", b"AUTH LOGIN"], b"*", b"501 5.7.0"),
    ([b"EHLO x", b"AUTH LOGIN", b64(b"anna")], b"*", b"501 5.7.0"),
    ([b"EHLO x", b"AUTH LOGIN " + b64(b"anna")], b64(b"secret"), b"235 2.7.0"),
    ([b"EHLO x", b"AUTH LOGIN", b64(b"anna")], b64(b"secret"), b"235 2.7.0"),
    ([b"EHLO x", b"AUTH LOGIN", b64(b"anna")], b64(b"wrong"), b"535 5.7.8"),
    ([b"EHLO x", b"AUTH PLAIN"], b"AGFu\nAGFu", b"500 5.5.2"),  # W01: a bare LF is no line end
    ([b"EHLO x", b"AUTH PLAIN"], b"AGFu\rAGFu", b"500 5.5.2"),
    ([b"EHLO x", b"AUTH PLAIN"], b"AGFu\0AGFu", b"500 5.5.2"),
]


@pytest.mark.parametrize("before, command, reply", ROWS, ids=range(len(ROWS)))
def test_w109_rows(proxy, before, command, reply):
    with proxy.client() as c:
        for line in before:
            assert c.ask(line)[:1] in b"23"
        assert c.ask(command).startswith(reply)
        if not reply.startswith(b"334"):  # no dialogue is left over: a command is a command
            assert c.ask(b"RSET").startswith(b"250" if before else b"250")
            c.hello()
            assert c.message().startswith(b"250")


def test_w109_again_after_failure(proxy):
    with proxy.client() as c:
        c.hello()
        for _ in range(5):
            assert c.ask(b"AUTH PLAIN " + BAD).startswith(b"535")
            assert c.ask(b"AUTH PLAIN", b"*").startswith(b"501")
        assert c.ask(b"AUTH PLAIN " + GOOD).startswith(b"235")


def test_w113_ehlo_after_auth(proxy):
    with proxy.client() as c:
        c.hello()
        c.ask(b"AUTH PLAIN " + GOOD)
        assert b"AUTH PLAIN" in c.hello()
        assert c.message().startswith(b"250")
        c.hello()
        assert c.message().startswith(b"250")


DIALOGUE = [b"AUTH LOGIN\r\n", b64(b"anna") + b"\r\n", b64(b"secret") + b"\r\n"]
ALONE = [b"AUTH PLAIN " + GOOD + b"\r\n"]
GIVEN_UP = [b"AUTH PLAIN\r\n", b"*\r\n"]
BARE = [b"AUTH PLAIN\r\n", b"AGFu\nbmE=\r\n"]


@pytest.mark.parametrize("lines, last", [(DIALOGUE, b"235"), (ALONE, b"235"), (GIVEN_UP, b"501"),
                                         (BARE, b"500 5.5.2")], ids=["login", "plain", "star", "bare"])
def test_w03_w109_split_everywhere(proxy, lines, last):
    """Each line cut at each place; the client waits for each reply, as he must."""
    for at in range(1, max(map(len, lines))):
        with proxy.client() as c:
            c.hello()
            for line in lines:
                c.send(line[:at])
                if line[at:]:
                    time.sleep(0.001)
                    c.send(line[at:])
                reply = c.reply()
            assert reply.startswith(last), (at, reply)
            assert c.ask(b"NOOP").startswith(b"250")


@pytest.mark.parametrize("octets", [b"AUTH LOGIN\r\n" + b64(b"anna") + b"\r\n",
                                    b"AUTH PLAIN " + GOOD + b"\r\nMAIL FROM:<a@x>\r\n"])
def test_w31_sent_ahead(proxy, octets):
    with proxy.client() as c:
        c.hello()
        c.send(octets)
        assert c.reply().startswith(b"554 5.5.0")
        assert c.reply() == b""


def test_w31_sent_ahead_in_dialogue(proxy):
    with proxy.client() as c:
        c.hello()
        assert c.ask(b"AUTH LOGIN").startswith(b"334")
        c.send(b64(b"anna") + b"\r\n" + b64(b"secret") + b"\r\n")
        assert c.reply().startswith(b"554 5.5.0")
        assert c.reply() == b""


def test_w42_response_without_end(proxy):
    with proxy.client() as c:
        c.hello()
        c.ask(b"AUTH PLAIN")
        try:
            for _ in range(40):
                c.send(b"A" * 4096)
        except OSError:
            pass
        assert c.reply().startswith(b"500 5.5.6")
        assert c.reply().startswith(b"421 4.7.0")


def test_w56_silent_client(checker, backend, tmp_path):
    with start(tmp_path, "dovecot:" + checker.path, backend.address,
               timeouts={"command_s": 1, "auth_delay_ms": 0}) as p, p.client() as c:
        c.hello()
        assert c.ask(b"AUTH LOGIN").startswith(b"334")
        assert c.reply().startswith(b"421 4.4.2")


def test_w109_without_tls(checker, backend, tmp_path):
    with start(tmp_path, "dovecot:" + checker.path, backend.address,
               listener={"auth_plaintext": False}) as p, p.client() as c:
        assert b"AUTH" not in c.hello()
        assert c.ask(b"AUTH PLAIN " + GOOD).startswith(b"504 5.5.4")
        assert c.message().startswith(b"250")


def test_w109_off(backend, tmp_path):
    with start(tmp_path, "off", backend.address) as p, p.client() as c:
        assert b"AUTH" not in c.hello()
        assert c.ask(b"AUTH PLAIN " + GOOD).startswith(b"502 5.5.1")


def test_w24_w44_auth_required(checker, backend, tmp_path):
    with start(tmp_path, "dovecot:" + checker.path, backend.address,
               listener={"auth_required": True}) as p, p.probed().client() as c:
        c.hello()
        assert c.ask(b"NOOP").startswith(b"250")
        assert c.ask(b"RSET").startswith(b"250")
        assert c.ask(b"MAIL FROM:<a@x>").startswith(b"530 5.7.0")
        assert c.ask(b"RCPT TO:<b@x>").startswith(b"503")
        assert c.ask(b"AUTH PLAIN " + BAD).startswith(b"535")
        assert c.ask(b"MAIL FROM:<a@x>").startswith(b"530 5.7.0")
        assert c.ask(b"AUTH PLAIN " + GOOD).startswith(b"235")
        assert c.message().startswith(b"250")


def test_m06_filters_are_told(checker, backend, tmp_path):
    with fakemilter.Filter(tmp_path) as f, \
         start(tmp_path / "p", "dovecot:" + checker.path, backend.address,
               filters=[{"name": "f", "socket": f.address}]) as p, p.probed().client() as c:
        c.hello()
        assert c.message().startswith(b"250")
        assert "{auth_type}" not in f.macros("M")
        assert c.ask(b"AUTH PLAIN " + GOOD).startswith(b"235")
        assert c.message().startswith(b"250")
        assert f.macros("M")["{auth_type}"] == "PLAIN" and f.macros("M")["{auth_authen}"] == "anna"


# ---- parameters of MAIL --------------------------------------------------------------------------

AUTH_EHLO = b"250-script\r\n250-AUTH PLAIN\r\n250-MT-PRIORITY STANAG4406\r\n250 8BITMIME\r\n"


@pytest.mark.parametrize("value, code", [
    (b"<>", b"250"), (b"a+40x", b"250"), (b"a@x", b"250"), (b"", b"501"), (b"a+4", b"501"), (b"a+00", b"501"),
    (b"x" * 600, b"501")])
def test_w110_auth_parameter_syntax(proxy, value, code):
    with proxy.client() as c:
        c.hello()
        assert c.ask(b"MAIL FROM:<a@x> AUTH=" + value).startswith(code)


def test_w110_auth_parameter_unknown_without_auth(backend, tmp_path):
    with start(tmp_path, "off", backend.address) as p, p.client() as c:
        c.hello()
        assert c.ask(b"MAIL FROM:<a@x> AUTH=<>").startswith(b"555 5.5.4")


@pytest.mark.parametrize("ehlo, trust, log_in_first, sent", [
    (b"250-script\r\n250 8BITMIME\r\n", True, True, b"MAIL FROM:<a@x>"),
    (AUTH_EHLO, False, True, b"MAIL FROM:<a@x> AUTH=<>"),
    (AUTH_EHLO, True, False, b"MAIL FROM:<a@x> AUTH=<>"),
    (AUTH_EHLO, True, True, b"MAIL FROM:<a@x> AUTH=an+2Bna@x"),
])
def test_w110_auth_parameter_travels(checker, tmp_path, ehlo, trust, log_in_first, sent):
    with Script(EHLO=ehlo) as b, fakemilter.Filter(tmp_path) as f, \
         start(tmp_path / "p", "dovecot:" + checker.path, b.address,
               backends={"default": {"pass_auth": trust}},
               filters=[{"name": "f", "socket": f.address}]) as p, p.probed().client() as c:
        c.hello()
        if log_in_first:
            c.ask(b"AUTH PLAIN " + GOOD)
        c.ask(b"MAIL FROM:<a@x> AUTH=an+2Bna@x")
        assert c.ask(b"RCPT TO:<b@x>").startswith(b"250")
        assert [line for line in b.all_lines() if line.startswith(b"MAIL")] == [sent]
        assert f.macros("M").get("{auth_author}") == ("an+na@x" if log_in_first else None)


def test_mt_priority(checker, tmp_path):
    with Script(EHLO=AUTH_EHLO) as b, fakemilter.Filter(tmp_path) as f, \
         start(tmp_path / "p", "dovecot:" + checker.path, b.address,
               filters=[{"name": "f", "socket": f.address}]) as p, p.probed().client() as c:
        assert b"MT-PRIORITY" not in c.hello()
        assert c.ask(b"MAIL FROM:<a@x> MT-PRIORITY=3").startswith(b"555 5.5.4")
        c.ask(b"AUTH PLAIN " + GOOD)
        assert b"MT-PRIORITY\r\n" in c.hello() + b"\r\n"
        for value in (b"10", b"-0", b"+1", b"", b"x", b"-10", b"01", b"--1"):
            assert c.ask(b"MAIL FROM:<a@x> MT-PRIORITY=" + value).startswith(b"501 5.5.4"), value
        assert c.ask(b"MAIL FROM:<a@x> MT-PRIORITY").startswith(b"501 5.5.4")
        for value in (b"-9", b"0", b"9"):
            assert c.ask(b"MAIL FROM:<a@x> MT-PRIORITY=" + value).startswith(b"250")
            assert c.ask(b"RCPT TO:<b@x>").startswith(b"250")
            assert b"MAIL FROM:<a@x> MT-PRIORITY=" + value in b.all_lines()
            assert f.macros("M")["{mt_priority}"] == value.decode()
            c.ask(b"RSET")


def test_mt_priority_only_where_the_backend_has_it(proxy):
    with proxy.client() as c:
        c.hello()
        c.ask(b"AUTH PLAIN " + GOOD)
        assert b"MT-PRIORITY" not in c.hello()
        assert c.ask(b"MAIL FROM:<a@x> MT-PRIORITY=3").startswith(b"555 5.5.4")


# ---- under TLS -----------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def secure(checker, backend, tmp_path_factory):
    """Logins need TLS here; the second listener wants it from the start, the third a login as well."""
    folder = tmp_path_factory.mktemp("tls")
    listener = {"address": "127.0.0.1:0", "auth": "dovecot:" + checker.path, "tls": "offer",
                "certificates": [Certificate(folder, "mx.test").settings]}
    with Proxy(folder / "p", backend.address, listen=[listener, {**listener, "tls": "implicit"},
                                                      {**listener, "tls": "require", "auth_required": True}],
               timeouts={"auth_delay_ms": 0, "drain_s": 5}, limits={"auth_failures": 0}) as p:
        yield p.probed()


def test_w109_w24_tls_first(secure, checker):
    with secure.client() as c:
        assert b"AUTH" not in c.hello()
        assert c.ask(b"AUTH PLAIN " + GOOD).startswith(b"504 5.5.4")
        c.starttls()
        assert c.ask(b"AUTH PLAIN " + GOOD).startswith(b"503 5.5.1")  # EHLO comes first
        assert b"AUTH PLAIN LOGIN CRAM-MD5" in c.hello()
        assert c.ask(b"AUTH PLAIN " + GOOD).startswith(b"235")
        port = c.socket.getsockname()[1]
        assert c.message().startswith(b"250")
    assert b"secured" in checker.wait_for(rb"\trport=%d\t" % port)[0].split(b"\t")


def test_w102_received_says_so(secure, backend):
    offer, implicit = secure.ports(2)
    for client in (secure.client(port=offer), secure.client(port=implicit, tls=tls_context())):
        with client as c:
            if c.socket.getpeername()[1] == offer:
                c.starttls()
            c.hello()
            c.ask(b"AUTH PLAIN " + GOOD)
            assert c.message().startswith(b"250")
        assert b" with ESMTPSA id " in backend.contents[-1]


def test_w102_received_says_so_in_the_clear(proxy, backend):
    with proxy.client() as c:
        c.hello()
        c.ask(b"AUTH PLAIN " + GOOD)
        assert c.message().startswith(b"250")
    assert b" with ESMTPA id " in backend.contents[-1]


def test_w21_starttls_forgets_the_login(checker, backend, tmp_path):
    with Proxy(tmp_path / "p", backend.address, listen=[{
            "address": "127.0.0.1:0", "auth": "dovecot:" + checker.path, "auth_plaintext": True, "auth_required": True,
            "tls": "offer", "certificates": [Certificate(tmp_path, "mx.test").settings]}]) as p, p.client() as c:
        c.hello()
        assert c.ask(b"AUTH PLAIN " + GOOD).startswith(b"235")
        c.starttls()
        c.hello()
        assert c.ask(b"MAIL FROM:<a@x>").startswith(b"530 5.7.0")
        assert c.ask(b"AUTH PLAIN " + GOOD).startswith(b"235")
        assert c.ask(b"MAIL FROM:<a@x>").startswith(b"250")


@pytest.mark.parametrize("at", range(1, 8))
def test_w03_w109_split_under_tls(secure, at):
    with secure.client() as c:
        c.hello()
        c.starttls()
        c.hello()
        for line in DIALOGUE:
            c.send(line[:at])
            time.sleep(0.001)
            c.send(line[at:])
            reply = c.reply()
        assert reply.startswith(b"235")


# ---- logins that somebody in front of us saw -----------------------------------------------------

def test_w105_xclient_login(checker, backend, tmp_path):
    with start(tmp_path, "dovecot:" + checker.path, backend.address,
               listener={"auth_required": True, "xclient": {"from": ["127.0.0.1"]}}) as p, p.client() as c:
        c.hello()
        assert c.ask(b"MAIL FROM:<a@x>").startswith(b"530")
        assert c.ask(b"XCLIENT ADDR=192.0.2.7 LOGIN=anna").startswith(b"220")
        c.hello()
        assert c.ask(b"AUTH PLAIN " + GOOD).startswith(b"503")
        assert c.message().startswith(b"250")
        assert c.ask(b"XCLIENT ADDR=192.0.2.8").startswith(b"220")
        c.hello()
        assert c.ask(b"MAIL FROM:<a@x>").startswith(b"530")
        assert c.ask(b"AUTH PLAIN " + GOOD).startswith(b"235")


# ---- an authentication server that misbehaves ----------------------------------------------------

def test_what_the_server_is_told(proxy, checker):
    with proxy.client() as c:
        c.hello()
        c.ask(b"AUTH PLAIN " + GOOD)
        port = c.socket.getsockname()[1]
    line = checker.wait_for(rb"\trport=%d\t" % port)[0].split(b"\t")
    assert line[0] == b"AUTH" and line[2] == b"PLAIN" and line[-1] == b"resp=" + GOOD
    assert {b"service=smtp", b"nologin", b"rip=127.0.0.1", b"lip=127.0.0.1",
            b"lport=%d" % proxy.port} <= set(line)
    assert b"secured" not in line


def test_cancel_when_the_client_goes(proxy, checker):
    for octets in (b"*\r\n", b"\0\r\n", None):
        with proxy.client() as c:
            c.hello()
            assert c.ask(b"AUTH LOGIN").startswith(b"334")
            port = c.socket.getsockname()[1]
            id_ = checker.wait_for(rb"\trport=%d(\t|$)" % port)[0].split(b"\t")[1]
            if octets is not None:
                c.send(octets)
                assert c.reply()[:1] == b"5"
        checker.wait_for(rb"^CANCEL\t" + id_ + b"$")


def test_answers_in_pieces(backend, tmp_path):
    """The server's lines, one octet at a time, and several at once."""
    with AuthScript(tmp_path / "a") as a, \
         start(tmp_path / "p", "dovecot:" + a.path, backend.address) as p, p.client() as c, p.client() as d:
        a.dribble = True
        c.hello()
        d.hello()
        assert c.ask(b"AUTH LOGIN") == b"334 " + b64(b"Username:")
        assert d.ask(b"AUTH LOGIN") == b"334 " + b64(b"Username:")
        c.send(b64(b"anna") + b"\r\n")
        d.send(b64(b"anna") + b"\r\n")
        assert c.reply() == d.reply() == b"334 " + b64(b"Password:")
        c.send(b64(b"wrong") + b"\r\n")
        d.send(b64(b"secret") + b"\r\n")
        assert c.reply().startswith(b"535") and d.reply().startswith(b"235")


def answers(path, answer):
    return AuthScript(path, lambda line: answer(line.split(b"\t")[1]))


@pytest.mark.parametrize("answer, reply", [
    (lambda id_: b"FAIL\t" + id_ + b"\ttemp\n", b"454 4.7.0"),
    (lambda id_: b"FAIL\t" + id_ + b"\tuser=x\tcode=temp_fail\n", b"454 4.7.0"),
    (lambda id_: b"FAIL\t" + id_ + b"\n", b"535 5.7.8"),
    (lambda id_: b"CONT\t" + id_ + b"\tnot base64\n", b"454 4.7.0"),
    (lambda id_: b"CONT\t" + id_ + b"\tAAAA\r250 ok\n", b"454 4.7.0"),
    (lambda id_: b"OK\tnonsense\n", b"454 4.7.0"),
    (lambda id_: b"x" * 20000, b"454 4.7.0"),
    (lambda id_: b"OK\t999999\tuser=evil\nFAIL\t" + id_ + b"\n", b"535 5.7.8"),
    (lambda id_: b"VERSION\t2\t0\n", b"454 4.7.0"),
    (lambda id_: None, b"454 4.7.0"),
    (lambda id_: b"", b"454 4.7.0"),
], ids=["temp", "code", "fail", "challenge", "cr", "id", "long", "other", "version", "close", "silent"])
def test_w109_server_trouble(backend, tmp_path, answer, reply):
    with answers(tmp_path / "a", answer) as a, \
         start(tmp_path / "p", "dovecot:" + a.path, backend.address,
               timeouts={"auth_s": 1, "auth_delay_ms": 0}) as p, p.client() as c:
        c.hello()
        assert c.ask(b"AUTH PLAIN " + GOOD).startswith(reply)
        assert c.ask(b"NOOP").startswith(b"250")
        a.answer = AuthScript.by_password
        p.wait_for_log("state=ready")
        for _ in range(200):  # the connection may have to be made again
            again = c.ask(b"AUTH PLAIN " + GOOD)
            if again.startswith(b"235"):
                break
            time.sleep(0.02)
        assert again.startswith(b"235")


def test_w109_server_never_there(backend, tmp_path):
    with start(tmp_path, f"dovecot:{tmp_path}/none", backend.address) as p, p.client() as c:
        assert b"AUTH" not in c.hello()
        assert c.ask(b"AUTH PLAIN " + GOOD).startswith(b"454 4.7.0")
        with AuthScript(tmp_path / "none"):
            p.wait_for_log("state=ready")
            assert b"AUTH PLAIN LOGIN CRAM-MD5\r\n" in c.hello() + b"\r\n"
            assert c.ask(b"AUTH PLAIN " + GOOD).startswith(b"235")


def test_endless_dialogue(backend, tmp_path):
    with answers(tmp_path / "a", lambda id_: b"CONT\t" + id_ + b"\tAAAA\n") as a, \
         start(tmp_path / "p", "dovecot:" + a.path, backend.address) as p, p.client() as c:
        c.hello()
        replies = [c.ask(b"AUTH PLAIN")] + [c.ask(b"AAAA") for _ in range(9)]
        assert replies[-1].startswith(b"535 5.7.8")
        assert all(r.startswith(b"334") for r in replies[:-1])


# ---- those who guess -----------------------------------------------------------------------------

def banned(p):
    return p.control("status")["logins"]["bans"]


def guess(p, count, password=BAD):
    """Replies to so many logins, each in a session of its own, over all workers."""
    replies = []
    for _ in range(count):
        with p.client() as c:
            if c.banner.startswith(b"220"):
                c.hello()
                replies.append(c.ask(b"AUTH PLAIN " + password))
            else:
                replies.append(c.banner)
    return replies


def test_guessing_is_banned_over_all_workers(checker, backend, tmp_path):
    with start(tmp_path, "dovecot:" + checker.path, backend.address, workers=3,
               limits={"auth_failures": 5, "auth_ban_s": 2, "auth_forget_s": 5}) as p:
        replies = guess(p, 8)
        assert [r[:3] for r in replies] == [b"535"] * 5 + [b"421"] * 3
        assert len({line.split("weir-proxy[")[1].split("]")[0]
                    for line in p.log.splitlines() if "auth_failed" in line}) > 1  # several workers
        assert guess(p, 1, GOOD)[0].startswith(b"421 4.7.0")
        with p.client() as c:  # mail is not concerned: a ban is about logins
            c.hello()
            assert c.message().startswith(b"250")
        p.wait_for_log(r"auth_banned id=\S+ client=127.0.0.1 login=anna mechanism=PLAIN")
        status = p.control("status")["logins"]
        assert status == {"good": 0, "failed": 5, "bans": 1, "refused": 4}
        deadline = time.monotonic() + 10
        while not guess(p, 1, GOOD)[0].startswith(b"235"):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert p.control("status")["logins"]["good"] == 1


def test_banned_at_the_door_of_a_submission_port(checker, backend, tmp_path):
    with start(tmp_path, "dovecot:" + checker.path, backend.address, listener={"auth_required": True},
               limits={"auth_failures": 3, "auth_ban_s": 60}) as p:
        assert [r[:3] for r in guess(p, 4)] == [b"535"] * 3 + [b"421"]
        with p.client() as c:
            assert c.banner.startswith(b"421 4.7.0")
            assert c.reply() == b""


def test_who_logged_in_bears_more(checker, backend, tmp_path):
    with start(tmp_path, "dovecot:" + checker.path, backend.address,
               limits={"auth_failures": 2, "auth_ban_s": 60}) as p:
        assert guess(p, 1, GOOD)[0].startswith(b"235")
        assert [r[:3] for r in guess(p, 10)] == [b"535"] * 10
        assert guess(p, 1, GOOD)[0].startswith(b"235")


def test_failures_are_answered_more_and_more_slowly(checker, backend, tmp_path):
    with start(tmp_path, "dovecot:" + checker.path, backend.address,
               timeouts={"auth_delay_ms": 100}) as p, p.client() as c:
        c.hello()
        took = []
        for password in (BAD, BAD, BAD, GOOD):
            begun = time.monotonic()
            c.ask(b"AUTH PLAIN " + password)
            took.append(time.monotonic() - begun)
        assert took[0] > 0.09 and took[1] > 0.19 and took[2] > 0.39
        assert took[3] < 0.8  # the right one waits for nothing


def test_client_goes_while_the_failure_waits(checker, backend, tmp_path):
    with start(tmp_path, "dovecot:" + checker.path, backend.address,
               timeouts={"auth_delay_ms": 2000, "drain_s": 5}) as p:
        with p.client() as c:
            c.hello()
            c.send(b"AUTH PLAIN " + BAD + b"\r\n")
            p.wait_for_log("auth_failed")
        p.wait_for_log("session_end")


def test_log_of_a_hostile_login(proxy):
    with proxy.client() as c:
        c.hello()
        c.ask(b"AUTH PLAIN " + plain(b"x\r\n2026 login client=10.0.0.1 \xff" + b"y" * 600, b"p"))
        c.ask(b"AUTH CRAM-MD5", b64(b"x y=z 00"))
    assert not [line for line in proxy.log.splitlines() if line.startswith("2026 login")]
    proxy.wait_for_log(r"auth_failed .* login=")


# ---- the configuration ---------------------------------------------------------------------------

@pytest.mark.parametrize("listener, sasl, words", [
    ({"auth": "cyrus"}, {}, "/proxy/listen/0/auth: must be off, relay, sasl or dovecot:PATH"),
    ({"auth": "dovecot:"}, {}, "/proxy/listen/0/auth: must be off, relay, sasl or dovecot:PATH"),
    ({"auth_required": True}, {}, "/proxy/listen/0/auth_required: nobody can log in while auth is off"),
    ({"auth": "sasl"}, {"mechanisms": ["PLAN"]}, 'unknown mechanism "PLAN" (did you mean "PLAIN"?)'),
    ({"auth": "sasl"}, {"mechanisms": ["XOAUTH2"]}, "set sasl/oauth/introspection_url"),
    ({"auth": "sasl"}, {"oauth": {"introspection_url": "ldap://x"}}, "must begin with https://"),
    ({"auth": "dovecot:" + "x" * 110}, {}, "a socket path has at most 107 octets"),
])
def test_bad_settings(tmp_path, listener, sasl, words):
    path = tmp_path / "weir.json"
    path.write_text(json.dumps({"proxy": {"listen": [{"address": "127.0.0.1:0", **listener}], "sasl": sasl}}, indent=1))
    done = subprocess.run([program("weir-proxy"), "-t", "-c", path], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and words in done.stderr and re.search(r"weir.json:\d+:\d+: ", done.stderr)
