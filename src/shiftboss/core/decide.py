"""Which due runs may this node start now, and when should it look again?

Rules of this file
- It only chooses.  The caller claims and writes.
- It asks about the lanes that it is given, and about those on open lists, the best first.  A lane on a closed list is
  not asked, because what it waits for is not free.
- Every due run that was looked at and not chosen has a hold that says why.
- A lane's `look_at` is never later than the earliest time at which a run in it could start without an event.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from heapq import heappop, heappush

from shiftboss.core.gates.gate import Answer, Here, View
from shiftboss.core.gates.table import ask, ask_here, ask_node
from shiftboss.core.hold import Ends, Hold, Scope
from shiftboss.core.isolation import Company, is_isolated
from shiftboss.core.lane import QUEUES
from shiftboss.core.model import Claim, Node, Run, Status
from shiftboss.core.next_run import NO_QUEUE, beside_heads
from shiftboss.core.policy import Priority
from shiftboss.core.rank import Lent, Rank, effective, lend, lenders, rank
from shiftboss.core.room import Room, SlotClass, room_of
from shiftboss.core.snapshot import Snapshot
from shiftboss.core.subject import Subject, taken_by, upstream
from shiftboss.core.value import Value, later, replace
from shiftboss.core.waitlists import NODE, SLOT, Key, Order, Waitlists
from shiftboss.core.worker import OnFailure

TAKES_NO_SLOT = {Ends.SLOT, Ends.SHED}  # the node has no slot for such a run, or gives it none


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
    entered: set[str] = field(default_factory=set)  # lanes that were looked at
    again: set[str] = field(default_factory=set)  # lanes that have to be looked at once more, at once
    unreached: set[int] = field(default_factory=set)  # runs that were not asked about, because no slot was left
    look_at: dict[str, datetime] = field(default_factory=dict)  # lane → when time alone may change something
    open_at: dict[Subject, datetime] = field(default_factory=dict)  # the same of what many lanes wait for
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
    waitlists: Waitlists | None = None,
    held: Collection[int] | None = None,
    load: Callable[[Collection[str]], None] | None = None,
) -> Decision:
    """Choose among the due runs of *lanes* and of the open *waitlists*, up to the free slots of *node*.

    *live* holds the ids of the nodes whose lease is good; a run can wait only for those (B4).  *isolated* are the runs
    of other lanes that lack nothing but to be alone on this node (C8).  Only lists in the partitions *held* are asked
    (None: all).  *load* is called before a lane of a list is entered, with all the lanes that this needs.
    """
    walk = Walk(
        snapshot,
        now,
        node=node,
        room=room,
        lanes=lanes,
        live=live,
        isolated=isolated,
        waitlists=waitlists,
        held=held,
        load=load,
    )
    for _ in walk.asks():
        if room.free <= 0:
            break
    walk.file_the_rest()
    return walk.decision


def lanes_needed(snapshot: Snapshot, names: Iterable[str]) -> set[str]:
    """The lanes that have to be read before those of *names* are entered: their own, and those around them (D2, D9)."""
    relations, needed = snapshot.relations, set()
    for name in names:
        needed.add(name)
        needed.update(relations.upstreams.get(name, ()))
        if name in relations.dependents:
            needed.update(relations.below(name))
    return needed


class Walk:
    """The due runs of some lanes in rank order; the gates are asked about each in turn.

    Without *waitlists* nothing but *lanes*, which are whole components, is asked about or lends priority.
    """

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
        waitlists: Waitlists | None = None,
        held: Collection[int] | None = None,
        load: Callable[[Collection[str]], None] | None = None,
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
        self._reserved: set[str] = set()  # lanes that reserved when they were last asked, and have not been asked again
        self._reserving: list[tuple[Rank, Run]] = []
        self._lent: Lent = {}
        self._load = load
        self._lists = Waitlists() if waitlists is None else waitlists
        names = [name for name in lanes if name in snapshot.workers]
        self._within = set(names) if waitlists is None else None
        for name in names:
            self._lists.leave(name)
        self._order = Order(self._lists, room, held)
        for name in sorted(set(names)):
            self._enter(name)

    def asks(self) -> Iterator[Answer]:
        """Each candidate in rank order, after it was granted, skipped or held."""
        while True:
            self._enter_best()
            if not self._heap:
                return
            position, number, run, queue = heappop(self._heap)
            if run.id in self._asked:
                if queue is not None and _go_on_behind(self.decision.holds.get(run.id, ())):
                    self._advance(number, queue)
                continue
            if self._lacks_only_a_slot(run):
                self._lists.file(run.worker, position, self._key(SLOT, run, run.priority))
                self.decision.unreached.add(run.id)
                continue
            self._asked.add(run.id)
            if self._reserving:  # a lane that comes up late may bring a run that ranks before some of them
                self.view.reserving = [other for rank_of_other, other in self._reserving if rank_of_other < position]
            answer = self._ask(run)
            if self._reserved:
                self._end_reservation(run.worker)
            if queue is not None and _go_on_behind(answer.holds):
                self._advance(number, queue)
            yield answer

    def _lacks_only_a_slot(self, run: Run) -> bool:
        """Whether no slot is free for *run*, and nobody has to know more of it: it is related to no other worker."""
        if self._within is not None or not self.here.room.is_short or run.worker in self.snapshot.relations.members:
            return False
        executor = self.snapshot.workers[run.worker].definition.executor
        return not is_isolated(run) and not self.here.room.has(SlotClass.of(executor, run.priority))

    def file_the_rest(self) -> None:
        """The runs that the walk did not reach lack a slot; nothing else is known about them."""
        for position, _, run, _ in self._heap:
            key = self._key(SLOT, run, self._priority(run))
            self._lists.file(run.worker, position, key)
            if run.id not in self._asked:
                self.decision.unreached.add(run.id)
                if run.worker in self._reserved:
                    self._lists.reserving.add(run.worker)
                if run.worker in self.snapshot.relations.members:
                    self._note_patience(run, position, key)

    # entering

    def _enter_best(self) -> None:
        """Enter the lanes on open lists that rank before all candidates."""
        while True:
            best = self._order.best()
            if best is None or (self._heap and self._heap[0][0] <= best):
                return
            name = self._order.take()
            if name in self.decision.entered:
                self.decision.again.add(name)  # its lists were opened again by what came after it
            elif name in self.snapshot.workers:
                self._load_around(name)
                self._enter(name)

    def _load_around(self, name: str) -> None:
        """Have the lanes read that are needed to enter *name*; those that the walk began with were read before."""
        needed = lanes_needed(self.snapshot, (name,)) if name in self.snapshot.relations.members else (name,)
        if self._load is not None and not all(map(self._is_whole, needed)):
            self._load(needed)

    def _is_whole(self, name: str) -> bool:
        """Whether nothing of that lane can be missing."""
        lane = self.snapshot.lanes.get(name)
        return lane is not None and lane.is_whole

    def _enter(self, name: str) -> None:
        """Enter a lane; before anything of it is asked, those of its component that reserve will be (B4)."""
        self.decision.entered.add(name)
        self._order.touch(self.snapshot.relations.first(name))
        lane = self.snapshot.lane(name)
        if name in self._lists.reserving:
            self._lists.reserving.discard(name)
            self._reserved.add(name)
        only = lane.only
        if only is not None:
            self._push(NO_QUEUE, only, None)
            return
        if lane.is_empty:  # each end of a run brings its lane here, and most workers have no other run
            self._end_reservation(name)
            return
        before = len(self._heap)
        for number in range(QUEUES):
            self._advance(number, lane.heads(number))
        for run in beside_heads(self.snapshot, self.now, name):
            self._push(NO_QUEUE, run, None)
        if len(self._heap) == before:
            self._end_reservation(name)

    def _end_reservation(self, name: str) -> None:
        """What that lane reserved may be free for others, if it reserves nothing any more (B4)."""
        if name in self._reserved and name not in self._lists.reserving:
            self._reserved.discard(name)
            for subject in taken_by(self.snapshot, name):
                self._order.add(self._lists.open(subject))

    def _advance(self, number: int, queue: Iterator[Run]) -> None:
        run = next(queue, None)
        if run is not None:
            self._push(number, run, queue)

    def _push(self, number: int, run: Run, queue: Iterator[Run] | None) -> None:
        if run.due_at > self.now:
            self.decision.look(run.worker, run.due_at)
        else:
            heappush(self._heap, (rank(run, self._priority(run)), number, run, queue))

    def _priority(self, run: Run) -> Priority:
        """Its own priority, or the highest that is lent to it (D9)."""
        name = run.worker
        if name in self.snapshot.relations.dependents:
            if name not in self._lent:
                below = set(self.snapshot.relations.below(name))
                if self._within is not None:
                    below &= self._within
                heads = lenders(self.snapshot, below)
                self._lent[name] = lend(self.snapshot, self.now, heads, to={name, *below}).get(name, [])
            return effective(run, self._lent)
        return run.priority

    # filing

    def _key(self, subject: Subject, run: Run, priority: Priority) -> Key:
        partition = self.snapshot.relations.partitions.get(run.worker, 0) if self._lists.by_partition else 0
        executor = self.snapshot.workers[run.worker].definition.executor
        return Key(partition, subject, SlotClass.of(executor, priority))

    def _file(self, answer: Answer, subject: Subject) -> Key:
        key = self._key(subject, answer.run, answer.priority)
        self._lists.file(answer.run.worker, rank(answer.run, answer.priority), key)
        return key

    def _note_patience(self, run: Run, position: Rank, key: Key) -> bool:
        """B4: note the lane among those that may reserve, or when it will be.  True if its patience is over."""
        patient_until = later(self._waits_since(run), self.snapshot.workers[run.worker].definition.patience_s)
        if patient_until > self.now:
            self.decision.look(run.worker, patient_until)
            return False
        self._lists.file_patient(self.snapshot.relations.first(run.worker), run.worker, position, key)
        return True

    # asking

    def _ask(self, run: Run) -> Answer:
        answer = ask(self.view, run)
        if answer.skip and not any(hold.forbids_skip for hold in answer.holds):
            self.decision.skips.append(run)
            self.view.skipped[run.worker] = run
            answer.holds.clear()
            return answer
        answer.priority = self._priority(run)
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
        self.here.company.starts(run)
        if answer.state.disabled is not None or run.worker not in self.snapshot.relations.free:
            claim = Claim(node=node_id, fence=0, at=self.now, probe=answer.probe)
            self.view.grant(replace(run, status=Status.RUNNING, claim=claim))  # for the runs asked about after it

    def _note_wait(self, answer: Answer) -> None:
        run = answer.run
        fleet = _of_fleet(answer.holds)
        ends = {hold.ends for hold in answer.holds}
        cause = _first_to_end(fleet)
        subject = None if cause is None else cause.awaits(self.view, run)
        if not fleet and ends & TAKES_NO_SLOT and ends <= {*TAKES_NO_SLOT, Ends.COMPANY}:
            subject = SLOT
        for hold in answer.holds:
            if hold is not cause or subject is None:
                self.decision.look(run.worker, hold.until)
        if subject is not None and cause is not None and cause.until is not None:
            known = self.decision.open_at.get(subject)
            self.decision.open_at[subject] = cause.until if known is None else min(known, cause.until)
        for edge in answer.state.definition.depends_on:
            if edge.on_failure is OnFailure.SKIP and run.is_standing:  # D5: whatever else holds it
                self._file(answer, upstream(edge.worker))
        self._note_lane(run.worker, ends)
        key = None if subject is None else self._file(answer, subject)
        if run.worker not in self.snapshot.relations.members or is_isolated(run):
            return  # nobody is there to reserve against; C8: an isolated run goes first anyway, and reserves nothing
        if all(hold.reserves or hold.is_reservation for hold in fleet):
            self._may_reserve(answer, fleet, ends, key)

    def _may_reserve(self, answer: Answer, fleet: Collection[Hold], ends: set[Ends], key: Key | None) -> None:
        """B4: only blockers, permits and reservations of others hold it in the fleet."""
        run = answer.run
        if key is None:
            key = self._file(answer, NODE)
        if not self._note_patience(run, rank(run, answer.priority), key):
            return
        is_behind = any(hold.is_reservation for hold in fleet)
        reserves = not is_behind and self._some_node_has_a_slot(answer)
        if reserves:
            self._reserving.append((rank(run, answer.priority), run))
            self._lists.reserving.add(run.worker)
            self.decision.look(run.worker, answer.good_until)  # then its reservation ends
        if is_behind or not TAKES_NO_SLOT.isdisjoint(ends) or (reserves and fleet):
            self._order.reserved(self.snapshot.relations.first(run.worker), key)  # those behind lack the same

    def _note_lane(self, lane: str, ends: set[Ends]) -> None:
        """Note what has to happen on a node before this lane is looked at again."""
        if Ends.NODES in ends:
            self.decision.held_by_nodes.add(lane)
        if Ends.COMPANY in ends:
            self.decision.held_by_company.add(lane)

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


def _first_to_end(fleet: Collection[Hold]) -> Hold | None:
    """The hold that has to end before the others matter: one that a reservation (B4) would not end, if any."""
    return next((hold for hold in fleet if not hold.reserves), next(iter(fleet), None))


def _go_on_behind(holds: Collection[Hold]) -> bool:
    """Whether the runs behind it in its queue are asked about: nothing holds this one, or it cannot be decoded (E3)."""
    return not holds or any(hold.is_passed_in_queue for hold in holds)
