"""One cycle, one transaction: read, apply, decide, commit.

Rules of this file
- A rule that refuses leaves no change.  Every other answer waits for the commit, and fails if the commit fails.
- If there is nothing to apply, the cycle looks without a lock.  It takes the lock only when something may start.
- If the store has partitions, a turn locks the ones that it needs, as far as they are free.  Mutations for others come
  back as `missed`.  Lanes in others stay dirty, and a later turn without mutations looks at them.
- The cycle starts nothing and tells nobody.  It returns a `Turn`, which is true because it is committed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain

from shiftboss.clock import Clock
from shiftboss.core.claim import claim, skip_for_dependency
from shiftboss.core.decide import Decision, Grant, decide, lanes_needed
from shiftboss.core.events import Event
from shiftboss.core.fleet import Processes, live_nodes
from shiftboss.core.isolation import is_isolated
from shiftboss.core.lane import QUEUES, Lane
from shiftboss.core.model import Node, NodeMode, Origin, Run, Shed
from shiftboss.core.opaque import OpaqueBytes
from shiftboss.core.room import room_of
from shiftboss.core.snapshot import Change, Snapshot
from shiftboss.core.subject import freed_by, freed_by_breaker
from shiftboss.core.value import Value, replace
from shiftboss.core.worker import Definition
from shiftboss.engine import partitions
from shiftboss.engine.agenda import Agenda
from shiftboss.engine.clock_rules import ClockRules
from shiftboss.engine.mutation import Mutation, Reply, pick_up
from shiftboss.engine.partition_picker import PartitionPicker
from shiftboss.engine.snapshot_cache import SnapshotCache
from shiftboss.engine.writer import Writer
from shiftboss.errors import CallerError, OperatorError, StoreRejected
from shiftboss.logs import get_logger
from shiftboss.ports.cycle import CycleReader
from shiftboss.ports.store import AttemptKey, Session, Transaction

log = get_logger("shiftboss.engine")

ARRIVALS_BACK_OFF_S = 1.0  # after a failure: by then something may have changed, and everything else goes on meanwhile
MAX_ARRIVALS = 1000  # triggers from callers' own transactions that are taken in one transaction of ours
MANY_LANES = 500  # that have changed: some of them may start, so a look without a lock would be in vain
LOOK_GAP_S = 0.050  # between two looks at the partitions that a busy node's turns do not hold


class Launchable(Value, frozen=True):
    """A committed claim: the run with its payload, to be started now."""

    run: Run
    grant: Grant


@dataclass(slots=True)
class Turn:
    """What one cycle did."""

    replies: list[Reply] = field(default_factory=list)
    starts: list[Launchable] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    wrote: bool = False  # the store took a write
    again: bool = False  # there is more that could start at once
    claims_read: bool = False  # other processes may have changed our claims
    missed: list[Mutation] = field(default_factory=list)  # not applied: other sessions hold their partitions
    put_off: list[OperatorError] = field(default_factory=list)  # what the store did not take and will be tried again

    def and_then(self, other: Turn) -> Turn:
        """This turn and the next as one."""
        return Turn(
            replies=self.replies + other.replies,
            starts=self.starts + other.starts,
            events=self.events + other.events,
            wrote=self.wrote or other.wrote,
            again=self.again or other.again,
            claims_read=self.claims_read or other.claims_read,
            missed=self.missed + other.missed,
            put_off=self.put_off + other.put_off,
        )


class Cycle:
    """The state that lives from turn to turn: the snapshot cache, the agenda, the clocks as last seen."""

    def __init__(
        self,
        session: Session,
        clock: Clock,
        node: Node | None,
        *,
        decodes: Sequence[str] = (),
        definitions: Iterable[Definition] = (),
    ) -> None:
        self.session = session
        self.clock = clock
        self.node = node  # None: a client, which applies mutations and starts nothing
        self.agenda = Agenda()
        self.agenda.waitlists.by_partition = session.has_partitions
        self.cache = SnapshotCache(self.agenda, starts_runs=node is not None, decodes=decodes, definitions=definitions)
        self.owes_look = False  # the next turn must be one without mutations
        self.own_s = 0.0  # of the last turn: what deciding took, and not the store
        self._look_after_s = float("-inf")
        self._picker = PartitionPicker(clock.elapsed_s)
        self.may_start: Callable[[], bool] = lambda: True  # whether the lease is trusted (C3)
        self._clock_rules = ClockRules(clock, node, self.cache, self.agenda)
        self.entered: Callable[[str], Collection[AttemptKey] | None] = lambda node: (
            None
        )  # of a node whose process is gone
        self._nodes_seen: dict[str, tuple[NodeMode, Shed]] = {}
        self._company_seen: tuple[object, ...] = ()
        self._arrivals_wait = False
        self._arrivals_limit = MAX_ARRIVALS
        self._arrivals_after_s = float("-inf")

    @property
    def snapshot(self) -> Snapshot:
        return self.cache.snapshot

    # ── turning ──────────────────────────────────────────────────────────────────────────────────────────────────

    def turn(
        self, mutations: Sequence[Mutation] = (), *, processes: Processes | None = None, whole: bool = False
    ) -> Turn:
        """Apply *mutations* and claim what may start; with *processes*, those of other nodes, rescue runs as well.

        With *whole* no mutation is missed.  Raises what the store raises; then nothing has happened, and the next turn
        reads the snapshot cache again.
        """
        self._arrivals_wait = False
        self.own_s = 0.0
        try:
            if mutations or processes is not None or self._something_is_due():
                turn = self._write_turn(mutations, processes, whole=whole)
            else:
                turn = self._look_turn()
            return turn if not self._arrivals_wait else turn.and_then(self._arrivals_turn())
        except StoreRejected as error:
            self.forget()
            return self._halves(mutations, processes, error)
        except BaseException:
            self.forget()
            raise

    def forget(self) -> None:
        self.session.forget()
        self.cache.forget()
        self._clock_rules.doubt()

    def _halves(self, mutations: Sequence[Mutation], processes: Processes | None, error: StoreRejected) -> Turn:
        """Halve a batch that the store rejects until the guilty mutation is alone; only that one is refused."""
        if len(mutations) <= 1:
            turn = Turn()
            for mutation in mutations:
                if mutation.answer is not None:
                    turn.replies.append((mutation.answer, None, error))
            if not mutations:
                raise error
            return turn
        middle = len(mutations) // 2
        turn = self.turn(mutations[:middle], processes=processes).and_then(self.turn(mutations[middle:]))
        turn.again = turn.claims_read = True
        return turn

    def _arrivals_turn(self) -> Turn:
        """Pick up the triggers of callers' own transactions, in a turn of its own: no mutation is blamed for them.

        The previous turn is committed and must be reported, so no failure of this turn leaves this function.
        """
        try:
            turn = self._write_turn((), None, arrivals=self._arrivals_limit)
        except StoreRejected as error:
            self.forget()
            if self._arrivals_limit > 1:
                self._arrivals_limit //= 2
                return Turn(again=True, claims_read=True)
            return self._refusal_turn(error)
        except OperatorError as error:
            return self._put_off(error)
        self._arrivals_limit = min(MAX_ARRIVALS, self._arrivals_limit * 2)
        turn.again = turn.again or self._arrivals_wait
        return turn

    def _refusal_turn(self, refusal: StoreRejected) -> Turn:
        """The first arrival cannot be stored, not even alone: an event says so, and the next ones can be picked up."""
        try:
            turn = self._write_turn((), None, arrivals=1, refusal=refusal)
        except OperatorError as error:
            return self._put_off(error)
        turn.again = turn.claims_read = True
        return turn

    def _put_off(self, error: OperatorError) -> Turn:
        self.forget()
        self._arrivals_limit = max(1, self._arrivals_limit // 2)  # the batch may have been too large
        self._arrivals_after_s = self.clock.monotonic_s() + ARRIVALS_BACK_OFF_S
        log.warning(
            "triggers committed in callers' transactions cannot be picked up: %s; retrying in %g s",
            error,
            ARRIVALS_BACK_OFF_S,
        )
        return Turn(again=True, claims_read=True, put_off=[error])

    def _may_pick_up(self, reader: CycleReader) -> bool:
        return self.node is not None and reader.has_arrivals and self.clock.monotonic_s() >= self._arrivals_after_s

    def _something_is_due(self) -> bool:
        if self.node is None:
            return False
        now = self.clock.now()
        give_up_at = self.cache.next_give_up_at
        return (give_up_at is not None and give_up_at <= now) or self._clock_rules.seems_set

    def _look_turn(self) -> Turn:
        """Nothing arrived: look at lanes that are due or that others changed, and lock only if something may start."""
        turn = Turn()
        self.owes_look = False  # even if there is nothing to see, or no turn would take mutations again
        now = self.clock.now()
        self.snapshot.dirty.update(self.agenda.due(now))
        self._look_at_company()
        self._open_lists()
        if not self.snapshot.dirty and not self.session.changed_elsewhere() and not self._more_may_start():
            return turn
        self._look_after_s = self.clock.elapsed_s() + LOOK_GAP_S
        if len(self.snapshot.dirty) > MANY_LANES:
            return self._write_turn((), None)
        with self.session.read() as reader:
            turn.claims_read = self.cache.refresh(reader)
            self._arrivals_wait = self._may_pick_up(reader)
            self.snapshot.dirty.update(self.agenda.due(self.clock.now()))  # a full reading refills the agenda
            lanes = self._lanes_to_look_at()
            self.cache.load_lanes(lanes_needed(self.snapshot, lanes), reader)
            decision = self._decide(self.clock.now(), lanes, load=lambda names: self.cache.load_lanes(names, reader))
        if decision is not None and (decision.grants or decision.skips):
            if self.session.has_partitions:
                self._looked(lanes, decision, ())  # lanes with possible starts stay dirty: only these are asked for
            else:
                self.snapshot.dirty.update(decision.entered)
                self._did_not_happen(decision.skips, [grant.run for grant in decision.grants])
            written = self._write_turn((), None, runs=_successors(decision))
            written.claims_read = written.claims_read or turn.claims_read
            return written
        self._looked(lanes, decision, ())
        return turn

    def _write_turn(
        self,
        mutations: Sequence[Mutation],
        processes: Processes | None,
        *,
        arrivals: int = 0,
        refusal: StoreRejected | None = None,
        runs: int = 0,
        whole: bool = False,
    ) -> Turn:
        """A turn in one transaction.  Where there are partitions it may find that it needs them all; then once more."""
        turn = Turn()
        self.snapshot.dirty.update(self.agenda.due(self.clock.now()))
        wanted = None if whole or arrivals or processes is not None else self._wanted(mutations)
        snapshot, relations = self.snapshot, self.snapshot.relations
        pick = None if wanted is None else self._picker.pick(wanted)
        asked = None if pick is None else {number: partitions.partition(snapshot, number) for number in pick.partitions}
        waits = pick is not None and pick.waits
        runs += partitions.expected_runs(snapshot, mutations) if self.session.has_partitions else 0
        with self.session.begin(asked, waits=waits, runs=runs) as tx:
            held = tx.held
            if pick is not None and held is not None:
                self._picker.on_acquired(pick, held)
            turn.claims_read = self.cache.refresh(tx)
            is_new = self.snapshot.relations is not relations
            needs_whole = held is not None and (is_new or self._clock_rules.was_set(tx))
            if not needs_whole:
                writer = Writer(tx, self.cache)
                if arrivals:
                    mutations = [pick_up(request, refusal) for request in tx.arrivals(limit=arrivals)]
                    tx.expect(len(mutations))
                lanes, decision, started = self._write(mutations, processes, writer, tx, turn)
        if needs_whole:  # components have changed since the partitions were picked, or the clock was set
            return self._write_turn(mutations, processes, runs=runs, whole=True)
        turn.events.extend(writer.events)
        turn.wrote = writer.has_written
        turn.again = self._looked(lanes, decision, started, held) or bool(turn.missed)
        return turn

    def _write(
        self, mutations: Sequence[Mutation], processes: Processes | None, writer: Writer, tx: Transaction, turn: Turn
    ) -> tuple[Collection[str], Decision | None, list[Launchable]]:
        """Everything between the begin of the transaction and its commit."""
        held = tx.held
        ids = writer.ids()
        if held is None:
            self._clock_rules.follow(ids, writer, tx)
        self.snapshot.clock = tx.clock_mark() if held is not None else self.snapshot.clock
        self._arrivals_wait = self._may_pick_up(tx)
        mutations, turn.missed = partitions.split_by_held(self.snapshot, mutations, held)
        self.cache.read_for(mutations, tx)
        # Read what others changed before anything is written: a read after a write would cost a flush first.
        self.cache.load_lanes(lanes_needed(self.snapshot, self._lanes_to_look_at(held)), tx)
        now = self.clock.now()  # read after the lock: whoever waited for the lock must not act on an older time
        self._apply(mutations, now, ids, writer, turn)
        if held is None:
            self._clock_rules.expire_if_due(now, ids, writer, tx)
            if processes is not None:
                self._clock_rules.rescue_lost(now, processes, ids, writer, tx, entered=self.entered)
        self.snapshot.dirty.update(self.agenda.due(now))  # a full reading refills the agenda
        lanes = self._lanes_to_look_at(held)

        def load(names: Collection[str]) -> None:
            if self.cache.missing(names):
                writer.flush()
                self.cache.load_lanes(names, tx)

        load(lanes_needed(self.snapshot, lanes))
        decision = self._decide(now, lanes, held=held, load=load)
        started = self._claim(decision, now, ids, writer, tx)
        writer.flush()
        turn.starts = self._with_payloads(started, tx)
        return lanes, decision, started

    def _wanted(self, mutations: Sequence[Mutation]) -> set[int] | None:
        """The partitions that a turn needs; None: the whole store."""
        if not self.session.has_partitions or not self.cache.is_read or self._something_is_due():
            return None
        wanted = partitions.partitions_of(self.snapshot, mutations)
        if wanted is None or self.node is None or (mutations and not self._picker.is_alone):
            return wanted  # due lanes in other partitions get a turn of their own, which knows what may start
        wanted |= partitions.partitions_of_lanes(self.snapshot, self.snapshot.dirty)
        if not mutations:
            return wanted
        wanted |= partitions.partitions_of_lanes(self.snapshot, self.agenda.unasked)
        return wanted | self.agenda.waitlists.partitions()  # the mutations may free slots for these

    # ── steps of a turn ──────────────────────────────────────────────────────────────────────────────────────────────

    def _apply(
        self, mutations: Sequence[Mutation], now: datetime, ids: Iterator[int], writer: Writer, turn: Turn
    ) -> None:
        """Call the rule of each mutation; its answer is kept until the commit."""
        snapshot = self.snapshot
        for mutation in mutations:
            try:
                change, value = mutation.rule(snapshot, now, ids=ids)
            except CallerError as error:
                if mutation.answer is not None:
                    turn.replies.append((mutation.answer, None, error))
                elif mutation.refused is not None:
                    writer.take(Change(events=(mutation.refused(now, error),)))
                continue
            writer.take(change)
            if mutation.answer is not None:
                turn.replies.append((mutation.answer, value, None))

    def _lanes_to_look_at(self, held: frozenset[int] | None = None) -> set[str]:
        """Lanes that have changed, or whose rank may have changed with them (D9); only in the *held* partitions."""
        if self.node is None:
            return set()
        self._look_at_company()
        nodes = {node.id: (node.mode, node.shed) for node in self.snapshot.nodes.values()}
        if nodes != self._nodes_seen:
            self._nodes_seen = nodes
            self.snapshot.dirty.update(self.agenda.held_by_nodes & self.snapshot.workers.keys())
        self._open_lists()
        relations = self.snapshot.relations
        lanes: set[str] = set()
        unasked = self.agenda.unasked if self._free_slots() > 0 else ()
        for name in chain(self.snapshot.dirty, unasked):
            if name not in lanes and (held is None or relations.partitions.get(name) in held):
                if self._has_nothing_to_start(name):
                    continue
                lanes.add(name)
                if self.snapshot.suspects:  # W8: what an unreadable row holds is not written down
                    lanes.update(relations.component(name))
                elif name in relations.upstreams:
                    lanes.update(relations.above(name))
        return lanes

    def _has_nothing_to_start(self, name: str) -> bool:
        """Whether no run of that worker waits, and none of another worker that has to do with it can be waiting for it.

        Each end of a run asks this, and most workers of a wide system have no other run.
        """
        lane = self.snapshot.lanes.get(name)
        if lane is None or not lane.is_empty or not lane.is_whole or name in self.snapshot.relations.members:
            return False
        return not self.agenda.knows(name)

    def _open_lists(self) -> None:
        """Open the lists of what has become free since the last time."""
        snapshot, waitlists = self.snapshot, self.agenda.waitlists
        for name in snapshot.freed:
            for subject in freed_by(snapshot, name):
                waitlists.open(subject)
        for name in snapshot.freed_breakers:
            for subject in freed_by_breaker(snapshot, name):
                waitlists.open(subject)
        snapshot.freed.clear()
        snapshot.freed_breakers.clear()

    def _look_at_company(self) -> None:
        """C8: look at lanes held by an isolated run, running or waiting here, when that run has changed."""
        if self.node is None or not self.agenda.held_by_company:
            return
        running = self.snapshot.running_on(self.node.id)
        alone = tuple(run.id for run in running if is_isolated(run))
        company = (not running, alone, tuple(run.id for run in self.agenda.isolated.values()))
        if company != self._company_seen:
            self._company_seen = company
            self.snapshot.dirty.update(self.agenda.held_by_company & self.snapshot.workers.keys())

    def _more_may_start(self) -> bool:
        """Whether lanes that nobody could ask, or lanes on open lists, can be asked now."""
        node = self._me()
        if node is None or node.mode is not NodeMode.RUNNING:
            return False
        if self.agenda.unasked and self._free_slots() > 0:
            return True
        return bool(self.agenda.waitlists.open_lists()) and self.agenda.waitlists.may_start(
            room_of(self.snapshot, node)
        )

    def _partitions_of_more(self) -> set[int]:
        """The partitions of lanes that nobody could ask, and of open lists."""
        node = self._me()
        if node is None or self._free_slots() <= 0:
            return set()
        unasked = partitions.partitions_of_lanes(self.snapshot, self.agenda.unasked)
        return unasked | self.agenda.waitlists.partitions(room_of(self.snapshot, node))

    def _free_slots(self) -> int:
        node = self._me()
        if node is None or node.mode is not NodeMode.RUNNING:
            return 0
        return node.slots - len(self.snapshot.running_on(node.id))

    def _me(self) -> Node | None:
        stored = None if self.node is None else self.snapshot.nodes.get(self.node.id)
        return self.node if stored is not None and stored.unreadable is not None else stored

    def _decide(
        self,
        now: datetime,
        lanes: Collection[str],
        *,
        held: frozenset[int] | None = None,
        load: Callable[[Collection[str]], None],
    ) -> Decision | None:
        """Which due runs start here, of *lanes* and of lanes on open lists; None when this node may start nothing."""
        node = self._me()
        if node is None or node.mode is not NodeMode.RUNNING or not self.may_start():
            return None
        room = room_of(self.snapshot, node)
        if room.free <= 0 or not (lanes or self.agenda.waitlists.open_lists()):
            return None
        began_s = self.clock.monotonic_s()

        def timed_load(names: Collection[str]) -> None:
            loads_s = self.clock.monotonic_s()
            load(names)
            self.own_s -= self.clock.monotonic_s() - loads_s

        live = live_nodes(self.snapshot, boot=self.clock.boot, lease_s=self.clock.lease_s())
        for lane in lanes:
            self.agenda.isolated.pop(lane, None)
        isolated = list(self.agenda.isolated.values())
        decision = decide(
            self.snapshot,
            now,
            node=node,
            room=room,
            lanes=lanes,
            live=live,
            isolated=isolated,
            waitlists=self.agenda.waitlists,
            held=held,
            load=timed_load,
        )
        self.own_s += self.clock.monotonic_s() - began_s
        for lane in decision.entered:
            self.agenda.isolated.pop(lane, None)
        self.agenda.isolated.update(decision.isolated)
        return decision

    def _claim(
        self, decision: Decision | None, now: datetime, ids: Iterator[int], writer: Writer, tx: Transaction
    ) -> list[Launchable]:
        """Make the granted runs `running` in the name of this node; those that start, with their payloads if known."""
        started: list[Launchable] = []
        if decision is None or self.node is None:
            return started
        tx.expect(_successors(decision))
        for run in decision.skips:
            writer.take(skip_for_dependency(self.snapshot, now, ids=ids, run=run)[0])
        payloads = self._decoded(decision.grants, writer, tx)
        grants = [grant for grant in decision.grants if grant.run.id not in self.snapshot.undecodable]
        if not grants:
            return started
        change, claimed = claim(self.snapshot, now, ids=ids, grants=grants, node=self.node.id, fence=tx.number)
        writer.take(change)
        for grant, running in zip(grants, claimed, strict=True):
            if running is not None:
                payload = payloads.get(running.id)
                started.append(Launchable(running if payload is None else replace(running, payload=payload), grant))
        return started

    def _decoded(self, grants: Collection[Grant], writer: Writer, tx: Transaction) -> dict[int, bytes]:
        """E3: payloads are decoded before the claim; a run whose payload cannot be decoded is held from now on."""
        encoded = [grant.run for grant in grants if grant.run.encoded_by]
        if not encoded:
            return {}
        payloads = {run.id: run.payload for run in encoded if run.payload is not None}
        payloads |= tx.payloads([run.id for run in encoded if run.payload is None])
        for run in encoded:
            payload = payloads.get(run.id)
            if isinstance(payload, OpaqueBytes):
                self.snapshot.undecodable[run.id] = payload.why
                log.warning(
                    "run %d of %s is held because its payload is %s",
                    run.id,
                    run.worker,
                    payload.why,
                    extra={"run": run.id},
                )
        return payloads

    def _with_payloads(self, started: list[Launchable], tx: Transaction) -> list[Launchable]:
        missing = [s.run.id for s in started if s.run.payload is None and s.run.digest is not None]
        if not missing:
            return started
        payloads = tx.payloads(missing)
        return [
            Launchable(replace(s.run, payload=payloads[s.run.id]), s.grant) if s.run.id in payloads else s
            for s in started
        ]

    def _looked(
        self,
        lanes: Collection[str],
        decision: Decision | None,
        started: Collection[Launchable],
        held: frozenset[int] | None = None,
    ) -> bool:
        """Note on the agenda when to look again; True if that is at once."""
        self.cache.trim()
        elsewhere = self._waiting_elsewhere(held)
        self.snapshot.dirty.clear()
        if self.node is None:
            return self.cache.is_behind
        self.agenda.looked(lanes if decision is None else decision.entered)
        self._note_look(lanes, decision, started)
        self.snapshot.dirty.update(elsewhere)
        must_look = bool(elsewhere) or self.cache.is_behind or self._more_elsewhere(held)
        self.owes_look = must_look and self.clock.elapsed_s() >= self._look_after_s
        return bool(self.snapshot.dirty) or must_look

    def _waiting_elsewhere(self, held: frozenset[int] | None) -> set[str]:
        """Dirty lanes in partitions that were not held."""
        if held is None:
            return set()
        lies_in = self.snapshot.relations.partitions
        return {name for name in self.snapshot.dirty if lies_in.get(name, -1) not in {-1, *held}}

    def _more_elsewhere(self, held: frozenset[int] | None) -> bool:
        """Whether lanes in partitions that were not held lack nothing but a slot, and one is free."""
        return held is not None and not self._partitions_of_more() <= held

    def _note_look(self, lanes: Collection[str], decision: Decision | None, started: Collection[Launchable]) -> None:
        if decision is None:
            self.agenda.unasked.update(lanes)
            return
        for looked, at in decision.look_at.items():
            self.agenda.look_at(looked, at)
        for subject, at in decision.open_at.items():
            self.agenda.open_at(subject, at)
        self.snapshot.dirty.update(decision.again)
        self.agenda.held_by_nodes.update(decision.held_by_nodes)
        self.agenda.held_by_company.update(decision.held_by_company)
        now = self.clock.now()
        for name in {run.worker for run in (*decision.skips, *(grant.run for grant in decision.grants))}:
            lane = self.snapshot.lanes.get(name)
            if lane is not None and lane.is_whole and lane.is_empty:
                continue
            if lane is None or lane.is_dry or _has_unasked(lane, now, decision):
                self.snapshot.dirty.add(name)  # the loaded prefix is used up, or the next run is due already
            elif lane.next_due_at is not None:
                self.agenda.look_at(name, max(now, lane.next_due_at))
        ids = {launch.run.id for launch in started}
        dropped = [grant.run for grant in decision.grants if grant.run.id not in ids]
        self._did_not_happen(decision.skips, dropped)

    def _did_not_happen(self, skips: Collection[Run], dropped: Collection[Run]) -> None:
        """Runs that held others in the walk, and do not start after all."""
        for run in (*skips, *dropped):
            self.snapshot.dirty.add(run.worker)
            self.snapshot.freed.add(run.worker)


def _successors(decision: Decision) -> int:
    """How many next scheduled runs will be stored by the runs that start (M3)."""
    return sum(1 for grant in decision.grants if grant.run.origin is Origin.OCCURRENCE)


def _has_unasked(lane: Lane, now: datetime, decision: Decision) -> bool:
    heads = (next(lane.heads(number), None) for number in range(QUEUES))
    return any(
        head is not None and head.due_at <= now and head.id not in decision.holds and head.id not in decision.unreached
        for head in heads
    )
