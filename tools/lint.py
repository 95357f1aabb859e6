#!/usr/bin/python3
"""make lint: what a reader of certauto may rely on, checked without compiling anything.

usage: lint.py [--lengths]        (from the top of the sources)

--lengths prints the longest functions and does nothing else. Each complaint is FILE:LINE: TEXT;
with any of them the exit status is 1. A missing mandoc is told as "skipped" (a failure where the
environment says CI=true).
"""

import bisect
import os
import re
import shutil
import subprocess
import sys
from collections import namedtuple

import api

COLUMNS = 100
TAB = 8
LONGEST = 100  # lines of a function, braces included
LONG = 50

# Who may include whom: a folder of libcertauto/ and the folders below it.
BELOW = {
    "core": [],
    "json": ["core"],
    "crypto": ["core"],
    "http": ["core"],
    "dns": ["core"],
    "jobs": ["core", "json", "crypto", "http", "dns"],
    "acme": ["core", "json", "crypto", "http", "dns", "jobs"],
    "targets": ["core", "json", "crypto", "http", "dns", "jobs"],
    "store": ["core", "json", "crypto", "http", "dns", "jobs"],
    "fleet": ["core", "json", "crypto", "http", "dns", "jobs", "acme", "targets", "store"],
}

# Includes that the rule would forbid: (folder or file, header) and why it may.
EXCEPTIONS = {
    ("acme", "store/store.h"): "account keys and issued chains are kept through the store's contract",
}

# The only places that may see a library of others; tests/unit may see all.
LIBRARIES = {
    "yajl/": ["libcertauto/json/"],
    "curl/": ["libcertauto/http/"],
    "mbedtls/": ["libcertauto/crypto/"],
    "psa/": ["libcertauto/crypto/"],
    "ares": ["libcertauto/dns/"],
}

# Words that one file alone may use.
ALONE = {
    "curl_easy_setopt": "libcertauto/http/options.c",
    "dlopen": "libcertauto/dns/ares.c",
    "MBEDTLS_VERSION_": "libcertauto/crypto/mbed_compat.h",
}

FORBIDDEN_CALLS = {
    **dict.fromkeys(["system", "popen", "execl", "execlp", "execle"], "no shell, an argv as it is"),
    **dict.fromkeys(["strcpy", "strcat", "stpcpy", "sprintf", "vsprintf", "gets"], "no bound"),
    **dict.fromkeys(["sleep", "usleep", "nanosleep"], "nothing sleeps: say what is waited for"),
    **dict.fromkeys(["strtok", "asctime", "ctime", "gmtime", "localtime"], "not safe with threads"),
}

# What a target or a store of that name is tested against, where it is not called as it is.
REAL_SERVER = {"files": "nginx", "rfc2136": "named"}

Complaint = namedtuple("Complaint", "path line text")
Function = namedtuple("Function", "name line n_lines")


class Source:
    """One file, with its text in the forms the checks need."""

    def __init__(self, path):
        self.path = path
        self.text = api.read(path)
        self.lines = self.text.split("\n")
        self._starts = None
        self._code = None

    @property
    def code(self):
        """The C text with comments, strings and characters blanked, offsets kept."""
        if self._code is None:
            self._code = re.sub(
                r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'',
                lambda found: re.sub(r"[^\n]", " ", found[0]),
                self.text,
                flags=re.S,
            )
        return self._code

    def at(self, offset, text):
        """A complaint about a place in the text."""
        if self._starts is None:
            self._starts = [0] + [found.end() for found in re.finditer("\n", self.text)]
        return Complaint(self.path, bisect.bisect_right(self._starts, offset), text)

    def includes(self):
        """(offset, header) of each #include."""
        pattern = r'^[ \t]*#[ \t]*include[ \t]+[<"]([^">]+)[">]'
        return [(found.start(), found[1]) for found in re.finditer(pattern, self.text, re.M)]

    def functions(self):
        """All functions of a C file: in this style their braces stand alone in the first column."""
        found = []
        start = None
        for number, line in enumerate(self.lines, 1):
            if line == "{":
                start = number
            elif line == "}" and start:
                head = re.split(r"\n\s*\n|[}/]\n", "\n".join(self.lines[: start - 1][-9:]))[-1]
                name = re.search(r"(\w+)\(", head)
                found.append(Function(name[1] if name else "?", start, number - start + 1))
                start = None
        return found


def tracked_files():
    """The files git has or would add; in an unpacked archive, all."""
    argv = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    run = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    if run.returncode == 0:
        return sorted(set(filter(os.path.isfile, run.stdout.decode().split("\0"))))
    return sorted(
        os.path.relpath(os.path.join(folder, name))
        for folder, _, names in os.walk(".")
        if not folder.startswith("./build")
        for name in names
    )


def is_ours(path):
    """C that is part of the product."""
    return path.startswith(("libcertauto/", "bindings/"))


def check_folder(source):
    """libcertauto/: includes go one way."""
    _, folder, name = source.path.split("/", 2)
    for offset, header in source.includes():
        other = header.split("/")[0]
        if other not in BELOW or other == folder or other in BELOW[folder]:
            continue
        if not {(folder, header), (f"{folder}/{name}", header)} & EXCEPTIONS.keys():
            yield source.at(offset, f"{folder}/ must not include {header}")


def check_public_only(source):
    """Outside libcertauto/: public headers, those of the own folder, those of the system."""
    folder = os.path.dirname(source.path)
    for offset, header in source.includes():
        if header.startswith("certauto") or os.path.exists(os.path.join(folder, header)):
            continue
        if header.split("/")[0] in BELOW:
            yield source.at(offset, f"{header} is private to the library")


def check_includes(source):
    """Who includes whom."""
    if source.path.startswith("libcertauto/"):
        yield from check_folder(source)
    elif not source.path.startswith("tests/unit/"):
        yield from check_public_only(source)
    if source.path.startswith("tests/"):
        return
    for offset, header in source.includes():
        for library, folders in LIBRARIES.items():
            if header.startswith(library) and not source.path.startswith(tuple(folders)):
                yield source.at(offset, f"<{header}> belongs into {folders[0]}")


def check_words(source):
    """What our code must not say, or in one place only."""
    if not is_ours(source.path):
        return
    for found in re.finditer(r"\b([a-z]+)\s*\(", source.code):
        if found[1] in FORBIDDEN_CALLS:
            yield source.at(found.start(), f"{found[1]}(): {FORBIDDEN_CALLS[found[1]]}")
    for found in re.finditer(r'"(?:/bin/)?sh"', source.text):
        yield source.at(found.start(), "programs are run without a shell")
    for word, path in ALONE.items():
        for found in re.finditer(rf"\b{word}", source.code):
            if source.path != path:
                yield source.at(found.start(), f"{word} belongs into {path}")


def check_shape(source):
    """Columns, comments, opening, length of functions."""
    for number, line in enumerate(source.lines, 1):
        width = len(line.expandtabs(TAB))
        if width > COLUMNS:
            yield Complaint(source.path, number, f"{width} columns")
        if line != line.rstrip():
            yield Complaint(source.path, number, "blanks at the end")
    for found in re.finditer("//", source.code):
        yield source.at(found.start(), "comments are /* */")
    if source.lines[0] != "/* SPDX-License-Identifier: Apache-2.0 */":
        yield Complaint(source.path, 1, "must begin with the SPDX line")
    if source.path.endswith(".c") and not re.match(r"[^\n]*\n+/\*", source.text):
        yield Complaint(source.path, 2, "must open with what the file is for")
    for function in source.functions():
        if function.n_lines > LONGEST:
            text = f"{function.name}() has {function.n_lines} lines"
            yield Complaint(source.path, function.line, text)


def check_header(source):
    """Public headers: a comment for each function or group, saying since when; plain types."""
    for offset, name in api.declarations(source.text):
        before = source.text[:offset]
        while before.endswith("\n") and not before.endswith(("*/\n", "\n\n")):
            # Further functions of a group stand below the first, without a blank line.
            before = before[: before.rstrip("\n").rfind("CERTAUTO_API")]
        comment = before[before.rfind("/**") :]
        if not before.endswith("*/\n"):
            yield source.at(offset, f"{name}() has no comment")
        elif not re.search(r"@since \d+\.\d+", comment):
            yield source.at(offset, f"the comment of {name}() lacks @since")
    for found in re.finditer(r"\b(bool|_Bool|long|short|unsigned int|time_t|FILE)\b", source.code):
        yield source.at(found.start(), f"{found[1]} is no type for the ABI")


def check_text(source):
    """All files: nothing left to do, nothing of the machine it was written on."""
    for found in re.finditer(r"\b(?:TOD[O]|FIXM[E]|XX[X])\b", source.text):
        yield source.at(found.start(), "open an issue instead")
    for found in re.finditer(r"(?<![\w.])/(?:work|tmp/h)[\d/]|\.\./share[d]\b", source.text):
        yield source.at(found.start(), "a path of the machine this was written on")


def check_map():
    """The symbol map lists what the headers declare."""
    declared, mapped = set(api.functions()), set(api.mapped())
    for name in sorted(declared - mapped):
        yield Complaint(api.MAP, 1, f"lacks {name}")
    for name in sorted(mapped - declared):
        yield Complaint(api.MAP, 1, f"{name} is in no public header")


def rows(table, what):
    """The names in a table of rows such as &certauto__target_haproxy."""
    if os.path.exists(table):
        return re.findall(rf"&certauto__{what}_(\w+)\b", api.read(table))
    return []


def check_targets(files):
    """Five things for each target: file, row, page, real server or simulator, test."""
    table = "libcertauto/targets/targets.c"
    names = rows(table, "target")
    if not names:
        yield Complaint(table, 1, "no rows found")
    for name in names:
        server = REAL_SERVER.get(name, name)
        wanted = {
            "a file": rf"libcertauto/targets/{name}\.c",
            "a page": rf"docs/targets/{name}\.md",
            "a real server or simulator": rf"tests/(real|sim)/{server}\.py",
            "a test": rf"tests/(unit|targets|flow)/test_(targets?_)?{name}\w*\.(c|py)",
        }
        for what, pattern in wanted.items():
            if not any(re.fullmatch(pattern, path) for path in files):
                yield Complaint(table, 1, f"target {name} lacks {what}: {pattern}")


def check_man(files):
    """Man pages that mandoc cannot read as meant."""
    pages = [path for path in files if re.fullmatch(r"docs/man/.*\.[1-8]", path)]
    if not shutil.which("mandoc"):
        print("lint: man pages skipped: mandoc is not installed")
        if os.environ.get("CI") == "true":
            yield Complaint("docs/man", 0, "not checked, in CI")
        return
    argv = ["mandoc", "-T", "lint", "-W", "error", *pages]
    run = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=False) if pages else None
    for line in run.stdout.splitlines() if run else []:
        found = re.match(r"mandoc: ([^:]+):(\d+):\d+: (.*)", line)
        yield Complaint(found[1], int(found[2]), found[3]) if found else Complaint("man", 0, line)


def complaints(sources, files):
    """Everything there is to complain about."""
    for source in sources:
        yield from check_text(source)
        if not source.path.endswith((".c", ".h")):
            continue
        yield from check_includes(source)
        yield from check_words(source)
        yield from check_shape(source)
        if source.path.startswith("include/"):
            yield from check_header(source)
    yield from check_map()
    yield from check_targets(files)
    yield from check_man(files)


def readable(files):
    """The text files among files."""
    for path in files:
        try:
            yield Source(path)
        except UnicodeDecodeError:
            pass


def main(args):
    """Check all, or tell lengths."""
    if args not in ([], ["--lengths"]):
        sys.exit(__doc__)
    files = tracked_files()
    sources = list(readable(files))
    functions = sorted(
        (
            (function.n_lines, f"{source.path}:{function.line}: {function.name}()")
            for source in sources
            if is_ours(source.path) and source.path.endswith(".c")
            for function in source.functions()
        ),
        reverse=True,
    )
    if args:
        print("\n".join(f"{n_lines:4} {where}" for n_lines, where in functions[:40]))
        return
    found = list(complaints(sources, files))
    for complaint in found:
        print(f"{complaint.path}:{complaint.line}: {complaint.text}")
    n_long = sum(n_lines > LONG for n_lines, _ in functions)
    median = functions[len(functions) // 2][0] if functions else 0
    print(
        f"lint: {len(files)} files, {len(functions)} functions: median {median} lines,"
        f" {n_long} over {LONG}, longest {functions[0][0] if functions else 0}"
    )
    if found:
        sys.exit(f"lint: FAILED: {len(found)} complaints")


if __name__ == "__main__":
    main(sys.argv[1:])
