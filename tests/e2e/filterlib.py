"""filterlib - a milter in a process of its own, on pymilter: it does what it is told, and says what
it heard. `python3 filterlib.py SOCKET JSON` runs one; class Filter starts it."""

import json
import os
import signal
import subprocess
import sys
import time


class Filter:
    """A filter on a Unix socket in folder. script maps an event (connect, helo, mail, rcpt, data,
    unknown, header, eoh, body, eom) to "reject", "tempfail", "discard", "accept", "kill", "hang" or
    a reply "550 5.7.1 text"; {"rcpt": {"<b@x>": ..}} by argument. edits is a list of [method,
    argument, ..] for the end of message."""

    def __init__(self, folder, name="filter", edits=(), **script):
        self.folder, self.name = str(folder), name
        os.makedirs(self.folder, exist_ok=True)
        self.socket = os.path.join(self.folder, name + ".sock")
        self.log = os.path.join(self.folder, name + ".heard")
        self.task = json.dumps({"script": script, "edits": list(edits), "log": self.log})
        self.process = None
        self.start()

    def start(self):
        self.process = subprocess.Popen([sys.executable, __file__, self.socket, self.task])
        deadline = time.monotonic() + 20
        while not os.path.exists(self.socket):
            assert time.monotonic() < deadline and self.process.poll() is None
            time.sleep(0.01)

    def heard(self):
        """[event, argument, ..] of what came so far."""
        if not os.path.exists(self.log):
            return []
        with open(self.log, encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def events(self):
        return [entry[0] for entry in self.heard()]

    def wait_for(self, event, count=1, seconds=20):
        deadline = time.monotonic() + seconds
        while self.events().count(event) < count:
            assert time.monotonic() < deadline, self.heard()
            time.sleep(0.01)

    def settings(self, **more):
        return {"name": self.name, "socket": "unix:" + self.socket, **more}

    def stop(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        if os.path.exists(self.socket):
            os.unlink(self.socket)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.stop()


def serve(path, task):
    """The filter's process."""
    import Milter  # pylint: disable=import-outside-toplevel

    verdicts = {"reject": Milter.REJECT, "tempfail": Milter.TEMPFAIL, "discard": Milter.DISCARD,
                "accept": Milter.ACCEPT, "continue": Milter.CONTINUE}

    class Scripted(Milter.Base):
        """Every event is written down, then answered by the script."""

        def on(self, event, *arguments):
            macros = {m: self.getsymval(m) for m in ("i", "j", "{client_addr}", "{mail_addr}",
                                                      "{rcpt_addr}", "{daemon_name}", "{tls_version}", "{cipher}",
                                                      "{cipher_bits}", "{cert_subject}", "{cert_issuer}", "{cert_fp}",
                                                      "{verify}", "{tls_sni}")}
            with open(task["log"], "a", encoding="utf-8") as file:
                file.write(json.dumps([event, *arguments, macros]) + "\n")
            answer = task["script"].get(event, "continue")
            if isinstance(answer, dict):
                answer = answer.get(arguments[0], "continue")
            if answer == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if answer == "hang":
                time.sleep(1000)
            if answer in verdicts:
                return verdicts[answer]
            code, enhanced, text = answer.split(" ", 2)
            self.setreply(code, enhanced, text)
            return Milter.REJECT if code[0] == "5" else Milter.TEMPFAIL

        def connect(self, hostname, family, hostaddr):
            return self.on("connect", hostname, list(hostaddr))

        def hello(self, hostname):
            return self.on("helo", hostname)

        def envfrom(self, *arguments):
            return self.on("mail", *arguments)

        def envrcpt(self, *arguments):
            return self.on("rcpt", *arguments)

        def data(self):
            return self.on("data")

        def unknown(self, command):
            return self.on("unknown", command)

        def header(self, name, value):
            return self.on("header", name, value)

        def eoh(self):
            return self.on("eoh")

        def body(self, octets):
            return self.on("body", octets.decode("latin-1"))

        def eom(self):
            for method, *arguments in task["edits"]:
                if method == "replacebody":
                    arguments = [arguments[0].encode()]
                getattr(self, method)(*arguments)
            return self.on("eom")

        def abort(self):
            return self.on("abort")

        def close(self):
            return self.on("close")

    Milter.factory = Scripted
    Milter.set_flags(Milter.ADDHDRS + Milter.CHGHDRS + Milter.CHGBODY + Milter.ADDRCPT
                     + Milter.DELRCPT + Milter.CHGFROM + Milter.QUARANTINE)
    Milter.runmilter("scripted", "unix:" + path, 60)


if __name__ == "__main__":
    serve(sys.argv[1], json.loads(sys.argv[2]))
