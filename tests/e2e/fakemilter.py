"""fakemilter - a milter filter in a thread that answers by a script and misbehaves where told.

    with Filter(folder, M=[ACCEPT], E=[add("X-A", "v") + CONTINUE, CLOSE]) as f: ...

A key is the letter of a command (O C H M R T L N B E U A Q), its value the answer, or a list of
answers, one for each time, the last again and again. An answer is octets (whole packets, sent as
they are; b"" for silence), one of CLOSE, HANG, PROGRESS_FOREVER, or a tuple of these, one after the
other. What is not scripted is answered with CONTINUE, or not at all where `protocol` says so.
"""

import collections
import os
import socket
import struct
import threading
import time


def packet(code, payload=b""):
    return struct.pack(">I", len(payload) + 1) + code + payload


def octets(text):
    return text.encode() if isinstance(text, str) else text


def texts(*values):
    return b"".join(octets(v) + b"\0" for v in values)


# ---- verdicts ------------------------------------------------------------------------------------

CONTINUE, ACCEPT, REJECT = packet(b"c"), packet(b"a"), packet(b"r")
TEMPFAIL, DISCARD, SKIP = packet(b"t"), packet(b"d"), packet(b"s")
PROGRESS, SHUTDOWN = packet(b"p"), packet(b"4")


def reply(text):
    return packet(b"y", texts(text))


# ---- edits ---------------------------------------------------------------------------------------

def add(name, value):
    return packet(b"h", texts(name, value))


def insert(index, name, value):
    return packet(b"i", struct.pack(">I", index) + texts(name, value))


def change(index, name, value):
    return packet(b"m", struct.pack(">I", index) + texts(name, value))


def change_from(address, *parameters):
    return packet(b"e", texts(address, *parameters))


def add_rcpt(address, *parameters):
    return packet(b"2" if parameters else b"+", texts(address, *parameters))


def delete_rcpt(address):
    return packet(b"-", texts(address))


def body(chunk):
    return packet(b"b", octets(chunk))


def quarantine(reason):
    return packet(b"q", texts(reason))


# ---- misbehaviour ----------------------------------------------------------------------------------

CLOSE, HANG, PROGRESS_FOREVER = "close", "hang", "progress"
GARBAGE = b"HTTP/1.1 400 Bad Request\r\n\r\n"
EMPTY_PACKET, HUGE_PACKET = b"\0\0\0\0c", b"\xff\xff\xff\xffc"
UNKNOWN_REPLY, SURPLUS = packet(b"Z"), packet(b"c", b"x")
HALF_PACKET = (b"\0\0\0\x01", CLOSE)
NO_REPLY_BIT = {"C": 0x1000, "H": 0x2000, "M": 0x4000, "R": 0x8000, "T": 0x10000, "U": 0x20000,
                "N": 0x40000, "B": 0x80000, "L": 0x80, "A": -1, "Q": -1, "D": -1, "E": 0}

Event = collections.namedtuple("Event", "code payload")


class Filter:
    """A listening filter. `connections` holds a list of Events for each connection, macros (D)
    included; `address` is what goes into the configuration."""

    def __init__(self, folder=None, actions=0x1ff, protocol=0, version=6, lists=b"", times=None,
                 **answers):
        """folder: where the Unix socket goes; None for TCP. times: how many connections the
        answers hold for; later ones are answered with CONTINUE."""
        self.negotiation = struct.pack(">III", version, actions, protocol) + lists
        self.protocol, self.times = protocol, times
        self.script = {k: list(v) if isinstance(v, list) else [v] for k, v in answers.items()}
        self.connections, self.sockets = [], set()
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        if folder is None:
            self.listener = socket.create_server(("127.0.0.1", 0))
            self.address = "inet:127.0.0.1:%d" % self.listener.getsockname()[1]
            self.path = None
        else:
            self.path = os.path.join(str(folder), "filter%d" % id(self))
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(self.path)
            self.listener.listen(64)
            self.address = "unix:" + self.path
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.stop()

    def stop(self):
        """Close the listener and every connection."""
        self.stopping.set()
        self.listener.close()
        if self.path and os.path.exists(self.path):
            os.unlink(self.path)
        self.drop()

    def drop(self):
        """Close every connection, as a filter that was killed would."""
        with self.lock:
            for s in self.sockets:
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def wait_for_end(self, seconds=20):
        """Wait until no connection is left, however it ended."""
        deadline = time.monotonic() + seconds
        while self.sockets:
            assert time.monotonic() < deadline, "a connection is still open"
            time.sleep(0.01)

    def trace(self, which=-1):
        """The commands of a connection as one text, macros left out."""
        return "".join(e.code for e in self.connections[which] if e.code != "D")

    def wait_for(self, trace, which=-1, seconds=20):
        """Wait until a connection's trace ends with this; the trace."""
        deadline = time.monotonic() + seconds
        while not self.trace(which).endswith(trace):
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.trace(which)} does not end with {trace}")
            time.sleep(0.01)
        return self.trace(which)

    def payloads(self, code, which=-1):
        return [e.payload for e in self.connections[which] if e.code == code]

    def macros(self, code, which=-1):
        """The last macros for a command, as a dictionary."""
        found = {}
        for payload in self.payloads("D", which):
            if payload[:1].decode() == code:
                parts = payload[1:].split(b"\0")
                found = dict(zip(parts[0:-1:2], parts[1::2]))
        return {k.decode(): v.decode() for k, v in found.items()}

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.sockets.add(connection)
                self.connections.append([])
                events, nth = self.connections[-1], len(self.connections)
            threading.Thread(target=self._serve, args=(connection, events, nth),
                             daemon=True).start()

    def _serve(self, connection, events, nth):
        with connection:
            try:
                with connection.makefile("rb") as file:
                    while self._one(connection, file, events, nth):
                        pass
            except OSError:
                pass
            with self.lock:
                self.sockets.discard(connection)

    def _one(self, connection, file, events, nth):
        head = file.read(5)
        if len(head) < 5:
            return False
        payload = file.read(struct.unpack(">I", head[:4])[0] - 1)
        code = head[4:].decode("latin-1")
        events.append(Event(code, payload))
        return code != "Q" and self._say(connection, self._answer(code, nth))

    def _answer(self, code, nth):
        if code in self.script and (self.times is None or nth <= self.times):
            with self.lock:
                answers = self.script[code]
                return answers.pop(0) if len(answers) > 1 else answers[0]
        if code == "O":
            return packet(b"O", self.negotiation)
        return b"" if self.protocol & NO_REPLY_BIT[code] or code in "ADQ" else CONTINUE

    def _say(self, connection, answer):
        for step in answer if isinstance(answer, tuple) else (answer,):
            if step == CLOSE:
                return False
            if step in (HANG, PROGRESS_FOREVER):
                while not self.stopping.wait(0.1):
                    if step == PROGRESS_FOREVER:
                        connection.sendall(PROGRESS)
                return False
            if step:  # not even an empty write: the peer may have closed behind its last command
                connection.sendall(step)
        return True
