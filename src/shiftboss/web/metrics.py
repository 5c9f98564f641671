"""/metrics: the metrics of `observe/metrics.py`, in Prometheus's text format.

Rules of this file
- It needs a role: `metrics`, which gives access to nothing else, or any other role.
- At most 10,000 workers have series of their own, the worst first; `shiftboss_workers` counts all of them.
- This process's work is counted from the moment the application is made, which is before the orchestrator starts.  If
  the extra is not installed, nothing is counted, and the answer says what to install.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from shiftboss.app.node import package_version
from shiftboss.app.orchestrator import Orchestrator
from shiftboss.app.roles import Role
from shiftboss.app.status import SystemStatus
from shiftboss.errors import OperatorError
from shiftboss.ports.faces import WorkerFilter
from shiftboss.web.access import Authenticator
from shiftboss.web.operation import admitted
from shiftboss.web.problems import Problem

if TYPE_CHECKING:
    from shiftboss.observe.metrics import EventCounter

MOST_WORKERS = WorkerFilter(limit=10_000)  # with series of their own: disabled ones, then the worst; 7 MB of text
STATUS_WITHIN_S = 8.0  # Prometheus gives up after ten seconds, and ten thousand workers take one


class Metrics:
    def __init__(self, boss: Orchestrator, authenticator: Authenticator) -> None:
        self._boss = boss
        self._authenticator = authenticator
        self._counted = _counting(boss)

    async def answer(self, request: Request) -> Response:
        await admitted(self._authenticator, request, Role.METRICS)
        counted = self._counted
        if counted is None:
            raise Problem(
                501, "no-metrics", "Metrics are not installed on this server; run: pip install 'shiftboss[metrics]'"
            )
        from shiftboss.observe.metrics import exposition

        boss = self._boss
        status: SystemStatus | None = None
        if boss.trouble is None:
            with suppress(OperatorError, TimeoutError):  # the process's own metrics are sent nevertheless
                async with asyncio.timeout(STATUS_WITHIN_S):
                    status = await boss.ask(lambda views: views.status(MOST_WORKERS))
        data, content_type = await asyncio.to_thread(
            exposition,
            status,
            counted,
            version=package_version(),
            is_store_up=status is not None and boss.trouble is None,
            contact_age_s=boss.contact_age_s,
            log_bytes=boss.store.log_bytes if boss.is_started else 0,
        )
        return Response(data, headers={"content-type": content_type})


def _counting(boss: Orchestrator) -> EventCounter | None:
    """Counts from now on; None if the extra is not installed."""
    try:
        from shiftboss.observe.metrics import EventCounter
    except ImportError:
        return None
    counted = EventCounter()
    boss.on_events(counted)
    boss.measure(counted)
    return counted
