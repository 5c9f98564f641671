"""A worker's Python function: its payload, its call, its outcome.

Rules of this file
- The parameters are read and checked once, at the declaration: `signature.py`, `parameters.py`.
- Every exception is an outcome, SystemExit and KeyboardInterrupt as well: no function ends the process.  (A Ctrl-C
  that reaches the thread while it runs a function was not raised by that function: `failure.is_ctrl_c`.)
- If a function returns a coroutine or a generator, its work is not done: that is a failure, and no retry helps.
- A result that cannot be kept, or cannot be given back as it was, is no failure: the run has succeeded, and its
  `result_error` says why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from shiftboss.context import Fatal, Idle, Retry, UnfitPayload
from shiftboss.core.model import Error, Failed, Outcome, Succeeded, Unfit
from shiftboss.errors import ConfigurationError, WrongPayload
from shiftboss.executors import connections
from shiftboss.executors.failure import class_name, error_of, leaves
from shiftboss.executors.parameters import EMPTY, Parameters
from shiftboss.executors.results import Results
from shiftboss.executors.signature import check_callable, read_signature, runs_as_coroutine, undone_work
from shiftboss.logs import get_logger

MAX_PAYLOAD_BYTES = 1 << 20  # as `Definition.max_payload_bytes`
NOTHING_TO_KEEP = Succeeded()
ALWAYS_FATAL: tuple[type[BaseException], ...] = (Fatal,)

log = get_logger("shiftboss.body")


class Parts(NamedTuple):
    """What a `FunctionBody` was made from."""

    fn: Callable[..., Any]
    fallback: Callable[..., Any] | None
    retry_on: tuple[type[BaseException], ...]
    no_retry_on: tuple[type[BaseException], ...]


class FunctionBody:
    """A plain or async function, method, partial or callable object.

    *fallback* runs in its place while the breaker is open (K3) and takes the same parameters, or fewer.  *is_async*
    says whether it is a coroutine function if a decorator hides that.  Raises ConfigurationError.
    """

    __slots__ = (
        "_call",
        "_fallback",
        "_max_payload_bytes",
        "_never",
        "_only",
        "_results",
        "_said_unkept",
        "_takes",
        "_wants_context",
        "_worker",
        "is_async",
    )

    def __init__(
        self,
        fn: Callable[..., Any],
        *,
        worker: str,
        retry_on: type[BaseException] | Iterable[type[BaseException]] = (),
        no_retry_on: type[BaseException] | Iterable[type[BaseException]] = (),
        fallback: Callable[..., Any] | None = None,
        is_async: bool | None = None,
        max_payload_bytes: int = MAX_PAYLOAD_BYTES,
    ) -> None:
        check_callable(fn, worker)
        parameters, self._wants_context = read_signature(fn, worker)
        self._worker = worker
        self._call = fn
        self._takes = Parameters(worker, parameters)
        self.is_async = runs_as_coroutine(fn) if is_async is None else is_async
        self._only = _exceptions(retry_on, option="retry_on", worker=worker)
        never = _exceptions(no_retry_on, option="no_retry_on", worker=worker)
        self._never: tuple[type[BaseException], ...] = (Fatal, *never) if never else ALWAYS_FATAL
        self._max_payload_bytes = max_payload_bytes
        self._results = Results(fn, worker)
        self._said_unkept = False
        self._fallback = None if fallback is None else _Fallback(fallback, self, worker)

    # what it takes

    @property
    def parameters(self) -> str:
        """A fingerprint, equal on nodes whose payloads fit each other (M7); empty for a function without parameters."""
        return self._takes.fingerprint

    @property
    def signature(self) -> str:
        """Its parameters, for people: "(to: str, copies: int = …)"."""
        return self._takes.text

    @property
    def wants_context(self) -> bool:
        """Whether it takes a context: without one it cannot see that it should end, and cannot report anything."""
        return self._wants_context

    @property
    def names(self) -> Sequence[str]:
        """The names of its parameters."""
        return self._takes.names

    @property
    def takes_nothing_required(self) -> bool:
        """Whether it can run without a payload: by schedule, as an iteration, after another worker."""
        return not self._takes.required

    def schema(self) -> dict[str, Any]:
        """The payload as JSON schema, for a form."""
        return self._takes.schema()

    def encode_payload(self, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None) -> bytes | None:
        """The payload of a trigger with these arguments, checked by value; None without any.  Raises WrongPayload."""
        return self._bounded(self._takes.encode(args, kwargs or {}))

    def take_payload(self, payload: bytes) -> bytes | None:
        """The payload of a trigger that was written as JSON, as it is; None for `{}`.  Raises WrongPayload."""
        return self._bounded(self._takes.take(payload))

    def _bounded(self, payload: bytes | None) -> bytes | None:
        if payload is not None and len(payload) > self._max_payload_bytes:
            raise WrongPayload(
                f"worker {self._worker!r}: the payload has {len(payload):,} bytes, the limit is "
                f"{self._max_payload_bytes:,}; store it elsewhere and pass its address, or raise max_payload"
            )
        return payload

    # for executors elsewhere

    @property
    def worker(self) -> str:
        return self._worker

    @property
    def parts(self) -> Parts:
        """What it was made from, so that another process can make it again."""
        fallback = None if self._fallback is None else self._fallback.fn
        return Parts(self._call, fallback, self._only, self._never[1:])

    # running it

    def call(self, context: Any, payload: bytes | None, *, fallback: bool) -> Any:
        """Call the function: return its value or coroutine.  Raises UnfitPayload, and what the function raises."""
        if self.is_async:
            return self._called(context, payload, fallback=fallback)
        connections.give_back()
        try:
            return self._called(context, payload, fallback=fallback)
        finally:
            connections.give_back()

    def _called(self, context: Any, payload: bytes | None, *, fallback: bool) -> Any:
        if fallback and self._fallback is not None:
            return self._fallback.call(context, self._arguments(payload))
        arguments = self._arguments(payload) if payload is not None or self._takes.required else {}
        return self._call(context, **arguments) if self._wants_context else self._call(**arguments)

    def succeeded(self, value: Any) -> Outcome:
        if value is None:
            why = self._results.nothing()
            return NOTHING_TO_KEEP if why is None else Succeeded(result_error=why)
        if (undone := undone_work(value)) is not None:
            return Failed(Error("TypeError", undone), fatal=True)
        if isinstance(value, Idle):
            return Succeeded(idle_s=value.idle_s)
        kept = self._results.keep(value)
        if kept.data is None and not self._said_unkept:  # once per worker and process: a busy worker would fill the log
            self._said_unkept = True
            log.warning(
                "worker %s: its result of type %s is not kept, as %s; its runs succeed nevertheless. Logged once.",
                self._worker, class_name(type(value)), kept.error, extra={"worker": self._worker},
            )  # fmt: skip
        return Succeeded(kept.data, result_error=kept.error)

    def read_result(self, data: bytes) -> Any:
        """Decode a kept result to the function's return type.  Raises ValueError if it does not fit."""
        return self._results.read(data)

    def failed(self, error: BaseException) -> Outcome:
        if isinstance(error, UnfitPayload):
            return Unfit(error_of(error))
        raised = list(leaves(error))
        if any(map(self._is_fatal, raised)):
            return Failed(error_of(error), fatal=True)
        after = [each.after_s for each in raised if isinstance(each, Retry) and each.after_s is not None]
        return Failed(error_of(error), retry_after_s=max(after, default=None))

    def _is_fatal(self, error: BaseException) -> bool:
        if isinstance(error, self._never):
            return True
        return bool(self._only) and not isinstance(error, Retry) and not isinstance(error, self._only)

    def _arguments(self, payload: bytes | None) -> dict[str, Any]:
        if payload is None and self._takes.required:
            missing = ", ".join(map(repr, self._takes.required))
            raise UnfitPayload(f"worker {self._worker!r} needs {missing}, but this run has no payload")
        try:
            return self._takes.decode(payload or EMPTY)
        except Exception as error:
            raise UnfitPayload(
                f"the payload does not fit worker {self._worker!r}, which takes {self._takes.text}: {error}"
            ) from error


class _Fallback:
    """K3: runs in the function's place, with those of its arguments that the fallback has as parameters."""

    __slots__ = ("_call", "_names", "fn", "wants_context")

    def __init__(self, fn: Callable[..., Any], body: FunctionBody, worker: str) -> None:
        check_callable(fn, worker)
        parameters, self.wants_context = read_signature(fn, worker)
        self._call = self.fn = fn
        self._names = tuple(each.name for each in parameters if each.name in body.names)
        strange = [each.name for each in parameters if each.is_required and each.name not in body.names]
        if strange:
            raise ConfigurationError(
                f"worker {worker!r}: fallback= needs {', '.join(map(repr, strange))}, which its function lacks; "
                f"give it the same parameters, or fewer: {body.signature}"
            )
        if runs_as_coroutine(fn) and not body.is_async:
            raise ConfigurationError(
                f"worker {worker!r}: fallback= is async but its function is not; make both async or neither"
            )

    def call(self, context: Any, arguments: Mapping[str, Any]) -> Any:
        chosen = self.chosen(arguments)
        return self._call(context, **chosen) if self.wants_context else self._call(**chosen)

    def chosen(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Those of the function's arguments that the fallback takes."""
        return {name: arguments[name] for name in self._names}


def _exceptions(given: object, *, option: str, worker: str) -> tuple[type[BaseException], ...]:
    kinds: list[type[BaseException]] = []
    for kind in given if isinstance(given, Iterable) and not isinstance(given, type) else (given,):
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            raise ConfigurationError(f"worker {worker!r}: {option}= takes exception classes, but {kind!r} is not one")
        kinds.append(kind)
    return tuple(kinds)
