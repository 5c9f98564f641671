"""What the faces ask of a database: lists, counts, events.

Rules of this file
- Lists are pages, newest first, with an id as cursor; no count walks a backlog or the history.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Generic

from shiftboss.core.events import Event
from shiftboss.core.model import MAX_LINES, LogLine, Run, Status
from shiftboss.ports import MAX_COUNTED, HistoryFilter
from shiftboss.stores import rows
from shiftboss.stores.statements import Connection, Pages, S

if TYPE_CHECKING:
    from shiftboss.clock import Clock


class Queries(Generic[S]):
    """The reader's half for people; the half for the cycle builds on it."""

    pages: Pages[S]  # set by each store
    _db: Connection[S]
    _clock: Clock

    # ── runs ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def history(self, wanted: HistoryFilter) -> list[Run]:
        """`since` keeps what is live or ended since then; `error_type` is that of ended runs."""
        asked = wanted.status or _ALL
        parts: list[list[Run]] = []
        if wanted.error_type is None:
            if Status.PENDING in asked:
                parts.append(self._pending(wanted))
            if Status.RUNNING in asked:
                parts.append(self._running(wanted))
        codes = sorted(rows.STATUSES[status] for status in asked if status in rows.STATUSES)
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
            return rows.events_of(self._db.ask((self.pages.events, (after, limit)))[0])
        return rows.events_of(self._db.ask((self.pages.events_of_worker, (worker, after, limit)))[0])

    def lines(self, run: int, *, after: tuple[int, int] = (0, 0), limit: int = MAX_LINES) -> list[LogLine]:
        return rows.lines_of(self._db.ask((self.pages.lines, (run, *after, limit)))[0])

    # ── counts ───────────────────────────────────────────────────────────────────────────────────────────────────

    def counts(self) -> dict[str, dict[str, int]]:
        """Every stored worker has an entry, and so has every other name that live runs or open letters bear."""
        pages = self.pages
        names, waiting, claims, letters = self._db.ask(
            (pages.worker_names, ()),
            (pages.waiting_counts, (MAX_COUNTED, rows.micros(self._clock.now()))),
            (pages.running_counts, ()),
            (pages.letter_counts, ()),
        )
        counts = {name: _no_counts() for name in rows.names_of(names)}
        for name, pending, due in rows.counts_of(waiting):
            found = counts.setdefault(name, _no_counts())
            found["pending"], found["due"] = pending, min(due, MAX_COUNTED)
        for name, running, _ in rows.counts_of(claims):
            counts.setdefault(name, _no_counts())["running"] = running
        for name, open_letters, _ in rows.counts_of(letters):
            counts.setdefault(name, _no_counts())["dead_letters"] = open_letters
        return counts

    def letter_counts(self) -> dict[str, int]:
        return {name: found for name, found, _ in rows.counts_of(self._db.ask((self.pages.letter_counts, ()))[0])}


_ALL = frozenset(Status)


def _newest_first(run: Run) -> int:
    return -run.id


def _no_counts() -> dict[str, int]:
    return {"pending": 0, "due": 0, "running": 0, "dead_letters": 0}
