"""The engine: one thread that turns the cycle until it is told to stop.

Rules of this file
- It puts the parts of an engine together, and has what other threads may call.
- No user code runs in its thread, except subscribers, which must be quick.
- What it has opened it closes, however it ends; whoever still waits for an answer then gets a refusal.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future

from shiftboss.clock import Clock
from shiftboss.core.health import StoreTrouble
from shiftboss.engine.contact import Contact
from shiftboss.engine.cycle import Cycle
from shiftboss.engine.freeze import Freeze, FreezeWatch, frozen
from shiftboss.engine.inbox import Inbox
from shiftboss.engine.lease import Lease, LeaseWatch
from shiftboss.engine.loop import Loop
from shiftboss.engine.mutation import Answer, Mutation, deliver
from shiftboss.engine.observers import Meter, Observers
from shiftboss.engine.running import RunningAttempts
from shiftboss.engine.setup import Setup
from shiftboss.engine.shutdown import Shutdown, ShutdownReport
from shiftboss.engine.state import EngineState
from shiftboss.engine.waiters import Waiters
from shiftboss.errors import NotAllowed, ShiftbossError, StoreUnavailable
from shiftboss.logs import get_logger
from shiftboss.ports.executor import StopReason
from shiftboss.ports.store import Session, Store

log = get_logger("shiftboss.engine")


class Engine:
    """A node: a session of the store, the cycle, and the attempts that run here.  A client has no node."""

    def __init__(self, store: Store, clock: Clock, setup: Setup) -> None:
        self._store = store
        self._clock = clock
        self._setup = setup
        self._node = setup.declaring_node
        self._session: Session
        self._cycle: Cycle
        self._loop: Loop
        self._is_open = False
        self._mistake: str | None = None  # a bug in shiftboss that ended the engine
        self._wake = threading.Event()  # set with every wake-up; what the back-off waits for
        self._inbox = Inbox(self._wake_up)
        self._waiters = Waiters()
        self._running = RunningAttempts(
            "" if self._node is None else self._node.id,
            clock,
            bodies=setup.bodies,
            executors=setup.executors,
            kinds={definition.name: definition.executor for definition in setup.definitions},
            put=self._put_quietly,
            code_version="" if self._node is None else self._node.code_version,
            traced=setup.traced,
            secrets=setup.secrets,
            entries=setup.entries,
        )
        self._lease = Lease(clock)
        self._lease_watch = LeaseWatch(self._lease, lambda: self._running.stop_all(StopReason.LEASE))
        self._freezes = FreezeWatch(self._occupants, self._was_frozen, owns_process=setup.owns_process)
        self._shutdown = Shutdown()
        self._report = ShutdownReport()
        self._observers = Observers(setup.logger, setup.subscribers, setup.meters)
        self.contact = Contact(store, clock)
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
        self._shutdown.owns_process = self._shutdown.owns_process or owns_process
        self._shutdown.request(self._clock.monotonic_s(), timeout_s=self._setup.shutdown_timeout_s)
        now_s = self._clock.monotonic_s()
        self._store.end_by(self._shutdown.current_call_s(now_s, timeout_s=self._setup.shutdown_timeout_s))
        self._wake_up()

    def end(self, why: str = "", *, owns_process: bool = False) -> None:
        """Ask for a graceful end, unless somebody has asked already: nobody else will (G5)."""
        self._shutdown.owns_process = self._shutdown.owns_process or owns_process
        if self._shutdown.requests == 0:
            if why:
                log.error("%s; this node stops, and other nodes take over its runs", why)
            self.stop()

    def measure(self, meter: Meter) -> None:
        """Call *meter* from the next cycle on."""
        self._observers.meters.append(meter)

    @property
    def in_flight(self) -> int:
        """How many attempts run here."""
        return len(self._running)

    def runs(self, run_id: int) -> bool:
        """Whether an attempt of that run is in progress here.  From any thread."""
        return run_id in self._running

    @property
    def shutdown_timeout_s(self) -> float:
        return self._setup.shutdown_timeout_s

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
        return {body: thread for each in self._setup.executors.values() for body, thread in each.occupants().items()}

    def _was_frozen(self, freeze: Freeze) -> None:
        """Likewise.  The freeze is logged together with its event, so that it is logged once."""
        if self._node is not None:
            self._put_quietly(frozen(self._node, freeze, secrets=self._setup.secrets))

    # ── the thread ───────────────────────────────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        try:
            self._enter()
            if self._node is not None:
                self._freezes.start()
                self._lease_watch.start()  # before anybody may end the process, when no thread can be started any more
        except BaseException as error:  # noqa: BLE001  # whatever it is, whoever started the engine has to be told
            self._stop_watches()
            self._close_session()
            self.ready.set_exception(error)
            return
        self.ready.set_result(None)
        try:
            while not self._loop.is_over:
                self._loop.step()
            self._loop.leave()
        except BaseException as error:
            log.critical(
                "the engine stops because of a bug in shiftboss; its runs are rescued when its lease expires",
                exc_info=True,
            )
            self._mistake = f"{type(error).__name__}: {error}"
            raise
        finally:
            self._stop_watches()
            if self._node is not None:
                self._store.engine_ended(self._node.id)
            self._close_session()
            self._refuse_the_rest()
            self.over.set_result(self._report)

    def _enter(self) -> None:
        """Open a session, put together what needs one, and declare.  Raises what the store and `declare` raise."""
        self._session = self._store.session()
        self._is_open = True
        setup = self._setup
        self._cycle = Cycle(
            self._session, self._clock, self._node, decodes=setup.decodes, definitions=setup.definitions
        )
        if self._node is not None:
            self._cycle.entered = self._store.entered
            self._cycle.may_start = lambda: self._lease.is_trusted and self._store.trouble is None
        state = EngineState(
            setup=self._setup,
            store=self._store,
            clock=self._clock,
            node=self._node,
            session=self._session,
            cycle=self._cycle,
            inbox=self._inbox,
            waiters=self._waiters,
            running=self._running,
            lease=self._lease,
            contact=self.contact,
            shutdown=self._shutdown,
            report=self._report,
            observers=self._observers,
        )
        self._loop = Loop(state, wake=self._wake)
        self._loop.enter()

    def _stop_watches(self) -> None:
        self._lease_watch.stop()
        self._freezes.stop()

    def _close_session(self) -> None:
        if self._is_open:
            self._is_open = False
            self._session.close()

    def _refuse_the_rest(self) -> None:
        gone = StoreUnavailable("the orchestrator stopped before it could process this call", maybe_stored=False)
        waiting = [mutation.answer for mutation in self._inbox.close() if mutation.answer is not None]
        deliver([(answer, None, gone) for answer in (*waiting, *self._waiters.all())])
