"""Was the wall clock set?  It is compared with this machine's elapsed time (O4).

Rules of this file
- What counts is the difference between the two clocks: it changes only when somebody sets the wall clock.  Slewing is
  followed.
- The store keeps how far the clock was set in all, so that of many nodes only the first to notice moves anything.  It
  also keeps the difference, so that a process that starts later within the same boot sees earlier steps.
"""

from __future__ import annotations

from shiftboss.clock import Clock
from shiftboss.core.clock_step import STEP_US, age_us
from shiftboss.core.fleet import is_same_boot
from shiftboss.core.model import ClockMark
from shiftboss.core.value import EPOCH, US, replace

MAX_STEPS = 20  # steps that are remembered, to compute ages (A4)
DRIFT_US = STEP_US // 4  # the store is updated long before slow drift could be taken for a step


class ClockWatch:
    """The clock watch of one session."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset_us: int | None = None  # as in ClockMark, when this process last looked
        self._set_us = 0
        self._is_in_doubt = False

    def doubt(self) -> None:
        """The last step that was applied may not be stored."""
        self._is_in_doubt = True

    @property
    def seems_set(self) -> bool:
        """Whether the clock seems set.  It does not read the store, where another process may have noted it already."""
        if self._is_in_doubt:
            return True
        return self._offset_us is not None and abs(self._now_us() - self._set_us - self._offset_us) >= STEP_US

    def step_us(self, mark: ClockMark | None) -> int | None:
        """How far the clock was set since *mark*, or since this process last looked; None if nobody can tell."""
        known = self._offset_us
        if known is None and mark is not None and is_same_boot(mark.boot, self._clock.machine_boot):
            known = mark.offset_us
        return None if known is None else self._now_us() - _set_us(mark) - known

    def saw(self, mark: ClockMark | None, *, step_us: int = 0) -> ClockMark:
        """Take the present difference as normal, after *step_us* was applied; the answer is for the store to keep."""
        self._is_in_doubt = False
        self._set_us = _set_us(mark) + step_us
        self._offset_us = self._now_us() - self._set_us
        steps = () if mark is None else mark.steps
        seen = ClockMark(self._clock.machine_boot, self._offset_us, self._set_us, steps)
        if step_us:
            steps = (*steps, (age_us(seen, self._clock.now()), _set_us(mark)))[-MAX_STEPS:]
        return replace(seen, steps=steps)

    def _now_us(self) -> int:
        return (self._clock.now() - EPOCH) // US - round(self._clock.elapsed_s() * 1e6)


def is_outdated(mark: ClockMark | None, now: ClockMark) -> bool:
    """Whether the store should get the new mark although the clock was not set."""
    if mark is None or not is_same_boot(mark.boot, now.boot):
        return True
    return abs(mark.offset_us - now.offset_us) >= DRIFT_US


def _set_us(mark: ClockMark | None) -> int:
    return 0 if mark is None else mark.set_us
