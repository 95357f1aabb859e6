"""What the public headers declare, and what the symbol map exports.

The headers are written in one form, so patterns are enough to read them.
"""

import glob
import re

HEADERS = ["include/certauto.h", "include/certauto/**/*.h"]
MAP = "libcertauto/certauto.map"


def header_files():
    """All public headers, as paths from the top of the sources."""
    return sorted(path for pattern in HEADERS for path in glob.glob(pattern, recursive=True))


def read(path):
    """The text of a file."""
    with open(path, encoding="utf-8") as file:
        return file.read()


def without_comments(text):
    """C text with comments blanked, line numbers kept."""
    return re.sub(r"/\*.*?\*/", lambda found: re.sub(r"[^\n]", " ", found[0]), text, flags=re.S)


def declarations(text):
    """(offset, name) of each exported function of a header's text."""
    pattern = r"^CERTAUTO_API\b[^;(#]*?\b(certauto_\w+)\s*\("
    return [
        (found.start(), found[1]) for found in re.finditer(pattern, without_comments(text), re.M)
    ]


def functions():
    """Names of all exported functions."""
    return sorted(name for path in header_files() for _, name in declarations(read(path)))


def mapped():
    """Names that the symbol map exports."""
    return sorted(re.findall(r"^\t(\w+);", read(MAP), re.M))


def tables():
    """(struct, [members]) of each public table: their order is what programs are compiled for."""
    found = []
    for path in header_files():
        text = without_comments(read(path))
        for name, body in re.findall(r"\bstruct (certauto_\w+_ops) \{(.*?)\n\}", text, re.S):
            found.append((name, re.findall(r"(\w+);", body)))
    return found
