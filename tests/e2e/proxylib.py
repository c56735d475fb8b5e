"""proxylib - a running weir-proxy, a raw SMTP client, and a scripted backend for what no honest server does."""

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import threading
import time

from sinklib import program


def merged(base, more):
    """base with more laid over it, objects into objects."""
    if not isinstance(base, dict) or not isinstance(more, dict):
        return more
    return {**base, **{key: merged(base.get(key), value) for key, value in more.items()}}


class Proxy:
    """weir-proxy in a folder of its own; use it with `with`. backends: (host, port) pairs or
    "HOST:PORT" texts, in order of preference. settings go over the "proxy" section."""

    def __init__(self, folder, *backends, log=None, **settings):
        self.folder = str(folder)
        os.makedirs(self.folder, exist_ok=True)
        self.config = os.path.join(self.folder, "weir.json")
        self.log_path = os.path.join(self.folder, "proxy.log")
        servers = [b if isinstance(b, str) else f"{b[0]}:{b[1]}" for b in backends]
        self.settings = {
            "proxy": merged({
                "hostname": "mx.test",
                "listen": [{"address": "127.0.0.1:0"}],
                "backends": {"default": {"servers": servers or ["127.0.0.1:1"]}},
                "spool": {"directory": self.folder},
                "control": "unix:proxy.ctl",
                "user": "",
                "workers": 1,
                "timeouts": {"soft_error_ms": 0, "drain_s": 5, "client_name_s": 0},
            }, settings),
            "log": {"to": self.log_path, "level": "debug", **(log or {})},
        }
        self.write()
        self.process = subprocess.Popen([program("weir-proxy"), "-c", self.config, "-f"],
                                        stderr=subprocess.PIPE)
        try:
            line = self.wait_for_log(r"listening address=\S+:(\d+)")
        except AssertionError:
            self.process.kill()
            raise RuntimeError(self.process.communicate()[1].decode()) from None
        self.host, self.port = "127.0.0.1", int(line.group(1))

    def write(self, **settings):
        """Write the configuration, with settings laid over its "proxy" section."""
        self.settings["proxy"] = merged(self.settings["proxy"], settings)
        with open(self.config, "w", encoding="utf-8") as file:
            json.dump(self.settings, file, indent=2)

    def __enter__(self):
        return self

    def __exit__(self, kind, *exception):
        status = self.stop()
        errors = self.process.stderr.read().decode()
        self.process.stderr.close()
        if kind is None:  # a sanitizer's report, or a crash of master or worker
            assert "Sanitizer" not in errors and "runtime error" not in errors, errors
            assert status == 0, (status, errors, self.log)
            assert "Assertion" not in errors, errors

    def stop(self, number=signal.SIGTERM, seconds=30):
        """End it; returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        return self.process.returncode

    @property
    def log(self):
        try:
            with open(self.log_path, encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def wait_for_log(self, pattern, count=1, seconds=20):
        """The count-th match of pattern in the log, as soon as it is there."""
        deadline = time.monotonic() + seconds
        while True:
            found = list(re.finditer(pattern, self.log))
            if len(found) >= count:
                return found[count - 1]
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise AssertionError(f"not {count} of {pattern!r} in the log:\n{self.log}")
            time.sleep(0.01)

    def probed(self):
        """Wait until the backend's abilities are known."""
        self.wait_for_log("backend_probed")
        return self

    def control(self, command):
        """One request on the control socket."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(20)
            s.connect(os.path.join(self.folder, "proxy.ctl"))
            s.sendall(json.dumps({"command": command}).encode() + b"\n")
            return json.loads(s.makefile("rb").readline())

    def ports(self, count):
        """The ports of the first count listeners, in the order of the configuration."""
        return [int(self.wait_for_log(r"listening address=\S+:(\d+)", i + 1).group(1)) for i in range(count)]

    def client(self, **options):
        return Client(self.host, options.pop("port", self.port), **options)


class Certificate:
    """A certificate made by openssl: `chain` and `key` are paths in folder, `settings` is a row of "certificates". kind: "ec"
    or "rsa". issuer: another Certificate (of an authority); else it is signed by itself."""

    def __init__(self, folder, *names, name=None, kind="ec", issuer=None, authority=False, days=30):
        names = names or ("mx.test",)
        name = name or f"{names[0].replace('*', 'any')}-{kind}"
        self.chain = os.path.join(str(folder), name + ".pem")
        self.key = os.path.join(str(folder), name + ".key")
        self.settings = {"chain": self.chain, "key": self.key}
        how = ["-newkey", "rsa:2048"] if kind == "rsa" else ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        if issuer:
            how += ["-CA", issuer.chain, "-CAkey", issuer.key]
        how += ["-days", str(days)]
        alternatives = ",".join(f"IP:{n}" if n.replace(".", "").isdigit() else f"DNS:{n}" for n in names)
        subprocess.run(["openssl", "req", "-x509", "-nodes", *how, "-subj", f"/O=Test/CN={names[0]}", "-keyout", self.key,
                        "-out", self.chain, "-addext", f"subjectAltName={alternatives}",
                        "-addext", f"basicConstraints=critical,CA:{'TRUE' if authority else 'FALSE'}"],
                       check=True, capture_output=True)
        os.chmod(self.key, 0o600)


def tls_context(ca=None, certificate=None, **attributes):
    """An ssl.SSLContext for a client: verified against ca (a Certificate), else not at all."""
    context = ssl.create_default_context(cafile=ca.chain if ca else None)
    if ca is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if certificate:
        context.load_cert_chain(certificate.chain, certificate.key)
    for name, value in attributes.items():
        setattr(context, name, value)
    return context


class Client:
    """Octets to a server and back. A reply is bytes without the last CR LF; b"" at the end. tls: an ssl.SSLContext, for TLS
    from the first octet."""

    def __init__(self, host, port, seconds=20, banner=True, source=None, tls=None, name="mx.test"):
        """source: the address to come from, of 127.0.0.0/8."""
        self.socket = socket.create_connection((host, port), seconds,
                                               source_address=(source, 0) if source else None)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname=name)
        self.file = self.socket.makefile("rb")
        if banner:
            self.banner = self.reply()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self):
        self.file.close()
        self.socket.close()

    def send(self, octets):
        self.socket.sendall(octets)

    def reply(self):
        lines = []
        while True:
            try:
                line = self.file.readline()
            except ConnectionResetError:
                line = b""
            lines.append(line)
            if line[3:4] != b"-":
                return b"".join(lines).removesuffix(b"\r\n")

    def starttls(self, context=None, name="mx.test", session=None):
        """EHLO, STARTTLS and the handshake; afterwards nothing was said yet. name: for SNI; None: none."""
        self.hello()
        answer = self.ask(b"STARTTLS")
        assert answer.startswith(b"220"), answer
        self.secure(context, name, session)
        return self

    def secure(self, context=None, name="mx.test", session=None):
        self.file.close()
        self.socket = (context or tls_context()).wrap_socket(self.socket, server_hostname=name, session=session)
        self.file = self.socket.makefile("rb")

    def replies(self, count):
        return [self.reply() for _ in range(count)]

    def ask(self, *lines):
        """Send lines (without CR LF), one after the other; the reply to the last."""
        for line in lines:
            self.send(line + b"\r\n")
            answer = self.reply()
        return answer

    def codes(self, count):
        return [int(r[:3] or b"0") for r in self.replies(count)]

    def hello(self):
        return self.ask(b"EHLO client.test")

    def envelope(self, *recipients, sender=b"a@client.test"):
        """EHLO, MAIL, RCPT: the reply to the last RCPT."""
        self.hello()
        answer = self.ask(b"MAIL FROM:<" + sender + b">")
        for r in recipients or (b"b@mx.test",):
            answer = self.ask(b"RCPT TO:<" + r + b">")
        return answer

    def data(self, content=b"Subject: x\r\n\r\nbody\r\n"):
        """DATA and the content, stuffed, with the dot; the reply after it."""
        answer = self.ask(b"DATA")
        if not answer.startswith(b"354"):
            return answer
        if content.startswith(b"."):
            content = b"." + content
        self.send(content.replace(b"\r\n.", b"\r\n..") + b".\r\n")
        return self.reply()

    def message(self, content=b"Subject: x\r\n\r\nbody\r\n", recipients=(b"b@mx.test",)):
        """A whole transaction; the reply after the dot."""
        self.ask(b"MAIL FROM:<a@client.test>")
        for r in recipients:
            self.ask(b"RCPT TO:<" + r + b">")
        return self.data(content)


class Script:
    """A backend in a thread: `answers` maps a verb (CONNECT, EHLO, MAIL, .., DOT) to the octets of
    its reply, to None (close without one), or to a list of these, one for each time, the last
    again and again. What came in stands in `lines`, a list for each connection, in `contents`, as
    DATA brought it, and in `chunked`, as BDAT did (of which Script.CHUNKING["EHLO"] speaks). tls: a Certificate; then a
    220 to STARTTLS is followed by the handshake, and EHLO is answered from EHLO2 after it. implicit: TLS from the start."""

    DEFAULT = {
        "CONNECT": b"220 script ESMTP\r\n",
        "EHLO": b"250-script\r\n250-PIPELINING\r\n250-SIZE 100000000\r\n250-8BITMIME\r\n"
                b"250-DSN\r\n250 SMTPUTF8\r\n",
        "DATA": b"354 go\r\n",
        "DOT": b"250 2.0.0 taken\r\n",
        "QUIT": b"221 bye\r\n",
    }
    DEFAULT_TLS = {
        "EHLO": b"250-script\r\n250-PIPELINING\r\n250-STARTTLS\r\n250 8BITMIME\r\n",
        "EHLO2": DEFAULT["EHLO"],
        "STARTTLS": b"220 go ahead\r\n",
    }

    CHUNKING = {"EHLO": DEFAULT["EHLO"].replace(b"250-DSN", b"250-CHUNKING\r\n250-DSN")}

    def __init__(self, tls=None, implicit=False, **answers):
        self.tls, self.implicit, self.sessions = None, implicit, []
        if tls:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(tls.chain, tls.key)
            answers = {**({} if implicit else self.DEFAULT_TLS), **answers}
        self.answers = {k: list(v) if isinstance(v, list) else [v]
                        for k, v in {**self.DEFAULT, **answers}.items()}
        self.lines, self.contents, self.chunked = [], [], []
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.host, self.port = self.listener.getsockname()
        self.address = f"{self.host}:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                lines = []
                self.lines.append(lines)
            threading.Thread(target=self._serve, args=(connection, lines), daemon=True).start()

    def before_content(self):
        """For tests: runs between 354 and the first line of the mail data."""

    def _answer(self, verb):
        with self.lock:
            list_ = self.answers.get(verb, [b"250 2.0.0 ok\r\n"])
            return list_.pop(0) if len(list_) > 1 else list_[0]

    def _serve(self, connection, lines):
        try:
            with connection, connection.makefile("rb") as file:
                self._talk(connection, file, lines)
        except OSError:
            pass

    def _chunk(self, file, line, chunks):
        """Read the octets of a chunk: the reply to it, which is that of BDAT, or of DOT for the last."""
        words = line.upper().split()
        octets = file.read(int(words[1]))
        if len(octets) < int(words[1]):
            return None
        chunks.append(octets)
        if words[2:] != [b"LAST"]:
            return self._answer("BDAT")
        self.chunked.append(b"".join(chunks))
        chunks.clear()
        return self._answer("DOT")

    def _secure(self, connection, lines):
        lines.append(b"(TLS)")
        connection = self.tls.wrap_socket(connection, server_side=True)
        self.sessions.append(connection.session_reused)
        return connection

    def _talk(self, connection, file, lines):
        chunks, secure = [], False
        if self.implicit:
            connection, secure = self._secure(connection, lines), True
            file = connection.makefile("rb")
        answer = self._answer("CONNECT")
        while answer is not None:
            connection.sendall(answer)
            if answer.startswith(b"421") or answer.startswith(b"221"):
                return
            line = file.readline()
            if not line:
                return
            lines.append(line.rstrip(b"\r\n"))
            verb = line.split()[0].decode("latin-1").upper() if line.strip() else ""
            if verb == "BDAT":
                answer = self._chunk(file, line, chunks)
                continue
            if verb in ("RSET", "MAIL"):
                chunks.clear()
            answer = self._answer("EHLO2" if secure and not self.implicit and verb == "EHLO" else verb)
            if verb == "STARTTLS" and self.tls and answer is not None and answer.startswith(b"220"):
                connection.sendall(answer)
                connection, secure = self._secure(connection, lines), True
                file = connection.makefile("rb")
                answer = b""
            if line[:4].upper() == b"DATA" and answer is not None and answer.startswith(b"354"):
                connection.sendall(answer)
                self.before_content()
                pieces = []
                while not pieces or pieces[-1] != b".\r\n":
                    pieces.append(file.readline())
                    if not pieces[-1]:
                        return
                self.contents.append(b"".join(pieces))
                answer = self._answer("DOT")

    def all_lines(self):
        return [line for connection in self.lines for line in connection]
