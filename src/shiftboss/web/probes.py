"""Liveness, readiness and health, for service managers, load balancers and monitoring.

Rules of this file
- /livez asks neither the store nor the host's `authorize`: an outage of these must not get processes killed.
- /readyz is 503 as soon as a stop is requested (G1), and while the store takes no work.  It does not query the store:
  the engine knows how the store answers.
- /readyz and /healthz answer within a second, whatever the store, another reader or `authorize` do.
- They answer everybody whom the authenticator does not reject altogether, with one word; reasons are for viewers.
"""

from __future__ import annotations

import asyncio
import threading

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from shiftboss.app.orchestrator import Orchestrator
from shiftboss.app.roles import Role
from shiftboss.core.health import Health, in_a_word
from shiftboss.errors import NotStarted, ShiftbossError
from shiftboss.logs import get_logger
from shiftboss.web.access import Access, Authenticator, Closed
from shiftboss.web.health_check import HealthCheck
from shiftboss.web.problems import RETRY_AFTER_S, Problem, harmless

log = get_logger("shiftboss.web")

JUDGED_WITHIN_S = 0.6  # together with the next one still within the second that a probe waits by default
ADMITTED_WITHIN_S = 0.2  # for the host to identify the user; after that the request counts as anonymous
READY_CONTACT_S = 15.0  # an idle engine contacts the store every five seconds


class Probe(msgspec.Struct, frozen=True, omit_defaults=True):
    """One word; for viewers also the reasons, and the age of the store's last answer to this process."""

    status: str
    reasons: tuple[str, ...]
    last_contact_age_s: float | None = None


class Probes:
    def __init__(self, boss: Orchestrator, authenticator: Authenticator) -> None:
        self._boss = boss
        self._authenticator = authenticator
        self._lock = threading.Lock()  # protects the health check: servers in two threads may create it
        self._known: HealthCheck | None = None

    async def livez(self, request: Request) -> Response:
        """200 as long as this process answers and its engine has not ended by an internal error."""
        if isinstance(self._authenticator, Closed):  # mounted without authorize=: nothing is accessible
            await self._authenticator.access(request)
        if self._boss.has_failed:
            return _response(503, Probe("failed", ()))
        return _response(200, Probe("alive", ()))

    async def readyz(self, request: Request) -> Response:
        """200 if it is started, its store takes work, and no stop was requested."""
        boss = self._boss
        age_s = boss.contact_age_s
        if boss.is_stopping or age_s is None:
            return await self._answer(request, 503, "stopping", ("it is not started, or is stopping",))
        trouble = boss.trouble
        if trouble is not None:
            return await self._answer(request, 503, "store", (trouble,))
        if age_s > READY_CONTACT_S:
            return await self._answer(
                request, 503, "store", (f"the engine has not reached the store for {age_s:.0f} s",)
            )
        return await self._answer(request, 200, "ready", ())

    async def healthz(self, request: Request) -> Response:
        """200 if the system is healthy, degraded or draining, 503 if it is unhealthy (H3)."""
        boss = self._boss
        trouble = boss.trouble
        if trouble is not None:
            return await self._answer(request, 503, "unhealthy", (trouble,))
        try:
            health = await self._judge().health(JUDGED_WITHIN_S)
        except ShiftbossError as error:
            word = "stopping" if boss.is_stopping and isinstance(error, NotStarted) else "unhealthy"
            return await self._answer(request, 503, word, (str(error),))
        if health is None:
            return await self._answer(
                request, 503, "unhealthy", (f"the store could not be read within {JUDGED_WITHIN_S:g} s",)
            )
        code = 503 if health.status == Health.UNHEALTHY else 200
        word = in_a_word(health.status, health.reasons)
        reasons = [str(each) for each in health.reasons]
        if health.next is not None:
            left_out = health.matching - len(health.workers)
            reasons.append(f"{left_out:,} more workers are not named here: GET /api/v1/health lists them")
        return await self._answer(request, code, word, tuple(reasons))

    def _judge(self) -> HealthCheck:
        """Raises NotStarted."""
        with self._lock:
            if self._known is None or self._known.store is not self._boss.store:
                self._known = HealthCheck(self._boss)
            return self._known

    async def _answer(self, request: Request, code: int, status: str, reasons: tuple[str, ...]) -> Response:
        access = await self._access(request)
        if access is None or access.role < Role.VIEWER:
            return _response(code, Probe(status, ()))
        age_s = self._boss.contact_age_s
        return _response(code, Probe(status, reasons, None if age_s is None else round(age_s, 1)))

    async def _access(self, request: Request) -> Access | None:
        """Raises Problem if nobody may see anything."""
        try:
            async with asyncio.timeout(ADMITTED_WITHIN_S):
                return await self._authenticator.access(request)
        except Problem:
            if isinstance(self._authenticator, Closed):
                raise
            return None
        except Exception as error:  # noqa: BLE001  # the host's error: the probe is answered nevertheless
            log.debug("a probe was answered without reasons because authorize= failed: %s", error)
            return None


def _response(code: int, probe: Probe) -> Response:
    headers = {"retry-after": str(RETRY_AFTER_S)} if code == 503 else {}
    return Response(harmless(msgspec.json.encode(probe)), code, headers, media_type="application/json")
