"""weir-proxy without a filter, as it is shipped but for the limits that one client at 127.0.0.1 would meet."""

import json
import os

from processes import Server

from .common import ports_for, write


def settings(place, ports):
    listen = [{"address": "127.0.0.1:%d" % ports["plain"]}]
    if place.certificate:
        cert, key, _ = place.certificate
        tls = {"certificates": [{"chain": cert, "key": key}]}
        listen = [dict(listen[0], tls="offer", **tls),
                  dict(tls, address="127.0.0.1:%d" % ports["implicit"], tls="implicit")]
    return {
        "proxy": {
            "hostname": "weir.example",
            "listen": listen,
            "backends": {"default": {"servers": ["127.0.0.1:%d" % place.sink]}},
            "limits": {"sessions": 100000, "sessions_per_client": 100000, "transactions": 999999},
            "stress": {"percent": 0},
            "control": "unix:%s/proxy.ctl" % place.folder,
            "user": "",
            "workers": len(place.cpus),
        },
        "log": {"to": "%s/weir.log" % place.folder},
    }


def command(place, ports):
    program = os.path.abspath(os.path.join(place.options.build, "weir-proxy"))
    if not os.path.exists(program):
        raise RuntimeError("%s is not built (--build names the build folder)" % program)
    return [program, "-c", write(place.folder, "weir.json", json.dumps(settings(place, ports), indent="\t")), "-f"]


def start(place):
    ports = ports_for(place)
    return Server(command(place, ports), ports, os.path.join(place.folder, "weir-start.log"), place.cpus)
