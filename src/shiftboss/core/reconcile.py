"""The stored state is made to agree with what a starting node declares (M7).

Rules of this file
- The newest declaration wins; disabled, streak and breaker are not declared and stay.
- A changed schedule replaces the occurrence that has not started; everything that waits otherwise stays.
- Workers that the node does not declare are left alone; their stored edges count in the checks (D8).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from shiftboss.core import graph, schedule
from shiftboss.core.events import RunEnded, WorkerDeclared
from shiftboss.core.lifecycle import move
from shiftboss.core.model import BreakerState, Cause, Origin, Run, Status, WorkerState
from shiftboss.core.occurrence import first_free, first_occurrence, next_iteration, next_occurrence
from shiftboss.core.shift import Shift, shifted
from shiftboss.core.snapshot import Change, Draft, Snapshot
from shiftboss.core.unreadable import SetAside, Unreadable
from shiftboss.core.value import later, replace
from shiftboss.core.worker import TAG_PREFIX, Definition, Mode


def declare(
    snapshot: Snapshot,
    now: datetime,
    *,
    ids: Iterator[int],
    definitions: Iterable[Definition],
    resources: Mapping[str, int],
) -> tuple[Change, tuple[str, ...]]:
    """Store the declarations; the answer names the workers that are new or changed.

    The lanes of all *definitions* that are stored already must have been read.  Raises ConfigurationError, CycleError.
    """
    declared = {definition.name: definition for definition in definitions}
    together = {name: state.definition for name, state in snapshot.workers.items()} | declared
    sizes = {**snapshot.resources, **resources}
    graph.check(_without_lost_names(together, declared), resources=sizes)
    draft = Draft(snapshot, now, ids)
    changed = tuple(name for name, definition in declared.items() if _declare(draft, definition))
    change = draft.change()
    new_sizes = tuple((name, size) for name, size in resources.items() if snapshot.resources.get(name) != size)
    return replace(change, resources=new_sizes), changed


def declare_new(
    snapshot: Snapshot,
    now: datetime,
    *,
    ids: Iterator[int],
    definitions: Iterable[Definition],
    resources: Mapping[str, int],
) -> tuple[Change, tuple[str, ...]]:
    """Like `declare`, for a client that comes before the first node: what is stored already stays as it is."""
    return declare(
        snapshot,
        now,
        ids=ids,
        definitions=[definition for definition in definitions if definition.name not in snapshot.workers],
        resources={name: size for name, size in resources.items() if name not in snapshot.resources},
    )


def _without_lost_names(together: dict[str, Definition], declared: dict[str, Definition]) -> list[Definition]:
    """What is declared, and the stored rest without the edges that lead nowhere.

    A stored worker that nobody declares any more may name others that were forgotten, or a resource that has become
    too small for it: it is offline, not an error of the one that starts.
    """
    tags = {TAG_PREFIX + tag for definition in together.values() for tag in definition.tags}
    known = together.keys() | tags

    def stripped(definition: Definition) -> Definition:
        return replace(
            definition,
            after=tuple(name for name in definition.after if name in known),
            blocks=tuple(name for name in definition.blocks if name in known),
            depends_on=tuple(edge for edge in definition.depends_on if edge.worker in known),
            uses={},
        )

    return [definition if name in declared else stripped(definition) for name, definition in together.items()]


def _declare(draft: Draft, definition: Definition) -> bool:
    name = definition.name
    stored = draft.snapshot.workers.get(name)
    if definition.breaker is not None:
        _keep_breaker(draft, definition)
    if stored is None:
        draft.put_worker(WorkerState(definition=definition, declared_at=draft.now))
        _first_run(draft, definition)
        draft.emit(WorkerDeclared(at=draft.now, worker=name))
        return True
    if stored.unreadable is not None:  # W8: the newest declaration takes its place; what people decided is kept
        draft.set_aside(_declared_anew(draft, stored.unreadable))
        stored = replace(stored, unreadable=None)
    elif stored.definition == definition:
        _follow_zone(draft, definition)
        mend(draft, definition)
        return False
    draft.put_worker(replace(stored, definition=definition, declared_at=draft.now))
    changed = tuple(
        field
        for field in definition.__struct_fields__
        if getattr(definition, field) != getattr(stored.definition, field)
    )
    old = stored.definition
    is_new_schedule = (old.mode, old.schedule) != (definition.mode, definition.schedule)
    if is_new_schedule:
        _replace_standing(draft, name)
        _first_run(draft, definition)
    else:
        _follow_zone(draft, definition)
        _move_due(draft, definition)
        mend(draft, definition)
    draft.emit(WorkerDeclared(at=draft.now, worker=name, changed=changed))
    return True


def _declared_anew(draft: Draft, row: Unreadable) -> SetAside:
    return SetAside.of(row, at=draft.now, by="auto", note="declared anew", leaves=False)


def _first_run(draft: Draft, definition: Definition) -> None:
    match definition.mode:
        case Mode.SCHEDULED:
            first_occurrence(draft, definition)
        case Mode.CONTINUOUS:
            next_iteration(draft, definition, pause_s=0.0, last_start=None)
        case Mode.TRIGGERED:
            pass


def mend(draft: Draft, definition: Definition) -> None:
    """A worker whose next run is missing (a forgotten one that came back, a higher concurrency) gets it."""
    match definition.mode:
        case Mode.SCHEDULED:
            next_occurrence(draft, definition)
        case Mode.CONTINUOUS:
            next_iteration(draft, definition, pause_s=0.0, last_start=None)
        case Mode.TRIGGERED:
            pass


def _replace_standing(draft: Draft, name: str) -> None:
    """M4: what the old schedule had put there and has not started gives way."""
    for run in draft.snapshot.lane(name).standing.values():
        if run.origin in (Origin.OCCURRENCE, Origin.ITERATION) and not run.has_started:
            skipped = draft.put(move(run, Status.SKIPPED, cause=Cause.REPLACED, finished_at=draft.now))
            draft.emit(RunEnded(at=draft.now, worker=name, run=run.id, status=skipped.status, cause=skipped.cause))


def _follow_zone(draft: Draft, definition: Definition) -> None:
    """O3: the rules of its zone may have changed since: what waits is to be an instant of today's."""
    rule = definition.schedule
    if not isinstance(rule, schedule.Cron):
        return
    record = draft.record(definition.name)
    for run in draft.standing_of(definition.name):
        if run.origin is not Origin.OCCURRENCE or run.has_started or run.occurs_at <= draft.now:
            continue
        if first_free(rule, run.occurs_at - schedule.SECOND, record) != run.occurs_at:
            covered = record.last_instant
            at = first_free(rule, draft.now if covered is None else max(draft.now, covered), record)
            offset_s = schedule.jitter_offset_s(definition.name, definition.jitter_s)
            moved = shifted(replace(run, occurs_at=at, by_calendar=True), Shift(0, draft.now), offset_s=offset_s)
            draft.put(moved)


def _move_due(draft: Draft, definition: Definition) -> None:
    """The waiting occurrence follows what else was declared anew: its priority and its jitter."""
    for run in draft.standing_of(definition.name):
        if run.has_started:
            continue
        moved: Run = replace(run, priority=definition.priority)
        if run.origin is Origin.OCCURRENCE:
            offset_s = schedule.jitter_offset_s(definition.name, definition.jitter_s)
            moved = replace(moved, due_at=later(run.occurs_at, offset_s))
        if moved != run:
            draft.put(moved)


def _keep_breaker(draft: Draft, definition: Definition) -> None:
    """The breaker's row exists from the declaration on; a changed policy keeps its state."""
    if definition.breaker is None:
        return
    stored = draft.breaker(definition.breaker)
    policy = definition.breaker_policy
    if stored is None:
        fresh = BreakerState(name=definition.breaker)
        draft.put_breaker(fresh if policy is None else replace(fresh, policy=policy))
    elif policy is not None and stored.unreadable is not None and stored.unreadable.fields == ("policy",):
        draft.set_aside(_declared_anew(draft, stored.unreadable))  # only what is declared could not be read
        draft.put_breaker(replace(stored, policy=policy, unreadable=None))
    elif policy is not None and stored.policy != policy:
        draft.put_breaker(replace(stored, policy=policy))
