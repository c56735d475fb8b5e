"""What starting a peer needs."""

import os
import shutil

from processes import free_ports


def tool(name, package):
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path is None:
        raise RuntimeError("not installed: apt-get install %s" % package)
    return path


def write(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
    return path


def ports_for(place, starttls=True):
    """Free ports, by the way they are reached. One port for plain and STARTTLS where the peer offers that."""
    plain, implicit = free_ports(2)
    ports = {"plain": plain}
    if place.certificate:
        ports["implicit"] = implicit
        if starttls:
            ports["starttls"] = plain
    return ports
