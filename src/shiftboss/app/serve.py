"""`boss.run()`: own the process until it is told to end.

Rules of this file
- The process ends in time, even with a stuck thread, a function that swallows its cancellation, or a blocked loop (G3).
- What a stuck function held is handed back as the last act of the process, and then the process does end (G2).
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from shiftboss.app.call import running_loop
from shiftboss.app.own_loop import close_loop, new_loop
from shiftboss.app.signals import Ears, heard, leave_at_once
from shiftboss.app.systemd import unit_of_environment
from shiftboss.engine.engine import Engine
from shiftboss.engine.shutdown import ShutdownReport
from shiftboss.errors import NotAllowed

if TYPE_CHECKING:
    from shiftboss.app.orchestrator import Orchestrator

CLOSE_WITHIN_S = 6.0  # after the report: for the loop, the store and idle threads; other code may block the loop
KEEP_EARS_S = 1.0  # how soon a handler that an application adds or removes is combined with ours
# Objects made before the collector looks at the youngest.  Python's 700 are far fewer than one cycle of the engine
# makes, and a fifth of the processor went into looking (measured: 67 µs a run became 54).  20,000 are a few MiB.
COLLECT_AFTER = (20_000, 20, 20)
FORCED = 128  # exit codes 129, 130 and 143: forced out by a second signal


def serve(boss: Orchestrator, *, until: Callable[[Engine], None] | None = None) -> ShutdownReport:
    """Start *boss* on a loop of its own and block until it has stopped.

    *until* is called with the engine once it runs (the command's --for and --burst).  Raises NotAllowed outside the
    main thread and where a loop runs already.
    """
    if threading.current_thread() is not threading.main_thread():
        raise NotAllowed("run() owns the process and its signals: call it from the main thread, or use start and stop")
    if running_loop() is not None:
        raise NotAllowed(
            "run() starts its own event loop, but this thread already runs one (a notebook, an async main): use "
            "`async with boss:` or `await boss.start()` there; in a notebook boss.sync.start() works too"
        )
    collect_seldom()
    loop = new_loop()
    asyncio.set_event_loop(loop)
    unit = unit_of_environment(boss.clock)
    ending: list[int] = []
    ears: list[Ears] = []
    has_ended = threading.Event()
    with contextlib.ExitStack() as stack:

        def hear(engine: Engine) -> None:
            def on_end(number: int) -> None:
                ending.append(number)
                engine.stop(owns_process=True)

            ears.append(stack.enter_context(heard(on_end)))  # no signal is missed while its thread starts

        try:
            engine = boss.current.open(loop, is_client=False, owns_process=True, starting=hear).engine
        except BaseException:
            close_loop(loop)
            raise
        watcher = threading.Thread(
            target=_end_in_time, args=(engine, ending, has_ended), name="shiftboss-exit", daemon=True
        )
        try:
            loop.run_until_complete(asyncio.wrap_future(engine.ready, loop=loop))
            watcher.start()
        except BaseException:
            engine.stop(owns_process=True)
            boss.current.close()
            loop.close()
            raise
        _keep(ears[0], loop)
        if until is not None:
            until(engine)
        if unit is not None:
            unit.ready(engine)
        report = loop.run_until_complete(asyncio.wrap_future(engine.over, loop=loop))
        boss.current.close()
        close_loop(loop)
        has_ended.set()
        if unit is not None:
            unit.close()
        report.signal = ending[-1] if ending else None
        return report


def collect_seldom() -> None:
    """Collect garbage less often, in a process that is ours; a larger threshold, or none, is kept."""
    first = gc.get_threshold()[0]
    if 0 < first < COLLECT_AFTER[0]:
        gc.set_threshold(*COLLECT_AFTER)


def _keep(ears: Ears, loop: asyncio.AbstractEventLoop) -> None:
    """Install the handlers again every KEEP_EARS_S, on the loop: only the main thread can set them."""
    ears.keep()
    loop.call_later(KEEP_EARS_S, _keep, ears, loop)


def _end_in_time(engine: Engine, ending: list[int], has_ended: threading.Event) -> None:
    """Whatever the loop does: soon after the report either the loop has ended, or the process is ended."""
    report = engine.over.result()
    if report.stuck or not has_ended.wait(CLOSE_WITHIN_S):
        leave_at_once(exit_code(report, ending))


def exit_code(report: ShutdownReport, ending: list[int]) -> int:
    """G4: 129, 130 or 143 if further signals forced the end and something was cut short by that."""
    if report.forced and (report.interrupted or report.stuck) and ending:
        return FORCED + ending[-1]
    return report.exit_code
