"""Waiting for the end of a run: a changing line on a terminal, a line for every change elsewhere.  On stderr."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

from shiftboss.app.orchestrator import Orchestrator
from shiftboss.app.views import Views
from shiftboss.cli import formatting, hold_text, messages, store_access, times
from shiftboss.clock import SystemClock
from shiftboss.core.hold import Scope
from shiftboss.core.model import Run, Status
from shiftboss.errors import WaitTimeout

TURN_S = 1.0  # the seconds on the line count up
Show = Callable[[Run, str], None]


def wait_for(boss: Orchestrator, run_id: int, *, timeout_s: float | None) -> Run:
    """The run once it has ended, here or on any node.  Raises WaitTimeout; the run goes on."""
    began_s = boss.clock.monotonic_s()
    with store_access.asking(boss) as views, _shown(boss) as show:
        while True:
            run = views.run(run_id)
            if run.status.is_final:
                return run
            show(run, _held(views, run))
            left_s = TURN_S if timeout_s is None else began_s + timeout_s - boss.clock.monotonic_s()
            if left_s <= 0:
                raise WaitTimeout(f"run {run_id} had not ended after {times.length(timeout_s)}; it goes on")
            views.wait(min(TURN_S, left_s))


@contextlib.contextmanager
def _shown(boss: Orchestrator) -> Iterator[Show]:
    if not messages.is_terminal(sys.stderr):
        yield _changes()
        return
    try:
        yield lambda run, held: messages.overwrite(_line(run, held, boss))
    finally:
        messages.overwrite("")


def _held(views: Views, run: Run) -> str:
    """What keeps a due run from starting: nobody should wait forever without knowing why."""
    explained = views.why_run(run.id)
    held = [hold_text.sentence(hold, SystemClock().now()) for hold in explained.holds if hold.scope is not Scope.RUN]
    return "; ".join(held)


def _line(run: Run, held: str, boss: Orchestrator) -> str:
    """ "running 12 s  ███░░ 30 % page 3"."""
    return f"{_state(run)}{_since(run, boss)}  {held or formatting.progress(run.progress, boss.clock.now())}".rstrip()


def _since(run: Run, boss: Orchestrator) -> str:
    if run.claim is None:
        return f" {times.until(run.due_at, boss.clock.now())}" if run.due_at > boss.clock.now() else ""
    return f" {times.span((boss.clock.now() - run.claim.at).total_seconds())}"


def _state(run: Run) -> str:
    if run.status is Status.PENDING and run.attempt:
        return f"in back-off after attempt {run.attempt}, again"
    return f"{run.status}, attempt {run.attempt}" if run.attempt > 1 else str(run.status)


def _changes() -> Show:
    """A line for every new state and every tenth of the progress."""
    last: list[object] = []

    def show(run: Run, held: str) -> None:
        progress = run.progress
        tenth = int(10 * progress.done / progress.total) if progress is not None and progress.total else None
        if last != [_state(run), held, tenth]:
            last[:] = [_state(run), held, tenth]
            messages.note(f"{_state(run)}  {held or formatting.progress_in_words(progress)}".rstrip())

    return show
