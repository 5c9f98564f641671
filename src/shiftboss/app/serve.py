"""`boss.run()`: own the process until it is told to end.

Rules of this file
- The end comes in time: with a stuck thread, a body that swallows its cancellation, a loop that is blocked (G3).
- What a stuck body held is handed back as the last act of the process, and then the process does end (G2).
"""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from shiftboss.app.signals import heard, leave_at_once
from shiftboss.app.systemd import unit_of_environment
from shiftboss.engine.engine import Engine
from shiftboss.engine.shutdown import ShutdownReport
from shiftboss.errors import NotAllowed

if TYPE_CHECKING:
    from shiftboss.app.orchestrator import Orchestrator

TIDY_S = 1.0  # after the report: for the loop to close; then the process ends all the same
# Objects made before the collector looks at the youngest: Python's 700 are far fewer than one cycle of the engine
# makes, and a fifth of the processor went into looking (measured: 67 µs a run became 54).  20,000 are a few MiB.
COLLECT_AFTER = (20_000, 20, 20)
FORCED = 128  # exit codes 130 and 143: forced out by a second signal


def serve(boss: Orchestrator, *, until: Callable[[Engine], None] | None = None) -> ShutdownReport:
    """Start *boss* on a loop of its own and block until it has stopped.

    *until* is called with the engine once it runs (the command's --for and --burst).  From the main thread only.
    """
    if threading.current_thread() is not threading.main_thread():
        raise NotAllowed("run() owns the process and its signals: call it from the main thread, or use start and stop")
    collect_seldom()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    unit = unit_of_environment(boss.clock)
    engine = boss._make_engine(loop, is_client=False)
    ending: list[int] = []

    def on_end(number: int) -> None:
        ending.append(number)
        engine.stop(owns_process=True)

    with heard(on_end):
        watcher = threading.Thread(target=_end_in_time, args=(engine, ending), name="shiftboss-exit", daemon=True)
        try:
            loop.run_until_complete(asyncio.wrap_future(engine.ready, loop=loop))
        except BaseException:
            boss._close()
            loop.close()
            raise
        watcher.start()
        if until is not None:
            until(engine)
        if unit is not None:
            unit.ready(engine)
        report = loop.run_until_complete(asyncio.wrap_future(engine.over, loop=loop))
        boss._close()
        _close_loop(loop)
        if unit is not None:
            unit.close()
        report.signal = ending[-1] if ending else None
        return report


def collect_seldom() -> None:
    """Let garbage wait a little longer, in a process that is ours; whoever chose otherwise keeps their choice."""
    first = gc.get_threshold()[0]
    if 0 < first < COLLECT_AFTER[0]:
        gc.set_threshold(*COLLECT_AFTER)


def _end_in_time(engine: Engine, ending: list[int]) -> None:
    """Whatever the main thread is doing: soon after the report the process is over."""
    report = engine.over.result()
    if report.stuck:
        leave_at_once(exit_code(report, ending))
    main = threading.main_thread()
    main.join(TIDY_S + 5.0)


def exit_code(report: ShutdownReport, ending: list[int]) -> int:
    """G4: 130 or 143 when further signals forced it out and something was cut short for that."""
    if report.forced and (report.interrupted or report.stuck) and ending:
        return FORCED + ending[-1]
    return report.exit_code


def _close_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel what is left on the loop and give it a moment; nothing of ours is among it."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.wait(tasks, timeout=TIDY_S))
    loop.run_until_complete(loop.shutdown_asyncgens())
    asyncio.set_event_loop(None)
    loop.close()
