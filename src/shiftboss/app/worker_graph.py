"""Which worker waits for which, which ones exclude each other, and what they share: all of them, or a bounded choice.

Rules of this file
- Up to `limit` workers are all shown.  Of more, the answer shows whole components, the worst first, as many as fit,
  then a part of one that does not, and counts the others; or one worker with those that are nearest to it.
- Nothing in one component can hold a run of another (core/graph.py), so a component is what one looks at together.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain, islice
from typing import NamedTuple

from shiftboss.app.status_rows import Assessment
from shiftboss.app.views import Views
from shiftboss.core import schedule_words
from shiftboss.core.graph import Relations
from shiftboss.core.health import WORST_FIRST, Place
from shiftboss.core.snapshot import Snapshot
from shiftboss.core.value import Value
from shiftboss.core.worker import Definition

MAX_EDGES = 5_000  # a drawing with more shows nothing; 100 workers that exclude each other have 4,950
MAX_COMPONENTS = 100  # that are described; the others are counted


class GraphNode(Value, frozen=True, omit_defaults=False):
    """A worker, a breaker or a resource.  `name` is unique among those of its kind."""

    kind: str  # worker | breaker | resource
    name: str
    health: str  # of a worker; the mode of a breaker; empty for a resource
    detail: str  # a worker's schedule in words, a resource's size
    mode: str = ""
    enabled: bool = True
    running: int = 0
    due: int = 0
    tags: tuple[str, ...] = ()


class GraphEdge(Value, frozen=True, omit_defaults=False):
    """From what comes first to what waits; `blocks` has no direction and is listed once."""

    kind: str  # depends_on | after | blocks | breaker | uses
    source: str
    target: str
    detail: str = ""  # "fresh", "skips when it failed", number of permits


class GraphComponent(Value, frozen=True, omit_defaults=False):
    """Workers that can hold each other's runs."""

    first: str  # one of them, by name: ask for the graph around it
    workers: int  # how many they are
    health: str  # of the worst
    shown: bool  # whether the graph shows them


class Graph(Value, frozen=True, omit_defaults=False):
    """Which worker waits for which, which ones exclude each other, and what they share.

    `complete`: nothing is left out.  `workers`, `alone` and `groups` count all workers, those without relations, and
    the components of the others.  `components`: the first of these, the worst first, if workers are left out.
    """

    nodes: tuple[GraphNode, ...]
    edges: tuple[GraphEdge, ...]
    at: datetime
    complete: bool
    workers: int
    alone: int
    groups: int
    components: tuple[GraphComponent, ...] = ()


class Selection(NamedTuple):
    """The workers that are shown, and the components of all workers, the worst first."""

    names: set[str]
    components: Sequence[tuple[str, ...]] = ()


def graph(views: Views, *, around: str | None = None, limit: int) -> Graph:
    """At most *limit* workers; *around*: this one, and those nearest to it.  Raises UnknownWorker."""
    known = views.assessed()
    snapshot = known.snapshot
    if around is not None:
        snapshot.worker(around)
    definitions = {name: state.definition for name, state in snapshot.workers.items()}
    chosen = selection(definitions, snapshot.relations, known.places, around=around, limit=limit)
    names = chosen.names
    edges = list(_edges(snapshot, names))
    is_whole = len(names) == len(definitions)
    return Graph(
        nodes=tuple(_nodes(snapshot, names, known.assessments, is_whole=is_whole)),
        edges=tuple(edges[:MAX_EDGES]),
        at=known.at,
        complete=is_whole and len(edges) <= MAX_EDGES,
        workers=len(definitions),
        alone=len(definitions) - len(snapshot.relations.members),
        groups=len({id(members) for members in snapshot.relations.members.values()}),
        components=() if is_whole else tuple(_components(chosen, known.assessments)),
    )


# ── what is shown ────────────────────────────────────────────────────────────────────────────────────────────────


def selection(
    definitions: Mapping[str, Definition],
    relations: Relations,
    places: Sequence[Place],
    *,
    around: str | None,
    limit: int,
) -> Selection:
    """At most *limit* of the workers, whose *places* are in order; *around* must be one of them."""
    if around is not None:
        return Selection(set(_nearest(definitions, relations, around, limit)), (relations.component(around),))
    in_order = [name for _, _, name in places]
    if len(in_order) <= limit:
        return Selection(set(in_order))
    by_id: dict[int, tuple[str, tuple[str, ...]]] = {}  # a component's worst worker, and its members
    for name in in_order:
        members = relations.members.get(name)
        if members is not None and id(members) not in by_id:
            by_id[id(members)] = name, members
    names: set[str] = set()
    for _, component in by_id.values():
        if len(names) + len(component) <= limit:
            names.update(component)
    too_large = [worst for worst, component in by_id.values() if component[0] not in names]
    parts = (name for worst in too_large for name in _nearest(definitions, relations, worst, limit))
    alone = (name for name in in_order if name not in relations.members)
    names.update(islice(chain(parts, alone), limit - len(names)))
    return Selection(names, [component for _, component in by_id.values()])


def _nearest(definitions: Mapping[str, Definition], relations: Relations, around: str, limit: int) -> Iterator[str]:
    """*around*, then those related to it, the nearest first."""
    sharing = _sharing(definitions, relations.component(around))
    reached, todo, left = {around}, deque((around,)), limit
    while todo and left > 0:
        name = todo.popleft()
        yield name
        left -= 1
        definition = definitions[name]
        related = [
            *(edge.worker for edge in definition.depends_on),
            *definition.after,
            *relations.dependents.get(name, ()),
            *relations.after.get(name, ()),
            *(relations.excluding(name) if name == around else ()),
            *(other for shared in _shared(definition) for other in sharing.pop(shared, ())),
        ]
        for other in related:
            if other not in reached and other in definitions:
                reached.add(other)
                todo.append(other)


def _sharing(definitions: Mapping[str, Definition], names: Collection[str]) -> dict[tuple[str, str], list[str]]:
    """What these workers share, and who shares it."""
    sharing: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name in names:
        for shared in _shared(definitions[name]):
            sharing[shared].append(name)
    return sharing


def _shared(definition: Definition) -> Iterator[tuple[str, str]]:
    yield from (("resource", name) for name in definition.uses)
    if definition.breaker is not None:
        yield "breaker", definition.breaker


def _components(chosen: Selection, assessments: Mapping[str, Assessment]) -> Iterator[GraphComponent]:
    for members in chosen.components[:MAX_COMPONENTS]:
        worst = min(assessments[name].place for name in members)
        is_shown = all(name in chosen.names for name in members)
        yield GraphComponent(members[0], len(members), WORST_FIRST[worst[0]].value, is_shown)


def _nodes(
    snapshot: Snapshot, names: Collection[str], assessments: Mapping[str, Assessment], *, is_whole: bool
) -> Iterator[GraphNode]:
    breakers: set[str] = set()
    resources: set[str] = set(snapshot.resources) if is_whole else set()
    for name in sorted(names):
        assessed, state = assessments[name], snapshot.workers[name]
        definition = state.definition
        breakers.update((definition.breaker,) if definition.breaker is not None else ())
        resources.update(definition.uses)
        rule = definition.schedule
        yield GraphNode(
            "worker",
            name,
            assessed.health.status.value,
            schedule_words.in_words(rule)
            if rule is not None
            else ("after others" if definition.after else assessed.mode),
            mode=assessed.mode,
            enabled=state.disabled is None,
            running=assessed.running,
            due=assessed.due,
            tags=definition.tags,
        )
    for name in sorted(breakers):
        breaker = snapshot.breakers.get(name)
        yield GraphNode("breaker", name, breaker.mode.value if breaker is not None else "closed", "")
    for name in sorted(resources & snapshot.resources.keys()):
        yield GraphNode("resource", name, "", str(snapshot.resources[name]))


def _edges(snapshot: Snapshot, names: Collection[str]) -> Iterator[GraphEdge]:
    """The edges between workers that are shown, and to what they share; one more than is shown at most."""
    left = MAX_EDGES + 1
    for edge in _all_edges(snapshot, names):
        yield edge
        left -= 1
        if left == 0:
            return


def _all_edges(snapshot: Snapshot, names: Collection[str]) -> Iterator[GraphEdge]:
    relations, in_order = snapshot.relations, sorted(names)
    blocking = [name for name in in_order if relations.may_block(name)]
    for name in in_order:
        definition = snapshot.workers[name].definition
        for edge in definition.depends_on:
            if edge.worker in names:
                conditions = ["fresh"] if edge.fresh else []
                conditions += [f"at most {edge.max_age_s:g} s old"] if edge.max_age_s is not None else []
                conditions += [f"on failure: {edge.on_failure}"] if edge.on_failure != "wait" else []
                yield GraphEdge("depends_on", edge.worker, name, ", ".join(conditions))
        for upstream in definition.after:
            if upstream in names:
                yield GraphEdge("after", upstream, name)
        if relations.may_block(name):
            for other in blocking:
                if name < other and relations.conflict(name, other):
                    yield GraphEdge("blocks", name, other)
        for resource, permits in sorted(definition.uses.items()):
            yield GraphEdge("uses", name, resource, str(permits))
        if definition.breaker is not None:
            yield GraphEdge("breaker", name, definition.breaker)
