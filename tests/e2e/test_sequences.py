"""Random command sequences against weir-proxy, with filters and a backend that misbehave at random:
W70-W75 after each final reply, W52 and W53 of every reply, one reply for each command in order, and
what the backend has is what was answered 250. Each number is a session that is always the same.
    WEIR_SEQUENCES=50000        so many sessions of each kind instead
    WEIR_SEQUENCES_FROM=7       beginning with that number: with WEIR_SEQUENCES=1 a single one"""

import asyncio
import os
import time

import pytest

from authlib import AuthScript
from proxylib import Certificate, Proxy
from sequences import LIMIT, Peers, play

COUNT = int(os.environ.get("WEIR_SEQUENCES", "400"))
FIRST = int(os.environ.get("WEIR_SEQUENCES_FROM", "1"))
BATCH, PARALLEL = 500, 4
# on_failure of each filter, and whether the backend takes BDAT.
KINDS = {"no filter": ([], True), "one filter": (["tempfail"], True),
         "two filters": (["reject", "accept"], False)}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return Certificate(tmp_path_factory.mktemp("certificate"))


def ready(proxy):
    """Wait until the proxy knows what the backend can do."""
    deadline = time.monotonic() + 20
    while True:
        with proxy.client() as client:
            if b"SMTPUTF8" in client.hello():
                return
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("kind", KINDS)
def test_w52_w53_w70_to_w75_sequences(tmp_path, certificate, kind):
    failures, chunking = KINDS[kind]
    with Peers() as peers, AuthScript(tmp_path / "auth") as auth:
        filters = [{"name": f"f{n}", "socket": f"inet:127.0.0.1:{peers.ports[3 + n]}",
                    "on_failure": failure} for n, failure in enumerate(failures)]
        limits = {"message_bytes": LIMIT, "header_bytes": LIMIT, "errors_soft": 1000000,
                  "errors_hard": 1000000, "junk_commands": 1000000, "auth_failures": 0}
        listen = [{"address": "127.0.0.1:0", "tls": "offer",
                   "certificates": [certificate.settings], "xclient": {"from": ["127.0.0.0/8"]},
                   "auth": "dovecot:" + auth.path, "auth_plaintext": True}]
        with Proxy(tmp_path, f"127.0.0.1:{peers.ports[1 + chunking]}", filters=filters,
                   limits=limits, listen=listen, timeouts={"auth_delay_ms": 0},
                   log={"level": "info"}) as proxy:
            ready(proxy)
            stored = 0
            for n in range(FIRST, FIRST + COUNT, BATCH):
                seeds = list(range(n, min(n + BATCH, FIRST + COUNT)))
                stored += asyncio.run(play((proxy.host, proxy.port), failures, chunking, peers,
                                           seeds, PARALLEL))
            assert stored > COUNT // 4 or COUNT < 10
