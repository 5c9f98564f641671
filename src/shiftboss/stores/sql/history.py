"""People's queries to a database: lists, counts, events.

Rules of this file
- Lists are pages, newest first, with an id as cursor; no count walks through a backlog or the history.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection
from typing import TYPE_CHECKING, Generic, TypeVar

from shiftboss.core.audit import AuditRow, Seal
from shiftboss.core.events import Audit, Event, UnreadableEvent
from shiftboss.core.model import MAX_LINES, LogLine, Run, Status
from shiftboss.core.unreadable import SetAside, Unreadable
from shiftboss.ports.faces import MAX_COUNTED, HistoryFilter
from shiftboss.stores.sql import codec, shapes
from shiftboss.stores.sql.codec import Text
from shiftboss.stores.sql.salvage import FAILURES
from shiftboss.stores.sql.shapes import ResultShape
from shiftboss.stores.sql.statements import Connection, Pages, Question, S, Values
from shiftboss.stores.sql.unreadable import RowWalk, kept, unreadable

if TYPE_CHECKING:
    from shiftboss.clock import Clock


T = TypeVar("T")


class Queries(Generic[S]):
    """The reader's half for people; the half for the cycle builds on it."""

    pages: Pages[S]  # set by each store, like the walk
    walk: RowWalk

    def __init__(self, db: Connection[S], clock: Clock) -> None:
        self._db = db
        self._clock = clock

    # ── asking ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _ask(self, shape: ResultShape[T], question: Question[S], values: Values) -> T:
        return self._read(shape, question, values, self._db.query((question.plain, values))[0])

    def _read(self, shape: ResultShape[T], question: Question[S], values: Values, text: Text) -> T:
        """The values of *text*, the answer to the plain form; if unreadable, ask again in the careful form (W8)."""
        try:
            return shape.read(text)
        except FAILURES:
            return shape.read_carefully(self._db.query((question.careful, values))[0])

    # ── runs ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def history(self, wanted: HistoryFilter) -> list[Run]:
        """`since` keeps runs that are live or have ended since then; `error_type` applies to ended runs."""
        asked = wanted.status or _ALL
        parts: list[list[Run]] = []
        if wanted.error_type is None:
            if Status.PENDING in asked:
                parts.append(self._pending(wanted))
            if Status.RUNNING in asked:
                parts.append(self._running(wanted))
        codes = sorted(codec.STATUSES[status] for status in asked if status in codec.STATUSES)
        if codes:
            parts.append(self._finished(wanted, codes))
        return list(heapq.merge(*parts, key=_newest_first))[: wanted.limit]

    def _pending(self, wanted: HistoryFilter) -> list[Run]:
        raise NotImplementedError

    def _running(self, wanted: HistoryFilter) -> list[Run]:
        raise NotImplementedError

    def _finished(self, wanted: HistoryFilter, codes: list[int]) -> list[Run]:
        raise NotImplementedError

    # ── events, lines ────────────────────────────────────────────────────────────────────────────────────────────

    def events(self, *, after: int, limit: int, worker: str | None = None) -> list[tuple[int, Event]]:
        if worker is None:
            return self._ask(shapes.EVENTS, self.pages.events, (after, limit))
        return self._ask(shapes.EVENTS, self.pages.events_of_worker, (worker, after, limit))

    def lines(self, run: int, *, after: tuple[int, int] = (0, 0), limit: int = MAX_LINES) -> list[LogLine]:
        return self._ask(shapes.LINES, self.pages.lines, (run, *after, limit))

    # ── the audit ────────────────────────────────────────────────────────────────────────────────────────────────

    def audit(self, *, after: int, limit: int) -> list[AuditRow]:
        return shapes.audit_rows(self._db.query((self.pages.audit, (after, limit)))[0])

    def acts_before(self, before: int, *, limit: int) -> list[tuple[int, Audit | UnreadableEvent]]:
        rows = shapes.audit_rows(self._db.query((self.pages.audit_before, (before, limit)))[0])
        return [(row.id, shapes.act(row)) for row in rows]

    def seals(self, *, after: int, limit: int) -> list[Seal]:
        return shapes.seals(self._db.query((self.pages.seals, (after, limit)))[0])

    def last_seal(self) -> Seal | None:
        return next(iter(shapes.seals(self._db.query((self.pages.last_seal, ()))[0])), None)

    # ── what cannot be read ──────────────────────────────────────────────────────────────────────────────────────

    def unreadable(self, places: Collection[tuple[str, str]] | None = None) -> list[Unreadable]:
        return [row for _, row in unreadable(self._db, self.walk, places)]

    def set_aside(self, *, after: int, limit: int) -> list[tuple[int, SetAside]]:
        return kept(self._db.query((self.walk.kept, (after, limit)))[0])

    # ── counts ───────────────────────────────────────────────────────────────────────────────────────────────────

    def counts(self) -> dict[str, dict[str, int]]:
        """Every stored worker has an entry, and so has every other name that live runs or open dead letters have."""
        pages = self.pages
        asked: list[tuple[Question[S], Values]] = [
            (pages.worker_names, ()),
            (pages.waiting_counts, (MAX_COUNTED, codec.micros(self._clock.now()))),
            (pages.running_counts, ()),
            (pages.letter_counts, ()),
        ]
        texts = self._db.query(*((question.plain, values) for question, values in asked))
        counts = {name: _no_counts() for name in self._read(shapes.NAMES, *asked[0], texts[0])}
        waiting, claims, letters = (
            self._read(shapes.COUNTS, question, values, text)
            for (question, values), text in zip(asked[1:], texts[1:], strict=True)
        )
        for name, pending, due in waiting:
            counts_of_worker = counts.setdefault(name, _no_counts())
            counts_of_worker["pending"], counts_of_worker["due"] = pending, min(due, MAX_COUNTED)
        for name, running, _ in claims:
            counts.setdefault(name, _no_counts())["running"] = running
        for name, open_letters, _ in letters:
            counts.setdefault(name, _no_counts())["dead_letters"] = open_letters
        return counts

    def letter_counts(self) -> dict[str, int]:
        return {name: count for name, count, _ in self._ask(shapes.COUNTS, self.pages.letter_counts, ())}


_ALL = frozenset(Status)


def _newest_first(run: Run) -> int:
    return -run.id


def _no_counts() -> dict[str, int]:
    return {"pending": 0, "due": 0, "running": 0, "dead_letters": 0}
