"""The phases of a graceful shutdown, and its report (G1 to G4).

Rules of this file
- Drain until 5 s before the end, then cancel what is left, then kill; every phase has its instant from the start.
- A further request goes one phase ahead.  The end comes in any case.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

CANCEL_S = 5.0  # G1: the last seconds, for bodies that tidy up when they are cancelled
KILL_S = 1.0  # for writing the last reports


class Phase(IntEnum):
    RUNNING = 0
    DRAIN = 1
    CANCEL = 2
    KILL = 3
    OVER = 4


@dataclass(slots=True)
class Shutdown:
    """Instants of the monotonic clock at which each phase begins; infinite before the first request."""

    drain_at_s: float = float("inf")
    cancel_at_s: float = float("inf")
    kill_at_s: float = float("inf")
    over_at_s: float = float("inf")
    requests: int = 0

    def request(self, now_s: float, *, timeout_s: float) -> None:
        """The first starts the drain, the second cancels, the third kills (G3)."""
        self.requests += 1
        if self.requests == 1:
            cancel_s = min(CANCEL_S, timeout_s / 2)
            kill_s = min(KILL_S, timeout_s / 4)
            self.drain_at_s = now_s
            self.over_at_s = now_s + timeout_s
            self.cancel_at_s = self.over_at_s - cancel_s
            self.kill_at_s = self.over_at_s - kill_s
        elif self.requests == 2:
            self.cancel_at_s = min(self.cancel_at_s, now_s)
            self.kill_at_s = min(self.kill_at_s, now_s + CANCEL_S - KILL_S)
            self.over_at_s = min(self.over_at_s, now_s + CANCEL_S)
        else:
            self.cancel_at_s = min(self.cancel_at_s, now_s)
            self.kill_at_s = min(self.kill_at_s, now_s)
            self.over_at_s = min(self.over_at_s, now_s + KILL_S)

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
        """Seconds until the next phase; infinite when there is none."""
        instants = (self.drain_at_s, self.cancel_at_s, self.kill_at_s, self.over_at_s)
        return min((at_s - now_s for at_s in instants if at_s > now_s), default=float("inf"))


@dataclass(slots=True)
class ShutdownReport:
    """What became of everything that was in flight (G4)."""

    drained: int = 0  # finished by themselves after the stop was asked for
    interrupted: int = 0  # cut short and handed back, no attempt used
    waiting: int = 0  # due or later in the store, for the next start
    stuck: int = 0  # bodies that still run: threads that cannot be stopped
    unreported: int = 0  # ends that the store did not take: their claims are rescued later
    lost: int = 0  # of what was in flight: runs that the store does not know at the end; anything but 0 is a mistake
    store_reached: bool = True  # False: what could not be written is rescued later
    forced: bool = False  # by a second or third request
    signal: int | None = None  # the last one that asked for the end
    duration_s: float = 0.0  # from the request to the end

    @property
    def exit_code(self) -> int:
        """0 when every run finished or was handed back, 1 when a body was left, 75 without the store."""
        if not self.store_reached:
            return 75
        return 1 if self.stuck or self.unreported or self.lost else 0

    def __str__(self) -> str:
        parts = [
            f"drained {self.drained}",
            f"interrupted {self.interrupted} (requeued)",
            f"waiting {self.waiting}",
            f"lost {self.lost}",
        ]
        if self.stuck:
            parts.append(f"stuck {self.stuck} (their bodies cannot be stopped)")
        if self.unreported:
            parts.append(f"unreported {self.unreported} (rescued when the lease ends)")
        return f"stopped in {self.duration_s:.1f} s: " + ", ".join(parts)
