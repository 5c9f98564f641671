"""The system's health for /healthz, assessed in a thread of its own: a probe must not wait for other readers.

Rules of this file
- One query runs at a time, and all probes that wait share its answer.  The next begins EVERY_S later at the earliest:
  a client that asks without pause waits for that, and costs the store at most four queries a second.
- A probe that has waited long enough gets the last answer, if that is not too old.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future

from shiftboss.app.orchestrator import Orchestrator
from shiftboss.app.views import Views
from shiftboss.clock import SystemClock
from shiftboss.core.health import SystemHealth
from shiftboss.errors import NotStarted
from shiftboss.ports.faces import WorkerFilter

GOOD_FOR_S = 15.0  # as long as a node may be silent before that counts as trouble
CLOSE_WITHIN_S = 1.0
EVERY_S = 0.25  # together with a quick answer still within the 0.6 s that a probe waits

WORST = WorkerFilter(limit=100)  # workers whose reasons a probe names

_clock = SystemClock()  # a probe waits in real time


class HealthCheck:
    """Belongs to one start of *boss*; `store` identifies it."""

    def __init__(self, boss: Orchestrator) -> None:
        self.store = boss.store
        self._boss = boss
        self._lock = threading.Lock()  # protects the two below
        self._asked: Future[SystemHealth] | None = None
        self._is_closed = False
        self._reading = threading.Lock()  # held while the views are used
        self._views: Views | None = None
        self._last: tuple[SystemHealth, float] | None = None
        self._begun_s = float("-inf")  # when the newest query of the store began
        self._closing = threading.Event()
        boss.attach(self.close)

    async def health(self, within_s: float) -> SystemHealth | None:
        """None if there is no answer in time.  Raises NotStarted, and what the store raises."""
        asked = self._ask()
        waiting = asyncio.wrap_future(asked)
        waiting.add_done_callback(lambda future: future.cancelled() or future.exception())  # retrieved, also if late
        done, _ = await asyncio.wait([waiting], timeout=within_s)
        if done:
            return asked.result()
        if self._last is None:
            return None
        health, at_s = self._last
        return health if _clock.monotonic_s() - at_s < GOOD_FOR_S else None

    def close(self) -> None:
        """Called before the store is closed; does not wait for a store that does not answer."""
        with self._lock:
            self._is_closed = True
        self._closing.set()
        if self._reading.acquire(timeout=min(CLOSE_WITHIN_S, self._boss.shutdown_left_s)):
            try:
                if self._views is not None:
                    self._views.close()
                    self._views = None
            finally:
                self._reading.release()

    def _ask(self) -> Future[SystemHealth]:
        with self._lock:
            if self._is_closed:
                raise NotStarted("the orchestrator has stopped")
            if self._asked is None:
                asked: Future[SystemHealth] = Future()
                threading.Thread(target=self._judge, args=(asked,), name="shiftboss-health", daemon=True).start()
                self._asked = asked
            return self._asked

    def _judge(self, asked: Future[SystemHealth]) -> None:
        try:
            self._closing.wait(max(0.0, self._begun_s + EVERY_S - _clock.monotonic_s()))
            with self._reading:
                self._begun_s = _clock.monotonic_s()
                if self._is_closed:
                    raise NotStarted("the orchestrator has stopped")
                if self._views is None:
                    self._views = self._boss.new_views()
                health = self._views.health(WORST)
            self._last = health, _clock.monotonic_s()
        except BaseException as error:  # noqa: BLE001  # passed on to the callers
            self._over()
            asked.set_exception(error)
        else:
            self._over()
            asked.set_result(health)

    def _over(self) -> None:
        with self._lock:
            self._asked = None
