"""/metrics: what `observe/metrics.py` has to say, in Prometheus's text format.

Rules of this file
- It needs the role of a viewer, like everything that tells something.
- `shiftboss.observe.metrics.exposition(views) -> (bytes, content type)` makes it, in a thread, from the store at scrape
  time; where that is not installed the answer says what to install.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from shiftboss.app.orchestrator import Orchestrator
from shiftboss.app.views import Views
from shiftboss.web.access import Gate, Role
from shiftboss.web.operation import admitted
from shiftboss.web.problems import Problem

Exposition = Callable[[Views], tuple[bytes, str]]


class Metrics:
    def __init__(self, boss: Orchestrator, gate: Gate) -> None:
        self._boss = boss
        self._gate = gate

    async def answer(self, request: Request) -> Response:
        await admitted(self._gate, request, Role.VIEWER)
        data, content_type = await self._boss.ask(_exposition())
        return Response(data, headers={"content-type": content_type})


def _exposition() -> Exposition:
    """Raises Problem."""
    try:
        module = importlib.import_module("shiftboss.observe.metrics")
    except ImportError:
        raise Problem(
            501, "no-metrics", "Metrics are not installed here; run: pip install 'shiftboss[metrics]'"
        ) from None
    found: Exposition = module.exposition
    return found
