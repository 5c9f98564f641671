"""The engine's loop: one turn, what follows from it, and the wait for the next.

Rules of this file
- It waits for notifications and for the store, and for nothing else.
- It never dies silently: whatever a turn raises is logged, and the turn is tried again after a back-off (H5).
- While the store is unavailable, reports wait and triggers are refused with `StoreUnavailable`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from shiftboss.core.value import seconds_between
from shiftboss.engine.after_commit import AfterCommit
from shiftboss.engine.cycle import Turn
from shiftboss.engine.inbox import MAX_MUTATIONS, weight_of
from shiftboss.engine.load import Load
from shiftboss.engine.mutation import Mutation, deliver
from shiftboss.engine.neighbours import Neighbours
from shiftboss.engine.pace import GATHER_S, Pace, may_wait
from shiftboss.engine.presence import Presence
from shiftboss.engine.retention import Retention
from shiftboss.engine.sealing import Sealing
from shiftboss.engine.shutdown import Phase
from shiftboss.engine.state import EngineState
from shiftboss.engine.stopping import Stopping
from shiftboss.engine.ticks import Ticks
from shiftboss.errors import OperatorError, StoreFull, StoreUnavailable
from shiftboss.logs import get_logger
from shiftboss.ports.executor import StopReason

log = get_logger("shiftboss.engine")

MAX_WAIT_S = 5.0  # wall clocks jump, so the engine looks again after each wait
FIRST_BACK_OFF_S = 0.05
MAX_BACK_OFF_S = 2.0


class Loop:
    def __init__(self, state: EngineState, *, wake: threading.Event) -> None:
        """*wake* is set with every wake-up; the back-off waits for it."""
        self._store = state.store
        self._clock = state.clock
        self._node = state.node
        self._session = state.session
        self._cycle = state.cycle
        self._inbox = state.inbox
        self._waiters = state.waiters
        self._running = state.running
        self._lease = state.lease
        self._contact = state.contact
        self._shutdown = state.shutdown
        self._observers = state.observers
        self._wake = wake
        self._pace = Pace(state.clock.monotonic_s)
        self.pause = time.sleep
        self._back_off_s = 0.0
        neighbours = Neighbours(state.store, state.clock, "" if state.node is None else state.node.id)
        self._retention = Retention(state.session, state.clock, state.setup.keep)
        self._sealing = Sealing(state.session, state.clock, state.setup.keyring, keep_s=state.setup.keep.audit_s)
        self._load = Load(state)
        self._after = AfterCommit(state, self._sealing)
        self._presence = Presence(state, load=self._load, neighbours=neighbours, after=self._after)
        self._ticks = Ticks(state, load=self._load, presence=self._presence, neighbours=neighbours)
        self._stopping = Stopping(state, presence=self._presence, sealing=self._sealing, after=self._after)

    def enter(self) -> None:
        """Declare, and join as a node.  Raises what the store raises, and what `declare` refuses."""
        self._presence.enter()

    @property
    def is_over(self) -> bool:
        """Whether it was asked to stop, and has nothing left to wait for or no time left."""
        return self._stopping.is_over

    def leave(self) -> None:
        """The last writes, once it is over."""
        self._stopping.leave()

    def step(self) -> None:
        """One turn, and the wait for the next."""
        mutations: list[Mutation] = []
        try:
            self._contact.asks()
            self._stopping.serve()
            if self._presence.is_owed_after_restore:
                self._presence.go_on_after_restore()
            self._presence.write_if_due()
            processes = self._ticks.tick_if_due()
            mutations = self._arrived()
            if self._may_gather(mutations):
                self.pause(GATHER_S)
                mutations += self._arrived()
            began_s = self._clock.monotonic_s()
            turn = self._cycle.turn(mutations, processes=processes)
            self._turned(self._clock.monotonic_s() - began_s, mutations)
            if turn.missed:
                missed = set(turn.missed)
                self._inbox.put_back(turn.missed)
                mutations = [mutation for mutation in mutations if mutation not in missed]
            self._after.act_on(turn, mutations)
            self._went_well(turn)
            self._sealing.seal_if_due()
            if not turn.again:
                self._wait()
        except OperatorError as error:
            self._contact.failed(error)
            self._store_failed(mutations, error)
        except Exception as error:  # never die silently: log it and try the mutations again
            log.exception("a cycle failed because of a bug in shiftboss; retrying")
            failure = StoreUnavailable(f"the engine failed: {error}", maybe_stored=False)
            self._contact.failed(failure, fact="is not used")
            self._store_failed(mutations, failure)

    # ── what has arrived ─────────────────────────────────────────────────────────────────────────────────────────

    def _arrived(self) -> list[Mutation]:
        """What this turn applies."""
        return [] if self._cycle.owes_look else self._admitted(self._inbox.take())

    def _may_gather(self, mutations: Sequence[Mutation]) -> bool:
        """Whether *mutations* may wait a moment, so that more can share their commit."""
        if not self._pace.is_busy or self._shutdown.requests:
            return False
        waitlists, awaited = self._cycle.agenda.waitlists, self._waiters.runs
        return may_wait(mutations, self._cycle.snapshot, waitlists, now=self._clock.now(), awaited=awaited)

    def _admitted(self, mutations: list[Mutation]) -> list[Mutation]:
        """W3: on a full disk the reserve is for runs in progress; new work is refused before it takes up space."""
        if not self._store.tight:
            return mutations
        full = StoreFull(self._store.trouble or f"the disk of {self._store.url} is full")
        refused = [mutation.answer for mutation in mutations if mutation.adds_work and mutation.answer is not None]
        deliver([(answer, None, full) for answer in refused])
        return [mutation for mutation in mutations if not mutation.adds_work]

    # ── how it went ──────────────────────────────────────────────────────────────────────────────────────────────

    def _turned(self, duration_s: float, mutations: Sequence[Mutation]) -> None:
        self._pace.turned(duration_s)
        self._load.turned(duration_s, batches=weight_of(mutations) / MAX_MUTATIONS)
        self._observers.cycle(duration_s)

    def _went_well(self, turn: Turn) -> None:
        """The turn is committed and reported."""
        if turn.wrote:
            self._contact.wrote()
        self._contact.answered()
        self._contact.tell()
        self._back_off_s = 0.0

    def _store_failed(self, mutations: Sequence[Mutation], error: OperatorError) -> None:
        """H5: refuse the callers that wait, keep the reports, try again later."""
        mutations = mutations or self._inbox.take()
        unavailable = _as_unavailable(error)
        deliver([(mutation.answer, None, unavailable) for mutation in mutations if mutation.answer is not None])
        self._inbox.put_back([mutation for mutation in mutations if mutation.answer is None])
        self._back_off_s = min(MAX_BACK_OFF_S, max(FIRST_BACK_OFF_S, 2 * self._back_off_s))
        self._contact.tell()
        self._observers.store_error(error)
        if not self._lease.is_trusted:
            self._running.stop_all(StopReason.LEASE)
        self._wake.wait(min(self._back_off_s, max(0.01, self._shutdown.next_s(self._clock.monotonic_s()))))
        self._wake.clear()

    # ── waiting ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _wait(self) -> None:
        """Until something arrives or comes due; not at all if something has arrived already, or it is over."""
        if len(self._inbox) or self._presence.is_owed_after_restore or self._stopping.is_over:
            return
        self._wake.clear()
        if self._node is not None and self._shutdown.announced is Phase.RUNNING:
            self._retention.prune_if_due()
        self._session.wait(self._wait_s())

    def _wait_s(self) -> float:
        """Seconds until the next time at which something is known to happen; a notification ends the wait earlier."""
        now, now_s = self._clock.now(), self._clock.monotonic_s()
        waits = [MAX_WAIT_S, self._shutdown.next_s(now_s), self._contact.write_in_s, self._sealing.due_in_s]
        if self._node is not None:
            waits += (self._lease.renew_in_s, self._retention.due_in_s, self._running.release_in_s)
            waits.append(self._ticks.due_in_s)
            agenda = self._cycle.agenda.next_at if self._shutdown.announced is Phase.RUNNING else None
            times = (agenda, self._cycle.cache.next_give_up_at)
            soonest_s = GATHER_S if self._pace.is_busy else 0.0  # what is due by then shares a commit
            waits += (max(soonest_s, seconds_between(now, at)) for at in times if at is not None)
        return max(0.0, min(waits))


def _as_unavailable(error: OperatorError) -> StoreUnavailable:
    """The error for callers: all they can do is try again."""
    if isinstance(error, StoreUnavailable):
        return error
    unavailable = StoreUnavailable(str(error), maybe_stored=False)
    unavailable.__cause__ = error
    return unavailable
