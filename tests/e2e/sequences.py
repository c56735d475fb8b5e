"""sequences - random sessions against weir-proxy, by a seed: commands in and out of order, alone and
pipelined, with filters and a backend that refuse, fail and edit at random (sequencepeers.py), held
against a model of what may be answered (sequencemodel.py)."""

import asyncio
import contextlib
import dataclasses
import json
import os
import random
import re
import ssl
import subprocess
import sys

from authlib import b64, plain
from sequencemodel import Model, Recipient, Transaction
from sequencepeers import FILTER_LETTERS

SECONDS = 20
LIMIT = 6000  # octets of a message
TLS = ssl.create_default_context()
TLS.check_hostname, TLS.verify_mode = False, ssl.CERT_NONE
SMUGGLE = [b"\n.\n", b"\n.\r", b"\r.\n", b"\r.\r", b"\n.\r\n", b"\r.\r\n", b"\r\n\x00.\r\n",
           b"\r\n.\n", b"\r\n.\r", b"\r\n.\x00\r\n", b"\r\n.\r\r\n", b"\r\r\n.\r\r\n"]


# ---- what is sent --------------------------------------------------------------------------------

@dataclasses.dataclass
class Step:
    """One command line, or one message's content. kind: the model's method for it. last: nothing
    may wait behind it. verb: a command that is known."""
    kind: str
    line: bytes
    code: int = 0
    plain_code: int = 0  # after HELO
    close: bool = False
    last: bool = False
    verb: bool = True
    letters: str = ""
    tx: Transaction = None
    to: Recipient = None
    content: bytes = b""  # of a message, or of a chunk
    final: bool = False   # LAST
    alone: bool = False   # nothing is sent behind it before the reply

    @property
    def wire(self):
        if self.kind == "bdat":
            return self.line + b"\r\n" + self.content
        if self.kind == "content":
            return self.content.replace(b"\r\n.", b"\r\n..") + b".\r\n"
        return self.line + b"\r\n"


def fixed(line, code, close=False, last=False, verb=True):
    return Step("fixed", line, code, close=close, last=last, verb=verb)


# Commands that change nothing, whatever the state.
IDLE = [
    fixed(b"NOOP", 250, last=True), fixed(b"noop with words", 250, last=True),
    fixed(b"HELP", 214), fixed(b"VRFY someone", 252, last=True), fixed(b"VRFY", 501, last=True),
    fixed(b"EXPN list", 502, last=True), fixed(b"ETRN x", 502, last=True),
    fixed(b"TURN", 502, last=True), Step("data", b"DATA x", 501, last=True), fixed(b"RSET x", 501),
    fixed(b"QUIT x", 501, verb=False), fixed(b"EHLO", 501, last=True), fixed(b"EHLO a b", 501, last=True),
    fixed(b"", 500, verb=False), fixed(b"NOOP \xff", 500, verb=False),
    fixed(b"NOOP " + b"x" * 5000, 500, verb=False), fixed(b"NO\0OP", 500, verb=False),
    fixed(b"NOOP\nNOOP", 500, verb=False), fixed(b"RSET\rRSET", 500, verb=False),
]
ENDS = [
    fixed(b"GET / HTTP/1.1", 221, True, verb=False), fixed(b"Subject: x", 221, True, verb=False),
    fixed(b".", 221, True, verb=False), fixed(b"\x01\x02", 221, True, verb=False),
]
BAD_MAIL = [(b"MAIL", 501), (b"MAIL FROM:", 501), (b"MAIL FROM:<a@x", 501), (b"MAIL TO:<a@x>", 501),
            (b"MAIL FROM:<a@x> SIZE=9999999", 552), (b"MAIL FROM:<a@x> FOO=1", 555),
            (b"MAIL FROM:<a@x> BODY=9", 501), (b"MAIL FROM:<\xc3\xbc@x>", 553)]
BAD_RCPT = [(b"RCPT", 501), (b"RCPT TO:<>", 501), (b"RCPT TO:<b@@x>", 501),
            (b"RCPT TO:<b@x> FOO=1", 555)]
# With the code after HELO, which offers no extension.
PARAMETERS = [(b"", 0), (b"", 0), (b"", 0), (b" SIZE=1000", 0), (b" BODY=8BITMIME", 554),
              (b" RET=HDRS ENVID=e", 555), (b" SMTPUTF8", 553)]
# AUTH's lines, their codes, and the responses that may follow a 334.
GOOD, BAD = plain(b"anna", b"secret"), plain(b"anna", b"wrong")
LOGINS = [(b"AUTH", 501, ""), (b"AUTH NONSENSE", 504, ""), (b"AUTH PLAIN !", 501, ""), (b"AUTH PLAIN " + GOOD, 235, ""),
          (b"AUTH PLAIN " + GOOD, 235, ""), (b"auth plain " + BAD, 535, ""), (b"AUTH PLAIN", 334, "plain"), (b"AUTH LOGIN", 334, "name"),
          (b"AUTH LOGIN " + b64(b"anna"), 334, "password")]
GIVEN_UP = [(b"*", 501, ""), (b"NOOP!", 501, "")]
RESPONSES = {"plain": [(GOOD, 235, ""), (BAD, 535, ""), (b"", 535, ""), *GIVEN_UP],
             "name": [(b64(b"anna"), 334, "password"), (b64(b"nobody"), 535, ""), *GIVEN_UP],
             "password": [(b64(b"secret"), 235, ""), (b64(b"wrong"), 535, ""), *GIVEN_UP]}


class Author:
    """Writes one session's commands."""

    def __init__(self, seed, filters):
        self.random, self.seed, self.filters = random.Random(seed), seed, filters
        self.messages, self.dialogue = 0, ""
        # Most sessions have peers that do as they should.
        self.trouble = self.random.choice([0, 0.05, 0.1, 0.2])

    def letter(self, letters, good):
        return self.random.choice(letters) if self.random.random() < self.trouble else good

    def filter_letters(self, count):
        return [self.letter(FILTER_LETTERS, "c") for _ in range(count)]

    def connect(self):
        return self.filter_letters(2)

    def hello(self):
        letters = "".join(self.filter_letters(self.filters))
        verb = self.random.choice([b"EHLO", b"EHLO", b"EHLO", b"ehlo", b"HELO"])
        return Step("hello", verb + b" " + letters.encode() + b".test", last=True, letters=letters)

    def transaction(self, clean=False):
        self.messages += 1
        tx = Transaction(f"t{self.seed}x{self.messages}", ["ccccccc"] * self.filters, "222")
        tx.filters = ["cccccc-"] * self.filters
        if not clean:
            tx.filters = ["".join(self.filter_letters(6)) + self.edit() for _ in range(self.filters)]
            tx.backend = "".join([self.letter("m45931oxg", "2"),
                                  self.letter("m45931oxg", "2"),
                                  self.letter("m45931oxgw", "2")])
        return tx

    def edit(self):
        return self.random.choice("hb+PDf") if self.random.random() < self.trouble * 3 else "-"

    def mail(self, clean=False):
        if not clean and self.random.random() < 0.1:
            line, code = self.random.choice(BAD_MAIL)
            return Step("mail", line, code)
        tx = self.transaction(clean)
        parameters, plain_code = (b"", 0) if clean else self.random.choice(PARAMETERS)
        return Step("mail", b"MAIL FROM:<" + tx.path.encode() + b">" + parameters, tx=tx,
                    plain_code=plain_code)

    def rcpt(self, tx, clean=False):
        if tx is None or (not clean and self.random.random() < 0.1):
            line, code = self.random.choice(BAD_RCPT)
            return Step("rcpt", line, code)
        tx.asked += 1
        filters = self.filter_letters(self.filters) if not clean else ["c"] * self.filters
        backend = "2" if clean else self.letter("m45931oxg", "2")
        path = f"{tx.token}r{tx.asked}_{'.'.join(filters)}_{backend}@mx.test"
        return Step("rcpt", b"RCPT TO:<" + path.encode() + b">",
                    to=Recipient(path, filters, backend))

    def data(self):
        return Step("data", b"DATA", last=True)

    def rset(self):
        return Step("rset", b"RSET")

    def starttls(self):
        return Step("starttls", self.random.choice([b"STARTTLS"] * 5 + [b"STARTTLS x"]), last=True)

    def auth(self):
        """PLAIN and LOGIN, the response with the command or on lines of its own."""
        line, code, self.dialogue = self.random.choice(LOGINS)
        return Step("auth", line, code, last=True)

    def response(self):
        line, code, self.dialogue = self.random.choice(RESPONSES[self.dialogue])
        return Step("response", line, code, last=True, verb=False)

    def xclient(self):
        """Another client takes over the connection."""
        letters = self.connect()
        address = "10.0." + ".".join(str(FILTER_LETTERS.index(c)) for c in letters)
        return Step("xclient", b"XCLIENT PORT=1 ADDR=" + address.encode(), letters=letters,
                    alone=True)

    def chunk(self, octets, final):
        return Step("bdat", b"BDAT %d%s" % (len(octets), b" LAST" if final else b""),
                    content=octets, final=final)

    def stray_chunk(self):
        roll = self.random.random()
        if roll < 0.1:
            return Step("bdat", self.random.choice([b"BDAT", b"BDAT x", b"BDAT 1 FIRST"]), 521)
        octets = b"Subject: stray\r\n\r\n" if roll < 0.9 else b"x" * (LIMIT + 10)
        return self.chunk(self.random.choice([octets, octets, b""]), self.random.random() < 0.5)

    def chunks(self, tx):
        """A message in chunks; now and then the last is missing."""
        rest, steps = self.content(tx).content, []
        while 1 < len(rest) < LIMIT and self.random.random() < 0.6:
            cut = self.random.randrange(1, len(rest))
            steps.append(self.chunk(rest[:cut], False))
            rest = rest[cut:]
        steps.append(self.chunk(rest, self.random.random() < 0.9))
        if self.random.random() < 0.2:
            steps.append(self.chunk(b"", True))
        return steps

    def unknown(self):
        letters = "".join(self.filter_letters(self.filters))
        return Step("unknown", b"XFOO " + letters.encode() if letters else b"XFOO", verb=False,
                    letters=letters)

    def idle(self):
        return self.random.choice(IDLE)

    def content(self, tx):
        text = b"Subject: %s\r\nX-Folded: a\r\n b\r\n\r\n" % tx.token.encode()
        kind = self.random.choice("nnnnndsbl")
        if kind == "n":
            text += b"line of %s\r\n" % tx.token.encode() * self.random.randint(1, 20)
        elif kind == "d":
            text += b".\r\n..\r\n.x\r\n\r\n.\r\n"
        elif kind == "s":
            text += b"first" + self.random.choice(SMUGGLE) + (
                b"MAIL FROM:<evil@x>\r\nRCPT TO:<evil@mx.test>\r\nDATA\r\nevil\r\n")
        elif kind == "b":
            return Step("content", b"", 552, verb=False, content=text + b"x" * LIMIT + b"\r\n")
        else:
            text = b"Received: x\r\n" * 51 + text + b"b\r\n"
        return Step("content", b"", verb=False, content=text)

    def next(self, state, tx):
        """One step for a session in that state."""
        roll = self.random.random()
        if roll < 0.015:
            return self.random.choice(ENDS)
        if roll < 0.03:
            return Step("quit", b"QUIT")
        if roll < 0.10:
            return self.idle()
        if roll < 0.13:
            return self.unknown()
        if roll < 0.17:  # out of order, as often as not
            return self.random.choice([self.hello, self.rset, self.data, self.mail,
                                       lambda: self.rcpt(tx), self.stray_chunk])()
        if roll < 0.18:
            return self.xclient()
        if roll < 0.21:
            return self.starttls()
        if roll < (0.35 if state == "READY" else 0.22):
            return self.auth()
        if state == "START":
            return self.hello()
        if state == "BDAT":
            return self.stray_chunk()
        if state == "READY":
            return self.mail()
        if state == "MAIL" or self.random.random() < 0.4:
            return self.rcpt(tx)
        return self.data()

    def group(self, model):
        """Steps that go out together, as the session would stand if all were accepted."""
        state, tx = model.state, model.tx
        steps = [self.next(state, tx)]
        if self.random.random() < (0.4 if model.esmtp else 0.9):
            return steps
        for _ in range(self.random.randint(1, 5)):
            if steps[-1].alone or (steps[-1].last and self.random.random() < 0.97):
                break
            step = steps[-1]
            if step.kind == "mail" and not step.code and state == "READY":
                state, tx = "MAIL", step.tx
            elif step.kind == "rcpt" and not step.code and state == "MAIL":
                state = "RCPT"
            elif step.kind in ("hello", "rset", "content") and state != "START":
                state, tx = "READY", None
            if state == "RCPT" and self.random.random() < 0.15:
                return steps + self.chunks(tx)
            steps.append(self.next(state, tx))
        return steps

    def proof(self):
        """After a final reply: nothing is left (W70), and a clean transaction gets through."""
        stray = Recipient(f"t{self.seed}x0r1_{'.'.join('c' * self.filters)}_2@mx.test",
                          ["c"] * self.filters, "2")
        yield [Step("rcpt", b"RCPT TO:<" + stray.path.encode() + b">", to=stray), self.data()]
        if self.random.random() < 0.5:
            mail = self.mail(True)
            yield [mail, self.rcpt(mail.tx, True), self.rcpt(mail.tx, True), self.data()]


# ---- the client ----------------------------------------------------------------------------------

class Failure(AssertionError):
    pass


class Wire(asyncio.Protocol):
    """A client's socket: send, and whole replies; b"" at the end."""

    def __init__(self):
        self.input, self.ended, self.waiter, self.transport = b"", False, None, None

    def connection_made(self, transport):
        self.transport = transport

    def wake(self):
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    def data_received(self, data):
        self.input += data
        self.wake()

    def connection_lost(self, _):
        self.ended = True
        self.wake()

    async def secure(self):
        self.transport = await asyncio.get_running_loop().start_tls(self.transport, self, TLS)

    async def reply(self):
        while True:
            found = re.match(rb"(?:\d\d\d-[^\n]*\n)*\d\d\d(?: [^\n]*)?\n", self.input)
            if found:
                self.input = self.input[found.end():]
                return found.group()
            if self.ended:
                return self.input
            self.waiter = asyncio.get_running_loop().create_future()
            await asyncio.wait_for(self.waiter, SECONDS)


def check_reply(octets, step):
    """W52, W53."""
    lines = octets.split(b"\r\n")[:-1]
    greeting = step is None or (step.kind, octets[:3]) in (("hello", b"250"), ("xclient", b"220"))
    code = octets[:3]
    enhanced = rb"" if greeting or code[:1] == b"3" else rb"%c\.\d{1,3}\.\d{1,3} " % code[0]
    for n, line in enumerate(lines):
        mark = b" " if n == len(lines) - 1 else b"-"
        if not re.fullmatch(code + mark + enhanced + rb"[\x20-\x7e]*", line) or len(line) > 510:
            raise Failure(f"a reply that is not well-formed: {octets!r}")


class Session:
    """One seed's session. transcript: what was said, for a report."""

    def __init__(self, seed, proxy, failures, chunking):
        self.seed, self.proxy = seed, proxy
        self.author = Author(seed, len(failures))
        connect = self.author.connect()
        self.address = "127.0." + ".".join(str(FILTER_LETTERS.index(c)) for c in connect)
        self.model = Model(failures, connect, LIMIT, chunking)
        self.transcript, self.wire = [], None
        self.doubtful = set()  # messages that nobody waited for: the backend may have them

    async def answer(self, step, more):
        """One step's reply against the model. False when the session is over."""
        allowed = self.model.run(step, more)
        try:
            got = await self.wire.reply()
        except asyncio.TimeoutError:
            raise Failure(f"no reply to {step.wire[:200]!r}, which may get {sorted(allowed)}") from None
        self.transcript.append((step.wire[:200], got, sorted(allowed), self.model.state))
        if int(got[:3] or 0) not in allowed:
            raise Failure(f"{got!r} to {step.wire[:200]!r}, not one of {sorted(allowed)}")
        check_reply(got, step)
        if step.kind == "starttls" and got.startswith(b"220"):
            await self.wire.secure()
        if not self.model.closing:
            return True
        rest = await self.wire.reply()
        if rest:
            raise Failure(f"{rest!r} behind the last reply {got!r}")
        return False

    async def send(self, octets, whole=False):
        """At once, or in two pieces."""
        if len(octets) > 1 and not whole and self.author.random.random() < 0.1:
            cut = self.author.random.randrange(1, len(octets))
            self.wire.transport.write(octets[:cut])
            await asyncio.sleep(0.001)
            octets = octets[cut:]
        self.wire.transport.write(octets)

    async def group(self, steps):
        """False when the session is over."""
        # Whether more waits behind a command is part of the answer: no luck may decide that.
        illegal = any(step.last for step in steps[:-1]) or not self.model.esmtp
        wire = b"".join(step.wire for step in steps)
        await self.send(wire, illegal)
        if self.author.random.random() < 0.01:
            self.leave(wire)
            return False
        for n, step in enumerate(steps):
            if not await self.answer(step, n + 1 < len(steps)):
                return False
        return True

    def leave(self, wire):
        """Go without waiting for the replies."""
        tokens = re.findall(r"t\d+x\d+", wire.decode("latin-1"))
        self.doubtful = {*tokens, *([self.model.tx.token] if self.model.tx else [])}

    async def content(self):
        """The content, now and then with commands behind it; then the proof that nothing is
        left."""
        author, tx = self.author, self.model.tx
        if author.random.random() < 0.02:
            await self.send(author.content(tx).wire[:-author.random.randint(1, 5)])
            return False
        proof = author.proof()
        steps = [author.content(tx)]
        if author.random.random() < 0.3:
            steps += next(proof)
        if not await self.group(steps):
            return False
        for more in proof:
            if not await self.group(more):
                return False
        if self.model.state == "DATA":
            return await self.group([author.content(self.model.tx)])
        return True

    async def talk(self):
        greeting = await self.wire.reply()
        check_reply(greeting, None)
        if not greeting.startswith(b"220 "):
            raise Failure(f"{greeting!r} is no greeting")
        for _ in range(self.author.random.randint(3, 8)):
            if not await self.group(self.author.group(self.model)):
                return
            while self.model.expecting:
                if not await self.group([self.author.response()]):
                    return
            while self.model.state == "DATA":
                if not await self.content():
                    return
        if self.author.random.random() < 0.5:
            await self.group([Step("quit", b"QUIT")])

    async def run(self):
        loop = asyncio.get_running_loop()
        _, self.wire = await loop.create_connection(Wire, *self.proxy,
                                                    local_addr=(self.address, 0))
        try:
            await self.talk()
        finally:
            if self.author.random.random() < 0.3:
                self.wire.transport.abort()
            else:
                self.wire.transport.close()

    def report(self):
        lines = [f"seed {self.seed}, client {self.address}"]
        for sent, got, allowed, state in self.transcript:
            lines.append(f"  C: {sent!r}\n  S: {got!r}  expected {allowed}, then {state}")
        return "\n".join(lines)


# ---- the backend's side --------------------------------------------------------------------------

def check_stored(sessions, records, doubtful):
    """Every 250 to a dot is one message at the backend, with its own envelope and content; nothing
    else is there, but perhaps once what is doubtful, now or later."""
    by_token = {}
    for reverse, recipients, content in records:
        token = reverse.partition("_")[0].removesuffix("f")
        by_token.setdefault(token, []).append((reverse, recipients, content))
    for session in sessions:
        try:
            for tx, recipients, edits in session.model.stored:
                check_message(tx, recipients, edits, session.model.chunking,
                              by_token.pop(tx.token, []))
        except Failure as failure:
            raise Failure(f"{failure}\n{session.report()}") from None
    doubtful.update(*[session.doubtful for session in sessions])
    for token in doubtful & set(by_token):
        if len(by_token[token]) == 1:
            by_token.pop(token)
            doubtful.remove(token)
    if by_token:
        token, found = by_token.popitem()
        culprit = [s.report() for s in sessions if token.startswith(f"t{s.seed}x")]
        raise Failure(f"nobody was told 250 for {found}\n" + "\n".join(culprit))


def check_message(tx, recipients, edits, chunking, found):
    if len(found) != 1:
        raise Failure(f"{len(found)} messages of {tx.token} at the backend, not one")
    reverse, stored_recipients, content = found[0]
    if not chunking:
        content = content.replace("\r\n..", "\r\n.")
    if reverse.partition("_")[0] != tx.token + ("f" if "f" in edits else ""):
        raise Failure(f"the reverse path of {tx.token} is {reverse}")
    if sorted(recipients) != sorted(stored_recipients):
        raise Failure(f"recipients of {tx.token} are {stored_recipients}, not {recipients}")
    if f" with {tx.protocol} id " not in content:
        raise Failure(f"no {tx.protocol} in {content!r}")
    # A pipelined RCPT may have been meant for the transaction before.
    own = set(re.findall(r"t\d+x\d+", " ".join([tx.token, *recipients])))
    if not set(re.findall(r"t\d+x\d+", content)) <= own:
        raise Failure(f"content of {tx.token}: {content!r}")
    if ("X-Token: " in content) != ("h" in edits) or ("\r\n\r\nnew t" in content) != ("b" in edits):
        raise Failure(f"edits {edits!r} of {tx.token} in {content!r}")
    if re.search(r"(?<!\r)\n|\r(?!\n)", content):
        raise Failure(f"a CR or LF stands alone in {content!r}")
    text = tx.content.decode("latin-1")
    if not re.search(r"(?<!\r)\n|\r(?!\n)", text) and not set("hb") & set(edits) \
            and not content.endswith((text, text + "\r\n")):
        raise Failure(f"content of {tx.token} is {content!r}, not {text!r}")


class Peers:
    """The backend and the filters; use it with `with`."""

    def __enter__(self):
        here = os.path.dirname(os.path.abspath(__file__))
        self.process = subprocess.Popen([sys.executable, os.path.join(here, "sequencepeers.py")],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.ports = [int(n) for n in self.process.stdout.readline().split()]
        self.doubtful = set()
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(20)
        self.process.stdout.close()

    async def records(self):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.ports[0], limit=2 ** 28)
        writer.write(b"\n")
        answer = json.loads(await reader.readline())
        writer.close()
        return answer


async def play(proxy, failures, chunking, peers, seeds, parallel):
    """Run the sessions of all seeds; the number of messages that got through."""
    queue, done = list(reversed(seeds)), []

    async def player():
        while queue:
            session = Session(queue.pop(), proxy, failures, chunking)
            done.append(session)
            try:
                await session.run()
            except (Failure, OSError) as failure:
                raise Failure(f"{failure!r}\n{session.report()}") from None

    await asyncio.gather(*[player() for _ in range(parallel)])
    check_stored(done, await peers.records(), peers.doubtful)
    return sum(len(s.model.stored) for s in done)
