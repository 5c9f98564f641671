"""Which actions may this user do?  So that a page offers nothing that the host would refuse.

Rules of this file
- The host is asked here as it is before the action itself, with the same words: what fails or hangs is a refusal.
- It is asked only for what the role allows, and in turn: a question holds one of its threads, however much it asks.
- Nothing is done, counted as refused or audited; the action itself is judged again when it comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Annotated

import msgspec
from msgspec import Meta

from shiftboss.core.value import Value
from shiftboss.errors import did_you_mean
from shiftboss.web.operation import ASK_WITHIN_S, Call, Operation
from shiftboss.web.params import Name
from shiftboss.web.problems import Problem

MAX_WORKERS = 50  # a page shows about as many; times the actions, it is what the host is asked at once
MAX_ACTIONS = 20

Action = Annotated[str, Meta(min_length=1, max_length=50)]


class MayAsked(msgspec.Struct, frozen=True):
    """Each may be repeated.  `action`: all of them without it; `worker`: what is about no single one without it."""

    action: Annotated[tuple[Action, ...], Meta(max_length=MAX_ACTIONS)] = ()
    worker: Annotated[tuple[Name, ...], Meta(max_length=MAX_WORKERS)] = ()


class Permitted(Value, frozen=True, omit_defaults=False):
    """What may be done to a worker; `worker` is None for what is about no single one."""

    worker: str | None
    actions: tuple[str, ...]


class Permissions(Value, frozen=True, omit_defaults=False):
    """In the order in which it was asked."""

    permitted: tuple[Permitted, ...]


async def permitted(call: Call, asked: MayAsked, operations: Iterable[Operation]) -> Permissions:
    """Raises Problem for an action that there is not."""
    known = {each.id: each for each in operations if each.changes}
    for unknown in sorted(set(asked.action).difference(known)):
        raise Problem(400, "wrong-parameter", f"there is no action {unknown!r}; {did_you_mean(unknown, known)}")
    actions = [known[each] for each in dict.fromkeys(asked.action or known)]
    workers = tuple(dict.fromkeys(asked.worker)) or (None,)
    granted: dict[str | None, list[str]] = {worker: [] for worker in workers}
    try:
        async with asyncio.timeout(ASK_WITHIN_S):
            for worker, action in ((worker, action) for worker in workers for action in actions):
                if action.can_be_about(worker) and await _is_permitted(call, action, worker):
                    granted[worker].append(action.id)
    except TimeoutError:
        pass  # what it has not said by now is refused
    return Permissions(tuple(Permitted(worker, tuple(ids)) for worker, ids in granted.items()))


async def _is_permitted(call: Call, action: Operation, worker: str | None) -> bool:
    """Raises TimeoutError for a host that hangs: it would keep a thread for each further question."""
    if call.access is None or action.role is None or call.access.role < action.role:
        return False
    try:
        return await call.is_permitted(action.id, worker)
    except Problem as problem:
        if problem.kind == "authorize-timeout":
            raise TimeoutError from problem
        return False
