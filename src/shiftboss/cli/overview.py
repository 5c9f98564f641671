"""The page of `status`: the whole in one line, a table of workers, what runs, and what needs attention.

Rules of this file
- It shows what `Views.status` answered and asks nothing itself.
- Off a terminal it prints the line, the table, whose last column says why a run is held, and the reasons that concern
  the whole.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from shiftboss.app.status import SystemStatus, WorkerStatus
from shiftboss.cli import formatting, hold_text, table, times
from shiftboss.cli.table import Cell, Column, Row
from shiftboss.core.health import in_a_word
from shiftboss.core.value import replace
from shiftboss.errors import UnknownWorker, did_you_mean

WORKERS = (
    Column("WORKER"),
    Column("HEALTH"),
    Column("LAST"),
    Column("NEXT"),
    Column("RUN", right=True),
    Column("DUE", right=True),
    Column("DEAD", right=True),
    Column("SCHEDULE", gives=True),
)
WITH_WHY = (*WORKERS[:-1], Column("SCHEDULE"), Column("WHY"))
RUNNING = (Column("RUNNING"), Column("RUN", right=True), Column("FOR", right=True), Column("PROGRESS", gives=True))
SHOWN_ASIDE = 8  # rows of each table except the main one, if the page must fit
FRAME = 4  # lines of the page outside the tables

ATTENTION = (Column("ATTENTION"), Column("", wraps=True, gives=True))


def only(status: SystemStatus, names: Collection[str]) -> SystemStatus:
    """The status with only the workers of these names; with all if none is given.  Raises UnknownWorker."""
    if not names:
        return status
    known = {worker.name: worker for worker in status.workers}
    for name in names:
        if name not in known:
            raise UnknownWorker(f"there is no worker named {name!r}; {did_you_mean(name, known)}")
    workers = tuple(worker for worker in status.workers if worker.name in names)
    running = tuple(run for run in status.running if run.worker in names)
    return replace(status, workers=workers, running=running, matching=len(workers))


def print_status(status: SystemStatus, *, whole: bool) -> None:
    """Print the page on stdout."""
    console = table.console()
    if console is None:
        if whole:
            table.line(*headline(status))
        if status.workers:
            table.show(WITH_WHY, [[*_worker(worker, status.at), _why(worker, status)] for worker in status.workers])
        for reason in status.reasons if whole else ():
            if not reason.worker:
                table.line(reason.text)
        return
    if whole:
        table.headline(*headline(status))
    for part in sections(status):
        table.blank()
        console.print(table.rendered(*part, width=console.width))


def sections(status: SystemStatus, *, height: int | None = None) -> Iterator[tuple[Sequence[Column], list[Row]]]:
    """The tables of the page, without empty ones; cut to fit into *height* lines, the worst rows are kept."""
    workers = status.workers if height is None else sorted(status.workers, key=_is_quiet)
    parts: tuple[tuple[Sequence[Column], list[Row]], ...] = (
        (WORKERS, [_worker(worker, status.at) for worker in workers]),
        (RUNNING, list(_running(status))),
        (ATTENTION, list(_attention(status))),
    )
    filled = [(columns, rows) for columns, rows in parts if rows]
    if height is None:
        return iter(filled)
    left = height - FRAME - 2 * len(filled) - sum(min(len(rows), SHOWN_ASIDE) for _, rows in filled[1:])
    limits = [max(SHOWN_ASIDE, left), *(SHOWN_ASIDE for _ in filled[1:])]
    return ((columns, _cut(columns, rows, limit)) for (columns, rows), limit in zip(filled, limits, strict=True))


def _is_quiet(worker: WorkerStatus) -> tuple[bool, bool]:
    """A sort key: healthy workers with nothing going on come last and are cut off first."""
    return worker.health in formatting.GOOD, not (worker.running or worker.due or worker.dead_letters)


def _cut(columns: Sequence[Column], rows: list[Row], limit: int) -> list[Row]:
    if len(rows) <= limit:
        return rows
    rest = Cell(f"and {len(rows) - limit + 1} more", "dim")
    return [*rows[: limit - 1], [rest, *[""] * (len(columns) - 1)]]


def headline(status: SystemStatus) -> list[str | Cell]:
    """The whole in one line."""
    pending, letters = status.totals.pending, status.totals.dead_letters
    if status.matching < status.totals.workers:  # only these are meant
        pending = sum(worker.pending for worker in status.workers)
        letters = sum(worker.dead_letters for worker in status.workers)
    dot = f" {formatting.sign('·')} "
    facts = [formatting.slots(status), f"{pending:,} pending"]
    if letters:
        facts.append(formatting.plural(letters, "dead letter"))
    health = formatting.health(in_a_word(status.health, status.reasons))
    return [
        health._replace(style=f"bold {health.style}"),
        "  ",
        dot.join(facts),
        "  ",
        Cell(_short(status.store), "dim"),
    ]


def _short(url: str) -> str:
    """The store as one would type it here: a path below this folder is relative."""
    return url.removeprefix("sqlite:///").removeprefix(f"{Path.cwd()}/")


# ── rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _worker(worker: WorkerStatus, now: datetime) -> list[str | Cell]:
    return [
        Cell(worker.name, "bold" if worker.health not in formatting.GOOD else ""),
        formatting.health(worker.health),
        formatting.last_run(worker, now),
        formatting.next_run(worker, now),
        formatting.count(worker.running, "cyan"),
        formatting.due(worker.due),
        formatting.count(worker.dead_letters, "red"),
        Cell(worker.schedule or worker.mode, "dim"),
    ]


def _running(status: SystemStatus) -> Iterator[Row]:
    for run in status.running:
        odd = formatting.running(run)
        what_it_does = odd if odd.text else Cell(formatting.progress(run.progress, status.at), "cyan")
        yield run.worker, Cell(str(run.run), "dim"), times.span((status.at - run.since).total_seconds()), what_it_does


def _attention(status: SystemStatus) -> Iterator[Row]:
    """Why something is not healthy, and what holds due runs; for disabled workers only that they are disabled."""
    for reason in status.reasons:
        if not reason.worker:
            yield "", Cell(reason.text, formatting.HEALTH_STYLES.get(reason.severity, ""))
    for worker in status.workers:
        for reason in worker.reasons:
            style = formatting.HEALTH_STYLES.get(reason.severity, "")
            yield worker.name, Cell(formatting.reason(reason, worker, status.at), style)
        if worker.enabled and worker.paused is not None:
            yield worker.name, formatting.paused(worker.paused, status.at)
        elif worker.enabled:
            for hold in worker.holds:
                yield worker.name, f"held: {hold_text.sentence(hold, status.at)}"


def _why(worker: WorkerStatus, status: SystemStatus) -> str:
    sentences = [formatting.reason(reason, worker, status.at) for reason in worker.reasons]
    if worker.enabled and worker.paused is not None:
        sentences.append(formatting.paused(worker.paused, status.at))
    elif worker.enabled:
        sentences += [hold_text.sentence(hold, status.at) for hold in worker.holds]
    return "; ".join(sentences)
