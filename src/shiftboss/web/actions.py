"""What may be done over HTTP: each function an operation of the table.

Rules of this file
- Each is one call of the orchestrator, which audits it in the same transaction with the name that the authenticator
  knows.
- Doing a thing twice is no error where the second time changes nothing.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta
from starlette.responses import Response

from shiftboss.app.pages import listed
from shiftboss.core.model import DeadLetter, Node, NodeMode, Run
from shiftboss.core.unreadable import Unreadable
from shiftboss.core.value import Value
from shiftboss.web.operation import Call, Nothing
from shiftboss.web.params import ROW_NAME, Instant, RunAsked, Text, WorkerNamed
from shiftboss.web.problems import Problem
from shiftboss.web.sign_in import logged_in, logged_out
from shiftboss.web.status_queries import UnreadableRows, unreadable_row
from shiftboss.web.tokens import WithTokens

Note = Annotated[str, Meta(max_length=2000, pattern=r"^[^\x00]*$")]
Delay = Annotated[float, Meta(ge=0, le=10 * 366 * 86400)] | Annotated[str, Meta(min_length=1, max_length=50)]
RowName = Annotated[str, Meta(pattern=ROW_NAME, max_length=500)]
PriorityWord = Annotated[str, Meta(pattern=r"^(low|normal|high|critical)$")]


NULL_BYTES = b"null"
NULL = msgspec.Raw(NULL_BYTES)
Written = Annotated[  # JSON as it was sent: its bytes are what is stored
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


class Accepted(Value, frozen=True, omit_defaults=False):
    """The run that was stored, or the one that the same key had made before."""

    run: int
    worker: str


async def trigger(call: Call, params: WorkerNamed, body: TriggerBody) -> Accepted:
    """Store a run of a worker; answered after its commit."""
    key = call.request.headers.get("idempotency-key") or None
    if key is not None and (body.key not in (None, key) or len(key) > 500 or not key.isprintable()):
        raise Problem(400, "wrong-key", "Idempotency-Key is too long, not printable, or another one than `key`.")
    options: dict[str, Any] = {"key": body.key or key, "priority": body.priority, "force": body.force}
    if body.delay is not None:
        options["delay"] = body.delay
    if body.at is not None:
        options["at"] = body.at
    await call.ask(lambda views: views.snapshot().worker(params.worker))  # before its payload is judged
    payload = None if bytes(body.payload) == NULL_BYTES else body.payload
    handle = await call.boss.trigger(params.worker, payload, **options)
    return Accepted(handle.id, handle.worker)


# ── runs ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class Reason(msgspec.Struct, frozen=True):
    """Why, for the audit; null is no reason."""

    reason: Note | None = None


async def cancel(call: Call, params: RunAsked, body: Reason) -> Run:
    """End a run: at once while it waits, by asking its body while it runs."""
    return listed(await call.boss.cancel(params.run, reason=body.reason))


# ── workers ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Switched(Value, frozen=True, omit_defaults=False):
    """A worker as it is switched now."""

    worker: str
    enabled: bool


async def disable(call: Call, params: WorkerNamed, body: Reason) -> Switched:
    """Start nothing new of a worker; what runs goes on."""
    state = await call.boss.disable(params.worker, reason=body.reason)
    return Switched(state.name, enabled=state.disabled is None)


async def enable(call: Call, params: WorkerNamed, body: Nothing) -> Switched:
    """Let a worker start again; resets failures and breaker."""
    state = await call.boss.enable(params.worker)
    return Switched(state.name, enabled=state.disabled is None)


async def forget(call: Call, params: WorkerNamed, body: Nothing) -> Nothing:
    """Remove a worker that no live node declares any more; its history stays."""
    await call.boss.forget(params.worker)
    return Nothing()


# ── nodes ────────────────────────────────────────────────────────────────────────────────────────────────────────


class NodeNamed(msgspec.Struct, frozen=True):
    """A node, by its id or its name."""

    node: Text


class Drained(Value, frozen=True, omit_defaults=False):
    """A node that starts nothing new."""

    id: str
    name: str
    mode: NodeMode


async def drain(call: Call, params: NodeNamed, body: Nothing) -> Drained:
    """Let a node finish what runs and start nothing new until it is started again."""
    node: Node = await call.boss.drain(params.node)
    return Drained(node.id, node.name, node.mode)


class PreferBody(msgspec.Struct, frozen=True):
    """`worker` alone, or all that the node declares."""

    worker: Text | None = None


class Preferred(Value, frozen=True, omit_defaults=False):
    """The workers and resources that this changes; none where what the node declares holds already."""

    names: tuple[str, ...]


async def prefer(call: Call, params: NodeNamed, body: PreferBody) -> Preferred:
    """What a node declares is the newest from now on: it holds in the fleet until newer code comes."""
    return Preferred(await call.boss.prefer(params.node, body.worker))


# ── dead letters ─────────────────────────────────────────────────────────────────────────────────────────────────


class ReplayBody(msgspec.Struct, frozen=True):
    """`delay` in seconds or as "5m"."""

    delay: Delay = 0.0


async def replay(call: Call, params: RunAsked, body: ReplayBody) -> Accepted:
    """Run a dead letter again: a new run, fresh attempts, the same payload bytes."""
    handle = await call.boss.replay(params.run, delay=body.delay)
    return Accepted(handle.id, handle.worker)


class NoteBody(msgspec.Struct, frozen=True):
    """What was done about it, for the audit; null is no note."""

    note: Note | None = None


async def resolve(call: Call, params: RunAsked, body: NoteBody) -> DeadLetter:
    """Close a dead letter: somebody has seen to it, and nothing runs again."""
    return await call.boss.resolve(params.run, note=body.note)


async def discard(call: Call, params: RunAsked, body: NoteBody) -> DeadLetter:
    """Close a dead letter as worth nothing; retention takes it later, payload and all."""
    return await call.boss.discard(params.run, note=body.note)


# ── rows that cannot be read ─────────────────────────────────────────────────────────────────────────────────────


class SetAsideBody(msgspec.Struct, frozen=True):
    """Those `rows`, each as "table/id", or all that cannot be read; `note` for the audit."""

    rows: Annotated[list[RowName], Meta(max_length=1000)] | None = None
    note: Note | None = None


def _row(name: str) -> Unreadable:
    table, _, row_id = name.partition("/")
    return Unreadable(table, row_id)


async def set_aside(call: Call, body: SetAsideBody) -> UnreadableRows:
    """Move rows that cannot be read out of the way, into a table of their own; the answer names those moved."""
    rows = None if body.rows is None else [_row(name) for name in body.rows]
    moved = await call.boss.set_aside(rows, note=body.note)
    return UnreadableRows(tuple(unreadable_row(row) for row in moved))


# ── oneself ──────────────────────────────────────────────────────────────────────────────────────────────────────


class LogIn(msgspec.Struct, frozen=True):
    """`token`: one of this server's; or `code`: that of the link that it printed."""

    token: Annotated[str, Meta(max_length=4096)] | None = None
    code: Annotated[str, Meta(max_length=200)] | None = None


async def log_in(call: Call, body: LogIn) -> Response:
    """Exchange a token, or a link's code, for a session's cookie, which no script can read."""
    authenticator = call.authenticator
    if not isinstance(authenticator, WithTokens):
        raise Problem(409, "no-sessions", "This server gives no sessions: it asks for no token.")
    if (body.token is None) == (body.code is None):
        raise Problem(400, "wrong-body", "Send `token` or `code`.")
    token = authenticator.token(body.token) if body.token is not None else authenticator.with_code(body.code or "")
    response = Response(status_code=204)
    logged_in(call.request.scope, authenticator.log_in(call.request, response, token), call.acts)
    return response


async def log_out(call: Call, body: Nothing) -> Response:
    """End the session of this browser, on the server as well."""
    response = Response(status_code=204)
    if isinstance(call.authenticator, WithTokens):
        access = call.authenticator.log_out(call.request, response)
        if access is not None:
            logged_out(call.request.scope, access, call.acts)
    return response
