"""Proxies that stand between certauto and a server, to look on or to do harm at a chosen moment."""

import os
import socket
import threading


class _Listener:
    """Accepts connections and serves each in a thread, until the with block is left."""

    def __init__(self, listener):
        self._listener = listener
        self._listener.listen(64)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._closing = False

    def _accept(self):
        while not self._closing:
            try:
                client = self._listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._serve_quietly, args=(client,), daemon=True).start()

    def _serve_quietly(self, client):
        try:
            self.serve(client)
        except OSError:
            pass  # the peer left: the very thing these proxies are used for
        finally:
            client.close()

    def serve(self, client):
        """Serve one connection; told by each proxy."""
        raise NotImplementedError

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_exception):
        self._closing = True
        # close() alone does not wake a thread that sits in accept().
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)


class AdminProxy(_Listener):
    """In front of HAProxy's admin socket.

    hook(command, forward) gets each command whole and returns the answer for the client:
    forward(command) asks HAProxy, anything else is a lie, and None closes the connection without a
    word.
    """

    def __init__(self, path, real_path, hook):
        self.path = path
        self.real_path = real_path
        self.hook = hook
        self.commands = []
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        os.chmod(path, 0o600)
        super().__init__(listener)

    def forward(self, command):
        """Ask the real HAProxy."""
        with socket.socket(socket.AF_UNIX) as real:
            real.settimeout(10)
            real.connect(self.real_path)
            real.sendall(command)
            return b"".join(iter(lambda: real.recv(65536), b""))

    @staticmethod
    def _complete(data):
        """A command ends with its line, one with a payload (<<) at the first empty line."""
        first_line = data.split(b"\n", 1)[0]
        return data.endswith(b"\n\n") if b"<<" in first_line else b"\n" in data

    def serve(self, client):
        data = b""
        while not self._complete(data):
            chunk = client.recv(65536)
            if not chunk:
                break
            data += chunk
        if not data:
            return
        self.commands.append(data.decode(errors="replace"))
        answer = self.hook(data, self.forward)
        if answer is not None:
            client.sendall(answer)


class TcpProxy(_Listener):
    """In front of the CA, below TLS: counts connections and what passes, and cuts when told to.

    hook(proxy, connection, to_server, n_bytes) is asked before each piece is passed on and says how
    many of its bytes are; less than all cuts the connection behind them. connection is a number,
    from 1.
    """

    def __init__(
        self,
        server_port,
        hook=lambda proxy, connection, to_server, n_bytes: n_bytes,
        address="127.0.0.1",
    ):
        self.server_port = server_port
        self.hook = hook
        self.n_connections = 0
        self.n_pieces = 0  # client to server
        listener = socket.create_server((address, 0))
        self.port = listener.getsockname()[1]
        super().__init__(listener)

    def serve(self, client):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.n_connections += 1
        number = self.n_connections
        with socket.create_connection(("127.0.0.1", self.server_port)) as server:
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = threading.Thread(
                target=self._pump, args=(server, client, number, False), daemon=True
            )
            back.start()
            self._pump(client, server, number, True)
            back.join()

    def _pump(self, source, sink, number, to_server):
        try:
            while data := source.recv(65536):
                self.n_pieces += to_server
                n_passed = self.hook(self, number, to_server, len(data))
                sink.sendall(data[:n_passed])
                if n_passed < len(data):
                    break
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # already closed from the other side
