"""How a waiting run changes when the wall clock was set (O4); the stores do the same in SQL, to all runs at once.

Rules of this file
- Elapsed times move with the clock, so as much time is left as before.
- A run that waits for a calendar time stays, and is due when the clock says so.  If its time was jumped over, it is due
  now and has not waited yet.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from shiftboss.core.model import Run
from shiftboss.core.value import FAR_END, Value, later, replace


class Shift(Value, frozen=True):
    """The wall clock was set by `step_us`, to `now`."""

    step_us: int
    now: datetime

    @property
    def step_s(self) -> float:
        return self.step_us / 1e6

    def moved(self, instant: datetime | None) -> datetime | None:
        """An elapsed time after the step; exact, and cut off at the ends of the calendar."""
        return None if instant is None else self.move(instant)

    def move(self, instant: datetime) -> datetime:
        try:
            return min(instant + timedelta(microseconds=self.step_us), FAR_END)
        except OverflowError:
            return FAR_END if self.step_us > 0 else instant


def shifted(run: Run, shift: Shift, *, offset_s: float = 0.0) -> Run:
    """A waiting run after the step; *offset_s* is the jitter of its worker (scheduled runs only)."""
    if run.by_calendar and not run.has_started:
        is_ahead, occurs_at = run.occurs_at > shift.now, run.occurs_at
        due_at = later(occurs_at, offset_s) if is_ahead else min(shift.move(run.due_at), shift.now)
    else:
        due_at = shift.move(run.due_at)
        occurs_at = run.occurs_at if run.has_started else shift.move(run.occurs_at)  # D1: retries keep it
    waits_longer = Shift((due_at - run.due_at) // timedelta(microseconds=1), shift.now)
    return replace(
        run,
        occurs_at=occurs_at,
        due_at=due_at,
        place_at=shift.moved(run.place_at),  # only runs that have started have one
        give_up_at=waits_longer.moved(run.give_up_at),
        deadline_at=waits_longer.moved(run.deadline_at),
    )
