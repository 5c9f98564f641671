"""Errors as `application/problem+json` (RFC 9457): the only place that maps errors to statuses.

Rules of this file
- An error that the caller can fix is a 4xx, one that an operator must look at a 503, and our own mistake a 500 without
  details.
- `type` is stable, `detail` is the error's own message: the thing, the fact, the remedy.
- If two lines of the table match an error, the first counts: the narrower class is above the wider.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
from starlette.responses import Response

from shiftboss import errors
from shiftboss.logs import get_logger

log = get_logger("shiftboss.web")

TYPE = "urn:shiftboss:problem:"
RETRY_AFTER_S = 2
MAX_REFUSED = 1000  # of many triggers, in an answer; `refused_count` says how many there are
MAX_DETAIL_CHARS = 500  # of each of them
STATUSES: tuple[tuple[type[errors.ShiftbossError], int], ...] = (
    (errors.UnknownWorker, 404),
    (errors.UnknownRun, 404),
    (errors.UnknownNode, 404),
    (errors.WorkerDisabled, 409),
    (errors.DuplicateKey, 409),
    (errors.NotAllowed, 409),
    (errors.WrongPayload, 422),
    (errors.TriggersRefused, 422),
    (errors.NotStarted, 503),
    (errors.CallerError, 400),
    (errors.OperatorError, 503),
)


class Problem(Exception):
    """An answer that is no success.  *kind* is the end of its type; *facts* are further members."""

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        *,
        headers: dict[str, str] | None = None,
        by: str = "",
        **facts: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.headers = headers or {}
        self.by = by  # the user, if known: for our log, not for the answer
        self.facts = facts

    def response(self) -> Response:
        body = {
            "type": TYPE + self.kind,
            "title": self.kind.replace("-", " ").capitalize(),
            "status": self.status,
            "detail": self.detail,
            **self.facts,
        }
        return Response(
            harmless(msgspec.json.encode(body)), self.status, self.headers, media_type="application/problem+json"
        )


def problem_of(error: BaseException) -> Problem:
    """The HTTP answer to an error.  Our own mistakes are logged, and the answer shows nothing of them."""
    if isinstance(error, Problem):
        return error
    status = next((status for kind, status in STATUSES if isinstance(error, kind)), None)
    if status is None:
        log.error("a request failed because of a bug in shiftboss", exc_info=error)
        return Problem(500, "internal-error", "This is a bug in shiftboss; the server's log has the details.")
    facts: dict[str, Any] = {}
    if isinstance(error, errors.StoreUnavailable):
        facts["maybe_stored"] = error.maybe_stored
    if isinstance(error, errors.TriggersRefused):
        facts |= {"refused_count": len(error.refused), "refused": list(map(_refusal, error.refused[:MAX_REFUSED]))}
    headers = {"retry-after": str(RETRY_AFTER_S)} if status == 503 else {}
    return Problem(status, kind_of(type(error)), str(error), headers=headers, **facts)


def _refusal(refused: errors.RefusedTrigger) -> dict[str, Any]:
    detail = str(refused.error)
    return {
        "place": refused.place,
        "worker": refused.worker,
        "type": TYPE + kind_of(type(refused.error)),
        "detail": detail if len(detail) <= MAX_DETAIL_CHARS else f"{detail[:MAX_DETAIL_CHARS]}…",
    }


def kind_of(error: type[BaseException]) -> str:
    """UnknownWorker → "unknown-worker"."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", error.__name__).lower()


def harmless(data: bytes) -> bytes:
    """*data*, JSON, made safe if taken for markup: `<`, `>` and `&`, which only strings contain, are escaped."""
    return data.replace(b"<", b"\\u003c").replace(b">", b"\\u003e").replace(b"&", b"\\u0026")
