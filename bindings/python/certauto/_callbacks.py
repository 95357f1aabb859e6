# SPDX-License-Identifier: Apache-2.0
"""Signers and targets written in Python."""

from __future__ import annotations

from itertools import count
from _weakref import ref

from ._error import Error
from ._handle import AGAIN, c
from ._objects import Chain, Key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from ._context import Context
    from ._handle import Text

OPERATIONS = ("present", "cleanup", "observe", "stage", "swap", "save", "tidy", "undo", "csr")
_numbers = count(1)


def signer(cx: Context, sign: Callable[[str, bytes], bytes]) -> Callable[[Any], int]:
    """The callback for a key whose signatures sign() makes."""
    # Held by C, where the garbage collector does not look.
    cx_ref = ref(cx)

    def answer(signing: Any) -> int:
        owner = cx_ref()
        if owner is None:
            return c.CERTAUTO_ECANCELED
        owner._depth += 1
        try:
            signature = sign(c.certauto_signing_alg(signing), c.certauto_signing_digest(signing))
            c.certauto_signing_set_signature(signing, signature)
        except BaseException as error:
            return owner._keep(error, "the signer of the key failed")
        finally:
            owner._depth -= 1
        return 0

    return answer


class Work:
    """What an operation of a target is to do; valid while the operation runs.

    A target is any object with `caps` (certauto.Capability) and those of these methods it needs:
    present, cleanup, observe, stage, swap, save, tidy, undo, csr, each called with a Work. `type`
    names it, `options` lists its options as dicts with name, type, required, sensitive, default,
    help. An operation must not block: it returns None when it is done, or a number of seconds after
    which it is to be called again. It raises a certauto.Error with the reason to fail; anything
    else it raises is raised again by whoever waits.
    """

    __slots__ = ("_cx", "_h")

    def __init__(self, cx: Context, handle: Any) -> None:
        self._cx = cx
        self._h = handle

    @property
    def op(self) -> str:
        """The operation."""
        return c.certauto_work_op(self._h) or ""

    @property
    def name(self) -> str | None:
        """The name challenged, or the certificate's name."""
        return c.certauto_work_name(self._h)

    @property
    def challenge(self) -> str | None:
        """ "http-01", "dns-01", "tls-alpn-01"."""
        return c.certauto_work_challenge(self._h)

    @property
    def token(self) -> str | None:
        """The challenge's token."""
        return c.certauto_work_token(self._h)

    @property
    def value(self) -> str | None:
        """What is to be shown: the key authorization, or the text of the TXT record."""
        return c.certauto_work_value(self._h)

    @property
    def record(self) -> str | None:
        """Owner of the TXT record, without its last dot."""
        return c.certauto_work_record(self._h)

    def option(self, name: str) -> str | None:
        """Value of an option."""
        return c.certauto_work_option(self._h, name)

    @property
    def chain(self) -> Chain:
        """The certificate to deploy, or the one that answers tls-alpn-01."""
        return Chain(self._cx, c.certauto_work_dup_chain(self._h))

    @property
    def key(self) -> Key:
        """Its key; NotFound if it is kept elsewhere."""
        return Key(self._cx, c.certauto_work_dup_key(self._h))

    def note(self, name: str, value: str) -> None:
        """Remember a value for later operations, undo and a next process; never a secret. It is
        durable when the operation is called again: return 0 after it."""
        c.certauto_work_note(self._h, name, value)

    def noted(self, name: str) -> str | None:
        """A value noted before."""
        return c.certauto_work_noted(self._h, name)

    def wait_fd(self, fd: int, *, read: bool = True, write: bool = False) -> float:
        """Call again when a descriptor is ready: `return work.wait_fd(sock.fileno())`."""
        c.certauto_work_set_wait_fd(self._h, fd, (1 if read else 0) | (2 if write else 0))
        return -1

    def set_csr(self, data: Text) -> None:
        """The request the device has made, PEM or DER."""
        c.certauto_work_set_csr(self._h, data)


def _run(cx: Context, target: Any, raw: Any) -> int:
    again = getattr(target, c.certauto_work_op(raw) or "")(Work(cx, raw))
    if again is None:
        return 0
    if again >= 0:
        c.certauto_work_set_wait_ms(raw, int(again * 1000))
    return AGAIN


def operations(
    cx: Context, target: Any
) -> tuple[str, int, str | None, list[str], Callable[[Any], int]]:
    """What C needs of a target written in Python."""
    cx_ref = ref(cx)
    options = getattr(target, "options", None)
    if options is not None:
        import json

        options = json.dumps(options)

    def call(raw: Any) -> int:
        owner = cx_ref()
        if owner is None:
            return c.CERTAUTO_ECANCELED
        owner._depth += 1
        try:
            return _run(owner, target, raw)
        except Error as error:
            words = error.message or type(error).__name__
            return c.certauto_work_fail(raw, owner._keep(error, words), words)
        except BaseException as error:
            words = f"{type(error).__name__}: {error} (exception {next(_numbers)})"
            return c.certauto_work_fail(raw, owner._keep(error, words), words)
        finally:
            owner._depth -= 1

    name = getattr(target, "type", None) or type(target).__name__.lower()
    has = [one for one in OPERATIONS if callable(getattr(target, one, None))]
    return name, int(target.caps), options, has, call
