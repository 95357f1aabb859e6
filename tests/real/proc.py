"""Servers as child processes: started, waited for, always ended."""

import os
import signal
import subprocess
import time


class ServerFailed(Exception):
    """A server did not come up or went away; the text ends with the tail of its log."""


def wait_until(check, what, deadline_s=15.0):
    """Call check until it is true; look often, for a server is ready within milliseconds."""
    end = time.monotonic() + deadline_s
    while True:
        if check():
            return
        if time.monotonic() > end:
            raise TimeoutError(f"waited {deadline_s:g} s in vain for {what}")
        time.sleep(0.005)


def exit_on_sigterm():
    """Make SIGTERM unwind the stack as Ctrl-C does, so that every server is ended. A shell without
    job control starts its background jobs deaf to Ctrl-C: not us, nor those whom we send it."""

    def stop(_number, _frame):
        raise SystemExit(143)

    signal.signal(signal.SIGTERM, stop)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


class Server:
    """A child process with a log file, ended on exit of the with block.

    It gets a session of its own: Ctrl-C on the terminal reaches only us, and we end the servers in
    order. setpriv lets the kernel end it should we be killed outright.
    """

    def __init__(self, name, argv, folder, env=None):
        self.name = name
        self.argv = [str(arg) for arg in argv]
        self.folder = folder
        self.env = {**os.environ, **(env or {})}
        self.log_path = os.path.join(folder, name + ".log")
        self.process = None

    def ready(self):
        """Is it up? Told by each server."""
        raise NotImplementedError

    def start(self):
        """Start it and wait until it is ready."""
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--"] + self.argv,
                cwd=self.folder,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            wait_until(self._up, f"{self.name} to be ready")
        except TimeoutError as late:
            self.stop()
            raise ServerFailed(f"{late}\n{self.log_tail()}") from late
        except BaseException:
            self.stop()
            raise
        return self

    def _up(self):
        if self.process.poll() is not None:
            raise ServerFailed(
                f"{self.name} ended with status {self.process.returncode}:\n{self.log_tail()}"
            )
        return self.ready()

    def stop(self):
        """End it, gently at first."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(3)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        self.process = None

    def restart(self):
        """Stop it and start it again from its files on disk."""
        self.stop()
        return self.start()

    def log(self):
        """Everything it has logged so far."""
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()

    def log_tail(self, lines=15):
        """The end of the log, for error messages."""
        return "\n".join(self.log().splitlines()[-lines:])

    def __enter__(self):
        return self.start()

    def __exit__(self, *_exception):
        self.stop()
