"""ControlScripts as the controller runs them: a process of its own, its output, its time limit."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass

from . import avi_certs
from .avi_types import AviError

# What calls certificate_request(). The arguments come in a file, as they hold passwords.
CALLER = """
import importlib.util, json, os, sys
script, arguments, result = sys.argv[1:]
with open(arguments, encoding="utf-8") as file:
    given = json.load(file)
os.unlink(arguments)
spec = importlib.util.spec_from_file_location("control_script", script)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
answer = module.certificate_request(given["csr"], given["common_name"], given["args"])
with open(result, "w", encoding="utf-8") as file:
    json.dump(answer, file)
"""


@dataclass
class Run:
    """One call of a script. args: without the values of sensitive parameters."""

    certificate: str  # name of the object, or None
    script: str
    csr: str
    common_name: str
    args: dict
    pid: int = None
    status: int = None
    killed: bool = False
    seconds: float = 0.0
    stdout: str = ""
    stderr: str = ""
    answer: object = None
    error: str = None

    @property
    def ok(self):
        """Did it give a certificate that fits?"""
        return self.error is None


class Scripts:
    """The place where scripts run: a container with files of its own."""

    def __init__(self, avi, folder):
        self.avi, self.folder, self.runs = avi, folder, []
        self._running, self._lock, self._closed = set(), threading.Lock(), False
        self.tmp = os.path.join(folder, "container")
        os.mkdir(self.tmp)

    def restart_container(self):
        """What scripts left in their /tmp is gone."""
        shutil.rmtree(self.tmp)
        os.mkdir(self.tmp)

    def stop(self):
        """End what still runs."""
        with self._lock:
            self._closed = True
            for process in self._running:
                _kill(process)

    def environment(self):
        """What a script finds around itself."""
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": self.tmp,
            "TMPDIR": self.tmp, "DOCKER_GATEWAY": self.avi.url, **self.avi.script_env,
        }  # fmt: skip

    def call(self, run, source, args, limit):
        """Run it; what comes of it is in run."""
        self.runs.append(run)
        folder = tempfile.mkdtemp(prefix="script-", dir=self.folder)
        paths = [os.path.join(folder, name) for name in ("script.py", "arguments", "result")]
        given = {"csr": run.csr, "common_name": run.common_name, "args": args}
        for path, text in zip(paths, (source, json.dumps(given))):
            with open(path, "w", encoding="utf-8", opener=_private) as file:
                file.write(text)
        try:
            self._process(run, paths, limit)
            self._judge(run, paths[2])
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _process(self, run, paths, limit):
        begin = time.monotonic()
        with self._lock:
            if self._closed:
                raise AviError(503, "the controller shuts down")
            process = subprocess.Popen(
                [self.avi.script_python, "-B", "-c", CALLER, *paths], cwd=self.tmp,
                env=self.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, start_new_session=True,
            )  # fmt: skip
            self._running.add(process)
        run.pid = process.pid
        try:
            output = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            run.killed = True
            _kill(process)
            output = process.communicate()
        finally:
            with self._lock:
                self._running.discard(process)
        run.seconds, run.status = time.monotonic() - begin, process.returncode
        run.stdout, run.stderr = [text.decode(errors="replace") for text in output]

    def _judge(self, run, result):
        if run.killed:
            run.error = "script timed out"
        elif run.status != 0:
            run.error = f"script ended with status {run.status}"
        else:
            with open(result, encoding="utf-8") as file:
                run.answer = json.load(file)
            run.error = _flaw(run.answer, run.csr)


def _private(path, flags):
    return os.open(path, flags, 0o600)


def _kill(process):
    # The whole group: what the script started goes with it.
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _flaw(answer, csr):
    """Why what a script returned is no certificate for the request, or None."""
    if not isinstance(answer, str):
        return f"certificate_request returned {type(answer).__name__}, no string"
    try:
        chain = avi_certs.blocks(answer)
    except AviError as error:
        return error.text
    if not avi_certs.fits_request(chain[0], csr):
        return "the certificate does not belong to the key of the CSR"
    for cert, above in zip(chain, chain[1:]):
        if not avi_certs.issued(above, cert):
            return "the chain is not in order"
    return None


def arguments(avi, profile, obj):
    """(args_dict of a script, the same without what is sensitive)."""
    own = {one["name"]: one.get("value", "") for one in obj.data.get("dynamic_params", [])}
    args, told = {}, {}
    for one in profile.data.get("script_params", []):
        name, value = one["name"], one.get("value", "")
        if one["is_dynamic"]:
            if name not in own and avi.dynamic_unset == "omit":
                continue
            value = own.get(name, "")
        args[name] = value
        told[name] = "..." if one["is_sensitive"] else value
    return args, told


def failure(run):
    """What the controller says of a run that gave nothing."""
    return (
        f'Error from certificate management service: {run.error}. STDOUT - "{run.stdout}". '
        f'STDERR - "{run.stderr}"'
    )


PYTHON = sys.executable
