"""The values that questions about the current state are answered with.

Rules of this file
- Their field names are stable: they are the JSON of the command, of the HTTP API and of the library alike.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from shiftboss.core.health import HealthReason
from shiftboss.core.hold import Hold
from shiftboss.core.model import Disabled, Error, Pause, Progress, Verdict
from shiftboss.core.unreadable import Unreadable
from shiftboss.core.value import Value


class RunningRun(Value, frozen=True, omit_defaults=False):
    """A run in progress, for lists."""

    run: int  # its id
    worker: str  # its name
    node: str  # the id of its node
    since: datetime  # when this attempt was claimed
    attempt: int  # its number
    progress: Progress | None = None  # the latest that it reported
    zombie: bool = False  # it was told to end, its grace is over, and it still runs (B6)
    cancelling: bool = False  # an operator wants it to end
    unreadable: str = ""  # why its row cannot be read (W8)


class WorkerStatus(Value, frozen=True, omit_defaults=False, gc=True, weakref=True):
    """One worker as `status` shows it."""

    IS_KEPT: ClassVar = True

    name: str  # the worker's
    mode: str  # scheduled, continuous or triggered
    schedule: str  # in words; empty without one
    priority: str  # of its runs, unless a trigger gives another one
    enabled: bool  # whether anything new starts
    disabled: Disabled | None  # by whom and why; None while it is enabled
    paused: Pause | None  # by whom, why and until when nothing starts (K7); None while it is not paused
    accepts: bool  # whether a trigger is stored: also while failures keep a worker disabled that is only triggered (K5)
    health: str  # healthy, degraded, unhealthy, offline, disabled or unknown (H1)
    reasons: tuple[HealthReason, ...]  # why, the most severe first
    running: int  # attempts that run now in the whole fleet
    pending: int  # runs that wait, counted up to 1,001
    due: int  # how many of these are due; counted up to 1,001
    dead_letters: int  # open ones
    consecutive_failures: int  # dead runs in a row (K4)
    last_run_at: datetime | None  # start of the latest attempt
    last_success_at: datetime | None  # end of the latest success
    last_error: Error | None  # of the latest failed attempt, without traceback
    last_error_at: datetime | None  # when that was
    latest: Verdict | None  # how the latest run ended, for `depends_on`
    next_due_at: datetime | None  # the earliest time at which a waiting run is due; may be past
    breaker: str | None  # its breaker's state: closed, open or half_open; None without one
    breaker_until: datetime | None  # while it is open: when it will be probed
    next_run: int | None  # the id of the run that starts first (A3)
    holds: tuple[Hold, ...]  # of its next run, if that is due
    doc: str = ""  # the first line of the function's docstring
    unreadable: tuple[Unreadable, ...] = ()  # rows of it that cannot be read, as far as they were found (W8)


class NodeStatus(Value, frozen=True, omit_defaults=False):
    """One node as `nodes` shows it."""

    id: str  # made at its start
    name: str  # host:pid, for people
    live: bool  # whether its lease is good
    mode: str  # running, draining or client
    slots: int  # how many attempts it runs at once
    used: int  # how many attempts run there now
    workers: int  # how many it can run
    shed: str  # what it holds back while it is short of something (H4)
    shed_reason: str  # and why
    lag_s: float  # how late its event loop is
    memory_bytes: int  # resident, as of its last renewal; 0: not known
    lease_left_s: float  # until its lease ends unless it is renewed; negative: since it ended
    started_at: datetime  # when it joined
    version: str  # of shiftboss
    code_version: str  # of the application
    pid: int  # of its process
    host: str  # its machine's name
    unreadable: str = ""  # why its row cannot be read (W8)
    durability: str = ""  # what its commits survive (W1): power, process; "server": as the server is set
    decodes: tuple[str, ...] = ()  # the ids of its codec's keys, the one that encodes first; empty: it has no codec
    frozen: bool = False  # silent for 15 s while its process lives: it keeps its runs for a while (C4)


class Totals(Value, frozen=True, omit_defaults=False):
    """All workers of the store counted, also those that a page leaves out."""

    workers: int  # how many there are
    health: dict[str, int]  # how many of them have each health that occurs, disabled first, then the worst
    mode: dict[str, int]  # how many of them have each mode that occurs
    running: int  # attempts that run now
    pending: int  # runs that wait, counted up to 1,001 of each worker
    due: int  # how many of these are due, counted likewise
    dead_letters: int  # open ones


class SystemStatus(Value, frozen=True, omit_defaults=False):
    """Everything at a glance; disabled workers first, then the worst (K6).  All of it, or a page."""

    at: datetime  # when this was true
    health: str  # healthy, degraded or unhealthy (H3)
    reasons: tuple[HealthReason, ...]  # why, the most severe first; on a page: of the whole and of its workers
    nodes: tuple[NodeStatus, ...]  # those that the store knows
    running: tuple[RunningRun, ...]  # every run in progress; on a page: no more than its `limit`
    workers: tuple[WorkerStatus, ...]  # disabled ones first, then the worst
    store: str  # its address, without a password
    totals: Totals  # of all workers, whatever is shown
    matching: int  # how many workers fit the filter, also those that the page leaves out
    next: str | None  # the cursor of the next page; None at the end

    def worker(self, name: str) -> WorkerStatus:
        """The status of one worker.  Raises KeyError if it is unknown."""
        return next((w for w in self.workers if w.name == name), None) or _missing(name)


def _missing(name: str) -> WorkerStatus:
    raise KeyError(name)
