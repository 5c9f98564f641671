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
from shiftboss.core.occurrence import first_occurrence, next_iteration, next_occurrence
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
        _cool_from_now(draft, definition.breaker)
    if stored is None:
        draft.put_worker(WorkerState(definition=definition, declared_at=draft.now))
        _first_run(draft, definition)
        draft.emit(WorkerDeclared(at=draft.now, worker=name))
        return True
    _count_from_now(draft, name)  # the clock may have been set back while nobody looked
    stored = draft.worker(name)
    if stored.unreadable is not None:  # W8: the newest declaration takes its place; what people decided is kept
        draft.set_aside(_declared_anew(draft, stored.unreadable))
        stored = replace(stored, unreadable=None)
    elif stored.definition == definition:
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


def _move_due(draft: Draft, definition: Definition) -> None:
    """The waiting occurrence follows what else was declared anew: its priority and its jitter."""
    for run in draft.snapshot.lane(definition.name).standing.values():
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


def clock_went_back(snapshot: Snapshot, now: datetime, *, ids: Iterator[int]) -> tuple[Change, int]:
    """O4: an occurrence that has not started moves to the first instant after both now and the last one covered."""
    draft = Draft(snapshot, now, ids)
    moved = 0
    for name in snapshot.workers:
        _count_from_now(draft, name)
    for name in snapshot.breakers:
        _cool_from_now(draft, name)
    for name, lane in snapshot.lanes.items():
        state = snapshot.workers.get(name)
        rule = state.definition.schedule if state else None
        if state is not None and state.definition.mode is Mode.CONTINUOUS:
            _pause_from_now(draft, state.definition)
        if state is None or rule is None:
            continue
        record = draft.record(name)
        for run in lane.standing.values():
            if run.origin is not Origin.OCCURRENCE or run.has_started:
                continue
            after = now if record.last_instant is None else max(now, record.last_instant)
            at = schedule.next_after(rule, after, anchor=min(record.anchor_at or after, after))
            if at < run.occurs_at:
                if record.anchor_at is not None and at < record.anchor_at:
                    draft.put_record(name, replace(record, anchor_at=at))
                offset_s = schedule.jitter_offset_s(name, state.definition.jitter_s)
                draft.put(replace(run, occurs_at=at, due_at=later(at, offset_s)))
                moved += 1
    return draft.change(), moved


# What was measured by the clock that went back would else wait for it to come again: an hour, after an hour's step.


def _count_from_now(draft: Draft, name: str) -> None:
    """B8, K5: a bucket refills from now on, and a probation is not longer than it was."""
    record, disabled = draft.record(name), draft.worker(name).disabled
    if record.tokens_at is not None and record.tokens_at > draft.now:
        draft.put_record(name, replace(record, tokens_at=draft.now))
    if disabled is None or disabled.probation_s is None or disabled.probation_until is None:
        return
    until = later(draft.now, disabled.probation_s)
    if disabled.probation_until > until:
        draft.put_worker(replace(draft.worker(name), disabled=replace(disabled, probation_until=until)))


def _cool_from_now(draft: Draft, name: str) -> None:
    """K2: a cooldown is not longer than it was, and what begins from now on counts."""
    breaker = draft.breaker(name)
    if breaker is None or breaker.opened_at is None or breaker.opened_at <= draft.now:
        return
    until = None if breaker.cooldown_s is None else later(draft.now, breaker.cooldown_s)
    draft.put_breaker(replace(breaker, opened_at=draft.now, until=None if breaker.until is None else until))


def _pause_from_now(draft: Draft, definition: Definition) -> None:
    """M5: an iteration is due not later than after the longest pause that the worker has of its own."""
    latest = later(draft.now, max(definition.pause_s, definition.retry.cap_s))
    for run in draft.standing_of(definition.name):
        if run.origin is Origin.ITERATION and run.due_at > latest:
            draft.put(replace(run, due_at=latest))
