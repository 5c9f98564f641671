"""The actions of the API beside the verbs (verbs.py): each function is an operation of the table.

Rules of this file
- Each makes one call of the orchestrator, which audits it in the same transaction under the authenticator's name of the
  user.
- Doing something twice is no error if the second time changes nothing.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta
from starlette.responses import Response

from shiftboss.app.fan_out import MAX_TRIGGERS, TriggerItem
from shiftboss.core.unreadable import Unreadable
from shiftboss.core.value import Value
from shiftboss.web.operation import Call, Nothing
from shiftboss.web.params import ROW_NAME, Instant, Name, Text, WorkerNamed
from shiftboss.web.problems import Problem
from shiftboss.web.sign_in import logged_in, logged_out
from shiftboss.web.status_queries import UnreadableRows, unreadable_row
from shiftboss.web.tokens import WithTokens
from shiftboss.web.verbs import Accepted, Delay, Note

RowName = Annotated[str, Meta(pattern=ROW_NAME, max_length=500)]
PriorityWord = Annotated[str, Meta(pattern=r"^(low|normal|high|critical)$")]


NULL_BYTES = b"null"
NULL = msgspec.Raw(NULL_BYTES)
Written = Annotated[  # JSON as it was sent: its bytes are stored
    msgspec.Raw, Meta(extra_json_schema={"anyOf": [{"type": "object"}, {"type": "null"}], "default": None})
]


# ── triggers ─────────────────────────────────────────────────────────────────────────────────────────────────────


class TriggerBody(msgspec.Struct, frozen=True):
    """`delay` in seconds or as "5m", or `at`; `key` makes it idempotent, and so does the header Idempotency-Key."""

    payload: Written = msgspec.field(default_factory=lambda: NULL)
    key: Text | None = None
    delay: Delay | None = None
    at: Instant | None = None
    priority: PriorityWord | None = None
    force: bool = False

    def __post_init__(self) -> None:
        if bytes(self.payload)[:1] not in (b"{", NULL_BYTES[:1]):
            raise ValueError("`payload` must be an object or null")


async def trigger(call: Call, params: WorkerNamed, body: TriggerBody) -> Accepted:
    """Store a run of a worker; answered after its commit."""
    key = call.request.headers.get("idempotency-key") or None
    if key is not None and (body.key not in (None, key) or len(key) > 500 or not key.isprintable()):
        raise Problem(400, "wrong-key", "Idempotency-Key is too long, not printable, or differs from `key`.")
    options: dict[str, Any] = {"key": body.key or key, "priority": body.priority, "force": body.force}
    if body.delay is not None:
        options["delay"] = body.delay
    if body.at is not None:
        options["at"] = body.at
    await call.ask(lambda views: views.snapshot().worker(params.worker))  # before its payload is checked
    payload = None if bytes(body.payload) == NULL_BYTES else body.payload
    handle = await call.boss.trigger(params.worker, payload, **options)
    return Accepted(handle.id, handle.worker)


class TriggerOne(TriggerBody, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One of many: its worker, and the fields of the body of a single trigger."""

    worker: Name


class TriggerManyBody(msgspec.Struct, frozen=True):
    """At most 50,000, and 8 MiB of JSON."""

    triggers: Annotated[tuple[TriggerOne, ...], Meta(max_length=MAX_TRIGGERS)] = ()


class AcceptedMany(Value, frozen=True, omit_defaults=False):
    """The stored runs in the order of the triggers, or those that the same keys had made before."""

    runs: tuple[int, ...]


async def trigger_many(call: Call, body: TriggerManyBody) -> AcceptedMany:
    """Store runs of one or several workers in one commit, or none of them; answered after it.

    The host is asked about `trigger` of each worker.  If any trigger is refused, the problem's `refused` says which and
    why.
    """
    for worker in sorted({each.worker for each in body.triggers}):
        await call.must("trigger", worker)
    handles = await call.boss.trigger_many(map(_item, body.triggers))
    return AcceptedMany(tuple(handle.id for handle in handles))


def _item(each: TriggerOne) -> TriggerItem:
    payload = None if bytes(each.payload) == NULL_BYTES else each.payload
    return TriggerItem(each.worker, payload, each.key, each.delay, each.at, each.priority, each.force)  # type: ignore[arg-type]  # the pattern has the names of priorities


# ── rows that cannot be read ─────────────────────────────────────────────────────────────────────────────────────


class SetAsideBody(msgspec.Struct, frozen=True):
    """`rows`: which ones, each as "table/id"; without it all that cannot be read.  `note`: for the audit."""

    rows: Annotated[list[RowName], Meta(max_length=1000)] | None = None
    note: Note | None = None


def _row(name: str) -> Unreadable:
    table, _, row_id = name.partition("/")
    return Unreadable(table, row_id)


async def set_aside(call: Call, body: SetAsideBody) -> UnreadableRows:
    """Set unreadable rows aside, into a table of their own; the answer names them."""
    rows = None if body.rows is None else [_row(name) for name in body.rows]
    moved = await call.boss.set_aside(rows, note=body.note)
    return UnreadableRows(tuple(unreadable_row(row) for row in moved))


# ── oneself ──────────────────────────────────────────────────────────────────────────────────────────────────────


class LogIn(msgspec.Struct, frozen=True):
    """`token`: a token of this server; or `code`: the code in the link that the server printed."""

    token: Annotated[str, Meta(max_length=4096)] | None = None
    code: Annotated[str, Meta(max_length=200)] | None = None


async def log_in(call: Call, body: LogIn) -> Response:
    """Exchange a token, or a link's code, for a session cookie, which no script can read."""
    authenticator = call.authenticator
    if not isinstance(authenticator, WithTokens):
        raise Problem(409, "no-sessions", "This server has no sessions because it asks for no token.")
    if (body.token is None) == (body.code is None):
        raise Problem(400, "wrong-body", "Send `token` or `code`.")
    token = authenticator.token(body.token) if body.token is not None else authenticator.with_code(body.code or "")
    response = Response(status_code=204)
    logged_in(call.request.scope, authenticator.log_in(call.request, response, token), call.acts)
    return response


async def log_out(call: Call, body: Nothing) -> Response:
    """End this browser's session, also on the server."""
    response = Response(status_code=204)
    if isinstance(call.authenticator, WithTokens):
        access = call.authenticator.log_out(call.request, response)
        if access is not None:
            logged_out(call.request.scope, access, call.acts)
    return response
