"""One node or two: running and saved configuration, who is the primary, and what gets lost when.

What the primary is told goes to the secondary at once, as long as they are in sync. What was not
saved is gone after a reboot; what was not synchronized, after a failover.
"""

from . import nitro_ssl
from .nitro_errors import NitroError
from .nitro_files import resolve
from .nitro_http import Node


def make_nodes(nitro, ha):
    """One node; or two, with the same port on addresses of their own."""
    if not ha:
        return [Node(nitro, "ns1", "127.0.0.1", 0)]
    while True:
        first = Node(nitro, "ns1", "127.0.0.2", 0)
        try:
            second = Node(nitro, "ns2", "127.0.0.3", first.port)
        except OSError:  # somebody else has that port there
            first.server.start()
            first.server.stop()
            continue
        second.state = "Secondary"
        return [first, second]


class Nodes:
    """What the nodes of a device are to each other."""

    def __init__(self):
        self._sync, self._polls_left = "SUCCESS", 0

    @property
    def primary(self):
        """The node that serves."""
        return next(node for node in self.nodes if node.state == "Primary")

    @property
    def secondary(self):
        """The other one, or None."""
        return next((node for node in self.nodes if node.state == "Secondary"), None)

    def changed(self, node):
        """Something was written to a node: the other one has to follow."""
        if node.state == "Primary" and self.secondary:
            self.secondary.stale = self._sync == "SUCCESS"
            self._polls_left = self.sync_polls

    def synchronize(self, node):
        """Bring a secondary up to the primary."""
        node.stale, primary = False, self.primary
        if self.file_sync:
            node.files, node.file_times = dict(primary.files), dict(primary.file_times)
        if self.file_sync == "unique":
            first = {content: path for path, content in reversed(primary.files.items())}
            node.files = {path: content for content, path in first.items()}
        node.running = primary.running.copy()

    def told_sync(self):
        """What hanode says of it now."""
        if self._polls_left > 0:
            self._polls_left -= 1
            return "IN PROGRESS"
        return self._sync

    def save(self, node, partition=None):
        """Keep what runs; the primary tells the other node to do so too."""
        for one in self.nodes:
            followed = one is not node and node.state == "Primary" and self._sync == "SUCCESS"
            if one is node or followed:
                running = one.config.copy()
                names = [partition] if partition else list(running.partitions)
                for name in names:
                    one.saved.partitions[name] = running.partitions[name]

    # ---- what happens to them ----

    @property
    def sync(self):
        """How the secondary follows: SUCCESS, IN PROGRESS, FAILED or DISABLED."""
        return self._sync

    @sync.setter
    def sync(self, value):
        with self.lock:
            other = self.secondary
            if other and other.stale:
                self.synchronize(other)
            self._sync = value
            if other and value == "SUCCESS":
                other.stale = True

    def failover(self):
        """The roles are swapped. The new primary has what was synchronized, no more."""
        with self.lock:
            old, new = self.primary, self.secondary
            if not new:
                raise ValueError("there is no pair")
            if new.stale:
                self.synchronize(new)
            old.state, new.state = "Secondary", "Primary"
            old.stale = self._sync == "SUCCESS" and old.alive

    def reboot(self, node=None):
        """What was not saved is gone. node: one of a pair; without it all of them at once."""
        with self.lock:
            if node and node.state == "Primary" and self.secondary:
                self.failover()
            for one in [node] if node else self.nodes:
                one.stale = False
                self._load(one)
                for token in list(one.sessions.open):
                    one.sessions.kill(token)
                one.server.drop_connections()
                if one.state == "Secondary" and self._sync == "SUCCESS":
                    one.stale = True

    def _load(self, node):
        """Start from the saved configuration and the files there are."""
        node.running = node.saved.copy()
        for partition in node.running.partitions:
            pairs = node.running.table("sslcertkey", partition)
            for name, pair in list(pairs.items()):
                if not self._reload(node, partition, pair):
                    del pairs[name]
            for pair in pairs.values():
                if pair.get("linkcertkeyname") not in pairs:
                    pair.pop("linkcertkeyname", None)
            bindings = node.running.table("sslvserver_sslcertkey_binding", partition)
            for key, one in list(bindings.items()):
                if one["certkeyname"] not in pairs:
                    del bindings[key]

    def _reload(self, node, partition, pair):
        """Read a pair's files again, as at a start. Returns whether they are good."""

        def read(name, label):
            content = node.files.get(resolve(name, partition))
            if content is None:
                raise NitroError(1647, f"{label}, {name}")
            return content

        args = {name: pair[name] for name in ("cert", "key", "inform") if name in pair}
        if pair["_pass"]:
            args["passplain"] = pair["_pass"]
        try:
            pair["_cert"], pair["_key"], _ = nitro_ssl.load(read, args, self)
            return True
        except NitroError:
            return False

    def stop_node(self, node):
        """A node goes dark; the other one takes over."""
        with self.lock:
            if node.state == "Primary" and self.secondary:
                self.failover()
            node.alive = False
        node.server.stop()

    @property
    def unsaved(self):
        """Would a reboot lose anything?"""
        with self.lock:
            return any(node.config != node.saved for node in self.nodes)
