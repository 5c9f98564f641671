"""Which of a worker's waiting runs starts first?  `why`, `status` and the pages explain that one (A3).

Rules of this file
- Of the due runs it is the first by rank (P2), lent priority included (D9); if none is due, the one that is due first.
- A run that is held while others of its worker go on comes after those others: its payload cannot be decoded by any
  node (E3), its priority is shed by every node (H4), or its worker is disabled and it is not forced (K5).  The gates
  say which runs these are.
- Only runs that the walk of `decide` could reach first are compared: the heads of the queues, and what may pass them.
  So a lane that was read in part gives the same answer as the whole one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from heapq import heappop, heappush

from shiftboss.core.fleet import able_nodes
from shiftboss.core.gates.gate import Answer, View
from shiftboss.core.gates.table import ask, ask_node
from shiftboss.core.lane import FORCED, QUEUES, RESCUED, Lane
from shiftboss.core.model import Node, Run
from shiftboss.core.policy import Priority
from shiftboss.core.rank import Lent, Rank, effective, rank
from shiftboss.core.snapshot import Snapshot
from shiftboss.core.worker import OnFailure

NO_QUEUE = -1  # of a candidate outside the queues: the least of its lane


def next_run(snapshot: Snapshot, now: datetime, *, name: str, live: Collection[str], lent: Lent) -> Run | None:
    """The run of *name* that starts first; None if nothing waits.  The lanes of its component must have been read.

    *lent* is the priority lent in its component (D9).  If no waiting run can be read (W8), it is the first unreadable
    one.
    """
    lane = snapshot.lane(name)
    heads = [run for number in range(QUEUES) if (run := next(lane.heads(number), None)) is not None]
    if not any(run.due_at <= now for run in heads):
        return min(heads or lane.sealed.values(), key=lambda run: (run.due_at, rank(run, run.priority)), default=None)
    if len(lane) == 1:
        return heads[0]
    nodes = able_nodes(snapshot, name, live=live)
    in_order = _in_order(snapshot, now, name, lent)
    first = run = next(in_order)
    while _is_passed(View(snapshot, now), run, nodes, effective(run, lent)):
        following = next(in_order, None)
        if following is None:
            return first
        run = following
    return run


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
    for number in (FORCED, RESCUED):  # any priority (P2), but few: a person forced them, or a node went down
        beside.update((run.id, run) for run in lane.heads(number))
    return beside.values()


def _least_due(lane: Lane, least: Run, now: datetime) -> Run:
    """The due run with the earliest logical time: the least of all, or of the loaded ones if that is in back-off."""
    if least.due_at <= now:
        return least
    due = (run for run in lane if run.due_at <= now)
    return min(due, key=lambda run: (run.occurs_at, run.id), default=least)


def _in_order(snapshot: Snapshot, now: datetime, name: str, lent: Lent) -> Iterator[Run]:
    """The due runs that could start first, by rank: each queue run by run, and what may pass their heads."""
    lane = snapshot.lane(name)
    heap: list[tuple[Rank, int, Run]] = []
    queues = [lane.heads(number) for number in range(QUEUES)]

    def push(number: int, run: Run | None) -> None:
        if run is not None and run.due_at <= now:
            heappush(heap, (rank(run, effective(run, lent)), number, run))

    for number, queue in enumerate(queues):
        push(number, next(queue, None))
    for run in beside_heads(snapshot, now, name):
        push(NO_QUEUE, run)
    while heap:
        _, number, run = heappop(heap)
        yield run
        if number != NO_QUEUE:
            push(number, next(queues[number], None))


def _is_passed(view: View, run: Run, nodes: Collection[Node], priority: Priority) -> bool:
    """Whether other runs of its worker may start before it: the fleet says so, or every node that could run it does."""
    if any(hold.is_passed for hold in ask(view, run).holds):
        return True
    return bool(nodes) and all(_is_passed_on(node, view, run, priority) for node in nodes)


def _is_passed_on(node: Node, view: View, run: Run, priority: Priority) -> bool:
    answer = Answer(run, view.snapshot.worker(run.worker))
    answer.priority = priority
    ask_node(node, answer)
    return any(hold.is_passed for hold in answer.holds)
