"""What functions log, by whatever logger, is kept with their attempts, without a handler on a logger of the host's.

A handler on the root logger would make `basicConfig` do nothing, silence Python's handler of last resort, and be gone
after a `dictConfig`.  A record factory sees each record that its logger's level lets through, whatever handlers there
are, and survives both `basicConfig` and `dictConfig`.

Rules of this file
- A record is passed on as the host's own factory made it.
- The process has one such factory while an orchestrator runs in it.  The last orchestrator to stop removes it, unless
  somebody has installed another one in front of it since: then it stays and does nothing.
- The context's own logger keeps its lines itself (`context.py`); they are not kept again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from shiftboss.context import current, is_kept, text_of

_lock = threading.Lock()  # protects the two below
_users = 0
_installed: _Factory | None = None


@contextmanager
def kept() -> Iterator[None]:
    """Inside this context manager, what functions log is kept."""
    global _users, _installed
    with _lock:
        _users += 1
        if _installed is None:
            _installed = _Factory(logging.getLogRecordFactory())
            logging.setLogRecordFactory(_installed)
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users and _installed is not None:
                _installed.is_active = False
                if logging.getLogRecordFactory() is _installed:
                    logging.setLogRecordFactory(_installed.former)
                _installed = None


class _Factory:
    def __init__(self, former: Callable[..., logging.LogRecord]) -> None:
        self.former = former
        self.is_active = True

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = self.former(*args, **kwargs)
        context = current.get()
        is_new = self.is_active and not is_kept.get() and record.name is not None  # makeLogRecord passes no name
        if context is not None and is_new:
            context.keep_line(record.levelname, text_of(record))
        return record
