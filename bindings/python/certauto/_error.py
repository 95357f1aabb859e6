# SPDX-License-Identifier: Apache-2.0
"""What all exceptions of this package are."""

from __future__ import annotations


class Subproblem:
    """One name's part in a failure (RFC 8555 6.7.1). What is unknown is None."""

    __slots__ = ("detail", "name", "problem")

    def __init__(self, name: str | None, problem: str | None, detail: str | None) -> None:
        self.name = name
        self.problem = problem
        self.detail = detail

    def __repr__(self) -> str:
        return f"Subproblem({self.name!r}, {self.problem!r}, {self.detail!r})"


class Error(Exception):
    """A call failed. Each code has a class of its own, such as certauto.RetryLater.

    A target or a callback written in Python may raise one: Error subclass(message).
    """

    code: int = 0
    """CERTAUTO_E..., a negative number"""

    def __init__(
        self,
        message: str = "",
        *,
        object: str | None = None,
        advice: str | None = None,
        problem: str | None = None,
        status: int | None = None,
        retry_at: int | None = None,
        subproblems: tuple[Subproblem, ...] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        """what was being done, to what, and what the peer said"""
        self.object = object
        """the URL, name, file or target concerned"""
        self.advice = advice
        """what a person can do about it"""
        self.problem = problem
        """the ACME problem type, a URN"""
        self.status = status
        """HTTP status of the peer's answer"""
        self.retry_at = retry_at
        """not to be tried again before this time, seconds since 1970 UTC"""
        self.subproblems = subproblems
        """one for each name that failed"""

    @property
    def name(self) -> str:
        """The code's name, such as "CERTAUTO_ENET"."""
        from . import _certauto

        return _certauto.certauto_error_name(self.code)

    def __str__(self) -> str:
        return f"{self.message} ({self.advice})" if self.advice else self.message
