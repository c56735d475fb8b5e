"""Real clients through weir-proxy into weir sink: what arrives is, octet for octet, what was sent, under
our Received field."""

import email
import email.policy
import re
import select
import shutil
import smtplib
import subprocess
import time

import pytest

from proxylib import Certificate, Proxy, tls_context
from sinklib import Sink

HEADER = b"From: <a@client.test>\r\nTo: <b@mx.test>\r\nSubject: interop\r\nMessage-ID: <1@client.test>\r\n" \
         b"Date: Wed, 25 Nov 2026 07:00:00 +0000\r\nX-Folded: one\r\n\ttwo\r\n"
EIGHT_BIT = "Grüße, 你好, ¡Adiós!\r\n".encode()
LARGE = b"".join(b"%07d " % n + b"0123456789" * 6 + b"\r\n" for n in range(20000))
MESSAGES = {
    "plain": HEADER + b"\r\nHello.\r\n",
    "no body": HEADER + b"\r\n",
    "dots": HEADER + b"\r\n.\r\n..\r\n.x\r\n...\r\n \r\n.\r\n",
    "8-bit": HEADER + b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
             b"Content-Transfer-Encoding: 8bit\r\n\r\n" + EIGHT_BIT * 3 + bytes(range(128, 256)) + b"\r\n",
    "long lines": HEADER + b"\r\n" + b"x" * 998 + b"\r\n" + b"." * 998 + b"\r\n",
    "large": HEADER + b"\r\n" + LARGE,
}
RECIPIENTS = ["b@mx.test", "c@mx.test", "postmaster@mx.test"]


def need(name):
    path = shutil.which(name, path="/usr/bin:/usr/sbin:/usr/local/bin:/bin")
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


@pytest.fixture(scope="module")
def sink(tmp_path_factory):
    with Sink(tmp_path_factory.mktemp("sink") / "mail", "--refuse-rcpt", "nobody@mx.test") as s:
        yield s


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Certificate(tmp_path_factory.mktemp("authority"), "Test authority", authority=True)


@pytest.fixture(scope="module")
def proxy(sink, authority, tmp_path_factory):
    """Ports: port offers STARTTLS, implicit begins with TLS."""
    folder = tmp_path_factory.mktemp("proxy")
    certificates = [Certificate(folder, name, "127.0.0.1", issuer=authority).settings
                    for name in ("mx.test", "other.test")]
    listen = [{"address": "127.0.0.1:0", "tls": tls, "certificates": certificates}
              for tls in ("offer", "implicit")]
    with Proxy(folder / "p", sink.address, listen=listen, limits={"sessions_per_client": 1000}) as p:
        p.probed()
        p.port, p.implicit = p.ports(2)
        yield p


class Box:
    """What came into the sink since this was made."""

    def __init__(self, sink):
        self.sink, self.before = sink, set(sink.names())

    def new(self):
        return [m for m in self.sink.messages() if m.name not in self.before]

    def holds(self, content, recipients, count=1):
        """Exactly so many messages, each with these recipients and, under our field, this content."""
        new = self.new()
        assert len(new) == count
        for m in new:
            assert m.reverse_path == "a@client.test" and m.recipients == list(recipients)
            field = re.match(rb"Received: from .*?\r\n(?![ \t])", m.content, flags=re.S)
            assert field and (b"\tfor <" in field.group()) == (len(recipients) == 1)
            assert m.content[field.end():] == content


@pytest.fixture
def box(sink):
    return Box(sink)


def run(*argv, octets=b"", good=True):
    """The output of a client."""
    done = subprocess.run([str(a) for a in argv], input=octets, capture_output=True, timeout=20, check=False)
    assert (done.returncode == 0) == good, (done.returncode, done.stdout, done.stderr)
    return done.stdout + done.stderr


@pytest.fixture(params=MESSAGES)
def content(request):
    return MESSAGES[request.param]


@pytest.fixture
def file(tmp_path, content):
    path = tmp_path / "message"
    path.write_bytes(content)
    return path


def recipients(content):
    """One for some messages, several for the others."""
    return RECIPIENTS if content in (MESSAGES["plain"], MESSAGES["8-bit"], MESSAGES["large"]) \
        else RECIPIENTS[:1]


# ---- one message ---------------------------------------------------------------------------------

@pytest.mark.parametrize("pipelining", [True, False])
def test_swaks(proxy, box, content, file, pipelining):
    """With --no-data-fixup it leaves even the dots to us."""
    to = recipients(content)
    file.write_bytes(content.replace(b"\r\n.", b"\r\n..") + b".")
    run(need("swaks"), "--server", proxy.host, "--port", proxy.port, "--helo", "client.test",
        "--from", "a@client.test", "--to", ",".join(to), "--data", f"@{file}", "--no-data-fixup",
        "--suppress-data", *(["--pipeline"] if pipelining else []))
    box.holds(content, to)


def test_curl(proxy, box, content, file):
    to = recipients(content)
    run(need("curl"), "--silent", "--show-error", f"smtp://{proxy.host}:{proxy.port}/client.test",
        "--mail-from", "a@client.test", *[o for r in to for o in ("--mail-rcpt", r)], "--upload-file", file)
    box.holds(content, to)


def test_smtp_source(proxy, box, content, file):
    """Postfix's test client, four sessions at once, three messages on each; it adds an empty line."""
    to = ["b@mx.test"] if len(recipients(content)) == 1 else ["3b@mx.test", "2b@mx.test", "b@mx.test"]
    file.write_bytes(content.replace(b"\r\n", b"\n"))
    run(need("smtp-source"), "-d", "-s", 4, "-m", 12, "-r", len(to), "-f", "a@client.test", "-t", "b@mx.test",
        "-F", file, f"{proxy.host}:{proxy.port}")
    box.holds(content + b"\r\n", to, 12)


@pytest.mark.parametrize("esmtp", [True, False])
def test_smtplib(proxy, box, content, esmtp):
    to = recipients(content)
    with smtplib.SMTP(proxy.host, proxy.port, "client.test", timeout=20) as s:
        (s.ehlo if esmtp else s.helo)()
        assert s.sendmail("a@client.test", to, content) == {}
    box.holds(content, to)


@pytest.fixture(scope="module")
def by_data(sink, tmp_path_factory):
    """A proxy that does not use BDAT towards its backend, although that has it."""
    with Proxy(tmp_path_factory.mktemp("data"), sink.address,
               backends={"default": {"servers": [sink.address], "chunking": "off"}}) as p:
        yield p.probed()


def test_smtplib_by_data(by_data, box, content):
    to = recipients(content)
    with smtplib.SMTP(by_data.host, by_data.port, "client.test", timeout=20) as s:
        assert s.sendmail("a@client.test", to, content) == {}
    box.holds(content, to)


def test_msmtp(proxy, box, content):
    to = recipients(content)
    run(need("msmtp"), "-C", "/dev/null", f"--host={proxy.host}", f"--port={proxy.port}", "--domain=client.test",
        "--from=a@client.test", "--tls=off", "--auth=off", "--", *to, octets=content.replace(b"\r\n", b"\n"))
    box.holds(content, to)


def test_s_nail(proxy, box, tmp_path, monkeypatch):
    """It writes the message itself: what is read from it again is what was meant."""
    text = "Grüße, 你好\n.\n..\nend\n"
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    run(need("s-nail"), "-:/", "-S", "v15-compat", "-S", f"mta=smtp://{proxy.host}:{proxy.port}", "-S", "smtp-auth=none",
        "-S", "smtp-config=-all,ehlo", "-S", "from=a@client.test", "-s", "Grüße", *RECIPIENTS, octets=text.encode())
    [stored] = box.new()
    message = email.message_from_bytes(stored.content, policy=email.policy.default)
    assert stored.recipients == RECIPIENTS
    assert message["Subject"] == "Grüße" and message.get_content().replace("\r\n", "\n") == text


# ---- under TLS -----------------------------------------------------------------------------------

@pytest.fixture(params=["plain", "large"])
def some(request):
    return MESSAGES[request.param]


@pytest.mark.parametrize("implicit", [False, True])
def test_swaks_tls(proxy, box, tmp_path, some, implicit):
    (tmp_path / "message").write_bytes(some.replace(b"\r\n.", b"\r\n..") + b".")
    said = run(need("swaks"), "--server", proxy.host, "--port", proxy.implicit if implicit else proxy.port,
               "--tls-on-connect" if implicit else "--tls", "--helo", "client.test", "--from", "a@client.test",
               "--to", ",".join(RECIPIENTS), "--data", f"@{tmp_path}/message", "--no-data-fixup",
               "--suppress-data", "--pipeline")
    assert b"TLS started with cipher TLSv1.3" in said
    box.holds(some, RECIPIENTS)


@pytest.mark.parametrize("implicit", [False, True])
def test_curl_tls(proxy, box, authority, tmp_path, some, implicit):
    """The certificate is checked against its authority and its name."""
    (tmp_path / "message").write_bytes(some)
    port = proxy.implicit if implicit else proxy.port
    run(need("curl"), "--silent", "--show-error", f"smtp{'s' * implicit}://other.test:{port}/client.test", "--ssl-reqd",
        "--cacert", authority.chain, "--resolve", f"other.test:{port}:127.0.0.1", "--mail-from", "a@client.test",
        "--mail-rcpt", RECIPIENTS[0], "--upload-file", tmp_path / "message")
    box.holds(some, RECIPIENTS[:1])


@pytest.mark.parametrize("implicit", [False, True])
def test_smtplib_tls(proxy, box, authority, some, implicit):
    context = tls_context(authority)
    if implicit:
        session = smtplib.SMTP_SSL(proxy.host, proxy.implicit, "client.test", timeout=20, context=context)
    else:
        session = smtplib.SMTP(proxy.host, proxy.port, "client.test", timeout=20)
    with session:
        if not implicit:
            session.starttls(context=context)
        assert session.sendmail("a@client.test", RECIPIENTS, some) == {}
    box.holds(some, RECIPIENTS)


@pytest.mark.parametrize("implicit", [False, True])
def test_msmtp_tls(proxy, box, authority, some, implicit):
    run(need("msmtp"), "-C", "/dev/null", f"--host={proxy.host}", f"--port={proxy.implicit if implicit else proxy.port}",
        "--domain=client.test", "--from=a@client.test", "--tls=on", f"--tls-starttls={'off' if implicit else 'on'}",
        f"--tls-trust-file={authority.chain}", "--auth=off", "--", *RECIPIENTS, octets=some.replace(b"\r\n", b"\n"))
    box.holds(some, RECIPIENTS)


@pytest.mark.parametrize("name", ["mx.test", "other.test"])
def test_posttls_finger(proxy, authority, name):
    """Postfix's own client trusts what it sees."""
    said = run(need("posttls-finger"), "-c", "-l", "secure", "-F", authority.chain, "-s", name,
               f"[{proxy.host}]:{proxy.port}", name)
    assert b"Verified TLS connection established" in said and b"250 STARTTLS" not in said


class OpenSsl:
    """openssl s_client, line by line."""

    def __init__(self, *options):
        self.process = subprocess.Popen([need("openssl"), "s_client", "-crlf", *[str(o) for o in options]],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.said = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def wait_for(self, pattern, seconds=20):
        """Read until pattern was said; what came before it is forgotten then."""
        deadline = time.monotonic() + seconds
        while not (found := re.search(pattern, self.said, flags=re.S)):
            ready, _, _ = select.select([self.process.stdout], [], [], deadline - time.monotonic())
            more = self.process.stdout.read1(65536) if ready else b""
            assert more, f"no {pattern!r} in {self.said.decode(errors='replace')}"
            self.said += more
        self.said = self.said[found.end():]
        return found

    def greeted(self, implicit):
        """What it shows of the server before it listens to us: the greeting, or the last line of the EHLO in the clear."""
        self.wait_for(rb"(?m)^220 mx.test [^\n]*\n" if implicit else rb"(?m)^250 STARTTLS\r?\n")

    def ask(self, line, answer):
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()
        return self.wait_for(rb"(?m)^" + answer)


def starttls(proxy, authority, *options, implicit=False):
    port = proxy.implicit if implicit else proxy.port
    return OpenSsl("-connect", f"{proxy.host}:{port}", *([] if implicit else ["-starttls", "smtp"]), "-CAfile",
                   authority.chain, "-verify_return_error", *options)


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("name", ["mx.test", "other.test"])
def test_openssl_server_name(proxy, box, authority, name, implicit):
    """The certificate of the name that was asked for, its chain good; and a message goes through."""
    with starttls(proxy, authority, "-servername", name, "-verify_hostname", name, implicit=implicit) as s:
        s.wait_for(rb"subject=O = Test, CN = " + name.encode())
        s.wait_for(rb"Verification: OK")
        s.greeted(implicit)
        s.ask(b"EHLO client.test", rb"250 [^\n]*\n")
        # s_client takes a first letter R or Q for itself.
        s.ask(b"mail FROM:<a@client.test>", rb"250 2.1.0")
        s.ask(b"rcpt TO:<b@mx.test>", rb"250 2.1.5")
        s.ask(b"data", rb"354 ")
        s.ask(b"Subject: x\n\n..dot\n.", rb"250 2.0.0")
    box.holds(b"Subject: x\r\n\r\n.dot\r\n", ["b@mx.test"])


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
@pytest.mark.parametrize("implicit", [False, True])
def test_openssl_resumption(proxy, authority, tmp_path, version, implicit):
    ticket = tmp_path / "ticket"
    for word, option in ((b"New", "-sess_out"), (b"Reused", "-sess_in")):
        with starttls(proxy, authority, version, option, ticket, "-servername", "mx.test", implicit=implicit) as s:
            s.wait_for(word + rb", TLSv1")
            s.greeted(implicit)
            s.ask(b"EHLO client.test", rb"250 [^\n]*\n")
            if option == "-sess_out":
                deadline = time.monotonic() + 20
                while not ticket.exists() or not ticket.stat().st_size:
                    assert time.monotonic() < deadline
                    time.sleep(0.01)


# ---- submission: TLS and a login ------------------------------------------------------------------

@pytest.fixture(scope="module")
def submission(sink, authority, tmp_path_factory):
    """Nothing goes without TLS and a login."""
    folder = tmp_path_factory.mktemp("submission")
    run(need("saslpasswd2"), "-c", "-p", "-f", folder / "db", "-u", "mx.test", "anna", octets=b"secret")
    certificate = Certificate(folder, "mx.test", "127.0.0.1", issuer=authority)
    listen = [{"address": "127.0.0.1:0", "tls": "require", "certificates": [certificate.settings], "auth": "sasl",
               "auth_required": True}]
    with Proxy(folder / "p", sink.address, listen=listen, sasl={"sasldb": str(folder / "db")},
               timeouts={"auth_delay_ms": 0}, limits={"auth_failures": 0, "sessions_per_client": 1000}) as p:
        yield p.probed()


def logged_in(box):
    box.holds(MESSAGES["plain"], RECIPIENTS)
    assert b" with ESMTPSA id " in box.new()[0].content


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
def test_swaks_login(submission, box, tmp_path, mechanism):
    (tmp_path / "message").write_bytes(MESSAGES["plain"] + b".")
    words = ["--server", submission.host, "--port", submission.port, "--tls", "--helo", "client.test", "--from", "a@client.test",
             "--to", ",".join(RECIPIENTS), "--data", f"@{tmp_path}/message", "--no-data-fixup", "--auth", mechanism,
             "--auth-user", "anna", "--auth-password"]
    said = run(need("swaks"), *words, "wrong", good=False)
    assert b"<~* 535 5.7.8" in said and box.new() == []
    run(need("swaks"), *words, "secret")
    logged_in(box)


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
def test_curl_login(submission, box, authority, tmp_path, mechanism):
    (tmp_path / "message").write_bytes(MESSAGES["plain"])
    words = ["--silent", "--show-error", f"smtp://{submission.host}:{submission.port}/client.test", "--ssl-reqd", "--cacert",
             authority.chain, "--login-options", f"AUTH={mechanism}", "--mail-from", "a@client.test",
             *[o for r in RECIPIENTS for o in ("--mail-rcpt", r)], "--upload-file", tmp_path / "message", "--user"]
    run(need("curl"), *words, "anna:wrong", good=False)
    assert box.new() == []
    run(need("curl"), *words, "anna:secret")
    logged_in(box)


@pytest.mark.parametrize("mechanism", ["plain", "login", "cram-md5", "scram-sha-1", "scram-sha-256"])
def test_msmtp_login(submission, box, authority, mechanism):
    words = ["-C", "/dev/null", f"--host={submission.host}", f"--port={submission.port}", "--domain=client.test",
             "--from=a@client.test", "--tls=on", f"--tls-trust-file={authority.chain}", f"--auth={mechanism}", "--user=anna"]
    octets = MESSAGES["plain"].replace(b"\r\n", b"\n")
    run(need("msmtp"), *words, "--passwordeval=echo wrong", "--", *RECIPIENTS, octets=octets, good=False)
    assert box.new() == []
    run(need("msmtp"), *words, "--passwordeval=echo secret", "--", *RECIPIENTS, octets=octets)
    logged_in(box)


def test_smtplib_login(submission, box, authority):
    with smtplib.SMTP(submission.host, submission.port, "client.test", timeout=20) as s:
        with pytest.raises(smtplib.SMTPSenderRefused) as refused:
            s.sendmail("a@client.test", RECIPIENTS, MESSAGES["plain"])
        assert refused.value.smtp_code == 530
        s.starttls(context=tls_context(authority))
        with pytest.raises(smtplib.SMTPAuthenticationError):
            s.login("anna", "wrong")
        with pytest.raises(smtplib.SMTPSenderRefused):
            s.sendmail("a@client.test", RECIPIENTS, MESSAGES["plain"])
        assert s.login("anna", "secret")[0] == 235
        assert s.sendmail("a@client.test", RECIPIENTS, MESSAGES["plain"]) == {}
    logged_in(box)


# ---- more than one message, and refusals ---------------------------------------------------------

def test_smtplib_several_messages_and_a_refusal(proxy, box):
    with smtplib.SMTP(proxy.host, proxy.port, "client.test", timeout=20) as s:
        for _ in range(3):
            assert s.sendmail("a@client.test", RECIPIENTS, MESSAGES["plain"]) == {}
        refused = s.sendmail("a@client.test", ["b@mx.test", "nobody@mx.test"], MESSAGES["plain"])
        assert refused["nobody@mx.test"][0] == 550
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            s.sendmail("a@client.test", ["nobody@mx.test"], MESSAGES["plain"])
        assert s.noop()[0] == 250
    assert len(box.new()) == 4


def test_smtplib_utf8_address(proxy, box):
    message = email.message.EmailMessage()
    message["From"], message["To"], message["Subject"] = "bücher@client.test", "köln@mx.test", "Grüße"
    message.set_content("Grüße\n", cte="8bit")
    with smtplib.SMTP(proxy.host, proxy.port, "client.test", timeout=20) as s:
        assert s.send_message(message) == {}
    [stored] = box.new()
    assert stored.reverse_path == "bücher@client.test" and stored.recipients == ["köln@mx.test"]
    assert b" with UTF8SMTP " in stored.content and "Subject: Grüße\r\n".encode() in stored.content


def test_swaks_tells_of_a_refusal(proxy, box):
    """24: no recipient was accepted; swaks shows our words."""
    done = subprocess.run([need("swaks"), "--server", proxy.host, "--port", str(proxy.port), "--from", "a@client.test", "--to",
                           "nobody@mx.test"], capture_output=True, timeout=20, check=False)
    assert done.returncode == 24 and b"<** 550 5.1.1 <nobody@mx.test>: no such mailbox here" in done.stdout
    assert box.new() == []
