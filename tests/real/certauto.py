"""The command under test: its configuration, its runs, what it prints."""

import json
import os
import shlex
import subprocess
from dataclasses import dataclass


@dataclass
class Run:
    """One finished run of the command."""

    argv: list
    status: int
    out: str
    err: str

    def json(self):
        """What it printed under --json."""
        return json.loads(self.out)

    def __str__(self):
        return f"$ {shlex.join(self.argv)}\nstatus {self.status}\n{self.out}{self.err}"


class Certauto:
    """The program at binary, used with one configuration file."""

    def __init__(self, binary, config_file=None, env=None):
        self.binary = os.path.abspath(binary)
        self.config_file = config_file
        self.env = {**os.environ, "LC_ALL": "C.UTF-8", **(env or {})}

    def argv(self, *args):
        """The whole command line for args."""
        config = ["-c", self.config_file] if self.config_file else []
        return [self.binary, *config, *[str(arg) for arg in args]]

    def start(self, *args, env=None, **popen):
        """Start it without waiting for its end."""
        return subprocess.Popen(
            self.argv(*args),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**self.env, **(env or {})},
            **popen,
        )

    def finish(self, process, timeout_s=60):
        """Wait for a started run."""
        try:
            out, err = process.communicate(timeout=timeout_s)
        except BaseException:
            process.kill()
            process.communicate()
            raise
        return Run(process.args, process.returncode, out, err)

    def run(self, *args, env=None, timeout_s=60, **popen):
        """Run it to its end, whatever its exit status."""
        return self.finish(self.start(*args, env=env, **popen), timeout_s)

    def status(self, name):
        """The entry of one certificate in status --json."""
        run = self.run("status", "--json")
        assert run.status == 0, run
        return next(entry for entry in run.json()["certificates"] if entry["name"] == name)

    def lineage(self, name, key="ecdsa-p256"):
        """The entry of one key of one certificate in status --json."""
        return next(entry for entry in self.status(name)["lineages"] if entry["key"] == key)


def write_config(path, config):
    """Write a configuration file and return its path."""
    with open(path, "w", encoding="utf-8") as file:
        json.dump(config, file, indent=2)
        file.write("\n")
    return path
