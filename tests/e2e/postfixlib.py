"""A private Postfix for a test: its own configuration, queue and data folders, one loopback port, no system service."""
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile

from milterdlib import until

MASTER = """
127.0.0.1:%(port)d inet n - n - - smtpd
pickup    unix  n - n 60 1 pickup
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 300 1 qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
verify    unix  - - n - 1 verify
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n - - proxymap
smtp      unix  - - n - - smtp
relay     unix  - - n - - smtp
showq     unix  n - n - - showq
error     unix  - - n - - error
retry     unix  - - n - - error
discard   unix  - - n - - discard
anvil     unix  - - n - 1 anvil
scache    unix  - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
"""

MAIN = {
    "compatibility_level": "3.6", "command_directory": "/usr/sbin", "daemon_directory": "/usr/lib/postfix/sbin",
    "mail_owner": "postfix", "setgid_group": "postdrop", "inet_interfaces": "127.0.0.1", "inet_protocols": "ipv4",
    "myhostname": "mx.example.org", "mydestination": "", "local_recipient_maps": "", "relay_domains": "example.org",
    "mynetworks": "127.0.0.0/8", "smtpd_peername_lookup": "no", "biff": "no", "alias_maps": "", "alias_database": "",
    "smtp_host_lookup": "native", "disable_dns_lookups": "yes", "message_size_limit": "52428800", "debugger_command": "",
    "smtpd_authorized_xclient_hosts": "127.0.0.1", "notify_classes": "",
}


def available():
    return os.geteuid() == 0 and shutil.which("postfix", path="/usr/sbin") and shutil.which("swaks")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Postfix:
    """milter: socket of the filter. next_hop: "127.0.0.1:PORT" where accepted mail goes."""

    def __init__(self, milter, next_hop, **settings):
        # The daemons run as user postfix and must be able to enter.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="weir-postfix-"))
        self.folder.chmod(0o755)
        self.config, self.queue, self.data = (self.folder / n for n in ("config", "queue", "data"))
        for path in (self.config, self.queue, self.data):
            path.mkdir(mode=0o755)
        shutil.chown(self.data, "postfix")
        host, port = next_hop.rsplit(":", 1)
        self.port = free_port()
        self.log_path = self.folder / "log"
        main = {**MAIN, "queue_directory": self.queue, "data_directory": self.data, "maillog_file": self.log_path,
                "maillog_file_prefixes": self.folder, "smtpd_milters": milter, "milter_default_action": "tempfail",
                "relay_transport": "smtp:[%s]:%s" % (host, port), "default_transport": "smtp:[%s]:%s" % (host, port),
                "meta_directory": self.config, "shlib_directory": "no", **settings}
        shutil.copy("/etc/postfix/postfix-files", self.config)
        dynamic = pathlib.Path("/etc/postfix/dynamicmaps.cf")
        if dynamic.exists():
            shutil.copy(dynamic, self.config)
        (self.config / "main.cf").write_text("".join("%s = %s\n" % (k, v) for k, v in main.items()))
        (self.config / "master.cf").write_text(MASTER % {"port": self.port})
        done = subprocess.run(["postfix", "-c", self.config, "start"], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(done.stdout + done.stderr + self.log())

        def greets():
            """Postfix greets"""
            try:
                with socket.create_connection(("127.0.0.1", self.port), 10) as s:
                    return s.recv(100).startswith(b"220")
            except OSError:
                return False
        until(greets)

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def queued(self):
        """Names of the files of a queue: {"hold": [...], "deferred": [...], ...}."""
        return {q: [p.name for p in (self.queue / q).rglob("*") if p.is_file()] for q in ("hold", "deferred", "active", "incoming")}

    def stop(self):
        subprocess.run(["postfix", "-c", self.config, "stop"], capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)
