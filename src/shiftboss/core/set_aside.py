"""A person moves unreadable rows out of the way, and what they held goes on (A5).

Rules of this file
- A row is moved only if it is unreadable in the very transaction that moves it: whoever was quicker, or has mended it,
  wins.
- Nothing is lost: the whole row is kept in a table of its own, with who moved it and why.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime

from shiftboss.core.events import Audit
from shiftboss.core.fleet import LEASE_S
from shiftboss.core.model import BreakerState, Node
from shiftboss.core.reconcile import mend
from shiftboss.core.snapshot import Change, Draft, Snapshot
from shiftboss.core.unreadable import SetAside, Unreadable
from shiftboss.core.value import replace

OF_RUNS = ("run", "history", "dead_letter")


def set_aside(
    snapshot: Snapshot,
    now: datetime,
    *,
    ids: Iterator[int],
    places: Collection[tuple[str, str]],
    by: str,
    note: str,
    boot: str,
    lease_s: float,
) -> tuple[Change, tuple[Unreadable, ...]]:
    """Move those of *places* (table, id) that cannot be read; the answer is those rows.  Twice is as once.

    What the worker then lacks, such as its next scheduled run, is made.  A breaker is closed.  A node gets a whole
    lease, by *boot* and *lease_s* of the lease clock, to show that it lives: after that its runs are rescued as usual
    (C4).
    """
    draft = Draft(snapshot, now, ids)
    rows = tuple(snapshot.unreadable[place] for place in dict.fromkeys(places) if place in snapshot.unreadable)
    nodes: list[Node] = []
    for row in rows:
        leaves = row.table not in ("breaker", "node")
        draft.set_aside(SetAside.of(row, at=now, by=by, note=note, leaves=leaves))
        if row.table == "breaker":
            draft.put_breaker(_closed(snapshot, row.id))
        elif row.table == "node" and row.id in snapshot.nodes:
            node = replace(snapshot.nodes[row.id], boot=boot, lease_until_s=lease_s + LEASE_S, held_since_s=lease_s)
            nodes.append(replace(node, unreadable=None, workers={}))
        draft.emit(_audit(row, now, by, note))
    for name in {row.worker: None for row in rows if row.table in ("run", "record")}:
        state = snapshot.workers.get(name)
        if state is not None and state.unreadable is None:
            mend(draft, state.definition)
    return replace(draft.change(), nodes=tuple(nodes)), rows


def _closed(snapshot: Snapshot, name: str) -> BreakerState:
    """The breaker as its first declaration makes it."""
    for worker in snapshot.relations.sharing_breaker(name):
        policy = snapshot.workers[worker].definition.breaker_policy
        if policy is not None:
            return BreakerState(name=name, policy=policy)
    return BreakerState(name=name)


def _audit(row: Unreadable, now: datetime, by: str, note: str) -> Audit:
    return Audit(
        at=now,
        worker=row.worker,
        run=int(row.id) if row.table in OF_RUNS else None,
        node=row.id if row.table == "node" else "",
        by=by,
        action="set aside",
        before=str(row),
        after=note or "set aside",
    )
