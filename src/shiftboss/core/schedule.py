"""When does a schedule fire?  (stub: see the schedule's own brief)"""

from __future__ import annotations

from shiftboss.core.value import Value


class Every(Value, frozen=True, tag="every"):
    """M4: fixed rate, anchored at the worker's first instant."""

    every_s: float


class Cron(Value, frozen=True, tag="cron"):
    """O3: a cron expression in a time zone, by the Vixie rule."""

    expression: str
    timezone: str = "UTC"


Schedule = Every | Cron
