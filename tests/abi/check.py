#!/usr/bin/python3
"""make check-abi: what programs are compiled against is what it was, and nothing else is exported.

usage: check.py [--write] LIBRARY        (from the top of the sources; CC and NM name the tools)

1. Symbols of the library, its map and the functions of the public headers are the same.
2. constants.txt holds every constant and the place of every member of a public table. A line that
   is there never changes or goes; --write adds the new ones.
3. abidiff against the baseline <architecture>.abi, where there are both.
"""

import os
import platform
import re
import shlex
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "tools"))

# The path above must be set first.
import api  # noqa: E402

CC = shlex.split(os.environ.get("CC", "cc"))
NM = shlex.split(os.environ.get("NM", "nm"))
CONSTANTS = os.path.join(HERE, "constants.txt")


def output(argv, stdin=""):
    """Standard output of a program that must succeed."""
    return subprocess.run(argv, input=stdin, stdout=subprocess.PIPE, text=True, check=True).stdout


def exported(library):
    """Names that a library defines for others; the version node itself is not one."""
    lines = output([*NM, "-D", "--defined-only", library]).splitlines()
    symbols = [line.split() for line in lines]
    return sorted(name.split("@")[0] for *_, kind, name in symbols if kind != "A")


def check_symbols(library):
    """Complaints about names that are not in all three places."""
    places = {
        "the headers": set(api.functions()),
        "certauto.map": set(api.mapped()),
        os.path.basename(library): set(exported(library)),
    }
    for name in sorted(set().union(*places.values())):
        missing = [place for place, names in places.items() if name not in names]
        if missing:
            yield f"{name}: not in {' nor in '.join(missing)}"


def constant_lines():
    """"NAME = value" of each constant as the compiler sees it. Versions are there to change."""
    source = "".join(f"#include <{path[len('include/'):]}>\n" for path in api.header_files())
    text = output([*CC, "-Iinclude", "-E", "-P", "-x", "c", "-"], source)
    macros = output([*CC, "-Iinclude", "-E", "-dM", "-x", "c", "-"], source)
    names = [
        name
        for body in re.findall(r"\benum\b[^{;]*\{(.*?)\}", text, re.S)
        for name in re.findall(r"\b(CERTAUTO_\w+)", body)
    ]
    names += re.findall(r"^#define (CERTAUTO_\w+) [-(]*\d", macros, re.M)
    names = sorted({name for name in names if "_VERSION" not in name})
    prints = "".join(f'\tprintf("%s = %lld\\n", "{name}", (long long)({name}));\n' for name in names)
    program = f"{source}#include <stdio.h>\nint main(void)\n{{\n{prints}\treturn 0;\n}}\n"
    return run_c(program).splitlines()


def run_c(program):
    """What a C program prints."""
    with_path = os.path.join(os.environ.get("TMPDIR", "/tmp"), f"certauto-abi-{os.getpid()}")
    try:
        output([*CC, "-Iinclude", "-x", "c", "-o", with_path, "-"], program)
        return output([with_path])
    finally:
        if os.path.exists(with_path):
            os.unlink(with_path)


def table_lines():
    """"table.member = place" of each member of a public table: tables grow only at the end."""
    return [
        f"{table}.{member} = {place}"
        for table, members in api.tables()
        for place, member in enumerate(members)
    ]


def check_constants(write):
    """Complaints about constants that changed, went, or are new and not written down."""
    now = constant_lines() + table_lines()
    try:
        known = api.read(CONSTANTS).splitlines()
    except FileNotFoundError:
        known = []
    present = set(now)
    gone = [line for line in known if line not in present]
    for line in gone:
        yield f"constants.txt: changed or gone: {line}"
    added = [line for line in now if line not in set(known)]
    if added and write and not gone:
        with open(CONSTANTS, "w", encoding="utf-8") as file:
            file.write("".join(line + "\n" for line in known + added))
    elif added:
        for line in added:
            yield f"constants.txt: not there yet: {line}"
        if not gone:
            yield "constants.txt: if these are meant: make check-abi WRITE=1"


def check_types(library):
    """Complaints of abidiff; the second value says why it did not look."""
    baseline = os.path.join(HERE, platform.machine() + ".abi")
    if not os.path.exists(baseline):
        return [], f"abidiff skipped: no baseline {os.path.basename(baseline)} before a release"
    if not shutil.which("abidiff"):
        return [], "abidiff skipped: abigail-tools is not installed"
    argv = ["abidiff", "--headers-dir2", "include", baseline, library]
    run = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=False)
    renew = f"abidw --headers-dir include --out-file {baseline} {library}"
    if run.returncode:
        return [run.stdout, f"abidiff: if this is meant: {renew}"], None
    return [], None


def main(args):
    """Run the checks."""
    write = "--write" in args
    args = [arg for arg in args if arg != "--write"]
    if len(args) != 1:
        sys.exit(__doc__)
    types, skipped = check_types(args[0])
    complaints = [*check_symbols(args[0]), *check_constants(write), *types]
    for complaint in complaints:
        print(complaint)
    if complaints:
        sys.exit("check-abi: FAILED")
    n_lines = len(api.read(CONSTANTS).splitlines())
    print(f"check-abi: {len(api.functions())} functions, {n_lines} constants and members")
    if skipped:
        print("check-abi:", skipped)


if __name__ == "__main__":
    main(sys.argv[1:])
