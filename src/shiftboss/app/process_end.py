"""What becomes of an open orchestrator when its process ends, or forks, without a stop (G5, W4).

Rules of this file
- When the main thread is over, whatever is still open is stopped as `stop` would: drained, handed back, closed.
- That wait has an end, and nothing that is left over keeps the process: our threads are daemons.
- A forked child has nothing of it: what its parent had opened is neither used nor closed there, and can be opened anew.
"""

from __future__ import annotations

import atexit
import concurrent.futures.thread  # its own hook must be registered before ours: the last one is called first
import os
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from shiftboss.clock import SystemClock
from shiftboss.errors import ConfigurationError, NotAllowed

if TYPE_CHECKING:
    from shiftboss.app.current_node import CurrentNode

# Where `concurrent.futures` ends its pools: before any thread is joined, at a time when bodies still can do their work.
# `atexit` comes after that, and is never reached while somebody's thread waits in a pool.  Private, the same since 3.9.
_register: Callable[[Callable[[], None]], object] = getattr(threading, "_register_atexit", atexit.register)
LATE_S = 1.0  # past shutdown_timeout: for the last reports and for what is to be closed

_open: list[CurrentNode] = []
_is_ending = False


def opens(current: CurrentNode) -> None:
    """Whatever is being opened will be closed with the process.  Raises NotAllowed when that is ending already."""
    if _is_ending:
        raise NotAllowed(
            "this process is ending, its main thread is over: nothing can be opened any more; call it earlier"
        )
    if current not in _open:
        _open.append(current)
    # Again each time, a pointer in a list: a pool that was imported since would be waited for before we are asked.
    _register(_end)


def must_have_threads() -> None:
    """Raises ConfigurationError where threads stand still: in uWSGI that was not told of them.

    There no thread runs between two requests.  Threads are on by default since 2.0.27.
    """
    uwsgi = sys.modules.get("uwsgi")  # there is one in its processes only
    if uwsgi is not None and not getattr(uwsgi, "has_threads", 1):
        raise ConfigurationError(
            "uWSGI runs this process without threads, so that no worker would run between two requests; add "
            "enable-threads = true to its configuration"
        )


def closed(current: CurrentNode) -> None:
    if current in _open:
        _open.remove(current)


def blocks_bodies() -> bool:
    """Whether the caller blocks a loop on which bodies of an open orchestrator run."""
    return any(each.is_on_loop() for each in list(_open))


def _end() -> None:
    global _is_ending  # the process has one end
    _is_ending = True
    left = list(_open)
    owns_process = not _others()
    for each in left:
        each.end_with_process(owns_process=owns_process)
    clock = SystemClock()
    until_s = clock.monotonic_s() + max((each.shutdown_timeout_s for each in left), default=0.0) + LATE_S
    for each in left:
        while True:
            try:
                each.close_with_process(max(0.0, until_s - clock.monotonic_s()))
                break
            except KeyboardInterrupt:  # G3: the end is wanted sooner
                each.end_sooner()


def _others() -> list[threading.Thread]:
    """Threads that go on when the main thread is over: the process does not end before they do."""
    pools = getattr(concurrent.futures.thread, "_threads_queues", {})  # these are sent home right after us
    main = threading.main_thread()
    return [each for each in threading.enumerate() if not each.daemon and each is not main and each not in pools]


def forget_parent() -> None:
    """In a forked child.  uWSGI does not call Python's own hooks (without py-call-uwsgi-fork-hooks): twice is once."""
    inherited, _open[:] = list(_open), []
    for each in inherited:
        each.leave_to_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget_parent)


def keep_for_ever(thing: object) -> None:
    """Whatever happens to *thing*, its destructor is not run: a connection's would speak for the parent."""
    import ctypes  # in forked children only

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))
