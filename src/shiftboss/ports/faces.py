"""What people's queries ask of a store: the filters of its lists, and the reads besides those of the cycle."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple, Protocol, TypeVar

from shiftboss.core.audit import AuditRow, Seal
from shiftboss.core.events import Audit, Event, UnreadableEvent
from shiftboss.core.kinds import Table, instant, many, one_of, optional, shown, text, whole, word
from shiftboss.core.model import MAX_LINES, LogLine, Run, Status
from shiftboss.core.unreadable import SetAside
from shiftboss.errors import ConfigurationError

MAX_COUNTED = 1001  # of waiting runs: "more than 1,000" is as good as any number


class HistoryFilter(NamedTuple):
    """Which finished or live runs to list, newest first.  `before` is a run id: the cursor of the page."""

    worker: str | None = None  # its name; None: of any worker
    status: Collection[Status] = ()  # one of these; empty: any
    since: datetime | None = None  # live, or ended at this aware time or later
    key: str | None = None  # triggered with this key
    error_type: str | None = None  # ended with this error: the qualified name of its class
    before: int | None = None
    limit: int = 50  # no more than that

    @classmethod
    def read(cls, given: Any) -> HistoryFilter:
        """*given* with every field in its type.  Raises ConfigurationError."""
        return _filter(cls, given, OF_HISTORY)


class LetterFilter(NamedTuple):
    """Which dead letters."""

    ids: Collection[int] = ()  # of these runs; empty: any
    worker: str | None = None  # its name; None: of any worker
    error_type: str | None = None  # died with this error: the qualified name of its class
    since: datetime | None = None  # entered at this aware time or later
    state: str | None = "open"  # None: all
    before: int | None = None  # a run id: the cursor of the page
    limit: int = 1000  # no more than that

    @classmethod
    def read(cls, given: Any) -> LetterFilter:
        """*given* with every field in its type.  Raises ConfigurationError."""
        return _filter(cls, given, OF_LETTERS)


class AuditFilter(NamedTuple):
    """Which acts of people, newest first.  `before` is the number of an act: the cursor of the page."""

    worker: str | None = None  # about this worker; None: about anything
    by: str | None = None  # by whom, the whole name
    action: str | None = None  # what: trigger, disable, refused …
    since: datetime | None = None  # at this aware time or later
    before: int | None = None
    limit: int = 50  # no more than that

    @classmethod
    def read(cls, given: Any) -> AuditFilter:
        """*given* with every field in its type.  Raises ConfigurationError."""
        return _filter(cls, given, OF_AUDIT)


class WorkerFilter(NamedTuple):
    """Which workers a status shows, in its order.  Its other parts, and the totals, are about all workers."""

    health: Collection[str] = ()  # one of these; empty: any
    mode: Collection[str] = ()  # one of these; empty: any
    q: str | None = None  # a part of the name, in any case
    cursor: str | None = None  # `next` of the page before
    limit: int | None = None  # no more than that; None: all

    @classmethod
    def read(cls, given: Any) -> WorkerFilter:
        """*given* with every field in its type.  Raises ConfigurationError."""
        return _filter(cls, given, OF_WORKERS)


NUMBER = whole(0, (1 << 63) - 1)
OF_HISTORY = Table(
    worker=optional(text()),
    status=many(one_of(Status)),
    since=optional(instant),
    key=optional(text()),
    error_type=optional(text()),
    before=optional(NUMBER),
    limit=NUMBER,
)
OF_LETTERS = Table(
    ids=many(NUMBER),
    worker=optional(text()),
    error_type=optional(text()),
    since=optional(instant),
    state=optional(word("open", "replayed", "resolved", "discarded", "superseded")),
    before=optional(NUMBER),
    limit=NUMBER,
)
OF_AUDIT = Table(
    worker=optional(text()),
    by=optional(text()),
    action=optional(text()),
    since=optional(instant),
    before=optional(NUMBER),
    limit=NUMBER,
)
OF_WORKERS = Table(
    health=many(word("disabled", "unhealthy", "offline", "degraded", "unknown", "healthy")),
    mode=many(word("scheduled", "continuous", "triggered")),
    q=optional(text()),
    cursor=optional(text()),
    limit=optional(whole(1, (1 << 63) - 1)),
)
F = TypeVar("F", HistoryFilter, LetterFilter, AuditFilter, WorkerFilter)


def _filter(kind: type[F], given: Any, fields: Table) -> F:
    if not isinstance(given, kind):
        raise ConfigurationError(f"{shown(given)} is not a valid filter; give a {kind.__name__}(…)")
    return kind(**fields.read(given._asdict(), of=kind.__name__))


class FacesReader(Protocol):
    """Bounded reads within one consistent view of the store, for the command, the API and the pages.

    A row that cannot be read harms only itself (W8): in its place comes what could still be read, with `unreadable`
    set.
    """

    def history(self, wanted: HistoryFilter) -> list[Run]:
        """Runs, live and finished, newest id first, without payload."""
        ...

    def counts(self) -> dict[str, dict[str, int]]:
        """worker → {"pending": n, "due": …, "dead_letters": …}, counted from live runs and open dead letters only.

        "pending" is counted to 1,001 at most for each worker, so that no count grows with the backlog.
        """
        ...

    def letter_counts(self) -> dict[str, int]:
        """worker → number of open dead letters, for workers that have any."""
        ...

    def events(self, *, after: int, limit: int, worker: str | None = None) -> list[tuple[int, Event]]:
        """Stored events in order, from the one after number *after*."""
        ...

    def last_event(self) -> int:
        """The number of the newest event ever stored; 0 before the first."""
        ...

    def audit(self, *, after: int, limit: int) -> list[AuditRow]:
        """The audit (A8) in order, from the row after number *after*; each row as it is stored, undecoded."""
        ...

    def acts_before(self, before: int, *, limit: int) -> list[tuple[int, Audit | UnreadableEvent]]:
        """The same rows decoded, the newest first, from the row before that number."""
        ...

    def seals(self, *, after: int, limit: int) -> list[Seal]:
        """Seals of the audit, in order, from the one after row *after*."""
        ...

    def last_seal(self) -> Seal | None:
        """The newest seal of the audit."""
        ...

    def lines(self, run: int, *, after: tuple[int, int] = (0, 0), limit: int = MAX_LINES) -> list[LogLine]:
        """What attempts of a run logged, in order, from the line after *after* (fence, number)."""
        ...

    def set_aside(self, *, after: int, limit: int) -> list[tuple[int, SetAside]]:
        """What was set aside, in order, from the one after number *after*."""
        ...

    def info(self) -> dict[str, Any]:
        """What `doctor` reports: engine and version, schema, sizes, settings, integrity."""
        ...
