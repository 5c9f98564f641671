"""When `shiftboss run` ends by itself: after a while (--for), or when nothing is left to do (--burst).

Rules of this file
- Nothing is left if nothing runs here, and whatever is due waits for something that no run in progress will bring: a
  person, a time, another application.  Continuous workers never keep a burst alive.
- The store's notifications say when to look; nothing polls.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from datetime import datetime

from shiftboss.app.orchestrator import Orchestrator
from shiftboss.app.status import SystemStatus, WorkerStatus
from shiftboss.app.views import Views
from shiftboss.core.worker import Mode
from shiftboss.engine.engine import Engine
from shiftboss.errors import ShiftbossError

LOOK_AGAIN_S = 5.0  # wall clocks jump

Until = Callable[[Engine], None]


@contextlib.contextmanager
def conditions(boss: Orchestrator, *, for_s: float | None, burst: bool) -> Iterator[Until]:
    """The function to call with the engine once it runs."""
    with contextlib.ExitStack() as stack:

        def until(engine: Engine) -> None:
            if for_s is not None:
                timer = threading.Timer(for_s, engine.stop, kwargs={"owns_process": True})
                timer.daemon = True
                stack.callback(timer.cancel)
                timer.start()
            if burst:
                views = boss.new_views()
                watcher = threading.Thread(
                    target=_stop_when_idle, args=(boss, engine, views), name="shiftboss-burst", daemon=True
                )
                watcher.start()

        yield until


def _stop_when_idle(boss: Orchestrator, engine: Engine, views: Views) -> None:
    """Runs in its own thread.  A store that fails or closes ends the watch; the engine reports what is wrong."""
    with contextlib.suppress(ShiftbossError), contextlib.closing(views):
        while not engine.over.done():
            status = views.status()
            if not _is_busy(boss, status):
                break
            views.wait(_next_look_s(status))
    with contextlib.suppress(ShiftbossError):
        engine.stop(owns_process=True)


def _is_busy(boss: Orchestrator, status: SystemStatus) -> bool:
    ours = [worker for worker in status.workers if boss.only(worker.name) and worker.name in boss.definitions]
    return any(_may_do_something(worker, status.at) for worker in ours if worker.mode != Mode.CONTINUOUS)


def _may_do_something(worker: WorkerStatus, now: datetime) -> bool:
    if worker.running:
        return True
    is_due = worker.next_due_at is not None and worker.next_due_at <= now
    return is_due and all(hold.is_passing for hold in worker.holds)


def _next_look_s(status: SystemStatus) -> float:
    """Seconds until a hold ends without an event; of everything else a notification comes."""
    instants = [hold.until for worker in status.workers for hold in worker.holds if hold.until is not None]
    waits = [(at - status.at).total_seconds() for at in instants if at > status.at]
    return min([LOOK_AGAIN_S, *waits])
