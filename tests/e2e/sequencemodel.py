"""sequencemodel - what weir-proxy may answer to a command, and what reaches the backend: the model
that sequences.py holds against it. Letters are those of sequencepeers.py."""

import dataclasses

FILTER_CODES = {"r": 550, "t": 451, "4": 456, "5": 556, "1": 421, "S": 421}
BACKEND_CODES = {"2": 250, "m": 250, "4": 457, "5": 557, "9": 451, "3": 451, "1": 451, "x": 451,
                 "g": 451}
FAILURE = {"tempfail": 451, "reject": 550, "accept": None, "quarantine": None}


def loops(content):
    """Has it too many Received fields, as far as its header section is there? (W103)"""
    header, end, _ = content.partition(b"\r\n\r\n")
    return end and header.count(b"Received:") > 50


@dataclasses.dataclass
class Transaction:
    """One message as the client means it. filters: seven letters for each; backend: three."""
    token: str
    filters: list
    backend: str
    recipients: list = dataclasses.field(default_factory=list)  # those answered 250
    discard: bool = False
    broken: int = 0  # the backend's code for all that is left
    begun: bool = False
    replayed: bool = False
    content: bytes = b""
    protocol: str = ""
    asked: int = 0  # recipients so far, for their names

    @property
    def path(self):
        return f"{self.token}_{'.'.join(self.filters)}_{self.backend}@client.test"


@dataclasses.dataclass
class Recipient:
    path: str
    filters: list
    backend: str


class FilterModel:
    """What one filter says. An answer is None for "go on", "d" for discard, or a code."""

    def __init__(self, which, on_failure, connect):
        self.which, self.on_failure, self.connect, self.helo = which, on_failure, connect, None
        self.open = self.connect_told = self.helo_told = self.excused = False
        self.refused = None
        self.reset()

    def reset(self):
        self.in_transaction = self.in_content = self.failed = self.no_more = False
        self.verdict = "none"
        self.first, self.edits = None, ""

    def disconnect(self):
        self.open = self.connect_told = self.helo_told = self.in_content = False

    def fail(self, mail):
        self.disconnect()
        self.failed = self.in_transaction or mail
        self.in_transaction = False
        return FAILURE[self.on_failure] if self.failed else None

    def quit(self):
        self.reset()
        self.disconnect()
        self.excused = True

    def judge(self, verdict):
        self.in_transaction = self.in_content = False
        self.verdict = verdict
        return verdict

    def known(self, event):
        """(True, the answer) where nobody need be asked."""
        if self.refused:
            return True, self.refused
        if self.excused:
            return True, None
        if event == "M":
            return False, None
        if event in "CHU":
            return not self.open or (event == "U" and self.in_content), None
        if self.failed:
            return True, FAILURE[self.on_failure]
        if self.verdict != "none":
            return True, self.verdict
        return not self.in_transaction, None

    def session(self, letter, mail):
        """The answer at CONNECT or HELO, or "on"."""
        if letter == "a":
            self.disconnect()
            self.excused = True
            return None
        if letter in FILTER_CODES:
            self.disconnect()
            self.refused = FILTER_CODES[letter]
            return self.refused
        if letter in "xg":
            return self.fail(mail)
        return "on"

    def ask(self, event, letters):
        """letters: of the event; seven of them for the end of the message (E)."""
        if event == "M":
            self.reset()
        if event == "H":
            self.helo, self.helo_told = letters, False
        done, answer = self.known(event)
        if done:
            return answer
        self.open = True
        if not self.connect_told:
            self.connect_told = True
            answer = self.session(self.connect, event == "M")
            if event == "C" or answer != "on":
                return None if answer == "on" else answer
        if not self.helo_told:
            self.helo_told = True
            answer = self.session(self.helo, event == "M")
            if event == "H" or answer != "on":
                return None if answer == "on" else answer
        if event in "RU":
            return self.single(event, letters)
        self.in_transaction = True
        self.in_content |= event == "T"
        return self.end(letters) if event == "E" else self.message(letters)

    def single(self, event, letter):
        if event == "R" and self.no_more:
            return None
        if letter in "xg":
            answer = self.fail(False)
            return answer if event == "R" else None
        if letter == "a" and self.in_transaction:
            return self.judge(None)
        self.no_more |= letter == "s" and event == "R"
        return "d" if letter == "d" and event == "R" else FILTER_CODES.get(letter)

    def message(self, letter):
        if letter in "xg":
            return self.fail(False)
        if letter in FILTER_CODES or letter == "d":
            return self.judge("d" if letter == "d" else FILTER_CODES[letter])
        return self.judge(None) if letter == "a" else None

    def end(self, letters):
        """Header, end of header, body and end, one after the other; a blank stands for an event
        that does not come."""
        for letter in letters[2:6].replace(" ", ""):
            answer = self.message(letter)
            if not self.in_transaction:
                return answer
        return self.judge(None)

    def wants_edit(self, letters):
        """Did it come as far as its own end of message, and was content?"""
        return all(letter in "csp " for letter in letters[2:5]) and letters[5] in "casp"


@dataclasses.dataclass
class Chunks:
    """A sequence of BDAT."""
    announced: int = 0
    failed: bool = False


class Model:
    """The session. run(step, more) gives the codes that may come, and takes the state on. limit:
    of a message's octets. chunking: the backend takes BDAT."""

    def __init__(self, failures, connect, limit, chunking):
        self.failures, self.limit, self.chunking = failures, limit, chunking
        self.closing, self.secure = False, False
        self.stored = []  # (transaction, recipients, edits) of what the backend has
        self.begin(connect)

    def begin(self, connect):
        """A new client."""
        self.filters = [FilterModel(i, f, connect[i]) for i, f in enumerate(self.failures)]
        self.state, self.esmtp, self.introduced, self.offered = "START", True, False, False
        self.refusal = None   # said at MAIL, of a filter at CONNECT or HELO
        self.sticky = None    # the chain's: answers every question
        self.login, self.expecting = False, False
        self.tx, self.chunks = None, None

    # -- the chain --

    def ask(self, event, letters):
        """letters: one text for each filter. None, "d" or a code."""
        if self.sticky:
            return self.sticky
        answer = None
        for f, mine in zip(self.filters, letters):
            answer = f.ask(event, mine)
            if answer is not None:
                break
        if answer is not None and event in "CH":
            self.sticky = answer
            for f in self.filters:
                f.quit()
        elif answer is not None and event != "U" and (event != "R" or answer in ("d", 421)):
            self.over()
        if event == "E":
            self.over()
        return answer

    def over(self):
        for f in self.filters:
            f.reset()

    def reset(self):
        self.over()
        self.tx = self.chunks = None
        if self.state != "START":
            self.state = "READY"

    def say(self, code, close=False):
        self.closing |= close or code in (421, 521)
        return {code}

    # -- commands --

    def run(self, step, more):
        """more: input waits behind it."""
        if step.last and more:
            return self.say(554, True)
        more = more or step.content
        if step.verb and self.state != "START" and not self.esmtp and more and step.kind != "quit":
            return self.say(554, True)
        return getattr(self, step.kind)(step)

    def fixed(self, step):
        return self.say(step.code, step.close)

    def rset(self, _):
        self.reset()
        return self.say(250)

    def quit(self, _):
        return self.say(221, True)

    def unknown(self, step):
        answer = self.ask("U", step.letters) if self.introduced and self.filters else None
        return self.say(answer if answer not in (None, "d") else 500)

    def hello(self, step):
        self.reset()
        self.esmtp = step.line[:4].upper() == b"EHLO"
        answer = None
        if self.filters and not self.introduced:
            self.introduced = True
            for f in self.filters:
                f.open = True
            answer = self.ask("C", [None] * len(self.filters))
        if self.filters and answer is None:
            answer = self.ask("H", step.letters)
        self.refusal = answer
        self.offered = self.esmtp and answer is None
        self.state = "READY"
        return self.say(421 if answer == 421 else 250)

    def starttls(self, step):
        if self.secure:
            return self.say(554)
        if b" " in step.line:
            return self.say(501)
        if self.state not in ("START", "READY"):
            return self.say(503)
        if self.refusal is not None:
            return self.say(454)
        self.secure, self.state, self.esmtp, self.offered = True, "START", True, False
        self.login = False
        return self.say(220)

    def xclient(self, step):
        if self.tx is not None:
            return self.say(503)
        self.begin(step.letters)
        return self.say(220)

    def auth(self, step):
        if self.state != "READY" or not self.esmtp or self.login:
            return self.say(503)
        return self.say(454) if self.refusal is not None else self.response(step)

    def response(self, step):
        self.login, self.expecting = step.code == 235, step.code == 334
        return self.say(step.code)

    def mail(self, step):
        if self.state != "READY":
            return self.say(503)
        if self.refusal is not None:
            return self.say(self.refusal)
        if step.code or (step.plain_code and not self.esmtp):
            return self.say(step.code or step.plain_code)
        answer = self.ask("M", [f[0] for f in step.tx.filters])
        if answer not in (None, "d"):
            self.over()
            return self.say(answer)
        self.tx, self.state = step.tx, "MAIL"
        self.tx.discard = answer == "d"
        self.tx.protocol = self.protocol(b"SMTPUTF8" in step.line)
        return self.say(250)

    def protocol(self, utf8):
        """Of the Received field (RFC 3848, RFC 6531)."""
        if not self.esmtp:
            return "SMTP"
        return ("UTF8SMTP" if utf8 else "ESMTP") + "S" * self.secure + "A" * self.login

    def rcpt(self, step):
        if self.state not in ("MAIL", "RCPT"):
            return self.say(503)
        if step.code:
            return self.say(step.code)
        answer = self.ask_rcpt(step)
        if answer not in (None, "d"):
            return self.say(answer)
        self.tx.discard |= answer == "d"
        if self.tx.discard:
            self.state = "RCPT"
            return self.say(250)
        code = self.backend_rcpt(step.to)
        if code == 250:
            self.state = "RCPT"
            self.tx.recipients.append(step.to.path)
        return self.say(code)

    def ask_rcpt(self, step):
        if self.sticky:
            return self.sticky
        answer = None
        for f, letter in zip(self.filters, step.to.filters):
            if f.in_transaction and not f.no_more and f.first is None and letter != "x":
                f.first = step.to.path
            answer = f.ask("R", letter)
            if answer is not None:
                break
        if answer in ("d", 421):
            self.over()
        return answer

    def data(self, step):
        if self.state == "BDAT":
            return self.say(503)
        if step.code:
            return self.say(step.code)
        if self.state == "MAIL":
            return self.say(554)
        if self.state != "RCPT":
            return self.say(503)
        refusal = self.ask_data()
        if refusal:
            self.reset()
            return self.say(refusal)
        self.state = "DATA"
        return self.say(354)

    def ask_data(self):
        """The code of a refusal, or None."""
        if self.tx.discard:
            return None
        answer = self.ask("T", [f[1] for f in self.tx.filters])
        if answer == "d":
            self.tx.discard = True
            return None
        return answer

    # -- BDAT --

    def bdat(self, step):
        size = len(step.content)
        if not self.offered or step.code == 521:
            return self.say(521)
        if self.chunks is None:
            self.chunks = Chunks()
        self.chunks.announced += size
        if self.chunks.announced > self.limit * 3 // 2:
            return self.say(552, True)
        if self.chunks.failed:
            return self.chunk_over(551, step)
        refusal = self.chunk_refused(step, size)
        if refusal:
            return self.chunk_failed(refusal, step)
        self.tx.content += step.content
        if not step.final:
            self.state = "BDAT"
            return self.chunk_failed(554, step) if loops(self.tx.content) else self.say(250)
        return self.content(step)

    def chunk_refused(self, step, size):
        if self.state == "MAIL":
            return 554
        if self.state not in ("RCPT", "BDAT"):
            return 503
        if size == 0 and not step.final:
            return 551
        if size > self.limit:
            return 552
        return self.ask_data() if self.state == "RCPT" else None

    def chunk_failed(self, code, step):
        chunks = self.chunks
        self.reset()
        self.chunks, chunks.failed = chunks, True
        return self.chunk_over(code, step)

    def chunk_over(self, code, step):
        self.state = "READY" if step.final else "BDAT"
        if step.final:
            self.chunks = None
        return self.say(code)

    # -- the backend --

    def once(self, letter):
        """What "o" comes to: the one second chance of a transaction."""
        if letter != "o":
            return letter
        fresh, self.tx.replayed = not self.tx.replayed, True
        return "2" if fresh else "x"

    def backend_rcpt(self, to):
        tx = self.tx
        if not tx.broken and not tx.begun:
            tx.begun = True
            letter = self.once(tx.backend[0])
            if letter not in "2m":
                tx.broken = BACKEND_CODES[letter]
        if tx.broken:
            return tx.broken
        letter = self.once(to.backend)
        if letter in "1xg":
            tx.broken = 451
        return BACKEND_CODES[letter]

    def content(self, step):
        """The end of the content: the final reply."""
        if step.kind == "content":
            self.tx.content = step.content
        codes = self.verdict(step)
        self.reset()
        for code in codes:
            self.say(code)
        return codes

    def verdict(self, step):
        tx = self.tx
        if step.code or loops(tx.content):
            return {step.code or 554}
        if tx.discard:
            return {250}
        recipients, edits = list(tx.recipients), ""
        if self.filters:
            answer = None
            header, _, body = tx.content.partition(b"\r\n\r\n")
            for f, letters in zip(self.filters, tx.filters):
                letters = letters[:2] + (letters[2] if header or "h" in edits else " ") + \
                    letters[3] + (letters[4] if body or "b" in edits else " ") + letters[5:]
                at_end = f.in_transaction and not self.sticky
                first = f.first
                answer = self.sticky or f.ask("E", letters)
                if answer is not None:
                    break
                if at_end and f.wants_edit(letters):
                    edits += letters[6]
                    if letters[6] in "+P":
                        recipients.append(f"{tx.token}r9{f.which}_{'.'.join(tx.filters)}_"
                                          f"{'25'[letters[6] == 'P']}@mx.test")
                    if letters[6] == "D" and first in recipients:
                        recipients.remove(first)
            self.over()
            if answer == "d" or (answer is None and not recipients):
                return {250}
            if answer is not None:
                return {answer}
        return self.send(recipients, edits)

    def send(self, recipients, edits):
        tx = self.tx
        if tx.broken:
            return {tx.broken}
        if "P" in edits:
            return {557}
        if not self.chunking:
            letter = self.once(tx.backend[1])
            if letter not in "2m":
                return {BACKEND_CODES[letter]}
        letter = tx.backend[2]
        if letter in "2mw":
            self.stored.append((tx, recipients, edits))
        return {451} if letter in "wo" else {BACKEND_CODES[letter]}
