"""What a child needs to put a body together again: the places of its function and of what belongs to it."""

from __future__ import annotations

import msgspec

from shiftboss.errors import ConfigurationError
from shiftboss.executors.body import FunctionBody
from shiftboss.executors.place import Place, Script, find, place_of
from shiftboss.ports.executor import Body


class Entry(msgspec.Struct, frozen=True):
    """What a body consists of."""

    fn: Place
    is_async: bool
    fallback: Place | None = None
    retry_on: tuple[Place, ...] = ()
    no_retry_on: tuple[Place, ...] = ()


def entry_of(body: FunctionBody) -> Entry:
    """How a child finds what *body* consists of.  Raises ConfigurationError."""
    parts, worker = body.parts, body.worker
    return Entry(
        fn=place_of(parts.fn, worker),
        is_async=body.is_async,
        fallback=None if parts.fallback is None else place_of(parts.fallback, worker),
        retry_on=tuple(place_of(each, worker) for each in parts.retry_on),
        no_retry_on=tuple(place_of(each, worker) for each in parts.no_retry_on),
    )


def body_of(entry: Entry, script: Script, worker: str) -> FunctionBody:
    """The same body, in the child.  Raises what importing its modules raises."""
    return FunctionBody(
        find(entry.fn, script),
        worker=worker,
        retry_on=[find(each, script) for each in entry.retry_on],
        no_retry_on=[find(each, script) for each in entry.no_retry_on],
        fallback=None if entry.fallback is None else find(entry.fallback, script),
        is_async=entry.is_async,
    )


class Entries:
    """The entries of an executor's bodies, one for each worker."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[int, tuple[FunctionBody, Entry]] = {}

    def of(self, body: Body) -> Entry:
        """Raises ConfigurationError."""
        known = self._known.get(id(body))
        if known is not None and known[0] is body:
            return known[1]
        if not isinstance(body, FunctionBody):
            raise ConfigurationError("executor='process' runs functions only")
        entry = entry_of(body)
        self._known[id(body)] = body, entry
        return entry
