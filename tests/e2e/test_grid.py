"""The invariant, over every pair of a backend's and a filter's fault:

A 250 at the end of data means exactly one stored message with the expected bytes. Without a 250 there is none, save
where the backend's life ended between its acceptance and its answer (W91). Never two copies.
"""
import asyncio
import itertools
import re

import pytest

from gridpeers import Backend, Filter
from proxylib import Proxy

BACKEND = [("none", "none")] + [(p, a) for p in ("mail", "rcpt", "data") for a in ("4yz", "5yz", "421", "close", "stall", "garbage")] + [
    ("body", "close"), ("body", "early-4yz"), ("body", "early-5yz")] + [
    ("dot", a) for a in ("4yz", "5yz", "421", "close", "stall", "garbage", "store-then-close", "store-then-stall")]
FILTER = [("none", "none")] + [(s, a) for s in ("mail", "rcpt", "data", "header", "eoh", "body", "eom") for a in (
    "hang", "close", "half", "garbage", "hugelength", "zerolength", "badreply", "reject", "reply4", "accept")] + [
    ("mail", "discard"), ("eom", "discard"), ("eom", "edits-then-close"), ("eom", "edits-then-garbage")] + [
    ("helo", a) for a in ("hang", "close", "garbage", "reject", "reply4", "accept")]
FAULTS = {"hang", "close", "half", "garbage", "hugelength", "zerolength", "badreply", "edits-then-close", "edits-then-garbage"}
AT_ONCE = 120

BODY = b"From: a@grid.example\r\nSubject: grid\r\n\r\nfirst line\r\n.a line with a dot\r\n..two\r\nlast line\r\n"


class Client:
    def __init__(self, port):
        self.port = port

    async def reply(self):
        while True:
            line = await asyncio.wait_for(self.reader.readuntil(b"\r\n"), 30)
            if line[3:4] != b"-":
                return line.decode("utf-8", "replace").rstrip("\r\n")

    async def ask(self, line):
        self.writer.write(line + b"\r\n")
        return await self.reply()

    async def deliver(self, b, f, token):
        """The last reply: to the dot, or to the command that ended it."""
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            said = await self.reply()
            if said.startswith("220"):
                said = await self.ask(b"EHLO f.%s.%s.example" % (f[0].encode(), f[1].encode()))
            path = "b.%s.%s.f.%s.%s.%s@grid.example" % (*b, *f, token)
            for command in ("MAIL FROM:<%s>" % path, "RCPT TO:<r@grid.example>", "DATA"):
                if said[0] not in "2":
                    return said
                said = await self.ask(command.encode())
            if not said.startswith("354"):
                return said
            self.writer.write(BODY.replace(b"\r\n.", b"\r\n..") + b".\r\n")
            return await self.reply()
        except (asyncio.IncompleteReadError, ConnectionError):
            return "closed without a reply"
        finally:
            self.writer.close()


def expected_body(edited):
    head, body = BODY.split(b"\r\n\r\n", 1)
    return head + (b"\r\nX-Grid: edited" if edited else b"") + b"\r\n\r\n" + body


def without_received(message):
    return re.sub(rb"^Received:.*?\r\n(?![ \t])", b"", message, count=1, flags=re.S)


async def run(tmp_path, on_failure, backend_faults=BACKEND, filter_faults=FILTER):
    backend, filter_ = Backend(), Filter()
    backend_port, filter_port = await backend.start(), await filter_.start()
    proxy = await asyncio.to_thread(Proxy, tmp_path, "127.0.0.1:%d" % backend_port, filters=[
        {"name": "grid", "socket": "inet:127.0.0.1:%d" % filter_port, "on_failure": on_failure,
         "connect_timeout_s": 2, "command_timeout_s": 1, "content_timeout_s": 1, "total_timeout_s": 2}],
        limits={"sessions_per_client": 1000}, timeouts={"backend_reply_s": 1, "backend_data_s": 1, "connect_s": 2})
    gate = asyncio.Semaphore(AT_ONCE)
    outcome = {}

    async def one(number, b, f):
        async with gate:
            outcome[(b, f)] = await Client(proxy.port).deliver(b, f, "t%d" % number), "t%d" % number

    try:
        await asyncio.gather(*(one(n, b, f) for n, (b, f) in enumerate(itertools.product(backend_faults, filter_faults))))
    finally:
        await asyncio.to_thread(proxy.stop)
        await backend.stop()
        await filter_.stop()
    return outcome, backend.stored


@pytest.mark.parametrize("on_failure", ["tempfail", "accept", "reject"])
def test_a_250_means_exactly_one_stored_message(tmp_path, on_failure):
    outcome, stored = asyncio.run(run(tmp_path, on_failure))
    wrong = []
    for (b, f), (said, token) in outcome.items():
        copies = stored.get(token, [])
        edited = f[1] not in FAULTS and f[1] != "accept"
        doubt = b[0] == "dot" and b[1].startswith("store-then-")
        discard = f[1] == "discard"
        good = said[:1] in "245" and len(copies) <= 1
        if said.startswith("250") and not discard:
            good &= len(copies) == 1 and without_received(copies[0]) == expected_body(edited)
        elif not doubt:
            good &= not copies
        if not good:
            wrong.append("%s %s: %r, %d stored" % (b, f, said, len(copies)))
    assert not wrong, "%d of %d:\n%s" % (len(wrong), len(outcome), "\n".join(wrong[:20]))
    assert len(outcome) == len(BACKEND) * len(FILTER)


FILTER_ALONE = {"reject": "550 5.7.1", "reply4": "451 4.7.1 grid filter says later", "accept": "250", "discard": "250", "none": "250"}
BACKEND_ALONE = {"4yz": "450 4.2.1 grid says later", "5yz": "550 5.1.1 grid says no", "early-4yz": "450 4.2.1", "early-5yz": "550 5.1.1",
                 "421": "451 4.3.2", "close": "451 4.4.2", "stall": "451 4.4.2", "garbage": "451 4.",
                 "store-then-close": "451 4.4.2", "store-then-stall": "451 4.4.2", "none": "250"}
ON_FAILURE = {"tempfail": "451 4.7.1", "accept": "250", "reject": "550 5.7.1"}


@pytest.mark.parametrize("on_failure", ["tempfail", "accept", "reject"])
def test_one_fault_alone_has_its_own_reply(tmp_path, on_failure):
    """W76, W81-W91: the failure map, and on_failure for the filter."""
    outcome, _ = asyncio.run(run_alone(tmp_path, on_failure))
    wrong = []
    for (b, f), (said, _) in outcome.items():
        if f == ("none", "none"):
            expected = BACKEND_ALONE[b[1]]
        elif f[1] in FAULTS:
            expected = ON_FAILURE[on_failure]
        else:
            expected = FILTER_ALONE[f[1]]
        if not said.startswith(expected):
            wrong.append("%s %s: %r, not %r" % (b, f, said, expected))
    assert not wrong, "\n".join(wrong)


async def run_alone(tmp_path, on_failure):
    alone = [("none", "none")]
    filters, stored = await run(tmp_path / "f", on_failure, backend_faults=alone)
    backends, more = await run(tmp_path / "b", on_failure, filter_faults=alone)
    return {**filters, **backends}, {**stored, **more}
