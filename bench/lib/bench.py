"""The place that the measurements share: a temporary folder, a sink, peers in front of it, and the load generator."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import peers
from processes import Server, free_ports, own_conditions

LINKS = ("plain", "starttls", "implicit")


def numbers(text):
    return [int(word) for word in text.split(",")]


def choice(*known):
    """A type for argparse: some of the words, with commas between."""
    def words(text):
        chosen = text.split(",")
        for word in chosen:
            if word not in known:
                raise ValueError(word)
        return chosen
    return words


def add_options(parser, default_peers=",".join(peers.ALL)):
    parser.add_argument("--build", default=os.environ.get("WEIR_BUILD", "."), metavar="DIR",
                        help="the folder that make ran in, make bench-programs too (WEIR_BUILD, or here)")
    parser.add_argument("--peers", type=choice(*peers.ALL), default=default_peers, metavar="NAME,NAME",
                        help="of %s; one that is not installed is left out" % ", ".join(peers.ALL))
    parser.add_argument("--haraka", default=os.environ.get("HARAKA"), metavar="DIR",
                        help="where npm install --prefix DIR Haraka put it (HARAKA)")
    parser.add_argument("--key", choices=("ecdsa", "rsa"), default="ecdsa",
                        help="of the certificate: P-256 or RSA with 2048 bits")
    parser.add_argument("--warm-up", type=float, default=1.5, metavar="SECONDS",
                        help="of load on each link of a peer before it is measured (1.5)")
    parser.add_argument("--no-pin", action="store_true",
                        help="let all run on every CPU; otherwise the peers have the last one to themselves")


def certificate(folder, kind):
    """(certificate, key, both in one file), made here."""
    cert, key, both = (os.path.join(folder, name) for name in ("cert.pem", "key.pem", "both.pem"))
    algorithm = {"ecdsa": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "rsa": ["rsa:2048"]}[kind]
    subprocess.run(["openssl", "req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=mail.example", "-newkey",
                    *algorithm, "-keyout", key, "-out", cert], check=True, capture_output=True)
    with open(both, "w", encoding="ascii") as file:
        for path in (cert, key):
            with open(path, encoding="ascii") as part:
                file.write(part.read())
    for path in (key, both):
        os.chmod(path, 0o640)
    return cert, key, both


class Bench:
    """Made with the options that add_options knows; to be used in a with statement."""

    def __init__(self, options):
        self.options = options
        cpus = sorted(os.sched_getaffinity(0))
        pin = len(cpus) > 1 and not options.no_pin
        self.peer_cpus, self.load_cpus = ({cpus[-1]}, set(cpus[:-1])) if pin else (set(cpus), set(cpus))
        self.pinned = pin

    def __enter__(self):
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # clean up as after ^C
        self.closing = contextlib.ExitStack()
        with contextlib.ExitStack() as undo:
            self.folder = tempfile.mkdtemp(prefix="weir-bench-")
            undo.callback(shutil.rmtree, self.folder, ignore_errors=True)
            os.chmod(self.folder, 0o755)  # Postfix's own user has to come in
            self.certificate = certificate(self.folder, self.options.key)
            self.sink = self._start_sink()
            undo.callback(self.sink.stop)
            self.closing = undo.pop_all()
        return self

    def __exit__(self, *exception):
        self.closing.close()

    def program(self, name):
        path = os.path.abspath(os.path.join(self.options.build, "bench", name))
        if not os.path.exists(path):
            sys.exit("bench: %s is not built: make -C %s bench-programs" % (path, self.options.build))
        return path

    def _start_sink(self):
        port, = free_ports(1)
        return Server([self.program("sink"), "127.0.0.1:%d" % port], {"plain": port},
                      os.path.join(self.folder, "sink.log"), self.load_cpus)

    def place(self, name, tls):
        folder = tempfile.mkdtemp(prefix=name + "-", dir=self.folder)
        os.chmod(folder, 0o755)
        return peers.Place(folder, self.sink.ports["plain"], self.certificate if tls else None, self.peer_cpus,
                           self.options)

    def start(self, name, tls=False):
        """A peer in front of the sink, or None, said why, where it cannot run here. It ends with the bench."""
        try:
            server = peers.ALL[name](self.place(name, tls))
        except RuntimeError as error:
            print("without %s: %s" % (name, error), file=sys.stderr)
            return None
        self.closing.callback(server.stop)
        return server

    def start_all(self, tls=False):
        """name -> server, each warmed up: node compiles what runs often."""
        started = {name: self.start(name, tls) for name in self.options.peers}
        started = {name: server for name, server in started.items() if server}
        if not started:
            sys.exit("bench: nothing to measure")
        for server in started.values():
            for link in server.ports:
                self.load(server, link, "--sessions", 20, "--per-connection", 5, "--messages", 10**9,
                          "--milliseconds", int(self.options.warm_up * 1000))
        return started

    def load_argv(self, server, link, *arguments):
        argv = [self.program("load"), *map(str, arguments)]
        if link != "plain":
            argv += ["--tls", link]
        return argv + ["127.0.0.1:%d" % server.ports[link]]

    def load(self, server, link, *arguments):
        """What the load generator reports, with the CPU ms that the server's processes took meanwhile."""
        before = server.tree.cpu_ms()
        done = subprocess.run(self.load_argv(server, link, *arguments), capture_output=True, text=True, timeout=600,
                              preexec_fn=own_conditions(self.load_cpus))
        after = server.tree.cpu_ms()
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip()[-300:])
        report = json.loads(done.stdout)
        report["server_cpu_ms"] = after - before
        return report

    @contextlib.contextmanager
    def resting(self, server, link, *arguments):
        """Sessions that stay while the with statement runs."""
        with subprocess.Popen(self.load_argv(server, link, "--rest", *arguments), stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              preexec_fn=own_conditions(self.load_cpus)) as load:
            line = load.stdout.readline()
            if not line:
                raise RuntimeError(load.stderr.read().strip()[-300:])
            yield json.loads(line)
            load.stdin.close()
            if load.wait(60) != 0:
                raise RuntimeError(load.stderr.read().strip()[-300:])

    def about(self):
        """A line that says under which conditions this ran."""
        return "%s, %d CPUs, %s" % (time.strftime("%Y-%m-%d"), os.cpu_count(),
                                    "peers on one of their own" if self.pinned else "shared by all")


def size_name(size):
    return "%d MB" % (size >> 20) if size >= 1 << 20 else "%d KB" % (size >> 10)


def print_head(columns):
    print("| " + " | ".join(columns) + " |")
    print("|" + "---:|" * len(columns), flush=True)


def print_row(cells):
    print("| " + " | ".join(cells) + " |", flush=True)
