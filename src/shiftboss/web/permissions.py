"""Which actions may this user do?  A page then offers nothing that the host would refuse.

Rules of this file
- The host is asked here with the same arguments as before the action itself; a failure or a timeout is a refusal.
- It is asked only about actions that the role allows, and one at a time: a request holds one of its threads at most.
- Nothing is done, counted as refused or audited here; the action itself is checked again when it is requested.
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

MAX_WORKERS = 50  # a page shows about as many; times the actions, so many questions the host gets at once
MAX_ACTIONS = 20

Action = Annotated[str, Meta(min_length=1, max_length=50)]


class MayAsked(msgspec.Struct, frozen=True):
    """Both may be repeated.  Without `action`: all actions; without `worker`: those that concern no single worker."""

    action: Annotated[tuple[Action, ...], Meta(max_length=MAX_ACTIONS)] = ()
    worker: Annotated[tuple[Name, ...], Meta(max_length=MAX_WORKERS)] = ()


class Permitted(Value, frozen=True, omit_defaults=False):
    """The actions that are permitted on a worker; `worker` is None for those that concern no single worker."""

    worker: str | None
    actions: tuple[str, ...]


class Permissions(Value, frozen=True, omit_defaults=False):
    """In the order of the request."""

    permitted: tuple[Permitted, ...]


async def permitted(call: Call, asked: MayAsked, operations: Iterable[Operation]) -> Permissions:
    """Raises Problem for an unknown action."""
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
        pass  # everything without an answer by now is refused
    return Permissions(tuple(Permitted(worker, tuple(ids)) for worker, ids in granted.items()))


async def _is_permitted(call: Call, action: Operation, worker: str | None) -> bool:
    """Raises TimeoutError if the host hangs: each further question would keep a thread."""
    if call.access is None or action.role is None or call.access.role < action.role:
        return False
    try:
        return await call.is_permitted(action.id, worker)
    except Problem as problem:
        if problem.kind == "authorize-timeout":
            raise TimeoutError from problem
        return False
