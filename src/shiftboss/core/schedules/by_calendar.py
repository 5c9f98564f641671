"""What every schedule that follows the calendar can be asked: which scheduled time comes next, which was the last?

Rules of this file
- Scheduled times of such a schedule are fixed by what is declared alone.  They stay where they are when the clock is
  set (O4), whenever the worker was first declared.  `Every` without an anchor is the one schedule unlike that.
- A schedule may end: then nothing comes after its last scheduled time.
"""

from __future__ import annotations

from datetime import datetime

from shiftboss.core.value import Value


class ByCalendar(Value, frozen=True):
    """The base of all schedules that follow the calendar."""

    @property
    def zone(self) -> str:
        """The IANA name of the time zone in which people read its times."""
        return "UTC"

    def after(self, at: datetime) -> datetime | None:
        """The first scheduled time strictly after *at*; None if there is none."""
        raise NotImplementedError

    def last(self, until: datetime, *, first: datetime) -> datetime:
        """The last scheduled time at or before *until*; *first* if that is later."""
        raise NotImplementedError

    def count(self, first: datetime, until: datetime, *, limit: int) -> int:
        """How many there are after *first* and up to *until*, plus one for *first*; counted up to *limit*."""
        count, at = 1, self.after(first)
        while at is not None and at <= until and count < limit:
            count, at = count + 1, self.after(at)
        return count
