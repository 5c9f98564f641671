"""Who acts: the name that stands in audits beside what was done (A1).

Rules of this file
- `acting_as` holds for the task or thread that is within it, and for what that starts.
- A name is kept as a store can: what an environment says need not be text.
- Nobody in particular is the user of this process, as an operator would name them.
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
    """What is done within is done by *name*: a user of the web application around us, say."""
    token = acting.set(storable(name, MAX_CHARS))
    try:
        yield
    finally:
        acting.reset(token)


def current_actor() -> str:
    """Whoever acts here."""
    variables = (os.environ.get(name) for name in ("SHIFTBOSS_USER", "USER", "LOGNAME"))
    return acting.get() or storable(next(filter(None, variables), "library"), MAX_CHARS)
