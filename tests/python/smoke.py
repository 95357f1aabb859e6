"""A tour of the package for one interpreter, of any version it runs with.

usage: smoke.py DIRECTORY-URL CA-FILE WEBROOT

Run by test_versions.py with each Python that is found. It needs nothing but the standard library.
"""

import asyncio
import sys

import certauto


def must_raise(kind, call):
    """The exception a call must end with."""
    try:
        call()
    except kind as error:
        return error
    raise AssertionError("{} was not raised".format(kind))


class Stop(Exception):
    """Raised by a callback."""


class Device:
    """A target written in Python."""

    caps = 1

    def __init__(self):
        self.shown = {}

    def present(self, work):
        """Shows it."""
        self.shown[work.token] = work.value

    def cleanup(self, work):
        """Takes it away."""
        self.shown.pop(work.token, None)


def offline(cx):
    """Keys, requests, chains, errors."""
    key = cx.key()
    csr = cx.csr(key, ["a.example.org", "b.example.org"])
    chain = key.self_sign(csr, 1999999999)
    assert chain.names == csr.names and cx.chain_from(chain.pem()).serial == chain.serial
    assert cx.key_from(key.pem().decode()).public() == key.public()
    error = must_raise(certauto.NotFound, lambda: cx.target("nonsense"))
    assert error.code == certauto.NotFound.code and "haproxy" in error.message
    must_raise(TypeError, lambda: cx.key_from(None))
    must_raise(ValueError, lambda: cx.key("a\0b"))
    def sign(alg, digest):
        raise Stop
    must_raise(Stop, lambda: cx.csr(cx.key_signer(key.public(), sign), "a.example.org"))
    for thing in (key, csr, chain, cx):
        assert "PRIVATE" not in repr(thing)


def online(cx, server, ca_file, webroot):
    """Orders: blocking, awaited, cancelled by a callback, through a target written in Python."""
    web = cx.target("files", webroot=webroot, challenge_check=False)
    account = cx.account(server, ca_file=ca_file, agree_tos=True)
    key = cx.key()
    events = []
    cx.on_event = events.append
    assert len(account.order(cx.csr(key, "a.example.org"), http01=web).run(timeout=60)) == 2
    assert events[-1].type is certauto.EventType.DONE
    device = Device()
    mine = cx.target(device, challenge_check=False)
    account.order(cx.csr(key, "b.example.org"), http01=mine).run(timeout=60)
    assert device.shown == {}

    async def main():
        jobs = [
            account.order(cx.csr(key, "n{}.example.org".format(i)), http01=web).start(timeout=60)
            for i in range(5)
        ]
        return await asyncio.gather(*jobs)

    assert len(asyncio.run(main())) == 5

    def stop(event):
        if event.type == certauto.EventType.STEP:
            raise Stop

    cx.on_event = stop
    order = account.order(cx.csr(key, "c.example.org"), http01=web)
    must_raise(Stop, lambda: order.run(timeout=60))
    assert order.status is not certauto.OrderStatus.VALID


def main(server, ca_file, webroot):
    """All of it."""
    with certauto.Context() as cx:
        offline(cx)
        online(cx, server, ca_file, webroot)
    assert cx.closed
    print("ok {}.{}".format(*sys.version_info[:2]))


if __name__ == "__main__":
    main(*sys.argv[1:])
