"""The data plane of the simulated FlexibleEngine: what clients of its listeners see.

The endpoints are those of the simulated Avi controller: each load balancer has a loopback address
of its own, each connection looks at the configuration anew.
"""

from . import fe_certs
from .avi_data import BACKEND
from .avi_data import DataPlane as Plane
from .fe_elb import DEFAULT, SNI, TLS


def _fits(pattern, name, algorithm):
    """How well a domain of a certificate fits a name: 0 not at all."""
    if pattern == name:
        return 1000
    if not pattern.startswith("*."):
        return 0
    if algorithm == "wildcard":
        return int(name.partition(".")[2] == pattern[2:])
    return len(pattern) if name.endswith(pattern[1:]) else 0


class DataPlane(Plane):
    """All listeners of a cloud."""

    def host(self, balancer):
        """The address of a load balancer; None before it has a listener."""
        return self._addresses.get(balancer)

    def service(self, vip, port):
        """(listener, how it is served) that takes connections there now."""
        with self.avi.lock:
            for one in list(self.config().values()):
                if one.type != "listener" or one.data["protocol_port"] != port:
                    continue
                if one.data["loadbalancers"][0]["id"] == vip and one.data["admin_state_up"]:
                    return one, {"enable_ssl": one.data["protocol"] in TLS}
            return None, None

    def answer(self, vip, request, sni):
        """What a client gets: there is a server behind each listener."""
        listener, _ = self.service(vip, request.port)
        if listener:
            self.requests.append((listener.name, request.method, request.host, request.path, 200))
        return BACKEND if listener else None

    def served(self, vip, port, name):
        """[(chain, key)] in PEM for a name: of those for SNI, or the default one."""
        objects = self.config()
        listener, _ = self.service(vip, port)
        if not listener:
            return []
        algorithm, best = listener.data["sni_match_algo"], {}
        for ref in listener.data[SNI]:
            cert = objects[ref]
            domains = fe_certs.domains_of(cert.data["domain"])
            rank = max(_fits(one, (name or "").lower(), algorithm) for one in domains)
            best.setdefault(rank, []).append(cert)
        rank = max(best, default=0)
        certs = best[rank] if rank else [objects[listener.data[DEFAULT]]]
        return [(one.data["certificate"], one.data["private_key"]) for one in certs]
