"""Why does this run not start?  The walk of `decide`, asked about one run (A3).

Rules of this file
- It decides nothing of its own: every hold comes from the gates and the walk that hold the run back.
- Among the nodes that could run it, the one with the fewest holds speaks; if none can, that is the hold.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from shiftboss.core.decide import Walk, room_of
from shiftboss.core.fleet import able_nodes
from shiftboss.core.gates import View, ask, ask_node
from shiftboss.core.health import StoreTrouble
from shiftboss.core.holds import Hold, IsUnreadable, NotHere, StoreTakesNothing
from shiftboss.core.lane import RESCUED
from shiftboss.core.model import Node, Run, Status
from shiftboss.core.prevail import OtherDeclaration, declared_otherwise
from shiftboss.core.snapshot import Snapshot
from shiftboss.core.value import Value, replace


class Explanation(Value, frozen=True):
    """Every hold of one run; `earliest` is when that can change by time alone, None when only an event can.

    With no hold the run is running, has ended, or is about to start (`behind` names the run ahead of it in its lane).
    """

    run: Run  # the run that was asked about
    holds: tuple[Hold, ...] = ()  # what keeps it from starting: [holds](holds.md)
    earliest: datetime | None = None
    behind: int | None = None
    declared_otherwise: tuple[OtherDeclaration, ...] = ()  # live nodes with another declaration of its worker (M7)


def explain(
    snapshot: Snapshot, now: datetime, *, run: Run, live: Collection[str], trouble: StoreTrouble | None = None
) -> Explanation:
    """Ask every gate about *run*.  The lanes of its whole component must have been read.

    *trouble* is what keeps the store from taking work: it holds whatever the gates say.
    """
    if run.unreadable is not None:
        return Explanation(run, (IsUnreadable.of(run.unreadable, since=run.due_at),))
    if run.status is not Status.PENDING:
        return Explanation(run)
    explained = replace(
        _by_the_gates(snapshot, now, run, live), declared_otherwise=declared_otherwise(snapshot, run.worker, live)
    )
    if trouble is None:
        return explained
    hold = StoreTakesNothing(reason=str(trouble), since=trouble.since)
    return replace(explained, holds=(hold, *explained.holds), earliest=None)


def _by_the_gates(snapshot: Snapshot, now: datetime, run: Run, live: Collection[str]) -> Explanation:
    able = able_nodes(snapshot, run.worker, live=live)
    if not able:
        view = View(snapshot, now)
        return _explanation(run, (*ask(view, run).holds, NotHere(worker=run.worker, since=run.due_at)), None)
    answers = [_on_node(snapshot, now, run, node, live) for node in able]
    holds, behind = min(answers, key=lambda answer: len(answer[0]))
    return _explanation(run, holds, behind)


def _on_node(
    snapshot: Snapshot, now: datetime, run: Run, node: Node, live: Collection[str]
) -> tuple[tuple[Hold, ...], int | None]:
    lanes = _lanes(snapshot, run.worker)
    walk = Walk(snapshot, now, node=node, room=room_of(snapshot, node), lanes=lanes, live=live)
    ahead: int | None = None
    for answer in walk.asks():
        if answer.run.id == run.id:
            return tuple(answer.holds), None
        if answer.run.worker == run.worker:
            ahead = answer.run.id
    answer = ask(View(snapshot, now), run)
    ask_node(node, answer)
    return tuple(answer.holds), ahead


def _lanes(snapshot: Snapshot, name: str) -> set[str]:
    """Its component, and those in which a run wants the node to itself (C8), as far as they were read."""
    relations = snapshot.relations
    asked = {lane for lane, runs in snapshot.lanes.items() if next(runs.heads(RESCUED), None) is not None}
    return {member for each in (name, *asked) for member in relations.component(each) if member in snapshot.lanes}


def _explanation(run: Run, holds: tuple[Hold, ...], behind: int | None) -> Explanation:
    instants = [hold.until for hold in holds if hold.until is not None]
    return Explanation(run, holds, max(instants) if instants else None, behind)
