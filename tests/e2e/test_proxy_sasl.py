"""Logins by Cyrus SASL and by access tokens ("auth": "sasl"). sasldb and its mechanisms are the real ones; saslauthd
and the token endpoint are stand-ins (authlib)."""

import os
import signal
import subprocess
import threading
import time

import pytest

from authlib import Introspection, Saslauthd, b64, challenge, log_in, plain
from proxylib import Proxy, Script

MECHANISMS = ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"]


@pytest.fixture(scope="module")
def backend():
    with Script() as s:
        yield s


@pytest.fixture(scope="module")
def sasldb(tmp_path_factory):
    path = tmp_path_factory.mktemp("db") / "sasldb2"
    for realm, login, password in (("mx.test", "anna", b"secret"), ("example.org", "bert", b"pass word")):
        subprocess.run(["saslpasswd2", "-c", "-p", "-f", path, "-u", realm, login], input=password, check=True)
    return str(path)


def start(folder, backend, sasl, **settings):
    settings = {"timeouts": {"auth_delay_ms": 0, "soft_error_ms": 0, "drain_s": 5},
                "limits": {"auth_failures": 0, "errors_soft": 1000, "errors_hard": 1000}, **settings}
    return Proxy(folder, backend.address, sasl=sasl,
                 listen=[{"address": "127.0.0.1:0", "auth": "sasl", "auth_plaintext": True}], **settings)


@pytest.fixture(scope="module")
def proxy(backend, sasldb, tmp_path_factory):
    with start(tmp_path_factory.mktemp("p"), backend, {"sasldb": sasldb}) as p:
        yield p.probed()


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_w109_sasldb(proxy, mechanism):
    with proxy.client() as c:
        assert b"AUTH PLAIN LOGIN CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256" in c.hello()
        assert log_in(c, mechanism, b"anna", b"wrong").startswith(b"535 5.7.8")
        assert log_in(c, mechanism, b"bert@example.org", b"pass word").startswith(b"235 2.7.0")
        assert c.ask(b"AUTH PLAIN").startswith(b"503")
        assert c.message().startswith(b"250")
    proxy.wait_for_log(rf"auth_failed id=\S+ client=127.0.0.1 login=anna mechanism={mechanism}\n")
    proxy.wait_for_log(rf" login id=\S+ client=127.0.0.1 login=bert@example.org mechanism={mechanism}\n")
    assert "pass word" not in proxy.log and "wrong" not in proxy.log


@pytest.mark.parametrize("before, line, reply", [
    ([], b"AUTH PLAIN", b"334 "),
    ([b"AUTH PLAIN"], plain(b"anna", b"secret"), b"235"),
    ([b"AUTH PLAIN"], b"*", b"501 5.7.0"),
    ([b"AUTH PLAIN"], b"", b"535"),
    ([], b"AUTH PLAIN =", b"535"),
    ([], b"AUTH PLAIN " + b64(b"anna\0anna\0secret"), b"235"),
    ([], b"AUTH PLAIN " + b64(b"bert\0anna\0secret"), b"535"),  # in the name of another
    ([b"AUTH LOGIN " + b64(b"anna")], b64(b"secret"), b"235"),
    ([b"AUTH LOGIN"], b64(b"an\0na"), b"535"),
    ([b"AUTH LOGIN"], b64(b"x" * 300), b"535"),
    ([b"AUTH LOGIN", b64(b"anna")], b64(b"x" * 5000), b"535"),
    ([b"AUTH LOGIN", b64(b"anna")], b64(b"sec\0ret"), b"535"),
    ([], b"AUTH CRAM-MD5 " + b64(b"anna"), b"535"),  # it is the server who begins
    ([], b"AUTH SCRAM-SHA-256 " + b64(b"nonsense"), b"535"),
    ([], b"AUTH PLAIN " + b64(b"x" * 9000), b"535"),  # all of RFC 4954's length is taken
    ([], b"AUTH XOAUTH2", b"504 5.5.4"),
    ([], b"AUTH ANONYMOUS " + b64(b"x"), b"504 5.5.4"),
])
def test_w109_dialogues(proxy, before, line, reply):
    with proxy.client() as c:
        c.hello()
        for each in before:
            assert c.ask(each).startswith(b"334")
        assert c.ask(line).startswith(reply)


def test_realm(backend, sasldb, tmp_path):
    with start(tmp_path, backend, {"sasldb": sasldb, "realm": "example.org", "mechanisms": ["PLAIN", "CRAM-MD5"]}) as p, \
         p.client() as c:
        assert b"AUTH PLAIN CRAM-MD5\r\n" in c.hello() + b"\r\n"
        assert log_in(c, "CRAM-MD5", b"bert", b"pass word").startswith(b"235")


def test_no_data_base(backend, tmp_path):
    """Somebody's mistake, and not the client's: he may try again, and nobody is banned."""
    with start(tmp_path, backend, {"sasldb": str(tmp_path / "none")}, limits={"auth_failures": 2}) as p, \
         p.client() as c:
        c.hello()
        for mechanism in MECHANISMS:
            if mechanism.startswith("SCRAM"):
                assert c.ask(b"AUTH " + mechanism.encode()).startswith(b"454 4.7.0")
            elif mechanism == "CRAM-MD5":
                assert c.ask(b"AUTH CRAM-MD5").startswith(b"454 4.7.0")
            else:
                assert log_in(c, mechanism, b"anna", b"secret").startswith(b"454 4.7.0")
        p.wait_for_log("sasl sasldb=.*/none error=\"No such file")


def family(pid):
    """Children of a process."""
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(child) for child in file.read().split()]


def sasl_process(p):
    """The only child of the master that has children."""
    return next(child for child in family(p.process.pid) if family(child))


def test_dead_helper_costs_one_login(backend, sasldb, tmp_path):
    with start(tmp_path, backend, {"sasldb": sasldb}) as p, p.client() as c, p.client() as other:
        c.hello()
        other.hello()
        text = challenge(c.ask(b"AUTH CRAM-MD5"))
        assert text.startswith(b"<")
        assert other.ask(b"AUTH LOGIN").startswith(b"334")
        for helper in family(sasl_process(p)):
            os.kill(helper, signal.SIGKILL)
        p.wait_for_log("sasl_helper error=", 2)
        assert c.ask(b64(b"anna 00")).startswith(b"454 4.7.0")
        assert other.ask(b64(b"anna")).startswith(b"334")
        assert other.ask(b64(b"secret")).startswith(b"235")  # LOGIN needs none before the password
        assert log_in(c, "CRAM-MD5", b"anna", b"secret").startswith(b"235")


def test_dead_process_is_replaced(backend, sasldb, tmp_path):
    with start(tmp_path, backend, {"sasldb": sasldb}, workers=2) as p, p.client() as c:
        c.hello()
        assert c.ask(b"AUTH LOGIN").startswith(b"334")
        p.wait_for_log("auth_server .*state=ready", 2)  # both workers know it
        victim = sasl_process(p)
        helpers = family(victim)
        os.kill(victim, signal.SIGKILL)
        p.wait_for_log("the SASL process died")
        assert c.ask(b64(b"anna")).startswith(b"454 4.7.0")
        p.wait_for_log("auth_server .*state=ready", 4)
        assert log_in(c, "SCRAM-SHA-256", b"anna", b"secret").startswith(b"235")
        deadline = time.monotonic() + 10
        while any(os.path.exists(f"/proc/{h}") for h in helpers):  # they go with it
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_reload_keeps_dialogues(backend, sasldb, tmp_path):
    with start(tmp_path, backend, {"sasldb": sasldb}) as p, p.client() as old:
        old.hello()
        assert old.ask(b"AUTH LOGIN").startswith(b"334")
        p.write(sasl={"mechanisms": ["PLAIN"]})
        assert p.control("reload")["ok"]
        with p.client() as fresh:
            assert b"AUTH PLAIN\r\n" in fresh.hello() + b"\r\n"
            assert log_in(fresh, "PLAIN", b"anna", b"secret").startswith(b"235")
        assert old.ask(b64(b"anna")).startswith(b"334")
        assert old.ask(b64(b"secret")).startswith(b"235")
        p.write(listen=[{"address": "127.0.0.1:0"}])
        assert p.control("reload")["ok"]
        old.close()
        deadline = time.monotonic() + 10
        while any(family(child) for child in family(p.process.pid)):  # nobody needs it any more
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_all_told_to_stop(backend, sasldb, tmp_path):
    """As a service manager does it: the end of the SASL process is no trouble then."""
    with start(tmp_path, backend, {"sasldb": sasldb}) as p, p.client() as c:
        c.envelope()
        sasl = sasl_process(p)
        p.process.send_signal(signal.SIGTERM)
        p.wait_for_log("stopping")
        os.kill(sasl, signal.SIGTERM)
        deadline = time.monotonic() + 10
        while sasl in family(p.process.pid):  # until the master knows
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert c.data().startswith(b"250")
        assert p.stop() == 0
        assert "error:" not in p.log


# ---- saslauthd -----------------------------------------------------------------------------------

def test_saslauthd(backend, tmp_path):
    asked = []

    def check(*texts):
        asked.append(texts)
        return b"OK" if texts[1] == b"secret" else b"NO"

    with Saslauthd(tmp_path, check) as s, \
         start(tmp_path / "p", backend, {"password_check": "saslauthd", "saslauthd": s.path, "sasldb": "none",
                                         "mechanisms": ["PLAIN", "LOGIN"], "service": "submission"}) as p, \
         p.client() as c:
        c.hello()
        for mechanism in ("PLAIN", "LOGIN"):
            assert log_in(c, mechanism, b"anna", b"wrong").startswith(b"535")
        assert log_in(c, "LOGIN", b"anna", b"secret").startswith(b"235")
        assert asked[-1] == (b"anna", b"secret", b"submission", b"")
    with start(tmp_path / "q", backend, {"password_check": "saslauthd", "saslauthd": s.path + "x", "sasldb": "none",
                                         "mechanisms": ["PLAIN"]}) as p, p.client() as c:
        c.hello()
        assert log_in(c, "PLAIN", b"anna", b"secret").startswith(b"454 4.7.0")


def test_slow_check_holds_nobody_up(backend, sasldb, tmp_path):
    """Twelve logins that hang, more than there are processes for them: others wait for a place, dialogues of
    several steps do not, and a check that takes too long is ended."""
    release = threading.Event()

    def check(login, *_):
        if login == b"slow":
            release.wait(20)
        return b"OK"

    with Saslauthd(tmp_path, check) as s, \
         start(tmp_path / "p", backend, {"password_check": "saslauthd", "saslauthd": s.path, "sasldb": sasldb,
                                         "processes": 8}) as p:
        slow = [p.client() for _ in range(5)]
        for c in slow:
            c.hello()
            c.send(b"AUTH PLAIN " + plain(b"slow", b"x") + b"\r\n")
        p.wait_for_log("session ", 5)
        with p.client() as c:
            c.hello()
            begun = time.monotonic()
            assert log_in(c, "PLAIN", b"quick", b"x").startswith(b"235")
            assert time.monotonic() - begun < 5
        more = [p.client() for _ in range(7)]
        for c in more:
            c.hello()
            c.send(b"AUTH PLAIN " + plain(b"slow", b"x") + b"\r\n")
        with p.client() as c:
            c.hello()
            assert log_in(c, "CRAM-MD5", b"anna", b"secret").startswith(b"235")
        with p.client() as c:
            c.hello()
            assert c.ask(b"AUTH LOGIN").startswith(b"334")
            assert c.ask(b64(b"quick")).startswith(b"334")
            c.send(b64(b"x") + b"\r\n")
            assert len(family(sasl_process(p))) <= 8
            release.set()
            assert c.reply().startswith(b"235")
        for c in slow + more:
            assert c.reply().startswith(b"235")
            c.close()


def test_check_that_hangs_is_ended(backend, tmp_path):
    release = threading.Event()

    def check(login, *_):
        if login == b"slow":
            release.wait(20)
        return b"OK"

    with Saslauthd(tmp_path, check) as s, \
         start(tmp_path / "p", backend, {"password_check": "saslauthd", "saslauthd": s.path, "sasldb": "none",
                                         "mechanisms": ["PLAIN"], "processes": 1},
               timeouts={"auth_s": 1, "auth_delay_ms": 0}) as p, p.client() as c:
        c.hello()
        assert log_in(c, "PLAIN", b"slow", b"x").startswith(b"454 4.7.0")
        p.wait_for_log("a login takes too long")
        assert log_in(c, "PLAIN", b"quick", b"x").startswith(b"235")
        release.set()


# ---- access tokens -------------------------------------------------------------------------------

TOKENS = {
    "good": (200, {"active": True, "username": "anna@x", "exp": time.time() + 1000}),
    "plus+/==": (200, {"active": True, "username": "anna@x"}),
    "old": (200, {"active": True, "username": "anna@x", "exp": 1000}),
    "gone": (200, {"active": False}),
    "noname": (200, {"active": True, "sub": "5"}),
    "status": (500, {"active": True, "username": "anna@x"}),
    "nojson": (200, b"<html>"),
    "list": (200, [True]),
    "huge": (200, b'{"active": true, "username": "' + b"x" * 100000 + b'"}'),
}


@pytest.fixture(scope="module")
def tokens(backend, sasldb, tmp_path_factory):
    folder = tmp_path_factory.mktemp("t")
    (folder / "secret").write_text("s3cret\n")
    with Introspection(lambda token: TOKENS.get(token, (200, {"active": False}))) as i, \
         start(folder / "p", backend, {"sasldb": sasldb, "mechanisms": ["PLAIN", "OAUTHBEARER", "XOAUTH2"],
                                       "oauth": {"introspection_url": i.url, "client_id": "weir",
                                                 "client_secret_file": str(folder / "secret")}}) as p:
        p.endpoint = i
        yield p


def bearer(token, user=b"anna@x"):
    return b64(b"n,a=" + user + b",\1host=mx.test\1port=587\1auth=Bearer " + token + b"\1\1")


def xoauth2(token, user=b"anna@x"):
    return b64(b"user=" + user + b"\1auth=Bearer " + token + b"\1\1")


@pytest.mark.parametrize("mechanism, make", [(b"OAUTHBEARER", bearer), (b"XOAUTH2", xoauth2)])
def test_token_is_good(tokens, mechanism, make):
    for initial in (True, False):
        with tokens.client() as c:
            assert b"AUTH PLAIN OAUTHBEARER XOAUTH2" in c.hello()
            if initial:
                reply = c.ask(b"AUTH " + mechanism + b" " + make(b"plus+/=="))
            else:
                assert c.ask(b"AUTH " + mechanism) == b"334 "
                reply = c.ask(make(b"good"))
            assert reply.startswith(b"235 2.7.0")
    path, headers, form = tokens.endpoint.asked[-2]
    assert path == "/introspect" and form == {"token": ["plus+/=="], "token_type_hint": ["access_token"]}
    assert headers["Authorization"] == "Basic " + b64(b"weir:s3cret").decode()
    tokens.wait_for_log(rf" login .* login=anna@x mechanism={mechanism.decode()}")
    assert "plus+/" not in tokens.log and "s3cret" not in tokens.log


@pytest.mark.parametrize("response", [bearer(b"gone"), bearer(b"old"), bearer(b"good", b"boss@x"), bearer(b"a b"),
                                      b64(b"n,,\1auth=Basic abc\1\1"), b64(b"nonsense")])
def test_token_is_refused(tokens, response):
    """RFC 7628 3.2.3: the reason in JSON, the client's word that he has heard it, then the refusal."""
    with tokens.client() as c:
        c.hello()
        assert challenge(c.ask(b"AUTH OAUTHBEARER " + response)).startswith(b'{"status":"invalid_')
        assert c.ask(b64(b"\1")).startswith(b"535 5.7.8")
        assert c.ask(b"AUTH OAUTHBEARER " + bearer(b"good")).startswith(b"235")


def test_token_is_refused_xoauth2(tokens):
    with tokens.client() as c:
        c.hello()
        assert b'"status":"401"' in challenge(c.ask(b"AUTH XOAUTH2 " + xoauth2(b"gone")))
        assert c.ask(b"").startswith(b"535 5.7.8")
        assert b'"status":"401"' in challenge(c.ask(b"AUTH XOAUTH2 " + xoauth2(b"gone")))
        assert c.ask(b"*").startswith(b"501 5.7.0")


@pytest.mark.parametrize("token", [b"noname", b"status", b"nojson", b"list", b"huge"])
def test_token_nobody_can_tell(tokens, token):
    with tokens.client() as c:
        c.hello()
        assert c.ask(b"AUTH OAUTHBEARER " + bearer(token)).startswith(b"454 4.7.0")
    tokens.wait_for_log("introspection .*error=")


def test_token_endpoint_is_away(backend, tmp_path):
    with start(tmp_path, backend, {"mechanisms": ["OAUTHBEARER"],
                                   "oauth": {"introspection_url": "http://127.0.0.1:1/"}}) as p, p.client() as c:
        assert b"AUTH OAUTHBEARER\r\n" in c.hello() + b"\r\n"
        assert c.ask(b"AUTH OAUTHBEARER " + bearer(b"good")).startswith(b"454 4.7.0")
