"""What does a node hold back while it is short of something?  (H4)

Rules of this file
- First low, then normal, never high or critical; one step at a time, up as down, so that each can show its effect.
- A level is entered at one threshold and left at a lower one, or it would come and go with every measurement.
"""

from __future__ import annotations

from shiftboss.core.model import Shed
from shiftboss.core.value import Value

LEVELS = (Shed.NOTHING, Shed.LOW, Shed.NORMAL)


class Pressures(Value, frozen=True):
    """What a node measures about itself, about once a second."""

    loop_lag_s: float = 0.0  # how late the loop of the bodies was
    memory_share: float = 0.0  # in use, of the machine or its group: 0 to 1
    store_s: float = 0.0  # the slowest turn with the store since the last measurement


class Limit(Value, frozen=True):
    """One pressure: at *low* and *normal* these levels are entered, below the two others they are left again."""

    low: float
    normal: float
    leave_low: float
    leave_normal: float
    words: str

    def level(self, value: float, *, current: int) -> int:
        """The level that *value* asks for, in a node that stands at *current*."""
        if value >= (self.normal if current < 2 else self.leave_normal):
            return 2
        return 1 if value >= (self.low if current < 1 else self.leave_low) else 0


# A lag of 0.1 s is what people notice; at 0.5 s timeouts and heartbeats of bodies begin to lie.
LAG = Limit(low=0.1, normal=0.5, leave_low=0.05, leave_normal=0.25, words="the event loop is late by {:.2f} s")
# What is started at 90 % must fit; at 95 % the kernel's killer is near.
MEMORY = Limit(low=0.90, normal=0.95, leave_low=0.85, leave_normal=0.92, words="{:.0%} of the memory is in use")
# A turn takes milliseconds; at 2 s a renewal of the lease (every 10 s, good for 30) has lost its margin.
STORE = Limit(low=0.5, normal=2.0, leave_low=0.2, leave_normal=1.0, words="a turn with the store took {:.2f} s")


def shed_level(current: Shed, pressures: Pressures) -> tuple[Shed, str]:
    """The level to go to from *current*, and the worst pressure in words; nothing held back needs no reason."""
    here = LEVELS.index(current)
    asked = [
        (limit.level(value, current=here), value / limit.low, limit.words.format(value))
        for limit, value in (
            (MEMORY, pressures.memory_share),
            (LAG, pressures.loop_lag_s),
            (STORE, pressures.store_s),
        )
    ]
    wanted, _, reason = max(asked)
    step = min(here + 1, max(here - 1, wanted))
    return LEVELS[step], reason if step > 0 else ""
