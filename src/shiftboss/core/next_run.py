"""Which of a worker's waiting runs starts first?  `why`, `status` and the pages explain that one (A3).

Rules of this file
- Of the due ones the first by rank (P2), lent priority included (D9); where none is due, the earliest due.
- What is held while others of its worker go on comes after those others: a payload that no node can decode (E3), a
  priority that every node sheds (H4), a run of a disabled worker that is not forced (K5).  The gates say which.
- Only those are compared that the walk of `decide` could reach first: the heads of the queues, and what may pass them.
  So a lane that was read in part gives the answer of the whole one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime

from shiftboss.core.fleet import able_nodes
from shiftboss.core.gates import Ask, View, ask, ask_node
from shiftboss.core.holds import Hold
from shiftboss.core.lane import FORCED, QUEUES, RESCUED, Lane
from shiftboss.core.model import Node, Run
from shiftboss.core.rank import Lent, Rank, effective, lend, lenders, rank
from shiftboss.core.snapshot import Snapshot
from shiftboss.core.worker import OnFailure


def next_run(snapshot: Snapshot, now: datetime, *, name: str, live: Collection[str]) -> Run | None:
    """The run of *name* that starts first; None when nothing waits.  The lanes of its component must have been read.

    Where nothing that waits can be read (W8), the first of those by place.
    """
    lane = snapshot.lane(name)
    heads = [run for number in range(QUEUES) if (run := next(lane.heads(number), None)) is not None]
    if not any(run.due_at <= now for run in heads):
        return min(heads or lane.sealed.values(), key=lambda run: (run.due_at, rank(run, run.priority)), default=None)
    if len(lane) == 1:
        return heads[0]
    order = _Order(snapshot, now, name=name, live=live)
    return min(order.contenders(lane), key=order.of)


def beside_heads(snapshot: Snapshot, now: datetime, name: str) -> Collection[Run]:
    """The runs that may start, or be skipped, although the head of their queue is held."""
    lane, relations = snapshot.lane(name), snapshot.relations
    upstreams = snapshot.workers[name].definition.depends_on
    beside: dict[int, Run] = {}
    if (upstreams or name in relations.dependents) and lane.least is not None:
        for least in (lane.least, _least_due(lane, lane.least, now)):
            beside[least.id] = least
    if any(edge.on_failure is OnFailure.SKIP for edge in upstreams):
        beside.update((run.id, run) for run in lane.standing.values())
    for number in (FORCED, RESCUED):  # of any priority (P2), and few: a person forced them, a node went down with them
        beside.update((run.id, run) for run in lane.heads(number))
    return beside.values()


def _least_due(lane: Lane, least: Run, now: datetime) -> Run:
    """The due run with the least logical instant; while that of all waits for its back-off, another of those loaded."""
    if least.due_at <= now:
        return least
    due = (run for run in lane if run.due_at <= now)
    return min(due, key=lambda run: (run.occurs_at, run.id), default=least)


class _Order:
    """The due runs of one worker, compared."""

    def __init__(self, snapshot: Snapshot, now: datetime, *, name: str, live: Collection[str]) -> None:
        self._view = View(snapshot, now)
        self._name = name
        self._nodes: list[Node] = able_nodes(snapshot, name, live=live)
        component = snapshot.relations.component(name)
        self._lent: Lent = lend(snapshot, now, lenders(snapshot, component))

    def contenders(self, lane: Lane) -> Iterator[Run]:
        """Of each queue the due runs up to the first that nobody passes, and what may pass the heads."""
        snapshot, now = self._view.snapshot, self._view.now
        for number in range(QUEUES):
            for run in lane.heads(number):
                if run.due_at > now:
                    break
                yield run
                if not self._is_passed(run):
                    break
        yield from (run for run in beside_heads(snapshot, now, self._name) if run.due_at <= now)

    def of(self, run: Run) -> tuple[bool, Rank]:
        return self._is_passed(run), rank(run, effective(run, self._lent))

    def _is_passed(self, run: Run) -> bool:
        """Whether others of its worker may start before it, since what holds it is about this run alone."""
        answer = ask(self._view, run)
        return _passes(answer.holds) or (
            bool(self._nodes) and all(self._is_passed_on(node, run) for node in self._nodes)
        )

    def _is_passed_on(self, node: Node, run: Run) -> bool:
        answer = Ask(run, self._view.snapshot.worker(run.worker))
        answer.priority = effective(run, self._lent)
        ask_node(node, answer)
        return _passes(answer.holds)


def _passes(holds: Collection[Hold]) -> bool:
    return any(hold.is_passed for hold in holds)
