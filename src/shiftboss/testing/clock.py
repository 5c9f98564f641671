"""A clock that moves only when it is told to.

Rules of this file
- Elapsed time only grows, in whole microseconds: no sum of floats drifts, and a seed gives the same run on any machine.
- The wall clock follows elapsed time and can be set independently of it (O4).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

US = 1_000_000  # microseconds in a second


class VirtualClock:
    """Implements `shiftboss.clock.Clock`.  *start* is an aware datetime, or ISO text, which is UTC if it names no zone.

        clock = VirtualClock("2026-03-01")
        clock.advance(90)

    Raises ValueError for a *start* without a zone.
    """

    leases_by_wall = False

    def __init__(self, start: datetime | str = "2026-03-01", *, boot: str = "virtual") -> None:
        self.boot = self.machine_boot = boot
        self.elapsed_us = 0
        self._wall = instant(start)

    def now(self) -> datetime:
        return self._wall

    def monotonic_s(self) -> float:
        return self.elapsed_us / US

    def elapsed_s(self) -> float:
        return self.elapsed_us / US

    lease_s = elapsed_s

    def advance(self, seconds: float) -> None:
        """Let *seconds* pass; a negative number changes nothing."""
        self.advance_to_us(self.elapsed_us + round(seconds * US))

    def advance_to_us(self, elapsed_us: int) -> None:
        """Let time pass until *elapsed_us*; a time in the past changes nothing."""
        passed_us = elapsed_us - self.elapsed_us
        if passed_us > 0:
            self.elapsed_us = elapsed_us
            self._wall += timedelta(microseconds=passed_us)

    def step_wall(self, seconds: float) -> None:
        """Set the wall clock forward, or back if *seconds* is negative; no time passes."""
        self._wall += timedelta(seconds=seconds)


def instant(value: datetime | str) -> datetime:
    """An aware UTC datetime.  Raises ValueError for a datetime without a zone."""
    if isinstance(value, str):
        read = datetime.fromisoformat(value)
        return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    if value.tzinfo is None:
        raise ValueError(f"{value!r} has no time zone; use datetime(…, tzinfo=UTC) or ISO text")
    return value.astimezone(UTC)
