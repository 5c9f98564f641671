"""The frames of a stream: server-sent events, encoded once for all clients.

Rules of this file
- Only stored events carry an id, their number in the store: with `Last-Event-ID` a stream continues after it.
- A frame belongs to one topic, and to one worker and run if it is about one: streams filter by these.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from shiftboss.app.json_format import encoded
from shiftboss.app.pages import listed_event
from shiftboss.app.status import NodeStatus, RunningRun, SystemStatus, Totals, WorkerStatus
from shiftboss.core.events import Event
from shiftboss.core.health import HealthReason
from shiftboss.core.model import LogLine, Run
from shiftboss.core.value import Value
from shiftboss.web.problems import harmless

RETRY_MS = 2000
PREAMBLE = f"retry: {RETRY_MS}\n\n".encode()
HEARTBEAT = b": alive\n\n"

Topic = str
STATUS, EVENT, RUN, LOG = "status", "event", "run", "log"
TOPICS = (STATUS, EVENT, RUN, LOG)


class Hello(Value, frozen=True, omit_defaults=False):
    """The first frame: from here on nothing is missed.  Read lists again when it comes; `resumed`: events continue."""

    at: datetime
    event: int  # the newest stored event; the frame's id
    topics: tuple[Topic, ...]
    resumed: bool


class StatusChange(Value, frozen=True, omit_defaults=False):
    """The changes of what a live page shows: at most 300 workers and 100 running runs, and the totals of all workers.

    Shown are the disabled workers, then the worst, then some that are held or have dead letters.  `workers`: the
    changed rows, or all shown ones if `full`.  `forgotten`: names that are no longer shown.  `order`: the shown names;
    None if it is unchanged.  `revision` grows when any worker changes, also one that is not shown.
    """

    at: datetime
    full: bool
    health: str
    reasons: tuple[HealthReason, ...]
    nodes: tuple[NodeStatus, ...]
    running: tuple[RunningRun, ...]
    workers: tuple[WorkerStatus, ...]
    forgotten: tuple[str, ...]
    order: tuple[str, ...] | None
    store: str
    totals: Totals
    revision: int


class Resync(Value, frozen=True, omit_defaults=False):
    """Something was left out: read these topics' lists again."""

    topics: tuple[Topic, ...]
    reason: str


class Stale(Value, frozen=True, omit_defaults=False):
    """The store does not answer: the data shown is old until the next status."""

    reason: str


class Bye(Value, frozen=True, omit_defaults=False):
    """The stream ends; connect again, here or at another node."""

    reason: str


STREAMED: dict[str, Any] = {
    "hello": Hello,
    "status": StatusChange,
    "event": Event,
    "run": Run,
    "log": LogLine,
    "resync": Resync,
    "stale": Stale,
    "bye": Bye,
}


class Frame(NamedTuple):
    """One frame, ready to be sent."""

    data: bytes
    topic: Topic = ""  # empty: for every stream
    worker: str = ""
    run: int | None = None


def event_frame(number: int, event: Event) -> Frame:
    return Frame(written("event", listed_event(event), number=number), EVENT, event.worker, event.run)


def status_frame(change: StatusChange) -> Frame:
    return Frame(written("status", change), STATUS)


def run_frame(run: Run) -> Frame:
    return Frame(written("run", run), RUN, run.worker, run.id)


def log_frame(line: LogLine) -> Frame:
    return Frame(written("log", line), LOG, run=line.run)


def resync_frame(topics: tuple[Topic, ...], reason: str, *, topic: Topic = "") -> Frame:
    return Frame(written("resync", Resync(topics, reason)), topic)


def written(name: str, value: msgspec.Struct, *, number: int | None = None) -> bytes:
    """The JSON has no line breaks, so one `data:` line is enough."""
    head = f"event: {name}\n" if number is None else f"id: {number}\nevent: {name}\n"
    return head.encode() + b"data: " + harmless(encoded(value)) + b"\n\n"


# ── changes of a status ──────────────────────────────────────────────────────────────────────────────────────────


class LiveStatus(NamedTuple):
    """What a live page shows, and a number that has grown if the row of any worker has changed."""

    status: SystemStatus
    revision: int


def full_status(now: LiveStatus) -> StatusChange:
    return _change(now, now.status.workers, full=True, forgotten=(), order=_order(now.status))


def status_change(before: LiveStatus, now: LiveStatus) -> StatusChange | None:
    """None if nothing visible has changed."""
    known = {worker.name: worker for worker in before.status.workers}
    changed = tuple(worker for worker in now.status.workers if known.get(worker.name) != worker)
    forgotten = tuple(sorted(known.keys() - {worker.name for worker in now.status.workers}))
    order = _order(now.status) if _order(now.status) != _order(before.status) else None
    if not changed and not forgotten and order is None and _rest(now) == _rest(before):
        return None
    return _change(now, changed, full=False, forgotten=forgotten, order=order)


def _rest(live: LiveStatus) -> tuple[object, ...]:
    status = live.status
    return live.revision, status.health, status.reasons, status.running, _steady(status)


def _change(
    live: LiveStatus,
    workers: tuple[WorkerStatus, ...],
    *,
    full: bool,
    forgotten: tuple[str, ...],
    order: tuple[str, ...] | None,
) -> StatusChange:
    now = live.status
    return StatusChange(
        at=now.at,
        full=full,
        health=now.health,
        reasons=now.reasons,
        nodes=now.nodes,
        running=now.running,
        workers=workers,
        forgotten=forgotten,
        order=order,
        store=now.store,
        totals=now.totals,
        revision=live.revision,
    )


def _order(status: SystemStatus) -> tuple[str, ...]:
    return tuple(worker.name for worker in status.workers)


def _steady(status: SystemStatus) -> list[NodeStatus]:
    """The nodes without the fields that change all the time."""
    return [msgspec.structs.replace(node, lease_left_s=0.0, lag_s=0.0, memory_bytes=0) for node in status.nodes]
