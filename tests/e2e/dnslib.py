"""dnslib - a name server in a thread that answers by a table, on UDP at 127.0.0.1."""

import ipaddress
import socket
import struct
import threading

A, PTR, AAAA = 1, 12, 28
NXDOMAIN, SERVFAIL = 3, 2


def reverse(address):
    return ipaddress.ip_address(address).reverse_pointer


def encoded(name):
    return b"".join(bytes([len(label)]) + label for label in name.encode().split(b".")) + b"\0"


class NameServer:
    """table: a name in lower case, or an address for its reverse name, to a name (PTR), a list of
    addresses, SERVFAIL, or None for silence. What does not stand there is NXDOMAIN. `asked` holds
    the names that were asked for. held: nobody is answered before release()."""

    def __init__(self, table, held=False):
        self.free = threading.Event()
        if not held:
            self.release()
        self.table = {self._key(k): v for k, v in table.items()}
        self.asked = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.release()
        self.socket.close()

    def release(self):
        self.free.set()

    @staticmethod
    def _key(name):
        try:
            return reverse(name)
        except ValueError:
            return name

    def _serve(self):
        while True:
            try:
                question, peer = self.socket.recvfrom(4096)
                answer = self._answer(question)
                self.free.wait()
                if answer is not None:
                    self.socket.sendto(answer, peer)
            except OSError:
                return

    def _answer(self, question):
        labels, at = [], 12
        while question[at]:
            labels.append(question[at + 1:at + 1 + question[at]].decode().lower())
            at += 1 + question[at]
        name, kind = ".".join(labels), struct.unpack(">H", question[at + 1:at + 3])[0]
        self.asked.append(name)
        found, code, records = self.table.get(name, NXDOMAIN), 0, []
        if found is None:
            return None
        if isinstance(found, int):
            code = found
        elif isinstance(found, str):
            records = [encoded(found)] if kind == PTR else []
        else:
            size = {A: 4, AAAA: 16}.get(kind, 0)
            packed = [ipaddress.ip_address(a).packed for a in found]
            records = [p for p in packed if len(p) == size]
        answers = b"".join(b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 60, len(r)) + r
                           for r in records)
        return (question[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, len(records), 0, 0)
                + question[12:at + 5] + answers)
