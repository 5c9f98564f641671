"""The stored state is made to agree with what a node declares, as far as that is to be in force (M7).

Rules of this file
- The newest declaration of live nodes is in force (core/prevail.py); restarting makes no declaration newer.
- Being disabled, the streak and the breaker are not declared, and stay.
- A changed schedule replaces the scheduled run that has not started; all other waiting runs stay.
- Workers that the node does not declare are left alone; their stored edges count in the checks (D8).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from shiftboss.core import graph, schedule
from shiftboss.core.declarations import Declaration, Declarations, first_of, key_of, key_of_size
from shiftboss.core.events import RunEnded, WorkerDeclared
from shiftboss.core.lifecycle import move
from shiftboss.core.model import BreakerState, Cause, Node, Origin, Run, Status, WorkerState
from shiftboss.core.occurrence import first_free, first_occurrence, has_ended, next_iteration, next_occurrence
from shiftboss.core.prevail import NO_DECLARATIONS, RESOURCE, WORKER, Declared, keys_in_play, prevails
from shiftboss.core.shift import Shift, shifted
from shiftboss.core.snapshot import Change, Draft, Snapshot
from shiftboss.core.unreadable import SetAside, Unreadable
from shiftboss.core.value import Value, later, replace
from shiftboss.core.worker import TAG_PREFIX, Definition, Mode


class Declarer(Value, frozen=True):
    """The node that declares, and the nodes that live beside it."""

    node: Node
    others: tuple[Node, ...] = ()
    remembered: Mapping[tuple[str, str], Declaration] = {}  # by table and name: each as it was last in the store

    @property
    def nodes(self) -> tuple[Node, ...]:
        return self.node, *self.others


def declare(
    snapshot: Snapshot,
    now: datetime,
    *,
    ids: Iterator[int],
    definitions: Iterable[Definition],
    resources: Mapping[str, int],
    by: Declarer | None = None,
) -> tuple[Change, tuple[str, ...]]:
    """Store the declarations that are to be in force; of the others, store only that they were met.

    Without *by* all of them are to be in force.  The answer names the workers that are new or changed.  The lanes of
    all *definitions* that are stored already must have been read.  Raises ConfigurationError, CycleError.
    """
    given = {definition.name: definition for definition in definitions}
    met = {name: _met(snapshot, now, definition, by) for name, definition in given.items()}
    holding = {name: given[name] for name, (_, holds) in met.items() if holds}
    together = {name: state.definition for name, state in snapshot.workers.items()} | holding
    graph.check(_without_lost_names(together, holding), resources={**snapshot.resources, **resources})
    draft = Draft(snapshot, now, ids)
    for name, (declarations, holds) in met.items():
        if not holds:
            _remember(draft, name, declarations)
    changed = tuple(name for name, definition in holding.items() if _declare(draft, definition, met[name][0]))
    new_sizes, size_declarations = _sizes(snapshot, now, resources, by)
    return replace(draft.change(), resources=new_sizes, size_declarations=size_declarations), changed


def declare_new(
    snapshot: Snapshot,
    now: datetime,
    *,
    ids: Iterator[int],
    definitions: Iterable[Definition],
    resources: Mapping[str, int],
) -> tuple[Change, tuple[str, ...]]:
    """Like `declare`, for a client that comes before the first node: what is stored already does not change."""
    return declare(
        snapshot,
        now,
        ids=ids,
        definitions=[definition for definition in definitions if definition.name not in snapshot.workers],
        resources={name: size for name, size in resources.items() if name not in snapshot.resources},
    )


def _without_lost_names(together: dict[str, Definition], declared: dict[str, Definition]) -> list[Definition]:
    """What is declared, and the other stored workers without the edges that lead nowhere.

    A stored worker that nobody declares any more may name workers that were forgotten, or need more of a resource than
    there is now.  It is offline, which is not an error of the process that starts.
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


# ── which declarations are in force ──────────────────────────────────────────────────────────────────────────────


def _met(snapshot: Snapshot, now: datetime, definition: Definition, by: Declarer | None) -> tuple[Declarations, bool]:
    """The worker's declarations, with *definition* current if it is to be in force; and whether it is to be."""
    name = definition.name
    state = snapshot.workers.get(name)
    if state is None or state.unreadable is not None:
        before = NO_DECLARATIONS
    elif state.declarations.known:
        before = state.declarations
    else:
        before = first_of(key_of(state.definition), state.declared_at)
    return _with(before, now, kind=WORKER, name=name, key=key_of(definition), by=by)


def _sizes(
    snapshot: Snapshot, now: datetime, resources: Mapping[str, int], by: Declarer | None
) -> tuple[tuple[tuple[str, int], ...], tuple[tuple[str, Declarations], ...]]:
    """The resource sizes that change, and the declarations that change."""
    sizes: list[tuple[str, int]] = []
    changed: list[tuple[str, Declarations]] = []
    for name, size in resources.items():
        before = snapshot.size_declarations.get(name, NO_DECLARATIONS)
        declarations, holds = _with(before, now, kind=RESOURCE, name=name, key=key_of_size(size), by=by)
        if holds and snapshot.resources.get(name) != size:
            sizes.append((name, size))
        if declarations != before:
            changed.append((name, declarations))
    return tuple(sizes), tuple(changed)


def _with(
    before: Declarations, now: datetime, *, kind: Declared, name: str, key: str, by: Declarer | None
) -> tuple[Declarations, bool]:
    """*before* with what *by* declares, or with *key* if there is no *by*."""
    if by is None:
        return replace(before.met(key, now), current=key), True
    key = kind.of(by.node).get(name, key)
    keep = {each for each in (kind.of(node).get(name) for node in by.nodes) if each is not None}
    declarations = before.met(key, now, remembered=by.remembered.get((kind.table, name)), keep=keep)
    if not prevails(declarations, key, keys_in_play(by.nodes, kind, name)):
        return declarations, False
    return replace(declarations, current=key), True


def _remember(draft: Draft, name: str, declarations: Declarations) -> None:
    """Store of a declaration that is not in force only that it was met."""
    stored = draft.worker(name)
    if stored.declarations != declarations:
        draft.put_worker(replace(stored, declarations=declarations))


def _declare(draft: Draft, definition: Definition, declarations: Declarations) -> bool:
    name = definition.name
    stored = draft.snapshot.workers.get(name)
    if definition.breaker is not None:
        _keep_breaker(draft, definition)
    if stored is None:
        draft.put_worker(WorkerState(definition=definition, declared_at=draft.now, declarations=declarations))
        _first_run(draft, definition)
        draft.emit(WorkerDeclared(at=draft.now, worker=name))
        return True
    if stored.unreadable is not None:  # W8: the newest declaration replaces it; what people decided is kept
        draft.set_aside(_declared_anew(draft, stored.unreadable))
        stored = replace(stored, unreadable=None)
    elif stored.definition == definition:
        _remember(draft, name, declarations)
        _follow_zone(draft, definition)
        mend(draft, definition)
        return False
    draft.put_worker(replace(stored, definition=definition, declared_at=draft.now, declarations=declarations))
    changed = tuple(
        field
        for field in definition.__struct_fields__
        if getattr(definition, field) != getattr(stored.definition, field)
    )
    old = stored.definition
    is_new_schedule = (old.mode, old.schedule) != (definition.mode, definition.schedule)
    if is_new_schedule:
        _replace_standing(draft, name)
        draft.put_record(name, replace(draft.record(name), fired=0, ended=False))
        _first_run(draft, definition)
    else:
        _follow_end(draft, old, definition)
        _follow_zone(draft, definition)
        _move_due(draft, definition)
        mend(draft, definition)
    draft.emit(WorkerDeclared(at=draft.now, worker=name, changed=changed))
    return True


def _declared_anew(draft: Draft, row: Unreadable) -> SetAside:
    return SetAside.of(row, at=draft.now, by="auto", note="registered again", leaves=False)


def _first_run(draft: Draft, definition: Definition) -> None:
    match definition.mode:
        case Mode.SCHEDULED:
            first_occurrence(draft, definition)
        case Mode.CONTINUOUS:
            next_iteration(draft, definition, pause_s=0.0, last_start=None)
        case Mode.TRIGGERED:
            pass


def mend(draft: Draft, definition: Definition) -> None:
    """Store the next run of a worker that lacks one: a forgotten worker that is back, or one with more concurrency."""
    match definition.mode:
        case Mode.SCHEDULED:
            next_occurrence(draft, definition)
        case Mode.CONTINUOUS:
            next_iteration(draft, definition, pause_s=0.0, last_start=None)
        case Mode.TRIGGERED:
            pass


def _replace_standing(draft: Draft, name: str) -> None:
    """M4: remove the scheduled runs of the old schedule that have not started."""
    for run in draft.snapshot.lane(name).standing.values():
        if run.origin in (Origin.OCCURRENCE, Origin.ITERATION) and not run.has_started:
            _remove(draft, run)


def _follow_end(draft: Draft, old: Definition, definition: Definition) -> None:
    """M4: the schedule may now end before the scheduled run that waits; or it had ended, and goes on from now."""
    if (old.until, old.times) == (definition.until, definition.times):
        return
    record = draft.record(definition.name)
    for run in draft.standing_of(definition.name):
        is_unstarted = run.origin is Origin.OCCURRENCE and not run.has_started
        if is_unstarted and has_ended(definition, record, run.occurs_at):
            _remove(draft, run)
    if record.ended:
        covered = record.last_instant
        goes_on_from = None if covered is None else max(covered, draft.now)
        draft.put_record(definition.name, replace(record, ended=False, last_instant=goes_on_from))


def _remove(draft: Draft, run: Run) -> None:
    """A changed declaration has no place for the waiting run."""
    skipped = draft.put(move(run, Status.SKIPPED, cause=Cause.REPLACED, finished_at=draft.now))
    draft.emit(RunEnded(at=draft.now, worker=run.worker, run=run.id, status=skipped.status, cause=skipped.cause))


def _follow_zone(draft: Draft, definition: Definition) -> None:
    """O3: the rules of its zone may have changed since: the waiting run moves to a scheduled time by today's rules."""
    rule = definition.schedule
    if rule is None or not schedule.follows_calendar(rule):
        return
    record = draft.record(definition.name)
    for run in draft.standing_of(definition.name):
        if run.origin is not Origin.OCCURRENCE or run.has_started or run.occurs_at <= draft.now:
            continue
        if first_free(rule, run.occurs_at - schedule.MOMENT, record) != run.occurs_at:
            covered = record.last_instant
            at = first_free(rule, draft.now if covered is None else max(draft.now, covered), record)
            if at is None or has_ended(definition, record, at):
                _remove(draft, run)
                continue
            offset_s = schedule.jitter_offset_s(definition.name, definition.jitter_s)
            moved = shifted(replace(run, occurs_at=at, by_calendar=True), Shift(0, draft.now), offset_s=offset_s)
            draft.put(moved)


def _move_due(draft: Draft, definition: Definition) -> None:
    """The waiting scheduled run follows other changes of the declaration: priority and jitter."""
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
    """A breaker has a row from its declaration on; a changed policy keeps its state."""
    if definition.breaker is None:
        return
    stored = draft.breaker(definition.breaker)
    policy = definition.breaker_policy
    if stored is None:
        fresh = BreakerState(name=definition.breaker)
        draft.put_breaker(fresh if policy is None else replace(fresh, policy=policy))
    elif policy is not None and stored.unreadable is not None and stored.unreadable.fields == ("policy",):
        draft.set_aside(_declared_anew(draft, stored.unreadable))  # nothing but the declaration was unreadable
        draft.put_breaker(replace(stored, policy=policy, unreadable=None))
    elif policy is not None and stored.policy != policy:
        draft.put_breaker(replace(stored, policy=policy))
