"""Invariants of which run goes first and where: slots, priorities, reservations (P2, P3, B4).

Rules of this file
- As in `invariants.py`.  What depends on the order within one commit is not counted as a violation.
"""

from __future__ import annotations

from collections.abc import Iterator

from shiftboss.core.graph import Relations
from shiftboss.core.model import Node, Run
from shiftboss.core.policy import Priority
from shiftboss.testing.history import Commit, History, Violation
from shiftboss.testing.oracle import ALONE_FROM, KEPT_OF, Oracle, goes_on_beside


def _in_one_partition(history: History, run: Run, other: Run) -> bool:
    partitions = Relations.of(state.definition for state in history.workers.values()).partitions
    return partitions.get(run.worker) == partitions.get(other.worker)


def slots(history: History, commit: Commit) -> Iterator[Violation]:
    """P3, M7: no node runs more than its slots, starts anything while it drains, or runs what it does not know."""
    node = history.nodes.get(commit.by)
    if not commit.starts or node is None or commit.skips:
        return
    claims = [run for run in history.running.values() if run.claim is not None and run.claim.node == node.id]
    starting = {start.run.id for start in commit.starts}
    oracle = Oracle(history, commit.at, waiting=list(starting))
    low = sum(1 for run in claims if (oracle.lent(run) if run.id in starting else run.priority) < Priority.HIGH)
    if len(claims) > node.slots:
        yield Violation("P3", commit.at, f"{node.id} has {len(claims)} running attempts in {node.slots} slots")
    for run, _, _ in commit.starts:
        if not oracle.can_run(node, run):
            yield Violation("M7", commit.at, f"{node.id} started run {run.id} of {run.worker}, which it must not run")
        is_low = oracle.lent(run) < Priority.HIGH
        if is_low and low > node.slots - node.slots // KEPT_OF:
            yield Violation(
                "P3",
                commit.at,
                f"{node.id} gave a slot that is kept for high priorities to run {run.id} ({run.priority.label})",
            )


def isolation(history: History, commit: Commit) -> Iterator[Violation]:
    """C8: an isolated run starts alone, and stays alone until it has finished an attempt."""
    node = history.nodes.get(commit.by)
    if node is None:
        return
    for run, _, before in commit.starts:
        if before is None:
            continue
        late = [
            other for _, _, other in commit.starts if other is not None and goes_on_beside(other, before, commit.at)
        ]
        oracle = Oracle(history, commit.at, waiting=[other.id for other in late])
        if oracle.stands_apart(node, before):
            history.marks["isolated:broken"] += 1
            yield Violation(
                "C8", commit.at, f"run {run.id} of {run.worker} started on {node.id}, where one of them must run alone"
            )
        if run.rescues > 1:
            history.marks["isolated:started"] += 1


def priorities(history: History, commit: Commit) -> Iterator[Violation]:
    """P2: no run starts before one of higher rank that could have its slot; with partitions: of the same partition."""
    node = history.nodes.get(commit.by)
    if not commit.starts or node is None or commit.skips:
        return
    before = Oracle(history, commit.at, waiting=[start.run.id for start in commit.starts])
    after = Oracle(history, commit.at)
    made = {run.id for run in commit.created if run.is_standing}  # made by the starts themselves
    last = max(after.rank(start.run) for start in commit.starts)
    for other in after.due():
        if other.id in made or after.rank(other) > last or after.has_room(node, other):
            continue
        if after.reasons(other) or not after.can_run(node, other) or before.lent(other) != other.priority:
            continue
        if before.stands_behind(other) or other.rescues >= ALONE_FROM or before.keeps_apart(node, other):
            continue
        for run, _, _ in commit.starts:
            is_fit = other.priority >= Priority.HIGH or run.priority < Priority.HIGH  # P3 keeps some slots for others
            if not is_fit or not _same_executor(history, run, other) or after.rank(other) > after.rank(run):
                continue
            if history.has_partitions and not _in_one_partition(history, run, other):
                continue  # a node that held only this run's partition had not looked at the other's, or could not
            if before.lent(run) == run.priority and not before.is_reserved_against(other):
                yield Violation(
                    "P2", commit.at, f"run {run.id} took a slot before run {other.id}, which has a higher rank"
                )


def _same_executor(history: History, run: Run, other: Run) -> bool:
    return len({history.workers[r.worker].definition.executor for r in (run, other)}) == 1


def reservations(history: History, commit: Commit) -> Iterator[Violation]:
    """B4: nothing is taken from a run that has waited longer than its patience."""
    started = {start.run.id for start in commit.starts}
    competing = {start.run.id for start in commit.starts if history.may_compete(start.run.worker)}
    if commit.skips or not competing:
        return
    made = {run.id for run in commit.created if run.is_standing}  # made by the starts themselves, so not known before
    doubtful = Oracle(history, commit.at, waiting=competing)
    for run, _ in doubtful.reserving(list(history.nodes.values()), surely=False):
        if run.id in started:
            doubtful.start(run)
    maybe = doubtful.reserved
    walk = Oracle(history, commit.at, waiting=competing)
    for run, reserved in walk.reserving([node for node in history.nodes.values() if _is_live(node, commit)]):
        if run.id in started:
            for waiting in reserved:
                if waiting.id in made or any(
                    walk.competes(other, waiting) and walk.rank(other, walk.lent(other)) < walk.rank(waiting)
                    for other in maybe
                    if other.id != waiting.id
                ):
                    continue  # a run that a reservation holds does not itself reserve
                if walk.rank(run, walk.lent(run)) < walk.rank(waiting):
                    continue  # by a lent priority only: the engine lends from the heads of lanes, the oracle from all
                yield Violation("B4", commit.at, f"run {run.id} started although run {waiting.id} has a reservation")
            walk.start(run)


def _is_live(node: Node, commit: Commit) -> bool:
    """Whether its lease is good after this commit; a node that was rescued in it is gone before anything is decided."""
    return node.lease_until_s > commit.elapsed_s and node.id not in commit.gone_nodes
