"""authlib - who checks logins in the tests: a real Dovecot, in a folder of its own and without a port; and SASL clients."""

import base64
import hashlib
import hmac
import http.server
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.parse

DOVECOT = "/usr/sbin/dovecot"


def b64(octets):
    return base64.b64encode(octets)


def plain(login, password):
    return b64(b"\0" + login + b"\0" + password)


class Dovecot:
    """Dovecot's auth service alone. users: {login: password}. It needs root (it changes users itself)."""

    def __init__(self, folder, users, mechanisms="plain login cram-md5 scram-sha-1 scram-sha-256", **settings):
        self.folder = str(folder)
        os.makedirs(self.folder, exist_ok=True)
        self.users = os.path.join(self.folder, "users")
        self.set_users(users)
        self.socket = os.path.join(self.folder, "auth")
        self.log_path = os.path.join(self.folder, "log")
        self.config = os.path.join(self.folder, "dovecot.conf")
        more = "\n".join(f"{k} = {v}" for k, v in settings.items())
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(f"""
base_dir = {self.folder}/run
log_path = {self.log_path}
protocols =
ssl = no
disable_plaintext_auth = no
auth_mechanisms = {mechanisms}
auth_failure_delay = 0
auth_verbose = yes
default_internal_user = root
default_login_user = nobody
{more}
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {self.users}
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home=/nonexistent
}}
service auth {{
  user = root
  unix_listener {self.socket} {{
    mode = 0666
  }}
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
""")
        self.start()

    def set_users(self, users):
        with open(self.users, "w", encoding="utf-8") as file:
            for login, password in users.items():
                file.write(f"{login}:{{PLAIN}}{password}\n")

    def start(self):
        self.process = subprocess.Popen([DOVECOT, "-F", "-c", self.config],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                        start_new_session=True)
        deadline = time.monotonic() + 20
        while not os.path.exists(self.socket):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(self.process.stderr.read().decode() + self.log)
            time.sleep(0.01)

    def stop(self):
        # Its auth process waits for its clients to go; so all of its session are ended.
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(20)
        self.process.stderr.close()
        if os.path.exists(self.socket):
            os.unlink(self.socket)

    @property
    def log(self):
        with open(self.log_path, encoding="utf-8") as file:
            return file.read()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class Scram:
    """The client's side of SCRAM (RFC 5802), for both hashes."""

    def __init__(self, hash_name, login, password, nonce=b"fyko+d2lbbFgONRv9qkxdawL"):
        self.hash, self.password, self.nonce = hash_name, password, nonce
        self.bare = b"n=" + login.replace(b"=", b"=3D").replace(b",", b"=2C") + b",r=" + nonce

    def first(self):
        return b"n,," + self.bare

    def _hmac(self, key, text):
        return hmac.new(key, text, self.hash).digest()

    def final(self, challenge):
        fields = dict(part.split(b"=", 1) for part in challenge.split(b","))
        assert fields[b"r"].startswith(self.nonce)
        salted = hashlib.pbkdf2_hmac(self.hash, self.password, base64.b64decode(fields[b"s"]),
                                     int(fields[b"i"]))
        bare = b"c=biws,r=" + fields[b"r"]
        text = self.bare + b"," + challenge + b"," + bare
        key = self._hmac(salted, b"Client Key")
        signature = self._hmac(hashlib.new(self.hash, key).digest(), text)
        self.server = self._hmac(self._hmac(salted, b"Server Key"), text)
        return bare + b",p=" + b64(bytes(a ^ b for a, b in zip(key, signature)))

    def verify(self, answer):
        """The server knows the password, too."""
        assert base64.b64decode(answer.removeprefix(b"v=")) == self.server


def challenge(reply):
    """The octets of a 334."""
    assert reply.startswith(b"334 "), reply
    return base64.b64decode(reply[4:])


def log_in(client, mechanism, login, password):
    """The whole dialogue of a mechanism; the last reply."""
    if mechanism == "PLAIN":
        return client.ask(b"AUTH PLAIN " + plain(login, password))
    if mechanism == "LOGIN":
        assert challenge(client.ask(b"AUTH LOGIN")) == b"Username:"
        assert challenge(client.ask(b64(login))) == b"Password:"
        return client.ask(b64(password))
    if mechanism == "CRAM-MD5":
        text = challenge(client.ask(b"AUTH CRAM-MD5"))
        return client.ask(b64(login + b" " + hmac.new(password, text, "md5").hexdigest().encode()))
    scram = Scram("sha1" if mechanism == "SCRAM-SHA-1" else "sha256", login, password)
    reply = client.ask(b"AUTH " + mechanism.encode() + b" " + b64(scram.first()))
    reply = client.ask(b64(scram.final(challenge(reply))))
    if reply.startswith(b"334"):
        scram.verify(challenge(reply))
        reply = client.ask(b"")
    return reply


class AuthScript:
    """An authentication server in threads that says what the test wants: answer(line) gives the octets for
    one AUTH or CONT line, None to close, b"" to keep silent. `lines` holds what came, over all connections."""

    HELLO = (b"VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nMECH\tLOGIN\tplaintext\nMECH\tCRAM-MD5\nMECH\tGSSAPI\n"
             b"SPID\t1\nCUID\t1\nCOOKIE\tab\nDONE\n")

    def __init__(self, path, answer=None, hello=HELLO):
        self.path, self.answer, self.hello = str(path), answer or self.by_password, hello
        self.lines, self.open, self.dribble = [], [], False
        self.lock = threading.Lock()
        self.start()

    @staticmethod
    def by_password(line):
        """PLAIN in one or two steps, LOGIN; the password is always "secret"."""
        fields = line.split(b"\t")
        id_, last = fields[1], fields[-1].removeprefix(b"resp=")
        if line.startswith(b"AUTH") and b"\tresp=" not in line:
            return b"CONT\t" + id_ + b"\t" + (b64(b"Username:") if fields[2] == b"LOGIN" else b"") + b"\n"
        said = base64.b64decode(last)
        if said == b"anna":
            return b"CONT\t" + id_ + b"\t" + b64(b"Password:") + b"\n"
        good = said == b"secret" or said.endswith(b"\0secret")
        return (b"OK\t" if good else b"FAIL\t") + id_ + b"\tuser=anna\n"

    def start(self):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(50)
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self):
        """No more connections, and an end to those that are there."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        os.unlink(self.path)
        with self.lock:
            for connection in self.open:
                connection.shutdown(socket.SHUT_RDWR)
            self.open = []

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            connection.sendall(self.hello)
            for line in connection.makefile("rb"):
                line = line.rstrip(b"\n")
                with self.lock:
                    self.lines.append(line)
                if not line.startswith((b"AUTH", b"CONT")):
                    continue
                answer = self.answer(line)
                if answer is None:
                    connection.shutdown(socket.SHUT_RDWR)
                    return
                for piece in [answer[i:i + 1] for i in range(len(answer))] if self.dribble else [answer]:
                    connection.sendall(piece)
                    time.sleep(0.0005 if self.dribble else 0)
        except OSError:
            pass

    def wait_for(self, pattern, count=1, seconds=20):
        """As soon as count lines match."""
        deadline = time.monotonic() + seconds
        while True:
            with self.lock:
                found = [line for line in self.lines if re.search(pattern, line)]
            if len(found) >= count:
                return found
            assert time.monotonic() < deadline, self.lines
            time.sleep(0.01)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if os.path.exists(self.path):
            self.stop()


class Saslauthd:
    """A stand-in for saslauthd (its protocol: four counted texts in, one out), so that a test can have it slow
    or dead. check(login, password, service, realm) gives b"OK" or b"NO", or None to hang up."""

    def __init__(self, folder, check):
        self.path, self.check = os.path.join(str(folder), "mux"), check
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(50)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection, connection.makefile("rb") as file:
            texts = [file.read(int.from_bytes(file.read(2), "big")) for _ in range(4)]
            answer = self.check(*texts)
            try:
                if answer is not None:
                    connection.sendall(len(answer).to_bytes(2, "big") + answer)
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


class Introspection:
    """A stand-in for a token introspection endpoint (RFC 7662): answer(token) gives the status and the JSON
    value. What was asked stands in `asked`: path, headers, form."""

    def __init__(self, answer):
        asked = self.asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                form = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                asked.append((self.path, dict(self.headers), form))
                status, value = answer(form["token"][0])
                body = value if isinstance(value, bytes) else json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/introspect"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.server.shutdown()
        self.server.server_close()
