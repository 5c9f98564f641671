"""Is it alive, is it ready, is it well: for whoever restarts, routes and alarms.

Rules of this file
- /livez never asks the store: a store that is away must not get processes killed.
- /readyz is 503 as soon as a stop is asked for (G1), and while the store cannot be read.
- They are for everybody whom the gate does not keep out altogether, and tell a word; reasons are for viewers.
"""

from __future__ import annotations

import asyncio

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from shiftboss.app.orchestrator import Orchestrator
from shiftboss.app.views import Views
from shiftboss.core.health import Health, in_a_word
from shiftboss.errors import ShiftbossError
from shiftboss.web.access import Closed, Gate
from shiftboss.web.problems import RETRY_AFTER_S, Problem, harmless

READY_WITHIN_S = 2.0


class Probe(msgspec.Struct, frozen=True):
    """A word, and for viewers the reasons."""

    status: str
    reasons: tuple[str, ...] = ()


class Probes:
    def __init__(self, boss: Orchestrator, gate: Gate) -> None:
        self._boss = boss
        self._gate = gate

    async def livez(self, request: Request) -> Response:
        """200 as long as this process answers."""
        return await self._answer(request, 200, "alive", ())

    async def readyz(self, request: Request) -> Response:
        """200 when it is started, its store can be read, and no stop was asked for."""
        boss = self._boss
        if boss.is_stopping:
            return await self._answer(request, 503, "stopping", ("it is not started, or was told to stop",))
        if boss.trouble is not None:
            return await self._answer(request, 503, "store", (boss.trouble,))
        try:
            async with asyncio.timeout(READY_WITHIN_S):
                await boss.ask(Views.last_event)
        except TimeoutError:
            return await self._answer(request, 503, "store", (f"no answer within {READY_WITHIN_S:g} s",))
        except ShiftbossError as error:
            return await self._answer(request, 503, "store", (str(error),))
        return await self._answer(request, 200, "ready", ())

    async def healthz(self, request: Request) -> Response:
        """200 when the system is healthy, degraded or draining, 503 when it is unhealthy (H3)."""
        try:
            async with asyncio.timeout(READY_WITHIN_S):
                health = await self._boss.ask(Views.health)
        except TimeoutError:
            return await self._answer(request, 503, "unhealthy", (f"no answer within {READY_WITHIN_S:g} s",))
        except ShiftbossError as error:
            word = "stopping" if self._boss.is_stopping else "unhealthy"
            return await self._answer(request, 503, word, (str(error),))
        code = 503 if health.status == Health.UNHEALTHY else 200
        word = in_a_word(health.status, health.reasons)
        return await self._answer(request, code, word, tuple(str(each) for each in health.reasons))

    async def _answer(self, request: Request, code: int, status: str, reasons: tuple[str, ...]) -> Response:
        try:
            access = await self._gate.access(request)
        except Problem:
            if isinstance(self._gate, Closed):
                raise
            access = None
        told = Probe(status, reasons if access is not None else ())
        headers = {"retry-after": str(RETRY_AFTER_S)} if code == 503 else {}
        return Response(harmless(msgspec.json.encode(told)), code, headers, media_type="application/json")
