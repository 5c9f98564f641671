"""A command as a worker's function: the program, its input, and the outcome of its end.

Rules of this file
- There is no shell: a command is a list of words, and no word is ever built from a payload.
- The program reads the payload from stdin, byte for byte as it was triggered.
- An exit code means success, retry or fatal.  A program that cannot be started is fatal if no retry could help.
"""

from __future__ import annotations

import errno
import os
import shlex
import signal
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from shiftboss.context import UnfitPayload, storable
from shiftboss.core.bounds import RAW_CHARS
from shiftboss.core.kinds import Table, flag, many, optional, shown, size, whole, word
from shiftboss.core.model import Error, Failed, Outcome, Run, Succeeded, TimedOut, Unfit
from shiftboss.errors import ConfigurationError, WrongPayload
from shiftboss.executors import environment
from shiftboss.executors.body import MAX_PAYLOAD_BYTES
from shiftboss.executors.capture import Capture, Masked
from shiftboss.executors.failure import cut, error_of
from shiftboss.executors.parameters import plain_payload
from shiftboss.executors.results import MAX_RESULT_BYTES
from shiftboss.executors.warden import MARK
from shiftboss.trace import VARIABLE

FAILED = "shiftboss.CommandFailed"
NOT_STARTED = "shiftboss.CommandNotStarted"
OUTPUT_BYTES = 64 * 1024  # of each stream: as much as a person reads; larger output belongs into files
MAX_OUTPUT_BYTES = 16 << 20  # of each stream, while it runs: 20 commands must not fill the memory
MAX_WORDS = 100_000  # of a command line: more than any system accepts
SHOWN_LINES = 5  # lines of stderr in the message of a failure
HOPELESS = (errno.ENOENT, errno.EACCES, errno.ENOTDIR, errno.ENOEXEC, errno.E2BIG, errno.ELOOP, errno.EISDIR)
SIGNALS = 64  # codes from -1 to -64 are signals, as in `subprocess`

_encode = msgspec.json.Encoder(order="deterministic").encode  # a key is compared with the payload's digest (O5)


@dataclass(frozen=True, slots=True)
class Command:
    """A program that stands in place of a function; made by `command(…)`."""

    argv: tuple[str, ...]
    env: Mapping[str, str | None]
    cwd: str | None
    stdin: Literal["payload"] | None
    success_codes: frozenset[int]
    retry_codes: frozenset[int]
    fatal_codes: frozenset[int]
    output_bytes: int
    store: bool = False

    def __str__(self) -> str:
        return shlex.join(self.argv)

    def environment(self, run: Run, mark: str, traceparent: str | None, *, store: str) -> dict[str, str]:
        """This process's environment without our secrets, then `env`, then variables about the run."""
        own = {
            "SHIFTBOSS_RUN_ID": str(run.id),
            "SHIFTBOSS_WORKER": run.worker,
            "SHIFTBOSS_ATTEMPT": str(run.attempt),
            "SHIFTBOSS_OCCURS_AT": run.occurs_at.isoformat(),
            "SHIFTBOSS_FENCE": str(run.claim.fence if run.claim is not None else 0),
            MARK: mark,
            **({} if traceparent is None else {VARIABLE: traceparent}),
        }
        handed_on = {environment.STORE: store} if self.store and store else {}
        given = {**environment.of_program(), **handed_on, **self.env, **own}
        return {name: value for name, value in given.items() if value is not None}

    def is_success(self, code: int) -> bool:
        return code in self.success_codes

    def is_fatal(self, code: int) -> bool:
        return code in self.fatal_codes or (bool(self.retry_codes) and code not in self.retry_codes)


def command(
    argv: Sequence[str | os.PathLike[str]],
    *,
    env: Mapping[str, str | os.PathLike[str] | None] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    stdin: Literal["payload"] | None = "payload",
    success_codes: Iterable[int] = (0,),
    retry_codes: Iterable[int] = (),
    fatal_codes: Iterable[int] = (),
    output_bytes: int | str = OUTPUT_BYTES,
    store: bool = False,
) -> Command:
    """A program to be registered as a worker: `boss.register("backup", command(["pg_dump", "shop"]), cron="@daily")`.

    *argv* is the program and its arguments; there is no shell.  *env* is added to this process's environment; None
    removes a name.  The program inherits only harmless variables of shiftboss.  With *store*, SHIFTBOSS_STORE is the
    address of the node's store, with its password, for a program that calls `shiftboss`.  *stdin*: with "payload" the
    program reads the run's payload as JSON; with None stdin is empty and payloads are refused.  Codes that are neither
    success nor fatal are retried; with *retry_codes* only those are, and -9 stands for a death by signal 9.
    *output_bytes* (a number, or a text like "64KB") is how much of stdout and of stderr is kept, head and tail.
    Raises ConfigurationError.
    """
    if isinstance(argv, (str, bytes)):
        words = os.fsdecode(argv).split()
        raise ConfigurationError(
            f"command({shown(argv)}): commands run without a shell; give a list, command({shown(words)})"
        )
    given = OPTIONS.read(
        {
            "argv": argv,
            "env": env,
            "cwd": cwd,
            "stdin": stdin,
            "success_codes": success_codes,
            "retry_codes": retry_codes,
            "fatal_codes": fatal_codes,
            "output_bytes": output_bytes,
            "store": store,
        },
        of="command(…)",
    )
    made = Command(**given)
    _check(made)
    return made


def _path(value: Any, /, *, name: str) -> str:
    try:
        text = os.fspath(value)
    except Exception:  # noqa: BLE001  # `__fspath__` may be user code
        text = None
    if not isinstance(text, str) or "\0" in text:
        raise ConfigurationError(f"{name}={shown(value)} must be a str or a path without NUL")
    return str.__str__(text)


def _environment(value: Any, /, *, name: str) -> dict[str, str | None]:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{name}={shown(value)} is not a mapping; write {name}={{'LANG': 'C'}}")
    named = {_path(key, name=f"a name in {name}"): each for key, each in value.items()}
    return {key: None if each is None else _path(each, name=f"{name}[{key!r}]") for key, each in named.items()}


def _codes(value: Any, /, *, name: str) -> frozenset[int]:
    return frozenset((_code(value, name=name),) if isinstance(value, int) else many(_code)(value, name=name))


def _code(value: Any, /, *, name: str) -> int:
    try:
        return whole(-SIGNALS, 255)(value, name=name)
    except ConfigurationError as error:
        raise ConfigurationError(
            f"{name}={shown(value)} is not an exit code; use 0 to 255, or -9 for signal 9"
        ) from error


OPTIONS = Table(
    argv=many(_path, most=MAX_WORDS),
    env=lambda value, /, *, name: {} if value is None else _environment(value, name=name),
    cwd=optional(_path),
    stdin=optional(word("payload")),
    success_codes=_codes,
    retry_codes=_codes,
    fatal_codes=_codes,
    output_bytes=size,
    store=flag,
)


def _check(made: Command) -> None:
    if not made.argv or not made.argv[0]:
        raise ConfigurationError("command([]) has no program; give the program and its arguments")
    for name in made.env:
        if not name or "=" in name:
            raise ConfigurationError(f"env=: {name!r} is not the name of an environment variable")
    if not made.success_codes:
        raise ConfigurationError("success_codes is empty, so no run could succeed; give at least 0")
    if not 0 < made.output_bytes <= MAX_OUTPUT_BYTES:
        raise ConfigurationError(f"output_bytes={made.output_bytes} must be from 1 to {MAX_OUTPUT_BYTES:,}")
    means: dict[int, str] = {}
    for option in ("success_codes", "retry_codes", "fatal_codes"):
        for code in sorted(getattr(made, option)):
            if code in means:
                raise ConfigurationError(f"exit code {code} is in both {means[code]} and {option}; drop it from one")
            means[code] = option


class CommandBody:
    """A command in place of a function.  *fallback* runs in its place while the breaker is open (K3)."""

    __slots__ = ("_fallback", "_max_payload_bytes", "_worker", "command")

    is_async = False

    def __init__(
        self,
        command: Command,
        *,
        worker: str,
        fallback: Command | None = None,
        max_payload_bytes: int = MAX_PAYLOAD_BYTES,
    ) -> None:
        if fallback is not None and not isinstance(fallback, Command):
            raise ConfigurationError(f"worker {worker!r}: the fallback of a command must be a command([…]) too")
        self.command = command
        self._worker = worker
        self._fallback = fallback
        self._max_payload_bytes = max_payload_bytes

    # what it takes

    @property
    def takes_nothing_required(self) -> bool:
        return True

    @property
    def parameters(self) -> str:
        """A fingerprint (M7): a command that reads payloads takes any."""
        return "" if self.command.stdin is None else ":any"

    @property
    def signature(self) -> str:
        return "()" if self.command.stdin is None else "(**payload)"

    def schema(self) -> dict[str, Any]:
        """The payload as JSON schema, for a form."""
        return {"type": "object", "additionalProperties": self.command.stdin is not None}

    def encode_payload(self, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None) -> bytes | None:
        """The payload of a trigger: an object with any names; None if there are none.  Raises WrongPayload."""
        if args:
            raise WrongPayload(f"worker {self._worker!r}: a command takes named arguments only")
        return self._plain(kwargs or {})

    def take_payload(self, payload: bytes) -> bytes | None:
        """The payload of a trigger that was written as JSON, as it is; None for `{}`.  Raises WrongPayload."""
        return self._plain(payload)

    def _plain(self, given: Mapping[str, Any] | bytes) -> bytes | None:
        payload = plain_payload(self._worker, given, "a command reads JSON; give it as JSON")
        if payload is None:
            return None
        if self.command.stdin is None:
            raise WrongPayload(f"worker {self._worker!r}: this command takes no payload (stdin=None)")
        if len(payload) > self._max_payload_bytes:
            raise WrongPayload(
                f"worker {self._worker!r}: the payload has {len(payload):,} bytes, the limit is "
                f"{self._max_payload_bytes:,}; store it elsewhere and pass its address, or raise max_payload"
            )
        return payload

    # running it

    def program(self, payload: bytes | None, *, fallback: bool) -> Command:
        """The command to start.  Raises UnfitPayload."""
        chosen = self._fallback if fallback and self._fallback is not None else self.command
        if payload is not None and chosen.stdin is None and chosen is self.command:
            raise UnfitPayload(f"worker {self._worker!r}: this command takes no payload (stdin=None)")
        return chosen

    def call(self, context: Any, payload: bytes | None, *, fallback: bool) -> Any:
        raise NotImplementedError("a command is started by the executor of commands")

    def succeeded(self, value: Any) -> Outcome:
        return Succeeded(None if value is None else _encode(value))

    def failed(self, error: BaseException) -> Outcome:
        """The outcome if the program could not be started for a reason outside of it."""
        return Unfit(error_of(error)) if isinstance(error, UnfitPayload) else Failed(error_of(error))


# ── the outcome of its end ───────────────────────────────────────────────────────────────────────────────────────


def ended(started: Command, code: int, out: Capture, err: Capture, *, masked: Masked) -> Outcome:
    """The outcome of a program that ended by itself with *code*; a negative code is a signal."""
    if started.is_success(code):
        return Succeeded(_result(code, out, err, masked))
    output = err.last_lines(SHOWN_LINES, masked) or out.last_lines(SHOWN_LINES, masked)
    message = f"{named(code)}: {output}" if output else f"{named(code)}, nothing on stderr"
    return Failed(Error(FAILED, storable(message, RAW_CHARS), _both(out, err, masked)), fatal=started.is_fatal(code))


def timed_out(timeout_s: float | None, how: str, out: Capture, err: Capture, *, masked: Masked) -> TimedOut:
    message = f"did not end within its timeout of {timeout_s:g} s; when told to end, it {how}"
    return TimedOut(Error("TimeoutError", message, _both(out, err, masked)))


def not_started(started: Command, error: Exception) -> Failed:
    """The outcome if the system refused to start the program."""
    number = error.errno if isinstance(error, OSError) else None
    program = started.argv[0]
    if started.cwd is not None and not os.path.isdir(started.cwd):
        what = f"its working directory {started.cwd!r} does not exist; create it, or correct cwd="
    elif number == errno.ENOENT:
        where = "" if os.path.dirname(program) else " in its PATH"
        what = f"there is no program {program!r}{where}, or the interpreter that it names is missing; install it"
    elif number == errno.EACCES:
        what = f"{program!r} cannot be executed; check its permissions"
    elif number == errno.ENOEXEC:
        what = f"{program!r} is not a program for this machine, or it is a script without a '#!' line"
    elif number == errno.E2BIG:
        what = "its arguments and environment are too long for this system; pass them on stdin"
    else:
        what = f"{program!r} cannot be started: {error}"
    return Failed(Error(NOT_STARTED, what), fatal=number in HOPELESS or isinstance(error, ValueError))


def named(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = " (sent by another process, or by the kernel when memory ran out)" if -code == signal.SIGKILL else ""
    return f"ended by {name}{hint}"


def _result(code: int, out: Capture, err: Capture, masked: Masked) -> bytes:
    limit = MAX_RESULT_BYTES
    while True:
        result: dict[str, Any] = {"exit_code": code, "stdout": out.text(limit, masked)}
        if err.total:
            result["stderr"] = err.text(limit, masked)
        encoded = _encode(result)
        if len(encoded) <= MAX_RESULT_BYTES:
            return encoded
        limit //= 2  # two streams, the marks, and characters that JSON writes in six bytes: a few rounds at most


def _both(out: Capture, err: Capture, masked: Masked) -> str:
    """Both outputs, as shown beside an error."""
    parts = [f"── {name}\n{each.text(8000, masked)}" for name, each in (("stderr", err), ("stdout", out)) if each.total]
    return cut("\n".join(parts))
