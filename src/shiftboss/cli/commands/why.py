"""`shiftboss why`: every hold of a run, found by the functions that hold it (A3)."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import click

from shiftboss.app.pages import listed
from shiftboss.app.views import Views
from shiftboss.cli import dump, formatting, hold_text, store_access, table, times
from shiftboss.cli.command import SettingsCommand, examples, json_option, store_option
from shiftboss.cli.exits import Exit
from shiftboss.cli.naming import Named, find, worker_or_run
from shiftboss.clock import SystemClock
from shiftboss.core.explain import Explanation
from shiftboss.core.model import Run, Status
from shiftboss.core.prevail import OtherDeclaration, declared_otherwise
from shiftboss.core.snapshot import Snapshot
from shiftboss.core.worker import Mode

HOLDS = (table.Column("gate"), table.Column("fact", wraps=True, gives=True), table.Column("since"))


class Question(NamedTuple):
    """What was asked about, and the answer."""

    worker: str
    run: Run | None
    explanation: Explanation | None
    running: tuple[Run, ...]
    at: datetime
    declared_otherwise: tuple[OtherDeclaration, ...] = ()

    @property
    def is_held(self) -> bool:
        """Whether anything except its own due time keeps it from starting."""
        return self.explanation is not None and any(not hold.is_planned for hold in self.explanation.holds)


@click.command(
    cls=SettingsCommand,
    epilog=examples("shiftboss why process-data     its next run", "shiftboss why 1042             one run"),
)
@click.argument("name", metavar="NAME|RUN", type=worker_or_run)
@json_option
@store_option
def why(name: str, as_json: bool, store: str | None, app: str | None) -> int:
    """Explain why a worker or a run does not start.

    Shows every hold of the worker's next run: the gate, what causes it, since when, and when it can clear at the
    earliest.  Exits with 3 when something holds the run, with 0 when it may start, is running or has ended.
    """
    with store_access.reading(store, app) as views:
        named = find(views, name)
        answer, snapshot = _ask(views, named)
    if as_json:
        dump.one(_json(answer))
    else:
        _print(answer, snapshot)
        for other in answer.declared_otherwise:
            table.line(f"{other}")
    return Exit.FALSE if answer.is_held else Exit.DONE


def _ask(views: Views, named: Named) -> tuple[Question, Snapshot]:
    explanation = views.why(named.worker) if named.run is None else views.why_run(named.run)
    run = None if explanation is None else explanation.run
    snapshot = views.snapshot()
    running: tuple[Run, ...] = ()
    if named.run is None:
        running = tuple(sorted(snapshot.running_of(named.worker), key=lambda each: each.id))
    others = declared_otherwise(snapshot, named.worker, views.live_nodes())
    return Question(named.worker, run, explanation, running, SystemClock().now(), others), snapshot


def _json(answer: Question) -> dict[str, object]:
    explanation = answer.explanation
    return {
        "worker": answer.worker,
        "held": answer.is_held,
        "run": None if answer.run is None else listed(answer.run),
        "holds": explanation.holds if explanation is not None else (),
        "earliest": explanation.earliest if explanation is not None else None,
        "behind": explanation.behind if explanation is not None else None,
        "running": [run.id for run in answer.running],
        "declared_otherwise": answer.declared_otherwise,
    }


# ── for people ───────────────────────────────────────────────────────────────────────────────────────────────────


def _print(answer: Question, snapshot: Snapshot) -> None:
    for running in answer.running:
        _say(answer, running, _is_running(running, snapshot, answer.at))
    run, explanation = answer.run, answer.explanation
    if run is None or explanation is None:
        if not answer.running:
            table.line(table.Cell(answer.worker, "bold"), f"  {_nothing_waits(answer.worker, snapshot)}")
    elif run.status is Status.RUNNING:
        _say(answer, run, _is_running(run, snapshot, answer.at))
    elif run.status.is_final:
        _say(answer, run, _has_ended(run, answer.at))
    elif answer.is_held:
        _print_holds(answer, run, explanation)
    else:
        _say(answer, run, _may_start(run, explanation, answer.at))


def _say(answer: Question, run: Run, what: str) -> None:
    table.line(table.Cell(answer.worker, "bold"), f"  run {run.id}  {what}")


def _print_holds(answer: Question, run: Run, explanation: Explanation) -> None:
    now = answer.at
    table.line(
        table.Cell(answer.worker, "bold"),
        f"  run {run.id}  {'was due' if run.due_at < now else 'due'} {times.clock(run.due_at, now)} "
        f"({times.relative(run.due_at, now)})  ",
        table.Cell("does not start because", "yellow"),
    )
    rows = []
    for hold in explanation.holds:
        since = f"since {times.clock(hold.since, now)}" if hold.since is not None and hold.since <= now else ""
        rows.append((table.Cell(hold.gate, "bold"), hold_text.sentence(hold, now), table.Cell(since, "dim")))
    table.show(HOLDS, rows, indent="  ", header=False)
    if explanation.earliest is not None:
        at = explanation.earliest
        table.line(f"starts at the earliest: {times.clock(at, now)} ({times.until(at, now)})")
    else:
        table.line("starts when these clear; time unknown")


def _is_running(run: Run, snapshot: Snapshot, now: datetime) -> str:
    if run.claim is None:
        return "is running"
    node = snapshot.nodes.get(run.claim.node)
    text = (
        f"has been running since {times.clock(run.claim.at, now)} ({times.span((now - run.claim.at).total_seconds())})"
    )
    text += f" on node {node.name if node is not None else run.claim.node}, attempt {run.attempt}"
    is_zombie = run.claim.zombie_since is not None
    if run.cancel is not None:
        cancelled = f"{text}; cancellation requested by {run.cancel.by or 'somebody'}"
        return f"{cancelled}, but its code is still running" if is_zombie else cancelled
    return f"{text}; it timed out, but its code is still running" if is_zombie else text


def _has_ended(run: Run, now: datetime) -> str:
    when = f" {times.ago(run.finished_at, now)}" if run.finished_at is not None else ""
    text = f"ended: {formatting.cause(run)}{when}"
    if run.error is not None and run.status is Status.DEAD:
        text += f": {formatting.error(run.error.type, run.error.message)}"
    return text


def _may_start(run: Run, explanation: Explanation, now: datetime) -> str:
    if explanation.holds:
        at = f"{times.clock(run.due_at, now)} ({times.until(run.due_at, now)})"
        return f"is due at {at}; nothing else holds it"
    if explanation.behind is not None:
        return f"starts after run {explanation.behind} of the same worker"
    return "nothing holds it; it starts as soon as a node takes it"


def _nothing_waits(worker: str, snapshot: Snapshot) -> str:
    definition = snapshot.worker(worker).definition
    if definition.after:
        return f"no pending runs; it runs after {', '.join(definition.after)}"
    if definition.mode is Mode.TRIGGERED:
        return "no pending runs; it runs only when triggered"
    if not any(worker in node.workers for node in snapshot.nodes.values()):
        return "no pending runs, and no node runs it"
    return "no pending runs"
