"""sequencepeers - the backend and the filters of sequences.py, in a process of their own: what they
answer stands in the addresses that they are given, so that one seed always means one session.

A letter is an answer. Of a filter:
    c continue  a accept  r reject  t tempfail  d discard  s skip  4 "456 .."  5 "556 .."
    1 "421 .."  S shutdown  x closes  g garbage  p progress, then continue
Of the backend:
    2 yes (250, or 354 for DATA)  m yes, in three lines  4 "457 .."  5 "557 .."  9 "530 .."
    3 an unexpected class  1 "421 ..", and closes  x closes  o closes the first time  g garbage
    w (dot) keeps the message, then closes

A reverse path is TOKEN_FILTER.._BACKEND@ with a filter's letters at MAIL, DATA, header, end of
header, body, end, and one for its edit (- none, h adds a field, b new body, + adds a recipient,
P adds one that the backend refuses, D deletes the first, f a new reverse path), and the backend's
at MAIL, DATA and dot; where the backend takes BDAT, the last is for that and DATA's is not used. A forward path is TOKENrN_FILTER.._BACKEND@ with one letter each. HELO's name
begins with one letter for each filter, and 127.0.x.y is a client for whom x and y are the filters'
letters at the connection."""

import asyncio
import json
import struct
import sys

FILTER_LETTERS = "cartds451Sxgp"
CLOSE = object()

# ---- the filters ---------------------------------------------------------------------------------


def packet(code, payload=b""):
    return struct.pack(">I", len(payload) + 1) + code + payload


VERDICTS = {
    "c": packet(b"c"), "a": packet(b"a"), "r": packet(b"r"), "t": packet(b"t"), "d": packet(b"d"),
    "s": packet(b"s"), "4": packet(b"y", b"456 4.7.9 f4\0"), "5": packet(b"y", b"556 5.7.9 f5\0"),
    "1": packet(b"y", b"421 4.7.9 f1\0"), "S": packet(b"4"), "x": CLOSE,
    "g": b"HTTP/1.1 400 Bad Request\r\n\r\n", "p": packet(b"p") * 3 + packet(b"c"),
}


def edit(letter, which, reverse, first):
    """The packets of an edit by filter `which` at the end of the message."""
    token, filters, backend = reverse.split("@")[0].split("_")
    again = ("2" if backend[0] == "o" else backend[0]) + backend[1:]
    added = f"<{token}r9{which}_{filters}_%s@mx.test>\0"
    return {
        "-": b"",
        "h": packet(b"h", f"X-Token\0{token}\0".encode()),
        "b": packet(b"b", f"new {token}\r\n".encode()),
        "+": packet(b"+", (added % "2").encode()),
        "P": packet(b"+", (added % "5").encode()),
        "D": packet(b"-", f"<{first}>\0".encode()),
        "f": packet(b"e", f"<{token}f_{filters}_{again}@new.test>\0".encode()),
    }[letter]


class Filter(asyncio.Protocol):
    """One connection to filter number `which`."""

    def __init__(self, which):
        self.which, self.input, self.transport = which, b"", None
        self.reverse, self.first = "", ""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.input += data
        while len(self.input) >= 4:
            n = struct.unpack(">I", self.input[:4])[0]
            if len(self.input) < 4 + n:
                break
            body, self.input = self.input[4:4 + n], self.input[4 + n:]
            self.event(body[:1].decode(), body[1:])

    def letters(self, path, group):
        parts = path.split("@")[0].split("_")
        return parts[group].split(".")[self.which] if len(parts) > group else "c"

    def event(self, code, payload):
        text = payload.split(b"\0")[0].decode("latin-1").strip("<>")
        if code == "O":
            answer = packet(b"O", struct.pack(">III", 6, 0x1ff, 0x400))
        elif code in "AD":
            return
        elif code == "Q":
            answer = CLOSE
        else:
            answer = self.answer(code, text, payload)
        if answer is CLOSE:
            self.transport.close()
        else:
            self.transport.write(answer)

    def answer(self, code, text, payload):
        if code == "C":
            octets = payload.partition(b"\0")[2][3:].rstrip(b"\0").decode().split(".")
            return VERDICTS[FILTER_LETTERS[int(octets[2 + self.which])]]
        if code == "H":
            return VERDICTS[text[self.which] if "." in text else "c"]
        if code == "U":
            words = text.split()
            return VERDICTS[words[1][self.which] if len(words) == 2 else "c"]
        if code == "M":
            self.reverse, self.first = text, ""
        if code == "R":
            letter = self.letters(text, 1)
            if letter != "x" and not self.first and "_" in text:
                self.first = text
            return VERDICTS[letter]
        mine = self.letters(self.reverse, 1)
        if mine == "c":
            return VERDICTS["c"]
        verdict = VERDICTS[mine["MTLNBE".index(code)]]
        if code == "E" and verdict is not CLOSE:
            return edit(mine[6], self.which, self.reverse, self.first) + verdict
        return verdict


# ---- the backend ---------------------------------------------------------------------------------

ANSWERS = {"2": b"250 2.0.0 ok\r\n", "m": b"250-2.0.0 one\r\n250-2.0.0 two\r\n250 2.0.0 three\r\n",
           "4": b"457 4.9.9 b4\r\n", "5": b"557 5.9.9 b5\r\n", "9": b"530 5.7.0 who are you\r\n",
           "3": b"354 what\r\n", "1": b"421 4.3.2 going\r\n", "g": b"what?\r\n250 ok\r\n"}
HELLO = b"250-backend\r\n250-PIPELINING\r\n250-SIZE 1000000\r\n250-8BITMIME\r\n250-DSN\r\n" \
        b"%s250 SMTPUTF8\r\n"


class Backend(asyncio.Protocol):
    """One connection. `store` gets a record of each message; `seen` what closed already."""

    def __init__(self, store, seen, chunking):
        self.store, self.seen, self.chunking = store, seen, chunking
        self.input, self.transport = b"", None
        self.reverse, self.recipients, self.content, self.chunk = "", [], None, None

    def connection_made(self, transport):
        self.transport = transport
        transport.write(b"220 backend ESMTP\r\n")

    def data_received(self, data):
        self.input += data
        while not self.transport.is_closing():
            if self.chunk is not None:
                if len(self.input) < self.chunk:
                    return
                text, self.input = self.input[:self.chunk], self.input[self.chunk:]
                self.chunk = None
                self.message(text)
                continue
            end, mark = (self.input.find(b"\r\n"), 2) if self.content is None else \
                (self.input.find(b"\r\n.\r\n"), 5)
            if end < 0:
                return
            text, self.input = self.input[:end], self.input[end + mark:]
            if self.content is None:
                self.command(text.decode("latin-1"))
            else:
                self.content = None
                self.message(text[2:] + b"\r\n")

    def say(self, letter, key, yes=None):
        """True when the answer was yes."""
        if letter == "o":
            letter = "2" if key in self.seen else "x"
            self.seen.add(key)
        if letter == "x":
            self.transport.close()
            return False
        self.transport.write(yes if yes is not None and letter in "2m" else ANSWERS[letter])
        if letter == "1":
            self.transport.close()
        return letter in "2m"

    def command(self, line):
        verb, path = line[:4].upper(), line.partition("<")[2].partition(">")[0]
        mine = path.split("@")[0].split("_")[-1] if "_" in path else "222"
        if verb == "EHLO":
            self.transport.write(HELLO % (b"250-CHUNKING\r\n" if self.chunking else b""))
        elif verb == "MAIL" and not self.reverse:
            if self.say(mine[0], path):
                self.reverse, self.recipients = path, []
        elif verb == "MAIL" or (verb in ("RCPT", "DATA") and not self.reverse):
            self.transport.write(b"503 5.5.1 no\r\n")
        elif verb == "RCPT":
            if self.say(mine[0], path):
                self.recipients.append(path)
        elif verb == "DATA":
            self.data()
        elif verb == "BDAT":
            self.chunk = int(line.split()[1])
        elif verb == "QUIT":
            self.transport.write(b"221 2.0.0 bye\r\n")
            self.transport.close()
        else:
            if verb == "RSET":
                self.reverse, self.recipients = "", []
            self.transport.write(ANSWERS["2"])

    def data(self):
        letter = self.reverse.split("@")[0].split("_")[-1][1]
        if not self.recipients:
            self.transport.write(b"554 5.5.1 no recipients\r\n")
        elif letter == "3":
            self.transport.write(ANSWERS["2"])
        elif self.say(letter, self.reverse + "D", b"354 go\r\n"):
            self.content = b""
            self.input = b"\r\n" + self.input

    def message(self, content):
        letter = self.reverse.split("@")[0].split("_")[-1][2]
        record = [self.reverse, self.recipients, content.decode("latin-1")]
        if letter == "w":
            self.store.append(record)
            self.transport.close()
        elif self.say(letter, self.reverse + "."):
            self.store.append(record)
        elif self.chunking:
            return  # a chunk that was refused: only RSET ends the transaction
        self.reverse, self.recipients = "", []


class Control(asyncio.Protocol):
    """Whoever sends a line gets all records since the last time, as one line of JSON."""

    def __init__(self, store):
        self.store, self.transport = store, None

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        for _ in range(data.count(b"\n")):
            self.transport.write(json.dumps(self.store).encode() + b"\n")
            self.store.clear()


async def main():
    loop = asyncio.get_running_loop()
    store, seen = [], set()
    makers = [lambda: Control(store), lambda: Backend(store, seen, False),
              lambda: Backend(store, seen, True), lambda: Filter(0), lambda: Filter(1)]
    servers = [await loop.create_server(make, "127.0.0.1", 0) for make in makers]
    print(*[s.sockets[0].getsockname()[1] for s in servers], flush=True)
    # Who started us is gone when this ends.
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
