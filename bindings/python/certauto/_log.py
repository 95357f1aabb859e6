# SPDX-License-Identifier: Apache-2.0
"""Events as records of the standard library's logging."""

from __future__ import annotations

import logging

from ._enums import LogLevel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

    from ._job import Event

LEVELS = {
    LogLevel.ERROR: logging.ERROR,
    LogLevel.WARNING: logging.WARNING,
    LogLevel.INFO: logging.INFO,
    LogLevel.DEBUG: logging.DEBUG,
}


def _logger(logger: logging.Logger | str) -> logging.Logger:
    return logging.getLogger(logger) if isinstance(logger, str) else logger


def level_of(logger: logging.Logger | str) -> int:
    """How much it is worth to tell a logger."""
    level = _logger(logger).getEffectiveLevel()
    if level <= logging.DEBUG:
        return LogLevel.DEBUG
    if level <= logging.INFO:
        return LogLevel.INFO
    return LogLevel.WARNING if level <= logging.WARNING else LogLevel.ERROR


def writer(logger: logging.Logger | str) -> Callable[[Event], None]:
    """A function that makes a record of an event."""
    to = _logger(logger)

    def write(event: Event) -> None:
        level = LEVELS.get(LogLevel(event.level or LogLevel.INFO), logging.INFO)
        if not to.isEnabledFor(level):
            return
        text = event.text or event.step or ""
        if event.object and event.object not in text:
            to.log(level, "%s: %s", event.object, text, extra={"certauto": event})
        else:
            to.log(level, "%s", text, extra={"certauto": event})

    return write
