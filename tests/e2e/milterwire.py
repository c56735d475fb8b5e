"""The MTA side of the milter protocol, a packet at a time, for what miltertest cannot do: many sessions at once, a
connection that ends at any stage, and a look at every packet."""
import socket
import struct

ALL_ACTIONS, ALL_PROTOCOL = 0x1FF, 0x1FFFFF
NR = {"C": 0x1000, "H": 0x2000, "M": 0x4000, "R": 0x8000, "T": 0x10000, "L": 0x80, "N": 0x40000, "B": 0x80000}
NO = {"C": 0x1, "H": 0x2, "M": 0x4, "R": 0x8, "B": 0x10, "L": 0x20, "N": 0x40, "T": 0x200}


class Mta:
    def __init__(self, path, actions=ALL_ACTIONS, protocol=ALL_PROTOCOL, version=6):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(str(path))
        self.send("O", struct.pack(">III", version, actions, protocol))
        code, payload = self.read()
        assert code == "O", code
        self.version, self.actions, self.protocol = struct.unpack(">III", payload[:12])

    def send(self, code, payload=b""):
        self.socket.sendall(struct.pack(">I", len(payload) + 1) + code.encode() + payload)

    def read(self):
        head = self.exactly(4)
        body = self.exactly(struct.unpack(">I", head)[0])
        return body[:1].decode(), body[1:]

    def exactly(self, n):
        data = b""
        while len(data) < n:
            some = self.socket.recv(n - len(data))
            if not some:
                raise EOFError("the filter closed the connection")
            data += some
        return data

    def macros(self, code, macros):
        if macros:
            self.send("D", code.encode() + b"".join(k.encode() + b"\0" + v.encode() + b"\0" for k, v in macros.items()))

    def event(self, code, payload=b"", macros=None):
        """Send one event and read its reply: ("c", b"") also where none is due. ("-", b""): not to be sent."""
        if self.protocol & NO.get(code, 0):
            return "-", b""
        self.macros(code, macros)
        self.send(code, payload)
        if self.protocol & NR.get(code, 0):
            return "c", b""
        return self.read()

    def connect(self, address="198.51.100.7", name="mx.client.example", port=4321, macros=None):
        return self.event("C", name.encode() + b"\0" + b"4" + struct.pack(">H", port) + address.encode() + b"\0",
                          macros or {"j": "mx.example.org"})

    def helo(self, name="client.example", macros=None):
        return self.event("H", name.encode() + b"\0", macros)

    def mail(self, path="<a@client.example>", *parameters, macros=None):
        return self.event("M", b"".join(p.encode() + b"\0" for p in (path, *parameters)), macros or {"i": "Q1"})

    def rcpt(self, path="<b@example.org>"):
        return self.event("R", path.encode() + b"\0", {"i": "Q1"})

    def data(self):
        return self.event("T")

    def header(self, name, value):
        return self.event("L", name.encode() + b"\0" + value.encode() + b"\0")

    def end_of_header(self):
        return self.event("N", b"", {"i": "Q1"})

    def body(self, octets):
        return self.event("B", octets)

    def end(self, macros=None):
        """The edits and the final reply."""
        self.macros("E", macros)
        self.send("E")
        edits = []
        while True:
            code, payload = self.read()
            if code in "himeb+-2q":
                edits.append((code, payload))
            elif code != "p":
                return edits, (code, payload)

    def message(self, headers, body=b"", sender="<a@client.example>", recipients=("<b@example.org>",)):
        """A whole message: its edits and the reply that ended it."""
        reply = self.mail(sender)
        if reply[0] != "c":
            return [], reply
        for recipient in recipients:
            reply = self.rcpt(recipient)
        if reply[0] != "c":
            return [], reply
        for step in [self.data] + [lambda h=h: self.header(*h) for h in headers] + [self.end_of_header] + (
                [lambda: self.body(body)] if body else []):
            reply = step()
            if reply[0] not in "c-s":
                return [], reply
        return self.end()

    def abort(self):
        self.send("A")

    def quit(self):
        self.send("Q")
        self.close()

    def close(self):
        self.socket.close()
