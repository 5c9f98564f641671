"""Collects the changes of a turn and writes them at its end, or earlier if a read of the turn must find them.

Rules of this file
- A change is in the snapshot at once, and in the store with the next flush.
- It remembers which ids it handed out: these runs have no row yet.
"""

from __future__ import annotations

from collections.abc import Iterator

from shiftboss.core.events import Event
from shiftboss.core.snapshot import NOTHING, Change, Pile
from shiftboss.engine.snapshot_cache import SnapshotCache
from shiftboss.ports.store import Transaction


class Writer:
    """The writer of one transaction."""

    def __init__(self, tx: Transaction, cache: SnapshotCache) -> None:
        self._tx = tx
        self._cache = cache
        self._pile = Pile()
        self._fresh: set[int] = set()  # ids handed out since the last flush: runs without a row
        self.events: list[Event] = []
        self.has_written = False

    def ids(self) -> Iterator[int]:
        """Ids for new runs; the writer remembers which ones were handed out."""
        for run_id in self._tx.ids():
            self._fresh.add(run_id)
            yield run_id

    def take(self, change: Change) -> None:
        """Apply to the snapshot now, write later."""
        if change is NOTHING:
            return
        self._pile.add(change)
        self._cache.snapshot.apply(change)
        for run in change.runs:
            if run.give_up_at is not None:
                self._cache.note_give_up(run)
        self.events += change.events

    def flush(self) -> None:
        """Write what was taken since the last flush."""
        if not self._pile.is_empty:
            self._tx.write(self._pile.change(), new=self._fresh)
            self.has_written = True
            self._pile = Pile()
            self._fresh = set()
