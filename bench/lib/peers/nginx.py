"""nginx's mail proxy. It asks an HTTP server at every first recipient where to go: an http block of the same nginx that
always says the same, so that this costs as little as it can. From then on it copies octets."""

import os

from processes import Server, free_ports

from .common import ports_for, tool, write

MODULES = ("/usr/lib/nginx/modules/ngx_mail_module.so", "/usr/share/nginx/modules/ngx_mail_module.so",
           "/usr/lib64/nginx/modules/ngx_mail_module.so")


def start(place):
    program = tool("nginx", "nginx libnginx-mod-mail")
    module = next(filter(os.path.exists, MODULES), None)
    if module is None:
        raise RuntimeError("its mail module is not installed: apt-get install libnginx-mod-mail")
    ports = ports_for(place)
    http, = free_ports(1)
    certificate = starttls = implicit = ""
    if place.certificate:
        certificate = "ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate %s; ssl_certificate_key %s;" % place.certificate[:2]
        starttls = "starttls on;"
        implicit = "server { protocol smtp; listen 127.0.0.1:%d ssl backlog=4096; }" % ports["implicit"]
    user = "user root;" if os.geteuid() == 0 else ""
    config = write(place.folder, "nginx.conf", f"""
load_module {module};
{user}
daemon off;
worker_processes {len(place.cpus)};
pid {place.folder}/nginx.pid;
error_log {place.folder}/nginx.log warn;
events {{ worker_connections 65536; }}

mail {{
	server_name nginx.example;
	auth_http 127.0.0.1:{http}/;
	smtp_auth none;
	smtp_capabilities PIPELINING 8BITMIME SMTPUTF8 DSN ENHANCEDSTATUSCODES "SIZE 100000000";
	xclient off;
	proxy_timeout 10m;
	timeout 10m;
	{certificate}
	server {{ protocol smtp; listen 127.0.0.1:{ports["plain"]} backlog=4096; {starttls} }}
	{implicit}
}}

http {{
	access_log off;
	client_body_temp_path {place.folder}/body;
	proxy_temp_path {place.folder}/proxy;
	fastcgi_temp_path {place.folder}/fastcgi;
	uwsgi_temp_path {place.folder}/uwsgi;
	scgi_temp_path {place.folder}/scgi;
	server {{
		listen 127.0.0.1:{http} backlog=4096;
		location / {{
			add_header Auth-Status OK;
			add_header Auth-Server 127.0.0.1;
			add_header Auth-Port {place.sink};
			return 200;
		}}
	}}
}}
""")
    return Server([program, "-p", place.folder, "-c", config], ports, os.path.join(place.folder, "nginx-start.log"),
                  place.cpus)
