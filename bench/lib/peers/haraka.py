"""Haraka with the one plugin that makes it a proxy (queue/smtp_proxy), and a rule that takes every recipient. Haraka is
no Debian package: npm install --prefix DIR Haraka, once, and --haraka DIR."""

import os
import subprocess

from processes import Server

from .common import ports_for, tool, write

TAKE_ALL = "exports.hook_rcpt = (next) => next(OK)\n"


def configure(place, ports):
    """On top of what haraka -i puts there."""
    config, plugins = (os.path.join(place.folder, name) for name in ("config", "plugins"))
    listen = ["127.0.0.1:%d" % port for port in sorted(set(ports.values()))]
    smtp = "listen=%s\nnodes=%d\n" % (",".join(listen), len(place.cpus) if len(place.cpus) > 1 else 0)
    used = ["take_all", "queue/smtp_proxy"]
    if place.certificate:
        used.insert(0, "tls")
        smtp += "smtps_port=%d\n" % ports["implicit"]
        write(config, "tls.ini", "key=%s\ncert=%s\n" % (place.certificate[1], place.certificate[0]))
    write(config, "smtp.ini", smtp)
    write(config, "plugins", "\n".join(used) + "\n")
    write(config, "smtp_proxy.ini", "host=127.0.0.1\nport=%d\nenable_outbound=false\n" % place.sink)
    write(config, "log.ini", "[main]\nlevel=warn\n")
    write(plugins, "take_all.js", TAKE_ALL)


def start(place):
    node = tool("node", "nodejs npm")
    if not place.options.haraka:
        raise RuntimeError("npm install --prefix DIR Haraka, then --haraka DIR")
    program = os.path.abspath(os.path.join(place.options.haraka, "node_modules", "Haraka", "bin", "haraka"))
    if not os.path.exists(program):
        raise RuntimeError("there is no %s" % program)
    installed = subprocess.run([node, program, "-i", place.folder], capture_output=True, text=True)
    if installed.returncode != 0:
        raise RuntimeError("haraka -i: %s" % installed.stderr.strip()[-300:])
    ports = ports_for(place)
    configure(place, ports)
    return Server([node, program, "-c", place.folder], ports, os.path.join(place.folder, "haraka.log"), place.cpus)
