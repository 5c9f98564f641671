"""Who acts: the name that the audit keeps beside what was done (A1).

Rules of this file
- `acting_as` applies to the task or thread that is inside it, and to what these start.
- A name is made storable: what an environment variable holds need not be text.
- Without `acting_as` the actor is the user of this process, as an operator would name them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from shiftboss.context import storable

MAX_CHARS = 200  # of a name, in an audit

acting: ContextVar[str] = ContextVar("shiftboss_acting", default="")


@contextmanager
def acting_as(name: str) -> Iterator[None]:
    """Whatever is done inside is recorded as done by *name*: for example a user of the surrounding web application."""
    token = acting.set(storable(name, MAX_CHARS))
    try:
        yield
    finally:
        acting.reset(token)


def current_actor() -> str:
    """The name of whoever acts here."""
    variables = (os.environ.get(name) for name in ("SHIFTBOSS_USER", "USER", "LOGNAME"))
    return acting.get() or storable(next(filter(None, variables), "library"), MAX_CHARS)
