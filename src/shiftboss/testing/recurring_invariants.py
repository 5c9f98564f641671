"""Invariants of runs that are made by rules: scheduled runs, iterations, runs by `after` (M3 to M6, O1).

Rules of this file
- As in `invariants.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

from shiftboss.core.model import Cause, Origin, Run, Status
from shiftboss.core.schedule import Every, next_after
from shiftboss.core.worker import Mode
from shiftboss.testing.history import Commit, History, Violation, is_new_occurrence

SPACING = timedelta(milliseconds=10)  # M5


def occurrences(history: History, commit: Commit) -> Iterator[Violation]:
    """M3, M4, O1: one waits to start, each time starts once, none is left out; in order, unless clocks are set."""
    for start in commit.starts:
        if not is_new_occurrence(start):
            continue
        run = start.run
        covered = history.covered.get(run.worker)
        if covered is not None and run.occurs_at <= covered and not history.wall_steps:
            yield Violation(
                "O1",
                commit.at,
                f"run {run.id} of {run.worker} repeats {run.occurs_at}: runs have covered the times to {covered}",
            )
        if run.occurs_at in history.fired[run.worker]:
            yield Violation("O1", commit.at, f"run {run.id} of {run.worker} repeats {run.occurs_at}")
        history.fired[run.worker].add(run.occurs_at)
        _cover(history, commit, run)
        yield from _end(history, commit, run)
    for run in commit.finished:
        if run.status is Status.SKIPPED and run.origin is Origin.OCCURRENCE and run.cause is not Cause.REPLACED:
            _cover(history, commit, run)
    for name in _touched(commit):
        state = history.workers.get(name)
        if state is None or state.definition.mode is not Mode.SCHEDULED:
            continue
        waiting = [run for run in history.unfinished[name].values() if run.origin is Origin.OCCURRENCE]
        unstarted = [run for run in waiting if not run.has_started]
        limit = state.definition.concurrency
        if len(unstarted) > 1:
            yield Violation("M3", commit.at, f"{name} has {len(unstarted)} scheduled runs that have not started")
        if not unstarted and (limit is None or len(waiting) < limit) and not _has_ended(history, commit, name):
            yield Violation("M3", commit.at, f"{name} has {len(waiting)} unfinished scheduled runs and no next one")
        yield from _gap(history, commit, name, unstarted)


def _end(history: History, commit: Commit, run: Run) -> Iterator[Violation]:
    """M4: no scheduled run starts for a time after `until`, and no more of them start than `times` says."""
    definition = history.workers[run.worker].definition
    if definition.until is not None and run.occurs_at > definition.until:
        what = f"run {run.id} of {run.worker} is for {run.occurs_at}, after the end of its schedule"
        yield Violation("M4", commit.at, what)
    if definition.times is None:
        return
    history.fired_of[run.worker] += 1
    count = history.fired_of[run.worker]
    if count > definition.times:
        yield Violation(
            "M4", commit.at, f"run {run.id} is number {count} of {run.worker}, but times={definition.times}"
        )


def _has_ended(history: History, commit: Commit, name: str) -> bool:
    """M4: whether its schedule has no time ahead that no run has taken up."""
    definition = history.workers[name].definition
    if name in history.ended or definition.schedule is None:
        return True
    if definition.times is not None and history.fired_of[name] >= definition.times:
        history.ended.add(name)
        return True
    now = max(history.covered.get(name, commit.at), commit.at)
    at = next_after(definition.schedule, now, anchor=now)
    while at is not None and (at in history.fired[name] or (name, at) in history.passed_over):
        at = next_after(definition.schedule, at, anchor=now)
    if at is None or (definition.until is not None and at > definition.until):
        history.ended.add(name)
    return name in history.ended


def _cover(history: History, commit: Commit, run: Run) -> None:
    history.covered[run.worker] = max(run.covers_until or run.occurs_at, run.occurs_at)
    history.covered_s[run.worker] = commit.elapsed_s


def _gap(history: History, commit: Commit, name: str, unstarted: list[Run]) -> Iterator[Violation]:
    """M4: what waits is the first scheduled time after those covered; checked for `every` unless the clock was set."""
    rule, covered = history.workers[name].definition.schedule, history.covered.get(name)
    if not isinstance(rule, Every) or covered is None or history.wall_steps:
        return
    if history.declared_s[name] >= history.covered_s[name]:
        return  # the schedule is newer
    for run in unstarted:
        cancelled = any(
            r.worker == name and not r.has_started for r in commit.finished if r.status is not Status.SKIPPED
        )
        is_exempt = cancelled or name in commit.set_aside  # like one before it that was cancelled, for example
        if run.occurs_at != covered + rule.step and not is_exempt and run in commit.created:
            yield Violation(
                "M4",
                commit.at,
                f"{name} waits for {run.occurs_at}, which is not the next scheduled time after {covered}",
            )


def iterations(history: History, commit: Commit) -> Iterator[Violation]:
    """M5: a continuous worker has exactly one unfinished iteration."""
    for name in _touched(commit):
        state = history.workers.get(name)
        if state is None or state.definition.mode is not Mode.CONTINUOUS:
            continue
        unfinished = [run for run in history.unfinished[name].values() if run.origin is Origin.ITERATION]
        if len(unfinished) != 1:
            yield Violation("M5", commit.at, f"{name} has {len(unfinished)} unfinished iterations instead of one")
        for end in commit.ends:
            created = [run for run in commit.created if run.worker == name and run.origin is Origin.ITERATION]
            if end.run.worker == name and created and created[0].due_at < end.claim.at + SPACING:
                yield Violation(
                    "M5", commit.at, f"an iteration of {name} is due within 10 ms of the start of the one before"
                )


def fan_outs(history: History, commit: Commit) -> Iterator[Violation]:
    """O6: what one call triggers is stored by one commit, all of it."""
    if not history.fan_outs:
        return
    fresh = (*commit.created, *(start.run for start in commit.starts if start.before is None))
    for by, count in Counter(run.by for run in fresh if run.by in history.fan_outs).items():
        owed, history.fan_outs[by] = history.fan_outs[by], 0
        if count != owed:
            yield Violation("O6", commit.at, f"one commit stored {count} runs of {by} instead of {owed}")


def afters(history: History, commit: Commit) -> Iterator[Violation]:
    """M6: a success leaves a run for each worker after it, and at most two of them wait to start."""
    for run in commit.finished:
        if run.status is not Status.SUCCEEDED:
            continue
        for name, state in history.workers.items():
            if run.worker not in state.definition.after or history.declared_s[name] == commit.elapsed_s:
                continue  # it comes after that worker only since this very commit
            made = [
                r for r in history.unfinished[name].values() if r.origin is Origin.AFTER and r.occurs_at == commit.at
            ]
            made += [r for r in commit.finished if r.worker == name and r.cause is Cause.DISABLED]
            if not made:
                yield Violation("M6", commit.at, f"the success of run {run.id} of {run.worker} made no run of {name}")
    for name in {run.worker for run in commit.created if run.origin is Origin.AFTER}:
        unfinished = (run for run in history.unfinished[name].values() if run.id not in history.sealed)
        waiting = [run for run in unfinished if run.origin is Origin.AFTER and not run.has_started]
        if len(waiting) > 2:
            yield Violation("M6", commit.at, f"{len(waiting)} runs of {name} by `after` are pending, more than two")


def _touched(commit: Commit) -> set[str]:
    runs = (
        *commit.created,
        *commit.finished,
        *(run for _, run in commit.changed),
        *(start.run for start in commit.starts),
    )
    return {run.worker for run in runs}
