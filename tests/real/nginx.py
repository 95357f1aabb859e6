"""nginx with PEM files and a webroot: what the target `files` is for."""

import os

from . import ports
from .proc import Server, wait_until

CONFIG = """\
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/tmp-body;
    proxy_temp_path {folder}/tmp-proxy;
    fastcgi_temp_path {folder}/tmp-fastcgi;
    uwsgi_temp_path {folder}/tmp-uwsgi;
    scgi_temp_path {folder}/tmp-scgi;
    server {{
        listen 127.0.0.1:{http_port};
        location /.well-known/acme-challenge/ {{ root {webroot}; default_type text/plain; }}
    }}
{tls}
}}
"""

TLS = """\
    server {{
        listen 127.0.0.1:{tls_port} ssl;
{pairs}
        location / {{ return 200 "served by nginx\\n"; }}
    }}
"""


class Nginx(Server):
    """Master and one worker in the foreground; pairs are (certificate file, key file)."""

    def __init__(self, folder, pairs=()):
        self.http_port = ports.free_port()
        self.tls_port = ports.free_port()
        self.webroot = os.path.join(folder, "webroot")
        self.config_file = os.path.join(folder, "nginx.conf")
        os.makedirs(self.webroot, exist_ok=True)
        lines = "\n".join(
            f"        ssl_certificate {cert};\n        ssl_certificate_key {key};"
            for cert, key in pairs
        )
        tls = TLS.format(tls_port=self.tls_port, pairs=lines) if pairs else ""
        with open(self.config_file, "w", encoding="utf-8") as file:
            # A worker that root starts would drop to www-data, which may not enter our folder.
            file.write(
                CONFIG.format(
                    folder=folder,
                    user="user root;" if os.geteuid() == 0 else "",
                    tls=tls,
                    http_port=self.http_port,
                    webroot=self.webroot,
                )
            )
        # The compiled-in error log would be opened before the configuration is read.
        self.argv_base = ["/usr/sbin/nginx", "-p", folder, "-e", "stderr", "-c", self.config_file]
        super().__init__("nginx", self.argv_base + ["-g", "daemon off;"], folder)
        self.has_tls = bool(pairs)

    @property
    def reload_argv(self):
        """The command that makes nginx read its files again."""
        return self.argv_base + ["-s", "reload"]

    def settle(self):
        """Wait for the end of a reload: until then the old worker takes connections, too."""
        pid = self.process.pid

        def alone():
            with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as children:
                return len(children.read().split()) == 1

        wait_until(alone, "the old worker of nginx to end")

    def ready(self):
        return ports.answers(self.http_port) and (not self.has_tls or ports.answers(self.tls_port))
