"""A trigger on its way into the store: its options, its request, and its row within a transaction of the caller's.

Rules of this file
- What is known to be wrong is refused before anything is stored; the rule checks again when it is applied.
- A run that is triggered within a transaction is known by its key: without a given key it gets a generated one.
"""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from shiftboss.app.actor import acting, current_actor
from shiftboss.app.options import TRIGGER
from shiftboss.core import json_text
from shiftboss.core.control import Request
from shiftboss.core.redact import places_of
from shiftboss.core.value import replace
from shiftboss.errors import ConfigurationError, WaitTimeout
from shiftboss.trace import current_traceparent

if TYPE_CHECKING:
    from shiftboss.app.open_node import OpenNode
    from shiftboss.app.operations import Operations
    from shiftboss.core.model import Run
    from shiftboss.ports.store import Arrival

# How often to look for a run that was triggered within a transaction: nobody sends a notification for a single run,
# and thousands may be waited for.
MIN_PROMISE_POLL_S, MAX_PROMISE_POLL_S = 0.05, 1.0


# ── options ──────────────────────────────────────────────────────────────────────────────────────────────────────


def with_options(request: Request, options: Mapping[str, Any]) -> Request:
    """The request with these options applied.  Raises ConfigurationError."""
    given = read_options(request.worker, options)
    return replace(
        request,
        key=given.get("key"),
        delay_s=given.get("delay") or 0.0,
        at=given.get("at"),
        priority=given.get("priority"),
        force=given.get("force", False),
    )


def read_options(worker: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a trigger of *worker*, each in its type.  Raises ConfigurationError."""
    of = f"trigger of worker {worker!r}"
    given = TRIGGER.read(options, of=of)
    if given.get("at") is not None and given.get("delay") is not None:
        raise ConfigurationError(f"{of}: at= and delay= cannot be combined; drop one of them")
    return given


# ── the request ──────────────────────────────────────────────────────────────────────────────────────────────────


def request_of(node: OpenNode, name: str, payload: bytes | None, options: Mapping[str, Any]) -> Request:
    """The request for a run of worker *name*, with read *options*.  Raises ConfigurationError."""
    digests = () if payload is None else known_digests(node, payload, is_keyed=options.get("key") is not None)
    request = Request(
        worker=name,
        payload=payload,
        digest=digests[0] if digests else None,
        by=acting.get(),
        traceparent=current_traceparent(),
        other_digests=digests[1:],
        masked=places_of(node.secrets, payload),
    )
    if options:
        request = with_options(request, options)
    if request.force and not request.by:  # code has no name in the audit, unless it forces something
        request = replace(request, by=current_actor())
    return request


def known_digests(node: OpenNode, payload: bytes, *, is_keyed: bool) -> tuple[str, ...]:
    """O5: the digest that it is stored with, then those with which the same payload may have been stored before."""
    cipher = node.parts.cipher
    form = json_text.in_one_form(payload)
    plain = hashlib.sha256(form).hexdigest()
    if not is_keyed:
        return (*cipher.digests(form), plain)
    before = json_text.as_stored_before(payload)
    if before == form:
        return (*cipher.digests(form), plain)
    return (*cipher.digests(form), plain, *cipher.digests(before), hashlib.sha256(before).hexdigest())


# ── within a transaction of the caller's ─────────────────────────────────────────────────────────────────────────


class Promise(NamedTuple):
    """What is known about a run that is triggered within a transaction of the caller's."""

    worker: str
    key: str
    digests: tuple[str, ...]  # with which its payload may be stored; none without a payload
    after_run: int  # the id of the newest run in the store before the trigger
    after_event: int


def arriving(node: OpenNode, name: str, payload: bytes | None, options: Mapping[str, Any]) -> tuple[Promise, Arrival]:
    """The row to insert, and what to look for after its commit.

    Raises UnknownWorker, WorkerDisabled, DuplicateKey, ConfigurationError.
    """
    request = request_of(node, name, payload, options)
    named = replace(request, key=request.key or f"within-{uuid.uuid4().hex}")
    arrival = node.store.arrival(named)
    newest = node.read(lambda views: views.before_arrival(request))
    digests = () if named.digest is None else (named.digest, *named.other_digests)
    return Promise(name, named.key or "", digests, *newest), arrival


async def promised(boss: Operations, promise: Promise, *, timeout_s: float | None) -> Run:
    """The run, once it exists; *timeout_s* None waits without limit.  Raises WaitTimeout, NotAllowed."""
    until_s = None if timeout_s is None else boss.clock.monotonic_s() + timeout_s
    pause_s = MIN_PROMISE_POLL_S
    while True:
        run: Run | None = await boss.ask(lambda views: views.promised(promise))
        if run is not None:
            return run
        left_s = pause_s if until_s is None else until_s - boss.clock.monotonic_s()
        if left_s <= 0:
            raise WaitTimeout(
                f"there is no run of {promise.worker!r} with key {promise.key!r} yet: its transaction is not "
                "committed, or no node has picked it up"
            )
        await asyncio.sleep(min(pause_s, left_s))
        pause_s = min(MAX_PROMISE_POLL_S, pause_s * 1.5)
