"""A node in virtual time: the real cycle, lease and running attempts, driven by events instead of by a thread.

Rules of this file
- One step is what `engine.loop.Loop.step` does: first a renewal that is due, then a turn with what has arrived.
- Where the engine ticks every second, the simulator knows the time of the next event: no step finds nothing to do.
- A paused node does nothing at all; what comes due meanwhile happens when it is resumed, in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from enum import StrEnum
from typing import TYPE_CHECKING

from shiftboss.core.fleet import Processes, lost_nodes
from shiftboss.core.model import Node, NodeMode, Report
from shiftboss.core.retention import KEEP
from shiftboss.core.value import replace, seconds_between
from shiftboss.core.worker import Definition
from shiftboss.engine import membership
from shiftboss.engine.cycle import Cycle, Turn
from shiftboss.engine.declaring import Declaring, declaring_node
from shiftboss.engine.inbox import within_batch
from shiftboss.engine.lease import Lease
from shiftboss.engine.mutation import Mutation, deliver
from shiftboss.engine.neighbours import Neighbours
from shiftboss.engine.running import RunningAttempts
from shiftboss.engine.sealing import Sealing
from shiftboss.engine.shutdown import Phase, Shutdown, ShutdownReport
from shiftboss.errors import OperatorError
from shiftboss.ports.executor import Body, StopReason
from shiftboss.testing.bodies import SimExecutor
from shiftboss.testing.clock import VirtualClock
from shiftboss.testing.fault_injection import WatchedSession

if TYPE_CHECKING:
    from shiftboss.testing.simulator import Simulator

FIRST_BACK_OFF_S = 0.05  # as in the engine
MAX_BACK_OFF_S = 2.0


class State(StrEnum):
    UP = "up"
    PAUSED = "paused"
    GONE = "gone"  # crashed, or left


class KeptAnswer:
    """An answer that is kept here instead of being sent to a caller."""

    loop = None

    def __init__(self) -> None:
        self.value: object = None
        self.error: BaseException | None = None
        self.is_told = False

    def resolve(self, value: object) -> None:
        self.value, self.is_told = value, True

    def reject(self, error: BaseException) -> None:
        self.error, self.is_told = error, True

    def get(self) -> object:
        """The value.  Raises what the rule or the store raised."""
        if self.error is not None:
            raise self.error
        return self.value


class SimNode:
    """Made by `Simulator.add_node`."""

    def __init__(
        self,
        sim: Simulator,
        node: Node,
        session: WatchedSession,
        *,
        bodies: Mapping[str, Body],
        kinds: Mapping[str, str],
    ) -> None:
        self._sim = sim
        self.clock: VirtualClock = sim.clock
        self.node = node
        self.session = session
        self.declaring: Declaring | None = None
        self.definitions: tuple[Definition, ...] = ()
        self.state = State.UP
        self.inbox: list[Mutation] = []
        self.delivering: list[Report] = []  # what this turn has taken to write
        self.frozen: list[Callable[[], None]] = []
        self.unfinished: Callable[[], None] | None = None  # a turn whose node was paused at its commit
        self.must_renew = True  # by a full renewal, because the node was away
        self.asked_s = 0.0  # when it asked for its last renewal
        self.wakes_us: int | None = None
        self.held = ExitStack()  # what the kernel releases when the process dies
        self.entries = self.held.enter_context(sim.store.hold(node.id))
        self.lease = Lease(sim.clock)
        self.neighbours = Neighbours(sim.store, sim.clock, node.id)
        self.cycle = Cycle(session, sim.clock, node)
        self.cycle.may_start = lambda: self.lease.is_trusted
        self.sealing = Sealing(session, sim.clock, sim.keys_of(node.id), keep_s=KEEP.audit_s)
        self.executors = {
            kind: SimExecutor(
                kind,
                node.slots,
                self,
                sim.model,
                entered=lambda launch: sim.history.launched(launch.run),
                beside=lambda launch: sim.history.violate("B7", f"run {launch.run.id} runs twice on {node.id}, untold"),
                timed_out=lambda launch: sim.history.timed_out(launch.run),
            )
            for kind in node.executors
        }
        self.running = RunningAttempts(
            node.id,
            sim.clock,
            bodies=bodies,
            executors=self.executors,
            kinds=kinds,
            put=self.put,
            code_version=node.code_version,
            entries=self.entries,
        )
        self.cycle.entered = sim.store.entered
        self.fall: Callable[[], None] = lambda: sim.crash(self)  # what a function calls that ends its process
        self._shutdown = Shutdown()
        self._announced = Phase.RUNNING
        self._owns_process = True
        self._back_off_s = 0.0
        self._epoch: int | None = None  # of the store, when the node last declared to it
        self._leased_in: int | None = None  # the store's epoch when the lease was last renewed

    @property
    def id(self) -> str:
        return self.node.id

    @property
    def is_gone(self) -> bool:
        return self.state is State.GONE

    @property
    def is_serving(self) -> bool:
        """Whether nobody has asked it to stop."""
        return self._shutdown.requests == 0

    # ── living ───────────────────────────────────────────────────────────────────────────────────────────────────

    def enter(self, definitions: Sequence[Definition], resources: Mapping[str, int]) -> None:
        """Declare and join.  Raises what `declare` refuses."""
        self.definitions = tuple(definitions)
        self.node = declaring_node(self.node, definitions, resources)
        self.declaring = Declaring(self.node, definitions, resources, self.clock, is_dead=self._sim.store.is_dead)
        answer = KeptAnswer()
        turn = self.cycle.turn([self.declaring.joins(self.node, answer)])
        deliver(turn.replies)
        answer.get()
        asked_s = self.clock.elapsed_s()
        processes = self.neighbours.look(self.cycle.snapshot)
        turn = self.cycle.turn([membership.renew(self._me(), self.clock)], processes=processes)
        self._epoch = self.cycle.cache.epoch
        self._finish(turn, (), asked_s)

    def put(self, mutation: Mutation) -> None:
        """Put an outcome or a request into its inbox."""
        self.inbox.append(mutation)
        self.wake()

    def wake(self, delay_s: float = 0.0) -> None:
        """Step no later than in *delay_s*."""
        self._sim.wake(self, delay_s)

    def after(self, delay_s: float, then: Callable[[], None]) -> None:
        """Schedule an event of this node's process."""
        self._sim.after(delay_s, then, node=self)

    def stop(self, *, timeout_s: float, owns_process: bool = True) -> None:
        """Ask for a graceful end; a second call asks for a quicker one (G3)."""
        self._owns_process = owns_process
        self._shutdown.request(self.clock.monotonic_s(), timeout_s=timeout_s)
        self.wake()

    def gone(self) -> None:
        """Its process has ended."""
        self.state = State.GONE
        self.frozen.clear()
        for executor in self.executors.values():
            executor.close()

    # ── one step ─────────────────────────────────────────────────────────────────────────────────────────────────

    def step(self) -> None:
        self._serve_shutdown()
        asked_s: float | None = None
        mutations: list[Mutation] = []
        processes: Processes | None = None
        epoch = self.cycle.cache.epoch
        if self._owes_declaration and self.declaring is not None:  # the store was restored
            asked_s = self.clock.elapsed_s()
            mutations = [membership.renew(self._me(), self.clock), self.declaring.again(self.node)]
        elif self.lease.renew_in_s <= 0.0:
            asked_s = self.clock.elapsed_s()
            mutations = [membership.renew(self._me(), self.clock)]
        else:
            self._see_to_declarations()
            if not self.cycle.owes_look:
                count = within_batch(self.inbox)
                mutations, self.inbox = self.inbox[:count], self.inbox[count:]
            processes = self._lost()
        self.delivering = [mutation.report for mutation in mutations if mutation.report is not None]
        try:
            turn = self.cycle.turn(mutations, processes=processes)
        except OperatorError as error:
            self._store_failed([] if asked_s is not None else mutations, error)
            return
        if len(mutations) > 1 and asked_s is not None:
            self._epoch = epoch
        if turn.missed:
            self.inbox = turn.missed + self.inbox
            mutations = [mutation for mutation in mutations if mutation not in turn.missed]
        if self.state is State.PAUSED:  # between the commit and the starts that it decided
            self.unfinished = lambda: self._finish(turn, mutations, asked_s)
        else:
            self._finish(turn, mutations, asked_s)

    def _finish(self, turn: Turn, mutations: Sequence[Mutation], asked_s: float | None = None) -> None:
        """Report what a committed turn brought about, and start what it claimed."""
        self._back_off_s = 0.0
        if asked_s is not None:
            self.asked_s = asked_s
            self.lease.renewed(asked_s)
            self._leased_in = self.cycle.cache.epoch
            self.must_renew = False
        deliver(turn.replies)
        self.running.acknowledge([mutation.report for mutation in mutations if mutation.report is not None])
        if turn.claims_read or any(mutation.needs.runs for mutation in mutations):
            self.running.look(self.cycle.snapshot, starting=turn.starts)
            if self.id not in self.cycle.snapshot.nodes:
                self.lease.lost()
        if self.cycle.cache.epoch != self._leased_in:
            self.lease.lost()  # its row was restored with the store
        if self.lease.is_trusted and self._shutdown.requests == 0:
            self.running.start(self.cycle.snapshot, turn.starts)
            self.running.release(self.cycle.snapshot)
        else:
            self.running.refuse(turn.starts)
            self.running.give_back_held("it came too late to start")
        self._sim.publish(turn.events)
        self.sealing.committed(turn.events)
        self.sealing.seal_what_is_owed()  # at once, because nothing wakes it for that later
        self.sealing.seal_if_due()
        if self._is_over():
            self._leave()
        elif turn.again or self.inbox or asked_s is not None or self.lease.renew_in_s <= 0.0 or self._owes_declaration:
            self.wake()
        else:
            self._wait()

    @property
    def _owes_declaration(self) -> bool:
        return self.cycle.cache.epoch != self._epoch and self.is_serving

    def _wait(self) -> None:
        """Until the next known time; a notification ends the wait earlier."""
        waits = [self._shutdown.next_s(self.clock.monotonic_s()), self.running.release_in_s]
        if not self._sim.leaps:
            waits.append(self.lease.renew_in_s)
        now = self.clock.now()
        agenda = self.cycle.agenda.next_at if self._announced is Phase.RUNNING else None
        for at in (agenda, self.cycle.cache.next_give_up_at):
            if at is not None:
                waits.append(seconds_between(now, at))
        nearest_s = min(waits)
        if nearest_s < float("inf"):
            self.wake(max(0.0, nearest_s))

    def _me(self) -> Node:
        stored = self.cycle.snapshot.nodes.get(self.id, self.node)
        mode = NodeMode.DRAINING if self._announced > Phase.RUNNING else stored.mode
        return replace(self.node, mode=mode, shed=stored.shed, shed_reason=stored.shed_reason)

    def _see_to_declarations(self) -> None:
        me = self.cycle.snapshot.nodes.get(self.id)
        if me is None or self.declaring is None or not self.lease.is_trusted:
            return
        owed = self.declaring.owed(self.cycle.snapshot, me)
        if owed:
            self.inbox.append(self.declaring.again(me, owed))

    def _lost(self) -> Processes | None:
        """What is known of other nodes' processes if one may be rescued now; otherwise None."""
        nodes = self.cycle.snapshot.nodes
        if len(nodes) < 2:
            return None
        processes = self.neighbours.look(self.cycle.snapshot)
        me = nodes.get(self.id, self.node)
        lost = lost_nodes(self.cycle.snapshot, me=me, lease_s=self.clock.lease_s(), processes=processes)
        return processes if lost else None

    def _store_failed(self, mutations: Sequence[Mutation], error: OperatorError) -> None:
        """H5: refuse those who wait, keep the reports, try again later."""
        deliver([(mutation.answer, None, error) for mutation in mutations if mutation.answer is not None])
        self.inbox = [mutation for mutation in mutations if mutation.answer is None] + self.inbox
        self._back_off_s = min(MAX_BACK_OFF_S, max(FIRST_BACK_OFF_S, 2 * self._back_off_s))
        if not self.lease.is_trusted:
            self.running.stop_all(StopReason.LEASE)
        if self._is_over():
            self._leave()
        else:
            self.wake(self._back_off_s)

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _serve_shutdown(self) -> None:
        phase = self._shutdown.phase(self.clock.monotonic_s())
        if phase <= self._announced:
            return
        began, self._announced = self._announced, phase
        if began is Phase.RUNNING:
            self.lease.lost()  # renewed at once, which tells everybody that this node starts nothing more
        if phase >= Phase.CANCEL:
            self.running.stop_all(StopReason.SHUTDOWN)

    def _is_over(self) -> bool:
        if self._announced is Phase.RUNNING:
            return False
        nothing_left = len(self.running) == 0 and not self.inbox
        return nothing_left or self._shutdown.phase(self.clock.monotonic_s()) is Phase.OVER

    def _leave(self) -> None:
        """Its last act: what cannot be stopped is handed back if the process ends too."""
        mutations, self.inbox = self.inbox, []
        abandoned = self.running.abandoned()
        mutations += self.running.last_mutations(abandoned, owns_process=self._owns_process)
        if self._owns_process or not abandoned:
            mutations.append(membership.leave(self.node, ShutdownReport()))
        self.delivering = [mutation.report for mutation in mutations if mutation.report is not None]
        try:
            turn = self.cycle.turn(mutations, whole=True)
            deliver(turn.replies)
            self.running.refuse(turn.starts)
            self._sim.publish(turn.events)
        except OperatorError as error:
            deliver([(mutation.answer, None, error) for mutation in mutations if mutation.answer is not None])
        self._sim.ended(self, process=self._owns_process or not abandoned)
