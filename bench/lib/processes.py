"""Processes that are measured: started, asked what they cost, and ended with all that descends from them."""

import ctypes
import os
import re
import resource
import signal
import socket
import subprocess
import threading
import time

PR_SET_PDEATHSIG = 1  # linux/prctl.h
TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")


def cpu_clock(pid):
    """The clock of a process's CPU time, all its threads counted, in nanoseconds (clock_getcpuclockid(3))."""
    return (~pid << 3) | 2


class Tree:
    """A process and its descendants."""

    def __init__(self, root):
        self.root = root

    def stats(self):
        """pid -> (parent, CPU ms of its children that ended), of the whole tree."""
        table = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/stat", "rb") as file:
                    fields = file.read().rpartition(b")")[2].split()
            except OSError:
                continue
            table[int(pid)] = int(fields[1]), (int(fields[13]) + int(fields[14])) * TICK_MS
        found, size = {self.root} & set(table), -1
        while len(found) != size:
            size = len(found)
            found |= {pid for pid, (parent, _) in table.items() if parent in found}
        return {pid: table[pid] for pid in found}

    def pids(self):
        return set(self.stats())

    def cpu_ms(self):
        """User and system time so far, of the living and of those that ended and were waited for."""
        total = 0.0
        for pid, (_, ended) in self.stats().items():
            try:
                total += ended + time.clock_gettime(cpu_clock(pid)) * 1000
            except OSError:
                continue
        return total

    def _memory_kb(self, field):
        total = 0
        for pid in self.pids():
            try:
                with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
                    total += int(re.search(rf"^{field}:\s+(\d+)", file.read(), re.M).group(1))
            except (OSError, AttributeError):
                continue
        return total

    def private_kb(self):
        """Memory that is theirs alone and would be free without them."""
        return self._memory_kb("Private_Dirty") + self._memory_kb("Swap")

    def pss_mb(self):
        return self._memory_kb("Pss") / 1024


class PeakPss(threading.Thread):
    """Looks at the PSS of a process tree from time to time."""

    def __init__(self, tree, every_s=0.25):
        super().__init__(daemon=True)
        self.tree, self.every_s, self.peak = tree, every_s, 0.0
        self.over = threading.Event()

    def run(self):
        while True:
            self.peak = max(self.peak, self.tree.pss_mb())
            if self.over.wait(self.every_s):
                return

    def stop(self):
        self.over.set()
        self.join()
        return self.peak


def descriptors():
    """How many descriptors a process may have here."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def own_conditions(cpus):
    """What a child starts with: all the descriptors it may have, its CPUs, and an end when ours comes, even by SIGKILL."""
    libc = ctypes.CDLL(None)

    def apply():
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        most = descriptors()
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        if cpus:
            os.sched_setaffinity(0, cpus)
    return apply


def free_ports(count):
    """Ports that nobody listens on, all different."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def greets(port):
    """Does something say 220 there?"""
    try:
        with socket.create_connection(("127.0.0.1", port), 2) as s:
            s.settimeout(5)
            if not s.recv(4).startswith(b"220"):
                return False
            s.sendall(b"QUIT\r\n")
            s.recv(100)
            return True
    except OSError:
        return False


class Server:
    """A process that speaks SMTP on ports: how they are reached -> port. "plain" is always there; "starttls" is the
    same port or missing, "implicit" one where TLS comes first."""

    def __init__(self, argv, ports, log, cpus=None, seconds=30, env=None):
        self.ports = ports
        with open(log, "ab") as file:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=env,
                                            preexec_fn=own_conditions(cpus))
        self.tree = Tree(self.process.pid)
        deadline = time.monotonic() + seconds
        while not greets(ports["plain"]):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                with open(log, encoding="utf-8", errors="replace") as file:
                    raise RuntimeError("no SMTP server came up: %s\n%s" % (" ".join(argv), file.read()[-2000:]))
            time.sleep(0.05)

    def stop(self):
        """SIGTERM to all of the tree (Postfix's master runs below the script that starts it, and would outlive it),
        SIGKILL to what is still there after a while. Does nothing to one that has ended: its number may be another's."""
        pids = self.tree.pids() if self.process.poll() is None else set()
        for number, seconds in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
            for pid in pids:
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    pass
            deadline = time.monotonic() + seconds
            while pids and time.monotonic() < deadline:
                self.process.poll()
                pids = {pid for pid in pids if os.path.exists(f"/proc/{pid}")}
                time.sleep(0.02)
