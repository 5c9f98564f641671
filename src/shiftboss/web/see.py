"""What may be asked over HTTP: each function an operation of the table.

Rules of this file
- They put questions to `Views` and the pages of `app`, and decide nothing; lists are pages with a cursor.
- No list carries payloads, results or tracebacks.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from shiftboss.app.letters import Choice, DeadGroup, fits, grouped, open_letters
from shiftboss.app.node import package_version
from shiftboss.app.pages import (
    Graph,
    PageOfRun,
    PageOfWorker,
    Timeline,
    graph,
    listed,
    listed_event,
    page_of_run,
    page_of_worker,
    timeline,
)
from shiftboss.app.views import NodeStatus, SystemStatus, Views, WorkerStatus
from shiftboss.core.events import AnyEvent
from shiftboss.core.health import Health, SystemHealth
from shiftboss.core.model import DeadLetter, LogLine, Run, Status
from shiftboss.core.value import Value
from shiftboss.core.worker import Mode
from shiftboss.errors import NotAllowed
from shiftboss.ports import HistoryFilter, LetterFilter
from shiftboss.web import frames
from shiftboss.web.hub import Wanted
from shiftboss.web.operation import Call
from shiftboss.web.problems import Problem
from shiftboss.web.stream import EventStream

Text = Annotated[str, Meta(min_length=1, max_length=500, pattern=r"^[^\x00]*$")]
Name = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[^\x00]*$")]
RunId = Annotated[int, Meta(ge=1, lt=1 << 53)]
Limit = Annotated[int, Meta(ge=1, le=500)]
Instant = Annotated[datetime, Meta(tz=True)]
LettersState = Annotated[str, Meta(pattern=r"^(open|replayed|resolved|discarded|superseded|all)$")]

WINDOW = timedelta(hours=1)
MAX_WINDOW = timedelta(days=7)  # raw runs; more is a table nobody can read
EVENTS_AT_ONCE = 500
MAX_EVENT_PAGES = 10


# ── the whole ────────────────────────────────────────────────────────────────────────────────────────────────────


async def status(call: Call) -> SystemStatus:
    """Everything at a glance: health, nodes, what runs, all workers; disabled ones first, then the worst."""
    return await call.ask(Views.status)


async def health(call: Call) -> SystemHealth:
    """Is it healthy, and if not, why?"""
    return await call.ask(Views.health)


class Nodes(Value, frozen=True, omit_defaults=False):
    """The processes on this store, the oldest first."""

    nodes: tuple[NodeStatus, ...]


async def nodes(call: Call) -> Nodes:
    """Which processes run workers on this store?"""
    return Nodes(await call.ask(Views.nodes))


async def graph_(call: Call) -> Graph:
    """Who waits for whom, who excludes whom, what they share; with health."""
    return await call.ask(graph)


class Window(msgspec.Struct, frozen=True):
    """By default the last hour; at most seven days."""

    since: Instant | None = None
    until: Instant | None = None
    worker: Name | None = None
    limit: Annotated[int, Meta(ge=1, le=10_000)] = 2000


async def timeline_(call: Call, params: Window) -> Timeline:
    """Runs by worker within a window, and the instants that lie ahead in it."""
    now = call.boss.clock.now()
    until = params.until or now
    try:
        since = params.since or min(until, now) - WINDOW
    except OverflowError:
        since = until
    if not since <= until or until - since > MAX_WINDOW:
        raise Problem(400, "wrong-parameter", f"`since` must be before `until`, by {MAX_WINDOW.days} days at most.")
    return await call.ask(
        lambda views: timeline(views, since=since, until=until, worker=params.worker, limit=params.limit)
    )


# ── workers ──────────────────────────────────────────────────────────────────────────────────────────────────────


class WorkersAsked(msgspec.Struct, frozen=True):
    """Which workers; `q` is a part of the name."""

    health: tuple[Health, ...] = ()
    mode: Mode | None = None
    q: Text | None = None


class Workers(Value, frozen=True, omit_defaults=False):
    """Disabled ones first, then the worst."""

    workers: tuple[WorkerStatus, ...]
    at: datetime


async def workers(call: Call, params: WorkersAsked) -> Workers:
    """The workers, disabled ones first, then the worst."""
    found = await call.ask(Views.status)
    chosen = (
        worker
        for worker in found.workers
        if (not params.health or worker.health in params.health)
        and params.mode in (None, worker.mode)
        and (params.q is None or params.q.lower() in worker.name.lower())
    )
    return Workers(tuple(chosen), found.at)


class WorkerAsked(msgspec.Struct, frozen=True):
    """How many instants ahead and runs back."""

    worker: Name
    instants: Annotated[int, Meta(ge=0, le=100)] = 20
    runs: Annotated[int, Meta(ge=1, le=100)] = 20


async def worker(call: Call, params: WorkerAsked) -> PageOfWorker:
    """All about one worker: state, holds, settings, relations, next instants, last durations and runs."""
    return await call.ask(
        lambda views: page_of_worker(views, params.worker, instants=params.instants, runs=params.runs)
    )


class WorkerNamed(msgspec.Struct, frozen=True):
    """A worker."""

    worker: Name


class PayloadForm(Value, frozen=True, omit_defaults=False):
    """What a trigger takes.  `declared`: this process knows the function; else any object is taken, checked later."""

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
    return PayloadForm(params.worker, declared=True, schema=describe(), takes=getattr(body, "signature", "()"))


# ── runs ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class RunsAsked(msgspec.Struct, frozen=True):
    """`since`: live ones, and those that ended since; `error`: the type as it is stored; `cursor`: of the last page."""

    worker: Name | None = None
    status: tuple[Status, ...] = ()
    since: Instant | None = None
    key: Text | None = None
    error: Text | None = None
    cursor: RunId | None = None
    limit: Limit = 50


class Runs(Value, frozen=True, omit_defaults=False):
    """A page, newest first.  `next`: the cursor of the next one; None at the end."""

    runs: tuple[Run, ...]
    next: int | None


async def runs(call: Call, params: RunsAsked) -> Runs:
    """Runs, waiting, running and finished ones, newest first."""
    wanted = HistoryFilter(
        worker=params.worker,
        status=frozenset(params.status),
        since=params.since,
        key=params.key,
        error_type=params.error,
        before=params.cursor,
        limit=params.limit,
    )
    found = await call.ask(lambda views: views.history(wanted))
    return Runs(tuple(map(listed, found)), found[-1].id if len(found) == params.limit else None)


class RunAsked(msgspec.Struct, frozen=True):
    """A run."""

    run: RunId


async def run(call: Call, params: RunAsked) -> PageOfRun:
    """All about one run: attempts with their errors, payload (secrets masked), result, chain, holds, last log lines."""
    return await call.ask(lambda views: page_of_run(views, params.run))


class LogAsked(msgspec.Struct, frozen=True):
    """After the line `number` of the attempt under `fence`."""

    run: RunId
    fence: Annotated[int, Meta(ge=0, lt=1 << 53)] = 0
    number: Annotated[int, Meta(ge=0, lt=1 << 53)] = 0


class Log(Value, frozen=True, omit_defaults=False):
    """Lines in order, at most 1,000; ask again after the last one."""

    lines: tuple[LogLine, ...]


async def log(call: Call, params: LogAsked) -> Log:
    """What the attempts of a run logged; of each the last 1,000 lines are kept."""

    def question(views: Views) -> Log:
        lines = views.new_lines(params.run, after=(params.fence, params.number))
        if not lines:
            views.run(params.run)
        return Log(tuple(lines))

    return await call.ask(question)


# ── dead letters ─────────────────────────────────────────────────────────────────────────────────────────────────


class LettersAsked(msgspec.Struct, frozen=True):
    """`error`: as stored, its class name alone, or the cause."""

    worker: Name | None = None
    error: Text | None = None
    since: Instant | None = None
    state: LettersState = "open"
    cursor: RunId | None = None
    limit: Limit = 50


class Letters(Value, frozen=True, omit_defaults=False):
    """A page, newest first.  `next`: the cursor of the next one; None at the end."""

    letters: tuple[DeadLetter, ...]
    next: int | None


async def letters(call: Call, params: LettersAsked) -> Letters:
    """Dead letters, newest first."""
    wanted = LetterFilter(
        worker=params.worker,
        since=params.since,
        state=None if params.state == "all" else params.state,
        before=params.cursor,
        limit=params.limit if params.error is None else 1000,
    )

    def question(views: Views) -> Letters:
        page = views.letters(wanted)
        found = [letter for letter in page if fits(letter, params.error)][: params.limit]
        if len(found) == params.limit:
            return Letters(tuple(found), found[-1].run)
        return Letters(tuple(found), page[-1].run if len(page) == wanted.limit else None)

    return await call.ask(question)


class GroupsAsked(msgspec.Struct, frozen=True):
    """Which open dead letters."""

    worker: Name | None = None
    error: Text | None = None
    since: Instant | None = None


class Groups(Value, frozen=True, omit_defaults=False):
    """Most first; `total` is the sum of their counts."""

    total: int
    groups: tuple[DeadGroup, ...]


async def letter_groups(call: Call, params: GroupsAsked) -> Groups:
    """Open dead letters by worker, cause and error type."""
    wanted = Choice(worker=params.worker, error=params.error, since=params.since)
    groups = await call.ask(lambda views: grouped(open_letters(views, wanted)))
    return Groups(sum(group.count for group in groups), tuple(groups))


async def letter(call: Call, params: RunAsked) -> PageOfRun:
    """One dead letter: its run with every attempt, and what became of it."""
    page = await call.ask(lambda views: page_of_run(views, params.run))
    if page.letter is None:
        raise NotAllowed(f"run {page.run.id} of {page.run.worker!r} is no dead letter, it is {page.run.status}")
    return page


# ── what happened ────────────────────────────────────────────────────────────────────────────────────────────────


class ActivityAsked(msgspec.Struct, frozen=True):
    """`cursor`: the number of an event; those before it."""

    worker: Name | None = None
    cursor: RunId | None = None
    limit: Limit = 50


class StoredEvent(Value, frozen=True, omit_defaults=False):
    """An event and its number, which is its id in a stream."""

    number: int
    event: AnyEvent


class Activity(Value, frozen=True, omit_defaults=False):
    """Newest first.  `next`: the cursor of the next page; None at the end."""

    events: tuple[StoredEvent, ...]
    next: int | None


async def activity(call: Call, params: ActivityAsked) -> Activity:
    """What happened and who did what, newest first."""
    return await call.ask(lambda views: _activity(views, params))


def _activity(views: Views, params: ActivityAsked) -> Activity:
    before = min(params.cursor or (1 << 53), views.last_event() + 1)
    found: list[StoredEvent] = []
    for _ in range(MAX_EVENT_PAGES):
        first = max(0, before - 1 - EVENTS_AT_ONCE)
        page = views.events(after=first, limit=EVENTS_AT_ONCE)
        newest_first = [(number, event) for number, event in reversed(page) if number < before]
        for number, event in newest_first:
            if params.worker in (None, event.worker):
                found.append(StoredEvent(number, listed_event(event)))  # type: ignore[arg-type]  # every stored event is one of them
            if len(found) == params.limit:
                return Activity(tuple(found), number)
        before = first + 1
        if first == 0:
            return Activity(tuple(found), None)
    return Activity(tuple(found), before)


class EventsAsked(msgspec.Struct, frozen=True):
    """`topics`: status, event, run, log (with `run`); `worker` and `run` narrow events and runs."""

    topics: Text = "status,event"
    worker: Name | None = None
    run: RunId | None = None
    last_event_id: Annotated[int, Meta(ge=0, lt=1 << 53)] | None = None


async def events(call: Call, params: EventsAsked) -> EventStream:
    """Server-sent events: what changes, as it changes; goes on after `Last-Event-ID`."""
    topics = frozenset(each.strip() for each in params.topics.split(","))
    for unknown in sorted(topics.difference(frames.TOPICS)):
        raise Problem(400, "unknown-topic", f"there is no topic {unknown[:80]!r}; known: {', '.join(frames.TOPICS)}")
    if frames.LOG in topics and params.run is None:
        raise Problem(400, "wrong-parameter", "the topic log needs a run: run=…")
    said = call.request.headers.get("last-event-id", "")
    last = int(said) if said.isascii() and said.isdigit() and len(said) < 17 else params.last_event_id
    return EventStream(call.hub(), Wanted(topics, params.worker, params.run, last))


# ── oneself ──────────────────────────────────────────────────────────────────────────────────────────────────────


class SessionInfo(Value, frozen=True, omit_defaults=False):
    """Who you are here.  `role` is None for who must show a token first."""

    role: str | None
    name: str
    asks_for_token: bool
    version: str


async def session(call: Call) -> SessionInfo:
    """Who am I here, and what may I do?"""
    access = call.access
    return SessionInfo(
        role=None if access is None else access.role.name.lower(),
        name="" if access is None else access.name,
        asks_for_token=call.gate.asks_for_token,
        version=package_version(),
    )
