"""What becomes of an open orchestrator if its process ends or forks without a stop (G5, W4).

Rules of this file
- When the main thread is over, whatever is still open is stopped as `stop` would: drained, handed back, closed.
- That wait has an end, and nothing that is left keeps the process: shiftboss's threads are daemons.
- A forked child takes over nothing: what its parent had opened is neither used nor closed there; it can open its own.
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

# The hook by which `concurrent.futures` ends its pools: called before any thread is joined, while functions still work.
# `atexit` comes after that, and is never reached while another thread waits in a pool.  Private, the same since 3.9.
_register: Callable[[Callable[[], None]], object] = getattr(threading, "_register_atexit", atexit.register)
LATE_S = 1.0  # past shutdown_timeout: for the last reports and for closing

_open: list[CurrentNode] = []
_is_ending = False


def opens(current: CurrentNode) -> None:
    """Whatever is being opened will be closed with the process.  Raises NotAllowed if the process is ending already."""
    if _is_ending:
        raise NotAllowed(
            "this process is ending (its main thread has ended), so nothing can be opened; call it earlier"
        )
    if current not in _open:
        _open.append(current)
    # Each time again (one pointer in a list): the hook of a pool imported since would otherwise come first and wait.
    _register(_end)


def must_have_threads() -> None:
    """Raises ConfigurationError where threads do not run: in uWSGI without enable-threads.

    There no thread runs between two requests.  Threads are on by default since 2.0.27.
    """
    uwsgi = sys.modules.get("uwsgi")  # the module exists only in uWSGI's processes
    if uwsgi is not None and not getattr(uwsgi, "has_threads", 1):
        raise ConfigurationError(
            "uWSGI runs this process without threads, so no worker would run between requests; add enable-threads = "
            "true to its configuration"
        )


def closed(current: CurrentNode) -> None:
    if current in _open:
        _open.remove(current)


def blocks_bodies() -> bool:
    """Whether the caller blocks a loop on which functions of an open orchestrator run."""
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
            except KeyboardInterrupt:  # G3: a person wants it to end sooner
                each.end_sooner()


def _others() -> list[threading.Thread]:
    """The threads that go on when the main thread is over: the process does not end before they do."""
    pools = getattr(concurrent.futures.thread, "_threads_queues", {})  # a pool's own hook ends these right after ours
    main = threading.main_thread()
    return [each for each in threading.enumerate() if not each.daemon and each is not main and each not in pools]


def forget_parent() -> None:
    """In a forked child.  uWSGI calls no Python hooks (without py-call-uwsgi-fork-hooks); may come twice."""
    inherited, _open[:] = list(_open), []
    for each in inherited:
        each.leave_to_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget_parent)


def keep_forever(thing: object) -> None:
    """Never run the destructor of *thing*: a connection's would speak in the name of the parent."""
    import ctypes  # only in forked children

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))
