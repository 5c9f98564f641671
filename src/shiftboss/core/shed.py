"""What does a node hold back while it is short of something?  (H4)

Rules of this file
- First low runs, then normal ones, never high or critical; one step at a time, in both directions, so that each step
  can show its effect.
- A level is entered at one threshold and left at a lower one, otherwise it would come and go with every measurement.
  Each pressure has its own level: one that is merely near its limit does not prolong what another one began.
- The reason names everything that is short, the worst first, with the values measured when it began.  It changes when
  something else is short, and not with every measurement.
"""

from __future__ import annotations

from shiftboss.core.model import Shed
from shiftboss.core.value import Value

LEVELS = (Shed.NOTHING, Shed.LOW, Shed.NORMAL)


class Pressures(Value, frozen=True):
    """What a node measures of itself, about once a second."""

    loop_lag_s: float = 0.0  # how late the event loop of the functions was
    memory_share: float = 0.0  # used memory, of the machine or its control group: 0 to 1
    store_s: float = 0.0  # the slowest transaction since the last measurement


class Limit(Value, frozen=True):
    """The limits of one pressure: *low* and *normal* are entered at these values, and left below the two others."""

    low: float
    normal: float
    leave_low: float
    leave_normal: float
    name: str
    words: str

    def level(self, value: float, *, current: int) -> int:
        """The level that *value* calls for, if this pressure was at *current*."""
        if value >= (self.normal if current < 2 else self.leave_normal):
            return 2
        return 1 if value >= (self.low if current < 1 else self.leave_low) else 0

    def told(self, value: float, level: int) -> str:
        return f"{self.name} ({self.words.format(value, (self.low, self.normal)[level - 1])})"


# People notice a lag of 0.1 s; at 0.5 s timeouts and heartbeats of functions are no longer accurate.
LAG = Limit(
    low=0.1,
    normal=0.5,
    leave_low=0.05,
    leave_normal=0.25,
    name="event loop time",
    words="the event loop was late by {:.2f} s, the limit is {:.2f} s",
)
# At 90 % what was started must still fit; at 95 % the kernel's OOM killer is near.
MEMORY = Limit(
    low=0.90,
    normal=0.95,
    leave_low=0.85,
    leave_normal=0.92,
    name="memory",
    words="{:.0%} is in use, the limit is {:.0%}",
)
# A transaction takes milliseconds; at 2 s the renewal of the lease (every 10 s, good for 30) has no margin left.
STORE = Limit(
    low=0.5,
    normal=2.0,
    leave_low=0.2,
    leave_normal=1.0,
    name="store speed",
    words="a transaction took {:.2f} s, the limit is {:.2f} s",
)
LIMITS = (MEMORY, LAG, STORE)


class Shedding(Value, frozen=True):
    """What a node holds back, and why; at first nothing."""

    level: Shed = Shed.NOTHING
    reason: str = ""
    asked: tuple[int, ...] = (0,) * len(LIMITS)  # the level that each pressure calls for


def shed(before: Shedding, pressures: Pressures) -> Shedding:
    """The next step."""
    values = (pressures.memory_share, pressures.loop_lag_s, pressures.store_s)
    asked = tuple(
        limit.level(value, current=current) for limit, value, current in zip(LIMITS, values, before.asked, strict=True)
    )
    here = LEVELS.index(before.level)
    level = LEVELS[min(here + 1, max(here - 1, max(asked)))]
    if level is Shed.NOTHING:
        return Shedding()
    if (level, asked) == (before.level, before.asked):
        return before
    return Shedding(level, _reason(values, asked) or _easing(before.reason), asked)


def _reason(values: tuple[float, ...], asked: tuple[int, ...]) -> str:
    short = [
        (level, value / limit.low, limit.told(value, level))
        for limit, value, level in zip(LIMITS, values, asked, strict=True)
        if level > 0
    ]
    return "short of " + " and ".join(words for _, _, words in sorted(short, reverse=True)) if short else ""


def _easing(reason: str) -> str:
    """The reason while nothing is short any more and the last step back is still to come."""
    return reason if reason.startswith("was ") else f"was {reason}"
