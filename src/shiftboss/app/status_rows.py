"""The rows of a status, kept between questions: only workers that may have changed are judged anew.

Rules of this file
- A row is kept while everything that it was made from is the same: the worker's state, record, lane, breaker, letters,
  the nodes, and the time, up to the moment at which time alone changes it.  What runs or is due is always made anew.
- A row that is the same is the same object: whoever encodes, compares or counts rows does so once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from shiftboss.app.status import WorkerStatus
from shiftboss.app.worker_page import Tally
from shiftboss.core.health import WorkerHealth, in_order
from shiftboss.core.lane import Lane
from shiftboss.core.model import BreakerState, NodeMode, Record, WorkerState
from shiftboss.core.snapshot import Snapshot
from shiftboss.core.value import later

AT_ONCE = datetime.min.replace(tzinfo=UTC)
NEVER = datetime.max.replace(tzinfo=UTC)


class _CachedRow(NamedTuple):
    state: WorkerState
    record: Record | None
    lane: Lane | None
    breaker_name: str | None
    breaker: BreakerState | None
    letters: int
    until: datetime
    health: WorkerHealth
    row: WorkerStatus


class StatusRows:
    """*make* judges a worker and makes its row.  `revision` grows with every change of a row; `tally` counts all."""

    def __init__(
        self, make: Callable[[Snapshot, datetime, str, Collection[str]], tuple[WorkerHealth, WorkerStatus]]
    ) -> None:
        self.tally = Tally()
        self.revision = 0
        self._make = make
        self._kept: dict[str, _CachedRow] = {}
        self._order: list[str] = []
        self._nodes: frozenset[tuple[str, NodeMode, bool]] = frozenset()

    def forget(self) -> None:
        """Make all rows anew: something that is part of every row has changed."""
        self._kept.clear()
        self.tally = Tally()

    def of(
        self, snapshot: Snapshot, now: datetime, *, live: Collection[str], letters: Mapping[str, int]
    ) -> tuple[dict[str, WorkerHealth], list[WorkerStatus]]:
        """The health of each worker and its row; disabled ones first, then the worst."""
        nodes = frozenset((node.id, node.mode, node.id in live) for node in snapshot.nodes.values())
        if nodes != self._nodes:
            self._nodes = nodes
            self.forget()
        kept, lanes, records, breakers = self._kept, snapshot.lanes, snapshot.records, snapshot.breakers
        is_reordered = False
        for name, state in snapshot.workers.items():
            known = kept.get(name)
            if (
                known is not None
                and known.state is state
                and now < known.until
                and known.record is records.get(name)
                and known.lane is lanes.get(name)
                and known.letters == letters.get(name, 0)
                and (known.breaker_name is None or known.breaker is breakers.get(known.breaker_name))
                and name not in snapshot.running_by
                and name not in snapshot.suspects
            ):
                continue
            made = self._made(snapshot, now, name, live, letters.get(name, 0), known)
            is_reordered = is_reordered or known is None or _has_moved(known, made)
            kept[name] = made
            self._replace(None if known is None else known.row, made.row)
        if is_reordered or len(kept) != len(snapshot.workers):
            for gone in kept.keys() - snapshot.workers.keys():
                self._replace(kept.pop(gone).row, None)
            self._order = in_order(snapshot, {name: each.health for name, each in kept.items()})
        ordered = [kept[name] for name in self._order]
        return dict(zip(self._order, (each.health for each in ordered), strict=True)), [each.row for each in ordered]

    def _replace(self, before: WorkerStatus | None, after: WorkerStatus | None) -> None:
        if before is after:
            return
        self.revision += 1
        if before is not None:
            self.tally.remove(before)
        if after is not None:
            self.tally.add(after)

    def _made(
        self,
        snapshot: Snapshot,
        now: datetime,
        name: str,
        live: Collection[str],
        letters: int,
        before: _CachedRow | None,
    ) -> _CachedRow:
        health, row = self._make(snapshot, now, name, live)
        if before is not None:  # keeps the same object for an equal one
            health = before.health if before.health == health else health
            row = before.row if before.row == row else row
        state = snapshot.workers[name]
        breaker = state.definition.breaker
        return _CachedRow(
            state,
            snapshot.records.get(name),
            snapshot.lanes.get(name),
            breaker,
            None if breaker is None else snapshot.breakers.get(breaker),
            letters,
            _until(snapshot, now, name),
            health,
            row,
        )


def _has_moved(before: _CachedRow, after: _CachedRow) -> bool:
    """Whether its place in the order is another one."""
    return before.health.status is not after.health.status or before.row.priority != after.row.priority


def _until(snapshot: Snapshot, now: datetime, name: str) -> datetime:
    """The moment at which time alone changes the row; AT_ONCE if it may change at any moment."""
    if snapshot.running_of(name):
        return AT_ONCE
    state = snapshot.workers[name]
    instants = []
    due_at = snapshot.lane(name).next_due_at
    if due_at is not None:
        instants.append(due_at)
    within_s = state.definition.health.expect_success_within_s
    if within_s is not None:
        instants.append(later(snapshot.record(name).last_success_at or state.declared_at, within_s))
    until = min(instants, default=NEVER)
    return until if until > now else AT_ONCE
