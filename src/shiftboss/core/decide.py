"""Which due runs may this node start now, and when should it look again?

Rules of this file
- It only chooses.  The caller claims and writes.
- Every due run that was looked at and not chosen has a hold that says why.
- A lane's `look_at` is never later than the earliest time at which a run in it could start without an event.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from heapq import heappop, heappush

from shiftboss.core.gates.gate import Answer, Here, View
from shiftboss.core.gates.table import ask, ask_here, ask_node
from shiftboss.core.hold import Ends, Hold, Scope
from shiftboss.core.isolation import Company, is_isolated
from shiftboss.core.lane import QUEUES, Lane
from shiftboss.core.model import Claim, Node, Run, Status
from shiftboss.core.next_run import NO_QUEUE, beside_heads
from shiftboss.core.rank import Lent, Rank, effective, lend, lenders, rank
from shiftboss.core.room import Room, room_of
from shiftboss.core.snapshot import Snapshot
from shiftboss.core.value import Value, later, replace


class Grant(Value, frozen=True):
    """A start that was decided, and its manner."""

    run: Run
    probe: bool = False
    fallback: bool = False
    degraded: bool = False


@dataclass(slots=True)
class Decision:
    """What the walk decided."""

    grants: list[Grant] = field(default_factory=list)
    skips: list[Run] = field(default_factory=list)  # D5
    holds: dict[int, tuple[Hold, ...]] = field(default_factory=dict)  # run → why it does not start
    look_at: dict[str, datetime] = field(default_factory=dict)  # lane → when time alone may change something
    starved: set[str] = field(default_factory=set)  # lanes with runs that lack nothing but a slot of this node
    held_by_nodes: set[str] = field(default_factory=set)  # lanes held by a node's shedding or by a reservation
    held_by_company: set[str] = field(default_factory=set)  # lanes held by a run that runs here alone, or is to (C8)
    isolated: dict[str, Run] = field(default_factory=dict)  # lane → a run in it that lacks nothing but to be alone

    def look(self, lane: str, at: datetime | None) -> None:
        if at is not None:
            known = self.look_at.get(lane)
            if known is None or at < known:
                self.look_at[lane] = at


def decide(
    snapshot: Snapshot,
    now: datetime,
    *,
    node: Node,
    room: Room,
    lanes: Collection[str],
    live: Collection[str],
    isolated: Collection[Run] = (),
) -> Decision:
    """Choose among the due runs of *lanes* (whole components), up to the free slots of *node*.

    *live* holds the ids of the nodes whose lease is good; a run can wait only for those (B4).  *isolated* are the runs
    of other lanes that lack nothing but to be alone on this node (C8).
    """
    walk = Walk(snapshot, now, node=node, room=room, lanes=lanes, live=live, isolated=isolated)
    for _ in walk.asks():
        if room.free <= 0:
            break
    walk.starve_the_rest()
    return walk.decision


class Walk:
    """The due runs of some lanes in rank order; the gates are asked about each in turn."""

    def __init__(
        self,
        snapshot: Snapshot,
        now: datetime,
        *,
        node: Node,
        room: Room,
        lanes: Collection[str],
        live: Collection[str],
        isolated: Collection[Run] = (),
    ) -> None:
        self.view = View(snapshot, now)
        self.snapshot = snapshot
        self.now = now
        self.live = live
        self.here = Here(node, room, Company(node, now, snapshot.running_on(node.id), waiting=isolated))
        self.decision = Decision(isolated=self.here.company.wanting)
        self._heap: list[tuple[Rank, int, Run, Iterator[Run] | None]] = []
        self._asked: set[int] = set()
        self._granted: set[str] = set()  # workers that start something
        names = [name for name in lanes if name in snapshot.workers]
        self._lent: Lent = lend(snapshot, now, lenders(snapshot, names))
        for name in names:
            self._enter(name, snapshot.lane(name))

    def asks(self) -> Iterator[Answer]:
        """Each candidate in rank order, after it was granted, skipped or held."""
        while self._heap:
            _, number, run, queue = heappop(self._heap)
            if run.id in self._asked:
                if queue is not None and _go_on_behind(self.decision.holds.get(run.id, ())):
                    self._advance(number, queue)
                continue
            self._asked.add(run.id)
            answer = self._ask(run)
            if queue is not None and _go_on_behind(answer.holds):
                self._advance(number, queue)
            yield answer

    def starve_the_rest(self) -> None:
        """The runs that the walk did not reach lack a slot; nothing else is known about them."""
        self.decision.starved.update(run.worker for _, _, run, _ in self._heap)

    # entering

    def _enter(self, name: str, lane: Lane) -> None:
        for number in range(QUEUES):
            self._advance(number, lane.heads(number))
        for run in beside_heads(self.snapshot, self.now, name):
            if run.due_at > self.now:
                self.decision.look(name, run.due_at)
            else:
                heappush(self._heap, (rank(run, effective(run, self._lent)), NO_QUEUE, run, None))

    def _advance(self, number: int, queue: Iterator[Run]) -> None:
        run = next(queue, None)
        if run is None:
            return
        if run.due_at > self.now:
            self.decision.look(run.worker, run.due_at)
        else:
            heappush(self._heap, (rank(run, effective(run, self._lent)), number, run, queue))

    # asking

    def _ask(self, run: Run) -> Answer:
        answer = ask(self.view, run)
        if answer.skip and not any(hold.forbids_skip for hold in answer.holds):
            self.decision.skips.append(run)
            self.view.skipped[run.worker] = run
            answer.holds.clear()
            return answer
        answer.priority = effective(run, self._lent)
        ask_node(self.here.node, answer)
        ask_here(self.here, answer)
        if answer.holds:
            self.decision.holds[run.id] = tuple(answer.holds)
            self._note_wait(answer)
        else:
            self._grant(answer)
        return answer

    def _grant(self, answer: Answer) -> None:
        run, node_id = answer.run, self.here.node.id
        self.here.room.take(answer.state.definition.executor, answer.priority)
        self._granted.add(run.worker)
        self.decision.grants.append(Grant(run, answer.probe, answer.fallback, answer.degraded))
        self.here.company.starts(replace(run, claim=Claim(node=node_id, fence=0, at=self.now)))
        if answer.state.disabled is not None or run.worker not in self.snapshot.relations.free:
            claim = Claim(node=node_id, fence=0, at=self.now, probe=answer.probe)
            self.view.grant(replace(run, status=Status.RUNNING, claim=claim))  # for the runs asked about after it

    def _note_wait(self, answer: Answer) -> None:
        run = answer.run
        for hold in answer.holds:
            self.decision.look(run.worker, hold.until)
        self._note_lane(run.worker, {hold.ends for hold in answer.holds})
        if is_isolated(run):
            return  # C8: an isolated run goes first anyway, and reserves nothing
        if not all(hold.reserves for hold in _of_fleet(answer.holds)):
            return  # another hold of the whole fleet holds it as well: a reservation would not let it start
        patient_until = later(self._waits_since(run), answer.state.definition.patience_s)
        if patient_until > self.now:
            self.decision.look(run.worker, patient_until)
        elif self._some_node_has_a_slot(answer):
            self.view.reserving.append(run)
            self.decision.look(run.worker, answer.good_until)  # then its reservation ends

    def _note_lane(self, lane: str, ends: set[Ends]) -> None:
        """Note what has to happen on a node before this lane is looked at again."""
        if Ends.NODES in ends:
            self.decision.held_by_nodes.add(lane)
        if Ends.COMPANY in ends:
            self.decision.held_by_company.add(lane)
        if Ends.SLOT in ends and ends <= {Ends.SLOT, Ends.COMPANY}:
            self.decision.starved.add(lane)

    def _waits_since(self, run: Run) -> datetime:
        """The due time, or the latest start of its worker if later: so two backlogs that block each other take turns.

        By due times alone both would be older than their patience and alternate run by run: on three nodes 70 runs a
        second instead of 1,700 (measured, functions of 10 ms).
        """
        if run.worker in self._granted:
            return self.now
        last_run_at = self.snapshot.record(run.worker).last_run_at
        return run.due_at if last_run_at is None else max(run.due_at, last_run_at)

    def _some_node_has_a_slot(self, answer: Answer) -> bool:
        """Whether some live node would take the run: none of the gates that ask about a node holds it there."""
        if answer.run.id in self.snapshot.undecodable:  # E3: no node is known to be able to decode it
            return False
        me = self.here.node.id
        nodes = (node for node in self.snapshot.nodes.values() if node.id in self.live or node.id == me)
        return any(self._has_a_slot(node, answer) for node in nodes)

    def _has_a_slot(self, node: Node, about: Answer) -> bool:
        answer = Answer(about.run, about.state)
        answer.priority = about.priority
        ask_node(node, answer)
        if not answer.holds:
            ask_here(self.here if node.id == self.here.node.id else here(self.snapshot, self.now, node), answer)
        return not answer.holds


def here(snapshot: Snapshot, now: datetime, node: Node) -> Here:
    """What runs on any node, from the claims that the store knows."""
    return Here(node, room_of(snapshot, node), Company(node, now, snapshot.running_on(node.id)))


def _of_fleet(holds: list[Hold]) -> tuple[Hold, ...]:
    """The holds that would hold on every node; a hold of this node alone does not prevent a reservation."""
    return tuple(hold for hold in holds if hold.scope is not Scope.NODE)


def _go_on_behind(holds: Collection[Hold]) -> bool:
    """Whether the runs behind it in its queue are asked about: nothing holds this one, or it cannot be decoded (E3)."""
    return not holds or any(hold.is_passed_in_queue for hold in holds)
