"""What the demos share: how they talk, how they run certauto, how they end."""

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

# The path above must be set first.
from real.proc import ServerFailed, exit_on_sigterm  # noqa: E402

RUN_LIMIT_S = 40


class Broken(Exception):
    """Something is not as promised; the text is the sentence for the user."""


def say(text=""):
    """Explain, in lines that fit a terminal."""
    print(textwrap.fill(text, 96), flush=True)


def heading(number, text):
    """Begin a part."""
    print(f"\n--- {number}. {text} " + "-" * max(3, 90 - len(text)), flush=True)


def promise(holds, sentence):
    """Report a promise kept, or end the demo with the sentence."""
    if not holds:
        raise Broken(sentence)
    print(f"  ok: {sentence}", flush=True)


def write_config(path, config):
    """Write a configuration that is shown to a reader: innermost lists and objects on one line."""
    text = json.dumps(config, indent=2)
    with open(path, "w", encoding="utf-8") as file:
        file.write(re.sub(r"[\[{][^\[\]{}]{,90}[\]}]", lambda m: " ".join(m[0].split()), text))
        file.write("\n")


def show_file(path):
    """Print a file, indented."""
    print()
    with open(path, encoding="utf-8") as file:
        print(textwrap.indent(file.read().rstrip(), "    "))


class Stage:
    """The command at work in a folder, before an audience."""

    def __init__(self, binary, folder):
        self.binary = binary
        self.folder = folder

    def path(self, name):
        """A file of the demo."""
        return os.path.join(self.folder, name)

    def certauto(self, *args, config="certauto.json", expect=0, limit_s=RUN_LIMIT_S, show=str):
        """Show a command line, run it, show what it says, as show() makes it for readers."""
        words = (["-c", config] if config else []) + list(args)
        print(f"\n$ certauto {shlex.join(words)}", flush=True)
        before = time.monotonic()
        done = subprocess.run(
            [self.binary, *words],
            cwd=self.folder,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=limit_s,
            check=False,
        )
        print(textwrap.indent(show(done.stdout).rstrip("\n"), "  "))
        print(f"  [exit status {done.returncode}, {time.monotonic() - before:.2f} s]", flush=True)
        if done.returncode != expect:
            raise Broken(
                f"`certauto {' '.join(args)}` ended with status {done.returncode}, not {expect}"
            )
        return done.stdout


def perform(play, programs):
    """Run a demo, play(path of certauto), that needs these programs; returns the exit status."""
    parser = argparse.ArgumentParser(usage="%(prog)s PATH-OF-CERTAUTO")
    parser.add_argument("binary")
    binary = os.path.abspath(parser.parse_args().binary)
    exit_on_sigterm()
    started = time.monotonic()
    try:
        for program in programs:
            if not shutil.which(program):
                raise Broken(f"{program} is not installed; `make demo` installs it")
        play(binary)
    except (Broken, OSError, ServerFailed) as error:
        print(f"\nNOT AS PROMISED: {error}", file=sys.stderr)
        return 1
    except subprocess.TimeoutExpired as error:
        print(f"\nNOT AS PROMISED: certauto did not end within {error.timeout} s", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; nothing is left running", file=sys.stderr)
        return 130
    print(
        f"\nAll as promised, in {time.monotonic() - started:.0f} s. "
        "Every server is stopped and every file is gone."
    )
    return 0
