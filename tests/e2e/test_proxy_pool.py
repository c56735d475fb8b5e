"""weir-proxy's kept backend connections: they outlive the sessions, and no session notices (W82, W94)."""

import socket
import threading
import time

from proxylib import Proxy, Script
from sinklib import Sink

CONTENT = b"Subject: x\r\n\r\nbody\r\n"


def wait_until(condition, seconds=10):
    """What condition says, as soon as it says something."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return value


def deliver(proxy, content=CONTENT):
    """One message in a session of its own; the reply after the dot."""
    with proxy.client() as client:
        client.hello()
        answer = client.message(content)
        assert client.ask(b"QUIT").startswith(b"221")
        return answer


def ours(backend):
    """The lines of each connection after the probe's."""
    return backend.lines[1:]


def test_w94_a_connection_outlives_its_session(tmp_path):
    with Script() as backend, Proxy(tmp_path, backend.address).probed() as proxy:
        for _ in range(5):
            assert deliver(proxy).startswith(b"250")
        assert len(ours(backend)) == 1
        assert ours(backend)[0].count(b"MAIL FROM:<a@client.test>") == 5
        # After a final reply to the dot there is nothing to reset, and QUIT is the client's only.
        assert b"RSET" not in ours(backend)[0]
        assert b"QUIT" not in ours(backend)[0]


def test_an_open_session_shares_its_connection(tmp_path):
    with Script() as backend, Proxy(tmp_path, backend.address).probed() as proxy, \
            proxy.client() as one, proxy.client() as other:
        for client in (one, other, one, other):
            client.hello()
            assert client.message().startswith(b"250")
        assert len(ours(backend)) == 1


def test_transactions_at_once_do_not_mix(tmp_path):
    """20 clients, 10 messages each: every message arrives once, whole, with its own envelope."""
    sent, failures = {}, []

    def run(n):
        try:
            with proxy.client() as client:
                client.hello()
                for k in range(10):
                    mark = b"%d-%d" % (n, k)
                    body = b"Subject: %s\r\n\r\n" % mark + mark * (1 + 997 * k) + b"\r\n"
                    sent[mark] = body
                    client.ask(b"MAIL FROM:<s%s@x>" % mark)
                    client.ask(b"RCPT TO:<r%s@x>" % mark)
                    if k % 4 == 3:  # given up, at every stage that a client may
                        assert client.ask(b"RSET").startswith(b"250")
                        del sent[mark]
                    else:
                        assert client.data(body).startswith(b"250")
        except Exception as trouble:  # pylint: disable=broad-except
            failures.append(trouble)

    with Sink(tmp_path / "mail") as sink, Proxy(tmp_path / "p", sink.address) as proxy:
        threads = [threading.Thread(target=run, args=(n,)) for n in range(20)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert failures == []
        arrived = {}
        for m in sink.messages():
            mark = m.reverse_path[1:-2].encode()
            assert m.recipients == [f"r{mark.decode()}@x"]
            arrived[mark] = m
        assert arrived.keys() == sent.keys()
        for mark, m in arrived.items():
            assert m.content.endswith(sent[mark])


def test_reset_of_an_open_transaction(tmp_path):
    """The backend hears RSET when the client gives a transaction up; the connection goes on."""
    for end in (b"RSET", b"EHLO client.test", b"QUIT"):
        with Script() as backend, Proxy(tmp_path / end[:4].decode(), backend.address).probed() \
                as proxy:
            with proxy.client() as client:
                client.envelope()
                client.ask(end)
            wait_until(lambda: b"RSET" in ours(backend)[0])
            assert deliver(proxy).startswith(b"250")
            assert len(ours(backend)) == 1
            assert ours(backend)[0].count(b"RSET") == 1


def test_reset_refused(tmp_path):
    """A backend that refuses RSET is asked on a new connection, whether it says so while the
    connection waits or behind its back."""
    with Script(RSET=b"500 never\r\n") as backend, \
            Proxy(tmp_path, backend.address).probed() as proxy, proxy.client() as client:
        for _ in range(3):
            client.envelope()
            client.send(b"RSET\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nDATA\r\n")
            assert client.codes(4) == [250, 250, 250, 354]
            client.send(CONTENT + b".\r\n")
            assert client.reply().startswith(b"250")
        assert len(backend.contents) == 3


class Talker(Script):
    """A backend whose connections can be spoken on, or shut, from outside."""

    def __init__(self, **answers):
        self.sockets = []
        super().__init__(**answers)

    def _talk(self, connection, file, lines):
        self.sockets.append(connection)
        super()._talk(connection, file, lines)


def test_w76_a_connection_told_to_go_while_it_waits(tmp_path):
    """421 to a connection nobody uses: it is dropped at once, and the next message has a new one."""
    with Talker() as backend, Proxy(tmp_path, backend.address).probed() as proxy:
        assert deliver(proxy).startswith(b"250")
        backend.sockets[-1].sendall(b"421 4.4.2 idle for too long\r\n")
        proxy.wait_for_log("kept_connection_lost .*unasked")
        assert deliver(proxy).startswith(b"250")
        assert len(ours(backend)) == 2


def test_a_connection_closed_while_it_waits(tmp_path):
    with Talker() as backend, Proxy(tmp_path, backend.address).probed() as proxy:
        assert deliver(proxy).startswith(b"250")
        backend.sockets[-1].shutdown(socket.SHUT_RDWR)
        proxy.wait_for_log("kept_connection_lost .*closed")
        assert deliver(proxy).startswith(b"250")
        assert len(ours(backend)) == 2


def test_w82_backend_restarts(tmp_path):
    with Sink(tmp_path / "mail") as sink, Proxy(tmp_path / "p", sink.address) as proxy:
        for n in range(1, 4):
            assert deliver(proxy).startswith(b"250")
            address = sink.address
            sink.stop()
            sink.__init__(tmp_path / "mail", listen=address)
            assert len(sink.names()) == n
        assert deliver(proxy).startswith(b"250")


def test_w82_many_stale_connections(tmp_path):
    """Ten connections wait, and all of them end at the next MAIL: no message minds."""
    stale, old = threading.Event(), set()

    class Mute(Script):
        def _answer(self, verb):
            if verb == "MAIL" and stale.is_set() and threading.current_thread() in old:
                return None
            return super()._answer(verb)

        def _serve(self, connection, lines):
            if not stale.is_set():
                old.add(threading.current_thread())
            super()._serve(connection, lines)

    with Mute() as backend, Proxy(tmp_path, backend.address).probed() as proxy:
        clients = [proxy.client() for _ in range(10)]
        for client in clients:
            client.envelope()
        for client in clients:
            assert client.data().startswith(b"250")
            client.close()
        stale.set()
        for _ in range(12):
            assert deliver(proxy).startswith(b"250")
        assert len(backend.contents) == 22


class Gated(Script):
    """A backend that answers one verb only when the gate is open."""

    def __init__(self, verb, **answers):
        self.verb, self.gate = verb, threading.Event()
        super().__init__(**answers)

    def _answer(self, verb):
        if verb == self.verb:
            self.gate.wait(10)
        return super()._answer(verb)


def test_mail_follows_a_reset_without_waiting(tmp_path):
    """A connection whose RSET is unanswered is taken all the same."""
    with Gated("RSET") as backend, Proxy(tmp_path, backend.address).probed() as proxy, \
            proxy.client() as client:
        client.envelope()
        client.ask(b"RSET")
        client.ask(b"MAIL FROM:<late@x>")
        client.send(b"RCPT TO:<b@x>\r\n")
        wait_until(lambda: b"RSET" in ours(backend)[0])
        backend.gate.set()
        assert client.reply().startswith(b"250")
        assert client.data().startswith(b"250")
        assert len(ours(backend)) == 1


def test_w88_the_client_goes_while_the_backend_is_asked(tmp_path):
    """A connection with an answer under way is closed, for nobody knows when it will come."""
    with Gated("RCPT") as backend, Proxy(tmp_path, backend.address).probed() as proxy:
        client = proxy.client()
        client.hello()
        client.ask(b"MAIL FROM:<a@x>")
        client.send(b"RCPT TO:<b@x>\r\n")
        wait_until(lambda: b"RCPT TO:<b@x>" in backend.all_lines())
        client.close()
        proxy.wait_for_log("session_end")
        backend.gate.set()
        assert deliver(proxy).startswith(b"250")
        assert len(ours(backend)) == 2


def test_w88_the_client_goes_in_its_mail_data(tmp_path):
    """The backend has seen nothing of it yet: RSET is enough."""
    with Script() as backend, Proxy(tmp_path, backend.address).probed() as proxy:
        with proxy.client() as client:
            client.envelope()
            client.ask(b"DATA")
            client.send(b"Subject: half\r\n\r\nof a mess")
        wait_until(lambda: b"RSET" in ours(backend)[0])
        assert deliver(proxy).startswith(b"250")
        assert len(ours(backend)) == 1
        assert len(backend.contents) == 1


def test_w88_the_client_goes_while_its_message_is_sent(tmp_path):
    """A connection in the middle of mail data is closed without the dot, and nobody's again."""
    with Script() as backend, Proxy(tmp_path, backend.address).probed() as proxy:
        gate = threading.Event()
        backend.before_content = gate.wait
        client = proxy.client()
        client.envelope()
        assert client.ask(b"DATA").startswith(b"354")
        client.send(b"Subject: x\r\n\r\n" + (b"x" * 70 + b"\r\n") * 280000 + b".\r\n")
        wait_until(lambda: b"DATA" in ours(backend)[0])
        client.close()
        proxy.wait_for_log("session_end")
        gate.set()
        assert deliver(proxy).startswith(b"250")
        assert len(ours(backend)) == 2
        assert len(backend.contents) == 1


def test_keep_settings(tmp_path):
    with Script() as backend, Proxy(tmp_path / "none", backend.address, backends={
            "default": {"keep": {"connections": 0}}}).probed() as proxy:
        assert [deliver(proxy)[:3] for _ in range(3)] == [b"250"] * 3
        assert len(ours(backend)) == 3
        wait_until(lambda: all(c[-1] == b"QUIT" for c in ours(backend)))
    with Script() as backend, Proxy(tmp_path / "few", backend.address, backends={
            "default": {"keep": {"messages": 2}}}).probed() as proxy:
        assert [deliver(proxy)[:3] for _ in range(4)] == [b"250"] * 4
        assert len(ours(backend)) == 2
        wait_until(lambda: all(c[-1] == b"QUIT" for c in ours(backend)))
    with Script() as backend, Proxy(tmp_path / "short", backend.address, backends={
            "default": {"keep": {"idle_s": 1}}}).probed() as proxy:
        assert deliver(proxy).startswith(b"250")
        wait_until(lambda: ours(backend)[0][-1] == b"QUIT")
        assert deliver(proxy).startswith(b"250")
        assert len(ours(backend)) == 2


def test_w112_a_kept_connection_that_cannot_take_the_message(tmp_path):
    """It stays with the transaction, without a command; the time that it may wait for one is over for nobody."""
    poor = Script.DEFAULT["EHLO"].replace(b"250-8BITMIME\r\n", b"")
    with Script(EHLO=[Script.DEFAULT["EHLO"], poor]) as backend, \
            Proxy(tmp_path, backend.address, backends={"default": {"keep": {"idle_s": 1}}}).probed() as proxy, \
            proxy.client() as client:
        client.hello()  # as long as the backend offers 8BITMIME
        assert deliver(proxy).startswith(b"250")
        assert client.ask(b"MAIL FROM:<a@x> BODY=8BITMIME").startswith(b"250")
        assert client.ask(b"RCPT TO:<b@x>").startswith(b"554 5.6.3")
        late = time.monotonic() + 1.3
        while time.monotonic() < late:
            time.sleep(0.1)
            assert client.ask(b"NOOP").startswith(b"250")


def test_a_reply_too_many_is_not_the_next_transactions(tmp_path):
    """A backend that answers twice is left: else each reply would be taken for that to the command behind, and the
    one to RCPT for the word that the next message was taken."""
    group = b"MAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nBDAT %d LAST\r\n" % len(CONTENT) + CONTENT
    for more in (b"250 2.0.0 taken\r\n", b"250 2.0"):
        answers = {**Script.CHUNKING, "DOT": [b"250 2.0.0 taken\r\n" + more, b"550 5.7.1 no\r\n"]}
        with Script(**answers) as backend, Proxy(tmp_path / str(len(more)), backend.address).probed() as proxy, \
                proxy.client() as client:
            client.hello()
            client.send(group * 2)
            replies = client.replies(6)
            assert [reply[:3] for reply in replies] == [b"250"] * 5 + [b"550"]
            assert len(ours(backend)) == 2


def test_a_reply_too_many_to_the_greeting(tmp_path):
    """The same before the first command: such a server is none."""
    group = b"MAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nBDAT %d LAST\r\n" % len(CONTENT) + CONTENT
    twice = Script.CHUNKING["EHLO"] + b"250 2.0.0 ok\r\n"
    with Script(EHLO=[Script.CHUNKING["EHLO"], twice], DOT=b"550 5.7.1 no\r\n") as backend, \
            Proxy(tmp_path, backend.address).probed() as proxy, proxy.client() as client:
        client.hello()
        client.send(group)
        assert [reply[:3] for reply in client.replies(3)] == [b"250", b"451", b"554"]


def test_no_more_wait_than_allowed(tmp_path):
    with Script() as backend, Proxy(tmp_path, backend.address, backends={
            "default": {"keep": {"connections": 2}}}).probed() as proxy:
        clients = [proxy.client() for _ in range(5)]
        for client in clients:
            client.envelope()
        for client in clients:
            assert client.data().startswith(b"250")
        wait_until(lambda: sum(c[-1] == b"QUIT" for c in ours(backend)) == 3)
        for client in clients:
            client.close()


def test_the_preferred_server_is_asked_again(tmp_path):
    """Connections to the second server that wait do not keep the first from being used."""
    with Sink(tmp_path / "second") as second:
        with Sink(tmp_path / "first") as first:
            address = first.address
        with Proxy(tmp_path / "p", address, second.address) as proxy:
            assert deliver(proxy).startswith(b"250")
            assert len(second.names()) == 1
            with Sink(tmp_path / "first", listen=address) as first:
                wait_until(lambda: deliver(proxy).startswith(b"250") and first.names())


def test_a_stop_says_quit(tmp_path):
    with Script() as backend:
        with Proxy(tmp_path, backend.address).probed() as proxy:
            assert deliver(proxy).startswith(b"250")
        wait_until(lambda: ours(backend)[0][-1] == b"QUIT")
