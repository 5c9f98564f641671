"""What is drawn: who waits for whom, what ran when, and how many a minute.

Rules of this file
- Both are bounded: a graph by the workers that are declared, a timeline by the runs that are looked at; what is left
  out is said.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from shiftboss.app.pages import listed
from shiftboss.app.views import Views, WorkerStatus
from shiftboss.core.model import Run, Status
from shiftboss.core.snapshot import Snapshot
from shiftboss.core.value import Value
from shiftboss.ports import HistoryFilter

MAX_SCANNED = 10_000  # runs looked at, newest first: a tenth of a second; what is older is said to be missing
MAX_PLANNED = 100  # instants of one worker that lie ahead
TIMELINE_PAGE = 1000


# ── the graph ────────────────────────────────────────────────────────────────────────────────────────────────────


class GraphNode(Value, frozen=True, omit_defaults=False):
    """A worker, a breaker or a resource.  `name` is unique among those of its kind."""

    kind: str  # worker | breaker | resource
    name: str
    health: str  # of a worker; a breaker's mode; empty for a resource
    detail: str  # a worker's schedule in words, a resource's size
    mode: str = ""
    enabled: bool = True
    running: int = 0
    due: int = 0
    tags: tuple[str, ...] = ()


class GraphEdge(Value, frozen=True, omit_defaults=False):
    """From what goes first to what waits; `blocks` has no direction and stands once."""

    kind: str  # depends_on | after | blocks | breaker | uses
    source: str
    target: str
    detail: str = ""  # "fresh", "skips when it failed", permits


class Graph(Value, frozen=True, omit_defaults=False):
    """Who waits for whom, who excludes whom, and what they share."""

    nodes: tuple[GraphNode, ...]
    edges: tuple[GraphEdge, ...]
    at: datetime


def graph(views: Views) -> Graph:
    found = views.status()
    snapshot = views.snapshot()
    workers = {worker.name: worker for worker in found.workers}
    return Graph(
        nodes=tuple(_graph_nodes(snapshot, workers)),
        edges=tuple(_graph_edges(snapshot)),
        at=found.at,
    )


def _graph_nodes(snapshot: Snapshot, workers: dict[str, WorkerStatus]) -> Iterator[GraphNode]:
    for name in sorted(workers.keys() & snapshot.workers.keys()):
        it, definition = workers[name], snapshot.workers[name].definition
        yield GraphNode(
            "worker",
            name,
            it.health,
            it.schedule or ("after others" if definition.after else it.mode),
            mode=it.mode,
            enabled=it.enabled,
            running=it.running,
            due=it.due,
            tags=definition.tags,
        )
    for name in sorted(snapshot.relations.breakers):
        state = snapshot.breakers.get(name)
        yield GraphNode("breaker", name, state.mode.value if state is not None else "closed", "")
    for name, size in sorted(snapshot.resources.items()):
        yield GraphNode("resource", name, "", str(size))


def _graph_edges(snapshot: Snapshot) -> Iterator[GraphEdge]:
    relations = snapshot.relations
    for name in sorted(snapshot.workers):
        definition = snapshot.workers[name].definition
        for edge in definition.depends_on:
            said = ["fresh"] if edge.fresh else []
            said += [f"not older than {edge.max_age_s:g} s"] if edge.max_age_s is not None else []
            said += [f"{edge.on_failure} when it failed"] if edge.on_failure != "wait" else []
            yield GraphEdge("depends_on", edge.worker, name, ", ".join(said))
        for upstream in definition.after:
            yield GraphEdge("after", upstream, name)
        for other in relations.excluding(name):
            if name < other:
                yield GraphEdge("blocks", name, other)
        for resource, permits in sorted(definition.uses.items()):
            yield GraphEdge("uses", name, resource, str(permits))
        if definition.breaker is not None:
            yield GraphEdge("breaker", name, definition.breaker)


# ── a stretch of time ────────────────────────────────────────────────────────────────────────────────────────────


class TimelineRow(Value, frozen=True, omit_defaults=False):
    """A worker's runs that touch the window, the oldest first, and the instants that lie ahead in it."""

    worker: str
    runs: tuple[Run, ...]
    planned: tuple[datetime, ...]


class Timeline(Value, frozen=True, omit_defaults=False):
    """Runs by worker; from due to start a run waits, between attempts it is in back-off."""

    since: datetime
    until: datetime
    now: datetime
    rows: tuple[TimelineRow, ...]
    complete: bool  # False: more runs than are looked at; the older ones are missing


def timeline(views: Views, *, since: datetime, until: datetime, worker: str | None, limit: int) -> Timeline:
    """At most *limit* runs.  Raises UnknownWorker for one that is asked for by name."""
    snapshot, now = views.snapshot(), views.now()
    if worker is not None:
        snapshot.worker(worker)
    found: dict[str, list[Run]] = {}
    complete = True
    for count, run in enumerate(_touching(views, since=since, until=until, worker=worker)):
        if run is None or count == limit:
            complete = False
            break
        found.setdefault(run.worker, []).append(listed(run))
    names = [worker] if worker is not None else sorted(found.keys() | snapshot.workers.keys())
    rows = (
        TimelineRow(name, tuple(reversed(found.get(name, ()))), _planned(views, snapshot, name, now, until))
        for name in names
    )
    return Timeline(since, until, now, tuple(row for row in rows if row.runs or row.planned), complete)


def _touching(views: Views, *, since: datetime, until: datetime, worker: str | None) -> Iterator[Run | None]:
    """Runs that were there between the two, newest first; None when the scan was cut short."""
    wanted = HistoryFilter(worker=worker, since=since, limit=TIMELINE_PAGE)
    for _ in range(MAX_SCANNED // TIMELINE_PAGE):
        page = views.history(wanted)
        yield from (run for run in page if min(run.first_started_at or run.due_at, run.due_at) <= until)
        if len(page) < TIMELINE_PAGE:
            return
        wanted = wanted._replace(before=page[-1].id)
    yield None


def _planned(views: Views, snapshot: Snapshot, name: str, now: datetime, until: datetime) -> tuple[datetime, ...]:
    state = snapshot.workers.get(name)
    if until <= now or state is None or state.disabled is not None or state.definition.schedule is None:
        return ()
    return tuple(at for at in views.next_instants(name, MAX_PLANNED) if now < at <= until)


# ── how many a minute ────────────────────────────────────────────────────────────────────────────────────────────


class Minute(Value, frozen=True, omit_defaults=False):
    """How many runs ended well and how many died in the minute that begins at `at`."""

    at: datetime
    succeeded: int
    failed: int


class Minutes(Value, frozen=True, omit_defaults=False):
    """Minutes in which runs ended, the oldest first."""

    since: datetime
    at: datetime
    minutes: tuple[Minute, ...]
    complete: bool  # False: more runs than are looked at; `since` is where they begin


def minutes(views: Views, *, since: datetime) -> Minutes:
    """How many runs ended in each minute since then."""
    now = views.now()
    counts: dict[datetime, list[int]] = {}
    wanted = HistoryFilter(status=frozenset({Status.SUCCEEDED, Status.DEAD}), since=since, limit=TIMELINE_PAGE)
    complete = False
    for _ in range(MAX_SCANNED // TIMELINE_PAGE):
        page = views.history(wanted)
        for run in page:
            if run.finished_at is not None and run.finished_at >= since:
                minute = run.finished_at.replace(second=0, microsecond=0)
                counts.setdefault(minute, [0, 0])[run.status is Status.DEAD] += 1
        if len(page) < TIMELINE_PAGE:
            complete = True
            break
        wanted = wanted._replace(before=page[-1].id)
    begin = since if complete or not counts else min(counts)
    counted = tuple(Minute(at, succeeded, failed) for at, (succeeded, failed) in sorted(counts.items()))
    return Minutes(begin, now, counted, complete)
