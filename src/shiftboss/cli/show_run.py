"""The page of one run: how it ended and where, state, attempts, output, log, payload, result, chain.

Rules of this file
- The most important comes first: the error below the name, and in the table how each attempt ended.
- Of everything long the end is shown, and how to see the rest.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime

import msgspec

from shiftboss.app.pages import PageOfRun
from shiftboss.cli import formatting, messages, table, times
from shiftboss.cli.table import Cell, Column
from shiftboss.core.model import MAX_LINES, Attempt, Cause, DeadLetter, Error, Run, Status
from shiftboss.core.opaque import OpaqueBytes
from shiftboss.core.printable import lines_of
from shiftboss.core.unreadable import REMEDY

TRACEBACK_LINES = 12  # the innermost frames; --json has all that is kept
OUTPUT_LINES = {"stderr": 12, "stdout": 4}  # of a program that failed: its complaint, and how far it had come
MAX_SHOWN_CHARS = 4000  # of a payload or result
SHORT_CHARS = 80  # a value that fits into one line is shown on one
NOBODYS_FAULT = (Cause.CANCELLED, Cause.INTERRUPTED, Cause.RESCUED)
OUTPUT_MARK = "── "  # before each stream in the error of a command
FACTS = (Column(""), Column("", wraps=True, gives=True))
ATTEMPTS = (
    Column("ATTEMPT", right=True),
    Column("STARTED"),
    Column("DURATION", right=True),
    Column("OUTCOME"),
    Column("NODE"),
    Column("ERROR", gives=True),
)


# ── for people ───────────────────────────────────────────────────────────────────────────────────────────────────


def show(page: PageOfRun) -> None:
    run = page.run
    style = formatting.STATUS_STYLES[run.status]
    table.line(Cell(run.worker, "bold"), f"  run {run.id}  ", Cell(formatting.cause(run), f"bold {style}".strip()))
    if run.unreadable is not None:
        table.line("  ", Cell(f"{run.unreadable}: below is what is known; {REMEDY}", "red"))
    if page.letter is not None and page.letter.unreadable is not None:
        table.line("  ", Cell(f"{page.letter.unreadable}; {REMEDY}", "red"))
    if run.undecodable:
        table.line("  ", Cell(f"parts of this run are {run.undecodable}", "red"))
    if run.error is not None and run.status is not Status.SUCCEEDED:
        table.line("  ", Cell(_headline(run.error), "red"))
    table.blank()
    table.show(FACTS, [(Cell(key, "dim"), text) for key, text in _facts(page)], indent="  ", header=False)
    if run.attempts:
        table.blank()
        table.show(ATTEMPTS, [_attempt(each, page) for each in run.attempts], indent="  ")
    _show_failure(run)
    _show_log(page)
    _show_data("payload", run.payload)
    _show_data("result", run.result)
    if run.result_error is not None:
        messages.note(f"its result cannot be returned: {run.result_error}")
    _hint(page)


def _hint(page: PageOfRun) -> None:
    """What a person might want to type next."""
    run = page.run
    if run.undecodable:
        messages.hint(f"with the key of an app: shiftboss show {run.id} --app APP")
    if page.letter is not None and page.letter.state == "open":
        messages.hint(f"run again: shiftboss dead replay {run.id}    close: shiftboss dead resolve {run.id} --note …")
    if run.status is Status.PENDING:
        messages.hint(f"why it does not start: shiftboss why {run.id}")
    if run.status is Status.RUNNING:
        to_end_it = f"    cancel: shiftboss cancel {run.id}" if run.cancel is None else ""
        messages.hint(f"log: shiftboss logs {run.id} -f{to_end_it}")


def _headline(error: Error) -> str:
    """The error in one line; of a program that printed a complaint only how it ended, because the complaint follows."""
    message = error.message.partition(": ")[0] if error.traceback.startswith(OUTPUT_MARK) else error.message
    return formatting.error(error.type, message)


def _facts(page: PageOfRun) -> list[tuple[str, str]]:
    run, now = page.run, page.at

    def when(at: datetime | None) -> str:
        return "" if at is None else f"{times.stamp(at)}  ({times.relative(at, now)})"

    priority = "" if run.priority.label == "normal" else f", priority {run.priority.label}"
    facts = [
        ("source", _origin(run) + priority),
        ("scheduled for", _instants(run)),
        ("created", when(run.created_at)),
        ("due", when(run.due_at) if run.status is Status.PENDING else ""),
        ("started", when(run.first_started_at)),
        ("running", _running(page)),
        ("progress", _progress(page)),
        ("ended", when(run.finished_at)),
        ("deadline", when(run.give_up_at) if run.status is Status.PENDING else ""),
        ("key", run.key or ""),
        ("interrupted", formatting.plural(run.interruptions, "time") if run.interruptions else ""),
        ("degraded", "ran although a dependency had failed, or used its fallback" if run.degraded else ""),
        ("cancel", _cancel(page)),
        ("dead letter", _letter(page.letter, now)),
        ("chain", _links(page)),
    ]
    return [fact for fact in facts if fact[1]]


def _origin(run: Run) -> str:
    by = f" by {run.by}" if run.by else ""
    forced = ", forced" if run.forced else ""
    return f"{formatting.SOURCES[run.origin]}{by}{forced}"


def _instants(run: Run) -> str:
    if run.covers_until is None or run.missed == 0:
        return times.stamp(run.occurs_at) if run.is_standing else ""
    return f"{times.stamp(run.occurs_at)}, and {run.missed:,} missed runs until {times.stamp(run.covers_until)}"


def _running(page: PageOfRun) -> str:
    claim = page.run.claim
    if claim is None:
        return ""
    at_most = "" if page.timeout_s is None else f" of {times.length(page.timeout_s)}"
    ran = times.span((page.at - claim.at).total_seconds())
    text = f"for {ran}{at_most} on node {page.nodes.get(claim.node, claim.node)}"
    if claim.zombie_since is None:
        return text
    ending = "timed out" if page.run.cancel is None else "was cancelled"
    since = times.rough((page.at - claim.zombie_since).total_seconds())
    return f"{text}; a zombie for {since}: it {ending}, but {_why_it_goes_on(page.executor)}"


def _why_it_goes_on(executor: str) -> str:
    """B6: what an operator can do about a zombie."""
    if executor == "thread":
        return "a thread ends only by itself or with its process"
    if executor.startswith("pool:"):
        return "a pool call ends only by itself or with its pool"
    return "its code ignores the cancellation" if executor == "coroutine" else "the system could not end its process"


def _progress(page: PageOfRun) -> str:
    """A bar while it runs and somebody looks; how far it came once it has ended."""
    run = page.run
    if run.status is Status.RUNNING and messages.is_terminal(sys.stdout):
        return formatting.progress(run.progress, page.at)
    text = formatting.progress_in_words(run.progress)
    if run.progress is None or run.progress.at is None or run.status is not Status.RUNNING:
        return text
    return f"{text} ({times.ago(run.progress.at, page.at)})"


def _cancel(page: PageOfRun) -> str:
    cancel = page.run.cancel
    if cancel is None:
        return ""
    text = f"{times.ago(cancel.at, page.at)} by {cancel.by or 'somebody'}"
    return f"{text}: {cancel.reason}" if cancel.reason else text


def _letter(letter: DeadLetter | None, now: datetime) -> str:
    if letter is None:
        return ""
    text = letter.state
    if letter.replayed_as is not None:
        text += f" as run {letter.replayed_as}"
    if letter.closed_by:
        text += f" by {letter.closed_by}"
    if letter.closed_at is not None:
        text += f" {times.ago(letter.closed_at, now)}"
    return f"{text}: {letter.note}" if letter.note else text


def _links(page: PageOfRun) -> str:
    arrow = f" {formatting.sign('→')} "
    linked = [f"{run.worker} {run.id}" for run in page.chain]
    later = page.letter.replayed_as if page.letter is not None else None
    after = [f"{page.run.worker} {later}"] if later is not None else []
    return arrow.join([*linked, f"this, {page.run.id}", *after]) if linked or after else ""


def _attempt(attempt: Attempt, page: PageOfRun) -> list[str | Cell]:
    ended = Cell("succeeded", "green")
    if attempt.cause is not None:
        ended = Cell(attempt.cause.value.replace("_", " "), "yellow" if attempt.cause in NOBODYS_FAULT else "red")
    error = formatting.error(attempt.error.type, attempt.error.message) if attempt.error is not None else ""
    return [
        str(attempt.number),
        times.clock(attempt.started_at, page.at),
        times.span(attempt.duration_s),
        ended,
        page.nodes.get(attempt.node, attempt.node[:8]),
        error,
    ]


def _show_failure(run: Run) -> None:
    """Where the last failed attempt was, or what its program wrote."""
    error, failed = run.error, next((each for each in reversed(run.attempts) if each.error is not None), None)
    if error is None:
        return
    if run.status is Status.SUCCEEDED and failed is not None:
        table.blank()
        table.line("  ", f"attempt {failed.number} failed: ", _headline(error))
    if error.traceback.startswith(OUTPUT_MARK):
        for title, lines in _streams(error.traceback):
            _show_lines(title, lines, OUTPUT_LINES.get(title, TRACEBACK_LINES))
    elif error.traceback:
        is_late = failed is not None and failed.cause is Cause.TIMEOUT
        title = "where it was when it timed out" if is_late else "where it failed"
        _show_lines(title, error.traceback.split("\n"), TRACEBACK_LINES)


def _streams(text: str) -> list[tuple[str, list[str]]]:
    """What a program wrote, by stream."""
    streams: list[tuple[str, list[str]]] = []
    for line in text.split("\n"):
        name = line.removeprefix(OUTPUT_MARK)
        if name != line and name in OUTPUT_LINES and name not in dict(streams):
            streams.append((name, []))
        elif streams:
            streams[-1][1].append(line)
    return streams


def _show_lines(title: str, lines: Sequence[str], most: int) -> None:
    """Print the last *most* lines that are not blank."""
    shown = lines_of("\n".join(lines).strip("\n"))
    if not shown:
        return
    left_out = f"  ({len(shown) - most:,} lines more above; --json has them)" if len(shown) > most else ""
    table.blank()
    table.line("  ", title, Cell(left_out, "dim"))
    for line in shown[-most:]:
        table.headline("    ", line)


def _show_log(page: PageOfRun) -> None:
    if not page.log:
        return
    run = page.run
    if page.executor == "command" and run.error is not None and run.error.traceback.startswith(OUTPUT_MARK):
        return  # it is the same text as under "stderr"
    table.blank()
    more = page.logged - len(page.log)
    kept = f"; the last {MAX_LINES:,} are kept" if page.logged > MAX_LINES else ""
    title = f"log of attempt {page.log[-1].attempt}" if page.log[-1].attempt > 1 else "log"
    table.line("  ", title, Cell(f"  ({more:,} lines more{kept}: shiftboss logs {run.id})" if more else "", "dim"))
    for line in page.log:
        text = line.text
        level = "" if line.level == "INFO" else f"{line.level} "
        table.headline("    ", Cell(f"{times.clock(line.at, page.at)}  ", "dim"), f"{level}{text}")


def _show_data(title: str, data: bytes | None) -> None:
    if data is None:
        return
    if isinstance(data, OpaqueBytes):
        table.blank()
        table.line("  ", Cell(title, "dim"), f"  ({data.why})")
        return
    try:
        text = msgspec.json.format(data, indent=2).decode()
        short = msgspec.json.format(data, indent=0).decode()
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        text = short = f"{len(data)} bytes that are not JSON"
    table.blank()
    if len(short) <= SHORT_CHARS:
        text = short
    if len(text) > MAX_SHOWN_CHARS:
        text = f"{text[:MAX_SHOWN_CHARS]}\n… ({len(data):,} bytes in all; --json has them)"
    first, *rest = lines_of(text) or [""]
    table.line("  ", Cell(title, "dim"), f"  {first}")
    for line in rest:
        table.line(f"  {' ' * len(title)}  {line}")
