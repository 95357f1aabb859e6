# SPDX-License-Identifier: Apache-2.0
"""What all objects of this package have in common: a handle of the C library."""

from __future__ import annotations

import warnings

from ._error import Error, Subproblem
from ._errors import CLASSES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, Callable, TypeVar, Union

    from ._context import Context

    Self = TypeVar("Self", bound="Handle")
    Text = Union[bytes, bytearray, memoryview, str]

__all__ = [
    "AGAIN",
    "FOREVER",
    "Handle",
    "c",
    "milliseconds",
    "option_text",
    "raw",
    "raw_or_none",
    "text_list",
]

# Types that C code makes have no module, which newer Pythons deprecate: with warnings as errors the
# import of the extension would fail, and not gently.
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from . import _certauto as c

AGAIN = c.CERTAUTO_AGAIN
FOREVER = -1


def _make_error(
    code: int,
    message: str,
    object: str | None,
    advice: str | None,
    problem: str | None,
    status: int,
    retry_at: int,
    subproblems: tuple[tuple[str | None, str | None, str | None], ...],
) -> Error:
    made = CLASSES.get(code, Error)(
        message,
        object=object,
        advice=advice,
        problem=problem,
        status=status or None,
        retry_at=retry_at or None,
        subproblems=tuple(Subproblem(*one) for one in subproblems),
    )
    made.code = code  # a newer library has codes that have no class here
    return made


c.on_error(_make_error)


class _Freed:
    """Tells the extension how each kind of handle is freed."""


def _register() -> None:
    for noun in "account chain context csr fleet job key order store target".split():
        free = getattr(c, f"delete_certauto_{noun}")
        getattr(c, f"certauto_{noun}_swigregister")(
            type(f"certauto_{noun}", (_Freed,), {"__swig_destroy__": free})
        )


_register()


def milliseconds(seconds: float | None) -> int:
    """A timeout for C. None is without limit."""
    if seconds is None:
        return FOREVER
    if seconds < 0:
        raise ValueError(f"a timeout of {seconds} seconds")
    return max(1, min(int(seconds * 1000), 0x7FFFFFFF))


def text_list(
    handle: Any, count: Callable[[Any], int], item: Callable[[Any, int], str | None]
) -> list[str]:
    """The names an object has."""
    return [item(handle, i) or "" for i in range(count(handle))]


def raw(kind: type[Handle], thing: object) -> Any:
    """The handle of an object that must be of this kind."""
    if not isinstance(thing, kind):
        raise TypeError(f"a {kind.__name__} is needed, not {type(thing).__name__}")
    return thing._h


def raw_or_none(kind: type[Handle], thing: object) -> Any:
    """The same where None will do."""
    return raw(kind, thing) if thing is not None else None


def option_text(value: object, argv: bool = False) -> str:
    """An option's value in the string form that all languages share."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        if argv:
            import json

            return json.dumps([str(one) for one in value])
        return ",".join(str(one) for one in value)
    if hasattr(value, "__fspath__"):
        return str(value)
    if not isinstance(value, (str, int)):
        raise TypeError(f"an option is text, a number, a boolean or a list, not {value!r}")
    return str(value)


class Handle:
    """An object of the C library. It keeps what it was made from; objects may go in any order.

    close() or a with block gives it up at once, otherwise the garbage collector does.
    """

    __slots__ = ("__weakref__", "_cx", "_h")
    _cx: Context
    _h: Any

    def close(self) -> None:
        """Give the object up. Others that need it keep it."""
        try:
            del self._h
        except AttributeError:
            pass

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        try:
            object.__getattribute__(self, "_h")
        except AttributeError:
            return True
        return False

    @property
    def context(self) -> Context:
        """The context it was made from."""
        return self._cx

    def __getattr__(self, name: str) -> Any:
        """Asked only for what is missing: what was closed says so."""
        if name == "_h":
            raise ValueError(f"this {type(self).__name__} is closed")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _about(self) -> str:
        return ""

    def __repr__(self) -> str:
        try:
            about = "closed" if self.closed else self._about()
        except Error:
            about = "busy"
        return f"<certauto.{type(self).__name__}{' ' + about if about else ''}>"

    def __copy__(self) -> None:
        raise TypeError(f"a {type(self).__name__} cannot be copied")

    def __reduce__(self) -> str:
        raise TypeError(f"a {type(self).__name__} cannot be pickled")
