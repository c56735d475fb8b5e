"""Postfix's smtpd with smtpd_proxy_filter, in an instance of its own: configuration, queue and data."""

import os
import shutil

from processes import Server

from .common import ports_for, tool, write

DAEMONS = ["/usr/lib/postfix/sbin", "/usr/libexec/postfix", "/usr/lib/postfix"]

MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
daemon_directory = {daemons}
command_directory = /usr/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = postfix.example
mydestination = example.org
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
local_recipient_maps =
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_tls_security_level = {tls}
smtpd_tls_chain_files = {chain}
smtp_tls_security_level = none
message_size_limit = 52428800
default_process_limit = 1200
maillog_file = {folder}/postfix.log
maillog_file_prefixes = {folder}
"""

MASTER = """
127.0.0.1:{plain} inet n - n - - smtpd
    -o smtpd_proxy_filter=127.0.0.1:{sink}
{implicit}
rewrite  unix - - n - - trivial-rewrite
proxymap unix - - n - - proxymap
anvil    unix - - n - 1 anvil
tlsmgr   unix - - n 1000? 1 tlsmgr
cleanup  unix n - n - 0 cleanup
bounce   unix - - n - 0 bounce
defer    unix - - n - 0 bounce
trace    unix - - n - 0 bounce
error    unix - - n - - error
local    unix - n n - - local
smtp     unix - - n - - smtp
qmgr     unix n - n 300 1 qmgr
postlog  unix-dgram n - n - 1 postlogd
"""

IMPLICIT = """
127.0.0.1:{port} inet n - n - - smtpd
    -o smtpd_proxy_filter=127.0.0.1:{sink} -o smtpd_tls_wrappermode=yes
"""


def start(place):
    program = tool("postfix", "postfix")
    if os.geteuid() != 0:
        raise RuntimeError("it can only be started by root")
    daemons = next((d for d in DAEMONS if os.path.exists(os.path.join(d, "master"))), None)
    if daemons is None:
        raise RuntimeError("not installed: apt-get install postfix")
    ports = ports_for(place)
    etc, queue, data = (os.path.join(place.folder, name) for name in ("etc", "queue", "data"))
    for path in (etc, queue, data):
        os.mkdir(path, 0o755)
    shutil.chown(data, "postfix")
    chain = implicit = ""
    if place.certificate:
        chain = "%s, %s" % (place.certificate[1], place.certificate[0])
        implicit = IMPLICIT.format(port=ports["implicit"], sink=place.sink)
    write(etc, "main.cf", MAIN.format(folder=place.folder, daemons=daemons, tls="may" if chain else "none", chain=chain))
    write(etc, "master.cf", MASTER.format(plain=ports["plain"], sink=place.sink, implicit=implicit))
    return Server([program, "-c", etc, "start-fg"], ports, os.path.join(place.folder, "postfix-start.log"), place.cpus)
