"""The wall clock was set: elapsed time keeps its length, and what follows the calendar is scheduled again (O4).

Rules of this file
- Durations keep their length: every time that measures elapsed time moves by the step, so as much time is left as
  before.
- What follows the calendar (`at=`, cron, every schedule but a plain `every=`) stays.  After a step back it goes on
  at the first scheduled time that no run has as its own, and remembers those ahead that a run already has (O1).
- The history records what was seen when it happened: it is never changed.
- A step that nobody measured (during a reboot, or while no process lived) shows only if something that has happened
  lies ahead of now, which is otherwise impossible.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from shiftboss.core import schedule
from shiftboss.core.events import ClockStepped, RunEnded
from shiftboss.core.fleet import BOOTED
from shiftboss.core.lifecycle import move
from shiftboss.core.model import Cause, ClockMark, Node, Origin, Record, Run, Status, WorkerState
from shiftboss.core.occurrence import first_free, has_ended
from shiftboss.core.schedule import Every, Schedule
from shiftboss.core.shift import Shift, shifted
from shiftboss.core.snapshot import Change, Draft, Snapshot
from shiftboss.core.value import EPOCH, US, later, replace
from shiftboss.core.worker import Definition, Mode

STEP_US = 2_000_000  # a larger difference was set, not slewed: adjtime slews at most 0.5 ms a second
MAX_STRETCHES = 100  # ranges of scheduled times ahead that ran; with more, what was merely covered does not fire again

Stretch = tuple[datetime, datetime]
Fired = Mapping[str, Collection[datetime]]


def went_back_unseen_us(snapshot: Snapshot, now: datetime) -> int | None:
    """How far the clock must have been set back while no process watched; None if nothing shows that it was.

    It was set back at least as far as the latest thing that has happened now lies ahead.
    """
    ahead = max((at for record in snapshot.records.values() for at in _happened(record)), default=now)
    step_us = min(0, (now - ahead) // US)
    if step_us <= -STEP_US:
        return step_us
    covered = ((snapshot.workers.get(name), record.last_instant) for name, record in snapshot.records.items())
    is_ahead = any(state is not None and at is not None and _is_ahead(state, at, now) for state, at in covered)
    return 0 if is_ahead else None


def _is_ahead(state: WorkerState, covered: datetime, now: datetime) -> bool:
    rule = state.definition.schedule
    return covered > (now + 2 * rule.step if isinstance(rule, Every) else now)


def clock_was_set(
    snapshot: Snapshot,
    now: datetime,
    *,
    ids: Iterator[int],
    step_us: int,
    mark: ClockMark,
    fired: Fired,
    node: str = "",
    leases_too: bool = False,
) -> tuple[Change, None]:
    """Adapt the whole store after the wall clock was set by *step_us*; waiting runs follow by `Change.shift`.

    *fired* holds, for each worker in `scheduled`, the scheduled times that its ended runs have as their own, as far as
    these could come again.  The standing runs of these workers must have been read.  *leases_too*: leases are stored in
    wall time.
    """
    shift = Shift(step_us, now)
    draft = Draft(snapshot, now, ids)
    for name, state in snapshot.workers.items():
        _set_worker(draft, state, shift)
        _set_record(draft, name, shift, fired)
    for name, breaker in snapshot.breakers.items():
        moved = replace(breaker, opened_at=shift.moved(breaker.opened_at), until=shift.moved(breaker.until))
        if moved != snapshot.breakers[name]:
            draft.put_breaker(moved)
    for run in snapshot.running.values():
        draft.put(_running(run, shift))
    if step_us:
        draft.emit(ClockStepped(at=now, node=node, step_s=shift.step_s))
    readable = (each for each in snapshot.nodes.values() if each.unreadable is None)
    nodes = tuple(_set_node(each, shift, leases_too=leases_too) for each in readable)
    return replace(draft.change(), nodes=nodes, clock=mark, shift=shift), None


def _set_worker(draft: Draft, state: WorkerState, shift: Shift) -> None:
    disabled = state.disabled
    if disabled is not None:
        disabled = replace(
            disabled, since=shift.move(disabled.since), probation_until=shift.moved(disabled.probation_until)
        )
    paused = state.paused
    if paused is not None:
        until = shift.moved(paused.until) if paused.is_elapsed else paused.until
        paused = replace(paused, since=shift.move(paused.since), until=until)
    known = tuple(replace(each, first_seen_at=shift.move(each.first_seen_at)) for each in state.declarations.known)
    declarations = replace(state.declarations, known=known)
    moved = replace(
        state, declared_at=shift.move(state.declared_at), disabled=disabled, paused=paused, declarations=declarations
    )
    if moved != state:
        draft.put_worker(moved)


def _set_record(draft: Draft, name: str, shift: Shift, fired: Fired) -> None:
    definition, record = draft.worker(name).definition, draft.record(name)
    latest = record.latest
    if latest is not None and latest.occurs_at > shift.now:
        latest = replace(latest, occurs_at=shift.now)  # D2: nothing that has ended may be later than what is to come
    moved = replace(
        record,
        latest=latest,
        last_run_at=shift.moved(record.last_run_at),
        last_success_at=shift.moved(record.last_success_at),
        last_success_started_at=shift.moved(record.last_success_started_at),
        last_error_at=shift.moved(record.last_error_at),
        tokens_at=shift.moved(record.tokens_at),
    )
    draft.put_record(name, moved)
    if name in fired:
        _set_schedule(draft, definition, shift, fired[name])


def age_us(mark: ClockMark, now: datetime) -> int:
    """A wall time without the steps by which the clock was set: it only ever advances."""
    return (now - EPOCH) // US - mark.set_us


def since(mark: ClockMark | None, now: datetime, keep_s: float) -> datetime:
    """A4: a time before which nothing was written in the last *keep_s* of elapsed time, however the clock was set."""
    if mark is None or not mark.steps:
        return later(now, -keep_s)
    began_us = age_us(mark, now) - round(keep_s * 1e6)
    least_us = min((mark.set_us, *(before for at_us, before in mark.steps if at_us >= began_us)))
    return later(now, -keep_s + (least_us - mark.set_us) / 1e6)


def scheduled(snapshot: Snapshot) -> list[str]:
    """The workers that have, or had, a schedule: the rule needs their standing runs and the scheduled times ahead."""
    return [
        name
        for name, state in snapshot.workers.items()
        if state.definition.mode is Mode.SCHEDULED or snapshot.record(name).last_instant is not None
    ]


# ── schedules ────────────────────────────────────────────────────────────────────────────────────────────────────


def _set_schedule(draft: Draft, definition: Definition, shift: Shift, fired: Collection[datetime]) -> None:
    name, rule, now = definition.name, definition.schedule, shift.now
    record = draft.record(name)
    taken = sorted({*fired, *(run.occurs_at for run in _begun(draft, name))})
    last = record.last_instant
    record = replace(
        record,
        last_instant=None if last is None else min(last, now),
        ran_ahead=_stretches(rule, [at for at in taken if at > now], record.ran_ahead),
    )
    if isinstance(rule, Every):
        _set_interval(draft, definition, rule, replace(record, last_instant=last), shift, taken)
        return
    draft.put_record(name, record)
    if rule is not None:
        _set_calendar(draft, definition, rule, shift)


def _set_interval(
    draft: Draft, definition: Definition, rule: Every, record: Record, shift: Shift, taken: Sequence[datetime]
) -> None:
    """M4: the anchor, the last scheduled time and waiting runs move together, avoiding times that ran already (O1)."""
    name, anchor, by = definition.name, record.anchor_at, shift.step_us
    if anchor is None:
        return
    while any((at - anchor - by * US) % rule.step == timedelta(0) for at in taken):
        by += 1
    along = Shift(by, shift.now)
    record = replace(record, anchor_at=along.move(anchor), last_instant=along.moved(record.last_instant))
    draft.put_record(name, record)
    for run in _unstarted(draft, name):
        moved = shifted(run, along)
        if moved.occurs_at > shift.now + 2 * rule.step:  # set back unseen; a cancelled run ahead leaves two intervals
            moved = shifted(moved, Shift((shift.now + rule.step - moved.occurs_at) // US, shift.now))
            draft.put_record(name, replace(record, anchor_at=moved.occurs_at, last_instant=None))
        _put_unless_ended(draft, definition, moved)


def _set_calendar(draft: Draft, definition: Definition, rule: Schedule, shift: Shift) -> None:
    name, now = definition.name, shift.now
    offset_s = schedule.jitter_offset_s(name, definition.jitter_s)
    for run in _unstarted(draft, name):
        moved = shifted(replace(run, by_calendar=True), shift, offset_s=offset_s)
        if run.occurs_at > now:
            at = first_free(rule, now, draft.record(name))
            moved = shifted(replace(moved, occurs_at=at or run.occurs_at), shift, offset_s=offset_s)
        _put_unless_ended(draft, definition, moved)


def _put_unless_ended(draft: Draft, definition: Definition, run: Run) -> None:
    """M4: `until` stays at its time, so the waiting run may have moved beyond it: then the schedule has ended."""
    if not has_ended(definition, draft.record(run.worker), run.occurs_at):
        draft.put(run)
        return
    draft.put_record(run.worker, replace(draft.record(run.worker), ended=True))
    skipped = draft.put(move(run, Status.SKIPPED, cause=Cause.REPLACED, finished_at=draft.now))
    draft.emit(RunEnded(at=draft.now, worker=run.worker, run=run.id, status=skipped.status, cause=skipped.cause))


def _stretches(rule: Schedule | None, instants: Sequence[datetime], known: Sequence[Stretch]) -> tuple[Stretch, ...]:
    """*instants* added to the *known* ones; neighbouring scheduled times are joined to a first and a last."""
    stretches: list[Stretch] = []
    for first, last in sorted([*known, *((at, at) for at in instants)]):
        before = stretches[-1] if stretches else None
        if before is None or (len(stretches) < MAX_STRETCHES and not _are_neighbours(rule, before[1], first)):
            stretches.append((first, last))
        else:
            stretches[-1] = before[0], max(before[1], last)
    return tuple(stretches)


def _are_neighbours(rule: Schedule | None, at: datetime, other: datetime) -> bool:
    match rule:
        case Every(step=step):
            return other - at <= step
        case None:
            return other <= at
        case _:
            following = schedule.next_after(rule, at, anchor=None)
            return following is None or following >= other


def _unstarted(draft: Draft, name: str) -> list[Run]:
    return [run for run in draft.standing_of(name) if run.origin is Origin.OCCURRENCE and not run.has_started]


def _begun(draft: Draft, name: str) -> list[Run]:
    """Scheduled runs that have begun and so have a scheduled time as their own."""
    runs = (*draft.standing_of(name), *draft.sealed_of(name), *draft.running_of(name))
    return [run for run in runs if run.origin is Origin.OCCURRENCE and run.has_started]


# ── the rest ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _running(run: Run, shift: Shift) -> Run:
    claim = run.claim
    if claim is not None:
        claim = replace(claim, at=shift.move(claim.at), zombie_since=shift.moved(claim.zombie_since))
    return replace(
        run,
        claim=claim,
        due_at=shift.move(run.due_at),
        place_at=shift.moved(run.place_at),
        deadline_at=shift.moved(run.deadline_at),
        heartbeat_at=shift.moved(run.heartbeat_at),
    )


def _set_node(node: Node, shift: Shift, *, leases_too: bool) -> Node:
    """A boot without an id of its own is identified by its wall time, which moves as well."""
    booted = BOOTED.fullmatch(node.boot)
    boot = node.boot if booted is None else f"booted-{int(booted[1]) + round(shift.step_s)}"
    lease_s = shift.step_s if leases_too else 0.0
    return replace(
        node, boot=boot, lease_until_s=node.lease_until_s + lease_s, held_since_s=node.held_since_s + lease_s
    )


def _happened(record: Record) -> Iterator[datetime]:
    return (at for at in (record.last_run_at, record.last_success_at, record.last_error_at) if at is not None)
