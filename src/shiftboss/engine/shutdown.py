"""The phases of a graceful shutdown, and its report (G1 to G4).

Rules of this file
- Drain until 5 s before the end, then cancel what is left, then kill; the time of every phase is known from the start.
- Each further request moves on by one phase.  The end comes in any case, and the last writes are made before it.
- The report counts each run once, and states only what is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from shiftboss.core.events import AttemptEnded, RunEnded, StaleReport
from shiftboss.core.model import Cause, Interrupted, Report

CANCEL_S = 5.0  # G1: the last seconds, for functions that clean up when they are cancelled
KILL_S = 2.0  # so that what is killed can end and be reported before the last writes
LEAVE_S = 1.0  # for the last writes: a silent store must not delay the end
CLOSE_S = 0.5  # of that: for executors and connections to close, and for the interpreter to end
MIN_CALL_S = 1.0  # a call of the store is not cut short by a phase that begins earlier than that


class Phase(IntEnum):
    RUNNING = 0
    DRAIN = 1
    CANCEL = 2
    KILL = 3
    OVER = 4


@dataclass(slots=True)
class Shutdown:
    """The monotonic times at which the phases begin; infinite before the first request."""

    drain_at_s: float = float("inf")
    cancel_at_s: float = float("inf")
    kill_at_s: float = float("inf")
    over_at_s: float = float("inf")
    ends_at_s: float = float("inf")
    requests: int = 0
    announced: Phase = Phase.RUNNING  # the phase that the engine has begun to serve
    owns_process: bool = False  # the process ends with the engine

    def request(self, now_s: float, *, timeout_s: float) -> None:
        """The first request starts the drain, the second cancels, the third kills (G3)."""
        self.requests += 1
        if self.requests == 1:
            self.drain_at_s = now_s
            self._end(now_s + timeout_s, timeout_s)
        elif self.requests == 2:
            self.cancel_at_s = min(self.cancel_at_s, now_s)
            self._end(now_s + CANCEL_S, timeout_s)
        else:
            self.cancel_at_s = min(self.cancel_at_s, now_s)
            self.kill_at_s = min(self.kill_at_s, now_s)
            self._end(now_s + KILL_S, timeout_s)

    def _end(self, at_s: float, timeout_s: float) -> None:
        """End at that time, or before."""
        self.ends_at_s = min(self.ends_at_s, at_s)
        self.cancel_at_s = min(self.cancel_at_s, self.ends_at_s - min(CANCEL_S, timeout_s / 2))
        self.kill_at_s = min(self.kill_at_s, self.ends_at_s - min(KILL_S, timeout_s / 3))
        self.over_at_s = min(self.over_at_s, self.ends_at_s - min(LEAVE_S, timeout_s / 8))

    def phase(self, now_s: float) -> Phase:
        for at_s, phase in (
            (self.over_at_s, Phase.OVER),
            (self.kill_at_s, Phase.KILL),
            (self.cancel_at_s, Phase.CANCEL),
            (self.drain_at_s, Phase.DRAIN),
        ):
            if now_s >= at_s:
                return phase
        return Phase.RUNNING

    def next_s(self, now_s: float) -> float:
        """Seconds until the next phase; infinite if there is none."""
        instants = (self.drain_at_s, self.cancel_at_s, self.kill_at_s, self.over_at_s)
        return min((at_s - now_s for at_s in instants if at_s > now_s), default=float("inf"))

    def left_s(self, now_s: float) -> float:
        """Seconds until the end; infinite before the first request."""
        return max(0.0, self.ends_at_s - now_s)

    def current_call_s(self, now_s: float, *, timeout_s: float) -> float:
        """How long the current call may go on: until it ends, the engine cannot tell the functions to stop."""
        return min(self.call_s(now_s, timeout_s=timeout_s), MIN_CALL_S, timeout_s / 4)

    def call_s(self, now_s: float, *, timeout_s: float) -> float:
        """How long a call of the store may take: until the next phase or a little longer, never beyond the last one."""
        least_s = min(MIN_CALL_S, timeout_s / 4)
        if now_s < self.over_at_s:
            return min(self.over_at_s - now_s, max(self.next_s(now_s), least_s))
        return max(0.0, self.left_s(now_s) - min(CLOSE_S, timeout_s / 16))


@dataclass(slots=True)
class ShutdownReport:
    """What became of everything that was in flight (G4)."""

    drained: int = 0  # finished by themselves after the request to stop
    interrupted: int = 0  # cut short and handed back; no attempt was used up
    given_up: int = 0  # cut short for good: at_most_once forbids a second try, so they are dead letters
    waiting: int = 0  # in the store, due now or later, for the next start; unknown if the store was not reached
    stuck: int = 0  # functions that still run: threads that cannot be stopped
    handed_back: bool = False  # whether the stuck runs are due again or ended: they are if the process ends
    stuck_ended: int = 0  # of the stuck: runs that are not tried again, mostly because their timeout had passed (B6)
    unreported: int = 0  # functions whose end the store did not take: their claims are rescued later
    lost: int = 0  # runs in flight that the store does not know at the end; anything but 0 is a bug
    store_reached: bool = True  # False: what could not be written is rescued later
    forced: bool = False  # hastened by a second or third request
    signal: int | None = None  # the last signal that asked for the end
    duration_s: float = 0.0  # from the request to the end

    def count(self, report: Report, fate: AttemptEnded | RunEnded | StaleReport | None) -> None:
        """Count a function's end that the store has taken, by what the store says became of the run."""
        was_cut = isinstance(report.outcome, Interrupted)
        match fate:
            case AttemptEnded(cause=Cause.INTERRUPTED):
                self.interrupted += 1
            case RunEnded(cause=Cause.LOST) if was_cut:
                self.given_up += 1
            case StaleReport() if was_cut:  # rescued by another node, where it is due again
                self.interrupted += 1
            case StaleReport():
                self.unreported += 1
            case _:
                self.drained += 1

    @property
    def exit_code(self) -> int:
        """0 if every run finished or was handed back, 1 if a function was left running, 75 without the store."""
        if not self.store_reached:
            return 75
        return 1 if self.stuck or self.unreported or self.given_up or self.lost else 0

    def __str__(self) -> str:
        parts = [f"drained {self.drained}", f"interrupted {self.interrupted} (requeued)"]
        if self.store_reached:
            parts += [f"pending {self.waiting}", f"lost {self.lost}"]
        if self.given_up:
            parts.append(f"given up {self.given_up} (at_most_once: dead letters)")
        if self.stuck:
            parts.append(f"stuck {self.stuck} (their functions are still running; {self._of_stuck()})")
        if self.unreported:
            parts.append(f"unreported {self.unreported} (ended but not stored; their runs are rescued)")
        if not self.store_reached:
            parts.append("pending unknown (the store was out of reach)")
        return f"stopped in {self.duration_s:.1f} s: " + ", ".join(parts)

    def _of_stuck(self) -> str:
        if not self.handed_back:
            return "their runs are rescued when this process has ended"
        if self.stuck_ended == 0:
            return "their runs are due again"
        again = self.stuck - self.stuck_ended
        return "their runs have ended" if again == 0 else f"due again {again}, ended {self.stuck_ended}"
