"""A web server for the files in a folder, where a CA finds the answers to challenges."""

import functools
import http.server
import threading


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Says nothing."""

    def log_message(self, *_args):
        pass


class Webroot:
    """As the front of a Lab: served while the with block runs."""

    def __init__(self, folder):
        handler = functools.partial(_Handler, directory=folder)
        self.folder = folder
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.http_port = self._server.server_port

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_exception):
        self._server.shutdown()
        self._server.server_close()
