# SPDX-License-Identifier: Apache-2.0
"""The context: one loop that everything hangs on."""

from __future__ import annotations

from time import monotonic
from _weakref import ref

from ._error import Error
from ._errors import Busy, TimedOut
from ._handle import AGAIN, FOREVER, Handle, c, raw, raw_or_none, text_list
from ._job import Event, Job
from ._objects import Account, Chain, Csr, Fleet, Key, Store, Target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, Callable, Sequence

    from ._aio import Driver
    from ._handle import Text

SLICE_MS = 100  # how long Ctrl-C may have to wait
KEPT_MAX = 16


class _Teller:
    """Called with each event. It is held by C, where the garbage collector does not see it: so it
    does not hold the context."""

    __slots__ = ("_cx",)

    def __init__(self, cx: Context) -> None:
        self._cx = ref(cx)

    def __call__(self, event: Any) -> int:
        cx = self._cx()
        return cx._tell(event) if cx is not None else 0


class Context(Handle):
    """A loop with its connections, jobs and settings; used by one thread at a time.

    on_event is called with each Event; what it raises cancels the job concerned and is raised again
    by whoever waits for that job. logger, a name or a logging.Logger, gets all events as records.
    """

    __slots__ = ("_depth", "_driver", "_interrupt", "_jobs", "_kept", "_log", "_on_event")

    def __init__(
        self,
        *,
        user_agent: str | None = None,
        on_event: Callable[[Event], object] | None = None,
        logger: Any = None,
    ) -> None:
        self._jobs: dict[int, Job] = {}  # those that have not ended
        self._depth = 0  # callbacks that are running
        self._driver: Driver | None = None
        self._interrupt: BaseException | None = None
        self._kept: list[tuple[str, BaseException]] = []
        self._log: Callable[[Event], None] | None = None
        self._on_event: Callable[[Event], object] | None = None
        self._h = c.certauto_context_new()
        self._cx = self
        if user_agent is not None:
            c.certauto_context_set_user_agent(self._h, user_agent)
        if logger is not None:
            self.log_to(logger)
        if on_event is not None:
            self.on_event = on_event

    # ---- what is told ----

    @property
    def on_event(self) -> Callable[[Event], object] | None:
        """Called with each event, on the thread that runs the context. Calls that run the context
        raise Busy inside."""
        return self._on_event

    @on_event.setter
    def on_event(self, call: Callable[[Event], object] | None) -> None:
        if call is not None and not callable(call):
            raise TypeError("on_event must be callable")
        self._on_event = call
        self._listen()

    def log_to(self, logger: Any) -> None:
        """Send events to logging: a logger or its name; None ends it. Its level, as it is now,
        decides how much is told. Records have the event as their attribute `certauto`."""
        if logger is None:
            self._log = None
        else:
            from ._log import level_of, writer

            self._log = writer(logger)
            self.set_log_level(level_of(logger))
        self._listen()

    def set_log_level(self, level: int) -> None:
        """Up to which level events of type LOG are told: a certauto.LogLevel."""
        c.certauto_context_set_log_level(self._h, level)

    def _listen(self) -> None:
        wanted = self._on_event is not None or self._log is not None
        c.certauto_context_set_event_cb(self._h, _Teller(self) if wanted else None)

    def _tell(self, raw: Any) -> int:
        job = self._jobs.get(c.certauto_event_job(raw))
        event = Event(self, job, raw)
        self._depth += 1
        try:
            if self._log is not None:
                self._log(event)
            if self._on_event is not None:
                self._on_event(event)
        except Exception as error:
            if job is not None and job._raised is None:
                job._raised = error
            elif job is None:
                self._interrupt = error
            return c.CERTAUTO_ECANCELED
        except BaseException as error:  # Ctrl-C concerns whoever runs the context, not one job
            self._interrupt = error
        finally:
            self._depth -= 1
        return 0

    # ---- what is raised in callbacks ----

    def _keep(self, error: BaseException, words: str) -> int:
        """Keep what a callback has raised, for the one whose error has these words in it."""
        if not isinstance(error, Exception):
            self._interrupt = error
            return c.CERTAUTO_ECANCELED
        self._kept = [*self._kept[1 - KEPT_MAX :], (words, error)]
        return error.code if isinstance(error, Error) and error.code < 0 else c.CERTAUTO_ECANCELED

    def _original(self, error: Error) -> BaseException:
        """What to raise for an error: what a callback has raised, if that is why."""
        texts = [error.message, *[one.detail or "" for one in error.subproblems]]
        for words, kept in reversed(self._kept):
            if any(words in text for text in texts):
                if not isinstance(kept, Error):
                    return kept
                error.__cause__ = kept
                break
        return error

    def _raise_interrupt(self) -> None:
        if self._interrupt is not None:
            error, self._interrupt = self._interrupt, None
            raise error

    # ---- running ----

    def run(self, timeout: float | None = None) -> int:
        """Work for so many seconds; 0 = what is ready, None = until no job is left.
        The number of unfinished jobs. What a callback has raised is raised when its job ends."""
        end = None if timeout is None else monotonic() + timeout
        while True:
            wait_ms = SLICE_MS if end is None else self._left_ms(end)
            unfinished = c.certauto_context_run(self._h, wait_ms)
            self._raise_interrupt()
            for job in self._reap():
                if job._raised is not None:
                    raise job._raised
            if unfinished == 0 or (end is not None and monotonic() >= end):
                return unfinished

    @staticmethod
    def _left_ms(end: float) -> int:
        return max(0, min(SLICE_MS, int((end - monotonic()) * 1000 + 0.999)))

    def _reap(self) -> list[Job]:
        """The jobs that have ended since; they are not needed here any more."""
        ended: list[Job] = []
        while True:
            number = c.certauto_context_next_done(self._h)
            if number == 0:
                return ended
            job = self._jobs.pop(number, None)
            if job is not None:
                ended.append(job)

    def _turn(self, job: Job, timeout: float | None) -> bool:
        """Run until the job has ended. In slices: what a signal asks for is done in between."""
        handle = job._h
        end = None if timeout is None else monotonic() + timeout
        while c.certauto_job_result(handle) == AGAIN:
            wait_ms = SLICE_MS if end is None else self._left_ms(end)
            try:
                c.certauto_job_wait(handle, wait_ms)
            except TimedOut:
                pass  # the slice, or the job: see above
            except Error:
                if c.certauto_job_result(handle) == AGAIN:
                    raise
            self._raise_interrupt()
            if end is not None and monotonic() >= end:
                break
        else:
            self._part(handle)
            return True
        return c.certauto_job_result(handle) != AGAIN

    def _part(self, handle: Any) -> None:
        """A job has ended. If it was the last, sessions are closed, which takes some seconds at
        most."""
        try:
            c.certauto_job_wait(handle, FOREVER)
        except Error:
            pass  # that of the job
        if not self.closed:
            self._reap()

    def _run(self, start: Callable[..., Job], *args: Any, **more: Any) -> Any:
        """A blocking verb: its job is not left behind, whatever happens."""
        if self._depth:
            raise Busy("this call runs the context: it cannot be made inside one of its callbacks")
        job = start(*args, **more)
        try:
            self._turn(job, None)
        except BaseException:
            self._take_back(job)
            raise
        return job._finish()

    def _take_back(self, job: Job) -> None:
        job.cancel()
        try:
            self._turn(job, None)
        except Error:
            pass  # another thread runs the context, or it was closed
        except BaseException:
            job.cancel()  # Ctrl-C again: at once
            raise

    def _call(self, function: Callable[..., Any], *args: Any) -> Any:
        """A call in which callbacks may have raised."""
        try:
            return function(*args)
        except Error as error:
            original = self._original(error)
            if original is error:
                raise
            raise original from None
        finally:
            self._raise_interrupt()

    def cancel(self) -> None:
        """Cancel all jobs: each takes back what it has changed. Asked twice they leave at once.
        Any thread, and in signal handlers."""
        c.certauto_context_cancel(self._h)

    @property
    def busy(self) -> bool:
        """Whether a thread is inside. Any thread."""
        return bool(c.certauto_context_busy(self._h))

    def fileno(self) -> int:
        """One descriptor, readable when run(0) has work, timers included: for other loops."""
        return c.certauto_context_fd(self._h)

    @property
    def wait_seconds(self) -> float | None:
        """Until the next timer, for loops that cannot watch a descriptor. None: there is none."""
        wait_ms = c.certauto_context_wait_ms(self._h)
        return None if wait_ms < 0 else wait_ms / 1000

    def close(self) -> None:
        """End it. Jobs that run end with Canceled, and without the network: what they have changed
        is settled by a later run, if a store keeps it. Never blocks; Busy if another thread is
        inside."""
        if self.closed:
            return
        handle = self._h
        super().close()
        try:
            c.delete_certauto_context(handle)
        except Busy:
            self._h = handle
            raise
        if self._driver is not None:
            self._driver.end()
        self._jobs.clear()
        self._on_event = self._log = None
        self._kept.clear()

    async def __aenter__(self) -> Context:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _about(self) -> str:
        return f"with {len(self._jobs)} jobs" if self._jobs else ""

    # ---- what is made from it ----

    def key(self, type: str = "ecdsa-p256") -> Key:
        """A new key: ecdsa-p256, ecdsa-p384, rsa-2048, rsa-3072, rsa-4096."""
        return Key(self, c.certauto_key_new(self._h, type))

    def key_from(self, data: Text) -> Key:
        """A private key as PEM or DER, not encrypted."""
        return Key(self, c.certauto_key_parse(self._h, data))

    def key_load(self, path: Any) -> Key:
        """The same from a file that is closed to group and others."""
        return Key(self, c.certauto_key_load(self._h, str(path)))

    def key_signer(self, public: Text, sign: Callable[[str, bytes], bytes]) -> Key:
        """A key kept elsewhere; public: its SubjectPublicKeyInfo, DER. sign(alg, digest) gives the
        signature: for ES256 and ES384 r and s joined, for RS256 the PKCS#1 v1.5 block."""
        from ._callbacks import signer

        return Key(self, c.certauto_key_new_signer(self._h, public, signer(self, sign)))

    def csr(self, key: Key, names: Sequence[str] | str, subject: str | None = None) -> Csr:
        """A request for names: DNS names, wildcards, addresses. subject: "CN=a, O=b"."""
        if subject is None:
            return Csr(self, self._call(c.certauto_csr_new, self._h, raw(Key, key), names))
        made = self._call(c.certauto_csr_new_subject, self._h, raw(Key, key), subject, names)
        return Csr(self, made)

    def csr_from(self, data: Text) -> Csr:
        """A request, PEM or DER."""
        return Csr(self, c.certauto_csr_parse(self._h, data))

    def chain_from(self, data: Text) -> Chain:
        """Certificates, PEM, leaf first."""
        return Chain(self, c.certauto_chain_parse(self._h, data))

    def account(
        self,
        server: str,
        *,
        key: Key | None = None,
        key_type: str | None = None,
        contact: Sequence[str] | str = (),
        agree_tos: bool = False,
        eab: tuple[str, Text] | None = None,
        eab_alg: str | None = None,
        ca_file: Any = None,
        allow_hosts: Sequence[str] = (),
        store: Store | None = None,
        name: str | None = None,
    ) -> Account:
        """An account at a CA: its directory URL, "letsencrypt" or "letsencrypt-staging".

        eab: key id and MAC key (base64url); ca_file: what the server's certificate is verified by;
        store: where the key and the URL are kept, under name.
        """
        made = Account(self, c.certauto_account_new(self._h, server))
        if key is not None:
            c.certauto_account_set_key(made._h, raw(Key, key))
        if key_type is not None:
            c.certauto_account_set_key_type(made._h, key_type)
        for uri in (contact,) if isinstance(contact, str) else contact:
            c.certauto_account_add_contact(made._h, uri)
        c.certauto_account_set_agree_tos(made._h, int(agree_tos))
        if eab is not None:
            c.certauto_account_set_eab(made._h, *eab)
        if eab_alg is not None:
            c.certauto_account_set_eab_alg(made._h, eab_alg)
        if ca_file is not None:
            c.certauto_account_set_ca_file(made._h, str(ca_file))
        for host in allow_hosts:
            c.certauto_account_allow_host(made._h, host)
        if name is not None:
            c.certauto_account_set_name(made._h, name)
        if store is not None:
            c.certauto_account_use_store(made._h, raw(Store, store))
        return made

    def target(self, type: Any, **options: object) -> Target:
        """A target of a built-in type ("haproxy"), or of an object written in Python: see
        certauto.Work."""
        if isinstance(type, str):
            made = Target(self, c.certauto_target_new(self._h, type))
        else:
            from ._callbacks import operations

            made = Target(self, c.certauto_target_new_ops(self._h, *operations(self, type)))
        made.set(**options)
        return made

    def add_target(self, target: object) -> None:
        """Make the type of an object written in Python known, for target() and configurations: its
        attribute `type` is the type's name."""
        from ._callbacks import operations

        c.certauto_context_add_target(self._h, *operations(self, target))

    @property
    def target_types(self) -> list[str]:
        """The types target() knows."""
        return text_list(self._h, c.certauto_target_n_types, c.certauto_target_type_name)

    def store(self, type: str = "files", **options: object) -> Store:
        """Where accounts, certificates and journals are kept: store("files", directory=...)."""
        made = Store(self, c.certauto_store_new(self._h, type))
        made.set(**options)
        return made

    def use_store(self, store: Store | None) -> None:
        """Keep the journals of all jobs there, so that a later run settles what this one left."""
        c.certauto_context_use_store(self._h, raw_or_none(Store, store))

    def fleet(self, path: Any) -> Fleet:
        """A configuration file, certauto.json(5)."""
        return Fleet(self, c.certauto_fleet_load(self._h, str(path)))

    def fleet_from(self, config: Text | dict[str, Any]) -> Fleet:
        """The same from text, or as a dict."""
        if isinstance(config, dict):
            import json

            config = json.dumps(config)
        return Fleet(self, c.certauto_fleet_parse(self._h, config))
