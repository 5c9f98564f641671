"""The engine: one thread that turns the cycle until it is told to stop.

Rules of this file
- No user code runs in this thread, except subscribers, which must be quick.
- The thread waits for notifications, for the store and, at the end, for the executors, and for nothing else.
- It never dies silently: whatever a turn raises is logged, and the turn is tried again after a back-off (H5).
- While the store is unavailable, reports wait and triggers are refused with `StoreUnavailable`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Protocol

from shiftboss.clock import Clock
from shiftboss.core import fleet
from shiftboss.core.events import AttemptEnded, Event, RunEnded, StaleReport
from shiftboss.core.health import StoreTrouble
from shiftboss.core.model import Node, NodeMode, Report
from shiftboss.core.reconcile import declare_new
from shiftboss.core.retention import KEEP, Keep
from shiftboss.core.shed import Pressures, Shedding, shed
from shiftboss.core.value import replace, seconds_between
from shiftboss.core.worker import Definition
from shiftboss.engine import membership
from shiftboss.engine.contact import Contact
from shiftboss.engine.cycle import Cycle, Turn
from shiftboss.engine.declaring import Declaring, declaring_node
from shiftboss.engine.freeze import Freeze, FreezeWatch, frozen
from shiftboss.engine.inbox import MAX_MUTATIONS, Inbox, weight_of
from shiftboss.engine.lease import Lease, LeaseWatch
from shiftboss.engine.mutation import Answer, Mutation, Needs, deliver
from shiftboss.engine.neighbours import Neighbours, can_freeze
from shiftboss.engine.pace import GATHER_S, Pace, may_wait
from shiftboss.engine.restored import restored_in
from shiftboss.engine.retention import Retention
from shiftboss.engine.running import RunningAttempts
from shiftboss.engine.sealing import Keyring, Sealing
from shiftboss.engine.shutdown import Phase, Shutdown, ShutdownReport
from shiftboss.engine.waiters import Waiters
from shiftboss.engine.watchdog import Watchdog
from shiftboss.errors import CallerError, NotAllowed, OperatorError, ShiftbossError, StoreFull, StoreUnavailable
from shiftboss.logs import get_logger
from shiftboss.ports.executor import Body, Executor, Launch, Raised, StopReason
from shiftboss.ports.store import EntryLog, Session, Store

log = get_logger("shiftboss.engine")

MAX_WAIT_S = 5.0  # wall clocks jump, so the engine looks again after each wait
TICK_S = 1.0  # for what no time is known in advance: signs of life of neighbours, loop lag, memory
FIRST_BACK_OFF_S = 0.05
MAX_BACK_OFF_S = 2.0
TRY_WITHIN_S = 2.0  # to wait for the store's lock, to see whether it takes writes: a busy store gives it within 0.1

Subscriber = Callable[[Sequence[Event]], None]
Logger = Callable[[Sequence[Event], Mapping[int, Raised]], None]  # by run: what its function raised here


class Meter(Protocol):
    """Measures the engine; called in the engine's thread at each turn."""

    def cycle(self, duration_s: float) -> None: ...
    def store_error(self, error: OperatorError) -> None: ...


class Engine:
    """A node: a session of the store, the cycle, and the attempts that run here.  A client has no *node*.

    *declares_new*: a client declares what nobody has declared yet (M7).  *decodes*: the ids of the codec's keys,
    beginning with the one that it encodes with.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        node: Node | None,
        definitions: Sequence[Definition] = (),
        resources: Mapping[str, int] | None = None,
        declares_new: bool = False,
        bodies: Mapping[str, Body] | None = None,
        executors: Mapping[str, Executor] | None = None,
        logger: Logger = lambda events, raised: None,
        subscribers: Sequence[Subscriber] = (),
        meters: Sequence[Meter] = (),
        traced: Callable[[Launch], None] = lambda launch: None,
        secrets: tuple[str, ...] = (),
        watchdog: Watchdog | None = None,
        memory_share: Callable[[], float | None] = lambda: None,
        resident_bytes: Callable[[], int] = lambda: 0,
        shutdown_timeout_s: float = 25.0,
        keep: Keep = KEEP,
        entries: EntryLog | None = None,
        decodes: Sequence[str] = (),
        keyring: Keyring | None = None,
        owns_process: bool = False,
    ) -> None:
        self._store = store
        self._clock = clock
        self._definitions = definitions
        self._resources = resources or {}
        self._node = None if node is None else declaring_node(node, definitions, self._resources)
        self._declaring = (
            None if node is None else Declaring(node, definitions, self._resources, clock, is_dead=store.is_dead)
        )
        self._declares_new = declares_new
        self._decodes = decodes
        self._executors = executors or {}
        self._logger = logger
        self._subscribers = list(subscribers)
        self._meters = list(meters)
        self._watchdog = watchdog
        self._memory_share = memory_share
        self._resident_bytes = resident_bytes
        self._shutdown_timeout_s = shutdown_timeout_s
        self._keep = keep
        self._keyring = keyring
        self._shutdown = Shutdown()
        self._announced = Phase.RUNNING
        self._report = ShutdownReport()
        self._in_flight: frozenset[int] = frozenset()  # at the request to stop: each is accounted for at the end
        self._owns_process = False  # whether the process ends with this engine
        self._can_freeze = node is not None and can_freeze(node, definitions)
        self._lease = Lease(clock)
        self._lease_watch = LeaseWatch(self._lease, lambda: self._running.stop_all(StopReason.LEASE))
        self._freezes = FreezeWatch(self._occupants, self._was_frozen, owns_process=owns_process)
        self._secrets = secrets
        self._session: Session
        self._cycle: Cycle
        self._retention: Retention
        self._sealing: Sealing
        self._inbox = Inbox(self._wake_up)
        self._running = RunningAttempts(
            node.id if node is not None else "",
            clock,
            bodies=bodies or {},
            executors=self._executors,
            kinds={definition.name: definition.executor for definition in definitions},
            put=self._put_quietly,
            code_version=node.code_version if node is not None else "",
            traced=traced,
            secrets=secrets,
            entries=entries,
        )
        self._waiters = Waiters()
        self._pace = Pace(clock.monotonic_s)
        self._pause = time.sleep
        self._wake = threading.Event()  # set with every wake-up; what the back-off waits for
        self._is_open = False
        self._ticked_s = float("-inf")
        self._slowest_turn_s = 0.0
        self._shedding = Shedding()
        self._back_off_s = 0.0
        self.contact = Contact(store, clock)
        self._epoch: int | None = None  # of the store, when this process last declared
        self._leased_in: int | None = None  # the epoch in which the lease was last renewed
        self._mistake: str | None = None  # a bug in shiftboss that ended the engine
        self._neighbours = Neighbours(store, clock, "" if node is None else node.id)
        self._thread = threading.Thread(target=self._run, name="shiftboss-engine", daemon=True)
        self.ready: Future[None] = Future()  # the store is open, the workers are declared, the lease is held
        self.over: Future[ShutdownReport] = Future()

    # ── from any thread ──────────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Start the thread; `ready` says how that went.  Raises NotAllowed where there can be no threads."""
        try:
            self._thread.start()
        except RuntimeError as error:
            raise NotAllowed(f"no thread can be started here ({error}), but the orchestrator needs some") from error

    def put(self, mutation: Mutation) -> None:
        """Raises NotStarted once the engine has stopped, and NotAllowed in its own thread."""
        self.must_be_another_thread()
        self._inbox.put(mutation)

    def watch(self, run_id: int, answer: Answer) -> None:
        """Answer with the run when it has ended, here or elsewhere.  Raises what `put` raises."""
        self.must_be_another_thread()
        self._inbox.put(self._waiters.mutation(run_id, answer))

    def must_be_another_thread(self) -> None:
        """Raises NotAllowed if the caller would wait for itself."""
        if threading.get_ident() == self._thread.ident:
            raise NotAllowed(
                "this call came from the engine's own thread (from an on_events or measure callback), which would "
                "have to answer it; make the call in another thread, or on your loop with "
                "asyncio.run_coroutine_threadsafe(…)"
            )

    def stop(self, *, owns_process: bool = False) -> None:
        """Ask for a graceful end; asked again, for a quicker one (G3).  Returns at once; `over` has the report."""
        self._owns_process = self._owns_process or owns_process
        self._shutdown.request(self._clock.monotonic_s(), timeout_s=self._shutdown_timeout_s)
        now_s = self._clock.monotonic_s()
        self._store.end_by(self._shutdown.current_call_s(now_s, timeout_s=self._shutdown_timeout_s))
        self._wake_up()

    def end(self, why: str = "", *, owns_process: bool = False) -> None:
        """Ask for a graceful end, unless somebody has asked already: nobody else will (G5)."""
        self._owns_process = self._owns_process or owns_process
        if self._shutdown.requests == 0:
            if why:
                log.error("%s; this node stops, and other nodes take over its runs", why)
            self.stop()

    def measure(self, meter: Meter) -> None:
        """Call *meter* from the next cycle on."""
        self._meters.append(meter)

    @property
    def in_flight(self) -> int:
        """How many attempts run here."""
        return len(self._running)

    def runs(self, run_id: int) -> bool:
        """Whether an attempt of that run is in progress here.  From any thread."""
        return run_id in self._running

    @property
    def shutdown_timeout_s(self) -> float:
        return self._shutdown_timeout_s

    @property
    def left_s(self) -> float:
        """Seconds until the engine has to be over; infinite while nobody has asked it to stop."""
        return self._shutdown.left_s(self._clock.monotonic_s())

    @property
    def trouble(self) -> str | None:
        """What keeps the engine from working now, in words; None if nothing does."""
        trouble = self.store_trouble()
        return None if trouble is None else trouble.text

    def store_trouble(self) -> StoreTrouble | None:
        """The same with what is known of it, and since when; from any thread, without asking the store."""
        if self._mistake is not None:
            return StoreTrouble(self._mistake, fact="is not used, for the engine has ended")
        return self.contact.trouble

    @property
    def has_failed(self) -> bool:
        """Whether a bug in shiftboss ended it: only a new process can go on."""
        return self._mistake is not None

    @property
    def knows_workers(self) -> bool:
        """Whether anybody had declared a worker when it last looked.  From any thread, once it is ready."""
        return bool(self._cycle.snapshot.workers)

    @property
    def is_stopping(self) -> bool:
        """Whether it was asked to stop: then it is not ready any more (G1)."""
        return self._shutdown.requests > 0

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def join(self, timeout_s: float | None = None) -> None:
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    def _wake_up(self) -> None:
        self._wake.set()
        if self._is_open:
            self._session.wake()

    def _put_quietly(self, mutation: Mutation) -> None:
        """From executors.  A function that ends after the engine is not reported: its claim was handed back."""
        try:
            self._inbox.put(mutation)
        except ShiftbossError:
            log.debug("an executor reported after the engine had ended")

    def _occupants(self) -> dict[tuple[str, int], int]:
        """Called by the thread that watches for freezes."""
        return {body: thread for each in self._executors.values() for body, thread in each.occupants().items()}

    def _was_frozen(self, freeze: Freeze) -> None:
        """Likewise.  The freeze is logged together with its event, so that it is logged once."""
        if self._node is not None:
            self._put_quietly(frozen(self._node, freeze, secrets=self._secrets))

    # ── the thread ───────────────────────────────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        try:
            self._enter()
            if self._node is not None:
                self._freezes.start()
                self._lease_watch.start()  # before anybody may end the process, when no thread can be started any more
        except BaseException as error:  # noqa: BLE001  # whatever it is, whoever started the engine has to be told
            self._lease_watch.stop()
            self._freezes.stop()
            self._close_session()
            self.ready.set_exception(error)
            return
        self.ready.set_result(None)
        try:
            while not self._is_over():
                self._step()
            self._leave()
        except BaseException as error:
            log.critical(
                "the engine stops because of a bug in shiftboss; its runs are rescued when its lease expires",
                exc_info=True,
            )
            self._mistake = f"{type(error).__name__}: {error}"
            raise
        finally:
            self._lease_watch.stop()
            self._freezes.stop()
            if self._node is not None:
                self._store.engine_ended(self._node.id)
            self._close_session()
            self._refuse_the_rest()
            self.over.set_result(self._report)

    def _enter(self) -> None:
        self._session = self._store.session()
        self._is_open = True
        self._cycle = Cycle(self._session, self._clock, self._node, decodes=self._decodes)
        self._retention = Retention(self._session, self._clock, self._keep)
        self._sealing = Sealing(self._session, self._clock, self._keyring, keep_s=self._keep.audit_s)
        if self._node is None or self._declaring is None:
            self._cycle.turn()
            if self._declares_new:
                self._declare_new()
            self._epoch = self._cycle.cache.epoch
            return
        self._cycle.entered = self._store.entered
        self._cycle.may_start = lambda: self._lease.is_trusted and self._store.trouble is None
        self._join(self._node, self._declaring)
        self._renew(joining=True)
        self._epoch = self._cycle.cache.epoch

    def _declare_new(self) -> None:
        names = tuple(definition.name for definition in self._definitions)
        answer = _KeptAnswer()
        rule = partial(declare_new, definitions=self._definitions, resources=self._resources)
        self._have_taken(Mutation(rule, Needs(lanes=names), answer), answer)

    def _join(self, node: Node, declaring: Declaring) -> None:
        answer = _KeptAnswer()
        self._have_taken(declaring.joins(node, answer), answer)
        mine = node.workers
        unstoppable = [
            d.name for d in self._definitions if d.name in mine and not d.can_be_stopped and d.timeout_s is not None
        ]
        if unstoppable:  # T2: this is said once
            log.info(
                "timeouts cannot be enforced in threads and pools: after its timeout a run of %s keeps its slot until "
                "its function returns; executor='process' can be stopped",
                ", ".join(unstoppable),
            )

    def _have_taken(self, mutation: Mutation, answer: _KeptAnswer) -> None:
        """Raises the error with which it was refused."""
        turn = self._cycle.turn([mutation])
        deliver(turn.replies)
        answer.get()
        self._publish(turn)

    @property
    def _owes_declaration(self) -> bool:
        """Whether the store was put back to an earlier state since this process declared."""
        return self._cycle.cache.epoch not in (None, self._epoch) and not self.is_stopping

    def _go_on_after_restore(self) -> None:
        """The store has lost what was declared after the backup: declare it again, and report the restore (M7)."""
        epoch = self._cycle.cache.epoch
        if self._node is not None and self._declaring is not None:
            self._renew()  # first: only declarations of live nodes can be in force
            self._take(self._cycle.turn([self._declaring.again(self._node)]), ())
        elif self._declares_new:
            try:
                self._declare_new()
            except CallerError as error:
                log.error("the store was restored and refuses this client's declarations: %s", error)  # noqa: TRY400  # the message says it all
        with self._session.read() as reader:
            restored = restored_in(reader)
        if restored is not None:
            self._publish(Turn(events=[restored]))
        self._epoch = epoch

    def _renew(self, *, joining: bool = False) -> None:
        if self._node is None:
            return
        asked_s = self._clock.elapsed_s()
        stored = self._cycle.snapshot.nodes.get(self._node.id, self._node)
        node = replace(
            self._node,
            mode=NodeMode.DRAINING if self._announced > Phase.RUNNING else stored.mode,
            shed=stored.shed,
            shed_reason=stored.shed_reason,
            lag_s=self._watchdog.lag_s if self._watchdog is not None else 0.0,
            memory_bytes=self._resident_bytes(),
        )
        processes = self._neighbours.look(self._cycle.snapshot) if joining else None
        turn = self._cycle.turn([membership.renew(node, self._clock)], processes=processes)
        self._lease.renewed(asked_s)
        self._leased_in = self._cycle.cache.epoch
        self.contact.wrote()
        ends_s = fleet.bodies_end_s(asked_s)
        frozen_s = fleet.bodies_end_at_last_s(asked_s, freeze_limit_s=self._node.freeze_limit_s)
        for executor in self._executors.values():
            executor.trust(ends_s, frozen_until_s=frozen_s if self._store.shows_life else ends_s)
        self._take(turn, ())

    def _step(self) -> None:
        """One turn, and the wait for the next."""
        mutations: list[Mutation] = []
        try:
            self.contact.asks()
            self._serve_shutdown()
            if self._owes_declaration:
                self._go_on_after_restore()
            self._write_if_due()
            processes = self._tick()
            mutations = [] if self._cycle.owes_look else self._admitted(self._inbox.take())
            if self._pace.is_busy and self._may_wait(mutations):
                self._pause(GATHER_S)
                mutations += self._admitted(self._inbox.take())
            began_s = self._clock.monotonic_s()
            turn = self._cycle.turn(mutations, processes=processes)
            self._pace.turned(self._clock.monotonic_s() - began_s)
            self._measured(self._clock.monotonic_s() - began_s, batches=weight_of(mutations) / MAX_MUTATIONS)
            if turn.missed:
                missed = set(turn.missed)
                self._inbox.put_back(turn.missed)
                mutations = [mutation for mutation in mutations if mutation not in missed]
            self._take(turn, mutations)
            self._went_well(turn)
            self._sealing.seal_if_due()
            if not turn.again and not len(self._inbox) and not self._owes_declaration and not self._is_over():
                self._wake.clear()
                if self._node is not None and self._announced is Phase.RUNNING:
                    self._retention.prune_if_due()
                self._session.wait(self._wait_s())
        except OperatorError as error:
            self.contact.failed(error)
            self._store_failed(mutations, error)
        except Exception as error:  # never die silently: log it and try the mutations again
            log.exception("a cycle failed because of a bug in shiftboss; retrying")
            failure = StoreUnavailable(f"the engine failed: {error}", maybe_stored=False)
            self.contact.failed(failure, fact="is not used")
            self._store_failed(mutations, failure)

    def _may_wait(self, mutations: Sequence[Mutation]) -> bool:
        waitlists, awaited = self._cycle.agenda.waitlists, self._waiters.runs
        return not self.is_stopping and may_wait(
            mutations, self._cycle.snapshot, waitlists, now=self._clock.now(), awaited=awaited
        )

    def _write_if_due(self) -> None:
        """Only a write shows whether the store takes writes: a node renews its lease, a client begins a transaction.

        After a failure this comes before any read: a full disk can still be read, which proves nothing.
        """
        if self._node is not None:
            if self._lease.renew_in_s <= 0.0 or self.contact.write_in_s <= 0.0:
                self._renew()
        elif self.contact.write_in_s <= 0.0 and not len(self._inbox) and not self.is_stopping:
            # Mutations in the inbox are a write as well; a client that stops need not know any more.
            try:
                self._try_to_write()
            except OperatorError as error:
                if not len(self._inbox):
                    raise
                self.contact.failed(error)  # what arrived meanwhile has its own time limit
                self.contact.tell()

    def _try_to_write(self) -> None:
        """What a client does while it has nothing to write."""
        self._session.try_lock(TRY_WITHIN_S)
        if self.contact.has_failed:
            self._session.try_write()
        self.contact.wrote()

    def _went_well(self, turn: Turn) -> None:
        """The turn is committed and reported."""
        if turn.wrote:
            self.contact.wrote()
        self.contact.answered()
        self.contact.tell()
        self._back_off_s = 0.0

    def _admitted(self, mutations: list[Mutation]) -> list[Mutation]:
        """W3: on a full disk the reserve is for runs in progress; new work is refused before it takes up space."""
        if not self._store.tight:
            return mutations
        full = StoreFull(self._store.trouble or f"the disk of {self._store.url} is full")
        deliver(
            [
                (mutation.answer, None, full)
                for mutation in mutations
                if mutation.adds_work and mutation.answer is not None
            ]
        )
        return [mutation for mutation in mutations if not mutation.adds_work]

    def _take(self, turn: Turn, mutations: Sequence[Mutation]) -> None:
        """Act on a committed turn: answer, stop what has lost its claim, start what was claimed, publish the events."""
        deliver(turn.replies)
        reports = [mutation.report for mutation in mutations if mutation.report is not None]
        if reports:
            self._count_landed(reports, turn.events)
        if turn.claims_read or any(mutation.needs.runs for mutation in mutations):
            self._running.look(self._cycle.snapshot, starting=turn.starts)
            if self._node is not None and self._node.id not in self._cycle.snapshot.nodes:
                self._lease.lost()
        if self._node is not None and self._cycle.cache.epoch not in (None, self._leased_in):
            self._lease.lost()  # the store was put back, and this node's row with it: the lease in it has ended
        self._start(turn)
        deliver(self._waiters.ended(turn.events, self._session, claims_read=turn.claims_read))
        self._publish(turn)

    def _start(self, turn: Turn) -> None:
        """Start what this turn has claimed, and what was held back (B7); or hand it back unentered (C3, G1)."""
        running, snapshot = self._running, self._cycle.snapshot
        stops = self._shutdown.requests > 0
        if self._lease.is_trusted and not stops:
            if turn.starts:
                running.start(snapshot, turn.starts)
            running.release(snapshot)
        else:
            came_between = "the node was told to stop" if stops else "the lease expired"
            running.refuse(turn.starts, f"{came_between} before the start")
            running.give_back_held(f"{came_between} before the start")

    def _measured(self, duration_s: float, *, batches: float) -> None:
        """H4: how fast the store is shows in its own part of a turn; a large fan-out takes as long as many turns."""
        store_s = (duration_s - self._cycle.own_s) / max(1.0, batches)
        self._slowest_turn_s = max(self._slowest_turn_s, store_s)
        for meter in self._meters:
            meter.cycle(duration_s)

    def _count_error(self, error: OperatorError) -> None:
        for meter in self._meters:
            meter.store_error(error)

    def _publish(self, turn: Turn) -> None:
        """Hand the events of a commit to the log and to the subscribers."""
        for error in turn.put_off:
            self._count_error(error)
        raised = self._running.take_raised()
        if not turn.events:
            return
        self._sealing.committed(turn.events)
        for subscriber in (lambda events: self._logger(events, raised), *self._subscribers):
            try:
                subscriber(turn.events)
            except Exception:  # whatever a subscriber does, it must not stop the engine
                log.exception("an on_events callback raised; the events are committed nevertheless")

    def _count_landed(self, reports: Sequence[Report], events: Sequence[Event]) -> None:
        """G4: count each run once, by what the store says has become of it."""
        acknowledged = self._running.acknowledge(reports)
        if self._announced is Phase.RUNNING or not acknowledged:
            return
        fates = {event.run: event for event in events if isinstance(event, AttemptEnded | RunEnded | StaleReport)}
        for report in acknowledged:
            self._report.count(report, fates.get(report.run))

    # ── waiting ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _wait_s(self) -> float:
        """Seconds until the next time at which something is known to happen; a notification ends the wait earlier."""
        now, now_s = self._clock.now(), self._clock.monotonic_s()
        waits = [MAX_WAIT_S, self._shutdown.next_s(now_s), self.contact.write_in_s, self._sealing.due_in_s]
        if self._node is not None:
            waits += (self._lease.renew_in_s, self._retention.due_in_s, self._running.release_in_s)
            if self._needs_ticks():
                waits.append(self._ticked_s + TICK_S - now_s)
        agenda = self._cycle.agenda.next_at if self._announced is Phase.RUNNING else None
        for at in (agenda, self._cycle.cache.next_give_up_at):
            if at is not None and self._node is not None:
                waits.append(seconds_between(now, at))
        return max(0.0, min(waits))

    def _needs_ticks(self) -> bool:
        return len(self._cycle.snapshot.nodes) > 1 or len(self._running) > 0 or self._store.tight

    # ── ticks ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _tick(self) -> fleet.Processes | None:
        """Once a second: measure lag, shed, and look for neighbours that are gone (returned if any can be rescued)."""
        now_s = self._clock.monotonic_s()
        if self._node is None or now_s - self._ticked_s < TICK_S:
            return None
        self._ticked_s = now_s
        if self._can_freeze:
            self._store.show_life(self._node.id)
        for executor in self._executors.values():
            executor.flush()
        self._running.flush()
        self._watch(now_s)
        self._see_to_declarations()
        snapshot = self._cycle.snapshot
        processes = self._neighbours.look(snapshot)
        me = snapshot.nodes.get(self._node.id, self._node)
        lost = fleet.lost_nodes(snapshot, me=me, lease_s=self._clock.lease_s(), processes=processes)
        return processes if lost else None

    def _see_to_declarations(self) -> None:
        """M7: the node with the newer declaration may be gone, or a person has chosen what this node declares."""
        me = self._cycle.snapshot.nodes.get(self._node.id) if self._node is not None else None
        if me is None or self._declaring is None or not self._lease.is_trusted:
            return
        me = self._node if me.unreadable is not None and self._node is not None else me
        owed = self._declaring.owed(self._cycle.snapshot, me)
        if owed:
            self._put_quietly(self._declaring.again(me, owed))

    def _watch(self, now_s: float) -> None:
        """H4, H6: name the function that blocks the loop; shed by priority while something is short."""
        if self._watchdog is not None:
            blocked = self._watchdog.check(now_s)
            if blocked is not None:
                log.warning(*blocked.worded())
        node = self._cycle.snapshot.nodes.get(self._node.id) if self._node is not None else None
        if node is None:
            return
        pressures = Pressures(
            loop_lag_s=self._watchdog.lag_s if self._watchdog is not None else 0.0,
            memory_share=self._memory_share() or 0.0,
            store_s=self._slowest_turn_s,
        )
        self._slowest_turn_s = 0.0
        self._shedding = shed(self._shedding, pressures)
        level, reason = self._shedding.level, self._shedding.reason
        if (level, reason) != (node.shed, node.shed_reason):
            self._put_quietly(membership.shed(node.id, level, reason))

    # ── trouble ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _store_failed(self, mutations: Sequence[Mutation], error: OperatorError) -> None:
        """H5: refuse the callers that wait, keep the reports, try again later."""
        mutations = mutations or self._inbox.take()
        unavailable = _as_unavailable(error)
        deliver([(mutation.answer, None, unavailable) for mutation in mutations if mutation.answer is not None])
        self._inbox.put_back([mutation for mutation in mutations if mutation.answer is None])
        self._back_off_s = min(MAX_BACK_OFF_S, max(FIRST_BACK_OFF_S, 2 * self._back_off_s))
        self.contact.tell()
        self._count_error(error)
        if not self._lease.is_trusted:
            self._running.stop_all(StopReason.LEASE)
        self._wake.wait(min(self._back_off_s, max(0.01, self._shutdown.next_s(self._clock.monotonic_s()))))
        self._wake.clear()

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _limit_calls(self) -> None:
        """G3: a silent store delays neither a phase nor the end."""
        now_s = self._clock.monotonic_s()
        self._store.end_by(self._shutdown.call_s(now_s, timeout_s=self._shutdown_timeout_s))

    def _serve_shutdown(self) -> None:
        if self._shutdown.requests:
            self._limit_calls()
        phase = self._shutdown.phase(self._clock.monotonic_s())
        if phase <= self._announced:
            return
        began, self._announced = self._announced, phase
        if began is Phase.RUNNING:
            self._running.give_back_held("the node was told to stop before the start")
            self._in_flight = self._running.ids()
            log.info("stopping; waiting for %d running attempts", len(self._running))
            for executor in self._executors.values():
                executor.announce()
        if phase >= Phase.CANCEL:
            self._running.stop_all(StopReason.SHUTDOWN)
        if phase >= Phase.KILL:
            for executor in self._executors.values():
                executor.kill()
        if began is Phase.RUNNING:  # last, so that a silent store does not delay telling the functions
            self._renew()  # tells all nodes that this one starts nothing more

    def _is_over(self) -> bool:
        if self._shutdown.requests == 0:
            return False
        if self._announced is Phase.RUNNING:
            return False
        nothing_left = len(self._running) == 0 and len(self._inbox) == 0
        return nothing_left or self._shutdown.phase(self._clock.monotonic_s()) is Phase.OVER

    def _leave(self) -> None:
        """The last act: hand back what cannot be stopped, if the process ends too, and give up the lease."""
        self._limit_calls()
        report = self._report
        report.duration_s = self._clock.monotonic_s() - self._shutdown.drain_at_s
        report.forced = self._shutdown.requests > 1
        abandoned = {
            each.run: each for each in self._running.abandoned()
        }  # first: a function that ends now is counted as ended
        mutations = self._rest()
        ended = {mutation.report.run for mutation in mutations if mutation.report is not None}
        stuck = [each for run, each in abandoned.items() if run not in ended]
        report.stuck = len(stuck)
        mutations += self._running.last_mutations(stuck, owns_process=self._owns_process)
        try:
            self._write_last(mutations, stuck)
        except OperatorError as error:
            self.contact.failed(error)
            self._count_error(error)
            report.store_reached = False
            log.error("%s, while stopping; runs that are still claimed are rescued later", self.contact.trouble)  # noqa: TRY400  # expected at an outage, the trace says nothing more
        else:
            self._sealing.seal_what_is_owed()
        log.info("stopped %s", str(report).removeprefix("stopped "))

    def _rest(self) -> list[Mutation]:
        """Everything that waits, however much it is."""
        mutations: list[Mutation] = []
        while batch := self._inbox.take():
            mutations += batch
        return mutations

    def _write_last(self, mutations: Sequence[Mutation], stuck: Sequence[Report]) -> None:
        """First write what became of the runs, then the report about them.  Raises OperatorError."""
        report, stuck_runs = self._report, {each.run for each in stuck}
        if mutations:
            try:
                turn = self._cycle.turn(mutations, whole=True)
            except OperatorError:
                report.unreported += sum(
                    mutation.report is not None and mutation.report.run not in stuck_runs for mutation in mutations
                )
                raise
            if self._owns_process:  # these are counted as stuck, and as nothing else
                self._running.acknowledge(stuck)
                report.handed_back = bool(stuck)
                report.stuck_ended = sum(isinstance(e, RunEnded) and e.run in stuck_runs for e in turn.events)
            self._take(turn, mutations)
        report.waiting, report.lost = self._account()
        if self._node is not None and (self._owns_process or not stuck):
            self._take(self._cycle.turn([membership.leave(self._node, report)], whole=True), ())

    def _account(self) -> tuple[int, int]:
        """How many runs wait in the store, and how many of those in flight it does not know."""
        with self._session.read() as reader:
            waiting = sum(counts["pending"] for counts in reader.counts().values())
            known = {run.id for run in reader.runs(sorted(self._in_flight))} if self._in_flight else set()
        return waiting, len(self._in_flight - known)

    def _close_session(self) -> None:
        if self._is_open:
            self._is_open = False
            self._session.close()

    def _refuse_the_rest(self) -> None:
        gone = StoreUnavailable("the orchestrator stopped before it could process this call", maybe_stored=False)
        waiting = [mutation.answer for mutation in self._inbox.close() if mutation.answer is not None]
        deliver([(answer, None, gone) for answer in (*waiting, *self._waiters.all())])


def _as_unavailable(error: OperatorError) -> StoreUnavailable:
    """The error for callers: all they can do is try again."""
    if isinstance(error, StoreUnavailable):
        return error
    unavailable = StoreUnavailable(str(error), maybe_stored=False)
    unavailable.__cause__ = error
    return unavailable


class _KeptAnswer:
    """An answer that the engine itself waits for."""

    loop = None

    def __init__(self) -> None:
        self._error: BaseException | None = None

    def resolve(self, value: object) -> None:
        pass

    def reject(self, error: BaseException) -> None:
        self._error = error

    def get(self) -> None:
        if self._error is not None:
            raise self._error
