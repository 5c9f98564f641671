"""Why does this run not start?  The walk of `decide`, asked about one run (A3).

Rules of this file
- It decides nothing itself: every hold comes from the gates and from the walk of `decide`.
- Of the nodes that could run it, the one with the fewest holds answers; if no node can run it, that is the hold.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from shiftboss.core.decide import Walk
from shiftboss.core.fleet import able_nodes
from shiftboss.core.gates.gate import Answer, View
from shiftboss.core.gates.table import ask, ask_node, ask_store
from shiftboss.core.gates.unknown_worker import NotHere
from shiftboss.core.gates.unreadable import IsUnreadable
from shiftboss.core.health import StoreTrouble
from shiftboss.core.hold import Hold
from shiftboss.core.lane import RESCUED
from shiftboss.core.model import Node, Run, Status
from shiftboss.core.next_run import next_run
from shiftboss.core.prevail import OtherDeclaration, declared_otherwise
from shiftboss.core.rank import Lent, lend, lenders
from shiftboss.core.room import room_of
from shiftboss.core.snapshot import Snapshot
from shiftboss.core.value import Value, replace


class Explanation(Value, frozen=True):
    """Every hold of one run; `earliest` is when that can change without an event, None if only an event changes it.

    A run without holds is running, has ended, or is about to start (`behind` names the run ahead of it in its lane).
    """

    run: Run  # the run that was asked about
    holds: tuple[Hold, ...] = ()  # what keeps it from starting: [holds](holds.md)
    earliest: datetime | None = None
    behind: int | None = None
    declared_otherwise: tuple[OtherDeclaration, ...] = ()  # live nodes with another declaration of its worker (M7)


def explain(
    snapshot: Snapshot, now: datetime, *, run: Run, live: Collection[str], trouble: StoreTrouble | None = None
) -> Explanation:
    """Every hold of one run.  To ask about many runs, use an `Explainer`."""
    return Explainer(snapshot, now, live=live, trouble=trouble).explain(run)


class Explainer:
    """Which run is next, and why it does not start, at one point in time; answers are kept for the next question.

    So all workers of a component together cost one walk for each node, and not one for each worker.  The snapshot must
    not change meanwhile.  *trouble* is what keeps the store from taking work: it holds a run whatever the gates say.
    """

    def __init__(
        self, snapshot: Snapshot, now: datetime, *, live: Collection[str], trouble: StoreTrouble | None = None
    ) -> None:
        self._snapshot = snapshot
        self._now = now
        self._live = live
        self._trouble = trouble
        self._view = View(snapshot, now)
        self._lent: dict[str, Lent] = {}  # by the first worker of a component
        self._walked: dict[tuple[str, str], _Walked] = {}  # by the first worker of a component and the node
        self._isolated: set[str] | None = None  # lanes in which a run wants a node to itself (C8)

    def next_run(self, name: str) -> Run | None:
        """The run of *name* that starts first.  The lanes of its component must have been read."""
        component = self._snapshot.relations.component(name)
        lent = self._lent.get(component[0])
        if lent is None:
            lent = self._lent[component[0]] = lend(self._snapshot, self._now, lenders(self._snapshot, component))
        return next_run(self._snapshot, self._now, name=name, live=self._live, lent=lent)

    def explain(self, run: Run) -> Explanation:
        """Ask every gate about *run*.  The lanes of its whole component must have been read."""
        if run.unreadable is not None:
            return Explanation(run, (IsUnreadable.of(run.unreadable, since=run.due_at),))
        if run.status is not Status.PENDING:
            return Explanation(run)
        others = declared_otherwise(self._snapshot, run.worker, self._live)
        explained = replace(self._by_the_gates(run), declared_otherwise=others)
        if self._trouble is None:
            return explained
        answer = Answer(run, self._snapshot.worker(run.worker))
        ask_store(self._trouble, answer)
        return replace(explained, holds=(*answer.holds, *explained.holds), earliest=None)

    def _by_the_gates(self, run: Run) -> Explanation:
        able = able_nodes(self._snapshot, run.worker, live=self._live)
        if not able:
            nobody = NotHere(worker=run.worker, since=run.due_at)
            return _explanation(run, (*ask(self._view, run).holds, nobody), None)
        answers = [self._on_node(run, node) for node in able]
        holds, behind = min(answers, key=lambda answer: len(answer[0]))
        return _explanation(run, holds, behind)

    def _on_node(self, run: Run, node: Node) -> tuple[tuple[Hold, ...], int | None]:
        walked = self._walk(run.worker, node)
        walk_answer = walked.answer_about(run)
        if walk_answer is not None:
            return tuple(walk_answer.holds), None
        answer = ask(self._view, run)
        ask_node(node, answer)
        return tuple(answer.holds), walked.last_of.get(run.worker)

    def _walk(self, name: str, node: Node) -> _Walked:
        key = self._snapshot.relations.component(name)[0], node.id
        walked = self._walked.get(key)
        if walked is None:
            room, lanes = room_of(self._snapshot, node), self._lanes(name)
            walk = Walk(self._snapshot, self._now, node=node, room=room, lanes=lanes, live=self._live)
            walked = self._walked[key] = _Walked(walk)
        return walked

    def _lanes(self, name: str) -> set[str]:
        """Its component, and the lanes in which a run wants the node to itself (C8), as far as they were read."""
        snapshot, relations = self._snapshot, self._snapshot.relations
        if self._isolated is None:
            lanes = (lane for lane, runs in snapshot.lanes.items() if next(runs.heads(RESCUED), None) is not None)
            self._isolated = {member for lane in lanes for member in relations.component(lane)}
        return {member for member in (*relations.component(name), *self._isolated) if member in snapshot.lanes}


class _Walked:
    """A walk, continued only as far as somebody has asked."""

    def __init__(self, walk: Walk) -> None:
        self._asks = walk.asks()
        self._answers: dict[int, Answer] = {}
        self.last_of: dict[str, int] = {}  # worker → its run that the walk asked about last

    def answer_about(self, run: Run) -> Answer | None:
        """What the gates said of it; None if the whole walk does not come to it."""
        while run.id not in self._answers:
            answer = next(self._asks, None)
            if answer is None:
                return None
            self._answers[answer.run.id] = answer
            self.last_of[answer.run.worker] = answer.run.id
        return self._answers[run.id]


def _explanation(run: Run, holds: tuple[Hold, ...], behind: int | None) -> Explanation:
    instants = [hold.until for hold in holds if hold.until is not None]
    return Explanation(run, holds, max(instants) if instants else None, behind)
