"""Queries about the current state: the system, its workers, graph and timeline, and the stream of changes.

Rules of this file
- Each function is an operation of the table.  It reads `Views` and the pages of `app`, and decides nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from shiftboss.app.charts import Minutes, Timeline, minutes, timeline
from shiftboss.app.node import package_version
from shiftboss.app.pages import PageOfWorker, page_of_worker
from shiftboss.app.roles import Role
from shiftboss.app.status import NodeStatus, SystemStatus, Totals, WorkerStatus
from shiftboss.app.views import Views
from shiftboss.app.worker_graph import Graph, graph
from shiftboss.core.health import Health, SystemHealth
from shiftboss.core.redact import Redaction, redaction
from shiftboss.core.unreadable import Unreadable
from shiftboss.core.value import Value
from shiftboss.core.worker import Mode
from shiftboss.ports.faces import WorkerFilter
from shiftboss.web import frames
from shiftboss.web.hub import Wanted
from shiftboss.web.operation import Call
from shiftboss.web.params import Instant, Name, RunId, Text, WorkerNamed
from shiftboss.web.problems import Problem
from shiftboss.web.proxy import user_of
from shiftboss.web.stream import EventStream

WINDOW = timedelta(hours=1)
MAX_WINDOW = timedelta(days=7)  # single runs; more would be unreadable


# ── the system ───────────────────────────────────────────────────────────────────────────────────────────────────────


class WorkersAsked(msgspec.Struct, frozen=True):
    """Which workers; `q` is a part of the name.  `cursor`: `next` of the page before."""

    health: tuple[Health, ...] = ()
    mode: tuple[Mode, ...] = ()
    q: Text | None = None
    cursor: Text | None = None
    limit: Annotated[int, Meta(ge=1, le=10_000)] = 200

    @property
    def filter(self) -> WorkerFilter:
        return WorkerFilter(self.health, self.mode, self.q, self.cursor, self.limit)


async def status(call: Call, params: WorkersAsked) -> SystemStatus:
    """Everything at a glance: health, nodes, running runs, totals, and workers, disabled ones first, then the worst.

    `next` is the cursor of the next page of workers.  `running` has at most `limit` runs, and if workers are left out,
    `reasons` are those of the whole and of the workers shown.
    """
    return await call.ask(lambda views: views.status(params.filter))


async def health(call: Call, params: WorkersAsked) -> SystemHealth:
    """Is it healthy, and if not, why?

    `next` is the cursor of the next page of workers.  If workers are left out, `reasons` are those of the whole and of
    the workers shown.
    """
    return await call.ask(lambda views: views.health(params.filter))


class Nodes(Value, frozen=True, omit_defaults=False):
    """The processes on this store, the oldest first."""

    nodes: tuple[NodeStatus, ...]


async def nodes(call: Call) -> Nodes:
    """Which processes run workers on this store?"""
    return Nodes(await call.ask(Views.nodes))


class UnreadableRow(Value, frozen=True, omit_defaults=False):
    """One row; `text` describes it in a sentence."""

    table: str
    id: str
    worker: str
    reason: str
    text: str


class UnreadableRows(Value, frozen=True, omit_defaults=False):
    """Stored rows that cannot be read, with the reason."""

    rows: tuple[UnreadableRow, ...]


def unreadable_row(row: Unreadable) -> UnreadableRow:
    return UnreadableRow(row.table, row.id, row.worker, row.reason, str(row))


async def unreadable(call: Call) -> UnreadableRows:
    """Which stored rows are unreadable?  This searches the whole store."""
    return UnreadableRows(tuple(unreadable_row(row) for row in await call.ask(Views.unreadable)))


class GraphAsked(msgspec.Struct, frozen=True):
    """At most `limit` workers.  `worker`: this one, and those that are nearest to it."""

    worker: Name | None = None
    limit: Annotated[int, Meta(ge=1, le=1_000)] = 200


async def graph_(call: Call, params: GraphAsked) -> Graph:
    """Dependencies, exclusions and shared resources of the workers, with their health.

    Of more than `limit` workers, `components` are those that can hold each other's runs, the worst first; the graph
    shows those that fit.
    """
    return await call.ask(lambda views: graph(views, around=params.worker, limit=params.limit))


class Window(msgspec.Struct, frozen=True):
    """By default the last hour; at most seven days."""

    since: Instant | None = None
    until: Instant | None = None
    worker: Name | None = None
    limit: Annotated[int, Meta(ge=1, le=10_000)] = 2000


async def timeline_(call: Call, params: Window) -> Timeline:
    """Runs by worker within a window, and the scheduled times ahead in it."""
    now = call.boss.clock.now()
    until = params.until or now
    try:
        since = params.since or min(until, now) - WINDOW
    except OverflowError:
        since = until
    if not since <= until or until - since > MAX_WINDOW:
        raise Problem(400, "wrong-parameter", f"`since` must be before `until`, by at most {MAX_WINDOW.days} days.")
    return await call.ask(
        lambda views: timeline(views, since=since, until=until, worker=params.worker, limit=params.limit)
    )


async def minutes_(call: Call) -> Minutes:
    """How many runs succeeded and how many died in each minute of the last hour."""
    since = call.boss.clock.now() - WINDOW
    return await call.ask(lambda views: minutes(views, since=since))


# ── workers ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class Workers(Value, frozen=True, omit_defaults=False):
    """A page, disabled ones first, then the worst.  `next`: the cursor of the next one; None at the end.

    `matching`: how many fit in all.
    """

    workers: tuple[WorkerStatus, ...]
    at: datetime
    matching: int
    next: str | None
    totals: Totals


async def workers(call: Call, params: WorkersAsked) -> Workers:
    """The workers, disabled ones first, then the worst."""
    status = await call.ask(lambda views: views.status(params.filter))
    return Workers(status.workers, status.at, status.matching, status.next, status.totals)


class WorkerAsked(msgspec.Struct, frozen=True):
    """How many scheduled times ahead, and how many past runs."""

    worker: Name
    instants: Annotated[int, Meta(ge=0, le=100)] = 20
    runs: Annotated[int, Meta(ge=1, le=100)] = 20


async def worker(call: Call, params: WorkerAsked) -> PageOfWorker:
    """Everything about a worker: state, holds, settings, relations, next scheduled times, last durations and runs."""
    return await call.ask(
        lambda views: page_of_worker(views, params.worker, instants=params.instants, runs=params.runs)
    )


GIVEN_VALUES = frozenset(("default", "examples", "example", "const"))  # parts of a schema with values from its author


class PayloadForm(Value, frozen=True, omit_defaults=False):
    """What a trigger accepts.  `declared`: this process knows the function; else any object, which is checked later."""

    worker: str
    declared: bool
    schema: dict[str, Any]
    takes: str  # for people: "(to: str, copies: int = …)"


async def payload_form(call: Call, params: WorkerNamed) -> PayloadForm:
    """The payload of a worker as JSON Schema, for a form."""
    definition = (await call.ask(lambda views: views.snapshot().worker(params.worker))).definition
    body = call.boss.bodies.get(params.worker)
    describe = getattr(body, "schema", None)
    if describe is None:
        names = definition.parameters.partition(":")[0]
        return PayloadForm(params.worker, declared=False, schema={"type": "object"}, takes=f"({names})")
    mask = redaction(definition.redact, definition.redact_patterns).knowing(call.boss.secrets)
    takes = mask.text(getattr(body, "signature", "()"))
    return PayloadForm(params.worker, declared=True, schema=without_secret_defaults(describe(), mask), takes=takes)


def without_secret_defaults(schema: Any, mask: Redaction) -> Any:
    """*schema* without defaults and examples that contain a secret; a default that a form lacks still applies."""
    if isinstance(schema, list):
        return [without_secret_defaults(each, mask) for each in schema]
    if not isinstance(schema, dict):
        return schema
    shown = {}
    for key, value in schema.items():
        if key in GIVEN_VALUES:
            data = msgspec.json.encode(value)
            if mask.json(data) == data:
                shown[key] = value
        elif key == "properties" and isinstance(value, dict):
            shown[key] = {
                name: without_secret_defaults(_without_values(each) if mask.is_secret(name) else each, mask)
                for name, each in value.items()
            }
        else:
            shown[key] = without_secret_defaults(value, mask)
    return shown


def _without_values(schema: Any) -> Any:
    return (
        {key: each for key, each in schema.items() if key not in GIVEN_VALUES} if isinstance(schema, dict) else schema
    )


# ── live ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


class EventsAsked(msgspec.Struct, frozen=True):
    """`topics`: status, event, run, log (with `run`); `worker` and `run` narrow events and runs."""

    topics: Text = "status,event"
    worker: Name | None = None
    run: RunId | None = None
    last_event_id: Annotated[int, Meta(ge=0, lt=1 << 53)] | None = None


async def events(call: Call, params: EventsAsked) -> EventStream:
    """Server-sent events: changes as they happen; continues after `Last-Event-ID`."""
    topics = frozenset(each.strip() for each in params.topics.split(","))
    for unknown in sorted(topics.difference(frames.TOPICS)):
        raise Problem(400, "unknown-topic", f"there is no topic {unknown[:80]!r}; known: {', '.join(frames.TOPICS)}")
    if frames.LOG in topics and params.run is None:
        raise Problem(400, "wrong-parameter", "the topic `log` needs a run: run=…")
    last_event_id = call.request.headers.get("last-event-id", "")
    last = (
        int(last_event_id)
        if last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) < 17
        else params.last_event_id
    )
    role = call.access.role if call.access is not None else Role.VIEWER
    wanted = Wanted(topics, params.worker, params.run, last)
    return EventStream(call.hub(), wanted, role, call.may_still, call.authenticator.recheck_s)


# ── oneself ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class SessionInfo(Value, frozen=True, omit_defaults=False):
    """Who you are here.  `role` is None if you must log in first; `limited`: single actions may be refused."""

    role: str | None
    name: str
    limited: bool
    asks_for_token: bool
    version: str


async def session(call: Call) -> SessionInfo:
    """Who am I, and what may I do?"""
    access = call.access
    return SessionInfo(
        role=None if access is None else access.role.name.lower(),
        name="" if access is None else access.name,
        limited=access is not None and access.may is not None,
        asks_for_token=call.authenticator.asks_for_token and user_of(call.request.scope) is None,
        version=package_version(),
    )
