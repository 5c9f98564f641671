"""What a waiting run becomes when the wall clock was set (O4); the stores do the same in their own words, all at once.

Rules of this file
- What is measured in elapsed time moves with the clock: the same time is left as before.
- What waits for an instant of the calendar stays, and is due when the clock says so: one that was jumped over is due
  now and has waited for nothing yet.
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
        """An instant of elapsed time; exact, and cut at the ends of the calendar."""
        return None if instant is None else self.move(instant)

    def move(self, instant: datetime) -> datetime:
        try:
            return min(instant + timedelta(microseconds=self.step_us), FAR_END)
        except OverflowError:
            return FAR_END if self.step_us > 0 else instant


def shifted(run: Run, shift: Shift, *, offset_s: float = 0.0) -> Run:
    """A waiting run; *offset_s* is the jitter of its worker (occurrences only)."""
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
        place_at=shift.moved(run.place_at),  # only of what has started
        give_up_at=waits_longer.moved(run.give_up_at),
        deadline_at=waits_longer.moved(run.deadline_at),
    )
