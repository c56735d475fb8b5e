"""The proxies that stand between load and sink: one module each, with a start(place) that returns a Server, or raises
RuntimeError with the reason why it cannot run here."""

import collections

from . import haproxy, haraka, nginx, postfix, weir

# Where a peer works: its own folder, the port of the sink, (certificate, key, both in one file) or None for no TLS, the
# CPUs that it may use, and the options of the command line.
Place = collections.namedtuple("Place", "folder sink certificate cpus options")

ALL = {"weir": weir.start, "haproxy": haproxy.start, "nginx": nginx.start, "haraka": haraka.start,
       "postfix": postfix.start}
