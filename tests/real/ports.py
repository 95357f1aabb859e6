"""Free loopback ports."""

import socket


def free_port():
    """A loopback TCP port that nobody uses and that the kernel will not give away for a minute.

    A connection is made and closed on it, so it is left in TIME_WAIT: bind(0) and outgoing
    connections avoid such a port, while a server that sets SO_REUSEADDR (all of ours do) may listen
    on it. Without this a server that is stopped and started again could find its port taken by
    anybody's client.
    """
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        with socket.create_connection(listener.getsockname()):
            # The accepted end is closed first: TIME_WAIT stays with the side that closes first.
            listener.accept()[0].close()
        return listener.getsockname()[1]


def refused_port():
    """A port where a connection is refused."""
    return free_port()


def answers(port, host="127.0.0.1"):
    """Does anybody listen there?"""
    try:
        socket.create_connection((host, port), timeout=1).close()
        return True
    except OSError:
        return False
