"""The runs that rules make: the next scheduled run, the next iteration, and what was missed.

Rules of this file
- At most one scheduled run that has not started is stored (M3).  It is always for the first scheduled time after the
  last one covered.  A schedule that has ended has none.
- Scheduled times that pass without a run are recorded as one skipped range, with its reason (O2, K5).
- `schedule.py` computes scheduled times; this file combines them with the state of the worker.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from shiftboss.core import schedule
from shiftboss.core.events import RunSkipped
from shiftboss.core.lifecycle import move
from shiftboss.core.model import Cause, Origin, Record, Run, Status
from shiftboss.core.policy import Priority
from shiftboss.core.snapshot import Draft
from shiftboss.core.value import later, replace
from shiftboss.core.worker import Definition, Misfire, Mode, Start

MAX_COUNTED = 10_000  # O2: missed scheduled times are counted up to here; only people read the number
ON_TIME_S = 1.0  # O2: an unhindered start happens within this after the scheduled time, and then nothing was missed
MIN_SPACING_S = 0.010  # M5: between the starts of two iterations


def new_run(
    draft: Draft,
    definition: Definition,
    *,
    origin: Origin,
    occurs_at: datetime,
    due_at: datetime | None = None,
    priority: Priority | None = None,
    caused_by: int | None = None,
    traceparent: str | None = None,
) -> Run:
    """A pending run made by a rule, without payload."""
    due_at = occurs_at if due_at is None else due_at
    deadline_at = None if definition.deadline_s is None else later(due_at, definition.deadline_s)
    return Run(
        id=draft.new_id(),
        worker=definition.name,
        origin=origin,
        status=Status.PENDING,
        priority=definition.priority if priority is None else priority,
        created_at=draft.now,
        occurs_at=occurs_at,
        due_at=due_at,
        caused_by=caused_by,
        deadline_at=deadline_at,
        give_up_at=give_up_at(definition, due_at, deadline_at),
        traceparent=traceparent,
        by_calendar=origin is Origin.OCCURRENCE and schedule.follows_calendar(definition.schedule),
    )


def give_up_at(definition: Definition, due_at: datetime, deadline_at: datetime | None) -> datetime | None:
    """T1: when a run that has not started expires."""
    if definition.start_within_s is None:
        return deadline_at
    given_up_at = later(due_at, definition.start_within_s)
    return given_up_at if deadline_at is None else min(deadline_at, given_up_at)


# ── scheduled runs ───────────────────────────────────────────────────────────────────────────────────────────────


def first_occurrence(draft: Draft, definition: Definition) -> None:
    """M3, M4: store the first scheduled run of a new or changed schedule, and set the anchor.

    If somebody cancelled a scheduled run that was still ahead, the old schedule has covered its scheduled time.  The
    new schedule leaves out that time (O1), and waits for nothing else of the old one.
    """
    rule = definition.schedule
    record = draft.record(definition.name)
    sealed = (run for run in draft.sealed_of(definition.name) if run.origin is Origin.OCCURRENCE)
    if rule is None or record.unreadable is not None or any(not run.has_started for run in sealed):
        return  # W8: a scheduled run that cannot be read may exist, or its scheduled time is unknown
    covered = record.last_instant
    if covered is not None and covered > draft.now:
        ahead = tuple(sorted({*record.ran_ahead, (covered, covered)}))
        record = replace(record, last_instant=draft.now, ran_ahead=ahead)
    starts_now = definition.start is Start.NOW and covered != draft.now
    at = draft.now if starts_now else _first_instant(rule, draft.now, record)
    if at is None or has_ended(definition, record, at):
        draft.put_record(definition.name, replace(record, ended=True))
    else:
        draft.put_record(definition.name, replace(record, anchor_at=at))
        _store_occurrence(draft, definition, at)


def has_ended(definition: Definition, record: Record, at: datetime) -> bool:
    """M4: whether nothing is scheduled for *at*: it is after `until`, or as many runs as `times` says have started."""
    ended = definition.until is not None and at > definition.until
    return ended or (definition.times is not None and record.fired >= definition.times)


def _first_instant(rule: schedule.Schedule, after: datetime, record: Record) -> datetime | None:
    """The first scheduled time; of an interval, one interval later: there is no anchor yet."""
    if isinstance(rule, schedule.Every):
        beside = timedelta(microseconds=1 if record.ran_ahead else 0)  # avoid the whole seconds of an earlier cron
        return after + rule.step + beside
    return first_free(rule, after, record)


def first_free(rule: schedule.Schedule, after: datetime, record: Record) -> datetime | None:
    """The first scheduled time after *after* that no run has as its own (O1): some do after a step back (O4).

    None if the schedule has no time after *after*.
    """
    at = schedule.next_after(rule, after, anchor=record.anchor_at)
    if isinstance(rule, schedule.Every):
        return at  # the interval was moved beside all of them
    for first, last in record.ran_ahead:
        if at is not None and first <= at <= last:
            at = schedule.next_after(rule, last, anchor=record.anchor_at)
    return at


def next_occurrence(draft: Draft, definition: Definition) -> None:
    """Store the next scheduled run, unless one waits already or `concurrency` of them are unfinished (M3)."""
    if definition.mode is not Mode.SCHEDULED or definition.schedule is None:
        return
    record = draft.record(definition.name)
    if record.unreadable is not None or record.ended:  # W8: the next scheduled time is unknown
        return
    running = [run for run in draft.running_of(definition.name) if run.origin is Origin.OCCURRENCE]
    if definition.concurrency is not None and len(running) >= definition.concurrency:
        return  # as at nearly every start
    waiting = [*draft.standing_of(definition.name), *draft.sealed_of(definition.name)]  # unreadable ones count as well
    waiting = [run for run in waiting if run.origin is Origin.OCCURRENCE]
    if any(not run.has_started for run in waiting):
        return
    if definition.concurrency is not None and len(waiting) + len(running) >= definition.concurrency:
        return
    if record.last_instant is None:
        first_occurrence(draft, definition)
        return
    at = first_free(definition.schedule, record.last_instant, record)
    if at is None or has_ended(definition, record, at):
        draft.put_record(definition.name, replace(record, ended=True))
    else:
        _store_occurrence(draft, definition, at)


def instants_ahead(
    definition: Definition, record: Record, *, waiting: datetime | None, now: datetime
) -> Iterator[datetime]:
    """The scheduled times from *waiting* on, which is that of the stored run; without one those after *now*."""
    rule, left = definition.schedule, None if definition.times is None else definition.times - record.fired
    if rule is None or (record.ended and waiting is None):
        return
    at = waiting
    if at is None and record.unreadable is None:
        at = schedule.next_after(rule, max(record.last_instant or now, now), anchor=record.anchor_at)
    while at is not None and not has_ended(definition, record, at) and (left is None or left > 0):
        yield at
        if record.unreadable is not None:
            return  # W8: nobody knows from which time they count
        at, left = schedule.next_after(rule, at, anchor=record.anchor_at), None if left is None else left - 1


def _store_occurrence(draft: Draft, definition: Definition, at: datetime) -> None:
    due_at = later(at, _offset_s(definition))
    draft.put(new_run(draft, definition, origin=Origin.OCCURRENCE, occurs_at=at, due_at=due_at))


def take_up(draft: Draft, definition: Definition, run: Run) -> Run | None:
    """O2: the starting run with what it covers by the misfire policy; None if it is dropped instead of started.

    A dropped run is recorded as a skipped range, and the next scheduled run is stored.
    """
    rule = definition.schedule
    until = later(draft.now, -_offset_s(definition))  # jitter delays all of them alike: later ones are not due yet
    anchor = draft.record(definition.name).anchor_at
    if rule is None or run.occurs_at > until:  # another schedule was declared since
        return _covering(draft, definition, run, until=run.occurs_at)
    match definition.misfire:
        case Misfire.ONE:
            return _covering(draft, definition, run, until=until)
        case Misfire.SKIP:
            first = later(until, -max(ON_TIME_S, definition.grace_s))
        case Misfire.ALL:
            first = schedule.newest(rule, until, first=run.occurs_at, anchor=anchor, limit=definition.misfire_limit)
    if run.occurs_at < first:
        skip_range(draft, definition, run, until=later(first, -1e-6), reason=Cause.MISFIRE)
        return None
    return _covering(draft, definition, run, until=run.occurs_at)


def end_unstarted(draft: Draft, definition: Definition, run: Run) -> Run:
    """D7: a scheduled run that ends without having started takes up the scheduled times that passed while it waited.

    With `misfire="all"` each scheduled time has a run of its own, so it takes up none.
    """
    alone = definition.misfire is Misfire.ALL
    if run.by_calendar and run.occurs_at > draft.now:  # somebody cancelled it: it stays so after a step back too (O4)
        record = draft.record(definition.name)
        ahead = tuple(sorted({*record.ran_ahead, (run.occurs_at, run.occurs_at)}))
        draft.put_record(definition.name, replace(record, ran_ahead=ahead))
    return _covering(draft, definition, run, until=run.occurs_at if alone else draft.now)


def skip_range(draft: Draft, definition: Definition, run: Run, *, until: datetime, reason: Cause) -> None:
    """Record *run* and every scheduled time after it up to *until* as skipped; the next scheduled run replaces it."""
    covering = _covering(draft, definition, run, until=until)
    draft.put(move(covering, Status.SKIPPED, cause=reason, finished_at=draft.now, claim=None))
    draft.emit(
        RunSkipped(
            at=draft.now,
            worker=run.worker,
            run=run.id,
            reason=reason,
            first=run.occurs_at,
            last=covering.covers_until,
            count=covering.missed + 1,
        )
    )
    next_occurrence(draft, definition)


def skip_what_passed(draft: Draft, definition: Definition) -> None:
    """K5: a worker is enabled; the scheduled times that passed meanwhile are recorded as one range."""
    if definition.mode is not Mode.SCHEDULED:
        return
    for run in draft.standing_of(definition.name):
        if run.origin is Origin.OCCURRENCE and not run.has_started and run.occurs_at <= draft.now:
            skip_range(draft, definition, run, until=draft.now, reason=Cause.DISABLED)


def _covering(draft: Draft, definition: Definition, run: Run, *, until: datetime) -> Run:
    """*run* with all scheduled times up to *until* besides its own; the worker's record notes that they are covered."""
    rule = definition.schedule
    record = draft.record(definition.name)
    last, missed = run.occurs_at, 0
    if definition.until is not None:
        until = min(until, definition.until)
    if rule is not None and until > run.occurs_at and record.unreadable is None:
        last = schedule.last_until(rule, until, first=run.occurs_at, anchor=record.anchor_at)
        count = schedule.count_until(rule, run.occurs_at, until, anchor=record.anchor_at, limit=MAX_COUNTED + 1)
        missed = count - 1
    if record.last_instant is None or last > record.last_instant:
        ahead = tuple(stretch for stretch in record.ran_ahead if stretch[1] > min(last, draft.now))
        draft.put_record(definition.name, replace(record, last_instant=last, ran_ahead=ahead))
    return replace(run, covers_until=last, missed=missed)


def _offset_s(definition: Definition) -> float:
    return schedule.jitter_offset_s(definition.name, definition.jitter_s)


# ── iterations ───────────────────────────────────────────────────────────────────────────────────────────────────


def next_iteration(draft: Draft, definition: Definition, *, pause_s: float, last_start: datetime | None) -> None:
    """M5: store the next iteration, due after *pause_s*, unless one is unfinished."""
    if definition.mode is not Mode.CONTINUOUS:
        return
    name = definition.name
    unfinished = [*draft.standing_of(name), *draft.sealed_of(name), *draft.running_of(name)]
    if any(run.origin is Origin.ITERATION for run in unfinished):
        return
    at = later(draft.now, pause_s)
    if last_start is not None:
        at = max(at, later(last_start, MIN_SPACING_S))
    draft.put(new_run(draft, definition, origin=Origin.ITERATION, occurs_at=at))


# ── after ────────────────────────────────────────────────────────────────────────────────────────────────────────
# ── after ────────────────────────────────────────────────────────────────────────────────────────────────────────


def runs_after(draft: Draft, upstream: Run, *, traceparent: str | None) -> None:
    """M6: a success makes a run of every worker that comes after; at most two of them wait, the second moves."""
    for name in draft.snapshot.relations.after.get(upstream.worker, ()):
        state = draft.worker(name)
        definition = state.definition
        run = new_run(
            draft, definition, origin=Origin.AFTER, occurs_at=draft.now, caused_by=upstream.id, traceparent=traceparent
        )
        if not state.accepts:
            draft.put(move(run, Status.SKIPPED, cause=Cause.DISABLED, finished_at=draft.now))
            draft.emit(RunSkipped(at=draft.now, worker=name, run=run.id, reason=Cause.DISABLED, first=draft.now))
            continue
        waiting = [w for w in draft.standing_of(name) if w.origin is Origin.AFTER and not w.has_started]
        if len(waiting) < 2:
            draft.put(run)
            continue
        second = max(waiting, key=lambda w: w.id)
        draft.put(
            replace(
                second,
                occurs_at=draft.now,
                due_at=draft.now,
                caused_by=upstream.id,
                traceparent=traceparent,
                deadline_at=run.deadline_at,
                give_up_at=run.give_up_at,
            )
        )
