"""A C program over the public API (tests/flow/acme_driver.c), built against the library under test.

For calls that no verb of the command makes.
"""

import os
import shlex
import subprocess

from .certauto import Run

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SOURCE = os.path.join(ROOT, "tests", "flow", "acme_driver.c")


def build(folder, binary, source=SOURCE, libraries=()):
    """Compile it in folder, for the library beside the program binary; returns its path."""
    built = os.path.dirname(os.path.abspath(binary))
    program = os.path.join(folder, os.path.basename(source)[: -len(".c")])
    with open(os.path.join(built, "libcertauto.so"), "rb") as library:
        sanitized = b"__asan_init" in library.read()
    subprocess.run(
        [
            *shlex.split(os.environ.get("CC", "cc")),
            *["-std=c99", "-Wall", "-Wextra", "-Werror", "-g"],
            *(["-fsanitize=address,undefined"] if sanitized else []),
            *["-I" + os.path.join(ROOT, "include"), "-o", program, source],
            *["-L" + built, "-lcertauto", "-Wl,-rpath," + built, *libraries],
        ],
        check=True,
    )
    return program


class Driver:
    """The program, used with one server and one state folder (None: no store)."""

    def __init__(self, program, server, ca_file, state=None):
        self.program, self.server, self.ca_file, self.state = program, server, ca_file, state

    def run(self, *args, state=True):
        """One verb with its arguments; state=None leaves the store out."""
        folder = self.state if state is True else state
        argv = [self.program, self.server, self.ca_file, str(folder or "-"), *map(str, args)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
        return Run(argv, done.returncode, done.stdout, done.stderr)
