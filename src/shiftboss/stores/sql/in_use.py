"""A session is used by the process that opened it, until it is closed."""

from __future__ import annotations

import os

from shiftboss.errors import Forked, NotStarted


def must_be_usable(url: str, *, pid: int, is_open: bool) -> None:
    """*pid* is the process that opened a session of the store at *url*.  Raises Forked, NotStarted."""
    if os.getpid() != pid:
        raise Forked(
            f"{url} was opened by process {pid}, but this is its child process {os.getpid()}; "
            "start the orchestrator after the fork"
        )
    if not is_open:
        raise NotStarted(f"this session of {url} is closed; open another one")
