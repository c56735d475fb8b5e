"""A backend and a filter that misbehave as each message asks for, for test_grid.py.

Real peers fail in their own time; here every fault must come at an exact phase, so both are scripted. The message says
what is to happen: its reverse-path is <b.PHASE.ACTION.f.STAGE.ACTION.TOKEN@grid.example>.
"""
import asyncio
import struct

STALL = 3600


def plan(path):
    """(backend phase, backend action, filter stage, filter action, token) of a reverse-path."""
    local = path.strip("<>").split("@")[0].split(".")
    if len(local) != 7:
        return ("none", "none", "none", "none", path)
    return (local[1], local[2], local[4], local[5], local[6])


class Peer:
    """A server of asyncio's; a session ends quietly however its client leaves."""

    def __init__(self):
        self.server = None
        self.tasks = set()

    async def start(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        return self.server.sockets[0].getsockname()[1]

    async def stop(self):
        self.server.close()
        for task in list(self.tasks):
            task.cancel()

    async def serve(self, reader, writer):
        task = asyncio.current_task()
        self.tasks.add(task)
        try:
            await self.session(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self.tasks.discard(task)
            writer.close()


class Backend(Peer):
    """Keeps what it accepted: stored[token] is a list of messages as they came, CR LF kept."""

    def __init__(self):
        super().__init__()
        self.stored = {}

    async def fault(self, writer, action):
        """Carry out the fault; True when the session goes on after it."""
        if action == "close":
            raise ConnectionError
        if action == "stall":
            await asyncio.sleep(STALL)
        text = {"421": "421 4.3.2 going away", "4yz": "450 4.2.1 grid says later", "5yz": "550 5.1.1 grid says no",
                "garbage": "\x00what is this"}[action]
        writer.write(text.encode() + b"\r\n")
        await writer.drain()
        if action == "421":
            raise ConnectionError
        return True

    async def session(self, reader, writer):
        writer.write(b"220 grid backend\r\n")
        phase, action, token = "none", "none", ""
        while True:
            line = await reader.readuntil(b"\r\n")
            verb = line[:4].upper()
            if verb in (b"EHLO", b"HELO"):
                writer.write(b"250-grid\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250 SIZE 0\r\n")
            elif verb == b"MAIL":
                path = line.split(b":", 1)[1].split()[0].decode()
                phase, action, _, _, token = plan(path)
                if phase == "mail":
                    await self.fault(writer, action)
                else:
                    writer.write(b"250 2.1.0 Ok\r\n")
            elif verb == b"RCPT":
                if phase == "rcpt":
                    await self.fault(writer, action)
                else:
                    writer.write(b"250 2.1.5 Ok\r\n")
            elif verb == b"DATA":
                if phase == "data":
                    await self.fault(writer, action)
                    if action != "garbage":
                        continue
                    raise ConnectionError
                writer.write(b"354 go on\r\n")
                await self.content(reader, writer, phase, action, token)
            elif verb in (b"RSET", b"NOOP"):
                writer.write(b"250 2.0.0 Ok\r\n")
            elif verb == b"QUIT":
                writer.write(b"221 2.0.0 Bye\r\n")
                await writer.drain()
                return
            else:
                writer.write(b"500 5.5.2 what\r\n")
            await writer.drain()

    async def content(self, reader, writer, phase, action, token):
        await writer.drain()
        if phase == "body":
            await reader.readuntil(b"\r\n")
            if action == "close":
                raise ConnectionError
            await self.fault(writer, action.replace("early-", ""))
            raise ConnectionError
        lines = []
        while True:
            line = await reader.readuntil(b"\r\n")
            if line == b".\r\n":
                break
            lines.append(line[1:] if line.startswith(b".") else line)
        if phase == "dot" and not action.startswith("store-then-"):
            await self.fault(writer, action)
            return
        self.stored.setdefault(token, []).append(b"".join(lines))
        if phase == "dot":
            await self.fault(writer, action.replace("store-then-", ""))
        writer.write(b"250 2.0.0 stored " + token.encode() + b"\r\n")


STAGES = {b"H": "helo", b"M": "mail", b"R": "rcpt", b"T": "data", b"L": "header", b"N": "eoh", b"B": "body", b"E": "eom"}


def packet(code, payload=b""):
    return struct.pack(">I", len(payload) + 1) + code + payload


class Filter(Peer):
    """A milter (version 6, every event with a reply) that does at one stage what the message asks for."""

    async def session(self, reader, writer):
        stage, action = "none", "none"
        while True:
            size = struct.unpack(">I", await reader.readexactly(4))[0]
            body = await reader.readexactly(size)
            code, payload = body[:1], body[1:]
            if code == b"O":
                writer.write(packet(b"O", struct.pack(">III", 6, 0x1FF, 0)))
            elif code in (b"D", b"A"):
                continue
            elif code == b"Q":
                return
            elif code in (b"C", b"U"):
                writer.write(packet(b"c"))
            else:
                name = STAGES[code]
                if code == b"H":
                    fields = payload.rstrip(b"\0").decode().split(".")
                    stage, action = (fields[1], fields[2]) if len(fields) > 2 else ("none", "none")
                elif code == b"M":
                    _, _, stage, action, _ = plan(payload.split(b"\0")[0].decode())
                await self.answer(writer, name, action if name == stage else "none")
            await writer.drain()

    async def answer(self, writer, stage, action):
        if stage == "eom" and action in ("none", "edits-then-close", "edits-then-garbage"):
            writer.write(packet(b"h", b"X-Grid\0edited\0"))
            if action != "none":
                await writer.drain()
        if action in ("close", "edits-then-close"):
            raise ConnectionError
        if action == "hang":
            await asyncio.sleep(STALL)
        if action == "half":
            writer.write(struct.pack(">I", 20) + b"yhalf")
            await writer.drain()
            await asyncio.sleep(STALL)
        writer.write({
            "none": packet(b"c"), "accept": packet(b"a"), "reject": packet(b"r"), "tempfail": packet(b"t"),
            "discard": packet(b"d"), "reply5": packet(b"y", b"554 5.7.1 grid filter says no\0"),
            "reply4": packet(b"y", b"451 4.7.1 grid filter says later\0"), "badreply": packet(b"y", b"250 fine\0"),
            "garbage": packet(b"?", b"what"), "edits-then-garbage": packet(b"?", b"what"),
            "hugelength": struct.pack(">I", 0x7FFFFFFF) + b"c", "zerolength": struct.pack(">I", 0) + b"c",
        }[action])
