# SPDX-License-Identifier: Apache-2.0
"""Why the extension cannot be loaded, where Python's own words mislead: it takes one that was built
for another Python for none at all, and speaks of a circular import."""

from __future__ import annotations

import glob
import os
import re
import sys
from importlib.machinery import EXTENSION_SUFFIXES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable


def _python(suffix: str) -> str:
    """Which one a suffix is for: ".cpython-311-x86_64-linux-gnu.so"."""
    found = re.match(r"\.cpython-(\d)(\d+)([a-z]*)-([^-.]+)", suffix)
    if found is None:
        return f"another Python ({suffix})"
    major, minor, flags, machine = found.groups()
    return f"Python {major}.{minor}{flags} on {machine}"


def reason(folders: Iterable[str]) -> str | None:
    """What to tell; None: the extension is for this Python, and something else is the matter."""
    folder = next(iter(folders))
    paths = glob.glob(os.path.join(glob.escape(folder), "_certauto.*so"))
    suffixes = [os.path.basename(path)[len("_certauto"):] for path in sorted(paths)]  # fmt: skip
    if any(suffix in EXTENSION_SUFFIXES for suffix in suffixes):
        return None
    version = "%d.%d" % sys.version_info[:2] + sys.abiflags
    this = f"Python {version} on {os.uname().machine}"
    if not suffixes:
        return f"certauto: {folder} has no extension _certauto: make python builds it"
    there = " and ".join(map(_python, suffixes))
    return (
        f"certauto: the extension in {folder} is for {there}, this is {this} "
        f"(build it for this one: make bundle PYTHON={sys.executable or 'PROGRAM'}, or make python; "
        "or for all from 3.8 on: make bundle with SWIG 4.2 or later)"
    )
