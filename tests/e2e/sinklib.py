"""sinklib - `weir sink` as an object for tests: start it, read its port, list what it stored, stop it."""

import os
import select
import signal
import subprocess
import time


def program(name):
    """Path of a program in the build folder that WEIR_BUILD names (default: the working folder)."""
    return os.path.join(os.environ.get("WEIR_BUILD", "."), name)


class Sink:
    """A running sink; use it with `with`. maildir is made by the sink itself."""

    def __init__(self, maildir, *options, listen="127.0.0.1:0"):
        self.maildir = str(maildir)
        argv = [program("weir"), "sink", "--listen", listen, "--maildir", self.maildir, *options]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE)
        line = self._first_line(20)
        if not line.startswith("listening on "):
            self.process.kill()
            self.process.wait()
            raise RuntimeError(f"{' '.join(argv)}: said {line!r}")
        self.address = line.split()[-1]
        host, _, port = self.address.rpartition(":")
        self.host, self.port = host.strip("[]"), int(port)

    def _first_line(self, seconds):
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        return self.process.stdout.readline().decode() if ready else ""

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        """A sink that dies, or that a sanitizer has something to say about, fails the test."""
        ended_before = self.process.poll() is not None
        status = self.stop()
        if kind is None and not ended_before and status != 0:
            raise AssertionError(f"weir sink ended with status {status}")

    def stop(self, number=signal.SIGTERM, seconds=20):
        """End it; returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            self.process.stdout.close()
        return self.process.returncode

    def names(self):
        """Names of the stored messages, oldest first."""
        folder = os.path.join(self.maildir, "new")
        return sorted(os.listdir(folder)) if os.path.isdir(folder) else []

    def unfinished(self):
        """Names of files left in tmp."""
        return sorted(os.listdir(os.path.join(self.maildir, "tmp")))

    def raw(self, name):
        with open(os.path.join(self.maildir, "new", name), "rb") as file:
            return file.read()

    def messages(self):
        return [Stored(self.raw(name), name) for name in self.names()]

    def wait_for(self, count, seconds=20):
        """The messages, once there are at least count of them."""
        deadline = time.monotonic() + seconds
        while len(self.names()) < count:
            if time.monotonic() > deadline:
                raise AssertionError(f"{len(self.names())} messages stored, not {count}")
            time.sleep(0.01)
        return self.messages()


class Stored:
    """A stored message taken apart: reverse_path, recipients, content (bytes, as received)."""

    def __init__(self, raw, name=""):
        self.raw, self.name, self.recipients = raw, name, []
        line, _, rest = raw.partition(b"\r\n")
        prefix = b"Return-Path: "
        assert line.startswith(prefix), line
        self.reverse_path = line[len(prefix):].decode().strip("<>")
        prefix = b"Delivered-To: "
        while rest.startswith(prefix):
            line, _, rest = rest.partition(b"\r\n")
            self.recipients.append(line[len(prefix):].decode())
        self.content = rest
