"""A forked child drops its parent's signal handlers; no signal that arrives meanwhile is lost or misdirected."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Collection


def let_go_in_child(numbers: Collection[int], let_go: Callable[[], None], *, is_needed: Callable[[], bool]) -> None:
    """At each fork from now on: block the signals *numbers*, call *let_go* in the child, then unblock them."""
    if not hasattr(os, "register_at_fork"):
        return
    mask = threading.local()  # the signal mask of the forking thread before the fork

    def before() -> None:
        if is_needed():
            mask.before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)

    def after() -> None:
        ours = mask.__dict__.pop("before", None)
        if ours is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, ours)

    def after_in_child() -> None:
        if is_needed():
            let_go()
        after()

    os.register_at_fork(before=before, after_in_parent=after, after_in_child=after_in_child)
