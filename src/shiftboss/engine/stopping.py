"""How an engine stops: what it does in each phase of the shutdown, and the last writes (G1 to G4).

Rules of this file
- `shutdown.py` says when each phase begins; here is what the engine does then.
- A silent store delays neither a phase nor the end: each call of it gets no more time than is left.
- The last act hands back what cannot be stopped, if the process ends too, and gives up the lease.
"""

from __future__ import annotations

from collections.abc import Sequence

from shiftboss.core.events import RunEnded
from shiftboss.core.model import Report
from shiftboss.engine import membership
from shiftboss.engine.after_commit import AfterCommit
from shiftboss.engine.mutation import Mutation
from shiftboss.engine.presence import Presence
from shiftboss.engine.sealing import Sealing
from shiftboss.engine.shutdown import Phase
from shiftboss.engine.state import EngineState
from shiftboss.errors import OperatorError
from shiftboss.logs import get_logger
from shiftboss.ports.executor import StopReason

log = get_logger("shiftboss.engine")


class Stopping:
    def __init__(self, state: EngineState, *, presence: Presence, sealing: Sealing, after: AfterCommit) -> None:
        self._executors = state.setup.executors
        self._timeout_s = state.setup.shutdown_timeout_s
        self._store = state.store
        self._clock = state.clock
        self._node = state.node
        self._session = state.session
        self._cycle = state.cycle
        self._inbox = state.inbox
        self._running = state.running
        self._shutdown = state.shutdown
        self._report = state.report
        self._contact = state.contact
        self._observers = state.observers
        self._presence = presence
        self._sealing = sealing
        self._after = after
        self._in_flight: frozenset[int] = frozenset()  # at the request to stop: each is accounted for at the end

    # ── the phases ───────────────────────────────────────────────────────────────────────────────────────────────

    def serve(self) -> None:
        """Do what the phase that has begun asks for."""
        if self._shutdown.requests:
            self._limit_calls()
        phase = self._shutdown.phase(self._clock.monotonic_s())
        if phase <= self._shutdown.announced:
            return
        began, self._shutdown.announced = self._shutdown.announced, phase
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
            self._presence.renew()  # tells all nodes that this one starts nothing more

    def _limit_calls(self) -> None:
        """G3: a silent store delays neither a phase nor the end."""
        self._store.end_by(self._shutdown.call_s(self._clock.monotonic_s(), timeout_s=self._timeout_s))

    @property
    def is_over(self) -> bool:
        if self._shutdown.announced is Phase.RUNNING:
            return False
        nothing_left = len(self._running) == 0 and len(self._inbox) == 0
        return nothing_left or self._shutdown.phase(self._clock.monotonic_s()) is Phase.OVER

    # ── the last writes ──────────────────────────────────────────────────────────────────────────────────────────

    def leave(self) -> None:
        """The last act."""
        self._limit_calls()
        report = self._report
        report.duration_s = self._clock.monotonic_s() - self._shutdown.drain_at_s
        report.forced = self._shutdown.requests > 1
        # First: a function that ends now is counted as ended.
        abandoned = {each.run: each for each in self._running.abandoned()}
        mutations = self._rest()
        ended = {mutation.report.run for mutation in mutations if mutation.report is not None}
        stuck = [each for run, each in abandoned.items() if run not in ended]
        report.stuck = len(stuck)
        mutations += self._running.last_mutations(stuck, owns_process=self._shutdown.owns_process)
        try:
            self._write(mutations, stuck)
        except OperatorError as error:
            self._contact.failed(error)
            self._observers.store_error(error)
            report.store_reached = False
            log.error("%s, while stopping; runs that are still claimed are rescued later", self._contact.trouble)  # noqa: TRY400  # expected at an outage, the trace says nothing more
        else:
            self._sealing.seal_what_is_owed()
        log.info("stopped %s", str(report).removeprefix("stopped "))

    def _rest(self) -> list[Mutation]:
        """Everything that waits, however much it is."""
        mutations: list[Mutation] = []
        while batch := self._inbox.take():
            mutations += batch
        return mutations

    def _write(self, mutations: Sequence[Mutation], stuck: Sequence[Report]) -> None:
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
            if self._shutdown.owns_process:  # these are counted as stuck, and as nothing else
                self._running.acknowledge(stuck)
                report.handed_back = bool(stuck)
                report.stuck_ended = sum(isinstance(e, RunEnded) and e.run in stuck_runs for e in turn.events)
            self._after.act_on(turn, mutations)
        report.waiting, report.lost = self._account()
        if self._node is not None and (self._shutdown.owns_process or not stuck):
            self._after.act_on(self._cycle.turn([membership.leave(self._node, report)], whole=True))

    def _account(self) -> tuple[int, int]:
        """How many runs wait in the store, and how many of those in flight it does not know."""
        with self._session.read() as reader:
            waiting = sum(counts["pending"] for counts in reader.counts().values())
            known = {run.id for run in reader.runs(sorted(self._in_flight))} if self._in_flight else set()
        return waiting, len(self._in_flight - known)
