"""What follows from a committed turn: callers are answered, attempts are stopped and started, events are published.

Rules of this file
- A claim is started only while the lease is trusted and nobody has asked the engine to stop; otherwise it is handed
  back, and its function is not entered (C3, G1).
- Answers come first, and events last: a slow subscriber delays neither callers nor starts.
"""

from __future__ import annotations

from collections.abc import Sequence

from shiftboss.core.events import AttemptEnded, Event, RunEnded, StaleReport
from shiftboss.core.model import Report
from shiftboss.engine.cycle import Turn
from shiftboss.engine.mutation import Mutation, deliver
from shiftboss.engine.sealing import Sealing
from shiftboss.engine.shutdown import Phase
from shiftboss.engine.state import EngineState


class AfterCommit:
    def __init__(self, state: EngineState, sealing: Sealing) -> None:
        self._node = state.node
        self._session = state.session
        self._cycle = state.cycle
        self._lease = state.lease
        self._running = state.running
        self._waiters = state.waiters
        self._shutdown = state.shutdown
        self._report = state.report
        self._observers = state.observers
        self._sealing = sealing

    def act_on(self, turn: Turn, mutations: Sequence[Mutation] = ()) -> None:
        """Everything that follows from *turn*, in which *mutations* were applied."""
        deliver(turn.replies)
        reports = [mutation.report for mutation in mutations if mutation.report is not None]
        if reports:
            self._acknowledge(reports, turn.events)
        if turn.claims_read or any(mutation.needs.runs for mutation in mutations):
            self._running.look(self._cycle.snapshot, starting=turn.starts)
            if self._node is not None and self._node.id not in self._cycle.snapshot.nodes:
                self._lease.lost()
        if self._node is not None and self._cycle.cache.epoch not in (None, self._lease.epoch):
            self._lease.lost()  # the store was put back, and this node's row with it: the lease in it has ended
        self._start(turn)
        deliver(self._waiters.ended(turn.events, self._session, claims_read=turn.claims_read))
        self.publish(turn)

    def _acknowledge(self, reports: Sequence[Report], events: Sequence[Event]) -> None:
        """G4: count each run once, by what the store says has become of it."""
        acknowledged = self._running.acknowledge(reports)
        if self._shutdown.announced is Phase.RUNNING or not acknowledged:
            return
        fates = {event.run: event for event in events if isinstance(event, AttemptEnded | RunEnded | StaleReport)}
        for report in acknowledged:
            self._report.count(report, fates.get(report.run))

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

    def publish(self, turn: Turn) -> None:
        """The events of *turn*, and what the store did not take in it."""
        for error in turn.put_off:
            self._observers.store_error(error)
        raised = self._running.take_raised()
        if turn.events:
            self._sealing.committed(turn.events)
            self._observers.publish(turn.events, raised)
