"""The page of one run: state, attempts, error, payload, result, chain."""

from __future__ import annotations

from datetime import datetime

import msgspec

from shiftboss.app.views import Views
from shiftboss.cli import table, talk, times, words
from shiftboss.cli.table import Cell, Column
from shiftboss.clock import SystemClock
from shiftboss.core.model import Attempt, DeadLetter, Run, Status
from shiftboss.core.value import Value
from shiftboss.errors import UnknownRun
from shiftboss.ports import LetterFilter

MAX_CHAIN = 20  # runs that led to this one; a chain may be endless
TRACEBACK_LINES = 12  # the innermost frames; --json has all that is kept
MAX_SHOWN_CHARS = 4000  # of a payload or result
FACTS = (Column(""), Column("", wraps=True, gives=True))
ATTEMPTS = (
    Column("TRY", right=True),
    Column("BEGAN"),
    Column("TOOK", right=True),
    Column("ENDED"),
    Column("NODE"),
    Column("ERROR", gives=True),
)


class PageOfRun(Value, frozen=True, omit_defaults=False):
    """A run and what belongs to it.  `chain`: the runs that led to it, the first one first."""

    run: Run
    letter: DeadLetter | None
    chain: tuple[Run, ...]
    nodes: dict[str, str]
    at: datetime


def read(views: Views, run_id: int) -> PageOfRun:
    """Raises UnknownRun."""
    run = views.run(run_id)
    letters = views.letters(LetterFilter(ids=(run_id,), state=None)) if run.status is Status.DEAD else []
    nodes = {node.id: node.name for node in views.nodes()}
    return PageOfRun(run, letters[0] if letters else None, _chain(views, run), nodes, SystemClock().now())


def _chain(views: Views, run: Run) -> tuple[Run, ...]:
    chain: list[Run] = []
    while len(chain) < MAX_CHAIN:
        origin = run.replay_of or run.caused_by
        if origin is None:
            break
        try:
            run = views.run(origin)
        except UnknownRun:  # pruned
            break
        chain.insert(0, run)
    return tuple(chain)


# ── for people ───────────────────────────────────────────────────────────────────────────────────────────────────


def show(page: PageOfRun) -> None:
    run = page.run
    style = words.STATUS_STYLES[run.status]
    table.line(Cell(run.worker, "bold"), f"  run {run.id}  ", Cell(words.cause(run), f"bold {style}".strip()))
    table.blank()
    table.show(FACTS, [(Cell(key, "dim"), text) for key, text in _facts(page)], indent="  ", header=False)
    if run.attempts:
        table.blank()
        table.show(ATTEMPTS, [_attempt(each, page) for each in run.attempts], indent="  ")
    if run.error is not None:
        table.blank()
        failed = run.status is not Status.SUCCEEDED
        table.line("  ", Cell(words.error(run.error.type, run.error.message), "red" if failed else ""))
        _show_traceback(run.error.traceback)
    _show_data("payload", run.payload)
    _show_data("result", run.result)
    if page.letter is not None and page.letter.state == "open":
        talk.hint(f"again: shiftboss dead replay {run.id}    done with: shiftboss dead resolve {run.id} --note …")
    if run.status is Status.PENDING:
        talk.hint(f"why it waits: shiftboss why {run.id}")


def _facts(page: PageOfRun) -> list[tuple[str, str]]:
    run, now = page.run, page.at

    def when(at: datetime | None) -> str:
        return "" if at is None else f"{times.stamp(at)}  ({times.relative(at, now)})"

    priority = "" if run.priority.label == "normal" else f", priority {run.priority.label}"
    found = [
        ("from", _origin(run) + priority),
        ("stands for", _instants(run)),
        ("stored", when(run.created_at)),
        ("due", when(run.due_at) if run.status is Status.PENDING else ""),
        ("started", when(run.first_started_at)),
        ("running", _running(page)),
        ("progress", words.progress(run.progress) if run.status is Status.RUNNING else ""),
        ("ended", when(run.finished_at)),
        ("gives up", when(run.give_up_at) if run.status is Status.PENDING else ""),
        ("key", run.key or ""),
        ("cut short", words.plural(run.interruptions, "time") if run.interruptions else ""),
        ("degraded", "ran although an upstream had failed, or by its fallback" if run.degraded else ""),
        ("cancel", f"by {run.cancel.by} {run.cancel.reason}".rstrip() if run.cancel is not None else ""),
        ("dead letter", _letter(page.letter, now)),
        ("chain", _links(page)),
    ]
    return [(key, talk.one_line(text)) for key, text in found if text]


def _origin(run: Run) -> str:
    by = f" by {run.by}" if run.by else ""
    forced = ", forced" if run.forced else ""
    return f"{run.origin.value}{by}{forced}"


def _instants(run: Run) -> str:
    if run.covers_until is None or run.missed == 0:
        return times.stamp(run.occurs_at) if run.is_standing else ""
    return f"{times.stamp(run.occurs_at)} and {run.missed:,} more until {times.stamp(run.covers_until)}"


def _running(page: PageOfRun) -> str:
    claim = page.run.claim
    if claim is None:
        return ""
    said = f"for {times.span((page.at - claim.at).total_seconds())} on node {page.nodes.get(claim.node, claim.node)}"
    return f"{said}; it timed out, its body goes on" if claim.zombie_since is not None else said


def _letter(letter: DeadLetter | None, now: datetime) -> str:
    if letter is None:
        return ""
    said = letter.state
    if letter.replayed_as is not None:
        said += f" as run {letter.replayed_as}"
    if letter.closed_by:
        said += f" by {letter.closed_by}"
    if letter.closed_at is not None:
        said += f" {times.ago(letter.closed_at, now)}"
    return f"{said}: {letter.note}" if letter.note else said


def _links(page: PageOfRun) -> str:
    arrow = f" {words.sign('→')} "
    linked = [f"{run.worker} {run.id}" for run in page.chain]
    later = page.letter.replayed_as if page.letter is not None else None
    after = [f"{page.run.worker} {later}"] if later is not None else []
    return arrow.join([*linked, f"this, {page.run.id}", *after]) if linked or after else ""


def _attempt(attempt: Attempt, page: PageOfRun) -> list[str | Cell]:
    ended = Cell("succeeded", "green") if attempt.cause is None else Cell(attempt.cause.value.replace("_", " "), "red")
    error = words.error(attempt.error.type, attempt.error.message) if attempt.error is not None else ""
    return [
        str(attempt.number),
        times.clock(attempt.started_at, page.at),
        times.span(attempt.duration_s),
        ended,
        page.nodes.get(attempt.node, attempt.node[:8]),
        error,
    ]


def _show_traceback(text: str) -> None:
    lines = talk.clean(text).splitlines()
    if len(lines) > TRACEBACK_LINES:
        table.line("    ", Cell(f"… {len(lines) - TRACEBACK_LINES} lines more above (--json has them)", "dim"))
    for line in lines[-TRACEBACK_LINES:]:
        table.headline("    ", Cell(line, "dim"))


def _show_data(title: str, data: bytes | None) -> None:
    if data is None:
        return
    try:
        text = msgspec.json.format(data, indent=2).decode()
    except (msgspec.DecodeError, UnicodeError):
        text = f"{len(data)} bytes that are no JSON"
    table.blank()
    if len(text) > MAX_SHOWN_CHARS:
        text = f"{text[:MAX_SHOWN_CHARS]}\n… ({len(data):,} bytes in all; --json has them)"
    first, *rest = talk.clean(text).splitlines() or [""]
    table.line("  ", Cell(title, "dim"), f"  {first}")
    for line in rest:
        table.line(f"  {' ' * len(title)}  {line}")
