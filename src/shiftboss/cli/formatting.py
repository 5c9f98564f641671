"""How states look and read: the styles and the short phrases that several commands share.

Rules of this file
- A state is always a word; colour only repeats it.
- Symbols have fallbacks for terminals whose encoding lacks them.
"""

from __future__ import annotations

import sys
from datetime import datetime

from shiftboss.app.status import RunningRun, SystemStatus, WorkerStatus
from shiftboss.cli import messages, times
from shiftboss.cli.table import Cell
from shiftboss.core.health import HealthReason
from shiftboss.core.model import Disabled, Origin, Pause, Progress, Run, Status
from shiftboss.core.printable import one_line

HEALTH_STYLES = {
    "healthy": "green",
    "degraded": "yellow",
    "unhealthy": "red",
    "draining": "yellow",
    "offline": "red",
    "disabled": "magenta",
    "unknown": "dim",
}
STATUS_STYLES = {
    Status.PENDING: "",
    Status.RUNNING: "cyan",
    Status.SUCCEEDED: "green",
    Status.DEAD: "red",
    Status.CANCELLED: "yellow",
    Status.SKIPPED: "dim",
}
SOURCES = {
    Origin.OCCURRENCE: "schedule",
    Origin.ITERATION: "loop",
    Origin.TRIGGER: "trigger",
    Origin.AFTER: "upstream run",
    Origin.REPLAY: "replay",
}
NODE_STYLES = {
    "running": "green",
    "draining": "yellow",
    "client": "dim",
    "frozen": "yellow",
    "gone": "red",
    "no lease": "red",
}
GOOD = ("healthy", "unknown")  # H1: nobody needs to look
ASCII = {"✓": "ok", "✕": "x", "●": "*", "—": "-", "…": "...", "█": "#", "░": ".", "·": "|", "→": "->", "↩": "<-"}
NOTHING = Cell("—", "dim")
BAR_CELLS = 20
LONG_SILENCE_S = 30.0  # progress is stored once a second: after 30 s of silence its age is shown


def sign(symbol: str) -> str:
    """The symbol, or its fallback."""
    return symbol if messages.can_say(symbol, sys.stdout) else ASCII.get(symbol, "?")


def nothing() -> Cell:
    return Cell(sign("—"), "dim")


def health(status: str) -> Cell:
    return Cell(status, HEALTH_STYLES.get(status, ""))


def status(run: Run) -> Cell:
    return Cell(run.status.value, STATUS_STYLES[run.status])


def mark(*, ok: bool) -> Cell:
    return Cell(sign("✓"), "green") if ok else Cell(sign("✕"), "red")


def last_run(worker: WorkerStatus, now: datetime) -> Cell:
    """The latest verdict, and when its attempt began."""
    at = worker.last_run_at
    if at is None:
        return nothing()
    if worker.latest is None:
        return Cell(f"  {times.ago(at, now)}", "")
    ok = worker.latest.ok
    return Cell(f"{sign('✓' if ok else '✕')} {times.ago(at, now)}", "" if ok else "red")


def next_run(worker: WorkerStatus, now: datetime) -> Cell:
    """When the next run is due; if it is due and does not start, since when."""
    at = worker.next_due_at
    if not worker.enabled or at is None:
        return nothing()
    if worker.paused is not None:
        return Cell("paused", "magenta")
    if at > now:
        return Cell(times.until(at, now))
    waited = times.rough((now - at).total_seconds())
    return Cell(f"held for {waited}", "yellow") if worker.holds else Cell(f"due {waited} ago")


def count(number: int, style: str = "") -> Cell:
    """A number that matters only if it is above zero."""
    return Cell(str(number), style if number else "dim")


def due(number: int) -> Cell:
    """A number of due runs; stores count up to 1,001."""
    return count(number) if number <= 1000 else Cell(">1000", "yellow")


def progress(latest: Progress | None, now: datetime) -> str:
    """ "█████░░░░░  50 % page 3"; after a long silence with its age."""
    if latest is None:
        return ""
    share = _share(latest)
    drawn = "" if share is None else f"{bar(share)} {share * 100:3.0f} %"
    in_words = progress_in_words(latest) if share is None else f"{drawn}{_message(latest)}"
    silent_s = 0.0 if latest.at is None else (now - latest.at).total_seconds()
    return f"{in_words} ({times.rough(silent_s)} ago)" if silent_s >= LONG_SILENCE_S else in_words


def progress_in_words(latest: Progress | None) -> str:
    """ "50 % page 3", without a bar; without a total "8 done"."""
    if latest is None:
        return ""
    share = _share(latest)
    return f"{latest.done:g} done{_message(latest)}" if share is None else f"{share * 100:.0f} %{_message(latest)}"


def _share(latest: Progress) -> float | None:
    return min(1.0, max(0.0, latest.done / latest.total)) if latest.total and latest.total > 0 else None


def _message(latest: Progress) -> str:
    return f" {one_line(latest.message)}" if latest.message else ""


def bar(share: float) -> str:
    filled = round(share * BAR_CELLS)
    return sign("█") * filled + sign("░") * (BAR_CELLS - filled)


def running(run: RunningRun) -> Cell:
    """What is unusual about a run in progress."""
    if run.zombie:
        return Cell(f"zombie: {'cancelled' if run.cancelling else 'timed out'}, but its code is still running", "red")
    return Cell("cancellation requested", "yellow") if run.cancelling else Cell("")


def slots(status: SystemStatus) -> str:
    """ "2 nodes, 3/40 slots"."""
    live = [node for node in status.nodes if node.live and node.mode != "client"]
    if not live:
        return "no live node"
    used, all_ = sum(node.used for node in live), sum(node.slots for node in live)
    return f"{plural(len(live), 'node')}, {used}/{plural(all_, 'slot')}"


def plural(number: int, word: str) -> str:
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def reason(health_reason: HealthReason, worker: WorkerStatus, now: datetime) -> str:
    """A reason beside its worker's name; for a disabled worker the time is worded as everywhere else here."""
    if health_reason.fact == "disabled" and worker.disabled is not None:
        return disabled(worker.disabled, now) + _of_triggers(worker, worker.disabled, now)
    return health_reason.text


def disabled(switch: Disabled, now: datetime) -> str:
    """ "disabled by ada 4 min ago: the gateway is being moved", "disabled automatically 2 min ago: …"."""
    why = f": {switch.reason}" if switch.reason else ""
    return f"{switch.how} {times.ago(switch.since, now)}{why}"


def paused(pause: Pause, now: datetime) -> str:
    """ "paused by ada, resumes in 2 h: the shop is being moved"."""
    by = f" by {pause.by}" if pause.by else ""
    until = f", resumes {times.until(pause.until, now)}" if pause.until is not None else ""
    return f"paused{by}{until}{f': {pause.reason}' if pause.reason else ''}"


def _of_triggers(worker: WorkerStatus, switch: Disabled, now: datetime) -> str:
    """K5: what becomes of triggers meanwhile."""
    if not worker.accepts:
        return "; triggers are refused"
    if switch.probation_until is None:
        return "; triggers are accepted and wait until it is enabled"
    return f"; triggers are accepted and wait for a test run at {times.clock(switch.probation_until, now)}"


def error(kind: str, message: str) -> str:
    """ "ReadTimeout: no answer"; the class without its module."""
    short = kind.rpartition(".")[2]
    text = one_line(message).removeprefix(f"{short}: ")
    return f"{short}: {text}" if text else short


def took(run: Run) -> str:
    """How long its last attempt took; empty if none has ended."""
    return times.span(run.attempts[-1].duration_s) if run.attempts else ""


def cause(run: Run) -> str:
    """ "dead (timeout)"; only the status if the cause repeats it."""
    if run.cause is None or run.cause.value == run.status.value:
        return run.status.value
    return f"{run.status} ({run.cause.value.replace('_', ' ')})"


def with_remedy(text: str, remedy: str) -> list[Cell]:
    """The cells of a finding: the fact, and below it the remedy; on one line off a terminal."""
    arrow = f"{sign('→')} {remedy}"
    if not remedy:
        return [Cell(text)]
    if not messages.is_terminal(sys.stdout):
        return [Cell(f"{text} {arrow}")]
    return [Cell(text), Cell(arrow, "cyan")]


def in_bytes(number: int) -> str:
    size = float(number)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 10 else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
