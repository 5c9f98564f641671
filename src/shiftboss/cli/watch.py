"""`shiftboss status --watch`: a live page on a terminal, a line for every change elsewhere.

Rules of this file
- It waits for the store's notifications; on a terminal it also draws every second, because times on the page change.
- It draws at most four times a second, however busy the store is.
- If the store does not answer, it says so and waits (H5).  Ctrl-C ends it, and that is no failure.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from shiftboss.app.status import SystemStatus, WorkerStatus
from shiftboss.app.views import Views
from shiftboss.cli import dump, formatting, hold_text, messages, overview, table, times
from shiftboss.cli.exits import Exit
from shiftboss.core.health import StoreTrouble
from shiftboss.errors import StoreUnavailable

if TYPE_CHECKING:
    from rich.console import Console, Group

TURN_S = 1.0
MIN_TURN_S = 0.25  # people see no more, and every turn reads all workers
ASK_AGAIN_S = 1.0  # of a store that does not answer


class _Terminated(Exception):
    """SIGTERM as an exception, so that the screen is restored on the way out."""


def watch_status(views: Views, names: tuple[str, ...], *, as_json: bool) -> int:
    """Show until Ctrl-C (0) or SIGTERM (143)."""
    overview.only(views.status(), names)  # an unknown name is an error at once
    console = None if as_json else table.console()
    try:
        with _sigterm_raises():
            if console is not None:
                show_live(console, views, names)
            else:
                _print_changes(views, names, as_json=as_json)
    except KeyboardInterrupt:
        return Exit.DONE
    except _Terminated:
        return Exit.TERMINATED
    return Exit.DONE


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    def on_term(number: int, frame: object) -> None:
        raise _Terminated

    before = signal.signal(signal.SIGTERM, on_term)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _answers(views: Views, names: tuple[str, ...]) -> Iterator[SystemStatus | str]:
    """One status after the other, without end; or what is wrong with the store."""
    pause = threading.Event()
    while True:
        try:
            yield overview.only(views.status(), names)
            pause.wait(MIN_TURN_S)
            views.wait(TURN_S - MIN_TURN_S)
        except StoreUnavailable as error:
            yield str(StoreTrouble.of(error))
            pause.wait(ASK_AGAIN_S)


# ── on a terminal ────────────────────────────────────────────────────────────────────────────────────────────────


def show_live(
    console: Console,
    views: Views,
    names: tuple[str, ...] = (),
    *,
    until: Callable[[], bool] = lambda: False,
    foot: Callable[[], str] = str,
) -> None:
    """The live page, on a screen of its own that is restored afterwards; without end, or until *until* returns True."""
    from rich.live import Live

    last: SystemStatus | None = None
    with Live(console=console, screen=True, auto_refresh=False, vertical_overflow="crop") as live:
        for answer in _answers(views, names):
            trouble = answer if isinstance(answer, str) else ""
            last = last if isinstance(answer, str) else answer
            live.update(_page(last, trouble, console, foot()), refresh=True)
            if until():
                return


def _page(status: SystemStatus | None, trouble: str, console: Console, foot: str) -> Group:
    from rich.console import Group
    from rich.text import Text

    parts: list[object] = []
    if trouble:
        parts.append(table.joined(table.Cell(trouble, "bold red")))
    if status is not None:
        clock = table.Cell(f"{times.clock(status.at, status.at)}  ", "dim")
        parts.append(table.joined(clock, *overview.headline(status), cut=True))
        for section in overview.sections(status, height=console.height):
            parts += ["", table.rendered(*section, width=console.width)]
        if not status.workers:
            parts += ["", Text("no worker is stored yet", style="dim")]
    parts += ["", Text(f"{foot}Ctrl-C ends", style="dim")]
    return Group(*parts)  # type: ignore[arg-type]  # all of them are renderable


# ── elsewhere ────────────────────────────────────────────────────────────────────────────────────────────────────


def _print_changes(views: Views, names: tuple[str, ...], *, as_json: bool) -> None:
    """At first one line for each worker, then one for each change of a worker."""
    known: dict[str, tuple[object, ...]] = {}
    trouble = ""
    for answer in _answers(views, names):
        if isinstance(answer, str):
            if answer != trouble:
                messages.warn(answer)
            trouble = answer
            continue
        trouble = ""
        for worker in answer.workers:
            state = _state(worker)
            if known.get(worker.name) != state:
                known[worker.name] = state
                dump.line(worker) if as_json else messages.say(_change(worker, answer))
        for name in known.keys() - {worker.name for worker in answer.workers}:
            del known[name]
            messages.note(f"{name} was forgotten")
        sys.stdout.flush()


def _state(worker: WorkerStatus) -> tuple[object, ...]:
    """The facts whose change makes a new line."""
    gates = tuple((hold.gate, hold.subject) for hold in worker.holds)
    return worker.health, worker.running, worker.latest, worker.dead_letters, worker.breaker, worker.enabled, gates


def _change(worker: WorkerStatus, status: SystemStatus) -> str:
    latest = "-" if worker.latest is None else "ok" if worker.latest.ok else "failed"
    facts = [
        times.stamp(status.at),
        worker.name,
        worker.health,
        f"running={worker.running}",
        f"due={worker.due}",
        f"dead={worker.dead_letters}",
        f"latest={latest}",
    ]
    if worker.enabled and worker.holds:
        facts.append("held: " + "; ".join(hold_text.sentence(hold, status.at) for hold in worker.holds))
    facts += [f"({formatting.reason(reason, worker, status.at)})" for reason in worker.reasons]
    return " ".join(facts)
