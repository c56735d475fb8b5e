"""HAProxy in TCP mode: a blind copy of octets, the floor that a proxy without a parser pays. It knows no STARTTLS; its
TLS is implicit and ends in it."""

import os

from processes import Server, descriptors

from .common import ports_for, tool, write


def start(place):
    ports = ports_for(place, starttls=False)
    tls = ""
    if place.certificate:
        tls = "bind 127.0.0.1:%d ssl crt %s backlog 4096" % (ports["implicit"], place.certificate[2])
    config = write(place.folder, "haproxy.cfg", f"""
global
	nbthread {len(place.cpus)}
	maxconn {(descriptors() - 200) // 2}
	stats socket {place.folder}/stats

defaults
	mode tcp
	timeout connect 10s
	timeout client 10m
	timeout server 10m

listen smtp
	bind 127.0.0.1:{ports["plain"]} backlog 4096
	{tls}
	server sink 127.0.0.1:{place.sink}
""")
    return Server([tool("haproxy", "haproxy"), "-db", "-f", config], ports, os.path.join(place.folder, "haproxy.log"),
                  place.cpus)
